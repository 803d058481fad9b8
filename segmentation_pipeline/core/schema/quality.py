"""The table of verdicts: what the quality ledger keeps.

Belongs here: its declaration. Does not: reaching verdicts (checks/).
"""

from segmentation_pipeline.core.schema.table import Column, Table

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
