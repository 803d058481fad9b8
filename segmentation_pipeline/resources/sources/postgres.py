"""A PostgreSQL table as a source: its days are fetched like files, and indexed by their rows and their highest mark.

Belongs here: which days are counted and fetched again. Does not: the queries (table.py), the connection (database.py),
rows as text under their days (filing.py).

The table is asked only for rows whose mark is not below the highest one seen, and only their days are fetched again. So
a row that is deleted, that moves to another day, or that appears with a mark below one already seen (a transaction that
took long) leaves no trace on the day it was on, until that day changes again.
"""

import hashlib
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path

import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from segmentation_pipeline.core.forgetting import Forgotten
from segmentation_pipeline.resources.engines.engine import Engine
from segmentation_pipeline.resources.forgotten import Tombstones
from segmentation_pipeline.resources.sources.conversion import forget, write_converted
from segmentation_pipeline.resources.sources.database import snapshot
from segmentation_pipeline.resources.sources.filing import Filing, ReadableFile, digest_of, signature_of, span_of
from segmentation_pipeline.resources.sources.index import Calendar, Index, SourceFile
from segmentation_pipeline.resources.sources.table import Day, Holding, Range, SalesTable
from segmentation_pipeline.settings import Postgres, Settings

UNDATED = "undated"


@dataclass
class PostgresSource:
    """The transaction table of one shop; a `TransactionSource`.

    Args:
        settings: Where the table is, which columns it has, and the range of days.
        engine: Reads what was fetched.
        workspace: Folder for the index and for fetched days; nothing else is written.
        tombstones: Tell whose rows are read as guests'.
    """

    settings: Settings
    engine: Engine
    workspace: UPath
    tombstones: Tombstones | None = None
    _files: list[SourceFile] | None = field(default=None, init=False)
    _calendar: Calendar = field(default_factory=Calendar, init=False)

    @cached_property
    def how(self) -> Postgres:
        """The section of the settings that is about the table."""
        if not isinstance(self.settings.source, Postgres):
            raise TypeError(f"a source of kind {self.settings.source.kind} is no table")
        return self.settings.source

    @property
    def place(self) -> str:
        """The table, and the variable that says in which database it is."""
        return f"table {self.how.table} of {self.how.url_variable}"

    def files(self) -> list[SourceFile]:
        """The indexed days; the table is looked at once per process, see `refresh`."""
        return self._files if self._files is not None else self.refresh()

    def refresh(self) -> list[SourceFile]:
        """Look at the table again, and fetch the days that have changed.

        Raises:
            SourceError: It cannot be read. The index stays as it was.
            TransientFault: The database cannot be reached. Likewise.
        """
        now = time.time_ns()
        days = self._usable(now)
        loaded = self._index.load()
        with self._table() as (table, found_in):
            stored = {name: file for name, file in loaded.items() if self._is_of(file, found_in)}
            held = self._held(table, stored, days)
            blank = replace(self._blank(now), place=found_in, mark=table.newest().mark)
            entries = [
                self._fetched(table, days, day, holding, stored, blank) for day, holding in held.items() if holding.rows
            ]
        recounted = {_name(self.how, day) for day in held}
        kept = [file for name, file in stored.items() if name not in recounted]
        self._files = self._filed([*kept, *self._counted(entries, stored)])
        if {file.path: file for file in self._files} != loaded:
            self._index.save(self._files)
            now_needed, before = ({self._parquet(file) for file in files} for files in (self._files, loaded.values()))
            forget(self._workspace, now_needed, before)
        return self._files

    def digest(self, day: date) -> str:
        """What the raw rows of a day are made from: rows and marks of the days fetched, and how they are read."""
        return digest_of(self._holding([day]), self._signature)

    def first_day(self) -> date | None:
        """The first day of sale in the table."""
        return span_of(self.files())[0]

    def last_day(self) -> date | None:
        """The last day of sale in the table."""
        return span_of(self.files())[1]

    def rows(self, days: Sequence[date]) -> ir.Table:
        """Raw rows of a range of days as `schema.RAW_TRANSACTIONS`, from what was fetched; fetched again if that is damaged.

        Raises:
            SourceError: The table cannot be read.
            TransientFault: The database cannot be reached.
        """
        if not all(self._is_whole(file) for file in self._holding(days)):
            self.refresh()
        return self._filing.rows([self._readable(file) for file in self._holding(days)], days)

    def column_types(self) -> dict[str, str]:
        """Canonical name to the type its column has in the table, for reports."""
        with self._table() as (table, _found_in):
            return {name: table.types[column] for name, column in self.how.columns.mapped().items()}

    def state(self) -> str:
        """A fingerprint of the highest mark, the rows that have it or none, and the last usable day."""
        last = self._usable(time.time_ns()).last
        with self._table() as (table, found_in):
            return hashlib.sha256(f"{found_in} {table.newest()} {last}".encode()).hexdigest()

    def waiting(self) -> list[str]:
        """Nothing: rows that are not committed cannot be seen."""
        return []

    def removed(self) -> list[str]:
        """Nothing: rows that are deleted leave no trace."""
        return []

    def lost_days(self) -> Collection[date]:
        """None: what was fetched can be fetched again."""
        return ()

    def forget(self, forgotten: Forgotten) -> int:
        """Take customers out of what was fetched, which then still counts as whole; returns how many rows named them."""
        found = self._filing.forget(self._workspace, forgotten)
        entries = list(self._index.load().values())
        sizes = {file: file.stat().st_size for file in found}
        if sizes:
            self._index.save([replace(file, size=sizes.get(self._parquet(file), file.size)) for file in entries])
            self._files = None
        return sum(found.values())

    @contextmanager
    def _table(self) -> Iterator[tuple[SalesTable, str]]:
        """The table as it is now, and a name that tells it from any other of that name."""
        with snapshot(self.how, self.settings.timezone, self.place) as opened:
            table = SalesTable(opened, self.how, self.place)
            yield table, f"{self.how.table} {table.identity}"

    def _held(self, table: SalesTable, stored: Mapping[str, SourceFile], days: Range) -> dict[Day, Holding]:
        """What those days hold that may have changed; every day, where nothing is known."""
        latest = max(stored.values(), key=lambda file: file.mtime_ns, default=None)
        if latest is None or not latest.mark:
            return table.holdings(days)
        changed = table.marked_since(latest.mark, days)
        changed |= {_day_of(file) for file in stored.values() if not self._is_whole(file)}
        seen = self._local_day(latest.mtime_ns)
        if seen < days.last:  # what was in the future then may be usable now
            changed |= table.sold_between(Range(seen + timedelta(days=1), days.last))
            changed |= {None} if _name(self.how, None) in stored else set()
        return {day: table.holding(day, days) for day in changed}

    def _fetched(
        self,
        table: SalesTable,
        days: Range,
        day: Day,
        holding: Holding,
        stored: Mapping[str, SourceFile],
        blank: SourceFile,
    ) -> SourceFile:
        """The entry of a day whose rows are in the workspace: as it was if nothing changed, or not yet counted."""
        name = _name(self.how, day)
        columns = sorted(self.how.columns.mapped().items())
        content = (blank.place, self.settings.timezone, name, columns, holding.rows, holding.mark)
        entry = replace(blank, path=name, sha256=hashlib.sha256(repr(content).encode()).hexdigest())
        before, target = stored.get(name), self._parquet(entry)
        if before is not None and before.sha256 == entry.sha256 and self._is_whole(before):
            return before
        if _rows_in(target) != holding.rows:
            write_converted(table.lines(day, days), target, self.how.columns.mapped(), self._filing.screen)
        return replace(entry, size=target.stat().st_size)

    def _counted(self, entries: Sequence[SourceFile], stored: Mapping[str, SourceFile]) -> list[SourceFile]:
        """Entries with what is in their rows; those that were counted before as they are."""
        counts = self._filing.counts([self._readable(file) for file in entries if stored.get(file.path) != file])
        return [
            replace(file, dated_rows=counts[file.path].dated_rows, undated_rows=counts[file.path].undated_rows)
            if file.path in counts
            else file
            for file in entries
        ]

    def _filed(self, files: Sequence[SourceFile]) -> list[SourceFile]:
        """Entries in order; rows without a usable day are filed under the first usable day of the table."""
        first = span_of(files)[0] or self.settings.start_date
        found = [replace(file, filing_day=file.first_day or first) for file in files]
        return sorted(found, key=lambda file: file.path)

    def _blank(self, now: int) -> SourceFile:
        start = self.settings.start_date
        return SourceFile("", 0, now, "", (), 0, start, self._signature)

    def _usable(self, now: int) -> Range:
        today = self._local_day(now)
        return Range(self.settings.start_date, min(today, self.settings.end_date or today))

    def _local_day(self, mtime_ns: int) -> date:
        return datetime.fromtimestamp(mtime_ns / 1e9, UTC).astimezone(self.settings.zone).date()

    def _is_of(self, file: SourceFile, found_in: str) -> bool:
        return (file.settings, file.place) == (self._signature, found_in)

    def _is_whole(self, file: SourceFile) -> bool:
        """Whether what was fetched is there as it was fetched."""
        target = self._parquet(file)
        return target.exists() and target.stat().st_size == file.size

    def _holding(self, days: Sequence[date]) -> list[SourceFile]:
        return self._calendar.holding(days, self.files())

    def _readable(self, file: SourceFile) -> ReadableFile:
        return ReadableFile(
            name=file.path,
            origin=f"{self.place}, {file.path}",
            parquet=self._parquet(file),
            is_converted=True,
            mtime_ns=file.mtime_ns,
            filing_day=file.filing_day,
        )

    def _parquet(self, file: SourceFile) -> Path:
        return self._workspace / f"{file.sha256[:32]}-{file.path.rpartition('/')[2]}.parquet"

    @cached_property
    def _index(self) -> Index:
        return Index(self._workspace / "index.parquet")

    @cached_property
    def _filing(self) -> Filing:
        return Filing(self.settings, self.engine, self.tombstones)

    @property
    def _workspace(self) -> Path:
        return Path(str(self.workspace))

    @cached_property
    def _signature(self) -> str:
        """What the index depends on besides the table."""
        return signature_of(self.how.model_dump_json(), self.settings)


def _name(how: Postgres, day: Day) -> str:
    """What a day of the table is called: `source_file` says it."""
    return f"{how.table}/{day.isoformat() if day else UNDATED}"


def _day_of(file: SourceFile) -> Day:
    name = file.path.rpartition("/")[2]
    return None if name == UNDATED else date.fromisoformat(name)


def _rows_in(target: Path) -> int | None:
    """Rows of what an earlier look fetched, if it is whole; one that was broken off may have fetched some days."""
    try:
        return int(pq.read_metadata(target).num_rows)
    except (OSError, pa.ArrowInvalid):
        return None
