"""Tables of the model and the segments.

Belongs here: declarations. Does not: computing any of it (core/clustering/, profiles.py, migration.py, drift.py).
"""

from segmentation_pipeline.core.schema.features import OF_RFM
from segmentation_pipeline.core.schema.table import MONEY, Column, Table

K_DIAGNOSTICS = Table(
    "k_diagnostics",
    (
        Column("date", "date", "As-of day of the features", ("rfm_features.date",)),
        Column("features", "string", "Features that take part, in order, parted by commas"),
        Column("algorithm", "string", "kmeans, bisecting_kmeans, ward or gaussian_mixture"),
        Column("k", "int64", "Number of clusters"),
        Column("inertia", "float64", "Sum of squared distances to the nearest centre, transformed features",
               sum(OF_RFM.values(), ())),
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
        Column("centre", "float64", "The centre's coordinate, transformed and standardised", sum(OF_RFM.values(), ())),
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
               (*sum(OF_RFM.values(), ()), "segmentation_model.centre")),
        Column("segment", "string", "Name of the segment", ("segmentation_model.segment",)),
        *(Column(name, type_, text, OF_RFM[name]) for name, type_, text in (
            ("recency_days", "int64", "Whole days since the last order not given back in full"),
            ("frequency", "int64", "Distinct orders not given back in full"),
            ("monetary", MONEY, "Sales less returns in the shop's currency"))),
        Column("recency_score", "int64", "1 (long ago) to 5 (lately), by the model's cuts; null for Net zero",
               OF_RFM["recency_days"]),
        Column("frequency_score", "int64", "1 (seldom) to 5 (often), by the model's cuts; null for Net zero",
               OF_RFM["frequency"]),
        Column("monetary_score", "int64", "1 (little) to 5 (much), by the model's cuts; null for Net zero",
               OF_RFM["monetary"]),
        Column("rfm_score", "string", "The three scores in a row, such as 545; null for Net zero",
               sum(OF_RFM.values(), ())),
        Column("rfm_group", "string", "Conventional RFM group of the scores, Champions to Lost; null for Net zero",
               sum(OF_RFM.values(), ())),
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
            OF_RFM["recency_days"],
        ),
        Column(
            "lost_customers", "int64", "Of them, active on the earlier day and inactive now", OF_RFM["recency_days"]
        ),
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
            (*sum(OF_RFM.values(), ()), *_SEGMENTS),
        ),
        Column(
            "level",
            "string",
            "stable, warn or act, by drift.warn and drift.act; few, below drift.min_customers",
        ),
        Column("model_version", "int64", "Version of the model", ("customer_segments.model_version",)),
    ),
    key=("kind", "name"),
)
