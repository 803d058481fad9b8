"""DuckDB: one Ibis connection to it in this process, and how an expression becomes Parquet files.

Belongs here: limits, the session's time zone, running expressions, streaming their sorted rows.
Does not: where files belong and when they become visible (lake.py), expressions (core/).
"""

import json
import re
import uuid
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING

import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa
from ibis import _
from upath import UPath

from segmentation_pipeline import interrupts
from segmentation_pipeline.core import schema
from segmentation_pipeline.resources import parquet
from segmentation_pipeline.resources.engines.engine import FILE_COLUMN, OfDay, UnreadableFile
from segmentation_pipeline.settings import DuckDB as EngineSettings

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend  # it imports the dialects of twenty engines

# The day such an expression is compiled for, far from any day of a shop, and how dates look in what comes out.
STAND_IN = date(8000, 1, 1)
REACH_YEARS = 20
PATTERN = re.compile(r"([*?\[])")
DATE_IN_SQL = re.compile(r"MAKE_DATE\((\d+), (\d+), (\d+)\)")


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
        self._bytes_read = 0

    @cached_property
    def connection(self) -> "Backend":
        """The open Ibis connection."""
        limits: dict[str, str | int] = {"memory_limit": self._settings.own_limit, "threads": self._settings.threads}
        if spill := self._settings.spill_folder:
            # DuckDB makes the folder when it first spills, but not those above it.
            spill.parent.mkdir(parents=True, exist_ok=True)
            limits["temp_directory"] = str(spill)
        ibis.options.sql.fuse_selects = False  # DuckDB fuses them itself; Ibis takes as long for it as for all the rest
        connection = ibis.duckdb.connect(**limits)
        interrupts.end_queries_of(connection.con)
        connection.raw_sql(f"SET TimeZone = '{self._timezone}'")
        connection.raw_sql("SET parquet_metadata_cache = true")  # each file is read for several expressions
        connection.raw_sql("PRAGMA enable_profiling = 'no_output'")  # it then tells how much a query has read
        return connection

    @property
    def bytes_read(self) -> int:
        """Bytes of files that queries have read so far."""
        return self._bytes_read

    def read_parquet(self, paths: Sequence[UPath]) -> ir.Table:
        """The rows of files that share one schema; nothing is read before it is asked for."""
        return self.connection.read_parquet(_largest_first(paths), hive_partitioning=False)

    def read_parquet_with_rows(self, paths: Sequence[UPath]) -> ir.Table:
        """Likewise, with `FILE_COLUMN` and `ROW_COLUMN` (from 0) of each row as last columns."""
        return self.connection.read_parquet(
            _largest_first(paths), hive_partitioning=False, filename=FILE_COLUMN, file_row_number=True
        )

    def to_pandas(self, table: ir.Table) -> pd.DataFrame:
        """Run an expression whose result is small.

        Raises:
            UnreadableFile: A file that it reads is damaged.
        """
        import duckdb

        try:
            found = self.connection.to_pandas(table)
        except (duckdb.IOException, duckdb.InvalidInputException) as problem:
            raise UnreadableFile(str(problem)) from problem
        self._count_bytes()
        return found

    @contextmanager
    def batches(self, table: ir.Table) -> Iterator[pa.RecordBatchReader]:
        """Stream an expression's rows, in any order; the connection does nothing else until the block ends."""
        relation = self.connection.con.sql(self._sql(table, ()))
        with relation.to_arrow_reader(parquet.ROWS_PER_GROUP) as reader:
            yield reader
        self._count_bytes()

    @contextmanager
    def held(self, table: ir.Table) -> Iterator[ir.Table]:
        """Run an expression once and hold its rows, in memory or the spill folder, while several others read them."""
        name = f"held_{uuid.uuid4().hex}"
        self.connection.raw_sql(f"CREATE TEMP TABLE {name} AS {self._sql(table, ())}")
        self._count_bytes()
        try:
            yield self.connection.table(name)
        finally:
            self.connection.raw_sql(f"DROP TABLE {name}")

    def write(self, table: ir.Table, layout: schema.Table, file: UPath) -> None:
        """Stream an expression into one file, sorted by the table's key."""
        with closing(self._stream(table, layout.key)) as rows:
            parquet.write_file(rows, _arrow_schema(layout), file)

    def write_days(self, table: ir.Table, layout: schema.Table, files: Mapping[date, UPath]) -> None:
        """Stream an expression into one file per day, each sorted by the table's key; a day without rows gets an empty one.

        Args:
            table: Has a `date` column; rows of other days than those of `files` are not written.
            layout: The table's description.
            files: Where each day goes; the days follow each other without a gap.
        """
        within = table.filter(_.date.between(ibis.literal(min(files)), ibis.literal(max(files))))
        with closing(self._stream(within, ("date", *layout.key))) as rows:
            parquet.write_by_day(rows, _arrow_schema(layout), files, self._settings.threads)

    def write_each_day(self, of_day: OfDay, layout: schema.Table, files: Mapping[date, UPath]) -> None:
        """Likewise, of an expression for each day, whose rows are all of that day."""
        with closing(self._run(*self._each_day(of_day, layout.key, list(files)))) as rows:
            parquet.write_by_day(rows, _arrow_schema(layout), files, self._settings.threads)

    def each_day_to_pandas(self, of_day: OfDay, days: Sequence[date]) -> Iterator[tuple[date, pd.DataFrame]]:
        """Run an expression for each day, whose result is small."""
        for day, sql in zip(days, self._each_day(of_day, (), days), strict=True):
            found = self.connection.con.sql(sql).to_arrow_table().to_pandas()
            self._count_bytes()
            yield day, found

    def _each_day(self, of_day: OfDay, key: Sequence[str], days: Sequence[date]) -> list[str]:
        """An expression as SQL for each day. It is compiled once, which takes longer than to run it on a small shop."""
        compiled = self._sql(of_day(STAND_IN), key)
        return [_on(day, compiled) for day in days]

    def _stream(self, table: ir.Table, key: Sequence[str]) -> Generator[pa.RecordBatch]:
        """The sorted rows, batch by batch; the sort spills what does not fit."""
        return self._run(self._sql(table, key))

    def _run(self, *queries: str) -> Generator[pa.RecordBatch]:
        """The rows of one query after the other. Close it: the connection does nothing else while rows are to come."""
        for sql in queries:
            with closing(self.connection.con.sql(sql).to_arrow_reader(parquet.ROWS_PER_GROUP)) as reader:
                yield from reader
            self._count_bytes()

    def _count_bytes(self) -> None:
        """Add what the query that ran last has read; of one that needed no plan DuckDB tells nothing."""
        told = json.loads(self.connection.con.get_profiling_information())
        self._bytes_read += told.get("io", {}).get("total_bytes_read", 0)

    def _sql(self, table: ir.Table, key: Sequence[str]) -> str:
        ordered = table.order_by(*key) if key else table
        self.connection._register_in_memory_tables(ordered)
        return str(self.connection.compile(ordered))


def _on(day: date, compiled: str) -> str:
    """SQL compiled for the stand-in day, for another: dates near the stand-in are as far from `day`, others stay."""

    def moved(match: re.Match[str]) -> str:
        year, month, number = map(int, match.groups())
        if abs(year - STAND_IN.year) > REACH_YEARS:
            return match.group()
        shifted = day + (date(year, month, number) - STAND_IN)
        return f"MAKE_DATE({shifted.year}, {shifted.month}, {shifted.day})"

    return DATE_IN_SQL.sub(moved, compiled)


def _largest_first(paths: Sequence[UPath]) -> list[str]:
    """Files with the largest in front, for DuckDB guesses the rows of them all from it.

    From the file of a day on which the shop was closed it would guess that there are none, and hold the longer side of each
    join in memory instead of the shorter one.
    """
    largest = max(paths, key=lambda path: path.stat().st_size)
    return [_by_name(path) for path in (largest, *(path for path in paths if path != largest))]


def _by_name(path: UPath) -> str:
    """A file as DuckDB takes it for that one, whatever signs of a pattern are in its name."""
    return PATTERN.sub(r"[\1]", str(path))


def _arrow_schema(layout: schema.Table) -> pa.Schema:
    return layout.ibis_schema.to_pyarrow()
