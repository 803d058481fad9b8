"""Apache Spark: expressions run on its executors, which read and write the lake's files themselves.

Belongs here: running expressions, and how their rows become files. Does not: getting a session (spark_session.py), giving
operations the meaning they have on DuckDB (spark_dialect.py), where files belong (resources/lake.py).

No row that is written passes through this process. The folders of the source and the lake must be ones that this
process and every executor see under the same path.
"""

import re
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from ibis import _
from upath import UPath

from segmentation_pipeline.core import schema
from segmentation_pipeline.resources import parquet
from segmentation_pipeline.resources.engines.engine import OfDay, UnreadableFile
from segmentation_pipeline.resources.engines.spark_session import open_session
from segmentation_pipeline.settings import Spark

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from segmentation_pipeline.resources.engines.spark_backend import SparkBackend

# An expression for each day is planned for so many days at once: jobs are few, and plans stay small.
DAYS_AT_ONCE = 16
DAY = "__day"
# How Spark tells of a file that it cannot read, as an error of its own or within one of Java.
FILE_TROUBLE = re.compile(
    r"\[(FAILED_READ_FILE|CANNOT_READ_FILE_FOOTER|PARQUET|UNABLE_TO_INFER_SCHEMA|PATH_NOT_FOUND)[A-Z_.]*\][^\n]*"
)


