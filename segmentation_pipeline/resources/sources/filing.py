"""Filing: rows of Parquet files as raw text, each under its day of sale.

Belongs here: what sources of every kind have in common once their rows are in Parquet files.
Does not: finding and indexing them (files.py, postgres.py), finding a row's day (core/dating.py), judging rows
(core/cleaning.py).

A row is filed under its day of sale, whichever file brings it. A row without a usable day (none, unreadable, outside
the range, or after the day its file was written) is filed under the first usable day of its file, so that every row is
in exactly one partition.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow.parquet as pq
from ibis import _
from upath import UPath

from segmentation_pipeline.core import dating, schema
from segmentation_pipeline.core.forgetting import Forgotten
from segmentation_pipeline.resources.engines.engine import FILE_COLUMN, ROW_COLUMN, Engine, UnreadableFile
from segmentation_pipeline.resources.forgotten import Tombstones
from segmentation_pipeline.resources.sources.conversion import COPIES, UNFINISHED_COPIES
from segmentation_pipeline.resources.sources.copies import UNFINISHED, Copies
from segmentation_pipeline.resources.sources.headers import SourceError, positions
from segmentation_pipeline.resources.sources.index import DatedRows, SourceFile
from segmentation_pipeline.settings import NUMBERS, Settings


@dataclass(frozen=True)
class ReadableFile:
    """Rows that the engine can read, and what they are called.

    Attributes:
        name: What `source_file` says.
        origin: What people are told where it cannot be read.
        parquet: The file with the rows.
        is_converted: Whether its columns are text under canonical names, with the rows' numbers (conversion.py).
        mtime_ns: When the rows were written: none can have been sold after that day.
        filing_day: Where rows without a usable day go; None before the first usable day is known.
    """

    name: str
    origin: str
    parquet: Path
    is_converted: bool
    mtime_ns: int
    filing_day: date | None = None


@dataclass(frozen=True)
class Counts:
    """Rows of one file: those of each usable day, in order, and those without one."""

    dated_rows: DatedRows = ()
    undated_rows: int = 0


class Filing:
    """Reads files as raw rows by the settings of one shop.

    Args:
        settings: How the rows are written, and the range of days.
        engine: Reads them.
        tombstones: Tell whose identity is taken out of them; without, nobody's is.
    """

    def __init__(self, settings: Settings, engine: Engine, tombstones: Tombstones | None = None) -> None:
        self._settings = settings
        self._engine = engine
        self._tombstones = tombstones
        self._copies = Copies(settings, engine)

    def rows(self, files: Sequence[ReadableFile], days: Sequence[date]) -> ir.Table:
        """Raw rows of a range of days as `schema.RAW_TRANSACTIONS`, without those customers who are to be forgotten."""
        if not files:
            return ibis.memtable([], schema=schema.RAW_TRANSACTIONS.ibis_schema)
        within = _.date.between(ibis.literal(min(days)), ibis.literal(max(days)))
        raw = schema.RAW_TRANSACTIONS.conform(self._filed(files).filter(within))
        return self._tombstones.unnamed(raw) if self._tombstones else raw

    def screen(self, copy: Path) -> None:
        """Take out of a copy that was just made who is to be forgotten."""
        forgotten = self._tombstones.all() if self._tombstones else None
        if forgotten and self._copies.naming([copy], forgotten):
            self._copies.rewrite(copy, forgotten)

    def forget(self, folder: Path, forgotten: Forgotten) -> dict[Path, int]:
        """Take customers out of every copy in a folder; returns the copies that named them, with how many rows did."""
        for left in (*folder.glob(f"*{UNFINISHED}"), *folder.glob(UNFINISHED_COPIES)):
            left.unlink(missing_ok=True)
        naming = self._copies.naming(sorted(folder.glob(COPIES)), forgotten)
        for file in naming:
            self._copies.rewrite(file, forgotten)
        return naming

    def counts(self, files: Sequence[ReadableFile]) -> dict[str, Counts]:
        """What each file holds, by its name.

        Raises:
            SourceError: A file cannot be read.
        """
        if not files:
            return {}
        usable = _.is_usable.ifelse(_.day_of_sale, None)
        counted = self._filed(files).group_by("source_file", day=usable).agg(rows=_.count()).order_by("day")
        try:
            found = self._engine.to_pandas(counted).to_dict("records")
        except UnreadableFile as problem:
            if len(files) == 1:
                raise SourceError(f"{files[0].origin}: cannot be read ({problem}). Deliver it again.") from problem
            for file in files:
                self.counts([file])
            raise
        dated: dict[str, list[tuple[date, int]]] = {file.name: [] for file in files}
        undated = dict.fromkeys(dated, 0)
        for row in found:
            if pd.isna(row["day"]):
                undated[row["source_file"]] = int(row["rows"])
            else:
                dated[row["source_file"]].append((pd.Timestamp(row["day"]).date(), int(row["rows"])))
        return {name: Counts(tuple(rows), undated[name]) for name, rows in dated.items()}

    def _filed(self, files: Sequence[ReadableFile]) -> ir.Table:
        """Rows of files as text, each with its file and the day it is filed under."""
        shapes: dict[tuple[str, ...], list[ReadableFile]] = {}
        for file in files:
            shapes.setdefault(_shape(file), []).append(file)
        parts = [self._text(alike) for alike in shapes.values()]
        names = ibis.memtable(
            [
                {
                    FILE_COLUMN: str(file.parquet),
                    "source_file": file.name,
                    "written_on": self._written_on(file),
                    "filing_day": file.filing_day or self._settings.start_date,
                }
                for file in files
            ],
            schema={FILE_COLUMN: "string", "source_file": "string", "written_on": "date", "filing_day": "date"},
        )
        rows = (ibis.union(*parts) if len(parts) > 1 else parts[0]).inner_join(names, FILE_COLUMN)
        return dating.filed(rows, self._settings)

    def _written_on(self, file: ReadableFile) -> date:
        return datetime.fromtimestamp(file.mtime_ns / 1e9, UTC).astimezone(self._settings.zone).date()

    def _text(self, files: Sequence[ReadableFile]) -> ir.Table:
        """Rows of files of one shape, canonical names, every column as text."""
        table = self._engine.read_parquet_with_rows([UPath(file.parquet) for file in files])
        mapped = self._settings.source.columns.mapped()
        if files[0].is_converted:
            delivered = {name: table[name] for name in mapped}
            columns = delivered
            numbering = {"broken_line": table.broken_line, "source_row": table.source_row}
        else:
            places = positions(pq.read_schema(files[0].parquet).names, mapped, files[0].parquet)
            delivered = {name: table[table.columns[place]] for name, place in places.items()}
            columns = {name: self._as_text(name, column) for name, column in delivered.items()}
            numbering = {"broken_line": ibis.null("string"), "source_row": table[ROW_COLUMN] + 1}
        missing = {name: ibis.null("string") for name in schema.SOURCE_COLUMNS if name not in mapped}
        day_of_sale = dating.day_of_sale(delivered["invoiced_at"], self._settings)
        return table.select(FILE_COLUMN, **columns, **missing, **numbering, day_of_sale=day_of_sale)

    def _as_text(self, name: str, column: ir.Value) -> ir.StringValue:
        """A typed column as this source would write it, so that numbers read the same way as in its csv files."""
        text = column.cast("string")
        is_number = name in NUMBERS and column.type().is_numeric()
        return text.replace(".", ",") if is_number and self._settings.source.decimal == "," else text


def digest_of(holding: Sequence[SourceFile], signature: str) -> str:
    """What the raw rows of a day are made from: the contents of the files that hold it, and how they are read."""
    told = [f"{file.path}:{file.sha256}:{file.undated_rows}:{file.filing_day}" for file in holding]
    return hashlib.sha256("\n".join([signature, *told]).encode()).hexdigest()


def signature_of(how: str, settings: Settings) -> str:
    """What an index depends on besides the rows: how they are read, and which days are usable."""
    parts = [how, settings.timezone, settings.start_date, settings.end_date, *settings.cleaning.null_tokens]
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:16]


def span_of(files: Sequence[SourceFile]) -> tuple[date | None, date | None]:
    """The first and the last day of sale in any file."""
    first = min((file.first_day for file in files if file.first_day), default=None)
    return first, max((file.last_day for file in files if file.last_day), default=None)


def _shape(file: ReadableFile) -> tuple[str, ...]:
    """Names and types of a file's columns, and how they are named; files of one shape are read together."""
    columns = pq.read_schema(file.parquet)
    return (str(file.is_converted), *(f"{column.name}:{column.type}" for column in columns))
