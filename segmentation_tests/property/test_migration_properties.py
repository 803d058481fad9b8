"""Migration between any two snapshots loses nobody and nothing, and agrees with a merge in pandas."""

from datetime import date
from decimal import Decimal

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segmentation_pipeline.core import migration, naming, schema
from segmentation_pipeline.settings.archetypes import NET_ZERO

BEFORE, AFTER = date(2011, 5, 1), date(2011, 6, 1)
DAYS_BACK = (AFTER - BEFORE).days
INACTIVE_DAYS = 90
NAMES = {naming.NET_ZERO_ID: NET_ZERO, 1: "Best", 2: "Rest", 3: "Third"}
PAIR = ["from_segment_id", "from_segment", "to_segment_id", "to_segment"]
NUMBERS = ["customers", "revenue_before", "revenue_after", "reactivated_customers", "lost_customers"]

many = settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@st.composite
def customers(draw):
    """Customers of two days, each in either snapshot or in both; the later day has at least one."""
    state = st.tuples(
        st.sampled_from(list(NAMES)), st.sampled_from([0, 1, 89, 90, 91, 500]), st.decimals(-50, 5_000, places=2)
    )
    drawn = draw(st.lists(st.tuples(st.sampled_from(["both", "both", "new", "gone"]), state, state), max_size=40))
    rows = [_row(AFTER, "always", *draw(state))]
    for number, (where, earlier, later) in enumerate(drawn):
        if where != "new":
            rows.append(_row(BEFORE, str(number), *earlier))
        if where != "gone":
            rows.append(_row(AFTER, str(number), *later))
    return rows


def _row(day, customer, segment_id, recency_days, monetary):
    return {
        "date": day,
        "customer_id": customer,
        "segment_id": segment_id,
        "segment": NAMES[segment_id],
        "recency_days": None if segment_id == naming.NET_ZERO_ID else recency_days,
        "frequency": 1,
        "monetary": monetary,
        "model_version": 4,
    }


@pytest.fixture(scope="session")
def flows(prepared):
    def results(given):
        before, after = (given.filter(given.date == day) for day in (BEFORE, AFTER))
        return {"flows": migration.segment_migration(before, after, DAYS_BACK, INACTIVE_DAYS).order_by(PAIR)}

    run = prepared(schema.CUSTOMER_SEGMENTS, results)
    return lambda rows: run(rows, "flows")[0]


def sums(rows, day):
    """Segment of a day to its customers and revenue."""
    found = {}
    for row in rows:
        if row["date"] == day:
            size, revenue = found.get(row["segment"], (0, Decimal(0)))
            found[row["segment"]] = (size + 1, revenue + row["monetary"])
    return found


def totals(flows, segment, revenue):
    by_segment = flows.groupby(segment)[["customers", revenue]].sum()
    return {name: tuple(row) for name, row in zip(by_segment.index, by_segment.to_numpy(), strict=True)}


@many
@given(rows=customers())
def test_rows_add_up_to_the_earlier_day_and_columns_to_the_later(flows, rows):
    found = flows(rows)
    assert totals(found[found["from_segment"] != "New"], "from_segment", "revenue_before") == sums(rows, BEFORE)
    assert totals(found[found["to_segment"] != "Gone"], "to_segment", "revenue_after") == sums(rows, AFTER)
    assert not (found.loc[found["from_segment"] == "New", "revenue_before"] != 0).any()
    assert not (found.loc[found["to_segment"] == "Gone", "revenue_after"] != 0).any()


@many
@given(rows=customers())
def test_every_customer_of_either_day_is_in_one_row(flows, rows):
    found = flows(rows)
    assert found["customers"].sum() == len({row["customer_id"] for row in rows})
    assert (found["customers"] > 0).all()
    assert not found.duplicated(PAIR).any()
    assert not ((found["from_segment"] == "New") & (found["to_segment"] == "Gone")).any()
    assert (found["reactivated_customers"] + found["lost_customers"] <= found["customers"]).all()


@many
@given(rows=customers())
def test_an_unchanged_shop_has_nobody_moving(flows, rows):
    today = [row for row in rows if row["date"] == AFTER]
    found = flows([row | {"date": day} for row in today for day in (BEFORE, AFTER)])
    assert (found["from_segment_id"] == found["to_segment_id"]).all()
    assert (found["revenue_before"] == found["revenue_after"]).all()
    assert (found[["reactivated_customers", "lost_customers"]] == 0).all(axis=None)
    assert totals(found, "from_segment", "revenue_before") == sums(rows, AFTER)


@many
@given(rows=customers())
def test_flows_agree_with_a_merge_in_pandas(flows, rows):
    frame = pd.DataFrame(rows, columns=[*rows[0]]).astype(object)
    earlier, later = (frame[frame["date"] == day] for day in (BEFORE, AFTER))
    merged = earlier.merge(later, on="customer_id", how="outer", suffixes=("_before", "_after"), indicator="where")
    expected = {}
    for row in merged.to_dict("records"):
        there, here = row["where"] != "right_only", row["where"] != "left_only"
        was_active = there and not pd.isna(row["recency_days_before"]) and row["recency_days_before"] <= INACTIVE_DAYS
        is_active = here and not pd.isna(row["recency_days_after"]) and row["recency_days_after"] <= INACTIVE_DAYS
        pair = (
            *((row["segment_id_before"], row["segment_before"]) if there else (-1, "New")),
            *((row["segment_id_after"], row["segment_after"]) if here else (-2, "Gone")),
        )
        counted = expected.setdefault(pair, [0, Decimal(0), Decimal(0), 0, 0])
        counted[0] += 1
        counted[1] += row["monetary_before"] if there else 0
        counted[2] += row["monetary_after"] if here else 0
        counted[3] += there and here and is_active and not was_active
        counted[4] += there and here and was_active and not is_active
    found = flows(rows)
    assert {tuple(row[PAIR]): list(row[NUMBERS]) for _, row in found.iterrows()} == expected
