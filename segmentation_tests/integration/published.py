"""Customers by hand as the publisher takes them, and the tables in the database as psycopg sees them.

Belongs here: what test_publishing.py, test_publishing_faults.py and a process that is killed share. Does not: asserting.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from decimal import Decimal

import psycopg
import pyarrow as pa
from psycopg.rows import dict_row
from pytest_postgresql.executors import PostgreSQLExecutor

from segmentation_pipeline.core.schema.publishing import DATABASE_SEGMENTS
from segmentation_pipeline.resources.publishing.postgres import Publication, SegmentPublisher
from segmentation_pipeline.settings import Database

VARIABLE = "SEGMENTS_OF_THE_TESTS"
NAMES = {0: "Net zero", 1: "Best", 2: "Rest", 3: "Third"}
MONDAY, TUESDAY, WEDNESDAY, THURSDAY = (date(2025, 7, number) for number in (7, 8, 9, 10))
TABLES = ("published_segments", "segment_changes", "publications")
NOT_IN_THE_SNAPSHOT = ("changed_on",)

Customers = Mapping[str, int]


def publisher(schema: str) -> SegmentPublisher:
    return SegmentPublisher(Database.model_validate({"url_variable": VARIABLE, "schema": schema}))


def snapshot(customers: Customers, version: int = 1, names: Mapping[int, str] = NAMES) -> pa.RecordBatchReader:
    """Customers and the ids of their segments; everything else of a customer follows from the two."""
    rows = [_row(customer, segment, version, names) for customer, segment in customers.items()]
    layout = DATABASE_SEGMENTS.ibis_schema.to_pyarrow()
    columns = pa.schema([field for field in layout if field.name not in NOT_IN_THE_SNAPSHOT])
    return pa.Table.from_pylist(rows, schema=columns).to_reader(max_chunksize=2)


def publish(schema: str, day: date, customers: Customers, run: str = "run 1", **how: object) -> Publication:
    return publisher(schema).publish(day, snapshot(customers, **how), run)


@contextmanager
def down(server: PostgreSQLExecutor, url: str) -> Iterator[None]:
    """Stop the server for the length of the block; after it, wait until it takes connections again."""
    server.stop()
    try:
        yield
    finally:
        server.start()
    for _ in range(200):
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the server did not come back")


def rows(url: str, schema: str, table: str, columns: str = "*") -> list[dict[str, object]]:
    """Everything in a table or view, in an order that nothing but the rows' values decides."""
    with psycopg.connect(url, row_factory=dict_row) as connection:
        found = connection.execute(f"SELECT {columns} FROM {schema}.{table}").fetchall()
    return sorted(found, key=lambda row: [str(value) for value in row.values()])


def content(url: str, schema: str, tables: Iterable[str] = TABLES) -> dict[str, list[dict[str, object]]]:
    """All rows of the tables, with the transaction that wrote each: equal contents were not touched in between."""
    return {table: rows(url, schema, table, "*, xmin::text AS written_by") for table in tables}


def told(url: str, schema: str) -> list[tuple[object, ...]]:
    """Who changed on which day, and from where to where."""
    names = ("as_of", "customer_id", "change", "segment_before", "segment")
    return [tuple(row[name] for name in names) for row in rows(url, schema, "segment_changes")]


def _row(customer: str, segment: int, version: int, names: Mapping[int, str]) -> dict[str, object]:
    score = None if segment == 0 else 6 - segment
    return {
        "customer_id": customer,
        "segment_id": segment,
        "segment": names[segment],
        "recency_score": score,
        "frequency_score": score,
        "monetary_score": score,
        "rfm_group": None if segment == 0 else "Loyal",
        "frequency": segment,
        "monetary": Decimal(f"{segment * 10}.5000"),
        "last_order_date": None if segment == 0 else date(2025, 7, 1),
        "model_version": version,
    }
