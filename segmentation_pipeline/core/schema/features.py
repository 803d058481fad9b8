"""Tables of orders, returns and customers' features.

Belongs here: declarations. Does not: computing any of it (core/orders.py, returns.py, rfm.py, exploration.py).
"""

from segmentation_pipeline.core.schema.table import MONEY, Column, Table

CUSTOMER_ORDERS = Table(
    "customer_orders",
    (
        Column("date", "date", "Day of sale in the shop's time zone", ("clean_transactions.date",)),
        Column("customer_id", "string", "Customer", ("clean_transactions.customer_id",)),
        Column("order_id", "string", "Invoice of the order", ("clean_transactions.invoice_id",)),
        Column("items", "int64", "Items sold", ("clean_transactions.quantity",)),
        Column("amount", MONEY, "Sales in the shop's currency", ("clean_transactions.amount",)),
        Column("products", "int64", "Distinct products", ("clean_transactions.product_id",)),
        Column("product_ids", "array<string>", "These products, sorted", ("clean_transactions.product_id",)),
    ),
    key=("customer_id", "order_id"),
)

CUSTOMER_RETURNS = Table(
    "customer_returns",
    (
        Column("date", "date", "Day of the return in the shop's time zone", ("clean_transactions.date",)),
        Column("customer_id", "string", "Customer", ("clean_transactions.customer_id",)),
        Column("order_id", "string", "Order given back, first in first out; null where no sale was found",
               ("clean_transactions.invoice_id", "clean_transactions.product_id")),
        Column("items", "int64", "Items given back, above zero", ("clean_transactions.quantity",)),
        Column("amount", MONEY, "Money given back in the shop's currency, above zero", ("clean_transactions.amount",)),
    ),
    key=("customer_id", "order_id"),
)  # fmt: skip

_KEPT_ORDERS = ("customer_orders.date", "customer_returns.order_id")

RFM_FEATURES = Table(
    "rfm_features",
    (
        Column("date", "date", "As-of day: nothing later is counted"),
        Column("customer_id", "string", "Customer", ("customer_orders.customer_id",)),
        Column("recency_days", "int64", "Whole days since the last order not given back in full; null if there is none",
               ("customer_orders.date", "customer_returns.order_id")),
        Column("frequency", "int64", "Distinct orders not given back in full",
               ("customer_orders.order_id", "customer_returns.order_id")),
        Column("monetary", MONEY, "Sales less returns in the shop's currency",
               ("customer_orders.amount", "customer_returns.amount")),
        Column("first_order_date", "date", "Day of the first order, given back or not", ("customer_orders.date",)),
        Column("last_order_date", "date", "Day of the last order not given back in full; null if there is none",
               ("customer_orders.date", "customer_returns.order_id")),
        Column("amount_returned", MONEY, "Everything given back in the shop's currency", ("customer_returns.amount",)),
        Column("recent_revenue", MONEY, "Sales of the last rfm.recent_days in the shop's currency", ("customer_orders.amount",)),
        Column("tenure_days", "int64", "Whole days since the first order", ("customer_orders.date",)),
        Column("mean_days_between_orders", "float64",
               "Mean days between kept orders; after a single one, days since it. Null if there is none", _KEPT_ORDERS),
        Column("average_order_value", "float64", "Monetary per kept order; null if there is none",
               ("customer_orders.amount", "customer_returns.amount")),
        Column("items_per_order", "float64", "Items less returned ones per kept order; null if there is none",
               ("customer_orders.items", "customer_returns.items")),
        Column("distinct_products", "int64", "Different products of the kept orders",
               ("customer_orders.product_ids", "customer_returns.order_id")),
        Column("return_rate", "float64", "Share of the money of all orders that was given back",
               ("customer_orders.amount", "customer_returns.amount")),
        Column("recent_revenue_share", "float64", "Share of all sales that are of the last rfm.recent_days",
               ("customer_orders.amount",)),
    ),
    key=("customer_id",),
)  # fmt: skip

OF_RFM = {name: (f"rfm_features.{name}",) for name in ("recency_days", "frequency", "monetary")}

FEATURE_EXPLORATION = Table(
    "feature_exploration",
    (
        Column("date", "date", "As-of day"),
        Column("measure", "string", "quantile, moment, histogram, correlation, outlier or score_table"),
        Column("feature", "string", "Feature described", sum(OF_RFM.values(), ())),
        Column("scale", "string", "original, or transformed as for clustering"),
        Column(
            "item",
            "string",
            "Which quantile or moment, the bin's number, method:other feature, customer, or recency:frequency score",
        ),
        Column("lower", "float64", "Lower edge of a histogram's bin"),
        Column("upper", "float64", "Upper edge of a histogram's bin"),
        Column("value", "float64", "The statistic; a count of customers in a histogram"),
    ),
    key=(),
)
