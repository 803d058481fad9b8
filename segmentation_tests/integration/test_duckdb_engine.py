"""DuckDB as an engine: spilling, and how much it says it has read. Tables in and out are tested with the lake."""

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ibis import _
from upath import UPath

from segmentation_pipeline.core import schema
from segmentation_pipeline.resources.engines.duckdb import DuckDBEngine
from segmentation_pipeline.settings import DuckDB

ROWS = 3_000_000
NUMBERS = schema.Table(
    "numbers",
    (schema.Column("text", "string", "Longer than the memory"), schema.Column("number", "int64", "")),
    ("text",),
)


def test_what_does_not_fit_in_memory_goes_to_a_folder_below_a_lake_that_is_not_there_yet(tmp_path):
    engine = DuckDBEngine(DuckDB(memory_limit="64MB", spill_folder=tmp_path / "lake" / ".spill"), "Europe/London")
    numbers = ibis.range(ROWS).unnest().name("number").as_table()
    text = _.number.cast("string").hexdigest("md5")
    engine.write(numbers.mutate(text=text).select("text", "number"), NUMBERS, UPath(tmp_path / "sorted.parquet"))
    written = pq.read_table(tmp_path / "sorted.parquet", columns=["text"])["text"]
    assert len(written) == ROWS
    assert written.equals(written.take(pa.compute.sort_indices(written)))


@pytest.fixture
def read(tmp_path):
    """Reads a column of a file of two in one of the ways that an engine has; returns the bytes it says it has read."""
    pq.write_table(
        pa.table({"small": range(100_000), "large": [f"{n:0200d}" for n in range(100_000)]}), tmp_path / "a.parquet"
    )

    def run(column, way):
        engine = DuckDBEngine(DuckDB(), "Europe/London")
        way(engine, engine.read_parquet([UPath(tmp_path / "a.parquet")]).select(column))
        return engine.bytes_read

    return run


def _batches(engine, table):
    with engine.batches(table) as reader:
        reader.read_all()


def _held(engine, table):
    with engine.held(table):
        pass


@pytest.mark.parametrize("way", [DuckDBEngine.to_pandas, _batches, _held], ids=["frame", "batches", "held"])
def test_bytes_read_are_those_of_the_columns_asked_for(read, way):
    assert 0 < read("small", way) < read("large", way)
