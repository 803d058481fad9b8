"""Builders of small inline tables for the pure core."""

from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal

import ibis
import ibis.expr.types as ir
import pandas as pd
import pytest

from segmentation_pipeline.core import schema
from segmentation_pipeline.resources.engines.duckdb import DuckDBEngine
from segmentation_pipeline.settings import Columns, DuckDB, Files, Settings

EVERY_COLUMN = {name: name for name in schema.SOURCE_COLUMNS if name != "amount"}
A_GOOD_ROW = {
    "date": date(2011, 6, 1),
    "invoice_id": "536365",
    "product_id": "85123A",
    "description": "WHITE HANGING HEART",
    "quantity": "6",
    "unit_price": "2.55",
    "customer_id": "17850",
    "invoiced_at": "2011-06-01 08:26:00",
    "country": "United Kingdom",
    "source_file": "a.csv",
}


@pytest.fixture(scope="session")
def engine() -> DuckDBEngine:
    """One for the whole session, in London."""
    return DuckDBEngine(DuckDB(), "Europe/London")


@pytest.fixture(scope="session")
def table_of() -> Callable[[schema.Table, Sequence[dict[str, object]]], ir.Table]:
    """A table of the lake from rows; a column that a row leaves out is null."""
    return lambda layout, rows: ibis.memtable(
        pd.DataFrame(list(rows), columns=layout.names, dtype=object), schema=layout.ibis_schema
    )


@pytest.fixture(scope="session")
def shop() -> Callable[..., Settings]:
    """Settings of a shop in London, open all 2011; keyword arguments replace whole sections."""

    def build(columns: dict[str, str] = EVERY_COLUMN, source: dict[str, object] | None = None, **sections) -> Settings:
        return Settings(
            **{
                "source": Files(path="*.csv", columns=Columns(**columns), **(source or {})),
                "timezone": "Europe/London",
                "start_date": date(2011, 1, 1),
                "end_date": date(2011, 12, 31),
            }
            | sections
        )

    return build


@pytest.fixture(scope="session")
def raw_rows(table_of) -> Callable[..., ir.Table]:
    """Raw rows, each a good one but for what is given; numbered from 1."""
    return lambda *changes: table_of(
        schema.RAW_TRANSACTIONS,
        [A_GOOD_ROW | {"source_row": number} | change for number, change in enumerate(changes, start=1)],
    )


@pytest.fixture(scope="session")
def clean_lines(table_of) -> Callable[[Sequence[dict[str, object]]], ir.Table]:
    """Clean lines of `customer`, `product`, `invoice`, `quantity` (below zero: a return), `amount` and `at`."""

    def build(lines: Sequence[dict[str, object]]) -> ir.Table:
        rows = []
        for number, line in enumerate(lines, start=1):
            moment = pd.Timestamp(line["at"], tz="Europe/London")
            quantity = line["quantity"]
            rows.append(
                {
                    "date": moment.date(),
                    "invoice_id": line["invoice"],
                    "customer_id": line.get("customer", "ann"),
                    "product_id": line.get("product", "mug"),
                    "invoiced_at": moment.tz_convert("UTC"),
                    "quantity": quantity,
                    "unit_price": Decimal(1),
                    "amount": Decimal(str(line.get("amount", quantity))),
                    "line_kind": line.get("kind", "return" if quantity < 0 else "sale"),
                    "source_file": "a.csv",
                    "source_row": number,
                }
            )
        return table_of(schema.CLEAN_TRANSACTIONS, rows)

    return build
