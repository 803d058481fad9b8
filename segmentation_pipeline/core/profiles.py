"""Segment profiles: what each segment is like, in numbers that a marketer can act on.

Belongs here: the aggregation over customers and its finish. Does not: names and colours (they come with the model).
"""

import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis import _

from segmentation_pipeline.core import naming, schema
from segmentation_pipeline.core.clustering.scoring import RFM, SegmentationModel


def measured(segments: ir.Table) -> ir.Table:
    """One row per day and segment, in one engine pass: customers, revenue, quartiles of recency, frequency and monetary."""
    quartiles = {
        f"{feature}_{name}": _[feature].cast("float64").quantile(share)
        for feature in RFM
        for name, share in (("p25", 0.25), ("median", 0.5), ("p75", 0.75))
    }
    return segments.group_by("date", "segment_id", "segment", "model_version").agg(
        customers=_.count(), revenue=_.monetary.sum(), **quartiles
    )


def finished(measures: pd.DataFrame, model: SegmentationModel) -> pd.DataFrame:
    """Add shares, standardised centres, colours and recommendations to `measured`.

    Returns:
        `schema.SEGMENT_PROFILES`, by day and segment id; shares of a day add up to 1.
    """
    profiles = measures.sort_values(["date", "segment_id"], ignore_index=True)
    by_day = profiles.groupby("date")
    profiles["customer_share"] = profiles["customers"] / by_day["customers"].transform("sum")
    revenue = profiles["revenue"].astype(float)
    profiles["revenue_share"] = revenue / revenue.groupby(profiles["date"]).transform("sum")
    scalings = {scaling.feature: scaling for scaling in model.scalings}
    for feature in RFM:
        medians = profiles[f"{feature}_median"].to_numpy(dtype=float)
        in_model = profiles["segment_id"].to_numpy() != naming.NET_ZERO_ID
        centre = scalings[feature].transform(medians) if feature in scalings else np.full(len(medians), np.nan)
        profiles[f"{feature}_centre"] = np.where(in_model, centre, np.nan)
    looks = {segment.segment_id: (segment.color, segment.recommendation) for segment in model.segments}
    looks[naming.NET_ZERO_ID] = (naming.NET_ZERO_COLOR, naming.NET_ZERO_RECOMMENDATION)
    profiles["color"] = [looks[number][0] for number in profiles["segment_id"]]
    profiles["recommendation"] = [looks[number][1] for number in profiles["segment_id"]]
    return profiles[schema.SEGMENT_PROFILES.names]
