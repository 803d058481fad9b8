"""RFM features: what each customer bought, as it was known at the end of one day.

Belongs here: Ibis expressions from orders and returns to one row per customer.
Does not: matching returns (returns.py), scores and segments (clustering/), reading or writing (resources/).
"""

from datetime import date, timedelta

import ibis
import ibis.expr.types as ir
from ibis import _

from segmentation_pipeline.core import schema
from segmentation_pipeline.core.returns import Measure

ORDER = ["customer_id", "order_id"]


def rfm_features(orders: ir.Table, returns: ir.Table, as_of: date, measure: Measure, recent_days: int) -> ir.Table:
    """Recency, frequency, monetary value and secondary behaviour of every customer with an order by `as_of`.

    Args:
        orders: `schema.CUSTOMER_ORDERS`, any days; later ones are cut off here.
        returns: `schema.CUSTOMER_RETURNS`, likewise.
        as_of: Last day that counts, in the shop's time zone.
        measure: Whether an order is given back in full once all its items are, or all its money.
        recent_days: How many days up to `as_of` are recent.

    Returns:
        `schema.RFM_FEATURES`, one row per customer. A customer who gave every order back has frequency 0 and no
        recency; see `has_net_spend`.

    Source: Fader, Hardie & Lee (2005) for the terms; unlike theirs, frequency counts the first order too.
    """
    known_orders, known_returns = (table.filter(_.date <= ibis.literal(as_of)) for table in (orders, returns))
    spent = spending(orders, returns, as_of, measure, recent_days).drop("distinct_products")
    products = _products(known_orders, known_returns, measure)
    return schema.RFM_FEATURES.conform(
        spent.left_join(products, "customer_id").mutate(distinct_products=_.distinct_products.fill_null(0))
    )


def active_since(orders: ir.Table, returns: ir.Table, day: date) -> ir.Table:
    """Who bought or gave back after a day: `customer_id`, once each."""
    since = (table.filter(_.date > ibis.literal(day)).select("customer_id") for table in (orders, returns))
    return ibis.union(*since, distinct=True)


def aged(features: ir.Table, orders: ir.Table, as_of: date, recent_days: int) -> ir.Table:
    """The features on a later day of customers who neither bought nor gave back since: only how long ago has changed.

    Args:
        features: `schema.RFM_FEATURES` of one earlier day, of such customers.
        orders: `schema.CUSTOMER_ORDERS`, as for `rfm_features`, which gives the same from all orders and returns.
        as_of: Likewise.
        recent_days: Likewise.
    """
    known_orders = orders.filter(_.date <= ibis.literal(as_of))
    of_late = known_orders.filter(_is_recent(as_of, recent_days))
    # An order over midnight is one of its last day, and counts whole.
    recent = known_orders.semi_join(of_late, ORDER).group_by("customer_id").agg(recent_revenue=_.amount.sum())
    later = (
        features.drop("recent_revenue")
        .left_join(recent, "customer_id")
        .mutate(
            date=ibis.literal(as_of),
            recent_revenue=_.recent_revenue.fill_null(0),
            spent=_.monetary + _.amount_returned,
        )
        .mutate(**_ages())
    )
    gaps = (_.frequency > 1).ifelse(_.mean_days_between_orders, _.recency_days)
    return schema.RFM_FEATURES.conform(
        later.mutate(mean_days_between_orders=gaps, recent_revenue_share=_recent_share())
    )


def spending(orders: ir.Table, returns: ir.Table, as_of: date, measure: Measure, recent_days: int) -> ir.Table:
    """As `rfm_features`, but for `distinct_products`, which is null: counting them takes longer than all the rest."""
    known_orders, known_returns = (table.filter(_.date <= ibis.literal(as_of)) for table in (orders, returns))
    features = (
        _bought(orders_kept(known_orders, known_returns, measure), as_of, recent_days)
        .left_join(_given_back(known_returns), "customer_id")
        .mutate(
            date=ibis.literal(as_of),
            amount_returned=_.amount_returned.fill_null(0),
            items_returned=_.items_returned.fill_null(0),
            distinct_products=ibis.null("int64"),
        )
        .mutate(**_ages(), monetary=_.spent - _.amount_returned)
    )
    return schema.RFM_FEATURES.conform(features.mutate(**_behaviour()))


