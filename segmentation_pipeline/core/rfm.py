"""RFM features: what each customer bought, as it was known at the end of one day.

Belongs here: Ibis expressions from orders and returns to one row per customer.
Does not: matching returns (returns.py), scores and segments (clustering/), reading or writing (resources/).
"""

from datetime import date

import ibis
import ibis.expr.types as ir
from ibis import _

from segmentation_pipeline.core import schema
from segmentation_pipeline.core.returns import Measure


def rfm_features(orders: ir.Table, returns: ir.Table, as_of: date, measure: Measure) -> ir.Table:
    """Recency, frequency and monetary value of every customer with an order by `as_of`.

    Args:
        orders: `schema.CUSTOMER_ORDERS`, any days; later ones are cut off here.
        returns: `schema.CUSTOMER_RETURNS`, likewise.
        as_of: Last day that counts, in the shop's time zone.
        measure: Whether an order is given back in full once all its items are, or all its money.

    Returns:
        `schema.RFM_FEATURES`, one row per customer. A customer who gave every order back has frequency 0 and no
        recency; see `has_net_spend`.

    Source: Fader, Hardie & Lee (2005) for the terms; unlike theirs, frequency counts the first order too.
    """
    known_orders = orders.filter(_.date <= ibis.literal(as_of))
    known_returns = returns.filter(_.date <= ibis.literal(as_of))
    kept = orders_kept(known_orders, known_returns, measure)
    bought = kept.group_by("customer_id").agg(
        last_order_date=_.date.max(where=_.is_kept),
        first_order_date=_.date.min(),
        frequency=_.is_kept.sum(),
        spent=_.amount.sum(),
    )
    given_back = known_returns.group_by("customer_id").agg(amount_returned=_.amount.sum())
    return schema.RFM_FEATURES.conform(
        bought.left_join(given_back, "customer_id")
        .mutate(date=ibis.literal(as_of), amount_returned=_.amount_returned.fill_null(0))
        .mutate(recency_days=_.date.delta(_.last_order_date, unit="day"), monetary=_.spent - _.amount_returned)
    )


def orders_kept(orders: ir.Table, returns: ir.Table, measure: Measure) -> ir.Table:
    """One row per customer and order, with `is_kept`: whether any of it was not given back.

    Returns are only counted if they are in `returns`: cut both tables off at the same day.
    """
    order = ["customer_id", "order_id"]
    whole = orders.group_by(order).agg(date=_.date.max(), items=_["items"].sum(), amount=_.amount.sum())
    back = returns.filter(_.order_id.notnull()).group_by(order).agg(returned=_[measure].sum())
    return whole.left_join(back, order).mutate(is_kept=_.returned.fill_null(0) < _[measure])


def has_net_spend(features: ir.Table) -> ir.BooleanValue:
    """Whether a customer kept an order and spent more than was given back; the others are `Net zero`."""
    return (features.frequency > 0) & (features.monetary > 0)
