"""Written tables: which ones a stage lets through together, and in what words their columns and types are judged.

Belongs here: the tables of a stage, as declared and as they are in a file. Does not: writing them (resources/lake.py),
what is measured of them (stages.py).
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from segmentation_pipeline.core import schema
from segmentation_pipeline.core.dependencies import WITHOUT_DAYS
from segmentation_pipeline.core.schema import Table

if TYPE_CHECKING:
    import pyarrow as pa

_TOGETHER = {schema.CLEAN_TRANSACTIONS.asset: (schema.CLEAN_TRANSACTIONS, schema.QUARANTINED_TRANSACTIONS)}

# Types as the schema declares them, and what Arrow calls them in a file; here, as loading Arrow takes long.
_AS_WRITTEN = {
    "array<float64>": "list<element: double>",
    "array<string>": "list<element: string>",
    "boolean": "bool",
    "date": "date32[day]",
    "float64": "double",
    schema.MONEY: "decimal128(18, 4)",
    "timestamp('UTC')": "timestamp[us, tz=UTC]",
}


def tables_of(stage: str) -> tuple[Table, ...]:
    """The tables that a stage lets through or holds back together."""
    return _TOGETHER.get(stage, (schema.TABLES[stage],))


def declared_columns(stage: str) -> str:
    """What `written_columns` says of a stage's tables if they have the columns that `schema` declares.

    Of a table without days, which is judged before it is written, only the names.
    """
    if stage in WITHOUT_DAYS:
        return ", ".join(schema.TABLES[stage].names)
    return "; ".join(
        _told(layout.asset, ((column.name, _AS_WRITTEN.get(column.type, column.type)) for column in layout.columns))
        for layout in tables_of(stage)
    )


def written_columns(*tables: tuple[str, "pa.Schema"]) -> str:
    """Columns and types of tables in one line of text, such as `customer_orders: date date32[day], …`."""
    return "; ".join(_told(asset, ((column.name, _type(column)) for column in columns)) for asset, columns in tables)


def _told(asset: str, columns: Iterable[tuple[str, str]]) -> str:
    return f"{asset}: {', '.join(' '.join(column) for column in columns)}"


def _type(column: "pa.Field") -> str:
    return f"{column.type}".replace("<item:", "<element:")  # as Parquet calls what is in a list