def _bought(kept: ir.Table, as_of: date, recent_days: int) -> ir.Table:
    return kept.group_by("customer_id").agg(
        last_order_date=_.date.max(where=_.is_kept),
        first_kept_date=_.date.min(where=_.is_kept),
        first_order_date=_.date.min(),
        frequency=_.is_kept.sum(),
        spent=_.amount.sum(),
        items_bought=_["items"].sum(),
        recent_revenue=_.amount.sum(where=_is_recent(as_of, recent_days)).fill_null(0),
    )


def _is_recent(as_of: date, recent_days: int) -> ir.BooleanValue:
    return _.date > ibis.literal(as_of - timedelta(days=recent_days))


def _given_back(returns: ir.Table) -> ir.Table:
    return returns.group_by("customer_id").agg(amount_returned=_.amount.sum(), items_returned=_["items"].sum())


def _products(orders: ir.Table, returns: ir.Table, measure: Measure) -> ir.Table:
    """How many different products each customer kept: those of all orders but the few that were given back in full."""
    bought = orders.anti_join(_given_back_in_full(orders, returns, measure), ORDER)
    different = bought.select("customer_id", product_id=_.product_ids.unnest()).distinct()
    return different.group_by("customer_id").agg(distinct_products=_.product_id.count())


def _ages() -> dict[str, ir.Value]:
    """How long ago, in whole days."""
    return {
        "recency_days": _.date.delta(_.last_order_date, unit="day"),
        "tenure_days": _.date.delta(_.first_order_date, unit="day"),
    }


def _behaviour() -> dict[str, ir.Value]:
    """Secondary features; null for a customer who kept no order."""
    orders = _.frequency.nullif(0).cast("float64")
    gaps = _.last_order_date.delta(_.first_kept_date, unit="day").cast("float64")
    return {
        "mean_days_between_orders": (_.frequency > 1).ifelse(gaps / (orders - 1).nullif(0), _.recency_days),
        "average_order_value": _.monetary.cast("float64") / orders,
        "items_per_order": ibis.greatest(_.items_bought - _.items_returned, 0).cast("float64") / orders,
        "return_rate": _.amount_returned.cast("float64") / _.spent.cast("float64").nullif(0),
        "recent_revenue_share": _recent_share(),
    }


def _recent_share() -> ir.Value:
    return _.recent_revenue.cast("float64") / _.spent.cast("float64").nullif(0)


def orders_kept(orders: ir.Table, returns: ir.Table, measure: Measure) -> ir.Table:
    """One row per customer and order, with `is_kept`: whether any of it was not given back.

    Returns are only counted if they are in `returns`: cut both tables off at the same day.
    """
    whole = orders.group_by(ORDER).agg(date=_.date.max(), items=_["items"].sum(), amount=_.amount.sum())
    return whole.left_join(_by_order(returns, measure), ORDER).mutate(is_kept=_.returned.fill_null(0) < _[measure])


def _given_back_in_full(orders: ir.Table, returns: ir.Table, measure: Measure) -> ir.Table:
    """The orders of `orders_kept` that are not kept, found among those of which anything was given back."""
    concerned = orders.semi_join(_by_order(returns, measure), ORDER)
    return orders_kept(concerned, returns, measure).filter(~_.is_kept).select(ORDER)


def _by_order(returns: ir.Table, measure: Measure) -> ir.Table:
    return returns.filter(_.order_id.notnull()).group_by(ORDER).agg(returned=_[measure].sum())


def has_net_spend(features: ir.Table) -> ir.BooleanValue:
    """Whether a customer kept an order and spent more than was given back; the others are `Net zero`."""
    return (features.frequency > 0) & (features.monetary > 0)
