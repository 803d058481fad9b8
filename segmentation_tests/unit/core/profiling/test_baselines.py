"""Baselines: the usual is what medians of plain lists say, of earlier days only, and null where too little is known."""

from collections.abc import Iterable
from datetime import date, timedelta
from statistics import median
from string import ascii_uppercase
from typing import Any

import numpy as np
import pandas as pd
import pytest

from segmentation_pipeline.core.profiling import baselines
from segmentation_pipeline.core.profiling.baselines import Baseline, Unseen
from segmentation_pipeline.settings import Quality

MONDAY = date(2025, 6, 2)
QUALITY = Quality(baseline_weeks=3, min_baseline_weeks=2, min_rows=50)  # so 4 earlier days, or 2 of the weekday
VOLUME = Baseline("ratio", "rows", "ratio", "same weekday", "", "rows", is_count=True)
RATIO = Baseline("ratio", "value", "ratio", "all", "", "rows")
RISE = Baseline("rise", "value", "difference", "all", "", "rows")
SHIFT = Baseline("shift", "value", "difference", "all", "", "rows", only_if="midnight")
FRESH = Unseen("fresh", "values", "counts", "", "rows")


def days(count: int, start: date = MONDAY) -> list[date]:
    return [start + timedelta(days=number) for number in range(count)]


def profile_of(given: Iterable[date], **measures: object) -> pd.DataFrame:
    """A profile of busy days, with measures in the order of the days."""
    dates = pd.to_datetime(list(given))
    return pd.DataFrame({"date": dates, "rows": 100, **measures})


def last_of(profile: pd.DataFrame, column: Baseline | Unseen) -> float:
    """What the last day is compared to, the others being its history."""
    kinds = ([column], []) if isinstance(column, Baseline) else ([], [column])
    return baselines.compared(profile.tail(1), profile.iloc[:-1], *kinds, QUALITY)[column.name].iloc[0]


