"""The index: what is known of each source file, so that unchanged files are never read again to find out.

Belongs here: the entries, the file they are kept in, which of them are about a day. Does not: finding files
(discovery.py), measuring them (files.py).
"""

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from segmentation_pipeline.resources.sources.headers import SourceError

DatedRows = tuple[tuple[date, int], ...]

_TYPES = {
    str: pa.string(),
    int: pa.int64(),
    bool: pa.bool_(),
    date: pa.date32(),
    DatedRows: pa.map_(pa.date32(), pa.int64()),
}


@dataclass(frozen=True)
class SourceFile:
    """What the index knows of one file, or of one day of a table, which is read and filed like a file.

    `dated_rows` counts the rows of each usable day, in order, and `undated_rows` those without one; `filing_day` is the
    day these are filed under; `path` is relative to the folder before the glob's first wildcard, and is what `source_file`
    says; `settings` stands for the part of the configuration that the entry depends on, `place` for where it was found,
    and `mark` for what a table's high-water mark was then. `is_kept` says that the file is gone and its rows are in the
    lake.
    """

    path: str
    size: int
    mtime_ns: int
    sha256: str
    dated_rows: DatedRows
    undated_rows: int
    filing_day: date
    settings: str
    place: str = ""
    mark: str = ""
    is_kept: bool = False

    @property
    def rows(self) -> int:
        """All its rows."""
        return sum(rows for _day, rows in self.dated_rows) + self.undated_rows

    @property
    def first_day(self) -> date | None:
        """The first usable day."""
        return self.dated_rows[0][0] if self.dated_rows else None

    @property
    def last_day(self) -> date | None:
        """The last usable day."""
        return self.dated_rows[-1][0] if self.dated_rows else None

    def days(self) -> dict[date, int]:
        """The rows that are filed under each day, of those that have any."""
        filed = dict(self.dated_rows)
        if self.undated_rows:
            filed[self.filing_day] = filed.get(self.filing_day, 0) + self.undated_rows
        return filed

    def is_of(self, size: int, mtime_ns: int, settings: str) -> bool:
        """Whether the entry still tells the truth about a file of this size and time, read by these settings."""
        return (self.size, self.mtime_ns, self.settings) == (size, mtime_ns, settings)


class Calendar:
    """Files by the days that they hold, so that asking for each day does not go through all files each time."""

    def __init__(self) -> None:
        self._files: Sequence[SourceFile] = ()
        self._by_day: dict[date, list[SourceFile]] = {}

    def holding(self, days: Sequence[date], files: Sequence[SourceFile]) -> list[SourceFile]:
        """The files that hold rows of one of the days, in their order.

        Args:
            days: Any days.
            files: All files; they are sorted by day again only if they are others than the last time.
        """
        if files is not self._files:
            self._files, self._by_day = files, {}
            for file in files:
                for day in file.days():
                    self._by_day.setdefault(day, []).append(file)
        if len(days) == 1:
            return self._by_day.get(days[0], [])
        found = {file.path for day in days for file in self._by_day.get(day, ())}
        return [file for file in files if file.path in found]


class Index:
    """Entries in one Parquet file, which is replaced whole.

    Args:
        file: Where they are kept.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def load(self) -> dict[str, SourceFile]:
        """Entries by path; none where there is no index yet, or it is another version's: it is made again.

        Raises:
            SourceError: It is damaged. What it alone knows is which files that are gone still count.
        """
        try:
            rows = pq.read_table(self._file).to_pylist()
            return {row["path"]: SourceFile(**{**row, "dated_rows": tuple(row["dated_rows"])}) for row in rows}
        except (FileNotFoundError, TypeError, KeyError):
            return {}
        except (OSError, pa.ArrowInvalid) as problem:
            if isinstance(problem, OSError) and problem.errno is not None:  # it may be read another time
                raise
            raise SourceError(
                f"{self._file}: the index of the source is damaged ({problem}). Put a copy of it back, or remove it: it is "
                "made again from the files that are there, and rows of files that are gone do not count any more."
            ) from problem

    def save(self, entries: Sequence[SourceFile]) -> None:
        """Replace the index."""
        layout = pa.schema([(each.name, _TYPES[each.type]) for each in fields(SourceFile)])  # type: ignore[index]
        self._file.parent.mkdir(parents=True, exist_ok=True)
        staged = self._file.with_suffix(f".{uuid.uuid4().hex}.staged")
        try:
            pq.write_table(pa.Table.from_pylist([asdict(entry) for entry in entries], layout), staged)
            staged.replace(self._file)
        finally:
            staged.unlink(missing_ok=True)
