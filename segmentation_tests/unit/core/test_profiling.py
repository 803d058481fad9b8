"""Profiles of cleaning: counts and money that reconcile, by day, kind, reason and rule."""

from datetime import date
from decimal import Decimal

import pandas as pd
import pytest

from segmentation_pipeline.core import cleaning, profiling, schema

SECOND_DAY = {"date": date(2011, 6, 2), "invoiced_at": "2011-06-02 09:00:00"}
ROWS = (
    {"quantity": "2", "unit_price": "5"},
    {"quantity": "1", "unit_price": "5", "customer_id": None},
    {"quantity": "-1", "unit_price": "5"},
    {"quantity": "1", "unit_price": "18", "product_id": "POST"},
    {"quantity": "0", "unit_price": "0"},
    {"quantity": "3", "unit_price": "-4"},
    SECOND_DAY | {"quantity": "7", "unit_price": "1"},
    SECOND_DAY | {"quantity": "7", "unit_price": "1"},
)
EXPECTED = {
    ("06-01", "raw", "all"): (6, 16),
    ("06-01", "accepted", "sale"): (2, 15),
    ("06-01", "accepted", "return"): (1, -5),
    ("06-01", "accepted", "adjustment"): (1, 18),
    ("06-01", "guest", "all"): (1, 5),
    ("06-01", "quarantined", "impossible_quantity"): (1, 0),
    ("06-01", "quarantined", "negative_price"): (1, -12),
    ("06-01", "failed_rule", "impossible_quantity"): (1, 0),
    ("06-01", "failed_rule", "zero_price"): (1, 0),
    ("06-01", "failed_rule", "negative_price"): (1, -12),
    ("06-02", "raw", "all"): (2, 14),
    ("06-02", "accepted", "sale"): (1, 7),
    ("06-02", "quarantined", "exact_duplicate"): (1, 7),
    ("06-02", "failed_rule", "exact_duplicate"): (1, 7),
}


@pytest.fixture(scope="module")
def profile(raw_rows, shop):
    raw = raw_rows(*ROWS)
    classified = cleaning.classify(raw, shop())
    return profiling.cleaning_profile(raw, cleaning.accepted(classified, shop()), cleaning.rejected(classified), shop())


def test_a_profile_counts_rows_and_money_of_every_kind(engine, profile):
    found = engine.to_pandas(profile)
    assert {
        (day.strftime("%m-%d"), measure, item): (rows, amount)
        for day, measure, item, rows, amount in found.itertuples(index=False)
    } == EXPECTED


def test_a_profile_has_the_columns_of_its_table(profile):
    assert profile.schema() == schema.CLEANING_PROFILE.ibis_schema


def test_rows_by_day_reconcile(engine, profile):
    found = engine.to_pandas(profiling.rows_by_day(profile))
    assert found["date"].tolist() == [pd.Timestamp("2011-06-01"), pd.Timestamp("2011-06-02")]
    assert found["raw_rows"].tolist() == [6, 2]
    assert found["accepted_rows"].tolist() == [4, 1]
    assert found["quarantined_rows"].tolist() == [2, 1]
    assert found["guest_rows"].tolist() == [1, 0]
    assert found["revenue"].tolist() == [28.0, 7.0]
    assert found["guest_revenue"].tolist() == [5.0, 0.0]


def test_rows_by_reason_count_the_first_reason_and_every_failed_rule(engine, profile):
    found = engine.to_pandas(profiling.rows_by_reason(profile))
    assert found.to_numpy().tolist() == [
        ["exact_duplicate", 1, 1],
        ["impossible_quantity", 1, 1],
        ["negative_price", 1, 1],
        ["zero_price", 0, 1],
    ]


def test_money_of_a_day_is_exact_where_floats_are_not(engine, raw_rows, shop):
    raw = raw_rows(*({"invoice_id": str(number), "quantity": "1", "unit_price": "0.1"} for number in range(30)))
    classified = cleaning.classify(raw, shop())
    parts = cleaning.accepted(classified, shop()), cleaning.rejected(classified)
    found = engine.to_pandas(profiling.cleaning_profile(raw, *parts, shop()))
    assert found.set_index("measure")["amount"].to_dict() == {"raw": Decimal(3), "accepted": Decimal(3)}
