"""Expressions prepared once and run for each example: compiling and planning cost twenty times what a small run does."""

from collections.abc import Callable, Sequence
from itertools import count

import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa
import pytest

from segmentation_pipeline.core.schema import Table
from segmentation_pipeline.resources.engines.duckdb import DuckDBEngine
from segmentation_pipeline.settings import DuckDB

Run = Callable[..., list[pd.DataFrame]]


@pytest.fixture(scope="session")
def engine() -> DuckDBEngine:
    return DuckDBEngine(DuckDB(), "Europe/London")


@pytest.fixture(scope="session")
def prepared(engine) -> Callable[[Table, Callable[[ir.Table], dict[str, ir.Table]]], Run]:
    """From a table's layout and the named results wanted of it, a function from rows and names to those results."""
    connection, numbers = engine.connection.con, count()
    kept = []  # the engine forgets a table in memory once the expression that reads it is gone

    def prepare(layout: Table, results: Callable[[ir.Table], dict[str, ir.Table]]) -> Run:
        name = f"given_{next(numbers)}"
        given = engine.connection.create_table(name, schema=layout.ibis_schema, temp=True)
        types = layout.ibis_schema.to_pyarrow()
        for result, table in results(given).items():
            kept.append(table)
            engine.connection._register_in_memory_tables(table)
            connection.execute(f"PREPARE {name}_{result} AS {ibis.to_sql(table, dialect='duckdb')}")

        def run(rows: Sequence[dict[str, object]], *wanted: str) -> list[pd.DataFrame]:
            frame = pd.DataFrame(list(rows), columns=layout.names, dtype=object)
            connection.register("lines", pa.Table.from_pandas(frame, schema=types, preserve_index=False))
            connection.execute(f"DELETE FROM {name}")
            connection.execute(f"INSERT INTO {name} SELECT * FROM lines")
            return [connection.sql(f"EXECUTE {name}_{result}").to_arrow_table().to_pandas() for result in wanted]

        return run

    return prepare
