"""Returns: hand-computed cases of what is given back, first in, first out."""

from datetime import date
from decimal import Decimal

import ibis
import numpy as np
import pandas as pd
import pytest

from segmentation_pipeline.core import returns, schema
from segmentation_pipeline.resources.engines.duckdb import DuckDBEngine
from segmentation_pipeline.settings import DuckDB

FIRST_DAY, LAST_DAY = date(2011, 1, 1), date(2011, 12, 31)


@pytest.fixture(scope="module")
def given_back(engine, clean_lines):
    """{(day of June, order or None): (items, amount)} of lines `(day and time, invoice, quantity, product, amount)`."""

    def run(*lines, window_days=90, measure="items", first_day=FIRST_DAY):
        names = ("at", "invoice", "quantity", "product", "amount")
        table = clean_lines([dict(zip(names, (f"2011-{line[0]}", *line[1:]), strict=False)) for line in lines])
        found = engine.to_pandas(returns.customer_returns(table, window_days, measure, first_day, LAST_DAY))
        assert not found.duplicated(["date", "customer_id", "order_id"]).any()
        return {
            (day.strftime("%m-%d"), None if pd.isna(order) else order): (items, amount)
            for day, order, items, amount in zip(
                found["date"], found["order_id"], found["items"], found["amount"], strict=True
            )
        }

    return run


def test_a_return_in_full(given_back):
    assert given_back(("06-01", "1", 5), ("06-02", "C1", -5)) == {("06-02", "1"): (5, 5)}


def test_a_return_in_part(given_back):
    assert given_back(("06-01", "1", 5), ("06-02", "C1", -2)) == {("06-02", "1"): (2, 2)}


def test_a_return_takes_from_the_oldest_orders_first(given_back):
    found = given_back(("06-01", "1", 5), ("06-02", "2", 3), ("06-03", "3", 4), ("06-04", "C1", -7))
    assert found == {("06-04", "1"): (5, 5), ("06-04", "2"): (2, 2)}


def test_returns_in_sequence_go_on_where_the_last_one_stopped(given_back):
    found = given_back(
        ("06-01", "1", 5), ("06-02", "2", 3), ("06-03", "C1", -2), ("06-04", "C2", -4), ("06-05", "C3", -1)
    )
    assert found == {("06-03", "1"): (2, 2), ("06-04", "1"): (3, 3), ("06-04", "2"): (1, 1), ("06-05", "2"): (1, 1)}


def test_more_than_was_sold_is_given_back_without_an_order(given_back):
    found = given_back(("06-01", "1", 5, "mug", "50"), ("06-02", "C1", -8, "mug", "-80"))
    assert found == {("06-02", "1"): (5, 50), ("06-02", None): (3, 30)}


def test_a_return_before_any_sale_finds_nothing_and_takes_nothing_from_later_sales(given_back):
    found = given_back(("06-01", "C1", -4), ("06-02", "1", 5), ("06-03", "C2", -5))
    assert found == {("06-01", None): (4, 4), ("06-03", "1"): (5, 5)}


def test_what_was_returned_in_vain_between_sales_takes_nothing_from_later_ones(given_back):
    found = given_back(("06-01", "1", 2), ("06-02", "C1", -5), ("06-03", "2", 4), ("06-04", "C2", -3))
    assert found == {("06-02", "1"): (2, 2), ("06-02", None): (3, 3), ("06-04", "2"): (3, 3)}


def test_a_sale_on_the_last_day_of_the_window_is_found_and_one_before_it_is_not(given_back):
    assert given_back(("06-01", "1", 5), ("06-11", "C1", -5), window_days=10) == {("06-11", "1"): (5, 5)}
    assert given_back(("06-01", "1", 5), ("06-12", "C1", -5), window_days=10) == {("06-12", None): (5, 5)}


def test_the_window_is_of_days_and_not_of_hours(given_back):
    found = given_back(("06-01 00:01", "1", 5), ("06-11 23:59", "C1", -5), window_days=10)
    assert found == {("06-11", "1"): (5, 5)}


def test_a_sale_that_left_the_window_gives_way_to_the_next(given_back):
    found = given_back(("06-01", "1", 5), ("06-05", "2", 5), ("06-14", "C1", -5), window_days=10)
    assert found == {("06-14", "2"): (5, 5)}


def test_another_product_or_customer_is_never_taken(given_back, engine, clean_lines):
    found = given_back(("06-01", "1", 5, "cup"), ("06-01", "2", 5, "mug"), ("06-02", "C1", -7, "mug"))
    assert found == {("06-02", "2"): (5, 5), ("06-02", None): (2, 2)}
    lines = [
        {"at": "2011-06-01", "invoice": "1", "quantity": 5, "customer": "bob"},
        {"at": "2011-06-02", "invoice": "C1", "quantity": -5, "customer": "ann"},
    ]
    alone = engine.to_pandas(returns.customer_returns(clean_lines(lines), 90, "items", FIRST_DAY, LAST_DAY))
    assert alone["order_id"].isna().tolist() == [True]


def test_two_products_of_one_order_add_up(given_back):
    found = given_back(
        ("06-01", "1", 5, "cup", "5"),
        ("06-01", "1", 2, "mug", "20"),
        ("06-02", "C1", -1, "cup", "-1"),
        ("06-02", "C1", -2, "mug", "-20"),
    )
    assert found == {("06-02", "1"): (3, 21)}


def test_lines_without_a_product_are_matched_among_themselves(given_back):
    found = given_back(("06-01", "1", 5, "mug"), ("06-01", "2", 5, None), ("06-02", "C1", -5, None))
    assert found == {("06-02", "2"): (5, 5)}


