"""Ibis' backend for Spark, with Parquet files and small frames registered only while an expression runs.

Belongs here: what is registered under which name, and for how long; frames to pandas. Does not: when expressions run
(spark.py), the meaning of operations (spark_dialect.py).

Importing this module imports PySpark, which takes seconds: it is imported when an engine connects.
"""

import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from pathlib import Path

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.backends.pyspark import Backend
from ibis.common.typing import VarTuple
from ibis.formats.pandas import PandasData
from pyspark.errors import PySparkTypeError
from pyspark.sql import DataFrame, DataFrameReader
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import StructType

from segmentation_pipeline.resources.engines.engine import FILE_COLUMN, ROW_COLUMN, UnreadableFile
from segmentation_pipeline.resources.engines.spark_dialect import SparkDialect

Backend.register_options()  # Ibis does so for the backends that it loads by name

# A path as Spark tells it is an address: `file:/a%20b`. Its decoder is one of forms, for which `+` is a blank.
PATH = "regexp_replace(url_decode(replace(_metadata.file_path, '+', '%2B')), '^file:/*', '/')"

# Signs that make a name a pattern.
PATTERN = set("{}[]*?\\")


class ParquetFiles(ops.DatabaseTable):
    """Files that share one schema."""

    paths: VarTuple[str]


class NumberedParquetFiles(ParquetFiles):
    """Likewise, with each row's file and its number there."""


class SparkBackend(Backend):
    """Ibis on one Spark session."""

    compiler = SparkDialect()

    def parquet(self, paths: Sequence[str]) -> ir.Table:
        """The rows of files."""
        return self._files(ParquetFiles, paths, {})

    def parquet_with_rows(self, paths: Sequence[str]) -> ir.Table:
        """The rows of files, each with its file and its number."""
        return self._files(NumberedParquetFiles, paths, {FILE_COLUMN: "string", ROW_COLUMN: "int64"})

    @contextmanager
    def view_of(self, folder: Path, columns: ibis.Schema) -> Iterator[ir.Table]:
        """The rows of a folder that Spark has written, in its own types, until the block ends."""
        name = f"held_{uuid.uuid4().hex}"
        self._literal(self._session.read).parquet(self.address(folder)).createOrReplaceTempView(name)
        try:
            yield ops.DatabaseTable(name, schema=columns, source=self).to_expr()
        finally:
            self._drop(name)

    @staticmethod
    def _literal(reader: DataFrameReader) -> DataFrameReader:
        """Takes a path for what it says, though there are signs in it that Spark has a meaning for."""
        return reader.option("__globPaths__", "false")

    def _drop(self, name: str) -> None:
        """Forget a view."""
        self._session.catalog.dropTempView(name)

    @staticmethod
    def address(path: str | Path) -> str:
        """A path as Spark takes it: on the file system that every process sees, whatever Spark's own is; never encoded."""
        return f"file://{Path(path).absolute()}"

    @contextmanager
    def frame(self, table: ir.Table) -> Iterator[DataFrame]:
        """An expression as a frame of Spark, which can be run until the block ends."""
        registered = []
        try:
            for op in dict.fromkeys(table.op().find((ParquetFiles, ops.InMemoryTable))):
                self._register(op)
                registered.append(op.name)
            yield self._session.sql(self.compile(table))
        finally:
            for name in registered:
                self._drop(name)

    def pandas_of(self, rows: pa.Table, table: ir.Table) -> pd.DataFrame:
        """Rows of an expression as Ibis gives them for every other engine."""
        columns = table.schema()
        plain = rows.cast(columns.to_pyarrow())
        frame = pd.DataFrame(
            {
                name: column.to_pylist() if pa.types.is_nested(column.type) or column.null_count else column.to_pandas()
                for name, column in zip(plain.column_names, plain.columns, strict=True)
            }
        )
        return PandasData.convert_table(frame, columns)

    def _files(self, kind: type[ParquetFiles], paths: Sequence[str], added: dict[str, str]) -> ir.Table:
        columns = ibis.Schema.from_pyarrow(pq.read_schema(paths[0]).remove_metadata())
        name = f"files_{uuid.uuid4().hex}"
        return kind(name, schema=ibis.schema({**columns, **added}), source=self, paths=tuple(paths)).to_expr()

    def _register(self, op: ParquetFiles | ops.InMemoryTable) -> None:
        if isinstance(op, ops.InMemoryTable):
            rows = op.data.to_pyarrow(op.schema)
            frame = self._session.createDataFrame(rows, schema=_sparks(rows.schema))
        else:
            frame = self._of_files(op)
        frame.createOrReplaceTempView(op.name)

    def _of_files(self, op: ParquetFiles) -> DataFrame:
        """The rows of files. One whose name is a pattern for Spark is read alone: beside it, others would be read twice."""
        columns = pq.read_schema(op.paths[0])
        _check(columns)
        known = _sparks(columns)
        reader = self._session.read.schema(known) if known else self._session.read
        plain = [path for path in op.paths if not PATTERN & set(path)]
        frames = [reader.parquet(*map(self.address, plain))] if plain else []
        frames += [self._literal(reader).parquet(self.address(path)) for path in op.paths if PATTERN & set(path)]
        selected = [_as_moment(column) for column in columns]
        if isinstance(op, NumberedParquetFiles):
            selected += [f"{PATH} AS {FILE_COLUMN}", f"_metadata.row_index AS {ROW_COLUMN}"]
        frames = [frame.selectExpr(*selected) for frame in frames]
        return reduce(lambda one, other: one.unionAll(other), frames)


def _check(columns: pa.Schema) -> None:
    """Refuse what Spark cannot read.

    Raises:
        UnreadableFile: There are columns that it cannot tell apart, or numbers that are too long for it.
    """
    names = Counter(name.lower() for name in columns.names)
    alike = [name for name in columns.names if names[name.lower()] > 1]
    if alike:
        raise UnreadableFile(f"the columns {', '.join(alike)} are one to Spark; rename them, or use DuckDB")
    wide = [column.name for column in columns if pa.types.is_decimal256(column.type)]
    if wide:
        raise UnreadableFile(f"Spark has no decimals of more than 38 digits, as {', '.join(wide)} has; use DuckDB")


def _as_moment(column: pa.Field) -> str:
    """A column of a file as Spark's SQL; it takes nanoseconds for whole numbers, and knows moments to the microsecond."""
    name = "`" + column.name.replace("`", "``") + "`"
    if not (pa.types.is_timestamp(column.type) and column.type.unit == "ns"):
        return name
    if column.type.tz:
        return f"timestamp_micros({name} DIV 1000) AS {name}"
    return f"timestampadd(MICROSECOND, {name} DIV 1000, TIMESTAMP_NTZ'1970-01-01 00:00:00') AS {name}"


def _sparks(columns: pa.Schema) -> StructType | None:
    """Spark's own types for columns of a file; None where only Spark can tell how it reads them."""
    told_by_spark = (pa.types.is_timestamp, pa.types.is_time, pa.types.is_duration, pa.types.is_dictionary)
    plain = all(
        not any(is_of(column.type) for is_of in told_by_spark)
        or column.type in (pa.timestamp("us"), pa.timestamp("us", "UTC"))
        for column in columns
    )
    try:
        return from_arrow_schema(columns.remove_metadata(), prefer_timestamp_ntz=True) if plain else None
    except PySparkTypeError:
        return None
