"""Measures: the declared columns of a stage's profile, and how they become one row per day in one expression.

Belongs here: what a measure is, joining measures of several tables by day, and the groupings that distinct values are
counted by. Does not: which measures a stage has.

Several distinct counts in one aggregation make the engine hold all its columns at once. So a column whose values are
counted is grouped first (`by_value`), alone or with one that goes with it, which reads and holds nothing else; what the
values mean is found for what was grouped, not for each row.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

import ibis
import ibis.expr.types as ir
from ibis import _

from segmentation_pipeline.core.schema import Column

TOTAL = "decimal(38, 4)"
BITS = 31  # of an integer as narrow as the engines have it, without its sign


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


def by_value(table: ir.Table, **columns: ir.Value) -> ir.Table:
    """How many `rows` of each day have the same values in some columns, null included."""
    return table.select("date", **columns).group_by("date", *columns).agg(rows=_.count())


def counted_by(counted: ir.Table, value: ir.Value) -> ir.Table:
    """What `by_value` counts, by one `value` that follows from its columns."""
    # DuckDB's sums are wider than Ibis takes them for, so that only a cast to another type is one.
    return counted.group_by("date", value=value).agg(rows=_["rows"].sum().cast("int32").cast("int64"))


def by_file(table: ir.Table, **sums: ir.Value) -> ir.Table:
    """Rows of each day and source file, and how many are `repeated`: their file and number are those of another row.

    Rows are not told apart one by one, for which they would all be held: of each block of numbers in a file, those that
    occur are the bits of one integer, and whatever is counted beyond these is repeated.

    Args:
        table: Has `date`, `source_file` and `source_row`.
        sums: Numbers to add up beside.
    """
    numbers = bit_or(ibis.literal(1) << (table.source_row % BITS))
    added = {name: value.sum() for name, value in sums.items()}
    blocks = table.group_by("date", "source_file", block=table.source_row // BITS).agg(
        rows=table.count(), numbers=numbers, **added
    )
    return blocks.group_by("date", "source_file").agg(
        rows=_["rows"].sum(),
        repeated=(_["rows"] - bit_count(_.numbers)).sum(),
        **{name: _[name].sum() for name in sums},
    )


# The engines have these under the same names; Ibis has the first under none, and the second not on Spark.
@ibis.udf.scalar.builtin
def bit_count(number: int) -> int:  # type: ignore[empty-body]
    """How many bits of an integer are 1."""


@ibis.udf.agg.builtin
def bit_or(number: int) -> int:  # type: ignore[empty-body]
    """The bits that are 1 in any of several integers."""


def by_day(days: Sequence[date], parts: Sequence[tuple[ir.Table, Sequence[Measure]]]) -> ir.Table:
    """One row per day with the measures of every part, days without rows included.

    Args:
        days: The days to measure, without a gap.
        parts: Tables with a `date` column, each with what is measured on it.
    """
    joined = ibis.memtable({"date": list(days)}, schema={"date": "date"})
    for number, (table, measures) in enumerate(parts):
        within = table.filter(_.date.between(ibis.literal(min(days)), ibis.literal(max(days))))
        aggregates = {measure.name: measure.of(within).cast(measure.type) for measure in measures}
        part = within.group_by(**{f"date_{number}": within.date}).agg(**aggregates)
        joined = joined.left_join(part, [("date", f"date_{number}")])
    every = [measure for _table, measures in parts for measure in measures]
    return joined.select(  # once for all parts: a step for each would take longer to compile than the days to measure
        "date",
        **{
            each.name: joined[each.name] if each.when_empty is None else joined[each.name].fill_null(each.when_empty)
            for each in every
        },
    )
