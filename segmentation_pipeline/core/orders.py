"""Orders: the lines of one customer's invoice on one day, grouped, so that old lines are never read again.

Belongs here: the grouping of sales. Does not: returns (returns.py), what an order counts for (rfm.py).
"""

import ibis
import ibis.expr.types as ir
from ibis import _

from segmentation_pipeline.core import schema

NO_PRODUCTS = ibis.literal([], "array<string>")


def customer_orders(clean: ir.Table) -> ir.Table:
    """One row per day, customer and order: items, amount and distinct products sold.

    Args:
        clean: `schema.CLEAN_TRANSACTIONS`, whole days. Guests, returns and adjustments are left out.

    Returns:
        `schema.CUSTOMER_ORDERS`.
    """
    sales = clean.filter(_.line_kind == "sale", _.customer_id.notnull())
    orders = sales.group_by("date", "customer_id", order_id=_.invoice_id).agg(
        items=_.quantity.sum(), amount=_.amount.sum(), product_ids=_.product_id.collect()
    )
    # Of each list: telling products apart among all lines takes several times as long.
    different = _.product_ids.unique().sort().fill_null(NO_PRODUCTS)
    return schema.CUSTOMER_ORDERS.conform(orders.mutate(product_ids=different).mutate(products=_.product_ids.length()))
