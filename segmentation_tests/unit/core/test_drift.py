"""Drift: bins of the fitting sample, counts by the engine, and the population stability index."""

from datetime import date
from decimal import Decimal
from math import log

import numpy as np
import pandas as pd
import pytest

from segmentation_pipeline.core import drift, schema
from segmentation_pipeline.core.clustering.scoring import RFM
from segmentation_pipeline.core.drift import FLOOR_SHARE, Bin
from segmentation_pipeline.settings import Drift

DAYS = [date(2011, 6, 1), date(2011, 6, 2)]
WARN, ACT = 0.10, 0.25


def bins_of(*shares, kind="feature", name="monetary"):
    uppers = [*range(10, 10 * len(shares), 10), None] if kind == "feature" else [None] * len(shares)
    return [
        Bin(kind, name, number, upper, share)
        for number, (upper, share) in enumerate(zip(uppers, shares, strict=True), 1)
    ]


def counts_of(*customers, day=DAYS[0], kind="feature", name="monetary"):
    rows = [(day, kind, name, number, count) for number, count in enumerate(customers, start=1) if count]
    return pd.DataFrame(rows, columns=["date", "kind", "name", "bin", "customers"])


def psi_of(counts, bins):
    return drift.population_stability(counts, bins, WARN, ACT)["psi"].item()


def test_bins_are_cut_at_the_deciles():
    bins = drift.reference(np.arange(1, 101), "recency_days")
    assert [each.bin for each in bins] == list(range(1, 11))
    assert [each.upper for each in bins] == [10, 20, 30, 40, 50, 60, 70, 80, 90, None]
    assert [each.share for each in bins] == [0.1] * 10
    assert {(each.kind, each.name) for each in bins} == {("feature", "recency_days")}


def test_equal_values_share_a_bin():
    values = np.array([1] * 65 + [2] * 20 + [3, 4, 5, 6, 7] * 3)
    bins = drift.reference(values, "frequency")
    assert [(each.upper, each.share) for each in bins] == [(1, 0.65), (2, 0.2), (4, 0.06), (None, 0.09)]


def test_a_bin_waits_above_the_largest_value_where_that_fills_the_last_tenth():
    bins = drift.reference(np.ones(50), "frequency")
    assert [(each.upper, each.share) for each in bins] == [(1, 1), (None, 0)]


def test_bins_do_not_depend_on_the_order_of_customers():
    values = np.random.default_rng(1).lognormal(5, 1, 999)
    assert drift.reference(values, "monetary") == drift.reference(np.sort(values), "monetary")


def test_segments_have_one_bin_each_and_net_zero_none():
    bins = drift.reference_of_segments(np.array([0, 0, 1, 3, 3, 3]))
    assert bins == (Bin("segments", "segments", 1, None, 0.25), Bin("segments", "segments", 3, None, 0.75))


def test_psi_of_two_bins_by_hand():
    # Shares 0.8 and 0.2 against 0.5 and 0.5: 0.3 ln 1.6 - 0.3 ln 0.4 = 0.3 ln 4 = 0.415888...
    assert psi_of(counts_of(8, 2), bins_of(0.5, 0.5)) == pytest.approx(0.4158883083359672, rel=1e-12)


def test_psi_of_three_bins_by_hand():
    # Shares 0.3, 0.3 and 0.4 against 0.2, 0.3 and 0.5: 0.1 ln 1.5 + 0 - 0.1 ln 0.8 = 0.0405465 + 0.0223144 = 0.0628609
    assert psi_of(counts_of(30, 30, 40), bins_of(0.2, 0.3, 0.5)) == pytest.approx(0.0628608659422374, rel=1e-12)


def test_the_reference_itself_has_no_drift():
    assert psi_of(counts_of(20, 30, 50), bins_of(0.2, 0.3, 0.5)) == pytest.approx(0, abs=1e-15)
    assert psi_of(counts_of(20, 0, 80), bins_of(0.2, 0, 0.8)) == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize(
    ("one", "other"), [((10, 30, 60), (50, 30, 20)), ((0, 40, 60), (25, 75, 0)), ((1, 99), (1, 0))]
)
def test_swapping_the_day_and_the_reference_changes_nothing(one, other):
    first = psi_of(counts_of(*one), bins_of(*(count / sum(other) for count in other)))
    second = psi_of(counts_of(*other), bins_of(*(count / sum(one) for count in one)))
    assert first == pytest.approx(second, rel=1e-12)
    assert first > 0


def test_an_empty_bin_has_the_floor_share_on_either_side():
    # One bin is left (0.5 against the floor), the other doubles.
    expected = (FLOOR_SHARE - 0.5) * log(FLOOR_SHARE / 0.5) + 0.5 * log(2)
    assert psi_of(counts_of(10, 0), bins_of(0.5, 0.5)) == pytest.approx(expected, rel=1e-12)
    assert psi_of(counts_of(5, 5), bins_of(1, 0)) == pytest.approx(expected, rel=1e-12)


