"""A shop with a PostgreSQL table: the table, its lines, and the configuration that reads them.

Belongs here: what the tests of PostgreSQL as a source share. Does not: the server (segmentation_tests/database.py).
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import pandas as pd
import psycopg
import pytest
import yaml
from psycopg import sql
from pytest_postgresql.executors import PostgreSQLExecutor
from upath import UPath

from segmentation_pipeline.resources.engines.duckdb import DuckDBEngine
from segmentation_pipeline.resources.sources.opening import open_source
from segmentation_pipeline.resources.sources.postgres import PostgresSource
from segmentation_pipeline.resources.sources.source import TransactionSource
from segmentation_pipeline.settings import Settings, load
from segmentation_tests.database import PASSWORD, url_of

COLUMNS = {
    "invoice_id": "InvoiceNo",
    "product_id": "StockCode",
    "description": "Description",
    "quantity": "Quantity",
    "unit_price": "UnitPrice",
    "customer_id": "CustomerID",
    "invoiced_at": "InvoiceDate",
    "country": "Country",
}
TABLE = """\
CREATE TABLE lines (
    id bigserial PRIMARY KEY, "InvoiceNo" text, "StockCode" text, "Description" text, "Quantity" bigint,
    "InvoiceDate" {}, "UnitPrice" double precision, "CustomerID" text, "Country" text,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
)"""
LONDON = ZoneInfo("Europe/London")
FIRST, LAST = date(2025, 3, 1), date(2025, 3, 31)


@contextmanager
def as_reader(server: PostgreSQLExecutor, url: str) -> Iterator[psycopg.Connection]:
    """An empty schema, as its owner sees it; meanwhile the pipeline comes as a user who may look at the tables and no more."""
    with psycopg.connect(url, autocommit=True) as owner, pytest.MonkeyPatch.context() as environment:
        owner.execute("DROP SCHEMA public CASCADE")
        owner.execute("CREATE SCHEMA public")
        if not owner.execute("SELECT 1 FROM pg_roles WHERE rolname = 'reader'").fetchone():
            owner.execute(sql.SQL("CREATE ROLE reader LOGIN PASSWORD {}").format(PASSWORD))
        owner.execute("GRANT USAGE ON SCHEMA public TO reader")
        owner.execute("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO reader")
        owner.execute("SET TimeZone = 'Europe/London'")
        environment.setenv("SHOP_DATABASE_URL", url_of(server, urlsplit(url).path.strip("/"), user="reader"))
        yield owner


def configure(folder: Path, source: dict | None = None, **more: object) -> Path:
    table = {"kind": "postgres", "table": "public.lines", "columns": COLUMNS, "high_water_mark": "updated_at"}
    days = {"timezone": "Europe/London", "start_date": FIRST, "end_date": LAST}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "shop.yaml").write_text(yaml.safe_dump({"source": {**table, **(source or {})}, **days, **more}))
    return folder / "shop.yaml"


def opened(folder: Path, source: dict | None = None, **more: object) -> PostgresSource:
    found = source_of(load(configure(folder, source, **more)))
    assert isinstance(found, PostgresSource)
    return found


def source_of(settings: Settings) -> TransactionSource:
    engine = DuckDBEngine(settings.engine, settings.timezone)
    return open_source(settings, engine, UPath(settings.lake / ".sources"))


def days_of(settings: Settings) -> list[date]:
    last = settings.end_date or settings.start_date
    return [settings.start_date + timedelta(days=number) for number in range((last - settings.start_date).days + 1)]


def raw(source: PostgresSource, *days: date) -> pd.DataFrame:
    rows = source.rows(list(days) or days_of(source.settings))
    return source.engine.to_pandas(rows.order_by("source_file", "source_row"))


def digests(source: PostgresSource) -> dict[date, str]:
    return {day: source.digest(day) for day in days_of(source.settings)}


def changed(before: dict[date, str], after: dict[date, str]) -> set[date]:
    return {day for day in before if before[day] != after[day]}


def sell(owner: psycopg.Connection, moments: Iterable[object], **values: object) -> None:
    """A line for each moment of sale, with other values than usual where they are given."""
    for number, moment in enumerate(moments):
        line = {
            "InvoiceNo": f"I{number}",
            "StockCode": "P1",
            "Quantity": 2,
            "UnitPrice": 1.5,
            "CustomerID": "C1",
            "InvoiceDate": moment,
            **values,
        }
        names = sql.SQL(", ").join(map(sql.Identifier, line))
        owner.execute(
            sql.SQL("INSERT INTO lines ({}) VALUES ({})").format(
                names, sql.SQL(", ").join([sql.Placeholder()] * len(line))
            ),
            list(line.values()),
        )


def make_table(owner: psycopg.Connection, moment: str = "timestamptz") -> None:
    owner.execute(sql.SQL(TABLE).format(sql.SQL(moment)))
