"""Baselines: what is usual for a day, from the days before it, and how far the day is from that.

Belongs here: trailing medians and values not seen before, on profiles that are already small.
Does not: measuring (raw.py, clean.py, features.py), judging (checks/).

A day is compared with days before it only, so that a night, a range and a re-run of an old day agree.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import numpy as np
import pandas as pd

from segmentation_pipeline.core.schema import Column
from segmentation_pipeline.settings import Quality


@dataclass(frozen=True)
class Baseline:
    """A column that compares a measure with its trailing median.

    Attributes:
        name: Of the column.
        of: The measure compared.
        kind: `ratio` to the median, or `difference` from it.
        days: `same weekday` or `all` days before.
        description: What it says.
        rows: The measure that counts a day's rows: a day with few is neither compared nor compared with, but for a
            ratio of counts, which needs no rows.
        only_if: Name of a share; a day on which it is above one half is neither compared nor compared with.
    """

    name: str
    of: str
    kind: Literal["ratio", "difference"]
    days: Literal["same weekday", "all"]
    description: str
    rows: str
    is_count: bool = False
    only_if: str | None = None


@dataclass(frozen=True)
class Unseen:
    """A column with the share of rows whose value is on none of the days before; `values` and `counts` name lists."""

    name: str
    values: str
    counts: str
    description: str
    rows: str


RAW = (
    Baseline("volume_ratio", "rows", "ratio", "same weekday", "Rows against the usual ones of the weekday", "rows",
             is_count=True),
    Baseline("guest_share_rise", "guest_share", "difference", "all", "Share of rows without a customer, above the usual", "rows"),
    Baseline("lines_per_order_ratio", "lines_per_order", "ratio", "all", "Rows per invoice number against the usual", "rows"),
    Baseline("orders_per_customer_ratio", "orders_per_customer", "ratio", "all",
             "Invoice numbers per customer against the usual", "rows"),
)  # fmt: skip
RAW_UNSEEN = (
    Unseen("new_country_share", "countries", "country_rows", "Share of rows from a country not seen lately", "rows"),
    Unseen("new_product_pattern_share", "product_patterns", "product_pattern_rows",
           "Share of rows whose product id has a pattern not seen lately", "rows"),
)  # fmt: skip
CLEAN = (
    Baseline("price_ratio", "median_price", "ratio", "all", "Median price against the usual", "accepted_rows"),
    Baseline("quantity_ratio", "median_quantity", "ratio", "all", "Median quantity against the usual", "accepted_rows"),
    Baseline("early_hour_shift", "early_hour", "difference", "all",
             "Hours by which the day's first lines are later than usual", "accepted_rows", only_if="midnight_share"),
    Baseline("last_hour_shift", "last_hour", "difference", "all",
             "Hours by which the day's last line is later than usual", "accepted_rows", only_if="midnight_share"),
    Baseline("midnight_share_rise", "midnight_share", "difference", "all",
             "Share of lines at exactly midnight, above the usual", "accepted_rows"),
)  # fmt: skip


@dataclass(frozen=True)
class Shares:
    """Measured columns that say little about a day with few rows; `rows` names the measure that counts them."""

    names: tuple[str, ...]
    rows: str


RAW_SHARES = Shares(
    (
        "duplicate_share",
        "guest_share",
        *(
            f"missing_{name}_share"
            for name in ("invoice_id", "product_id", "quantity", "price", "invoiced_at", "country")
        ),
    ),
    rows="rows",
)
CLEAN_SHARES = Shares(("quarantined_share", "return_share"), rows="judged_rows")
RETURNS_SHARES = Shares(("unmatched_share",), rows="returns")


def judgeable(profile: pd.DataFrame, shares: Shares | None, settings: Quality) -> pd.DataFrame:
    """A profile whose shares are null on days with few rows: one return in a day of one line is no day of returns."""
    if shares is None:
        return profile
    enough = profile[shares.rows] >= settings.min_rows
    return profile.assign(**{name: profile[name].where(enough) for name in shares.names})


def columns(baselines: Sequence[Baseline], unseen: Sequence[Unseen]) -> tuple[Column, ...]:
    """The columns that `compared` adds."""
    added: Sequence[Baseline | Unseen] = (*baselines, *unseen)
    return tuple(Column(each.name, "float64", each.description) for each in added)


def compared(
    profile: pd.DataFrame,
    history: pd.DataFrame,
    baselines: Sequence[Baseline],
    unseen: Sequence[Unseen],
    settings: Quality,
) -> pd.DataFrame:
    """A profile with its comparisons; null where there are too few rows or too few earlier days to compare with.

    Args:
        profile: One row per day to compare, without gaps, with the measures.
        history: Profiles of the days to compare with, any days; only those before a day count for it.
        baselines: Which measures, and how.
        unseen: Which lists of values, and how.
        settings: How far to look back, and how many days and rows it takes.
    """
    if profile.empty or not (baselines or unseen):
        return profile
    found = profile.set_index(pd.DatetimeIndex(profile["date"]))
    before = history.set_index(pd.DatetimeIndex(history["date"]))
    reach = pd.date_range(found.index.min() - reach_back(settings), found.index.max())
    before = before.reindex(reach)
    for baseline in baselines:
        found[baseline.name] = _against_usual(found, before, baseline, settings)
    for values in unseen:
        found[values.name] = _share_unseen(found, before, values, settings)
    return found.reset_index(drop=True)


def reach_back(settings: Quality) -> timedelta:
    """How far before a day its comparison looks: the days it is compared with, and those that tell which of them count."""
    return 2 * timedelta(weeks=settings.baseline_weeks)


def _against_usual(found: pd.DataFrame, before: pd.DataFrame, baseline: Baseline, settings: Quality) -> pd.Series:
    earlier = before[baseline.of].astype(float)
    enough = _rows_that_tell(before[baseline.rows], settings)
    if not baseline.is_count:
        earlier = earlier.where(before[baseline.rows] >= enough)
    if baseline.only_if:
        earlier = earlier.where(before[baseline.only_if].astype(float) <= 0.5)
    if baseline.days == "same weekday":
        usual = earlier.groupby(pd.DatetimeIndex(earlier.index).day_of_week).transform(
            lambda days: (
                days.shift(1).rolling(settings.baseline_weeks, min_periods=settings.min_baseline_weeks).median()
            )
        )
    else:
        least = settings.min_baseline_weeks * 2
        usual = earlier.shift(1).rolling(settings.baseline_weeks * 7, min_periods=least).median()
    usual, value = usual.reindex(found.index), found[baseline.of].astype(float)
    if baseline.is_count:
        return value / usual.where(usual >= settings.min_rows)
    value = value.where(found[baseline.rows] >= enough.reindex(found.index))
    if baseline.only_if:
        value = value.where(found[baseline.only_if].astype(float) <= 0.5)
    return value / usual.where(usual > 0) if baseline.kind == "ratio" else value - usual


def _rows_that_tell(rows: pd.Series, settings: Quality) -> pd.Series:
    """For each day, the rows it takes to be compared: a few strays on a day the shop is closed are no day of its own."""
    open_days = rows.where(rows >= settings.min_rows).astype(float)
    usual = open_days.shift(1).rolling(settings.baseline_weeks * 7, min_periods=1).median()
    return (usual * settings.min_rows_share).clip(lower=settings.min_rows).fillna(settings.min_rows)


def _share_unseen(found: pd.DataFrame, before: pd.DataFrame, unseen: Unseen, settings: Quality) -> pd.Series:
    """For each day, the share of its rows whose value is on no day of the weeks before it."""
    lists = [list(values) if isinstance(values, list | np.ndarray) else [] for values in before[unseen.values]]
    place = {day: number for number, day in enumerate(before.index)}
    reach, least = settings.baseline_weeks * 7, settings.min_baseline_weeks * 2
    window: Counter[str] = Counter()
    start = end = 0
    shares = {}
    for day, row in found.sort_index().iterrows():
        while end < place[day]:
            window.update(lists[end])
            end += 1
        while start < end - reach:
            window.subtract(lists[start])
            start += 1
        values, counts_of = row[unseen.values], row[unseen.counts]
        counts = dict(zip(values, counts_of, strict=True)) if isinstance(values, list | np.ndarray) else {}
        enough = row[unseen.rows] >= settings.min_rows and sum(map(bool, lists[start:end])) >= least
        fresh = sum(rows for value, rows in counts.items() if window[value] <= 0)
        shares[day] = fresh / sum(counts.values()) if enough and counts else None
    return pd.Series(shares, dtype=float)