def test_a_segment_that_the_reference_does_not_know_counts_against_the_floor():
    known = bins_of(1, kind="segments", name="segments")
    expected = (0.5 - FLOOR_SHARE) * log(0.5 / FLOOR_SHARE) + 0.5 * log(2)
    assert psi_of(counts_of(5, 5, kind="segments", name="segments"), known) == pytest.approx(expected, rel=1e-12)


def test_a_limit_that_is_reached_gives_the_level():
    bins = bins_of(0.5, 0.5)
    counts = pd.concat([counts_of(5, 5), counts_of(8, 2, day=DAYS[1])])
    moved = 0.3 * log(4)

    def level(warn, act):
        return drift.population_stability(counts, bins, warn, act)["level"].tolist()

    assert level(moved * 1.01, 1) == ["stable", "stable"]
    assert level(moved * 0.99, 1) == ["stable", "warn"]
    assert level(moved * 0.5, moved * 0.99) == ["stable", "act"]
    reached = drift.population_stability(counts, bins, 1, 1)["psi"].iloc[1]
    assert level(reached, 1) == ["stable", "warn"]
    assert level(reached / 2, reached) == ["stable", "act"]


def test_every_day_and_name_has_its_own_row_in_order():
    bins = [*bins_of(0.5, 0.5), *bins_of(0.5, 0.5, name="frequency"), *bins_of(1, kind="segments", name="segments")]
    counts = pd.concat(
        [
            counts_of(7, kind="segments", name="segments", day=DAYS[1]),
            counts_of(2, 8),
            counts_of(5, 5, name="frequency"),
        ]
    )
    found = drift.population_stability(counts, bins, WARN, ACT)
    assert found.columns.tolist() == ["date", "kind", "name", "psi", "level"]
    assert found[["date", "kind", "name", "level"]].to_numpy().tolist() == [
        [DAYS[0], "feature", "frequency", "stable"],
        [DAYS[0], "feature", "monetary", "act"],
        [DAYS[1], "segments", "segments", "stable"],
    ]
    shuffled = counts.sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(drift.population_stability(shuffled, bins, WARN, ACT), found)


@pytest.mark.parametrize(
    ("min_customers", "levels"),
    [(10, ["act", "act"]), (11, ["few", "act"]), (1_000, ["few", "act"]), (1_001, ["few", "few"])],
)
def test_a_day_with_few_customers_is_measured_and_not_judged(min_customers, levels):
    bins = bins_of(0.5, 0.5)
    counts = pd.concat([counts_of(8, 2), counts_of(800, 200, day=DAYS[1])])
    found = drift.judged(counts, bins, Drift(warn=WARN, act=ACT, min_customers=min_customers))
    assert found["level"].tolist() == levels
    assert found["psi"].tolist() == pytest.approx([0.3 * log(4)] * 2, rel=1e-12)
    assert found.columns.tolist() == ["date", "kind", "name", "psi", "level"]


def test_few_customers_are_few_for_every_feature_and_the_segments():
    bins = [*bins_of(0.5, 0.5), *bins_of(0.5, 0.5, kind="segments", name="segments")]
    counts = pd.concat([counts_of(9, 1), counts_of(9, 1, kind="segments", name="segments")])
    for limit, level in ((10, "act"), (11, "few")):
        assert set(drift.judged(counts, bins, Drift(min_customers=limit))["level"]) == {level}
    pd.testing.assert_frame_equal(
        drift.judged(counts, bins, Drift(min_customers=1)), drift.population_stability(counts, bins, WARN, ACT)
    )


def test_by_default_a_shop_of_a_hundred_customers_is_not_told_of_drift():
    few, many = (
        drift.judged(counts, bins_of(0.5, 0.5), Drift()) for counts in (counts_of(66, 34), counts_of(6_600, 3_400))
    )
    assert few["psi"].item() == pytest.approx(many["psi"].item()) == pytest.approx(0.16 * log(66 / 34))
    assert (few["level"].item(), many["level"].item()) == ("few", "warn")


def test_without_drift_psi_is_about_what_chance_gives():
    random = np.random.default_rng(4)
    sampled, customers = 5_000, 500
    days = pd.date_range("2011-01-01", periods=100)
    found = []
    for _ in range(10):
        bins = drift.reference(random.exponential(100, sampled), "monetary")
        uppers = [each.upper for each in bins if each.upper is not None]
        numbers = np.digitize(random.exponential(100, (len(days), customers)), uppers, right=True)
        counts = [counts_of(*np.bincount(of_day), day=day) for day, of_day in zip(days, numbers, strict=True)]
        found.extend(drift.population_stability(pd.concat(counts), bins, WARN, ACT)["psi"])
    assert np.mean(found) == pytest.approx(9 * (1 / customers + 1 / sampled), rel=0.05)


