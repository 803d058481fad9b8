"""Delta files lose nobody: applied one after the other to nothing, they give the last day's segments."""

from datetime import date, timedelta

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segmentation_pipeline.core import changes, schema

BEFORE, AFTER = date(2011, 5, 1), date(2011, 5, 2)
IDS = (0, 1, 2, 3)
ACTIONS = {number: f"do {number}" for number in IDS}

many = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])

# A day: customer to segment, and a segment's names, which a refit may change.
days = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from([f"c{number}" for number in range(12)]), st.sampled_from(IDS), max_size=12),
        st.fixed_dictionaries({number: st.sampled_from(["Best", "Rest", "Third"]) for number in IDS}),
    ),
    min_size=1,
    max_size=6,
)


@pytest.fixture(scope="session")
def delta(prepared):
    """From the segments of two days, by customer, the rows of the export."""

    def results(given):
        before, after = (given.filter(given.date == day) for day in (BEFORE, AFTER))
        return {"changes": changes.segment_changes(before, after, ACTIONS, AFTER, BEFORE)}

    run = prepared(schema.CUSTOMER_SEGMENTS, results)

    def between(earlier, later):
        rows = [*_rows(BEFORE, *earlier), *_rows(AFTER, *later)]
        found = run(rows, "changes")[0].astype(object)
        return found.where(found.notna(), None).to_dict("records")

    return between


def _rows(day, customers, names):
    return [
        {"date": day, "customer_id": customer, "segment_id": segment, "segment": names[segment], "frequency": 1}
        for customer, segment in customers.items()
    ]


def _named(customers, names):
    return {customer: names[segment] for customer, segment in customers.items()}


@many
@given(nights=days)
def test_deltas_applied_in_order_give_the_segments_of_every_day(delta, nights):
    known, before = {}, ({}, {})
    for night in nights:
        for row in delta(before, night):
            assert known.get(row["customer_id"]) == row["segment_before"]
            known[row["customer_id"]] = row["segment"]
            if row["change"] == changes.GONE:
                del known[row["customer_id"]]
        assert known == _named(*night)
        before = night


@many
@given(nights=days)
def test_a_change_is_called_by_what_happened_and_no_customer_is_told_of_twice(delta, nights):
    (was, old), (now, new) = nights[0], nights[-1]
    told = delta((was, old), (now, new))
    assert len({row["customer_id"] for row in told}) == len(told)
    for row in told:
        customer = row["customer_id"]
        expected = (
            changes.NEW
            if customer not in was
            else changes.GONE
            if customer not in now
            else changes.MOVED
            if was[customer] != now[customer]
            else changes.RENAMED
        )
        assert row["change"] == expected
        assert row["action"] == (ACTIONS[now[customer]] if customer in now else None)
        assert pd.Timestamp(row["since"]) + timedelta(days=1) == pd.Timestamp(row["as_of"])
