"""What the rest of the pipeline asks of an engine, whichever it is.

Belongs here: the protocol, and the names that every engine keeps to. Does not: an engine (the modules beside this one).
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import date
from typing import Protocol, TypeAlias

import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa
from upath import UPath

from segmentation_pipeline.core import schema

# Columns that an engine can add to the rows it reads; a source may well have a column `filename` of its own.
FILE_COLUMN = "__file"
ROW_COLUMN = "file_row_number"

# An expression that is the same for every day but for the dates in it.
OfDay: TypeAlias = Callable[[date], ir.Table]


Hold: TypeAlias = Callable[[ir.Table], AbstractContextManager[ir.Table]]


class UnreadableFile(Exception):
    """A file is damaged, or is not what its name says; the message is the engine's."""


class Engine(Protocol):
    """Runs Ibis expressions in the shop's time zone. Connects when first used.

    In its session a timestamp without a zone is local time, and the date of a moment is the shop's day.
    """

    @property
    def bytes_read(self) -> int | None:
        """Bytes of files that expressions have read so far; None where the engine does not tell."""

    def read_parquet(self, paths: Sequence[UPath]) -> ir.Table:
        """The rows of files that share one schema; nothing is read before it is asked for."""

    def read_parquet_with_rows(self, paths: Sequence[UPath]) -> ir.Table:
        """Likewise, with `FILE_COLUMN` and `ROW_COLUMN` (from 0) of each row as last columns."""

    def to_pandas(self, table: ir.Table) -> pd.DataFrame:
        """Run an expression whose result is small.

        Raises:
            UnreadableFile: A file that it reads is damaged.
        """

    def batches(self, table: ir.Table) -> AbstractContextManager[pa.RecordBatchReader]:
        """Stream an expression's rows, in any order; the engine does nothing else until the block ends."""

    def held(self, table: ir.Table) -> AbstractContextManager[ir.Table]:
        """Run an expression once and hold its rows, in memory or on disk, while several others read them."""

    def write(self, table: ir.Table, layout: schema.Table, file: UPath) -> None:
        """Write an expression's rows into one file, sorted by the table's key."""

    def write_days(self, table: ir.Table, layout: schema.Table, files: Mapping[date, UPath]) -> None:
        """Write an expression's rows into one file per day, each sorted by the table's key; a day without rows gets an empty one.

        Args:
            table: Has a `date` column; rows of other days than those of `files` are not written.
            layout: The table's description.
            files: Where each day goes, all in one folder; the days follow each other without a gap.
        """

    def write_each_day(self, of_day: OfDay, layout: schema.Table, files: Mapping[date, UPath]) -> None:
        """Likewise, of an expression for each day, whose rows are all of that day."""

    def each_day_to_pandas(self, of_day: OfDay, days: Sequence[date]) -> Iterator[tuple[date, pd.DataFrame]]:
        """Run an expression for each day, whose result is small."""


def hold_for(engine: Engine, days: Collection[date]) -> Hold:
    """How to hold a table that an expression of each of these days reads.

    For one day it is not held at all: its files are then read by column.
    """
    return engine.held if len(days) > 1 else nullcontext
