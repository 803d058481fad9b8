"""Profiles of orders, returns and features: that their money and customers are those they were made of.

Belongs here: sums of both sides of each step. Does not: the steps themselves (orders.py, returns.py, rfm.py).
"""

from collections.abc import Sequence
from datetime import date

import ibis
import ibis.expr.types as ir
from ibis import _

from segmentation_pipeline.core.profiling.measures import TOTAL, by_day, count, money, number
from segmentation_pipeline.core.schema import Column

ORDERS = (
    count("orders", "Orders", lambda t: t.count()),
    count(
        "repeated_keys", "Orders whose customer and number another row has", lambda t: t.key.count() - t.key.nunique()
    ),
    count("missing_keys", "Orders without a customer or number", lambda t: t.key.isnull().sum()),
    count("customers", "Different customers", lambda t: t.customer_id.nunique()),
    number("least_items", "Fewest items of an order", lambda t: t["items"].min()),
    money("amount", "Money of the orders", lambda t: t.amount.sum()),
)
SALES = (
    money("sales_amount", "Money of the accepted sales to known customers", lambda t: t.amount.sum()),
    count("sales_customers", "Known customers with an accepted sale", lambda t: t.customer_id.nunique()),
)
RETURNS = (
    count("returns", "Rows: customers and orders that were given back", lambda t: t.count()),
    count("repeated_keys", "Rows whose customer and order another row has", lambda t: t.count() - t.key.nunique()),
    number("least_items", "Fewest items given back in a row", lambda t: t["items"].min()),
    count("unknown_orders", "Rows whose order is not among the customer's sales in the look-back window",
          lambda t: (t.order_id.notnull() & ~t.is_known).sum()),
    money("amount", "Money given back", lambda t: t.amount.sum()),
    number("unmatched_share", "Share of the money given back for which no sale was found",
           lambda t: t.amount.sum(where=t.order_id.isnull()).fill_null(0) / t.amount.sum().nullif(0)),
)  # fmt: skip
GOODS = (
    money("credits_amount", "Money of the accepted returns of known customers",
          lambda t: -t.amount.sum(where=t.line_kind == "return").fill_null(0)),
    money("net_amount", "Money of the accepted sales and returns of known customers", lambda t: t.amount.sum()),
)  # fmt: skip
DAYS_ORDERS = (money("orders_amount", "Money of the day's orders", lambda t: t.amount.sum()),)

FEATURES = (
    count("rows", "Rows", lambda t: t.count()),
    count("customers", "Different customers", lambda t: t.customer_id.nunique()),
    number("least_recency_days", "Fewest days since a customer's last order", lambda t: t.recency_days.min()),
    count("impossible_rows", "Rows whose recency and frequency contradict each other",
          lambda t: ((t.recency_days.isnull() != (t.frequency == 0)) | (t.frequency < 0)).sum()),
    count("orders_after_the_day", "Rows with an order later than the as-of day", lambda t: (t.last_order_date > t.date).sum()),
    number("median_recency_days", "Median days since the last order", lambda t: t.recency_days.median()),
    number("median_frequency", "Median number of orders", lambda t: t.frequency.median()),
    number("median_monetary", "Median spend in the shop's currency", lambda t: t.spend.median()),
    money("monetary", "Spend of all customers", lambda t: t.monetary.sum()),
)  # fmt: skip
KNOWN = (
    Column("known_customers", "int64", "Customers with an order up to the day"),
    Column("net_sales", TOTAL, "Money of the orders less the returns of these customers up to the day"),
)

ORDERS_COLUMNS = tuple(measure.column for measure in (*ORDERS, *SALES))
RETURNS_COLUMNS = (
    *(measure.column for measure in (*RETURNS, *GOODS, *DAYS_ORDERS)),
    Column("orders_less_returns", TOTAL, "Money of the day's orders less money given back"),
)
FEATURES_COLUMNS = (*(measure.column for measure in FEATURES), *KNOWN)


def orders_measured(clean: ir.Table, orders: ir.Table, days: Sequence[date]) -> ir.Table:
    """One row per day, with `ORDERS_COLUMNS`: the orders, and the sales they group.

    Args:
        clean: `schema.CLEAN_TRANSACTIONS`.
        orders: `schema.CUSTOMER_ORDERS` made of it.
        days: The days to measure, without a gap.
    """
    sales = clean.filter(_.line_kind == "sale", _.customer_id.notnull())
    return by_day(days, [(orders.mutate(key=_order_key()), ORDERS), (sales, SALES)])


def returns_measured(clean: ir.Table, orders: ir.Table, returns: ir.Table, days: Sequence[date]) -> ir.Table:
    """One row per day, with `RETURNS_COLUMNS`: what was given back, and the credit lines it was matched from.

    Args:
        clean: `schema.CLEAN_TRANSACTIONS` of the days and of the look-back window before them.
        orders: `schema.CUSTOMER_ORDERS` of the days.
        returns: `schema.CUSTOMER_RETURNS` of the days.
        days: The days to measure, without a gap.
    """
    goods = clean.filter(_.line_kind.isin(["sale", "return"]), _.customer_id.notnull())
    sold = goods.filter(_.line_kind == "sale").select("customer_id", order_id=_.invoice_id).distinct()
    placed = (
        returns.left_join(sold, ["customer_id", "order_id"])
        .mutate(is_known=_.order_id_right.notnull(), key=_.customer_id + ibis.literal("#") + _.order_id.coalesce(""))
        .drop("customer_id_right", "order_id_right")
    )
    profile = by_day(days, [(placed, RETURNS), (goods, GOODS), (orders, DAYS_ORDERS)])
    return profile.mutate(orders_less_returns=(_.orders_amount - _.amount).cast(TOTAL))


def features_measured(orders: ir.Table, returns: ir.Table, features: ir.Table, days: Sequence[date]) -> ir.Table:
    """One row per as-of day, with `FEATURES_COLUMNS`: the features, and the orders and returns known by then.

    Args:
        orders: `schema.CUSTOMER_ORDERS`, every day up to the last of `days`.
        returns: `schema.CUSTOMER_RETURNS`, likewise.
        features: `schema.RFM_FEATURES` of the days.
        days: The days to measure, without a gap.
    """
    profile = by_day(days, [(features.mutate(spend=_.monetary.cast("float64")), FEATURES)])
    # What a customer gave back counts from the customer's first order on: without one there are no features.
    first_orders = orders.group_by("customer_id").agg(first_date=_.date.min())
    counted = returns.inner_join(first_orders, "customer_id")
    changes = ibis.union(
        first_orders.select(date=_.first_date, customers=ibis.literal(1), amount=_zero()),
        orders.select("date", customers=ibis.literal(0), amount=_.amount),
        counted.select(date=ibis.greatest(_.date, _.first_date), customers=ibis.literal(0), amount=-_.amount),
    )
    by_date = changes.group_by("date").agg(customers=_.customers.sum(), amount=_.amount.sum())
    so_far = profile.select("date").left_join(by_date, by_date.date <= profile.date)
    known = so_far.group_by("date").agg(
        known_customers=_.customers.sum().fill_null(0).cast("int64"), net_sales=_.amount.sum().fill_null(0).cast(TOTAL)
    )
    return profile.left_join(known, "date").drop("date_right")


def _order_key() -> ir.StringValue:
    return _.customer_id + ibis.literal("#") + _.order_id


def _zero() -> ir.DecimalScalar:
    return ibis.literal(0).cast("decimal(18, 4)")
