"""Files as a source: keeping the index true, and reading the rows of some days.

Belongs here: measuring files, what becomes of those that are gone. Does not: finding files (discovery.py), which are new
or still growing (landing.py), csv and xlsx (conversion.py), rows as text under their days (filing.py).
"""

import hashlib
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from os import stat_result
from pathlib import Path

import ibis.expr.types as ir
import pyarrow.parquet as pq
from upath import UPath

from segmentation_pipeline.core.forgetting import Forgotten
from segmentation_pipeline.errors import TransientFault
from segmentation_pipeline.resources.engines.engine import Engine
from segmentation_pipeline.resources.forgotten import Tombstones
from segmentation_pipeline.resources.sources.conversion import check_parquet, converter, forget, write_converted
from segmentation_pipeline.resources.sources.discovery import matching, no_match, root_of
from segmentation_pipeline.resources.sources.filing import (
    Counts,
    Filing,
    ReadableFile,
    digest_of,
    signature_of,
    span_of,
)
from segmentation_pipeline.resources.sources.headers import SourceError, listed, positions
from segmentation_pipeline.resources.sources.index import Calendar, Index, SourceFile
from segmentation_pipeline.resources.sources.landing import Look, look_at
from segmentation_pipeline.settings import Files, Settings


@dataclass
class FileSource:
    """Transaction files of one shop; a `TransactionSource`.

    Args:
        settings: Where the files are, how they are written, and the range of days.
        engine: Reads them.
        workspace: Folder for the index and for converted files; nothing else is written.
        tombstones: Tell whose rows are read as guests'.
        is_ingested: Tells whether rows of a file are in the lake.
    """

    settings: Settings
    engine: Engine
    workspace: UPath
    tombstones: Tombstones | None = None
    is_ingested: Callable[[SourceFile], bool] = lambda _file: True
    _files: list[SourceFile] | None = field(default=None, init=False)
    _calendar: Calendar = field(default_factory=Calendar, init=False)

    @cached_property
    def how(self) -> Files:
        """The section of the settings that is about the files."""
        if not isinstance(self.settings.source, Files):
            raise TypeError(f"a source of kind {self.settings.source.kind} is not made of files")
        return self.settings.source

    @property
    def place(self) -> str:
        """The glob."""
        return self.how.path

    @cached_property
    def root(self) -> Path:
        """The folder before the first wildcard of the glob."""
        return root_of(self.how.path)

    def files(self) -> list[SourceFile]:
        """The indexed files; the folder is looked at once per process, see `refresh`."""
        return self._files if self._files is not None else self.refresh()

    def refresh(self) -> list[SourceFile]:
        """Look at the folder again, and measure the files that are new or changed, but for those that still grow.

        Raises:
            SourceError: No file matches, or files cannot be read (the message lists them). The index stays as it was.
        """
        stored = self._index.load()
        look = self._look(stored)
        kept = self._kept(look)
        if not (look.known or look.fresh or look.growing) and not (kept and self.root.is_dir()):
            raise no_match(self.how.path)
        there = [*look.known, *look.overwritten, *self._measured(look.fresh)]
        renamed = {file.sha256 for file in there}
        found = [*there, *(file for file in kept if file.sha256 not in renamed)]
        self._files = sorted(found, key=lambda file: file.path)
        if {file.path: file for file in self._files} != stored:
            self._index.save(self._files)
            now_needed, before = (
                {self._parquet(file.path, file.sha256) for file in files} for files in (self._files, stored.values())
            )
            forget(self._workspace, now_needed, before)
        return self._files

    def digest(self, day: date) -> str:
        """What the raw rows of a day are made from: the contents of the files that hold it, and how they are read."""
        return digest_of(self._holding([day]), self._signature)

    def first_day(self) -> date | None:
        """The first day of sale in any file."""
        return span_of(self.files())[0]

    def last_day(self) -> date | None:
        """The last day of sale in any file."""
        return span_of(self.files())[1]

    def rows(self, days: Sequence[date]) -> ir.Table:
        """Raw rows of a range of days as `schema.RAW_TRANSACTIONS`, reading only files that hold one of them.

        A file that is other than it was indexed, or whose converted copy is gone, is looked at again first.

        Raises:
            SourceError: A file that was there when it was indexed is gone.
            TransientFault: A file is being overwritten.
        """
        holding = self._holding(days)
        if self._changed(holding) or any(self._is_lost(file) and (self.root / file.path).exists() for file in holding):
            self.refresh()
        files = self._holding(days)
        lost = [file for file in files if self._is_lost(file)]
        if lost:
            raise self._lost(lost, days)
        changing = [str(self.root / file.path) for file in self._changed(files)]
        if changing:
            raise TransientFault(f"{listed(changing)}: is being overwritten. Run again once it is whole.")
        return self._filing.rows([self._readable(file) for file in files], days)

    def column_types(self) -> dict[str, str]:
        """Canonical name to the type its column has in the first file, for reports."""
        mapped = self.how.columns.mapped()
        there = [file.path for file in self.files() if (self.root / file.path).exists()]
        if not there or converter(there[0]):
            return dict.fromkeys(mapped, "text")
        path = self.root / there[0]
        found = pq.read_schema(path)
        return {name: str(found.field(place).type) for name, place in positions(found.names, mapped, path).items()}

    def state(self) -> str:
        """A fingerprint of the names, sizes and times of the settled files, by which `refresh` would find what is new."""
        look = self._look(self._index.load())
        return replace(look, removed=self._kept(look)).fingerprint(self.root)

    def waiting(self) -> list[str]:
        """Names of the files that still grow."""
        return list(self._look(self._index.load()).growing)

    def removed(self) -> list[str]:
        """Names of indexed files that are no longer there, and whose rows still count."""
        return [file.path for file in self.files() if not (self.root / file.path).exists()]

    def lost_days(self) -> Collection[date]:
        """Days of removed files of which no converted copy is left: they cannot be computed again."""
        return {day for file in self.files() if self._is_lost(file) for day in file.days()}

    def forget(self, forgotten: Forgotten) -> int:
        """Take customers out of the converted files; returns how many rows named them."""
        return sum(self._filing.forget(self._workspace, forgotten).values())

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
        """What the index depends on besides the files."""
        how = self.how.model_dump_json(exclude={"path", "settle_seconds", "removed_files"})
        return signature_of(how, self.settings)

    @cached_property
    def _place(self) -> str:
        """The glob as seen from the workspace: what was found by another one was not removed, but is not meant any more."""
        return os.path.relpath(self.how.path, self._workspace)

    def _look(self, stored: Mapping[str, SourceFile]) -> Look:
        def is_current(entry: SourceFile, stat: stat_result) -> bool:
            is_known = entry.is_of(stat.st_size, stat.st_mtime_ns, self._signature) and entry.place == self._place
            return is_known and self._parquet(entry.path, entry.sha256).exists()

        return look_at(matching(self.how.path), self.root, stored, is_current, self.how.settle_seconds)

    def _kept(self, look: Look) -> list[SourceFile]:
        """Entries of files that are gone and whose rows are in the lake, which those of a day that was held back are not."""
        if self.how.removed_files == "drop":
            return []
        ours = [file for file in look.removed if file.place == self._place]
        kept = [replace(file, is_kept=True) for file in ours if file.is_kept or self.is_ingested(file)]
        changed = [file for file in kept if file.settings != self._signature]
        to_be_had = [file for file in changed if self._parquet(file.path, file.sha256).exists()]
        counts = self._filing.counts([self._readable(file) for file in to_be_had])
        return [self._counted(file, counts[file.path]) if file.path in counts else file for file in kept]

    def _lost(self, lost: Sequence[SourceFile], days: Sequence[date]) -> SourceError:
        names = listed([str(self.root / file.path) for file in lost])
        told = listed([str(day) for day in sorted({day for file in lost for day in file.days()} & set(days))])
        remedy = (
            "Put it back, or set source.removed_files: drop to compute these days without it."
            if self.how.removed_files == "keep"
            else "Run again, or put it back."
        )
        return SourceError(f"{names}: removed, and needed to compute {told} again. {remedy}")

    def _holding(self, days: Sequence[date]) -> list[SourceFile]:
        return self._calendar.holding(days, self.files())

    def _is_lost(self, file: SourceFile) -> bool:
        return not self._parquet(file.path, file.sha256).exists()

    def _changed(self, files: Sequence[SourceFile]) -> list[SourceFile]:
        """Files that are read where they lie and are other than they were indexed."""
        there = [file for file in files if converter(file.path) is None and not self._is_lost(file)]
        stats = [(self.root / file.path).stat() for file in there]
        return [
            file
            for file, stat in zip(there, stats, strict=True)
            if (stat.st_size, stat.st_mtime_ns) != (file.size, file.mtime_ns)
        ]

    def _readable(self, file: SourceFile) -> ReadableFile:
        return ReadableFile(
            name=file.path,
            origin=str(self.root / file.path),
            parquet=self._parquet(file.path, file.sha256),
            is_converted=converter(file.path) is not None,
            mtime_ns=file.mtime_ns,
            filing_day=file.filing_day,
        )

    def _parquet(self, name: str, sha256: str) -> Path:
        """The Parquet file with a file's rows: the file itself, or what it was converted to.

        The same content under two names is two files: a delivery made twice must show as duplicates.
        """
        if converter(name) is None:
            return self.root / name
        how = self.how
        read_as = (name, sorted(how.columns.mapped().items()), how.delimiter, how.encoding, how.decimal)
        return self._workspace / f"{sha256[:32]}-{hashlib.sha256(repr(read_as).encode()).hexdigest()[:16]}.parquet"

    def _measured(self, stats: Mapping[Path, stat_result]) -> list[SourceFile]:
        problems, entries = [], []
        for path, stat in stats.items():
            try:
                entries.append(self._entry(path, stat, self._prepared(path)))
            except SourceError as problem:
                problems.append(str(problem))
        if problems:
            raise SourceError(listed(problems, "\n"))
        counts = self._filing.counts([self._readable(entry) for entry in entries])
        return [self._counted(entry, counts[entry.path]) for entry in entries]

    def _entry(self, path: Path, stat: stat_result, digest: str) -> SourceFile:
        """What is known of a file before its rows are counted."""
        return SourceFile(
            path=path.relative_to(self.root).as_posix(),
            size=stat.st_size,
            mtime_ns=stat.st_mtime_ns,
            sha256=digest,
            dated_rows=(),
            undated_rows=0,
            filing_day=self.settings.start_date,
            settings=self._signature,
            place=self._place,
        )

    def _counted(self, entry: SourceFile, counts: Counts) -> SourceFile:
        counted = replace(
            entry, dated_rows=counts.dated_rows, undated_rows=counts.undated_rows, settings=self._signature
        )
        return replace(counted, filing_day=counted.first_day or self.settings.start_date)

    def _prepared(self, path: Path) -> str:
        """Check one file and convert it if needed; returns the digest of its bytes."""
        try:
            with path.open("rb") as opened:
                digest = hashlib.file_digest(opened, "sha256").hexdigest()
        except FileNotFoundError as gone:
            raise SourceError(f"{path}: removed while it was to be read. Run again, or put it back.") from gone
        rows, target = converter(path.name), self._parquet(path.relative_to(self.root).as_posix(), digest)
        if rows is None:
            check_parquet(path, self.how)
        elif not target.exists():
            write_converted(rows(path, self.how), target, self.how.columns.mapped(), self._filing.screen)
        return digest
