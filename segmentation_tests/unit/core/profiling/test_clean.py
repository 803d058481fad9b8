"""Profile of cleaning: rows and money reconcile by day, kind, reason and rule, and a day's sales are as pandas sees them."""

from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from segmentation_pipeline.core import cleaning, schema
from segmentation_pipeline.core.profiling import clean

DAYS = [date(2011, 6, day) for day in (1, 2, 3)]
EMPTY = DAYS[2]
SECOND_DAY = {"date": DAYS[1], "invoiced_at": "2011-06-02 09:00:00"}
ROWS = (
    {"quantity": "2", "unit_price": "5"},
    {"quantity": "1", "unit_price": "5", "customer_id": None},
    {"quantity": "-1", "unit_price": "5"},
    {"quantity": "1", "unit_price": "18", "product_id": "POST"},
    {"quantity": "0", "unit_price": "0"},
    {"quantity": "3", "unit_price": "-4"},
    SECOND_DAY | {"quantity": "7", "unit_price": "1"},
    SECOND_DAY | {"quantity": "7", "unit_price": "1"},
    {"date": date(2011, 5, 31), "quantity": "9"},
)
EXPECTED = {
    "raw_rows": (6, 2),
    "raw_amount": (16, 14),
    "accepted_rows": (4, 1),
    "sale_rows": (2, 1),
    "return_rows": (1, 0),
    "adjustment_rows": (1, 0),
    "guest_rows": (1, 0),
    "orders": (1, 1),
    "customers": (1, 1),
    "revenue": (28, 7),
    "guest_revenue": (5, 0),
    "quarantined_rows": (2, 1),
    "quarantined_amount": (-12, 7),
    "quarantined_share": (2 / 6, 1 / 2),
    "placed_rows": (6, 2),
    "placed_amount": (16, 14),
    "repeated_keys": (0, 0),
    "return_share": (1 / 3, 0),
    "reason_impossible_quantity": (1, 0),
    "reason_zero_price": (0, 0),
    "reason_negative_price": (1, 0),
    "reason_exact_duplicate": (0, 1),
    "failed_impossible_quantity": (1, 0),
    "failed_zero_price": (1, 0),
    "failed_negative_price": (1, 0),
    "failed_exact_duplicate": (0, 1),
}


@pytest.fixture(scope="module")
def cleaned(raw_rows, shop):
    """Raw rows, and what cleaning makes of them."""

    def run(*rows, **settings):
        raw = raw_rows(*rows)
        rejected = cleaning.rejected(raw, shop(**settings))
        return raw, cleaning.accepted(raw, rejected, shop(**settings)), rejected

    return run


@pytest.fixture(scope="module")
def profile(engine, shop):
    """The profile of raw, accepted and quarantined rows, by day."""

    def run(raw, accepted, rejected, days=DAYS, **settings):
        found = engine.to_pandas(clean.measured(raw, accepted, rejected, days, shop(**settings)))
        return found.set_index(found["date"].dt.date).sort_index()

    return run


@pytest.fixture(scope="module")
def found(profile, cleaned):
    return profile(*cleaned(*ROWS))


@pytest.mark.parametrize("measure", EXPECTED)
def test_a_measure_is_what_was_counted_by_hand(found, measure):
    assert found.loc[DAYS[:2], measure].tolist() == pytest.approx(list(EXPECTED[measure]))


def test_a_day_without_rows_has_zeros_and_nothing_to_divide(found):
    assert found.index.tolist() == DAYS
    day = found.loc[EMPTY]
    numbers = [column.name for column in clean.COLUMNS if column.type in {"int64", "decimal(38, 4)"}]
    assert day[numbers].tolist() == [0] * len(numbers)
    assert day.drop([*numbers, "date"]).isna().all()


def test_a_profile_has_its_declared_columns_in_their_types(cleaned, shop):
    found = clean.measured(*cleaned(*ROWS), DAYS, shop()).schema()
    declared = (schema.Column("date", "date", ""), *clean.COLUMNS)
    assert found == schema.Table("profile", declared, ()).ibis_schema


def test_rows_by_reason_count_the_first_reason_and_every_failed_rule_of_all_days(found):
    assert clean.rows_by_reason(found).to_numpy().tolist() == [
        ["exact_duplicate", 1, 1, cleaning.DESCRIPTIONS["exact_duplicate"]],
        ["impossible_quantity", 1, 1, cleaning.DESCRIPTIONS["impossible_quantity"]],
        ["negative_price", 1, 1, cleaning.DESCRIPTIONS["negative_price"]],
        ["zero_price", 0, 1, cleaning.DESCRIPTIONS["zero_price"]],
    ]


def test_no_reason_is_listed_where_nothing_was_quarantined(found):
    listed = clean.rows_by_reason(found.loc[[EMPTY]])
    assert listed.empty
    assert listed.columns.tolist() == ["reason", "rows", "failed_rows", "description"]


def test_money_of_a_day_is_exact_where_floats_are_not(cleaned, profile):
    tenths = ({"invoice_id": str(number), "quantity": "1", "unit_price": "0.1"} for number in range(30))
    huge = ({"invoice_id": str(number), "quantity": "1000000", "unit_price": "1000000"} for number in range(100, 130))
    day = profile(*cleaned(*tenths, *huge)).loc[DAYS[0]]
    assert sum([0.1] * 30) != 3
    assert [day[name] for name in ("raw_amount", "revenue", "placed_amount")] == [Decimal("30000000000003.0000")] * 3


