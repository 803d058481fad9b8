"""Discovery: the files that a source's glob names.

Belongs here: folders, wildcards, date tokens. Does not: what is in the files.
"""

import re
from pathlib import Path, PurePath

from segmentation_pipeline.resources.sources.headers import SourceError

_WILDCARDS = re.compile(r"[*?\[]|%[Ymd]")
_DATE_TOKENS = {"%Y": "[0-9][0-9][0-9][0-9]", "%m": "[0-9][0-9]", "%d": "[0-9][0-9]"}
# Files that other programs keep beside theirs: hidden or unfinished ones, and the lock of an open workbook.
_NOT_DELIVERED = (".", "~$")


def root_of(path: str) -> Path:
    """The folder before the first wildcard. A part that exists as it is written is a name, whatever signs are in it."""
    parts = PurePath(path).parts
    root = Path()
    for part in parts[:-1]:
        if _WILDCARDS.search(part) and not (root / part).is_dir():
            break
        root /= part
    return root


def matching(path: str) -> list[Path]:
    """The files that a glob names, in order; `**` stands for folders of any depth, %Y, %m and %d for digits.

    Raises:
        SourceError: The name of one is not UTF-8, so no table can hold it; the message shows it as far as it can be shown.
    """
    root = root_of(path)
    exact = Path(path)
    if exact.is_file():
        return [exact]
    pattern = _pattern(PurePath(path).relative_to(root))
    found = sorted(file for file in root.glob(pattern) if file.is_file() and _is_delivered(file.relative_to(root)))
    for file in found:
        shown = str(file).encode("utf-8", errors="replace").decode()
        if shown != str(file):
            raise SourceError(f"{shown}: the name of this file is not UTF-8. Rename it.")
    return found


def no_match(path: str) -> SourceError:
    """What people are told where a glob names no file."""
    if Path(path).is_dir():
        return SourceError(f"{path} is a folder. Name the files in it in source.path, such as {path}/*.parquet.")
    return SourceError(
        f"No file matches {path}. Put the transaction files there, or correct source.path in the configuration "
        "(a relative path starts at the configuration file's folder)."
    )


def _pattern(glob: PurePath) -> str:
    """The glob as pathlib understands it: `**` only as a whole part, and never the last one."""
    parts = [part if part == "**" else re.sub(r"\*{2,}", "*", part) for part in glob.parts]
    whole = "/".join([*parts, "*"] if parts[-1] == "**" else parts)
    return re.sub(r"%[Ymd]", lambda token: _DATE_TOKENS[token.group()], whole)


def _is_delivered(file: Path) -> bool:
    return not any(part.startswith(_NOT_DELIVERED) for part in file.parts)