@pytest.fixture(scope="module")
def season() -> pd.DataFrame:
    """Four months of raw and cleaned days, some nearly empty, one in ten missing, the weekdays unlike each other."""
    random = np.random.default_rng(21)
    dates = pd.date_range(MONDAY, periods=120)
    size = len(dates)
    rows = (random.integers(0, 300, size) * (1 + dates.day_of_week)).to_numpy()
    lists = [
        random.choice(list(ascii_uppercase), number, replace=False).tolist() for number in random.integers(0, 4, size)
    ]
    frame = pd.DataFrame({"date": dates, "rows": rows, "accepted_rows": rows // 2})
    for name in ("guest_share", "midnight_share", "early_hour", "last_hour"):
        frame[name] = random.random(size)
    for name in ("lines_per_order", "orders_per_customer", "median_price", "median_quantity"):
        frame[name] = np.where(random.random(size) < 0.1, np.nan, random.lognormal(2, 1, size))
    for values, counts in (("countries", "country_rows"), ("product_patterns", "product_pattern_rows")):
        frame[values] = lists
        frame[counts] = [[int(each) for each in random.integers(1, 90, len(names))] for names in lists]
    return frame[random.random(size) > 0.1].reset_index(drop=True)


@pytest.fixture(scope="module")
def known(season) -> dict[pd.Timestamp, dict[str, Any]]:
    """The season's measures by day, null as None."""
    return season.set_index("date").astype(object).where(season.set_index("date").notna(), None).to_dict("index")


def expected_of(baseline: Baseline, known: dict[pd.Timestamp, dict[str, Any]], day: pd.Timestamp) -> float | None:
    """The comparison of one day, by going back day by day."""
    step, reach, least = (7, 3, 2) if baseline.days == "same weekday" else (1, 21, 4)
    earlier = [known.get(day - timedelta(days=step * number)) for number in range(1, reach + 1)]
    earlier = [each for each in earlier if each and (baseline.is_count or each[baseline.rows] >= 50)]
    if baseline.only_if:
        earlier = [each for each in earlier if (each[baseline.only_if] or 0) <= 0.5]
    values = [each[baseline.of] for each in earlier if each[baseline.of] is not None]
    today = known[day]
    if today[baseline.of] is None or len(values) < least:
        return None
    usual = median(values)
    if baseline.is_count:
        return today[baseline.of] / usual if usual >= 50 else None
    if today[baseline.rows] < 50 or (baseline.only_if and today[baseline.only_if] > 0.5):
        return None
    return today[baseline.of] / usual if baseline.kind == "ratio" else today[baseline.of] - usual


def expected_unseen(unseen: Unseen, known: dict[pd.Timestamp, dict[str, Any]], day: pd.Timestamp) -> float | None:
    """The share of one day's rows whose value is in none of the lists of the three weeks before."""
    before = [known.get(day - timedelta(days=number)) for number in range(1, 22)]
    earlier = [set(each[unseen.values]) for each in before if each and each[unseen.values]]
    today = dict(zip(known[day][unseen.values], known[day][unseen.counts], strict=True))
    if known[day][unseen.rows] < 50 or len(earlier) < 4 or not today:
        return None
    return sum(rows for value, rows in today.items() if value not in set().union(*earlier)) / sum(today.values())


@pytest.mark.parametrize("baseline", [*baselines.RAW, *baselines.CLEAN], ids=lambda each: each.name)
def test_a_comparison_agrees_with_medians_of_plain_lists_on_every_day(season, known, baseline):
    found = baselines.compared(season, season, [baseline], [], QUALITY)[baseline.name]
    expected = [expected_of(baseline, known, day) for day in season["date"]]
    assert sum(each is not None for each in expected) > 20
    assert found.tolist() == pytest.approx([np.nan if each is None else each for each in expected], nan_ok=True)


@pytest.mark.parametrize("unseen", baselines.RAW_UNSEEN, ids=lambda each: each.name)
def test_the_share_of_unseen_values_agrees_with_sets_on_every_day(season, known, unseen):
    found = baselines.compared(season, season, [], [unseen], QUALITY)[unseen.name]
    expected = [expected_unseen(unseen, known, day) for day in season["date"]]
    assert len({each for each in expected if each is not None}) > 9
    assert found.tolist() == pytest.approx([np.nan if each is None else each for each in expected], nan_ok=True)


def test_a_day_compares_alike_alone_in_a_range_and_once_later_days_are_known(season):
    kinds = ([*baselines.RAW, *baselines.CLEAN], baselines.RAW_UNSEEN, QUALITY)
    whole = baselines.compared(season, season, *kinds)
    part = baselines.compared(season[40:70], season, *kinds)
    pd.testing.assert_frame_equal(part, whole[40:70].reset_index(drop=True))
    for number in (0, 5, 40, 69, len(season) - 1):
        for history in (season[:number], season[: number + 1]):
            alone = baselines.compared(season[number : number + 1], history, *kinds)
            pd.testing.assert_frame_equal(alone, whole[number : number + 1].reset_index(drop=True))


def test_the_order_of_days_changes_nothing(season):
    kinds = (baselines.RAW, baselines.RAW_UNSEEN, QUALITY)
    shuffled = season.sample(frac=1, random_state=1)
    found = baselines.compared(shuffled, season.sample(frac=1, random_state=2), *kinds)
    expected = baselines.compared(season, season, *kinds)
    pd.testing.assert_frame_equal(found.sort_values("date", ignore_index=True), expected)


def test_the_declared_columns_are_added_and_the_profile_given_stays_as_it_is(season):
    before = season.copy(deep=True)
    found = baselines.compared(season, season, baselines.RAW, baselines.RAW_UNSEEN, QUALITY)
    added = [column.name for column in baselines.columns(baselines.RAW, baselines.RAW_UNSEEN)]
    assert found.columns.tolist() == [*season.columns, *added]
    pd.testing.assert_frame_equal(season, before)


# --- hand-made --------------------------------------------------------------------------------------------------------


def test_a_day_is_compared_with_its_weekday_and_not_with_others():
    busy_mondays = [1_000 if day.weekday() == 0 else 100 for day in days(15)]
    assert last_of(profile_of(days(15)).assign(rows=busy_mondays), VOLUME) == 1


def test_days_without_any_rows_count_in_the_volume():
    weeks = [MONDAY + timedelta(weeks=number) for number in range(4)]
    assert last_of(profile_of(weeks).assign(rows=[100, 100, 100, 0]), VOLUME) == 0
    assert last_of(profile_of(weeks).assign(rows=[0, 100, 200, 90]), VOLUME) == 0.9


def test_a_weekday_on_which_the_shop_is_closed_has_no_usual_volume():
    sundays = [date(2025, 6, 1) + timedelta(weeks=number) for number in range(4)]
    for rows in (0, 400):
        assert np.isnan(last_of(profile_of(sundays).assign(rows=[0, 0, 0, rows]), VOLUME))


@pytest.mark.parametrize("compared", [RATIO, RISE])
def test_it_takes_enough_earlier_days_with_enough_rows(compared):
    profile = profile_of(days(6), value=[2.0, 2.0, 2.0, 2.0, 2.0, 6.0])
    expected = 3 if compared is RATIO else 4
    assert last_of(profile, compared) == last_of(profile.tail(5), compared) == expected
    assert np.isnan(last_of(profile.tail(4), compared))
    assert last_of(profile.assign(rows=[49, 50, 50, 50, 50, 50]), compared) == expected
    assert np.isnan(last_of(profile.assign(rows=[49, 49, 50, 50, 50, 50]), compared))
    assert np.isnan(last_of(profile.assign(rows=[50, 50, 50, 50, 50, 49]), compared))


def test_a_day_with_few_rows_is_not_what_others_are_compared_with():
    profile = profile_of(days(8), value=[2.0, 2.0, 900.0, 900.0, 900.0, 2.0, 2.0, 4.0])
    assert last_of(profile.assign(rows=[100, 100, 1, 1, 1, 100, 100, 100]), RATIO) == 2


def test_days_beyond_the_window_are_forgotten():
    profile = profile_of(days(26), value=[9.0] * 4 + [1.0] * 21 + [5.0])
    assert last_of(profile, RATIO) == 5
    old = pd.concat([profile.head(4), profile.tail(1)])
    assert np.isnan(last_of(old, RATIO))


def test_a_usual_value_of_nothing_has_no_ratio_but_a_difference():
    profile = profile_of(days(6), value=[0.0] * 5 + [0.4])
    assert np.isnan(last_of(profile, RATIO))
    assert last_of(profile, RISE) == 0.4


@pytest.mark.parametrize(("midnight", "expected"), [(0.0, 3), (0.5, 3), (0.51, np.nan), (np.nan, np.nan)])
def test_hours_are_not_compared_on_a_day_without_times(midnight, expected):
    profile = profile_of(days(6), value=[9.0] * 5 + [12.0], midnight=[0.0] * 5 + [midnight])
    assert last_of(profile, SHIFT) == pytest.approx(expected, nan_ok=True)


def test_a_value_is_new_until_a_day_has_seen_it_and_again_after_the_window():
    values = [["UK", "EIRE"]] + [["UK"]] * 20 + [["UK", "EIRE"]] * 2 + [["UK", "France"]]
    profile = profile_of(days(24), values=values, counts=[[75] * (len(each) - 1) + [25] for each in values])
    assert last_of(profile, FRESH) == 0.25
    assert last_of(profile.head(23), FRESH) == 0
    assert last_of(profile.head(22), FRESH) == 0
    assert last_of(profile.head(22).tail(21), FRESH) == 0.25


def test_new_values_are_not_looked_for_without_values_rows_or_enough_days():
    values = [["UK"], ["UK"], None, ["UK"], ["UK"], ["France"]]
    profile = profile_of(days(6), values=values, counts=[each and [100] for each in values])
    assert last_of(profile, FRESH) == 1
    assert np.isnan(last_of(profile.tail(5), FRESH))
    assert np.isnan(last_of(profile.assign(rows=[100] * 5 + [49]), FRESH))
    assert np.isnan(last_of(profile.head(3), FRESH))


def test_without_any_history_nothing_is_compared(season):
    found = baselines.compared(season.head(1), season.head(0), baselines.RAW, baselines.RAW_UNSEEN, QUALITY)
    assert (
        found[[column.name for column in baselines.columns(baselines.RAW, baselines.RAW_UNSEEN)]].isna().all(axis=None)
    )


def test_strays_on_a_closed_day_of_a_big_shop_are_neither_compared_nor_compared_with():
    rows = [40_000, 40_000, 40_000, 40_000, 40_000, 300]
    profile = profile_of(days(6), value=[1.0, 1.0, 1.0, 1.0, 1.0, 9.0]).assign(rows=rows)
    assert np.isnan(last_of(profile, RATIO))
    assert last_of(profile.assign(rows=[*rows[:5], 2_000]), RATIO) == 9
    strays_before = profile_of(days(6), value=[1.0, 1.0, 9.0, 9.0, 1.0, 2.0]).assign(
        rows=[40_000] * 2 + [300] * 2 + [40_000] * 2
    )
    assert np.isnan(last_of(strays_before, RATIO))  # three days are too few to compare with


def test_a_night_compares_as_a_range_does_after_a_closure_as_long_as_what_it_is_compared_with():
    closed = range(30, 45)
    rows = [60 if number in closed else 40_000 for number in range(75)]
    value = [9.0 if number in closed else 1.0 for number in range(75)]
    profile = profile_of(days(75), value=value).assign(rows=rows)
    together = baselines.compared(profile, profile, [RATIO], [], QUALITY)["ratio"]
    for number in range(45, 75):
        reached = profile.iloc[number - baselines.reach_back(QUALITY).days : number]
        alone = baselines.compared(profile.iloc[[number]], reached, [RATIO], [], QUALITY)["ratio"].iloc[0]
        np.testing.assert_equal(alone, together.iloc[number])
        assert np.isnan(alone) or alone == 1
