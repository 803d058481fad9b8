"""Tables of what is published: the pipeline's own note of it, the delta files, and the tables in a shop's database.

Belongs here: declarations. Does not: comparing days (core/changes.py), SQL and files (resources/publishing/).
"""

from segmentation_pipeline.core.schema.features import OF_RFM
from segmentation_pipeline.core.schema.table import MONEY, Column, Table

_CUSTOMER = ("customer_segments.customer_id",)
_SEGMENT = ("customer_segments.segment_id",)
_NAME = ("customer_segments.segment",)
_VERSION = ("customer_segments.model_version",)
_DAY = ("customer_segments.date",)

PUBLISHED_SEGMENTS = Table(
    "published_segments",
    (
        Column("date", "date", "As-of day", _DAY),
        Column("outcome", "string", "published, or superseded where the database already held a later day"),
        Column("customers", "int64", "Customers of the day", _CUSTOMER),
        Column("new", "int64", "Customers who were not there before", _CUSTOMER),
        Column("moved", "int64", "Customers in another segment than before", _SEGMENT),
        Column("renamed", "int64", "Customers whose segment stayed and got another name", _NAME),
        Column("gone", "int64", "Customers who are no longer there", _CUSTOMER),
        Column("returned", "int64", "Customers who had been gone and are there again", _CUSTOMER),
        Column("model_version", "int64", "Version of the model that scored the day", _VERSION),
    ),
    key=(),
)

SEGMENT_EXPORT = Table(
    "segment_export",
    (
        Column("customer_id", "string", "Customer", _CUSTOMER),
        Column("change", "string", "new, moved, renamed or gone", _SEGMENT),
        Column("segment_before", "string", "Segment at the previous export; null for who is new", _NAME),
        Column("segment", "string", "Segment now; null for who is gone", _NAME),
        Column("action", "string", "What to do about customers of the segment", ("segmentation_model.action",)),
        Column("recency_days", "int64", "Whole days since the last order; null if none was kept", OF_RFM["recency_days"]),
        Column("frequency", "int64", "Distinct orders not given back in full", OF_RFM["frequency"]),
        Column("monetary", MONEY, "Sales less returns in the shop's currency", OF_RFM["monetary"]),
        Column("as_of", "date", "Day that the row tells of", _DAY),
        Column("since", "date", "Day of the previous export, which this one continues; null for a first one"),
    ),
    key=("customer_id",),
)  # fmt: skip

# In the shop's database; names and types become those of PostgreSQL (resources/publishing/layout.py).
DATABASE_SEGMENTS = Table(
    "published_segments",
    (
        Column("customer_id", "string", "Customer"),
        Column("segment_id", "int64", "Identity of the segment, 0 for Net zero"),
        Column("segment", "string", "Name of the segment"),
        Column("recency_score", "int64", "1 (long ago) to 5 (lately); null for Net zero"),
        Column("frequency_score", "int64", "1 (seldom) to 5 (often); null for Net zero"),
        Column("monetary_score", "int64", "1 (little) to 5 (much); null for Net zero"),
        Column("rfm_group", "string", "Conventional RFM group, Champions to Lost; null for Net zero"),
        Column("frequency", "int64", "Distinct orders not given back in full"),
        Column("monetary", MONEY, "Sales less returns in the shop's currency"),
        Column("last_order_date", "date", "Day of the last order not given back in full; null if there is none"),
        Column("model_version", "int64", "Version of the model that scored the customer"),
        Column("changed_on", "date", "As-of day whose publication last changed this row"),
    ),
    key=("customer_id",),
)

DATABASE_CHANGES = Table(
    "segment_changes",
    (
        Column("as_of", "date", "Day from which it holds"),
        Column("customer_id", "string", "Customer"),
        Column("change", "string", "new, moved, renamed, gone or returned"),
        Column("segment_id_before", "int64", "Segment before; null for who is new or returned"),
        Column("segment_before", "string", "Its name then"),
        Column("segment_id", "int64", "Segment since; null for who is gone"),
        Column("segment", "string", "Its name"),
        Column("model_version", "int64", "Version of the model that scored the day"),
    ),
    key=("as_of", "customer_id"),
)

DATABASE_PUBLICATIONS = Table(
    "publications",
    (
        Column("as_of", "date", "Day that was published"),
        Column("model_version", "int64", "Version of the model that scored it; null for a day without customers"),
        Column("customers", "int64", "Customers of the day"),
        Column("changes", "int64", "Rows of segment_changes of the day"),
        Column("run_id", "string", "Run that last changed anything of the day"),
        Column("published_at", "timestamp('UTC')", "When it did"),
    ),
    key=("as_of",),
)

DATABASE_TABLES = (DATABASE_SEGMENTS, DATABASE_CHANGES, DATABASE_PUBLICATIONS)
