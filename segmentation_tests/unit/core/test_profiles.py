"""Segment profiles: shares, medians, looks and change of each segment of a day, and what to do about it."""

from datetime import date
from decimal import Decimal

import ibis
import numpy as np
import pandas as pd
import pytest

from segmentation_pipeline.core import migration, naming, profiles, schema
from segmentation_pipeline.core.clustering.preprocessing import Scaling
from segmentation_pipeline.core.clustering.scoring import RFM, Segment, SegmentationModel
from segmentation_pipeline.settings.archetypes import NET_ZERO

DAYS = [date(2011, 6, 1), date(2011, 6, 2)]
EARLIER = date(2011, 5, 2)
SCALINGS = (
    Scaling("recency_days", 0.0, 300.0, 4.0, 1.5),
    Scaling("monetary", 5.0, 9_000.0, 6.0, 1.2),
)
MODEL = SegmentationModel(
    scalings=SCALINGS,
    segments=(Segment(1, "Best", "#111111", "keep", (0.0, 1.0)), Segment(2, "Rest", "#222222", "grow", (1.0, 0.0))),
    score_cuts={},
    components=np.eye(2),
    component_shares=(0.5, 0.5),
    described_by=(SCALINGS[0], Scaling("frequency", 1.0, 40.0, 1.2, 0.7), SCALINGS[1]),
    reference=(),
    card={},
)
NAMES = {0: NET_ZERO, 1: "Best", 2: "Rest"}
TOLD = ("GBP", 90)

# From, to and how many customers; on the second day there is nothing to compare with.
FLOWS = [(1, 1, 30), (1, 2, 4), (2, 2, 50), (2, 0, 6), (2, migration.GONE_ID, 1), (migration.NEW_ID, 2, 10)]
BEFORE = {0: 0, 1: 34, 2: 57}  # nobody was Net zero


@pytest.fixture(scope="module")
def customers() -> pd.DataFrame:
    random = np.random.default_rng(9)
    segment_ids = random.choice([0, 1, 2], 300, p=[0.1, 0.3, 0.6])
    recency = pd.array(random.integers(0, 200, 300), dtype="Int64")
    recency[segment_ids == 0] = pd.NA
    return pd.DataFrame(
        {
            "date": random.choice(DAYS, 300),
            "customer_id": [str(number) for number in range(300)],
            "segment_id": segment_ids,
            "segment": [NAMES[number] for number in segment_ids],
            "recency_days": recency,
            "frequency": np.where(segment_ids == 0, 0, random.integers(1, 9, 300)),
            "monetary": np.where(segment_ids == 0, -1.0, random.lognormal(5, 1, 300).round(2)),
            "recent_revenue": random.choice([0.0, 12.34, 80.05, 1_999.99], 300),
            "model_version": 4,
        }
    )


@pytest.fixture(scope="module")
def measure(engine, table_of):
    """Measures of customers, whose features are known on the other day too, with other amounts."""

    def run(customers):
        rows = [
            row | {name: Decimal(str(row[name])) for name in ("monetary", "recent_revenue")}
            for row in customers.astype(object).where(customers.notna(), None).to_dict("records")
        ]
        other_day = [row | {"date": DAYS[row["date"] == DAYS[0]], "recent_revenue": Decimal(7_777)} for row in rows]
        segments, features = table_of(schema.CUSTOMER_SEGMENTS, rows), table_of(schema.RFM_FEATURES, rows + other_day)
        return engine.to_pandas(profiles.measured(segments, features))

    return run


@pytest.fixture(scope="module")
def measures(measure, customers):
    return measure(customers)


@pytest.fixture(scope="module")
def earlier(engine, table_of):
    """What `before` finds in flows into the first day."""

    def run(flows):
        rows = [
            {
                "date": DAYS[0],
                "compared_with": EARLIER,
                "from_segment_id": source,
                "to_segment_id": to,
                "customers": number,
            }
            for source, to, number in flows
        ]
        return engine.to_pandas(profiles.before(table_of(schema.SEGMENT_MIGRATION, rows)))

    return run


@pytest.fixture(scope="module")
def finished(measures, earlier):
    return profiles.finished(measures, earlier(FLOWS), MODEL, *TOLD)


@pytest.fixture(scope="module")
def groups(customers):
    return customers.groupby(["date", "segment_id"])


def test_profiles_have_the_columns_of_their_table_by_day_and_segment(finished, groups):
    assert finished.columns.tolist() == schema.SEGMENT_PROFILES.names
    found = list(zip(finished["date"].dt.date, finished["segment_id"], strict=True))
    assert found == list(groups.groups)


