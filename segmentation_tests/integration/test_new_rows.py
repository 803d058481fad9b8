"""New rows of a database: what the sensor requests by the table's high-water mark."""

from datetime import UTC, datetime

import dagster as dg
import pytest

from segmentation_pipeline.planning import RETURNS, TRANSACTIONS
from segmentation_tests.integration.live_shop import Daemon, LiveShop
from segmentation_tests.integration.postgres_shop import TABLE, as_reader, configure

MORNING_AFTER = datetime(2025, 3, 6, 8, tzinfo=UTC)
INSERT = """
INSERT INTO lines ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")
VALUES (%s, %s, 'thing', 1, %s, 2.5, %s, 'UK')"""


@pytest.fixture(scope="module")
def table(database_server, database_url):
    with as_reader(database_server, database_url) as owner:
        owner.execute(TABLE.format("timestamptz"))
        for day in range(1, 6):
            for number in range(20):
                sold(owner, day, number)
        yield owner


@pytest.fixture(scope="module")
def daemon(table, tmp_path_factory):
    """The sensor, after the table was read to its end."""
    file = configure(tmp_path_factory.mktemp("rows"), end_date=None)
    with dg.DagsterInstance.ephemeral() as instance:
        daemon = Daemon(LiveShop(file, instance), MORNING_AFTER)
        assert daemon.until_settled() == [
            [(TRANSACTIONS[0], "2025-03-01 to 2025-03-05")],
            [(RETURNS[0], "2025-03-01 to 2025-03-05")],
        ]
        yield daemon


def sold(owner, day: int, number: int) -> None:
    customer, product = f"{10_000 + number % 7}", f"P{number}"
    owner.execute(INSERT, (f"I{day}{number:03}", product, f"2025-03-{day:02} 10:{number:02}:00+00", customer))


def test_nothing_is_requested_while_the_mark_stays(daemon):
    assert daemon.tick() == "Nothing in table public.lines of SHOP_DATABASE_URL has changed."


def test_a_late_row_touches_its_own_day(daemon, table):
    sold(table, 3, 57)
    assert daemon.until_settled()[0] == [(TRANSACTIONS[0], "2025-03-03")]
    assert "I3057" in invoices(daemon, 3)


def test_an_updated_row_touches_its_own_day(daemon, table):
    table.execute(
        """UPDATE lines SET "InvoiceNo" = 'I2900', updated_at = clock_timestamp() WHERE "InvoiceNo" = 'I2005'"""
    )
    assert daemon.until_settled()[0] == [(TRANSACTIONS[0], "2025-03-02")]
    assert "I2900" in invoices(daemon, 2)
    assert "I2005" not in invoices(daemon, 2)


def invoices(daemon: Daemon, day: int) -> set[str]:
    file = daemon.shop.lake.file("clean_transactions", datetime(2025, 3, day, tzinfo=UTC).date())
    rows = daemon.shop.lake.engine.read_parquet([file])
    return set(daemon.shop.lake.engine.to_pandas(rows.select("invoice_id"))["invoice_id"])
