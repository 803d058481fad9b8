"""Profiles of orders, returns and features: both sides of each step, as pandas adds them up, and what does not fit."""

from datetime import date
from decimal import Decimal

import ibis
import numpy as np
import pandas as pd
import pytest

from segmentation_pipeline.core import orders, returns, rfm, schema
from segmentation_pipeline.core.profiling import features

JUNE = [date(2011, 6, day) for day in range(1, 9)]
EMPTY = JUNE[4]
LAYOUTS = {
    "orders": (schema.CUSTOMER_ORDERS, ("date", "customer_id", "order_id", "items", "amount")),
    "returns": (schema.CUSTOMER_RETURNS, ("date", "customer_id", "order_id", "items", "amount")),
    "features": (
        schema.RFM_FEATURES,
        ("date", "customer_id", "recency_days", "frequency", "monetary", "last_order_date"),
    ),
}


@pytest.fixture(scope="module")
def by_day(engine):
    """An expression's rows by day."""

    def run(expression):
        found = engine.to_pandas(expression)
        return found.set_index(found["date"].dt.date).sort_index()

    return run


@pytest.fixture(scope="module")
def tables(table_of):
    """Tables of rows given as tuples, by name; the days are of June and the money is exact."""

    def build(**given):
        made = {}
        for name, (layout, columns) in LAYOUTS.items():
            rows = [dict(zip(columns, row, strict=True)) for row in given.get(name, ())]
            for row in rows:
                row |= {column: JUNE[row[column] - 1] for column in ("date", "last_order_date") if row.get(column)}
                row |= {column: Decimal(row[column]) for column in ("amount", "monetary") if column in row}
            made[name] = table_of(layout, rows)
        return made

    return build


@pytest.fixture(scope="module")
def lines() -> pd.DataFrame:
    """Three hundred lines of eight days but one: sales, returns with and without a sale, adjustments, guests."""
    random = np.random.default_rng(6)
    quantity = random.choice([1, 2, 5, 9, -1, -3], 300)
    days = random.choice([day for day in JUNE if day != EMPTY], 300)
    frame = pd.DataFrame(
        {
            "at": [f"{day} {hour:02}:00" for day, hour in zip(days, random.integers(8, 18, 300), strict=True)],
            "customer": random.choice(np.array([*(f"c{number}" for number in range(40)), None], object), 300),
            "product": random.choice(["mug", "cup"], 300),
            "quantity": quantity,
            "amount": [Decimal(int(each)) * Decimal("0.1") for each in quantity * random.integers(1, 99, 300)],
            "kind": np.where(random.random(300) < 0.1, "adjustment", np.where(quantity < 0, "return", "sale")),
        }
    )
    frame["invoice"] = [f"{each.at}{each.customer}"[8:] for each in frame.itertuples()]
    return frame.assign(date=days)


@pytest.fixture(scope="module")
def derived(clean_lines, lines):
    """The lines, and the pipeline's own orders and returns of them."""
    clean = clean_lines(lines.to_dict("records"))
    return clean, orders.customer_orders(clean), returns.customer_returns(clean, 90, "items", JUNE[0], JUNE[-1])


@pytest.fixture(scope="module")
def goods(lines) -> pd.DataFrame:
    """Sales and returns of known customers."""
    return lines[(lines["kind"] != "adjustment") & lines["customer"].notna()]


def money_by_day(rows: pd.DataFrame) -> list[Decimal]:
    return rows.groupby("date")["amount"].sum().reindex(JUNE, fill_value=Decimal(0)).tolist()


def declared(columns) -> ibis.Schema:
    return schema.Table("profile", (schema.Column("date", "date", ""), *columns), ()).ibis_schema


# --- orders -----------------------------------------------------------------------------------------------------------


def test_orders_and_the_sales_they_group_agree_with_pandas(by_day, derived, goods):
    clean, ordered, _ = derived
    found = by_day(features.orders_measured(clean, ordered, JUNE))
    sales = goods[goods["kind"] == "sale"]
    assert found["amount"].tolist() == found["sales_amount"].tolist() == money_by_day(sales)
    customers = sales.groupby("date")["customer"].nunique().reindex(JUNE, fill_value=0).tolist()
    assert found["customers"].tolist() == found["sales_customers"].tolist() == customers
    sizes = sales.groupby(["date", "customer", "invoice"])["quantity"].sum()
    assert found["orders"].tolist() == sizes.groupby("date").size().reindex(JUNE, fill_value=0).tolist()
    assert found["least_items"].drop(EMPTY).tolist() == sizes.groupby("date").min().tolist()
    assert pd.isna(found.loc[EMPTY, "least_items"])
    assert not found[["repeated_keys", "missing_keys"]].to_numpy().any()


def test_orders_that_are_there_twice_without_a_number_or_without_sales_are_counted(by_day, clean_lines, tables):
    given = [(1, "ann", "1", 2, 5), (1, "ann", "1", 1, 3), (1, "bob", "1", 1, 7), (2, "ann", None, 0, 1)]
    found = by_day(features.orders_measured(clean_lines([]), tables(orders=given)["orders"], JUNE[:2]))
    assert found["repeated_keys"].tolist() == [1, 0]
    assert found["missing_keys"].tolist() == [0, 1]
    assert found["least_items"].tolist() == [1, 0]
    assert found["amount"].tolist() == [15, 1]
    assert found["sales_amount"].tolist() == [0, 0]


# --- returns ----------------------------------------------------------------------------------------------------------