def test_a_row_that_is_lost_or_placed_twice_no_longer_reconciles(cleaned, profile):
    raw, accepted, rejected = cleaned(*ROWS)
    lost = profile(raw, accepted.filter(accepted.source_row != 1), rejected).loc[DAYS[0]]
    assert lost[["raw_rows", "placed_rows", "raw_amount", "placed_amount"]].tolist() == [6, 5, 16, 6]
    twice = profile(raw, accepted.union(accepted), rejected.union(rejected.filter(rejected.source_row == 6)))
    assert twice["repeated_keys"].tolist() == [5, 1, 0]
    assert twice["placed_rows"].tolist() == [11, 3, 0]


def test_totals_of_lines_reconcile_where_the_source_has_no_prices(cleaned, profile):
    totals = {"columns": {name: name for name in ("customer_id", "invoiced_at", "amount", "quantity")}}
    rows = ({"amount": "7.50", "quantity": "3"}, {"amount": "-2", "quantity": "1"}, {"amount": "0"}, {"amount": "x"})
    day = profile(*cleaned(*rows, **totals), **totals).loc[DAYS[0]]
    money = day[["raw_amount", "placed_amount", "revenue", "quarantined_amount"]]
    assert money.tolist() == [Decimal("5.5"), Decimal("5.5"), Decimal("5.5"), 0]
    assert day[["sale_rows", "return_rows", "least_price"]].tolist() == [1, 1, 2]


# --- what a day's sales look like -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lines() -> pd.DataFrame:
    """Two hundred lines of two days, at any minute of the day, of guests and others."""
    random = np.random.default_rng(4)
    moments = pd.Series(random.choice(pd.to_datetime(DAYS[:2]), 200)) + pd.to_timedelta(
        random.integers(0, 24 * 60, 200) * (random.random(200) < 0.97), "min"
    )
    return pd.DataFrame(
        {
            "at": moments,
            "invoice": random.integers(0, 60, 200).astype(str),
            "customer": random.choice(np.array(["ann", "bob", "eve", None], object), 200),
            "quantity": random.choice([-4, -1, 1, 2, 12, 100], 200),
            "amount": random.integers(-500, 5_000, 200) / 100,
            "price": [Decimal(int(pennies)) / 100 for pennies in random.integers(1, 3_000, 200)],
            "kind": random.choice(["sale", "return", "adjustment"], 200),
        }
    )


@pytest.fixture(scope="module")
def sold(engine, profile, cleaned, clean_lines, table_of, lines):
    rows = engine.to_pandas(clean_lines(lines.to_dict("records"))).assign(unit_price=lines["price"])
    accepted = table_of(schema.CLEAN_TRANSACTIONS, rows.astype(object).where(rows.notna(), None).to_dict("records"))
    raw, _, rejected = cleaned()
    return profile(raw, accepted, rejected)


def hours(day: pd.DataFrame) -> pd.Series:
    return (day["at"] - day["at"].dt.normalize()).dt.total_seconds() / 3600


WITNESSES = {
    "accepted_rows": len,
    "orders": lambda day: day["invoice"].nunique(),
    "customers": lambda day: day["customer"].nunique(),
    "guest_rows": lambda day: day["customer"].isna().sum(),
    "revenue": lambda day: day["amount"].sum(),
    "guest_revenue": lambda day: day.loc[day["customer"].isna(), "amount"].sum(),
    "return_share": lambda day: (day["kind"] == "return").sum() / (day["kind"] != "adjustment").sum(),
    "least_price": lambda day: day["price"].astype(float).min(),
    "price_p05": lambda day: np.percentile(day["price"].astype(float), 5),
    "median_price": lambda day: np.median(day["price"].astype(float)),
    "price_p95": lambda day: np.percentile(day["price"].astype(float), 95),
    "quantity_p05": lambda day: np.percentile(day["quantity"].abs(), 5),
    "median_quantity": lambda day: np.median(day["quantity"].abs()),
    "quantity_p95": lambda day: np.percentile(day["quantity"].abs(), 95),
    "early_hour": lambda day: np.percentile(hours(day), 5),
    "last_hour": lambda day: hours(day).max(),
    "midnight_share": lambda day: (hours(day) == 0).mean(),
}


@pytest.mark.parametrize("measure", WITNESSES)
def test_a_measure_of_the_sales_agrees_with_pandas(sold, lines, measure):
    expected = [float(WITNESSES[measure](day)) for _, day in lines.groupby(lines["at"].dt.date)]
    assert sold.loc[DAYS[:2], measure].astype(float).tolist() == pytest.approx(expected, rel=1e-9)


def test_hours_are_the_shops_and_moments_are_of_the_whole_world(profile, cleaned):
    """London is an hour ahead of UTC in June."""
    rows = [{"invoiced_at": f"2011-06-01 {time}"} for time in ("00:00:00", "00:00:30", "13:45:00")]
    day = profile(*cleaned(*rows)).loc[DAYS[0]]
    assert day["midnight_share"] == pytest.approx(1 / 3)
    assert day["last_hour"] == 13.75
    assert day["first_line_at"] == pd.Timestamp("2011-05-31 23:00", tz="UTC")
    assert day["last_line_at"] == pd.Timestamp("2011-06-01 12:45", tz="UTC")


def test_a_day_of_adjustments_has_no_share_of_returns(profile, cleaned):
    day = profile(*cleaned({"product_id": "POST"})).loc[DAYS[0]]
    assert day["adjustment_rows"] == 1
    assert pd.isna(day["return_share"])
