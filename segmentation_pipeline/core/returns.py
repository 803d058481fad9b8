"""Returns: which order each return gives back, first in, first out.

Belongs here: matching returns to earlier sales of the same customer and product.
Does not: what a returned order still counts for (rfm.py).

A match depends on the return's own look-back window alone, so one night, a range of days and a re-run agree.
Within that window the queue of a customer and product is replayed: sales join it, returns take from its front, and a
return that finds it empty takes nothing (the goods were sold before the window, or never). With S and R the running
sums of units sold and returned, the units in vain are max(0, running maximum of R - S): the reflection of a queue at
zero (Lindley, 1952). So R less that maximum says how far along S the returns have taken, and each return gives back
the stretch of S between the place before it and the place after it.
"""

from datetime import date, timedelta
from typing import Literal

import ibis
import ibis.expr.types as ir
from ibis import _

from segmentation_pipeline.core import schema

Measure = Literal["items", "amount"]

_LINE = ["customer_id", "product", "return_seq"]


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
    events = _events(known_by_then, measure, first_day)
    returns = events.filter(_.line_kind == "return", _.date >= ibis.literal(first_day)).select(
        "customer_id",
        "product",
        return_seq=_.seq,
        return_date=_.date,
        return_items=_["items"],
        return_amount=_.amount,
        return_units=_.units,
    )
    replayed = _replayed(events, returns, window_days)
    taken = replayed.filter(_.seq == _.return_seq).mutate(start=_.place_before, end=_.place)
    matches = _overlaps(taken, replayed.filter(_.line_kind == "sale"), measure)
    found = matches.group_by(_LINE).agg(items_found=_["items"].sum(), amount_found=_.amount.sum())
    in_vain = (
        taken.left_join(found, _LINE)
        .mutate(
            order_id=ibis.null("string"),
            items=_.return_items - _.items_found.fill_null(0),
            amount=_.return_amount - _.amount_found.fill_null(0),
        )
        .filter((_["items"] != 0) | (_.amount != 0))
    )
    parts = [schema.CUSTOMER_RETURNS.conform(part.mutate(date=_.return_date)) for part in (matches, in_vain)]
    by_order = parts[0].union(parts[1]).group_by("date", "customer_id", "order_id")
    return schema.CUSTOMER_RETURNS.conform(by_order.agg(items=_["items"].sum(), amount=_.amount.sum()))


def _events(clean: ir.Table, measure: Measure, first_day: date) -> ir.Table:
    """Sales and returns of what some customer gives back, one row per invoice and product, in the order they happened."""
    lines = clean.filter(_.line_kind.isin(["sale", "return"]), _.customer_id.notnull()).mutate(
        product=_.product_id.coalesce("")
    )
    given_back = lines.filter(_.line_kind == "return", _.date >= ibis.literal(first_day))
    events = (
        lines.semi_join(given_back, ["customer_id", "product"])
        .group_by("date", "customer_id", "line_kind", "invoice_id", "invoiced_at", "product")
        .agg(items=_.quantity.abs().sum(), amount=_.amount.abs().sum())
    )
    events = events.mutate(units=_[measure].cast("decimal(38, 4)"))
    happened = [_.invoiced_at, _.line_kind.desc(), _.invoice_id]
    return events.mutate(seq=ibis.row_number().over(group_by=["customer_id", "product"], order_by=happened))


def _replayed(events: ir.Table, returns: ir.Table, window_days: int) -> ir.Table:
    """Each return beside the events of its window up to itself, with running sums along them."""
    sold = (_.line_kind == "sale").ifelse(_.units, 0)
    given_back = (_.line_kind == "return").ifelse(_.units, 0)
    window = events.inner_join(returns, ["customer_id", "product"]).filter(
        _.seq <= _.return_seq, _.date >= _.return_date - ibis.interval(days=window_days)
    )
    so_far = ibis.cumulative_window(group_by=_LINE, order_by="seq")
    return (
        window.mutate(sold=sold.sum().over(so_far), given_back=given_back.sum().over(so_far))
        .mutate(in_vain=(_.given_back - _.sold).max().over(so_far))
        .mutate(place=_.given_back - ibis.greatest(_.in_vain, 0))
        .mutate(place_before=_.place.lag().over(ibis.window(group_by=_LINE, order_by="seq")).fill_null(0))
    )


def _overlaps(taken: ir.Table, sales: ir.Table, measure: Measure) -> ir.Table:
    """The stretch of every sale that each return takes, with its share of the return's items and money."""
    bounds = taken.select(*_LINE, "start", "end")
    sold = sales.select(
        *_LINE,
        "return_date",
        "return_items",
        "return_amount",
        "return_units",
        "units",
        order_id=_.invoice_id,
        sold_to=_.sold,
    )
    stretch = (
        sold.inner_join(bounds, _LINE)
        .mutate(lower=ibis.greatest(_.sold_to - _.units, _.start), upper=ibis.least(_.sold_to, _.end))
        .filter(_.lower < _.upper)
        .mutate(first=_.lower - _.start, last=_.upper - _.start)
    )
    amount = _money_up_to(_.last) - _money_up_to(_.first)
    items = (_.last - _.first) if measure == "items" else (_.first == 0).ifelse(_.return_items, 0)
    return stretch.mutate(items=items.cast("int64"), amount=amount.cast(schema.MONEY))


def _money_up_to(place: ir.Value) -> ir.DecimalValue:
    """The return's money up to a place in it, rounded so that its parts always add up to the whole."""
    share = place.cast("float64") / _.return_units.cast("float64")
    return (_.return_amount.cast("float64") * share).round(4).cast(schema.MONEY)