class SparkEngine:
    """Spark on this machine, a cluster or behind Spark Connect; an `Engine`. Connects when first used.

    Args:
        settings: Where it runs, and its options.
        timezone: The shop's time zone, in which the session runs.
        scratch: Folder that the executors see too, for rows that are held or on their way to this process.
    """

    def __init__(self, settings: Spark, timezone: str, scratch: Path) -> None:
        self._settings = settings
        self._timezone = timezone
        self._scratch = scratch

    @cached_property
    def connection(self) -> "SparkBackend":
        """The open Ibis connection."""
        session = open_session(self._settings, self._timezone)
        from segmentation_pipeline.resources.engines.spark_backend import SparkBackend

        ibis.options.sql.fuse_selects = False  # Spark fuses them itself, and not where an expression would be repeated
        backend = SparkBackend()
        backend.do_connect(session)
        session.conf.set("spark.sql.session.timeZone", self._timezone)
        return backend

    @property
    def bytes_read(self) -> int | None:
        """Bytes of files that the executors have read so far; None behind Spark Connect, which does not tell."""
        if self._settings.connect:
            return None
        executors = self.connection._session.sparkContext._jsc.sc().statusStore().executorList(False)
        return sum(int(executors.apply(place).totalInputBytes()) for place in range(executors.size()))

    def read_parquet(self, paths: Sequence[UPath]) -> ir.Table:
        """The rows of files that share one schema; nothing is read before it is asked for."""
        return self.connection.parquet([str(path) for path in paths])

    def read_parquet_with_rows(self, paths: Sequence[UPath]) -> ir.Table:
        """Likewise, with `FILE_COLUMN` and `ROW_COLUMN` (from 0) of each row as last columns."""
        return self.connection.parquet_with_rows([str(path) for path in paths])

    def to_pandas(self, table: ir.Table) -> pd.DataFrame:
        """Run an expression whose result is small.

        Raises:
            UnreadableFile: A file that it reads is damaged.
        """
        with self._frame(table) as frame:
            return self.connection.pandas_of(_collected(frame), table)

    @contextmanager
    def batches(self, table: ir.Table) -> Iterator[pa.RecordBatchReader]:
        """Stream an expression's rows, in any order; they are written to the scratch folder first, by the executors."""
        layout = table.schema().to_pyarrow()
        with self._written(table) as folder:
            parts = sorted(folder.glob("part-*.parquet"))
            found = (
                batch.cast(layout)
                for part in parts
                for batch in pq.ParquetFile(part).iter_batches(parquet.ROWS_PER_GROUP)
            )
            yield pa.RecordBatchReader.from_batches(layout, found)

    @contextmanager
    def held(self, table: ir.Table) -> Iterator[ir.Table]:
        """Run an expression once and keep its rows in the scratch folder while several others read them.

        Spark's own cache keeps rows too, but plans what reads them with all that they were made by, again and again.
        """
        with self._written(table) as folder, self.connection.view_of(folder, table.schema()) as rows:
            yield rows

    def write(self, table: ir.Table, layout: schema.Table, file: UPath) -> None:
        """Write an expression's rows into one file, sorted by the table's key, by one task."""
        with self._folder(Path(str(file)).parent) as folder, self._frame(table) as frame:
            rows = frame.repartition(1).select(*_columns(layout))
            if layout.key:
                rows = rows.sortWithinPartitions(*_ascending(layout.key))
            rows.select(*_nullable(layout)).write.parquet(self.connection.address(folder / "rows"))
            self._move(folder / "rows", file, layout)

    def write_days(self, table: ir.Table, layout: schema.Table, files: Mapping[date, UPath]) -> None:
        """Write an expression's rows into one file per day, each sorted by the table's key; a day without rows gets an empty one.

        All rows of a day go to one task, which sorts them on its disk where they do not fit in its memory.

        Args:
            table: Has a `date` column; rows of other days than those of `files` are not written.
            layout: The table's description.
            files: Where each day goes, all in one folder; the days follow each other without a gap.
        """
        within = table.filter(_.date.between(ibis.literal(min(files)), ibis.literal(max(files))))
        with self._frame(within) as frame:
            self._write_frame(frame, layout, files)

    def write_each_day(self, of_day: OfDay, layout: schema.Table, files: Mapping[date, UPath]) -> None:
        """Likewise, of an expression for each day, whose rows are all of that day."""
        left = iter(files)
        while days := list(islice(left, DAYS_AT_ONCE)):
            together = ibis.union(*(of_day(day) for day in days)) if len(days) > 1 else of_day(days[0])
            with self._frame(together) as frame:
                self._write_frame(frame, layout, {day: files[day] for day in days})

    def each_day_to_pandas(self, of_day: OfDay, days: Sequence[date]) -> Iterator[tuple[date, pd.DataFrame]]:
        """Run an expression for each day, whose result is small."""
        for day in days:
            table = of_day(day)
            with self._frame(table) as frame:
                yield day, _collected(frame).cast(table.schema().to_pyarrow()).to_pandas()

    def _write_frame(self, frame: "DataFrame", layout: schema.Table, files: Mapping[date, UPath]) -> None:
        from pyspark.sql import functions

        with self._folder(Path(str(next(iter(files.values())))).parent) as folder:
            rows = frame.select(*_columns(layout)).withColumn(DAY, functions.col("date"))
            by_day = rows.repartition(DAY).sortWithinPartitions(*_ascending([DAY, *layout.key]))
            by_day.select(*_nullable(layout), DAY).write.partitionBy(DAY).parquet(
                self.connection.address(folder / "rows")
            )
            for day, file in files.items():
                self._move(folder / "rows" / f"{DAY}={day.isoformat()}", file, layout)

    @staticmethod
    def _move(folder: Path, file: UPath, layout: schema.Table) -> None:
        """Put the one file of a folder in its place; without one, an empty file."""
        parts = list(folder.glob("part-*.parquet")) if folder.exists() else []
        if len(parts) > 1:
            raise RuntimeError(f"Spark wrote {len(parts)} files where one was asked for: {folder}")
        if parts:
            parts[0].replace(str(file))
        else:
            parquet.write_file(iter(()), layout.ibis_schema.to_pyarrow(), file)

    @contextmanager
    def _frame(self, table: ir.Table) -> Iterator["DataFrame"]:
        """An expression as Spark's own, with what it reads registered until the block ends.

        Raises:
            UnreadableFile: A file that it reads is damaged.
        """
        try:
            with self.connection.frame(table) as frame:
                yield frame
        except pa.ArrowInvalid as problem:
            raise UnreadableFile(str(problem)) from problem
        except Exception as problem:
            if told := FILE_TROUBLE.search(str(problem)):
                raise UnreadableFile(told.group()) from problem
            raise

    @contextmanager
    def _written(self, table: ir.Table) -> Iterator[Path]:
        """An expression's rows as Parquet in a folder of the scratch folder, written by the executors, until the block ends."""
        with self._folder(self._scratch) as folder:
            with self._frame(table) as frame:
                frame.write.parquet(self.connection.address(folder / "rows"))
            yield folder / "rows"

    @staticmethod
    @contextmanager
    def _folder(parent: Path) -> Iterator[Path]:
        """A folder for what is written on its way."""
        folder = parent / f".spark-{uuid.uuid4().hex}"
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _collected(frame: "DataFrame") -> pa.Table:
    return frame.toArrow()


def _columns(layout: schema.Table) -> list["Column"]:
    """A table's columns in their order and types."""
    from ibis.backends.pyspark.datatypes import PySparkType
    from pyspark.sql import functions

    columns = []
    for name, type_ in layout.ibis_schema.items():
        columns.append(functions.col(name).cast(PySparkType.from_ibis(type_)).alias(name))
    return columns


def _nullable(layout: schema.Table) -> list["Column"]:
    """The columns as every other engine declares them: null is allowed everywhere, though Spark may know better.

    What Spark can see through it leaves out; which partition it is in it does not know before.
    """
    from pyspark.sql import functions

    always = functions.spark_partition_id() >= 0
    columns = []
    for name, type_ in layout.ibis_schema.items():
        column = functions.col(name)
        if type_.is_array():
            with_a_null = functions.concat(column, functions.array(functions.lit(None)))
            column = functions.slice(with_a_null, 1, functions.size(column))
        columns.append(functions.when(always, column).alias(name))
    return columns


def _ascending(names: Sequence[str]) -> list["Column"]:
    """An order in which nulls come last, as they do on DuckDB."""
    from pyspark.sql import functions

    return [functions.col(name).asc_nulls_last() for name in names]
