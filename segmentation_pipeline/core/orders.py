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
    return schema.CUSTOMER_ORDERS.conform(
        sales.group_by("date", "customer_id", order_id=_.invoice_id).agg(
            items=_.quantity.sum(),
            amount=_.amount.sum(),
            products=_.product_id.nunique(),
            product_ids=_.product_id.collect(distinct=True).sort().fill_null(NO_PRODUCTS),
        )
    )