def test_returns_and_the_credit_lines_they_come_from_agree_with_pandas(by_day, derived, goods):
    found = by_day(features.returns_measured(*derived, JUNE))
    credits = goods[goods["kind"] == "return"].assign(amount=lambda rows: -rows["amount"])
    assert found["amount"].tolist() == found["credits_amount"].tolist() == money_by_day(credits)
    assert found["net_amount"].tolist() == found["orders_less_returns"].tolist() == money_by_day(goods)
    assert found["orders_amount"].tolist() == money_by_day(goods[goods["kind"] == "sale"])
    assert not found[["repeated_keys", "unknown_orders"]].to_numpy().any()
    assert found["unmatched_share"].between(0, 1, inclusive="neither").any()
    assert found.loc[EMPTY, ["least_items", "unmatched_share"]].isna().all()


def test_returns_of_orders_that_nobody_placed_are_counted(by_day, clean_lines, tables):
    sold = [
        {"customer": customer, "invoice": invoice, "quantity": 5, "at": "2011-06-01 10:00"}
        for customer, invoice in (("ann", "1"), ("bob", "2"))
    ]
    given = [
        (2, "ann", "1", 1, "0.3"),
        (2, "ann", "2", 2, "0.1"),
        (2, "eve", "1", 3, "0.2"),
        (2, "eve", None, 9, "0.4"),
        (3, "bob", "2", 1, "1"),
        (3, "bob", "2", 1, "1"),
        (4, "bob", "2", 1, "1"),
    ]
    made = tables(returns=given)
    found = by_day(features.returns_measured(clean_lines(sold), made["orders"], made["returns"], JUNE[1:4]))
    assert found["unknown_orders"].tolist() == [2, 0, 0]
    assert found["unmatched_share"].tolist() == pytest.approx([0.4, 0, 0])
    assert found["repeated_keys"].tolist() == [0, 1, 0]
    assert found["amount"].tolist() == [1, 2, 1]
    assert found["orders_less_returns"].tolist() == [-1, -2, -1]


# --- features ---------------------------------------------------------------------------------------------------------


def test_features_of_several_days_and_what_was_known_by_then_agree_with_pandas(by_day, derived, goods):
    _, ordered, given_back = derived
    nights = [rfm.rfm_features(ordered, given_back, as_of=day, measure="items", recent_days=90) for day in JUNE]
    found = by_day(features.features_measured(ordered, given_back, ibis.union(*nights), JUNE))
    for day in JUNE:
        so_far = goods[goods["date"] <= day]
        buyers = so_far.loc[so_far["kind"] == "sale", "customer"].unique()
        money = so_far[so_far["customer"].isin(buyers)].groupby("customer")["amount"].sum()
        row = found.loc[day]
        assert row["rows"] == row["customers"] == row["known_customers"] == len(buyers)
        assert row["monetary"] == row["net_sales"] == money.sum()
        assert row["median_monetary"] == pytest.approx(float(np.median(money.astype(float))))
    assert not found[["impossible_rows", "orders_after_the_day"]].to_numpy().any()


def test_what_was_given_back_before_the_first_order_counts_from_that_order_on(by_day, tables):
    given = {
        "orders": [(3, "ann", "1", 1, "10"), (1, "bob", "2", 1, "0.1"), (5, "bob", "3", 1, "0.2")],
        "returns": [
            (1, "ann", None, 1, "4"),
            (2, "bob", "2", 1, "0.1"),
            (2, "eve", None, 1, "99"),
            (4, "ann", "1", 1, "1"),
        ],
    }
    found = by_day(features.features_measured(*tables(**given).values(), JUNE[:6]))
    assert found["known_customers"].tolist() == [1, 1, 2, 2, 2, 2]
    assert found["net_sales"].tolist() == [Decimal(money) for money in ("0.1", "0", "6", "5", "5.2", "5.2")]


def test_days_before_anybody_bought_know_nobody(by_day, tables):
    made = tables(orders=[(3, "ann", "1", 1, "10")], returns=[(1, "ann", None, 1, "4")])
    found = by_day(features.features_measured(*made.values(), JUNE[:2]))
    assert found[["known_customers", "net_sales", "rows", "monetary"]].to_numpy().tolist() == [[0] * 4] * 2
    assert found[["least_recency_days", "median_frequency", "median_monetary"]].isna().all(axis=None)


def test_features_that_contradict_themselves_are_counted(by_day, tables):
    given = [
        (3, "ann", 0, 1, "5", 3),
        (3, "bob", None, 0, "0", None),
        (3, "eve", None, 2, "1", None),
        (3, "joe", 1, 0, "1", 2),
        (3, "sue", 9, -1, "1", 1),
        (3, "sue", -1, 4, "-7.5", 4),
    ]
    row = by_day(features.features_measured(*tables(features=given).values(), JUNE[2:3])).iloc[0]
    assert row[["rows", "customers", "impossible_rows", "orders_after_the_day"]].tolist() == [6, 5, 3, 1]
    assert row[["least_recency_days", "median_recency_days", "median_frequency"]].tolist() == [-1, 0.5, 0.5]
    assert row[["median_monetary", "monetary"]].tolist() == [1, Decimal("0.5")]


def test_profiles_have_their_declared_columns_in_their_types(clean_lines, tables):
    clean, made = clean_lines([]), tables()
    ordered, given_back, known = made.values()
    assert features.orders_measured(clean, ordered, JUNE).schema() == declared(features.ORDERS_COLUMNS)
    assert features.returns_measured(clean, ordered, given_back, JUNE).schema() == declared(features.RETURNS_COLUMNS)
    assert features.features_measured(ordered, given_back, known, JUNE).schema() == declared(features.FEATURES_COLUMNS)
