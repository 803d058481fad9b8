"""Returns: which order each return gives back, first in, first out.

Belongs here: matching returns to earlier sales of the same customer and product.
Does not: what a returned order still counts for (rfm.py).

A match depends on the return's own look-back window alone, so one night, a range of days and a re-run agree.
Within that window the queue of a customer and product is replayed: sales join it, returns take from its front, and a
return that finds it empty takes nothing (the goods were sold before the window, or never). With S and R the running
sums of units sold and returned since the window began, the units in vain are max(0, running maximum of R - S): the
reflection of a queue at zero (Lindley, 1952). So R less that maximum says how far along S the returns have taken, and
each return gives back the stretch of S between the place before it and the place after it.

All windows are found along one queue: S and R run through it once, and what they were before a window is taken off. So
what is held grows with the lines of a customer and product, and not with their square, where all who walk in are one
customer and the source knows no products.
"""

from datetime import date, timedelta
from typing import Literal

import ibis
import ibis.expr.types as ir
from ibis import _

from segmentation_pipeline.core import schema

Measure = Literal["items", "amount"]

_QUEUE = ["customer_id", "product"]
_RETURN = [*_QUEUE, "seq"]


def customer_returns(clean: ir.Table, window_days: int, measure: Measure, first_day: date, last_day: date) -> ir.Table:
    """One row per day, customer and order given back (or none found): items and money given back.

    Args:
        clean: `schema.CLEAN_TRANSACTIONS` of the days asked for and the `window_days` before them, at least.
        window_days: How many days a return looks back.
        measure: What is matched: items, or amounts where the source knows no quantities.
        first_day: Returns before it are only replayed, not reported.
        last_day: Later lines do not count.

    Returns:
        `schema.CUSTOMER_RETURNS`. Items and money add up to those of the returns; a return that gives back parts of
        several orders has one row for each, and one without order for what found no sale.
    """
    known_by_then = clean.filter(
        _.date.between(ibis.literal(first_day - timedelta(days=window_days)), ibis.literal(last_day))
    )
    queues = _counted(_events(known_by_then, measure, first_day))
    taken = _taken(queues, window_days).filter(_.line_kind == "return", _.date >= ibis.literal(first_day))
    matches = _overlaps(taken, queues.filter(_.line_kind == "sale"), measure)
    found = matches.group_by(_RETURN).agg(items_found=_["items"].sum(), amount_found=_.amount.sum())
    in_vain = (
        taken.left_join(found, _RETURN)
        .mutate(
            order_id=ibis.null("string"),
            items=_["items"] - _.items_found.fill_null(0),
            amount=_.amount - _.amount_found.fill_null(0),
        )
        .filter((_["items"] != 0) | (_.amount != 0))
    )
    parts = [schema.CUSTOMER_RETURNS.conform(part) for part in (matches, in_vain)]
    by_order = parts[0].union(parts[1]).group_by("date", "customer_id", "order_id")
    return schema.CUSTOMER_RETURNS.conform(by_order.agg(items=_["items"].sum(), amount=_.amount.sum()))


def _events(clean: ir.Table, measure: Measure, first_day: date) -> ir.Table:
    """Sales and returns of what some customer gives back, one row per invoice and product, in the order they happened."""
    lines = clean.filter(_.line_kind.isin(["sale", "return"]), _.customer_id.notnull()).mutate(
        product=_.product_id.coalesce("")
    )
    given_back = lines.filter(_.line_kind == "return", _.date >= ibis.literal(first_day))
    events = (
        lines.semi_join(given_back, _QUEUE)
        .group_by("date", "customer_id", "line_kind", "invoice_id", "invoiced_at", "product")
        .agg(items=_.quantity.abs().sum(), amount=_.amount.abs().sum())
    )
    events = events.mutate(units=_[measure].cast("decimal(38, 4)"))
    happened = [_.invoiced_at, _.line_kind.desc(), _.invoice_id]
    return events.mutate(seq=ibis.row_number().over(group_by=_QUEUE, order_by=happened))


def _counted(events: ir.Table) -> ir.Table:
    """With the units sold and returned along each queue, up to and with each event, and its day as a number."""
    so_far = ibis.cumulative_window(group_by=_QUEUE, order_by="seq")
    sold = (_.line_kind == "sale").ifelse(_.units, 0)
    returned = (_.line_kind == "return").ifelse(_.units, 0)
    return events.mutate(sold=sold.sum().over(so_far), returned=returned.sum().over(so_far), day=_.date.epoch_days())


def _taken(queues: ir.Table, window_days: int) -> ir.Table:
    """With the stretch of units sold, `start` to `end`, that each event takes if it is a return."""
    before = ibis.window(group_by=_QUEUE, order_by="day", range=(None, -window_days - 1))
    earlier_days = ibis.window(group_by=_QUEUE, order_by="day", range=(-window_days, -1))
    same_day = ibis.cumulative_window(group_by=[*_QUEUE, "date"], order_by="seq")
    return (
        queues.mutate(short=_.returned - _.sold)
        .mutate(
            sold_before=_.sold.max().over(before).fill_null(0),
            returned_before=_.returned.max().over(before).fill_null(0),
            shortest_earlier=_.short.max().over(earlier_days),
            shortest_today=_.short.max().over(same_day),
        )
        .mutate(
            shortest_till_then=_.shortest_today.lag().over(ibis.window(group_by=[*_QUEUE, "date"], order_by="seq")),
            short_before=_.returned_before - _.sold_before,
        )
        .mutate(
            start=_place(_.returned - _.units, _.shortest_earlier, _.shortest_till_then),
            end=_place(_.returned, _.shortest_earlier, _.shortest_today),
        )
    )


def _place(returned: ir.Value, *shortest: ir.Value) -> ir.Value:
    """How far along the units sold returns have taken, so many of them, of which those in vain took nothing."""
    in_vain = ibis.greatest(*(each.fill_null(_.short_before) for each in shortest)) - _.short_before
    return _.sold_before + returned - _.returned_before - ibis.greatest(in_vain, 0)


def _overlaps(taken: ir.Table, sales: ir.Table, measure: Measure) -> ir.Table:
    """The stretch of every sale that each return takes, with its share of the return's items and money."""
    returns = taken.select(
        *_RETURN, "date", "start", "end", return_items=_["items"], return_amount=_.amount, return_units=_.units
    )
    sold = sales.select(*_QUEUE, order_id=_.invoice_id, sold_from=_.sold - _.units, sold_to=_.sold)
    of_both = [returns.start < sold.sold_to, sold.sold_from < returns.end]
    stretch = returns.inner_join(sold, [*_QUEUE, *of_both]).mutate(
        first=ibis.greatest(_.sold_from, _.start) - _.start, last=ibis.least(_.sold_to, _.end) - _.start
    )
    amount = _money_up_to(_.last) - _money_up_to(_.first)
    items = (_.last - _.first) if measure == "items" else (_.first == 0).ifelse(_.return_items, 0)
    # A return that finds all in vain takes a stretch without length, at a place that lies within a sale.
    return stretch.filter(_.first < _.last).mutate(items=items.cast("int64"), amount=amount.cast(schema.MONEY))


def _money_up_to(place: ir.Value) -> ir.DecimalValue:
    """The return's money up to a place in it, rounded so that its parts always add up to the whole."""
    share = place.cast("float64") / _.return_units.cast("float64")
    return (_.return_amount.cast("float64") * share).round(4).cast(schema.MONEY)
