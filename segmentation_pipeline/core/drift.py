"""Drift: how far the customers of a day have moved from those the model was fitted on.

Belongs here: the bins of the fitting sample, counting customers in them, and the population stability index.
Does not: the limits that warn (settings), deciding to fit again (assets/), who moved between segments (migration.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis import _

from segmentation_pipeline.core import naming
from segmentation_pipeline.settings import Drift

FEATURE = "feature"
SEGMENTS = "segments"
BINS = 10
FLOOR_SHARE = 0.0001


@dataclass(frozen=True)
class Bin:
    """One bin of the reference, and how many of the customers behind the model were in it.

    Attributes:
        kind: `feature` or `segments`.
        name: The feature; `segments` for a segment.
        bin: Number of the bin, from 1 and lowest values first; for a segment its `segment_id`.
        upper: The largest value in the bin, in the feature's unit; None for the open last bin and for a segment.
        share: Share of the fitting sample, 0 to 1.
    """

    kind: str
    name: str
    bin: int
    upper: float | None
    share: float


def reference(values: np.ndarray, feature: str) -> tuple[Bin, ...]:
    """The bins of a feature, cut at the deciles of the fitting sample.

    A bin holds the values above the one before it, up to and including its `upper`. The first is open below and the
    last above. Cuts are values, so equal values share a bin: where one value fills several tenths (most customers buy
    once), their bins are one. Where the largest value fills the last tenth, the last bin has share 0: it waits for
    values larger than any in the sample.

    Args:
        values: The feature of every customer in the fitting sample, at least one.
        feature: Its name.

    Returns:
        At most ten bins in order; their shares add up to 1.
    """
    shares = np.arange(1, BINS) / BINS
    cuts = np.unique(np.quantile(values.astype(float), shares, method="inverted_cdf"))
    counts = np.bincount(np.searchsorted(cuts, values.astype(float), side="left"), minlength=len(cuts) + 1)
    uppers = [*(float(cut) for cut in cuts), None]
    return tuple(
        Bin(FEATURE, feature, number, upper, float(count / len(values)))
        for number, (upper, count) in enumerate(zip(uppers, counts, strict=True), start=1)
    )


def reference_of_segments(segment_ids: np.ndarray) -> tuple[Bin, ...]:
    """One bin for each segment in the fitting sample, by id; Net zero is left out.

    Args:
        segment_ids: The segment of every customer in the fitting sample.
    """
    ids, counts = np.unique(segment_ids[segment_ids != naming.NET_ZERO_ID], return_counts=True)
    return tuple(
        Bin(SEGMENTS, SEGMENTS, int(number), None, float(count / counts.sum()))
        for number, count in zip(ids, counts, strict=True)
    )


def counted(segments: ir.Table, bins: Sequence[Bin]) -> ir.Table:
    """How many customers of each day are in each bin, in one engine pass.

    Customers are counted by all their bins at once, and only these few counts are taken apart by feature.

    Args:
        segments: `schema.CUSTOMER_SEGMENTS`, any days; Net zero customers are left out.
        bins: The reference, of as many features as there are, with segments or without.

    Returns:
        `date`, `kind`, `name`, `bin` and `customers`; one row for each bin that holds someone. A segment that the
        reference does not know has its row too. A day without customers has none.
    """
    features = dict.fromkeys(each.name for each in bins if each.kind == FEATURE)
    numbers = {name: _bin_of(segments[name], [each for each in bins if each.name == name]) for name in features}
    if any(each.kind == SEGMENTS for each in bins):
        numbers[SEGMENTS] = segments.segment_id.cast("int64")
    return (
        segments.filter(_.segment_id != naming.NET_ZERO_ID)
        .select("date", **numbers)
        .group_by("date", *numbers)
        .agg(customers=_.count())
        .pivot_longer(list(numbers), names_to="name", values_to="bin")
        .group_by("date", "name", "bin")
        .agg(customers=_.customers.sum())
        .mutate(kind=(_.name == SEGMENTS).ifelse(SEGMENTS, FEATURE))
        .select("date", "kind", "name", "bin", "customers")
    )


def judged(counts: pd.DataFrame, bins: Sequence[Bin], settings: Drift) -> pd.DataFrame:
    """As `population_stability`, by the shop's limits; days with few customers are all `few`: shown, and not judged."""
    customers = counts.groupby(["date", "kind", "name"])["customers"].sum().groupby("date").max()
    found = population_stability(counts, bins, settings.warn, settings.act)
    is_few = found["date"].map(customers < settings.min_customers).astype(bool)
    return found.assign(level=found["level"].where(~is_few, "few"))


def _bin_of(value: ir.NumericValue, bins: Sequence[Bin]) -> ir.IntegerValue:
    """The number of the bin that a value is in: one more than the cuts it is above."""
    above = [(value.cast("float64") > each.upper).cast("int64") for each in bins if each.upper is not None]
    return sum(above, start=ibis.literal(1, "int64"))


def population_stability(counts: pd.DataFrame, bins: Sequence[Bin], warn: float, act: float) -> pd.DataFrame:
    """The population stability index (PSI) of every feature and of the segments, day by day.

    PSI adds up (share - reference share) * ln(share / reference share) over the bins. It is 0 where nothing has moved,
    never below, and the same in both directions. An empty bin would make it infinite, so no share is taken as less
    than `FLOOR_SHARE`, on either side; a bin or segment that the reference does not know has that share there.

    Even with nothing changed it is about (bins - 1) * (1 / customers + 1 / customers in the sample), so a shop of a
    hundred customers comes near the usual limit of 0.10 by chance.

    Args:
        counts: As from `counted`.
        bins: The reference.
        warn: From this PSI on the level is `warn`.
        act: From this PSI on the level is `act`.

    Returns:
        `date`, `kind`, `name`, `psi` and `level` (`stable`, `warn` or `act`), in the order of the first three.

    Source: Siddiqi (2006), Credit Risk Scorecards, for the index and its limits; Yurdakul & Naranjo (2020),
    Statistical properties of the population stability index, for its expectation.
    """
    each_name = ["date", "kind", "name"]
    known = pd.DataFrame(list(bins), columns=["kind", "name", "bin", "upper", "share"]).drop(columns="upper")
    found = counts.assign(found=counts["customers"] / counts.groupby(each_name)["customers"].transform("sum"))
    expected = counts[each_name].drop_duplicates().merge(known, on=["kind", "name"])
    # Added up rather than joined: a bin that is on one side only has 0 on the other, and no days at all are no trouble.
    both = pd.concat([expected, found]).groupby([*each_name, "bin"])[["found", "share"]].sum()
    share, reference_share = (both[name].clip(lower=FLOOR_SHARE) for name in ("found", "share"))
    both["psi"] = (share - reference_share) * np.log(share / reference_share)
    stability = both.groupby(each_name)["psi"].sum().reset_index()
    psi = stability["psi"].to_numpy(dtype=float)
    stability["level"] = np.select([psi >= act, psi >= warn], ["act", "warn"], "stable")
    return stability