def test_customers_and_revenue_agree_with_pandas(finished, groups):
    assert finished["customers"].tolist() == groups.size().tolist()
    expected = groups["monetary"].sum()
    np.testing.assert_allclose(finished["revenue"].astype(float), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("feature", RFM)
@pytest.mark.parametrize(("name", "share"), [("p25", 0.25), ("median", 0.5), ("p75", 0.75)])
def test_quartiles_agree_with_pandas(finished, groups, feature, name, share):
    expected = groups[feature].quantile(share).astype("Float64").to_numpy(dtype=float, na_value=np.nan)
    np.testing.assert_allclose(finished[f"{feature}_{name}"], expected, rtol=1e-12)


def test_shares_of_a_day_add_up_to_one(finished, customers):
    np.testing.assert_allclose(finished.groupby("date")[["customer_share", "revenue_share"]].sum(), 1, atol=1e-12)
    first = finished.iloc[1]
    of_day = customers[customers["date"] == first["date"].date()]
    assert first["customer_share"] == pytest.approx((of_day["segment_id"] == 1).mean())
    best = of_day.loc[of_day["segment_id"] == 1, "monetary"].sum()
    assert first["revenue_share"] == pytest.approx(best / of_day["monetary"].sum())


def test_centres_are_the_medians_as_the_model_describes_them_also_of_a_feature_it_does_not_cluster_by(finished):
    named = finished[finished["segment_id"] != naming.NET_ZERO_ID]
    assert len(MODEL.described_by) == len(MODEL.scalings) + 1
    for scaling in MODEL.described_by:
        medians = named[f"{scaling.feature}_median"].to_numpy(dtype=float)
        expected = (np.log1p(medians) - scaling.mean) / scaling.scale
        np.testing.assert_allclose(named[f"{scaling.feature}_centre"].to_numpy(), expected, rtol=1e-12)


def test_net_zero_has_no_centre(finished):
    nothing = finished[finished["segment_id"] == naming.NET_ZERO_ID]
    assert len(nothing) == len(DAYS)
    assert nothing[[f"{feature}_centre" for feature in RFM]].isna().all(axis=None)


def test_looks_come_from_the_model_and_net_zero_has_its_own(finished):
    looks = {
        0: (naming.NET_ZERO_COLOR, naming.NET_ZERO_ACTION),
        1: ("#111111", "keep"),
        2: ("#222222", "grow"),
    }
    found = zip(finished["color"], finished["action"], strict=True)
    assert list(found) == [looks[number] for number in finished["segment_id"]]
    assert set(finished["model_version"]) == {4}


def test_profiles_do_not_depend_on_the_order_of_measures(measures, earlier, finished):
    shuffled = measures.sample(frac=1, random_state=1)
    before = earlier(FLOWS).sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(profiles.finished(shuffled, before, MODEL, *TOLD), finished)


# Change, and what to do about it


def of_day(profiles_of_days, day):
    return profiles_of_days[profiles_of_days["date"].dt.date == day].set_index("segment_id")


def test_recent_revenue_of_the_day_agrees_with_pandas(finished, groups):
    expected = groups["recent_revenue"].sum()
    np.testing.assert_allclose(finished["revenue_recent"].astype(float), expected, rtol=0, atol=1e-6)


def test_customers_before_are_all_who_left_a_segment_or_stayed_in_it(finished):
    found = of_day(finished, DAYS[0])
    assert found["customers_before"].to_dict() == BEFORE
    assert set(found["compared_with"].dt.date) == {EARLIER}


def test_a_segment_that_did_not_exist_before_had_no_customers(measures, earlier):
    everybody_is_new = [(migration.NEW_ID, number, 9) for number in (0, 1, 2)]
    found = of_day(profiles.finished(measures, earlier(everybody_is_new), MODEL, *TOLD), DAYS[0])
    assert found["customers_before"].tolist() == [0, 0, 0]
    assert set(found["compared_with"].dt.date) == {EARLIER}


def test_a_day_without_an_earlier_one_compares_with_nothing(finished, measures, earlier):
    nothing = of_day(finished, DAYS[1])
    assert nothing[["customers_before", "compared_with"]].isna().all(axis=None)
    assert not nothing["recommendation"].str.contains(" than on | as on ").any()
    never = profiles.finished(measures, earlier([]), MODEL, *TOLD)
    assert never[["customers_before", "compared_with"]].isna().all(axis=None)
    pd.testing.assert_frame_equal(of_day(never, DAYS[1]), nothing, check_dtype=False)


@pytest.mark.parametrize("flows", [FLOWS, []], ids=["compared", "nothing to compare with"])
def test_profiles_fit_their_table_in_the_lake(engine, measures, earlier, flows):
    made = profiles.finished(measures, earlier(flows), MODEL, *TOLD)
    stored = engine.to_pandas(schema.SEGMENT_PROFILES.conform(ibis.memtable(made)).order_by("date", "segment_id"))
    assert stored["customers_before"].isna().tolist() == made["customers_before"].isna().tolist()
    assert stored["customers_before"].dropna().tolist() == made["customers_before"].dropna().tolist()
    assert stored["compared_with"].notna().tolist() == made["compared_with"].notna().tolist()
    assert stored["recommendation"].tolist() == made["recommendation"].tolist()


def test_a_recommendation_tells_the_numbers_of_its_segment(finished, customers):
    present = customers[customers["date"] == DAYS[0]]
    best = present[present["segment_id"] == 1]
    recent, recent_of_all = best["recent_revenue"].sum(), present["recent_revenue"].sum()
    assert len(best) > BEFORE[1]
    assert of_day(finished, DAYS[0])["recommendation"][1] == (
        f"keep {len(best)} customers ({100 * len(best) / len(present):.0f}%) brought GBP {recent:,.0f} in the last 90 days, "
        f"{100 * recent / recent_of_all:.0f}% of the sales to known customers in that time, "
        f"and GBP {best['monetary'].astype(float).sum():,.0f} net in all. "
        f"{len(best) - 34} customers more than on 2 May 2011."
    )


def test_where_nobody_bought_lately_nothing_is_at_stake(measure, customers, earlier):
    measured = measure(customers.assign(recent_revenue=0.0))
    found = profiles.finished(measured, earlier(FLOWS), MODEL, *TOLD)
    assert found["recommendation"].str.contains("brought GBP 0 in the last 90 days, 0% of the sales").all()
