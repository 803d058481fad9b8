"""What a table is: its columns, their types, units, meanings, and the columns each comes from.

Belongs here: `Column` and `Table`. Does not: the tables (the other modules of this package).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
    def ibis_schema(self) -> "ibis.Schema":
        """Column names and engine types."""
        import ibis

        return ibis.schema({column.name: column.type for column in self.columns})

    def conform(self, table: "ir.Table") -> "ir.Table":
        """Select this table's columns, in order and in their types; raises if one is missing."""
        return table.select(*[table[column.name].cast(column.type).name(column.name) for column in self.columns])

    def frame(self, rows: Sequence[dict[str, object]]) -> "pd.DataFrame":
        """A pandas frame with this table's columns, for small tables computed outside the engine."""
        import pandas as pd

        return pd.DataFrame(list(rows), columns=self.names)
