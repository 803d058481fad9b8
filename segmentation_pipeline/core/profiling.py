"""Profiles: small tables of counts that say what happened in a stage, measured in one engine pass.

Belongs here: Ibis aggregations to a few rows per day. Does not: judging them (checks/), drawing them (reporting/).
"""

import ibis
import ibis.expr.types as ir
from ibis import _

from segmentation_pipeline.core import cleaning, schema
from segmentation_pipeline.settings import Settings


def cleaning_profile(raw: ir.Table, clean: ir.Table, quarantined: ir.Table, settings: Settings) -> ir.Table:
    """Rows and money per day: raw, accepted by kind of line, guests, quarantined by reason and by failed rule.

    Args:
        raw: `schema.RAW_TRANSACTIONS`, whole days.
        clean: `schema.CLEAN_TRANSACTIONS` of the same days, as stored.
        quarantined: `schema.QUARANTINED_TRANSACTIONS` of the same days, as stored.
        settings: How the money of a raw row is read.

    Returns:
        `schema.CLEANING_PROFILE`. Measures `raw`, `accepted` and `quarantined` count each row once, so raw is the sum
        of the other two; a row can fail several rules, so `failed_rule` counts more.
    """
    readable = cleaning.parsed(raw, settings)
    raw_rows = readable.mutate(
        measure=ibis.literal("raw"), item=ibis.literal("all"), amount=cleaning.line_amount(readable)
    )
    accepted = clean.mutate(measure=ibis.literal("accepted"), item=_.line_kind)
    guests = clean.filter(_.customer_id.isnull()).mutate(measure=ibis.literal("guest"), item=ibis.literal("all"))
    rejected = quarantined.mutate(measure=ibis.literal("quarantined"), item=_.reason, amount=_.amount_at_stake)
    rules = rejected.mutate(measure=ibis.literal("failed_rule"), item=_.failed_rules.unnest())
    columns = ["date", "measure", "item", "amount"]
    rows = ibis.union(*[part.select(columns) for part in (raw_rows, accepted, guests, rejected, rules)])
    return schema.CLEANING_PROFILE.conform(
        rows.group_by("date", "measure", "item").agg(rows=_.count(), amount=_.amount.sum())
    )


def rows_by_day(profile: ir.Table) -> ir.Table:
    """One row per day of a cleaning profile: raw, accepted, quarantined and guest rows, and revenue.

    Revenue is the money of all accepted lines: sales less returns, with adjustments.
    """

    def rows(measure: str) -> ir.IntegerScalar:
        return _["rows"].sum(where=_.measure == measure).fill_null(0)

    return (
        profile.group_by("date")
        .agg(
            raw_rows=rows("raw"),
            accepted_rows=rows("accepted"),
            quarantined_rows=rows("quarantined"),
            guest_rows=rows("guest"),
            revenue=_.amount.sum(where=_.measure == "accepted").fill_null(0).cast("float64"),
            guest_revenue=_.amount.sum(where=_.measure == "guest").fill_null(0).cast("float64"),
        )
        .order_by("date")
    )


def rows_by_reason(profile: ir.Table) -> ir.Table:
    """One row per reason of a cleaning profile: rows with it as primary reason, and rows that fail its rule at all."""
    return (
        profile.filter(_.measure.isin(["quarantined", "failed_rule"]))
        .group_by(reason=_.item)
        .agg(
            rows=_["rows"].sum(where=_.measure == "quarantined").fill_null(0),
            failed_rows=_["rows"].sum(where=_.measure == "failed_rule").fill_null(0),
        )
        .order_by("reason")
    )


def reconciliation(profile: ir.Table) -> ir.Table:
    """One row per day of a cleaning profile: rows and money in the source beside those accepted or quarantined."""
    raw, placed = _.measure == "raw", _.measure.isin(["accepted", "quarantined"])
    return (
        profile.group_by("date")
        .agg(
            raw_rows=_["rows"].sum(where=raw).fill_null(0),
            placed_rows=_["rows"].sum(where=placed).fill_null(0),
            raw_amount=_.amount.sum(where=raw).fill_null(0),
            placed_amount=_.amount.sum(where=placed).fill_null(0),
            quarantined_rows=_["rows"].sum(where=_.measure == "quarantined").fill_null(0),
        )
        .mutate(quarantined_share=_.quarantined_rows / ibis.greatest(_.raw_rows, 1))
        .order_by("date")
    )


def features_profile(features: ir.Table) -> ir.Table:
    """One row per day of `schema.RFM_FEATURES`: rows, customers, and rows whose numbers contradict each other."""
    impossible = (_.recency_days.isnull() != (_.frequency == 0)) | (_.frequency < 0)
    return (
        features.group_by("date")
        .agg(
            rows=_.count(),
            customers=_.customer_id.nunique(),
            least_recency_days=_.recency_days.min(),
            impossible_rows=impossible.sum(),
        )
        .order_by("date")
    )


def segments_profile(segments: ir.Table, features: ir.Table) -> ir.Table:
    """One row per day: customers with features, customers with exactly one segment, customers without its name."""
    per_customer = segments.group_by("date", "customer_id").agg(rows=_.count(), unnamed=_.segment.isnull().sum())
    scored = per_customer.group_by("date").agg(
        customers=(_["rows"] == 1).sum(), unnamed_customers=(_.unnamed > 0).sum()
    )
    known = features.group_by("date").agg(customers_with_features=_.customer_id.nunique())
    return known.left_join(scored, "date").drop("date_right").order_by("date")
