"""The tables and views in a shop's database, as PostgreSQL is told of them.

Belongs here: their DDL, made from the declarations in core/schema/publishing.py. Does not: filling them (statements.py).

Names are not qualified: the transaction's search path is the shop's schema.
"""

from collections.abc import Iterator

from segmentation_pipeline.core.schema import MONEY
from segmentation_pipeline.core.schema.publishing import DATABASE_TABLES
from segmentation_pipeline.core.schema.table import Column, Table

# Raised with every change of the tables; kept as the comment of one of them. Later releases add columns, and never
# take any away.
LAYOUT_VERSION = 1
VERSION_COMMENT = "segmentation_pipeline layout "

TYPES = {
    "string": "text",
    "int64": "bigint",
    "date": "date",
    MONEY: "numeric(18, 4)",
    "timestamp('UTC')": "timestamp with time zone",
}

CURRENT_SEGMENTS = """
CREATE VIEW current_segments AS
SELECT latest.as_of, published_segments.*, latest.as_of - last_order_date AS recency_days
FROM published_segments CROSS JOIN (SELECT max(as_of) AS as_of FROM publications) AS latest
"""

SEGMENT_HISTORY = """
CREATE VIEW segment_history AS
SELECT customer_id, segment_id, segment, valid_from, valid_to, model_version
FROM (
    SELECT *, as_of AS valid_from, lead(as_of) OVER (PARTITION BY customer_id ORDER BY as_of) AS valid_to
    FROM segment_changes
) AS stretches
WHERE change <> 'gone'
"""

VIEWS = {"current_segments": CURRENT_SEGMENTS, "segment_history": SEGMENT_HISTORY}
TABLES = {table.asset: table for table in DATABASE_TABLES}
CHANGES_OF_A_CUSTOMER = "CREATE INDEX segment_changes_of_a_customer ON segment_changes (customer_id, as_of)"


def missing(present: set[str]) -> Iterator[str]:
    """The statements that make what is not there yet, in order.

    Args:
        present: Tables and views that the schema has.
    """
    for name, table in TABLES.items():
        if name not in present:
            yield from _table(table)
    for name, statement in VIEWS.items():
        if name not in present:
            yield statement


def _table(table: Table) -> Iterator[str]:
    columns = [_column(column) for column in table.columns]
    yield f"CREATE TABLE {table.asset} ({', '.join(columns)}, PRIMARY KEY ({', '.join(table.key)}))"
    for column in table.columns:
        text = column.description.replace("'", "''")
        yield f"COMMENT ON COLUMN {table.asset}.{column.name} IS '{text}'"
    if table.asset == "segment_changes":
        yield CHANGES_OF_A_CUSTOMER
    if table.asset == "publications":
        yield f"COMMENT ON TABLE publications IS '{VERSION_COMMENT}{LAYOUT_VERSION}'"


def _column(column: Column) -> str:
    return f"{column.name} {TYPES[column.type]}"
