"""Headers: finding the mapped columns of a file, and the message if they are not there.

Belongs here: column names, the error every reader of sources raises, long lists in messages. Does not: reading rows.
"""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from segmentation_pipeline.errors import PipelineError

HEADER_ROWS_SEARCHED = 20
PROBLEMS_SHOWN = 5


class SourceError(PipelineError):
    """A source that cannot be read; the message says which file, what is wrong with it, and what to do."""


def header_row(head: Sequence[Sequence[str]], wanted: Mapping[str, str]) -> int | None:
    """Place of the first row that holds every mapped column, so that a title above the header is passed over."""
    names = set(wanted.values())
    return next((place for place, row in enumerate(head) if names <= {cell.strip() for cell in row}), None)


def fullest(head: Sequence[Sequence[str]]) -> Sequence[str]:
    """The row with most cells that hold something: the likely header of a file that lacks a mapped column."""
    return max(head, key=lambda row: sum(bool(cell.strip()) for cell in row), default=[])


def positions(header: Sequence[str], wanted: Mapping[str, str], file: Path | str) -> dict[str, int]:
    """Canonical name to the place of its column in the header of a file, or of what stands for one in messages.

    Raises:
        SourceError: A mapped column is missing or there twice.
    """
    names = [name.strip() for name in header]
    missing = [name for name in wanted.values() if name not in names]
    if missing:
        hints = [close[0] for name in missing if (close := closest(name, names))]
        raise SourceError(
            f"{file}: has no column {', '.join(map(repr, missing))}. Its columns are: {', '.join(names) or '(none)'}."
            + (f" Did you mean {', '.join(map(repr, hints))}?" if hints else "")
            + " Correct source.columns in the configuration."
        )
    twice = [name for name in wanted.values() if names.count(name) > 1]
    if twice:
        raise SourceError(f"{file}: has column {', '.join(map(repr, twice))} more than once. Rename one of them.")
    return {canonical: names.index(name) for canonical, name in wanted.items()}


def closest(name: str, names: Sequence[str]) -> list[str]:
    """The most similar name, if there is a similar one."""
    folded = {each.lower(): each for each in names}
    return [folded[close] for close in get_close_matches(name.lower(), folded, n=1)]


def listed(texts: Sequence[str], separator: str = ", ") -> str:
    """The first texts, and how many there are besides."""
    more = [f"and {len(texts) - PROBLEMS_SHOWN:,} more"] if len(texts) > PROBLEMS_SHOWN else []
    return separator.join([*texts[:PROBLEMS_SHOWN], *more])
