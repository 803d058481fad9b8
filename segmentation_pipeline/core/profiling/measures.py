"""Measures: the declared columns of a stage's profile, and how they become one row per day in one expression.

Belongs here: what a measure is, joining measures of several tables by day, and the groupings that distinct values are
counted by. Does not: which measures a stage has.

Several distinct counts in one aggregation make the engine hold all its columns at once. So a column whose values are
counted is grouped on its own (`by_value`), which reads and holds nothing else.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

import ibis
import ibis.expr.types as ir
from ibis import _

from segmentation_pipeline.core.schema import Column

TOTAL = "decimal(38, 4)"


@dataclass(frozen=True)
class Measure:
    """One column of a profile.

    Attributes:
        name: Of the column.
        type: Engine type.
        description: What it says, with its unit.
        of: The aggregation, on the table it is measured on.
        when_empty: Its value on a day without rows; None where there is nothing to say then.
    """

    name: str
    type: str
    description: str
    of: Callable[[ir.Table], ir.Scalar]
    when_empty: int | None = None

    @property
    def column(self) -> Column:
        """The column as the profile's table declares it."""
        return Column(self.name, self.type, self.description)


def count(name: str, description: str, of: Callable[[ir.Table], ir.Scalar]) -> Measure:
    """A whole number, 0 on a day without rows."""
    return Measure(name, "int64", description, of, when_empty=0)


def money(name: str, description: str, of: Callable[[ir.Table], ir.Scalar]) -> Measure:
    """An exact sum in the shop's currency, 0 on a day without rows."""
    return Measure(name, TOTAL, description, of, when_empty=0)


def number(name: str, description: str, of: Callable[[ir.Table], ir.Scalar]) -> Measure:
    """A share, quantile or other fraction; null on a day without rows."""
    return Measure(name, "float64", description, of)


def by_value(table: ir.Table, value: ir.Column) -> ir.Table:
    """How many `rows` of each day have each `value`, or none."""
    return table.select("date", value=value).group_by("date", "value").agg(rows=_.count())


def by_place(table: ir.Table) -> ir.Table:
    """How many `rows` of each day have each place in the source: one, if all is well."""
    return table.group_by("date", "source_file", "source_row").agg(rows=_.count())


def by_day(days: Sequence[date], parts: Sequence[tuple[ir.Table, Sequence[Measure]]]) -> ir.Table:
    """One row per day with the measures of every part, days without rows included.

    Args:
        days: The days to measure, without a gap.
        parts: Tables with a `date` column, each with what is measured on it.
    """
    profile = ibis.memtable({"date": list(days)}, schema={"date": "date"})
    for table, measures in parts:
        within = table.filter(_.date.between(ibis.literal(min(days)), ibis.literal(max(days))))
        aggregates = {measure.name: measure.of(within).cast(measure.type) for measure in measures}
        profile = profile.left_join(within.group_by("date").agg(**aggregates), "date").drop("date_right")
        known = {each.name: each.when_empty for each in measures if each.when_empty is not None}
        profile = profile.mutate(**{name: profile[name].fill_null(value) for name, value in known.items()})
    return profile
