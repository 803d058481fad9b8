"""Migration: who moved from which segment to which, with how much revenue."""

from datetime import date
from decimal import Decimal

import pytest

from segmentation_pipeline.core import migration, schema
from segmentation_pipeline.settings.archetypes import NET_ZERO

BEFORE, AFTER = date(2011, 5, 1), date(2011, 6, 1)
DAYS_BACK = (AFTER - BEFORE).days
INACTIVE_DAYS = 90
NAMES = {0: NET_ZERO, 1: "Best", 2: "Rest", -1: migration.NEW, -2: migration.GONE}


@pytest.fixture(scope="module")
def snapshot(table_of):
    """A day's customers `(id, segment_id, recency_days, monetary)`."""

    def build(day, customers, version=1):
        return table_of(
            schema.CUSTOMER_SEGMENTS,
            [
                {
                    "date": day,
                    "customer_id": customer,
                    "segment_id": segment_id,
                    "segment": NAMES[segment_id],
                    "recency_days": recency_days,
                    "monetary": Decimal(str(monetary)),
                    "model_version": version,
                }
                for customer, segment_id, recency_days, monetary in customers
            ],
        )

    return build


@pytest.fixture(scope="module")
def flows(engine, snapshot):
    """The rows of the migration, by `(from_segment_id, to_segment_id)`."""

    def run(before, after, inactive_days=INACTIVE_DAYS):
        found = engine.to_pandas(
            migration.segment_migration(snapshot(BEFORE, before), snapshot(AFTER, after, 2), DAYS_BACK, inactive_days)
        )
        assert not found.duplicated(["from_segment_id", "to_segment_id"]).any()
        return {(row["from_segment_id"], row["to_segment_id"]): row for row in found.to_dict("records")}

    return run


def numbers(row):
    return tuple(row[name] for name in ("customers", "revenue_before", "revenue_after"))


def activity(row):
    return row["reactivated_customers"], row["lost_customers"]


def test_who_stays_and_who_moves(flows):
    found = flows(
        [("ann", 1, 5, 100), ("bob", 1, 9, 50), ("eve", 1, 3, 7), ("joe", 2, 40, 10)],
        [("ann", 1, 2, 130), ("bob", 1, 40, 50), ("eve", 2, 34, 7), ("joe", 2, 71, 10)],
    )
    assert {pair: numbers(row) for pair, row in found.items()} == {
        (1, 1): (2, 150, 180),
        (1, 2): (1, 7, 7),
        (2, 2): (1, 10, 10),
    }
    assert (found[1, 2]["from_segment"], found[1, 2]["to_segment"]) == ("Best", "Rest")


def test_new_customers_bring_no_revenue_from_before(flows):
    found = flows([("ann", 1, 5, 100)], [("ann", 1, 36, 100), ("bob", 2, 3, 20.5), ("eve", 2, 3, 1)])
    assert numbers(found[migration.NEW_ID, 2]) == (2, 0, Decimal("21.5"))
    assert found[migration.NEW_ID, 2]["from_segment"] == migration.NEW
    assert activity(found[migration.NEW_ID, 2]) == (0, 0)


def test_who_was_deleted_is_gone_and_takes_the_revenue_along(flows):
    found = flows([("ann", 1, 5, 100), ("bob", 2, 3, 20)], [("ann", 1, 36, 100)])
    gone = found[2, migration.GONE_ID]
    assert numbers(gone) == (1, 20, 0)
    assert gone["to_segment"] == migration.GONE
    assert activity(gone) == (0, 0)


def test_every_row_has_both_days_and_the_later_model(flows):
    found = flows([("ann", 1, 5, 100), ("bob", 2, 3, 20)], [("ann", 2, 36, 100), ("eve", 2, 3, 20)])
    assert set(found) == {(1, 2), (2, migration.GONE_ID), (migration.NEW_ID, 2)}
    for row in found.values():
        assert (row["date"].date(), row["compared_with"].date(), row["model_version"]) == (AFTER, BEFORE, 2)


@pytest.mark.parametrize(
    ("recency_before", "recency_after", "expected"),
    [
        (91, 0, (1, 0)),
        (90, 0, (0, 0)),
        (None, 90, (1, 0)),
        (200, 91, (0, 0)),
        (90, 91, (0, 1)),
        (60, 90, (0, 0)),
        (60, None, (0, 1)),
        (None, None, (0, 0)),
    ],
)
def test_active_is_up_to_and_including_the_limit(flows, recency_before, recency_after, expected):
    found = flows([("ann", 1, recency_before, 10)], [("ann", 1, recency_after, 10)])
    assert activity(found[1, 1]) == expected


def test_net_zero_is_a_segment_like_any_other_here(flows):
    found = flows([("ann", 0, None, -5), ("bob", 1, 5, 10)], [("ann", 2, 1, 20), ("bob", 0, None, 0)])
    assert numbers(found[0, 2]) == (1, -5, 20)
    assert activity(found[0, 2]) == (1, 0)
    assert numbers(found[1, 0]) == (1, 10, 0)
    assert activity(found[1, 0]) == (0, 1)


def test_before_the_first_customer_everyone_is_new(flows):
    found = flows([], [("ann", 1, 3, 20)])
    assert {pair: numbers(row) for pair, row in found.items()} == {(migration.NEW_ID, 1): (1, 0, 20)}


def test_two_days_of_one_table_can_be_compared(engine, snapshot):
    both = snapshot(BEFORE, [("ann", 1, 5, 100)]).union(snapshot(AFTER, [("ann", 2, 36, 100)]))
    before, after = (both.filter(both.date == day) for day in (BEFORE, AFTER))
    found = engine.to_pandas(migration.segment_migration(before, after, DAYS_BACK, INACTIVE_DAYS))
    assert found[["from_segment_id", "to_segment_id", "customers"]].to_numpy().tolist() == [[1, 2, 1]]


def test_columns_and_their_types(snapshot):
    found = migration.segment_migration(snapshot(BEFORE, []), snapshot(AFTER, []), DAYS_BACK, INACTIVE_DAYS)
    assert {name: str(type_).removeprefix("!") for name, type_ in found.schema().items()} == {
        "date": "date",
        "compared_with": "date",
        "from_segment_id": "int64",
        "from_segment": "string",
        "to_segment_id": "int64",
        "to_segment": "string",
        "customers": "int64",
        "revenue_before": "decimal(18, 4)",
        "revenue_after": "decimal(18, 4)",
        "reactivated_customers": "int64",
        "lost_customers": "int64",
        "model_version": "int64",
    }
    assert found.columns[:4] == ("date", "compared_with", "from_segment_id", "from_segment")
