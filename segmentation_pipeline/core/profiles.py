"""Segment profiles: what each segment is like, in numbers that a marketer can act on.

Belongs here: the aggregation over customers and its finish. Does not: names and colours (they come with the model).
"""

import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis import _

from segmentation_pipeline.core import naming, recommendations, schema
from segmentation_pipeline.core.clustering.scoring import RFM, SegmentationModel


def measured(segments: ir.Table, features: ir.Table) -> ir.Table:
    """One row per day and segment, in one engine pass: customers, revenue, quartiles of recency, frequency and monetary.

    Args:
        segments: `schema.CUSTOMER_SEGMENTS`, any days.
        features: `schema.RFM_FEATURES` of the same days, for what was spent lately.
    """
    quartiles = {
        f"{feature}_{name}": _[feature].cast("float64").quantile(share)
        for feature in RFM
        for name, share in (("p25", 0.25), ("median", 0.5), ("p75", 0.75))
    }
    recent = features.select("date", "customer_id", "recent_revenue")
    return (
        segments.left_join(recent, ["date", "customer_id"])
        .group_by("date", "segment_id", "segment", "model_version")
        .agg(customers=_.count(), revenue=_.monetary.sum(), revenue_recent=_.recent_revenue.sum(), **quartiles)
    )


def before(migration: ir.Table) -> ir.Table:
    """One row per day and segment: how many customers it had on the earlier day that `schema.SEGMENT_MIGRATION` tells of."""
    return migration.group_by("date", "compared_with", segment_id=_.from_segment_id).agg(
        customers_before=_.customers.sum()
    )


def finished(
    measures: pd.DataFrame, earlier: pd.DataFrame, model: SegmentationModel, currency: str, recent_days: int
) -> pd.DataFrame:
    """Add shares, standardised centres, colours and recommendations to `measured`.

    Args:
        measures: As from `measured`, of days that one model scored.
        earlier: As from `before`, of any days.
        model: The model.
        currency: ISO 4217 code of the amounts, for the recommendations.
        recent_days: How many days are recent, likewise.

    Returns:
        `schema.SEGMENT_PROFILES`, by day and segment id; shares of a day add up to 1.
    """
    profiles = measures.sort_values(["date", "segment_id"], ignore_index=True)
    by_day = profiles.groupby("date")
    profiles["customer_share"] = profiles["customers"] / by_day["customers"].transform("sum")
    revenue = profiles["revenue"].astype(float)
    profiles["revenue_share"] = revenue / revenue.groupby(profiles["date"]).transform("sum")
    scalings = {scaling.feature: scaling for scaling in model.described_by}
    for feature in RFM:
        medians = profiles[f"{feature}_median"].to_numpy(dtype=float)
        in_model = profiles["segment_id"].to_numpy() != naming.NET_ZERO_ID
        profiles[f"{feature}_centre"] = np.where(in_model, scalings[feature].transform(medians), np.nan)
    looks = {segment.segment_id: (segment.color, segment.action) for segment in model.segments}
    looks[naming.NET_ZERO_ID] = (naming.NET_ZERO_COLOR, naming.NET_ZERO_ACTION)
    profiles["color"] = [looks[number][0] for number in profiles["segment_id"]]
    profiles["action"] = [looks[number][1] for number in profiles["segment_id"]]
    profiles = _compared(profiles, earlier)
    recent = profiles["revenue_recent"].astype(float)
    profiles["recent_share"] = (recent / recent.groupby(profiles["date"]).transform("sum")).fillna(0.0)
    profiles["recommendation"] = [
        recommendations.sentences(row, currency, recent_days) for _place, row in profiles.iterrows()
    ]
    return profiles[schema.SEGMENT_PROFILES.names]


def _compared(profiles: pd.DataFrame, earlier: pd.DataFrame) -> pd.DataFrame:
    """With `compared_with` and `customers_before`: 0 for a segment that the earlier day did not have."""
    days = dict(zip(earlier["date"], earlier["compared_with"], strict=True))
    counts = earlier.set_index(["date", "segment_id"])["customers_before"].to_dict()
    keys = list(zip(profiles["date"], profiles["segment_id"], strict=True))
    return profiles.assign(
        compared_with=pd.to_datetime(pd.Series([days.get(day) for day, _segment in keys], dtype=object)),
        customers_before=pd.array([counts.get(key, 0) if key[0] in days else None for key in keys], dtype="Int64"),
    )
