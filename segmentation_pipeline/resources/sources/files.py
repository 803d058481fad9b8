"""Files as a source: finding them, indexing the days they hold, and reading the rows of some days.

Belongs here: the glob, the index, filing each row under a day, raw rows as text.
Does not: csv and xlsx (conversion.py), judging rows (core/cleaning.py).

A row is filed under its day of sale, whichever file brings it. A row without a usable day (none, unreadable, outside
the range, or after the day its file was written) is filed under the first usable day of its file, so that every row is
in exactly one partition.
"""

import glob
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path

import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from ibis import _
from upath import UPath

from segmentation_pipeline.core import dating, schema
from segmentation_pipeline.resources.engine import DuckDBEngine
from segmentation_pipeline.resources.sources.conversion import SourceError, converter, positions
from segmentation_pipeline.settings import Settings

INDEX_COLUMNS = (
    "path",
    "size",
    "mtime_ns",
    "sha256",
    "rows",
    "first_day",
    "last_day",
    "undated_rows",
    "filing_day",
    "settings",
)
_DATE_TOKENS = {"%Y": "[0-9][0-9][0-9][0-9]", "%m": "[0-9][0-9]", "%d": "[0-9][0-9]"}


@dataclass(frozen=True)
class SourceFile:
    """What the index knows of one file.

    `undated_rows` counts the rows without a usable day; `filing_day` is the day they are filed under; `path` is
    relative to the folder before the glob's first wildcard, and is what `source_file` says.
    """

    path: str
    size: int
    mtime_ns: int
    sha256: str
    rows: int
    first_day: date | None
    last_day: date | None
    undated_rows: int
    filing_day: date
    settings: str

    def holds(self, day: date) -> bool:
        """Whether rows of this day can be in the file."""
        in_span = self.first_day is not None and self.last_day is not None and self.first_day <= day <= self.last_day
        return in_span or (self.undated_rows > 0 and day == self.filing_day)


