"""Migration: how many customers, and how much revenue, moved from which segment to which between two days.

Belongs here: the comparison of two snapshots of the same customers.
Does not: which days to compare (assets/), whether the customers as a whole have changed (drift.py).
"""

import ibis
import ibis.expr.types as ir
from ibis import _

from segmentation_pipeline.core import schema

NEW_ID = -1
NEW = "New"
GONE_ID = -2
GONE = "Gone"


def segment_migration(before: ir.Table, after: ir.Table, days_back: int, inactive_days: int) -> ir.Table:
    """One row for each day and pair of segments that a customer moved between, or stayed in.

    A customer who is only in `after` comes from `New`; one who is only in `before` (deleted on request) goes to
    `Gone`. So every customer of either day is in exactly one row. A customer without recency (Net zero) is inactive.
    Reactivated and lost customers are in both snapshots: who is `New` or `Gone` is neither.

    Args:
        before: `schema.CUSTOMER_SEGMENTS` of the earlier days, each scored by the model of its later day.
        after: `schema.CUSTOMER_SEGMENTS` of the days `days_back` days after them.
        days_back: How many days lie between the two.
        inactive_days: A customer is active up to and including this many days since the last order.

    Returns:
        `date`, `compared_with`, the two segments by id and name, `customers`, their `revenue_before` and
        `revenue_after` (sums of monetary), `reactivated_customers` (inactive before, active after),
        `lost_customers` (active before, inactive after) and `model_version`.
    """
    reach = ibis.interval(days=days_back)
    earlier = _prefixed(before.mutate(date=_moved(before.date, reach)), "from")
    later = _prefixed(after, "to")
    moves = earlier.outer_join(later, [("from_date", "to_date"), ("from_customer_id", "to_customer_id")])
    in_both = moves.from_customer_id.notnull() & moves.to_customer_id.notnull()
    was_active, is_active = (
        (moves[f"{side}_recency_days"] <= inactive_days).fill_null(False) for side in ("from", "to")
    )
    flows = (
        moves.mutate(is_reactivated=in_both & ~was_active & is_active, is_lost=in_both & was_active & ~is_active)
        .group_by(
            date=_.to_date.coalesce(_.from_date),
            from_segment_id=_.from_segment_id.fill_null(NEW_ID),
            from_segment=_.from_segment.fill_null(NEW),
            to_segment_id=_.to_segment_id.fill_null(GONE_ID),
            to_segment=_.to_segment.fill_null(GONE),
        )
        .agg(
            customers=_.count(),
            revenue_before=_.from_monetary.sum().fill_null(0).cast(schema.MONEY),
            revenue_after=_.to_monetary.sum().fill_null(0).cast(schema.MONEY),
            reactivated_customers=_.count(where=_.is_reactivated),
            lost_customers=_.count(where=_.is_lost),
            model_version=_.to_model_version.max(),
        )
    )
    return schema.SEGMENT_MIGRATION.conform(
        flows.mutate(
            compared_with=_moved(_.date, -reach),
            model_version=_.model_version.max().over(group_by="date"),  # of who is gone there is none
        )
    )


def _moved(day: ir.DateValue, reach: ir.IntervalValue) -> ir.DateValue:
    """A day that many days later. Engines make a moment of a day and an interval, so it begins and ends as one."""
    return (day.cast("timestamp") + reach).cast("date")


def _prefixed(snapshot: ir.Table, side: str) -> ir.Table:
    columns = ("date", "customer_id", "segment_id", "segment", "recency_days", "monetary", "model_version")
    return snapshot.select(**{f"{side}_{name}": snapshot[name] for name in columns})
