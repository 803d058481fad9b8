"""Profiles of segments: that every customer with features has one, and what the segments add up to.

Belongs here: counts of scored customers, and the small tables with the sums that their checks compare.
Does not: scoring (clustering/scoring.py), describing segments (core/profiles.py).
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis import _

from segmentation_pipeline.core import migration, naming, schema
from segmentation_pipeline.core.clustering.scoring import SegmentationModel, model_table
from segmentation_pipeline.core.profiling.measures import TOTAL, by_day, count, money, number
from segmentation_pipeline.core.schema import Column

SCORES = ("recency_score", "frequency_score", "monetary_score")

SCORED = (
    count("rows", "Rows", lambda t: t.count()),
    count("customers", "Different customers", lambda t: t.customer_id.nunique()),
    count("unnamed_customers", "Rows without a segment's name", lambda t: t.segment.isnull().sum()),
    count("model_versions", "Versions of the model that scored the customers", lambda t: t.model_version.nunique()),
    count("segments", "Different segments, Net zero apart",
          lambda t: t.segment_id.nunique(where=t.segment_id != naming.NET_ZERO_ID)),
    count("impossible_scores", "Rows with a score outside 1 to 5, or, in a segment, without one",
          lambda t: _is_impossible(t).sum()),
    number("net_zero_share", "Share of customers whose orders were given back or who spent nothing, net",
           lambda t: (t.segment_id == naming.NET_ZERO_ID).mean()),
)  # fmt: skip
LARGEST = (
    number("largest_segment_share", "Share of customers in the largest segment", lambda t: t.customers.max() / t.customers.sum()),
)  # fmt: skip
MATCHED = (count("matched_customers", "Customers with features and a segment", lambda t: t.customer_id.nunique()),)
KNOWN = (
    count("customers_with_features", "Customers with features", lambda t: t.customer_id.nunique()),
    count("net_zero_customers", "Customers without net spend by their features",
          lambda t: ((t.frequency <= 0) | (t.monetary <= 0)).sum()),
)  # fmt: skip
SEGMENTS_COLUMNS = tuple(measure.column for measure in (*SCORED, *LARGEST, *MATCHED, *KNOWN))

PROFILES_COLUMNS = (
    *schema.SEGMENT_PROFILES.columns[1:],
    Column("day_customer_share", "float64", "Sum of the day's customer shares"),
    Column("day_revenue_share", "float64", "Sum of the day's revenue shares"),
    Column("day_customers", "int64", "Customers in all of the day's segments"),
    Column("scored_customers", "int64", "Customers in customer_segments of the day"),
)
MIGRATION = (
    count("flows", "Pairs of segments that customers moved between, or stayed in", lambda t: t.count()),
    money("before_revenue", "Revenue of the flows on the earlier day", lambda t: t.revenue_before.sum()),
    count("customers_after", "Customers of the flows who are known on the day",
          lambda t: t.customers.sum(where=t.to_segment_id != migration.GONE_ID)),
    count("customers_gone", "Customers who were known on the earlier day and are no more",
          lambda t: t.customers.sum(where=t.to_segment_id == migration.GONE_ID)),
    money("after_revenue", "Revenue of the flows on the day", lambda t: t.revenue_after.sum()),
    number("stayed_share", "Share of the customers of both days who stayed in their segment",
           lambda t: t.customers.sum(where=t.from_segment_id == t.to_segment_id).fill_null(0)
           / t.customers.sum(where=(t.from_segment_id != migration.NEW_ID) & (t.to_segment_id != migration.GONE_ID))),
)  # fmt: skip
SNAPSHOT = (
    count("customers", "Customers of the day's segments", lambda t: t.count()),
    money("revenue", "Monetary of the day's segments", lambda t: t.monetary.sum()),
)
MIGRATION_COLUMNS = (
    *(measure.column for measure in (*MIGRATION, *SNAPSHOT)),
    Column(
        "uncompared_customers", "int64", "Customers of the day in none of the flows; 0 on a day without an earlier one"
    ),
    Column("uncompared_revenue", TOTAL, "Their revenue, likewise"),
    Column("no_revenue", TOTAL, "0, to compare with"),
)
DRIFT_COLUMNS = (
    *schema.SEGMENT_DRIFT.columns[1:],
    Column("drifted_psi", "float64", "The index where its level is warn or act, else null"),
)
EXPLORATION_COLUMNS = schema.FEATURE_EXPLORATION.columns[1:]
DIAGNOSTICS_COLUMNS = (
    *schema.K_DIAGNOSTICS.columns[1:],
    Column("finite_inertia", "float64", "The inertia, null where it is not finite"),
    Column("chosen", "int64", "1 in the chosen row"),
    Column("chosen_despite_vetoes", "int64", "1 in the chosen row if it is vetoed"),
)
MODEL_COLUMNS = (
    *schema.SEGMENTATION_MODEL.columns[1:],
    Column("finite_centre", "float64", "The coordinate, null where it is not finite"),
    Column(
        "varying_scale",
        "float64",
        "The scale, null where the feature is the same for all customers, or for all but "
        "those that model.winsor_share cuts off",
    ),
    Column("k", "int64", "Number of segments"),
    Column("chosen_k", "int64", "Number of segments that k_diagnostics chose"),
    Column("smallest_segment_share", "float64", "Share of the fitted customers in the smallest segment"),
    Column("silhouette", "float64", "Mean silhouette of the fitted customers, -1 to 1"),
    Column("stability", "float64", "Mean adjusted Rand index with models of bootstrap samples, at most 1"),
    Column(
        "agreement",
        "float64",
        "Adjusted Rand index with the model in force on the same customers; null unless promote says if_better",
    ),
)


def segments_measured(features: ir.Table, segments: ir.Table, days: Sequence[date]) -> ir.Table:
    """One row per day, with `SEGMENTS_COLUMNS`: customers scored, and customers to be scored.

    Args:
        features: `schema.RFM_FEATURES` of the days.
        segments: `schema.CUSTOMER_SEGMENTS` made of it.
        days: The days to measure, without a gap.
    """
    sizes = segments.group_by("date", "segment_id").agg(customers=_.count())
    matched = segments.semi_join(features, ["date", "customer_id"])
    return by_day(days, [(segments, SCORED), (sizes, LARGEST), (matched, MATCHED), (features, KNOWN)])


def migration_measured(segments: ir.Table, flows: ir.Table, days: Sequence[date]) -> ir.Table:
    """One row per day, with `MIGRATION_COLUMNS`: what moved, and the snapshot it must add up to.

    Args:
        segments: `schema.CUSTOMER_SEGMENTS` of the days.
        flows: `schema.SEGMENT_MIGRATION` made of it.
        days: The days to measure, without a gap.
    """
    profile = by_day(days, [(flows, MIGRATION), (segments, SNAPSHOT)])
    is_compared = (_.flows > 0).cast("int64")
    return profile.mutate(
        uncompared_customers=(_.customers - _.customers_after) * is_compared,
        uncompared_revenue=((_.revenue - _.after_revenue) * is_compared).cast(TOTAL),
        no_revenue=ibis.literal(0).cast(TOTAL),
    )


def drift_measured(drift: ir.Table) -> ir.Table:
    """`schema.SEGMENT_DRIFT` itself, with what is judged of it (`DRIFT_COLUMNS`)."""
    return drift.mutate(drifted_psi=_.level.isin(["warn", "act"]).ifelse(_.psi, None))


def profiles_measured(segments: ir.Table, profiles: ir.Table) -> ir.Table:
    """`schema.SEGMENT_PROFILES` itself, with the sums of each day (`PROFILES_COLUMNS`); a day without has one empty row.

    Args:
        segments: `schema.CUSTOMER_SEGMENTS` of the days.
        profiles: The table, made of them.
    """
    scored = segments.group_by("date").agg(scored_customers=_.count())
    sums = profiles.group_by("date").agg(
        day_customer_share=_.customer_share.sum(),
        day_revenue_share=_.revenue_share.sum(),
        day_customers=_.customers.sum(),
    )
    rows = profiles.left_join(sums, "date").drop("date_right").outer_join(scored, "date")
    return rows.mutate(
        date=_.date.coalesce(_.date_right),
        day_customers=_.day_customers.fill_null(0),
        scored_customers=_.scored_customers.fill_null(0),
    ).drop("date_right")


def with_choice(diagnostics: pd.DataFrame) -> pd.DataFrame:
    """`schema.K_DIAGNOSTICS` with what its checks count (`DIAGNOSTICS_COLUMNS`)."""
    chosen = diagnostics["is_chosen"].astype(int)
    return diagnostics.assign(
        finite_inertia=_finite(diagnostics["inertia"]),
        chosen=chosen,
        chosen_despite_vetoes=chosen * (diagnostics["vetoes"] != "").astype(int),
    )


def with_quality(model: SegmentationModel, as_of: date, chosen_k: int, agreement: float | None) -> pd.DataFrame:
    """`schema.SEGMENTATION_MODEL` with what its checks judge (`MODEL_COLUMNS`) and the day it was fitted on."""
    table = model_table(model, version=0)
    card: Mapping[str, Any] = model.card
    return table.assign(
        date=as_of,
        finite_centre=_finite(table["centre"]),
        varying_scale=table["scale"].where(table["upper_cut"] > table["lower_cut"]),
        k=table["segment_id"].nunique(),
        chosen_k=chosen_k,
        smallest_segment_share=min(card["segments"].values()),
        silhouette=card["silhouette"],
        stability=card["stability"],
        agreement=agreement,
    )


def _finite(values: pd.Series) -> pd.Series:
    return values.where(np.isfinite(values.astype(float)))


def _is_impossible(table: ir.Table) -> ir.BooleanValue:
    in_model = table.segment_id != naming.NET_ZERO_ID
    found = False
    for score in SCORES:
        found = found | ~table[score].between(1, 5).fill_null(~in_model)
    return found
