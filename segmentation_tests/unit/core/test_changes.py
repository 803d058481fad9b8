"""Changes: who is in another segment than before."""

import random
from datetime import date
from decimal import Decimal

import pandas as pd
import pytest

from segmentation_pipeline.core import changes, naming, schema
from segmentation_pipeline.settings.archetypes import NET_ZERO

BEFORE, AFTER = date(2011, 5, 1), date(2011, 6, 1)
NAMES = {0: NET_ZERO, 1: "Best", 2: "Rest"}
ACTIONS = {0: naming.NET_ZERO_ACTION, 1: "Thank them.", 2: "Wake them."}


@pytest.fixture(scope="module")
def snapshot(table_of):
    """A day's customers `(id, segment_id, recency_days, monetary)`, under names that may differ."""

    def build(day, customers, names=NAMES):
        keys = ("customer_id", "segment_id", "recency_days", "monetary")
        rows = [dict(zip(keys, customer, strict=True)) for customer in customers]
        return table_of(
            schema.CUSTOMER_SEGMENTS,
            [
                row | {"date": day, "segment": names[row["segment_id"]], "frequency": 1, "model_version": 1}
                for row in rows
            ],
        )

    return build


@pytest.fixture(scope="module")
def changed(engine, snapshot):
    """The changes by customer."""

    def run(before, after, names_before=NAMES, since=BEFORE):
        told = changes.segment_changes(
            snapshot(BEFORE, before, names_before), snapshot(AFTER, after), ACTIONS, AFTER, since
        )
        found = engine.to_pandas(told).astype(object)
        assert found["customer_id"].is_unique
        return {row["customer_id"]: row for row in found.where(found.notna(), None).to_dict("records")}

    return run


def test_only_who_is_in_another_segment_is_told_of(changed):
    found = changed(
        [("ann", 1, 5, 100), ("bob", 1, 9, 50), ("eve", 2, 3, 7)],
        [("ann", 1, 36, 130), ("bob", 2, 40, 50), ("joe", 1, 2, 70)],
    )
    assert {customer: row["change"] for customer, row in found.items()} == {"bob": "moved", "eve": "gone", "joe": "new"}
    assert found["bob"] == {
        "customer_id": "bob",
        "change": "moved",
        "segment_before": "Best",
        "segment": "Rest",
        "action": "Wake them.",
        "recency_days": 40,
        "frequency": 1,
        "monetary": Decimal(50),
        "as_of": pd.Timestamp(AFTER),
        "since": pd.Timestamp(BEFORE),
    }


def test_of_who_is_gone_only_the_segment_before_is_known(changed):
    gone = changed([("eve", 2, 3, 7)], [])["eve"]
    assert gone["segment_before"] == "Rest"
    assert all(gone[name] is None for name in ("segment", "action", "recency_days", "frequency", "monetary"))


def test_who_is_new_comes_from_no_segment(changed):
    assert changed([], [("ann", 0, None, 0)])["ann"]["segment_before"] is None


def test_a_segment_with_another_name_is_told_of_without_a_move(changed):
    found = changed([("ann", 1, 5, 100), ("bob", 2, 5, 9)], [("ann", 1, 5, 100), ("bob", 2, 5, 9)], NAMES | {1: "Top"})
    assert {name: (row["change"], row["segment_before"], row["segment"]) for name, row in found.items()} == {
        "ann": ("renamed", "Top", "Best")
    }


def test_two_segments_that_swap_names_move_nobody(changed):
    customers = [("ann", 1, 5, 100), ("bob", 2, 5, 9)]
    found = changed(customers, customers, {0: "Net zero", 1: "Rest", 2: "Best"})
    assert {row["change"] for row in found.values()} == {"renamed"}


def test_without_an_earlier_day_everyone_is_new_since_no_day(changed):
    found = changed([], [("ann", 1, 5, 100), ("bob", 0, None, -5)], since=None)
    assert {(row["change"], row["since"]) for row in found.values()} == {("new", None)}
    assert found["bob"]["action"] == naming.NET_ZERO_ACTION


def test_an_unchanged_shop_tells_nothing(changed):
    assert not changed([("ann", 1, 5, 100)], [("ann", 1, 36, 120)])


def test_columns_and_their_types_are_those_declared(snapshot):
    told = changes.segment_changes(snapshot(BEFORE, []), snapshot(AFTER, []), ACTIONS, AFTER, None)
    assert told.schema() == schema.SEGMENT_EXPORT.ibis_schema


def test_changes_agree_with_a_merge_in_pandas(changed):
    pick = random.Random(5)
    earlier, later = (
        [(f"c{number}", pick.choice((0, 1, 2)), 3, 5) for number in pick.sample(range(300), 200)] for _ in range(2)
    )
    frames = [pd.DataFrame(rows, columns=["id", "segment", "r", "m"]) for rows in (earlier, later)]
    merged = frames[0].merge(frames[1], on="id", how="outer", suffixes=("_before", ""), indicator="where")
    words = {"left_only": "gone", "right_only": "new", "both": "moved"}
    expected = {
        row["id"]: words[row["where"]]
        for row in merged.to_dict("records")
        if row["where"] != "both" or row["segment"] != row["segment_before"]
    }
    assert {customer: row["change"] for customer, row in changed(earlier, later).items()} == expected
