"""The canonical tables: their columns, types, units, meanings, and the columns each comes from.

Belongs here: what a table is. It feeds casts, empty tables, column metadata and lineage in the UI.
Does not: computing any of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import pandas as pd

MONEY = "decimal(18, 4)"


@dataclass(frozen=True)
class Column:
    """One column: its engine type, what it holds (with its unit), and `asset.column` names it is derived from."""

    name: str
    type: str
    description: str
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table of the lake: its asset's name, its columns, and the columns its files are sorted by."""

    asset: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """Column names in order."""
        return [column.name for column in self.columns]

    @property
    def ibis_schema(self) -> ibis.Schema:
        """Column names and engine types."""
        return ibis.schema({column.name: column.type for column in self.columns})

    def conform(self, table: ir.Table) -> ir.Table:
        """Select this table's columns, in order and in their types; raises if one is missing."""
        return table.select(*[table[column.name].cast(column.type).name(column.name) for column in self.columns])

    def frame(self, rows: Sequence[dict[str, object]]) -> pd.DataFrame:
        """A pandas frame with this table's columns, for small tables computed outside the engine."""
        return pd.DataFrame(list(rows), columns=self.names)


SOURCE_COLUMNS = (
    "invoice_id",
    "product_id",
    "description",
    "quantity",
    "unit_price",
    "amount",
    "customer_id",
    "invoiced_at",
    "country",
)

_DATE = Column("date", "date", "Day of sale in the shop's time zone")
_FILE = Column("source_file", "string", "File the line came from, relative to the source folder")
_ROW = Column("source_row", "int64", "Number of the row in its file, the first data row being 1")

RAW_TRANSACTIONS = Table(
    "raw_transactions",
    (
        Column("date", "date", "Day the row is filed under: its day of sale, or its file's first day if it has none"),
        *(Column(name, "string", f"{name} exactly as the source gave it, as text") for name in SOURCE_COLUMNS),
        Column("broken_line", "string", "The whole line of text, where it could not be split into columns"),
        _FILE,
        _ROW,
    ),
    key=("source_file", "source_row"),
)

CLEAN_TRANSACTIONS = Table(
    "clean_transactions",
    (
        Column("date", "date", "Day of sale in the shop's time zone", ("raw_transactions.date",)),
        Column("invoice_id", "string", "Invoice or credit note; made up per customer and second if the source has none",
               ("raw_transactions.invoice_id", "raw_transactions.customer_id", "raw_transactions.invoiced_at")),
        Column("customer_id", "string", "Customer, or null for a guest", ("raw_transactions.customer_id",)),
        Column("product_id", "string", "Product, or null if the source has none", ("raw_transactions.product_id",)),
        Column("description", "string", "Product description without stray blanks", ("raw_transactions.description",)),
        Column("country", "string", "Country of the customer, as the source spells it", ("raw_transactions.country",)),
        Column("invoiced_at", "timestamp('UTC')", "Moment of sale", ("raw_transactions.invoiced_at",)),
        Column("quantity", "int64", "Items; below zero for a return", ("raw_transactions.quantity",)),
        Column("unit_price", MONEY, "Price of one item in the shop's currency, above zero",
               ("raw_transactions.unit_price", "raw_transactions.amount")),
        Column("amount", MONEY, "Line total in the shop's currency; below zero for a return",
               ("raw_transactions.quantity", "raw_transactions.unit_price", "raw_transactions.amount")),
        Column("line_kind", "string", "sale, return or adjustment (postage, discounts, fees: no goods)",
               ("raw_transactions.product_id", "raw_transactions.quantity")),
        _FILE,
        _ROW,
    ),
    key=("source_file", "source_row"),
)  # fmt: skip

QUARANTINED_TRANSACTIONS = Table(
    "quarantined_transactions",
    (
        *(
            Column(column.name, column.type, column.description, (f"raw_transactions.{column.name}",))
            for column in RAW_TRANSACTIONS.columns
        ),
        Column("reason", "string", "The first rule, in order of precedence, that the row fails"),
        Column("failed_rules", "array<string>", "Every rule that the row fails, in order of precedence"),
        Column("amount_at_stake", MONEY, "Quantity times price in the shop's currency, 0 where either cannot be read",
               ("raw_transactions.quantity", "raw_transactions.unit_price", "raw_transactions.amount")),
    ),
    key=("source_file", "source_row"),
)  # fmt: skip

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

_RFM = {name: (f"rfm_features.{name}",) for name in ("recency_days", "frequency", "monetary")}

