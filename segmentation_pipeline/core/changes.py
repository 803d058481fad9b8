"""Changes: which customers are in another segment than before, and what to tell a marketing tool about them.

Belongs here: the words for what can happen to a customer, and the comparison of two snapshots, customer by customer.
Does not: counting who moved (migration.py), the same comparison inside a shop's database (resources/publishing/), files.
"""

from collections.abc import Mapping
from datetime import date

import ibis
import ibis.expr.types as ir
from ibis import _

from segmentation_pipeline.core import schema

NEW = "new"
MOVED = "moved"
RENAMED = "renamed"
GONE = "gone"
RETURNED = "returned"  # known only to who remembers that the customer was there once: the database
CHANGES = (NEW, MOVED, RENAMED, GONE, RETURNED)


def segment_changes(
    before: ir.Table, after: ir.Table, actions: Mapping[int, str], as_of: date, since: date | None
) -> ir.Table:
    """One row for each customer whose segment is not what it was.

    A segment keeps its identity across refits, so a customer has moved where the identity differs. Where only its name
    differs the customer is `renamed`, so that who applies one day's rows after the other's knows segments by their names.

    Args:
        before: `schema.CUSTOMER_SEGMENTS` of the earlier day; no rows if there is none, and everyone is new.
        after: `schema.CUSTOMER_SEGMENTS` of the later day.
        actions: Segment id to what to do about its customers.
        as_of: The later day.
        since: The earlier one.

    Returns:
        `schema.SEGMENT_EXPORT`; of who is gone, only the segment before is known.
    """
    told = ("customer_id", "segment_id", "segment")
    earlier = before.select(**{f"{name}_before": before[name] for name in told})
    both = earlier.outer_join(after, earlier.customer_id_before == after.customer_id)
    is_new, is_gone = both.customer_id_before.isnull(), both.customer_id.isnull()
    has_moved = both.segment_id != both.segment_id_before
    has_other_name = both.segment != both.segment_before
    action = ibis.cases(*((both.segment_id == number, text) for number, text in actions.items()))
    differing = both.filter(is_new | is_gone | has_moved | has_other_name)
    changed = differing.mutate(
        customer_id=ibis.coalesce(both.customer_id, both.customer_id_before),
        change=ibis.cases((is_new, NEW), (is_gone, GONE), (has_moved, MOVED), else_=RENAMED),
        action=action,
        as_of=ibis.literal(as_of),
        since=ibis.literal(since, "date"),
    )
    return schema.SEGMENT_EXPORT.conform(changed)


def flows(changed: ir.Table) -> ir.Table:
    """Customers by `change`, `segment_before` and `segment`, most first.

    Args:
        changed: `schema.SEGMENT_EXPORT`.
    """
    counted = changed.group_by("change", "segment_before", "segment").agg(customers=_.count())
    return counted.order_by(_.customers.desc(), "change", "segment_before", "segment")
