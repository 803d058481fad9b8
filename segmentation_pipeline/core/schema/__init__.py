"""The canonical tables: what feeds casts, empty tables, column metadata and lineage in the UI.

Belongs here: the list of them all. Does not: computing any of it.
"""

from segmentation_pipeline.core.schema.features import (
    CUSTOMER_ORDERS,
    CUSTOMER_RETURNS,
    FEATURE_EXPLORATION,
    RFM_FEATURES,
)
from segmentation_pipeline.core.schema.publishing import PUBLISHED_SEGMENTS, SEGMENT_EXPORT
from segmentation_pipeline.core.schema.quality import QUALITY_RESULTS
from segmentation_pipeline.core.schema.segments import (
    CUSTOMER_SEGMENTS,
    K_DIAGNOSTICS,
    SEGMENT_DRIFT,
    SEGMENT_MIGRATION,
    SEGMENT_PROFILES,
    SEGMENTATION_MODEL,
)
from segmentation_pipeline.core.schema.table import MONEY, Column, Table
from segmentation_pipeline.core.schema.transactions import (
    CLEAN_TRANSACTIONS,
    QUARANTINED_TRANSACTIONS,
    RAW_TRANSACTIONS,
    SOURCE_COLUMNS,
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
        PUBLISHED_SEGMENTS,
        SEGMENT_EXPORT,
    )
}

__all__ = [
    "CLEAN_TRANSACTIONS",
    "CUSTOMER_ORDERS",
    "CUSTOMER_RETURNS",
    "CUSTOMER_SEGMENTS",
    "FEATURE_EXPLORATION",
    "K_DIAGNOSTICS",
    "MONEY",
    "PUBLISHED_SEGMENTS",
    "QUALITY_RESULTS",
    "QUARANTINED_TRANSACTIONS",
    "RAW_TRANSACTIONS",
    "RFM_FEATURES",
    "SEGMENTATION_MODEL",
    "SEGMENT_DRIFT",
    "SEGMENT_EXPORT",
    "SEGMENT_MIGRATION",
    "SEGMENT_PROFILES",
    "SOURCE_COLUMNS",
    "TABLES",
    "Column",
    "Table",
]