@dataclass
class FileSource:
    """Transaction files of one shop.

    Args:
        settings: Where the files are, how they are written, and the range of days.
        engine: Reads them.
        workspace: Folder for the index and for converted files; nothing else is written.
    """

    settings: Settings
    engine: DuckDBEngine
    workspace: UPath
    _files: list[SourceFile] | None = field(default=None, init=False)

    @cached_property
    def root(self) -> Path:
        """The folder before the first wildcard of the glob."""
        before = re.split(r"[*?\[%]", self.settings.source.path, maxsplit=1)[0]
        path = Path(self.settings.source.path)
        return path.parent if before == self.settings.source.path else Path(before[: before.rfind("/") + 1] or ".")

    def files(self) -> list[SourceFile]:
        """The indexed files; the folder is looked at once per process, see `refresh`."""
        return self._files if self._files is not None else self.refresh()

    def refresh(self) -> list[SourceFile]:
        """Look at the folder again, and measure the files that are new or changed.

        Raises:
            SourceError: No file matches, or files cannot be read (the message lists all of them). The index stays as
                it was.
        """
        stored = {file.path: file for file in self._stored()}
        found = {path: path.stat() for path in self._matching()}
        signature = self._signature()
        known: list[SourceFile] = []
        fresh: list[Path] = []
        for path, stat in found.items():
            before = stored.get(self._name(path))
            unchanged = before and (before.size, before.mtime_ns, before.settings) == (
                stat.st_size,
                stat.st_mtime_ns,
                signature,
            )
            if before and unchanged and self._readable(path, before.sha256).exists():
                known.append(before)
            else:
                fresh.append(path)
        self._files = sorted([*known, *self._measured(fresh, signature)], key=lambda file: file.path)
        if fresh or len(known) != len(stored):
            self._store(self._files)
        return self._files

    def digest(self, day: date) -> str:
        """What the raw rows of a day are made from: the contents of the files that hold it, and how they are read."""
        files = [f"{file.path}:{file.sha256}" for file in self.files() if file.holds(day)]
        return hashlib.sha256("\n".join([self._signature(), *files]).encode()).hexdigest()

    def last_day(self) -> date | None:
        """The last day of sale in any file."""
        return max((file.last_day for file in self.files() if file.last_day), default=None)

    def rows(self, days: Sequence[date]) -> ir.Table:
        """Raw rows of a range of days as `schema.RAW_TRANSACTIONS`, reading only files that hold one of them."""
        files = [file for file in self.files() if any(file.holds(day) for day in days)]
        if not files:
            return ibis.memtable([], schema=schema.RAW_TRANSACTIONS.ibis_schema)
        located = {self.root / file.path: file for file in files}
        filed = self._filed({path: file.sha256 for path, file in located.items()}, located)
        return schema.RAW_TRANSACTIONS.conform(
            filed.filter(_.date.between(ibis.literal(min(days)), ibis.literal(max(days))))
        )

    def column_types(self) -> dict[str, str]:
        """Canonical name to the type its column has in the first file, for reports."""
        file = self.files()[0]
        found = pq.read_schema(self._readable(self.root / file.path, file.sha256))
        if converter(file.path):
            return dict.fromkeys(self.settings.source.columns.mapped(), "text")
        places = positions(found.names, self.settings.source.columns.mapped(), self.root / file.path)
        return {canonical: str(found.field(place).type) for canonical, place in places.items()}

    def _matching(self) -> list[Path]:
        pattern = re.sub(r"%[Ymd]", lambda match: _DATE_TOKENS[match.group()], self.settings.source.path)
        found = sorted(Path(name) for name in glob.glob(pattern, recursive=True) if Path(name).is_file())
        if not found:
            raise SourceError(
                f"No file matches {self.settings.source.path}. Put the transaction files there, or correct source.path in the "
                "configuration (a relative path starts at the configuration file's folder)."
            )
        return found

    def _name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def _signature(self) -> str:
        """What the index depends on besides the files."""
        settings = self.settings
        parts = [
            settings.source.model_dump_json(exclude={"path"}),
            settings.timezone,
            settings.start_date,
            settings.end_date,
        ]
        return hashlib.sha256("\n".join(map(str, [*parts, *settings.cleaning.null_tokens])).encode()).hexdigest()[:16]

    def _readable(self, path: Path, sha256: str) -> Path:
        """The Parquet file with a file's rows: the file itself, or what it was converted to."""
        if converter(path.name) is None:
            return path
        how = self.settings.source
        read_as = hashlib.sha256(
            repr((sorted(how.columns.mapped().items()), how.delimiter, how.encoding)).encode()
        ).hexdigest()
        return Path(str(self.workspace)) / f"{sha256[:32]}-{read_as[:8]}.parquet"

    def _measured(self, paths: Sequence[Path], signature: str) -> list[SourceFile]:
        problems, digests = [], {}
        for path in paths:
            try:
                digests[path] = self._prepared(path)
            except SourceError as problem:
                problems.append(str(problem))
        if problems:
            raise SourceError("\n".join(problems))
        if not paths:
            return []
        counted = (
            self._filed(digests, {})
            .group_by("path")
            .agg(
                rows=_.count(),
                first_day=_.day_of_sale.min(where=_.is_usable),
                last_day=_.day_of_sale.max(where=_.is_usable),
                undated_rows=(~_.is_usable).sum(),
            )
        )
        counts = self.engine.to_pandas(counted).set_index("path")
        return [self._entry(path, digest, signature, counts) for path, digest in digests.items()]

    def _entry(self, path: Path, digest: str, signature: str, counts: pd.DataFrame) -> SourceFile:
        name, stat = self._name(path), path.stat()
        rows, first, last, undated = 0, None, None, 0
        if name in counts.index:
            count = counts.loc[name]
            rows, undated = int(count["rows"]), int(count["undated_rows"])
            first, last = (
                None if pd.isna(count[key]) else pd.Timestamp(count[key]).date() for key in ("first_day", "last_day")
            )
        return SourceFile(
            name,
            stat.st_size,
            stat.st_mtime_ns,
            digest,
            rows,
            first,
            last,
            undated,
            first or self.settings.start_date,
            signature,
        )

    def _prepared(self, path: Path) -> str:
        """Check one file and convert it if needed; returns the digest of its bytes."""
        with path.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        convert, target = converter(path.name), self._readable(path, digest)
        if convert is None:
            _parquet_schema(path, self.settings)
        elif not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            staged = target.with_suffix(".staged")
            convert(path, staged, self.settings.source)
            staged.replace(target)
        return digest

    def _filed(self, digests: dict[Path, str], indexed: dict[Path, SourceFile]) -> ir.Table:
        """Rows of files as text, each with its path and the day it is filed under."""
        groups: dict[tuple[str, ...], list[Path]] = {}
        for path, digest in digests.items():
            readable = self._readable(path, digest)
            groups.setdefault(_shape(readable), []).append(path)
        parts = [self._text(paths, digests) for paths in groups.values()]
        files = ibis.memtable(
            [
                {
                    "filename": str(self._readable(path, digest)),
                    "path": self._name(path),
                    "written_on": datetime.fromtimestamp(path.stat().st_mtime, UTC)
                    .astimezone(self.settings.zone)
                    .date(),
                    "filing_day": indexed[path].filing_day if path in indexed else self.settings.start_date,
                }
                for path, digest in digests.items()
            ],
            schema={"filename": "string", "path": "string", "written_on": "date", "filing_day": "date"},
        )
        rows = (ibis.union(*parts) if len(parts) > 1 else parts[0]).inner_join(files, "filename")
        return dating.filed(rows, self.settings).mutate(source_file=_.path)

    def _text(self, paths: Sequence[Path], digests: dict[Path, str]) -> ir.Table:
        """Rows of files of one shape, canonical names, every column as text."""
        table = self.engine.read_parquet_with_rows([UPath(self._readable(path, digests[path])) for path in paths])
        mapped = self.settings.source.columns.mapped()
        if converter(paths[0].name):
            columns = {name: table[name] for name in mapped}
            numbering = {"broken_line": table.broken_line, "source_row": table.source_row}
        else:
            places = positions(pq.read_schema(paths[0]).names, mapped, paths[0])
            columns = {name: self._as_text(table[table.columns[place]]) for name, place in places.items()}
            numbering = {"broken_line": ibis.null("string"), "source_row": table.file_row_number + 1}
        missing = {name: ibis.null("string") for name in schema.SOURCE_COLUMNS if name not in mapped}
        return table.select("filename", **columns, **missing, **numbering)

    def _as_text(self, column: ir.Value) -> ir.StringValue:
        """A typed column as this source would write it, so that numbers read the same way as in its csv files."""
        text = column.cast("string")
        return text.replace(".", ",") if column.type().is_numeric() and self.settings.source.decimal == "," else text

    def _index_file(self) -> Path:
        return Path(str(self.workspace)) / "index.parquet"

    def _stored(self) -> list[SourceFile]:
        file = self._index_file()
        return [SourceFile(**row) for row in pq.read_table(file).to_pylist()] if file.exists() else []

    def _store(self, files: Sequence[SourceFile]) -> None:
        rows = [{name: getattr(file, name) for name in INDEX_COLUMNS} for file in files]
        types = {"size": pa.int64(), "mtime_ns": pa.int64(), "rows": pa.int64(), "undated_rows": pa.int64()}
        types |= {name: pa.date32() for name in ("first_day", "last_day", "filing_day")}
        staged = self._index_file().with_suffix(".staged")
        staged.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(
            pa.Table.from_pylist(rows, pa.schema([(name, types.get(name, pa.string())) for name in INDEX_COLUMNS])),
            staged,
        )
        staged.replace(self._index_file())


def _parquet_schema(path: Path, settings: Settings) -> None:
    """Check that a Parquet file is whole and has the mapped columns."""
    try:
        found = pq.read_schema(path)
    except (pa.ArrowInvalid, OSError) as problem:
        size = path.stat().st_size
        raise SourceError(
            f"{path}: is no whole Parquet file ({size:,} bytes; its end is missing or damaged). Deliver it again. ({problem})"
        ) from problem
    positions(found.names, settings.source.columns.mapped(), path)


def _shape(path: Path) -> tuple[str, ...]:
    """Names and types of a Parquet file's columns; files of one shape are read together."""
    return tuple(f"{column.name}:{column.type}" for column in pq.read_schema(path))