@pytest.fixture(scope="module")
def customers() -> pd.DataFrame:
    random = np.random.default_rng(12)
    segment_ids = random.choice([0, 1, 2, 7], 2_000, p=[0.1, 0.3, 0.5, 0.1])
    recency = pd.array(random.integers(0, 200, 2_000), dtype="Int64")
    recency[segment_ids == 0] = pd.NA
    return pd.DataFrame(
        {
            "date": random.choice(DAYS, 2_000),
            "customer_id": [str(number) for number in range(2_000)],
            "segment_id": segment_ids,
            "recency_days": recency,
            "frequency": np.where(segment_ids == 0, 0, random.geometric(0.6, 2_000)),
            "monetary": np.where(segment_ids == 0, -1.0, random.lognormal(5, 1, 2_000).round(2)),
        }
    )


@pytest.fixture(scope="module")
def bins(customers) -> list[Bin]:
    fitted = customers[(customers["segment_id"] != 0) & (customers["segment_id"] != 7)].head(500)
    features = [drift.reference(fitted[name].to_numpy(dtype=float), name) for name in RFM]
    return [*(each for of_one in features for each in of_one), *drift.reference_of_segments(fitted["segment_id"])]


@pytest.fixture(scope="module")
def count(engine, table_of):
    def run(customers, bins):
        rows = [
            row | {"monetary": Decimal(str(row["monetary"]))}
            for row in customers.astype(object).where(customers.notna(), None).to_dict("records")
        ]
        counts = drift.counted(table_of(schema.CUSTOMER_SEGMENTS, rows), bins)
        return engine.to_pandas(counts.order_by("date", "kind", "name", "bin"))

    return run


def test_counts_agree_with_numpy_and_pandas(count, customers, bins):
    spending = customers[customers["segment_id"] != 0]
    expected = {}
    for day, of_day in spending.groupby("date"):
        for feature in RFM:
            uppers = [each.upper for each in bins if each.name == feature and each.upper is not None]
            values = of_day[feature].to_numpy(dtype=float)
            numbers = np.digitize(values, uppers, right=True) + 1
            cut = pd.cut(values, [-np.inf, *uppers, np.inf], labels=False) + 1
            np.testing.assert_array_equal(numbers, cut)
            for number, size in zip(*np.unique(numbers, return_counts=True), strict=True):
                expected[day, "feature", feature, number] = size
        for number, size in of_day["segment_id"].value_counts().items():
            expected[day, "segments", "segments", number] = size
    found = count(customers, bins)
    places = zip(found["date"].dt.date, found["kind"], found["name"], found["bin"], strict=True)
    assert dict(zip(places, found["customers"], strict=True)) == expected
    assert len(found) == len(expected)


def test_a_value_at_a_cut_is_in_the_bin_below_it(count, customers):
    bins = bins_of(0.5, 0.5)
    at = customers[customers["segment_id"] != 0].head(3).assign(date=DAYS[0], monetary=[9.99, 10.0, 10.0001])
    assert count(at, bins)[["bin", "customers"]].to_numpy().tolist() == [[1, 2], [2, 1]]


def test_the_sample_has_no_drift_from_itself_and_a_worse_day_has(count, customers):
    spending = customers[customers["segment_id"] != 0]
    own = [
        *(each for name in RFM for each in drift.reference(spending[name].to_numpy(dtype=float), name)),
        *drift.reference_of_segments(spending["segment_id"].to_numpy()),
    ]
    same = count(customers.assign(date=DAYS[0]), own)
    aged = count(customers.assign(date=DAYS[1], recency_days=customers["recency_days"] + 60), own)
    found = drift.population_stability(pd.concat([same, aged]), own, WARN, ACT).set_index(["date", "name"])
    assert found["psi"].loc[pd.Timestamp(DAYS[0])].to_numpy() == pytest.approx(0, abs=1e-12)
    assert found["level"].loc[pd.Timestamp(DAYS[1])].to_dict() == {
        "recency_days": "act",
        "frequency": "stable",
        "monetary": "stable",
        "segments": "stable",
    }


def test_a_day_of_net_zero_customers_alone_is_absent(count, customers, bins):
    found = count(customers[customers["segment_id"] == 0], bins)
    assert found.empty
    stability = drift.population_stability(found, bins, WARN, ACT)
    assert stability.empty
    assert stability.columns.tolist() == ["date", "kind", "name", "psi", "level"]
    pd.testing.assert_frame_equal(drift.judged(found, bins, Drift()), stability)


def test_features_alone_are_counted_without_segments(count, customers, bins):
    found = count(customers, [each for each in bins if each.kind == "feature" and each.name != "frequency"])
    assert set(found["name"]) == {"recency_days", "monetary"}
