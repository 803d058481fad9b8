"""Files as a source: keeping the index true, filing each row under a day, and reading the rows of some days.

Belongs here: measuring files, raw rows as text. Does not: finding files (discovery.py), csv and xlsx (conversion.py),
finding a row's day (core/dating.py), judging rows (core/cleaning.py).

A row is filed under its day of sale, whichever file brings it. A row without a usable day (none, unreadable, outside
the range, or after the day its file was written) is filed under the first usable day of its file, so that every row is
in exactly one partition.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from ibis import _
from upath import UPath

from segmentation_pipeline.core import dating, schema
from segmentation_pipeline.resources.engine import FILE_COLUMN, ROW_COLUMN, DuckDBEngine
from segmentation_pipeline.resources.sources.conversion import convert, converter, forget
from segmentation_pipeline.resources.sources.discovery import matching, root_of
from segmentation_pipeline.resources.sources.headers import SourceError, positions
from segmentation_pipeline.resources.sources.index import Index, SourceFile
from segmentation_pipeline.settings import NUMBERS, Settings

PROBLEMS_SHOWN = 5


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
        return root_of(self.settings.source.path)

    def files(self) -> list[SourceFile]:
        """The indexed files; the folder is looked at once per process, see `refresh`."""
        return self._files if self._files is not None else self.refresh()

    def refresh(self) -> list[SourceFile]:
        """Look at the folder again, and measure the files that are new or changed.

        Raises:
            SourceError: No file matches, or files cannot be read (the message lists them). The index stays as it was.
        """
        index = Index(self._workspace / "index.parquet")
        stored, signature = index.load(), self._signature()
        known: list[SourceFile] = []
        fresh: list[Path] = []
        for path in matching(self.settings.source.path):
            entry, stat = stored.get(self._name(path)), path.stat()
            is_known = entry is not None and entry.is_of(stat.st_size, stat.st_mtime_ns, signature)
            if entry is not None and is_known and self._readable(path, entry.sha256).exists():
                known.append(entry)
            else:
                fresh.append(path)
        self._files = sorted([*known, *self._measured(fresh, signature)], key=lambda file: file.path)
        if fresh or len(known) != len(stored):
            index.save(self._files)
            forget(self._workspace, {self._readable(self.root / file.path, file.sha256) for file in self._files})
        return self._files

    def digest(self, day: date) -> str:
        """What the raw rows of a day are made from: the contents of the files that hold it, and how they are read."""
        files = [
            f"{file.path}:{file.sha256}:{file.undated_rows}:{file.filing_day}"
            for file in self.files()
            if file.holds(day)
        ]
        return hashlib.sha256("\n".join([self._signature(), *files]).encode()).hexdigest()

    def last_day(self) -> date | None:
        """The last day of sale in any file."""
        return max((file.last_day for file in self.files() if file.last_day), default=None)

    def rows(self, days: Sequence[date]) -> ir.Table:
        """Raw rows of a range of days as `schema.RAW_TRANSACTIONS`, reading only files that hold one of them.

        Raises:
            SourceError: A file that was there when it was indexed is gone.
        """
        files = [file for file in self.files() if any(file.holds(day) for day in days)]
        if not files:
            return ibis.memtable([], schema=schema.RAW_TRANSACTIONS.ibis_schema)
        located = {self.root / file.path: file for file in files}
        gone = [str(path) for path in located if not path.exists()]
        if gone:
            raise SourceError(f"{_listed(gone)}: removed while it was to be read. Run again, or put it back.")
        filed = self._filed({path: file.sha256 for path, file in located.items()}, located)
        return schema.RAW_TRANSACTIONS.conform(
            filed.filter(_.date.between(ibis.literal(min(days)), ibis.literal(max(days))))
        )

    def column_types(self) -> dict[str, str]:
        """Canonical name to the type its column has in the first file, for reports."""
        path, mapped = self.root / self.files()[0].path, self.settings.source.columns.mapped()
        if converter(path.name):
            return dict.fromkeys(mapped, "text")
        found = pq.read_schema(path)
        return {name: str(found.field(place).type) for name, place in positions(found.names, mapped, path).items()}

    @property
    def _workspace(self) -> Path:
        return Path(str(self.workspace))

    def _name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def _signature(self) -> str:
        """What the index depends on besides the files."""
        settings = self.settings
        how = settings.source.model_dump_json(exclude={"path"})
        parts = [how, settings.timezone, settings.start_date, settings.end_date, *settings.cleaning.null_tokens]
        return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:16]

    def _readable(self, path: Path, sha256: str) -> Path:
        """The Parquet file with a file's rows: the file itself, or what it was converted to.

        The same content under two names is two files: a delivery made twice must show as duplicates.
        """
        if converter(path.name) is None:
            return path
        how = self.settings.source
        read_as = (self._name(path), sorted(how.columns.mapped().items()), how.delimiter, how.encoding, how.decimal)
        return self._workspace / f"{sha256[:32]}-{hashlib.sha256(repr(read_as).encode()).hexdigest()[:16]}.parquet"

    def _measured(self, paths: Sequence[Path], signature: str) -> list[SourceFile]:
        problems, digests = [], {}
        for path in paths:
            try:
                digests[path] = self._prepared(path)
            except SourceError as problem:
                problems.append(str(problem))
        if problems:
            raise SourceError(_listed(problems, "\n"))
        counts = self._counted(digests) if digests else pd.DataFrame()
        return [self._entry(path, digest, signature, counts) for path, digest in digests.items()]

    def _counted(self, digests: Mapping[Path, str]) -> pd.DataFrame:
        """Rows and span of days by path; a file without rows is left out."""
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
        try:
            return self.engine.to_pandas(counted).set_index("path")
        except (duckdb.IOException, duckdb.InvalidInputException) as problem:
            if len(digests) == 1:
                raise SourceError(f"{next(iter(digests))}: cannot be read ({problem}). Deliver it again.") from problem
            for path, digest in digests.items():
                self._counted({path: digest})
            raise

    def _entry(self, path: Path, digest: str, signature: str, counts: pd.DataFrame) -> SourceFile:
        name, stat = self._name(path), path.stat()
        count = counts.loc[name].to_dict() if name in counts.index else {"rows": 0, "undated_rows": 0}
        first, last = _day(count.get("first_day")), _day(count.get("last_day"))
        return SourceFile(
            path=name,
            size=stat.st_size,
            mtime_ns=stat.st_mtime_ns,
            sha256=digest,
            rows=int(count["rows"]),
            first_day=first,
            last_day=last,
            undated_rows=int(count["undated_rows"]),
            filing_day=first or self.settings.start_date,
            settings=signature,
        )

    def _prepared(self, path: Path) -> str:
        """Check one file and convert it if needed; returns the digest of its bytes."""
        with path.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        rows, target = converter(path.name), self._readable(path, digest)
        if rows is None:
            _check_parquet(path, self.settings)
        elif not target.exists():
            convert(path, target, self.settings.source, rows)
        return digest

    def _filed(self, digests: Mapping[Path, str], indexed: Mapping[Path, SourceFile]) -> ir.Table:
        """Rows of files as text, each with its path and the day it is filed under."""
        groups: dict[tuple[str, ...], list[Path]] = {}
        for path, digest in digests.items():
            groups.setdefault(_shape(self._readable(path, digest)), []).append(path)
        parts = [self._text(paths, digests) for paths in groups.values()]
        files = ibis.memtable(
            [
                {
                    FILE_COLUMN: str(self._readable(path, digest)),
                    "path": self._name(path),
                    "written_on": self._written_on(path),
                    "filing_day": indexed[path].filing_day if path in indexed else self.settings.start_date,
                }
                for path, digest in digests.items()
            ],
            schema={FILE_COLUMN: "string", "path": "string", "written_on": "date", "filing_day": "date"},
        )
        rows = (ibis.union(*parts) if len(parts) > 1 else parts[0]).inner_join(files, FILE_COLUMN)
        return dating.filed(rows, self.settings).mutate(source_file=_.path)

    def _written_on(self, path: Path) -> date:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC).astimezone(self.settings.zone).date()

    def _text(self, paths: Sequence[Path], digests: Mapping[Path, str]) -> ir.Table:
        """Rows of files of one shape, canonical names, every column as text."""
        table = self.engine.read_parquet_with_rows([UPath(self._readable(path, digests[path])) for path in paths])
        mapped = self.settings.source.columns.mapped()
        if converter(paths[0].name):
            columns = {name: table[name] for name in mapped}
            numbering = {"broken_line": table.broken_line, "source_row": table.source_row}
        else:
            places = positions(pq.read_schema(paths[0]).names, mapped, paths[0])
            columns = {name: self._as_text(name, table[table.columns[place]]) for name, place in places.items()}
            numbering = {"broken_line": ibis.null("string"), "source_row": table[ROW_COLUMN] + 1}
        missing = {name: ibis.null("string") for name in schema.SOURCE_COLUMNS if name not in mapped}
        return table.select(FILE_COLUMN, **columns, **missing, **numbering)

    def _as_text(self, name: str, column: ir.Value) -> ir.StringValue:
        """A typed column as this source would write it, so that numbers read the same way as in its csv files."""
        text = column.cast("string")
        is_number = name in NUMBERS and column.type().is_numeric()
        return text.replace(".", ",") if is_number and self.settings.source.decimal == "," else text


def _check_parquet(path: Path, settings: Settings) -> None:
    """Check that a file is Parquet, whole, and has the mapped columns."""
    try:
        found = pq.read_schema(path)
    except (pa.ArrowInvalid, OSError) as problem:
        if path.suffix.lower() != ".parquet":
            raise SourceError(
                f"{path}: is no csv, csv.gz, parquet or xlsx file. Remove it, or let source.path name only such files."
            ) from problem
        raise SourceError(
            f"{path}: is no whole Parquet file ({path.stat().st_size:,} bytes; its end is missing or damaged). "
            f"Deliver it again. ({problem})"
        ) from problem
    positions(found.names, settings.source.columns.mapped(), path)
    if ROW_COLUMN in (name.lower() for name in found.names):
        raise SourceError(f"{path}: has a column {ROW_COLUMN}, which the engine keeps for itself. Rename it.")


def _shape(path: Path) -> tuple[str, ...]:
    """Names and types of a Parquet file's columns; files of one shape are read together."""
    return tuple(f"{column.name}:{column.type}" for column in pq.read_schema(path))


def _day(value: Any) -> date | None:
    return None if value is None or pd.isna(value) else pd.Timestamp(value).date()


def _listed(texts: Sequence[str], separator: str = ", ") -> str:
    """The first texts, and how many there are besides."""
    more = [f"and {len(texts) - PROBLEMS_SHOWN:,} more"] if len(texts) > PROBLEMS_SHOWN else []
    return separator.join([*texts[:PROBLEMS_SHOWN], *more])