def test_an_invoice_written_in_several_minutes_is_one_order(given_back):
    found = given_back(("06-01 10:00", "1", 2), ("06-01 10:01", "1", 3), ("06-02", "C1", -4))
    assert found == {("06-02", "1"): (4, 4)}


def test_several_lines_of_one_credit_note_are_one_return(given_back):
    found = given_back(("06-01", "1", 2), ("06-01", "1", 3), ("06-02", "C1", -1), ("06-02", "C1", -3))
    assert found == {("06-02", "1"): (4, 4)}


def test_several_credit_notes_of_a_day_are_one_row_for_each_order(given_back):
    found = given_back(("06-01", "1", 5), ("06-02 09:00", "C1", -1), ("06-02 10:00", "C2", -3))
    assert found == {("06-02", "1"): (4, 4)}


def test_at_the_same_moment_the_sale_comes_first(given_back):
    assert given_back(("06-01 10:00", "Z", 5), ("06-01 10:00", "A", -5)) == {("06-01", "Z"): (5, 5)}


def test_on_the_same_day_a_return_before_the_sale_finds_nothing(given_back):
    assert given_back(("06-01 10:00", "C1", -5), ("06-01 11:00", "1", 5)) == {("06-01", None): (5, 5)}


def test_money_given_back_is_that_of_the_return_divided_by_items(given_back):
    found = given_back(("06-01", "1", 1, "mug", "9"), ("06-02", "2", 2, "mug", "9"), ("06-03", "C1", -3, "mug", "-10"))
    assert found == {
        ("06-03", "1"): (1, Decimal("3.3333")),
        ("06-03", "2"): (2, Decimal("6.6667")),
    }


def test_returns_before_the_first_day_are_replayed_and_not_reported(given_back):
    lines = [("06-01", "1", 5), ("06-02", "2", 5), ("06-03", "C1", -5), ("06-04", "C2", -5)]
    assert given_back(*lines, first_day=date(2011, 6, 4)) == {("06-04", "2"): (5, 5)}


def test_guests_and_adjustments_give_nothing_back(engine, clean_lines):
    lines = [
        {"at": "2011-06-01", "invoice": "1", "quantity": 5, "customer": None},
        {"at": "2011-06-02", "invoice": "C1", "quantity": -5, "customer": None},
        {"at": "2011-06-01", "invoice": "2", "quantity": 5, "kind": "adjustment"},
        {"at": "2011-06-02", "invoice": "C2", "quantity": -5, "kind": "adjustment"},
    ]
    assert engine.to_pandas(returns.customer_returns(clean_lines(lines), 90, "items", FIRST_DAY, LAST_DAY)).empty


def test_an_adjustment_is_never_given_back(engine, clean_lines):
    lines = [
        {"at": "2011-06-01", "invoice": "1", "quantity": 5, "kind": "adjustment"},
        {"at": "2011-06-02", "invoice": "C1", "quantity": -5},
    ]
    found = engine.to_pandas(returns.customer_returns(clean_lines(lines), 90, "items", FIRST_DAY, LAST_DAY))
    assert found["order_id"].isna().tolist() == [True]


def test_without_quantities_money_is_what_is_matched(given_back):
    found = given_back(
        ("06-01", "1", 1, None, "10.00"),
        ("06-02", "2", 1, None, "10.00"),
        ("06-03", "C1", -1, None, "-12.50"),
        ("06-04", "C2", -1, None, "-20.00"),
        measure="amount",
    )
    assert {place: amount for place, (_, amount) in found.items()} == {
        ("06-03", "1"): 10,
        ("06-03", "2"): Decimal("2.5"),
        ("06-04", "2"): Decimal("7.5"),
        ("06-04", None): Decimal("12.5"),
    }
    assert sum(items for items, _ in found.values()) == 2


def test_the_shortest_window_knows_the_same_day(given_back):
    found = given_back(("06-01 09:00", "1", 5), ("06-01 10:00", "C1", -5), window_days=1)
    assert found == {("06-01", "1"): (5, 5)}


def test_returns_have_the_columns_of_their_table(clean_lines):
    table = clean_lines([{"at": "2011-06-01", "invoice": "1", "quantity": 5}])
    assert (
        returns.customer_returns(table, 90, "items", FIRST_DAY, LAST_DAY).schema()
        == schema.CUSTOMER_RETURNS.ibis_schema
    )


def test_one_customer_of_many_lines_takes_no_more_memory_than_the_lines():
    """Everybody who walks in, on one id, in a source without products: 12,000 lines, of which 600 are returns."""
    lines = 12_000
    numbers = np.arange(lines)
    is_return = numbers % 20 == 19
    at = pd.Timestamp("2011-06-01", tz="UTC") + pd.to_timedelta(numbers * 420, unit="s")
    units = np.where(is_return, -1, 1)
    clean = pd.DataFrame(
        {
            "date": at.date,
            "invoice_id": numbers.astype(str),
            "customer_id": "walk-in",
            "product_id": None,
            "invoiced_at": at,
            "quantity": units,
            "amount": units,
            "line_kind": np.where(is_return, "return", "sale"),
        }
    )
    small = DuckDBEngine(DuckDB(memory_limit="150MB"), "UTC")
    small.connection.raw_sql("SET max_temp_directory_size = '0KB'")
    types = {name: type_ for name, type_ in schema.CLEAN_TRANSACTIONS.ibis_schema.items() if name in clean}
    table = ibis.memtable(clean, schema=types)
    found = small.to_pandas(returns.customer_returns(table, 90, "items", FIRST_DAY, LAST_DAY))
    assert found["items"].sum() == is_return.sum()
    assert sorted(found["order_id"].astype(int)) == numbers[~is_return][: is_return.sum()].tolist()
