"""The engine: one Ibis connection to DuckDB, and how an expression becomes Parquet files.

Belongs here: limits, the session's time zone, running expressions, streaming their sorted rows.
Does not: where files belong and when they become visible (lake.py), expressions (core/).
"""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from functools import cached_property

import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa
from ibis import _
from ibis.backends.duckdb import Backend
from upath import UPath

from segmentation_pipeline.core import schema
from segmentation_pipeline.resources import parquet
from segmentation_pipeline.settings import Engine as EngineSettings

# Columns that the engine can add to the rows it reads; a source may well have a column `filename` of its own.
FILE_COLUMN = "__file"
ROW_COLUMN = "file_row_number"


class DuckDBEngine:
    """DuckDB in this process. Connects when first used.

    Args:
        settings: Memory limit, threads and spill folder.
        timezone: The shop's time zone. The session runs in it, so that a timestamp without a zone is local time and
            the date of a moment is the shop's day.
    """

    def __init__(self, settings: EngineSettings, timezone: str) -> None:
        self._settings = settings
        self._timezone = timezone

    @cached_property
    def connection(self) -> Backend:
        """The open Ibis connection."""
        spill = str(self._settings.spill_folder) if self._settings.spill_folder else None
        limits = {"memory_limit": self._settings.memory_limit, "threads": self._settings.threads}
        connection = ibis.duckdb.connect(**limits, **({"temp_directory": spill} if spill else {}))
        connection.raw_sql(f"SET TimeZone = '{self._timezone}'")
        return connection

    def read_parquet(self, paths: Sequence[UPath]) -> ir.Table:
        """The rows of files that share one schema; nothing is read before it is asked for."""
        return self.connection.read_parquet([str(path) for path in paths], hive_partitioning=False)

    def read_parquet_with_rows(self, paths: Sequence[UPath]) -> ir.Table:
        """Likewise, with `FILE_COLUMN` and `ROW_COLUMN` (from 0) of each row as last columns."""
        return self.connection.read_parquet(
            [str(path) for path in paths], hive_partitioning=False, filename=FILE_COLUMN, file_row_number=True
        )

    def to_pandas(self, table: ir.Table) -> pd.DataFrame:
        """Run an expression whose result is small."""
        return self.connection.to_pandas(table)

    @contextmanager
    def batches(self, table: ir.Table) -> Iterator[pa.RecordBatchReader]:
        """Stream an expression's rows, in any order; the connection does nothing else until the block ends."""
        relation = self.connection.con.sql(self._sql(table, ()))
        with relation.to_arrow_reader(parquet.ROWS_PER_GROUP) as reader:
            yield reader

    @contextmanager
    def held(self, table: ir.Table) -> Iterator[ir.Table]:
        """Run an expression once and hold its rows, in memory or the spill folder, while several others read them."""
        name = f"held_{uuid.uuid4().hex}"
        self.connection.raw_sql(f"CREATE TEMP TABLE {name} AS {self._sql(table, ())}")
        try:
            yield self.connection.table(name)
        finally:
            self.connection.raw_sql(f"DROP TABLE {name}")

    def write(self, table: ir.Table, layout: schema.Table, file: UPath) -> None:
        """Stream an expression into one file, sorted by the table's key."""
        parquet.write_file(self._stream(table, layout.key), _arrow_schema(layout), file)

    def write_days(self, table: ir.Table, layout: schema.Table, files: Mapping[date, UPath]) -> None:
        """Stream an expression into one file per day, each sorted by the table's key; a day without rows gets an empty one.

        Args:
            table: Has a `date` column; rows of other days than those of `files` are not written.
            layout: The table's description.
            files: Where each day goes; the days follow each other without a gap.
        """
        within = table.filter(_.date.between(ibis.literal(min(files)), ibis.literal(max(files))))
        rows = self._stream(within, ("date", *layout.key))
        parquet.write_by_day(rows, _arrow_schema(layout), files, self._settings.threads)

    def _stream(self, table: ir.Table, key: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The sorted rows, batch by batch; the sort spills what does not fit."""
        yield from self.connection.con.sql(self._sql(table, key)).to_arrow_reader(parquet.ROWS_PER_GROUP)

    def _sql(self, table: ir.Table, key: Sequence[str]) -> str:
        ordered = table.order_by(*key) if key else table
        self.connection._register_in_memory_tables(ordered)
        return str(ibis.to_sql(ordered, dialect="duckdb"))


def _arrow_schema(layout: schema.Table) -> pa.Schema:
    return layout.ibis_schema.to_pyarrow()