FEATURE_EXPLORATION = Table(
    "feature_exploration",
    (
        Column("date", "date", "As-of day"),
        Column("measure", "string", "quantile, moment, histogram, correlation, outlier or score_table"),
        Column("feature", "string", "Feature described", sum(_RFM.values(), ())),
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

K_DIAGNOSTICS = Table(
    "k_diagnostics",
    (
        Column("date", "date", "As-of day of the features", ("rfm_features.date",)),
        Column("features", "string", "Features that take part, in order, parted by commas"),
        Column("algorithm", "string", "kmeans, bisecting_kmeans, ward or gaussian_mixture"),
        Column("k", "int64", "Number of clusters"),
        Column("inertia", "float64", "Sum of squared distances to the nearest centre, transformed features",
               sum(_RFM.values(), ())),
        Column("silhouette", "float64", "Mean silhouette, -1 to 1; higher is better"),
        Column("cluster_silhouettes", "array<float64>", "Mean silhouette of each cluster"),
        Column("least_silhouette", "float64", "Lowest of them"),
        Column("calinski_harabasz", "float64", "Spread between against within clusters; higher is better"),
        Column("davies_bouldin", "float64", "Mean likeness of each cluster with its nearest; lower is better"),
        Column("gap", "float64", "Gap statistic: log inertia below that of evenly spread customers; null if not computed"),
        Column("gap_standard_error", "float64", "Its standard error"),
        Column("bic", "float64", "Bayesian information criterion, of a Gaussian mixture; lower is better"),
        Column("stability", "float64", "Mean adjusted Rand index with clusters of bootstrap samples, at most 1"),
        Column("cluster_jaccards", "array<float64>", "Of each cluster, the mean Jaccard with the likest of bootstrap samples"),
        Column("least_jaccard", "float64", "Lowest of them, 0 to 1"),
        Column("agreement", "float64", "Adjusted Rand index with the model's algorithm at the same k, at most 1"),
        Column("cluster_shares", "array<float64>", "Share of customers in each cluster, 0 to 1"),
        Column("smallest_share", "float64", "Lowest of them, 0 to 1"),
        Column("is_elbow", "boolean", "Whether Kneedle finds the elbow of the inertia curve here"),
        Column("votes", "string", "Indices that choose this k for this algorithm, parted by commas"),
        Column("vetoes", "string", "Why the policy may not choose this k; empty if nothing speaks against it"),
        Column("is_chosen", "boolean", "Whether the policy chose this row"),
        Column("reason", "string", "Why the chosen k was chosen, in one sentence"),
    ),
    key=("algorithm", "k"),
)  # fmt: skip

SEGMENTATION_MODEL = Table(
    "segmentation_model",
    (
        Column("version", "int64", "Version of the model"),
        Column("segment_id", "int64", "Identity of the segment"),
        Column("segment", "string", "Name of the segment"),
        Column("color", "string", "Colour of the segment in plots"),
        Column("action", "string", "What to do about its customers"),
        Column("feature", "string", "Feature of this coordinate"),
        Column("centre", "float64", "The centre's coordinate, transformed and standardised", sum(_RFM.values(), ())),
        Column("lower_cut", "float64", "Values below are taken as this before log1p, in the feature's unit"),
        Column("upper_cut", "float64", "Values above are taken as this before log1p, in the feature's unit"),
        Column("mean", "float64", "Mean of log1p of the feature in the fitting sample"),
        Column("scale", "float64", "Standard deviation of log1p of the feature in the fitting sample"),
    ),
    key=("segment_id", "feature"),
)

CUSTOMER_SEGMENTS = Table(
    "customer_segments",
    (
        Column("date", "date", "As-of day", ("rfm_features.date",)),
        Column("customer_id", "string", "Customer", ("rfm_features.customer_id",)),
        Column("segment_id", "int64", "Identity of the segment, 0 for Net zero",
               (*sum(_RFM.values(), ()), "segmentation_model.centre")),
        Column("segment", "string", "Name of the segment", ("segmentation_model.segment",)),
        *(Column(name, type_, text, _RFM[name]) for name, type_, text in (
            ("recency_days", "int64", "Whole days since the last order not given back in full"),
            ("frequency", "int64", "Distinct orders not given back in full"),
            ("monetary", MONEY, "Sales less returns in the shop's currency"))),
        Column("recency_score", "int64", "1 (long ago) to 5 (lately), by the model's cuts; null for Net zero",
               _RFM["recency_days"]),
        Column("frequency_score", "int64", "1 (seldom) to 5 (often), by the model's cuts; null for Net zero",
               _RFM["frequency"]),
        Column("monetary_score", "int64", "1 (little) to 5 (much), by the model's cuts; null for Net zero",
               _RFM["monetary"]),
        Column("rfm_score", "string", "The three scores in a row, such as 545; null for Net zero",
               sum(_RFM.values(), ())),
        Column("rfm_group", "string", "Conventional RFM group of the scores, Champions to Lost; null for Net zero",
               sum(_RFM.values(), ())),
        Column("model_version", "int64", "Version of the model that scored the customer", ("segmentation_model.version",)),
    ),
    key=("customer_id",),
)  # fmt: skip


def _spread(feature: str, unit: str) -> tuple[Column, ...]:
    sources = (f"customer_segments.{feature}",)
    return (
        Column(f"{feature}_p25", "float64", f"First quartile of {feature}, {unit}", sources),
        Column(f"{feature}_median", "float64", f"Median of {feature}, {unit}", sources),
        Column(f"{feature}_p75", "float64", f"Third quartile of {feature}, {unit}", sources),
        Column(f"{feature}_centre", "float64", f"Median of {feature}, transformed: 0 is the average customer", sources),
    )


SEGMENT_PROFILES = Table(
    "segment_profiles",
    (
        Column("date", "date", "As-of day", ("customer_segments.date",)),
        Column("segment_id", "int64", "Identity of the segment", ("customer_segments.segment_id",)),
        Column("segment", "string", "Name of the segment", ("customer_segments.segment",)),
        Column("color", "string", "Colour of the segment in plots", ("segmentation_model.color",)),
        Column("customers", "int64", "Customers in the segment", ("customer_segments.customer_id",)),
        Column("customer_share", "float64", "Share of all customers, 0 to 1", ("customer_segments.customer_id",)),
        Column("revenue", MONEY, "Sum of monetary in the shop's currency", ("customer_segments.monetary",)),
        Column(
            "revenue_share", "float64", "Share of the sum over all customers, 0 to 1", ("customer_segments.monetary",)
        ),
        *_spread("recency_days", "days"),
        *_spread("frequency", "orders"),
        *_spread("monetary", "in the shop's currency"),
        Column(
            "customers_before",
            "int64",
            "Customers in the segment on the earlier day; null if there is none",
            ("segment_migration.customers",),
        ),
        Column("compared_with", "date", "The earlier day; null if there is none", ("segment_migration.compared_with",)),
        Column(
            "revenue_recent",
            MONEY,
            "Sales to these customers in the last rfm.recent_days in the shop's currency",
            ("rfm_features.recent_revenue",),
        ),
        Column("action", "string", "What to do about these customers", ("segmentation_model.action",)),
        Column(
            "recommendation",
            "string",
            "That, with the numbers that say how much it matters",
            ("segmentation_model.action", "segment_migration.customers"),
        ),
        Column("model_version", "int64", "Version of the model", ("customer_segments.model_version",)),
    ),
    key=("segment_id",),
)

_SEGMENTS = ("customer_segments.segment_id",)

SEGMENT_MIGRATION = Table(
    "segment_migration",
    (
        Column("date", "date", "As-of day", ("customer_segments.date",)),
        Column("compared_with", "date", "The earlier as-of day, scored by the same model", ("rfm_features.date",)),
        Column("from_segment_id", "int64", "Segment on the earlier day; -1 for customers who are new since", _SEGMENTS),
        Column("from_segment", "string", "Its name", _SEGMENTS),
        Column(
            "to_segment_id", "int64", "Segment on the as-of day; -2 for customers who are no longer known", _SEGMENTS
        ),
        Column("to_segment", "string", "Its name", _SEGMENTS),
        Column("customers", "int64", "Customers who went this way, or stayed", ("customer_segments.customer_id",)),
        Column(
            "revenue_before",
            MONEY,
            "Their monetary on the earlier day in the shop's currency",
            ("rfm_features.monetary",),
        ),
        Column(
            "revenue_after", MONEY, "Their monetary on the as-of day in the shop's currency", ("rfm_features.monetary",)
        ),
        Column(
            "reactivated_customers",
            "int64",
            "Of them, inactive on the earlier day and active now",
            _RFM["recency_days"],
        ),
        Column("lost_customers", "int64", "Of them, active on the earlier day and inactive now", _RFM["recency_days"]),
        Column("model_version", "int64", "Version of the model that scored both days", ("segmentation_model.version",)),
    ),
    key=("from_segment_id", "to_segment_id"),
)

SEGMENT_DRIFT = Table(
    "segment_drift",
    (
        Column("date", "date", "As-of day", ("customer_segments.date",)),
        Column("kind", "string", "feature, or segments"),
        Column("name", "string", "Name of the feature, or segments"),
        Column(
            "psi",
            "float64",
            "Population stability index against the customers the model was fitted on",
            (*sum(_RFM.values(), ()), *_SEGMENTS),
        ),
        Column("level", "string", "stable, warn or act, by drift.warn and drift.act"),
        Column("model_version", "int64", "Version of the model", ("customer_segments.model_version",)),
    ),
    key=("kind", "name"),
)

QUALITY_RESULTS = Table(
    "quality_results",
    (
        Column("run_id", "string", "Run that judged"),
        Column("evaluated_at", "timestamp('UTC')", "When"),
        Column("stage", "string", "Asset that was judged"),
        Column("expectation", "string", "Name of the check"),
        Column("severity", "string", "critical, warning or info"),
        Column("threshold", "string", "What was expected, in words"),
        Column("date", "date", "Day that was judged"),
        Column("passed", "boolean", "Whether it holds; null where there was nothing to compare with"),
        Column("observed", "float64", "What was found, where that is a number"),
    ),
    key=(),
)

TABLES = {
    table.asset: table
    for table in (
        RAW_TRANSACTIONS,
        CLEAN_TRANSACTIONS,
        QUARANTINED_TRANSACTIONS,
        CUSTOMER_ORDERS,
        CUSTOMER_RETURNS,
        RFM_FEATURES,
        FEATURE_EXPLORATION,
        K_DIAGNOSTICS,
        SEGMENTATION_MODEL,
        CUSTOMER_SEGMENTS,
        SEGMENT_MIGRATION,
        SEGMENT_DRIFT,
        SEGMENT_PROFILES,
    )
}
