"""A table of transaction lines: what is asked of it, in SQL.

Belongs here: columns, counts by day, and the rows of one day. Does not: connecting (database.py), the index (postgres.py).

Names come from the settings, are looked up in the database's catalogue and quoted; values are bound. A day's bounds are
dates, which the server takes as midnights of the session's time zone, whatever type the moment of sale has.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import pyarrow as pa

from segmentation_pipeline.resources.sources.database import Snapshot
from segmentation_pipeline.resources.sources.headers import SourceError, closest, positions
from segmentation_pipeline.settings import Postgres

MOMENTS = ("timestamp with time zone", "timestamp without time zone", "date")
MARKS = (*MOMENTS, "smallint", "integer", "bigint", "numeric", "real", "double precision")
_COLUMNS = """\
SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute
WHERE attrelid = to_regclass($1)::oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
_TABLES = """\
SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'v', 'm', 'p', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1
"""
_IDENTITY = "SELECT current_database()::text || ' ' || to_regclass($1)::oid::text"

Day = date | None
"""A day of sale, or None for the rows without a usable one."""


@dataclass(frozen=True)
class Holding:
    """What a day of a table holds: its rows, and the highest mark among them as text."""

    rows: int
    mark: str


@dataclass(frozen=True)
class Range:
    """The days that are usable: from the first to the last of them."""

    first: date
    last: date

    @property
    def bounds(self) -> tuple[str, str]:
        """The first day, and the one after the last."""
        return self.first.isoformat(), (self.last + timedelta(days=1)).isoformat()


class SalesTable:
    """The table of one shop, in one snapshot.

    Args:
        snapshot: Answers.
        how: Names the table and its columns.
        place: What messages call it.

    Raises:
        SourceError: There is no such table, or a column is missing or of a type that does not do.
    """

    def __init__(self, snapshot: Snapshot, how: Postgres, place: str) -> None:
        self._snapshot = snapshot
        self._how = how
        self._table = ".".join(_quoted(part) for part in how.table.split("."))
        self.types = self._types(place)
        ((self.identity,),) = snapshot.rows(_IDENTITY, self._table)
        self._moment, self._mark = _quoted(how.columns.invoiced_at), _quoted(how.high_water_mark)

    def newest(self) -> Holding:
        """The highest mark of all, and how many rows have it or none."""
        highest = f"(SELECT max({self._mark}) FROM {self._table})"
        these = f"{self._mark} = {highest} OR {self._mark} IS NULL"
        query = f"SELECT {highest}::text, count(*) FROM {self._table} WHERE {these}"
        ((mark, rows),) = self._snapshot.rows(query)
        return Holding(rows, mark or "")

    def holdings(self, days: Range) -> dict[Day, Holding]:
        """What every day holds."""
        query = f"{self._by_day()}, count(*), max({self._mark})::text FROM {self._table} GROUP BY 1"
        return {_day(day): Holding(rows, mark or "") for day, rows, mark in self._snapshot.rows(query, *days.bounds)}

    def marked_since(self, mark: str, days: Range) -> set[Day]:
        """Days with a row whose mark is not below one, or that has none."""
        since = f"{self._mark} >= $3::{self.types[self._how.high_water_mark]} OR {self._mark} IS NULL"
        query = f"{self._by_day()} FROM {self._table} WHERE {since} GROUP BY 1"
        return {_day(day) for (day,) in self._snapshot.rows(query, *days.bounds, mark)}

    def sold_between(self, days: Range) -> set[Day]:
        """Days of a range that have rows."""
        query = f"{self._by_day()} FROM {self._table} WHERE {self._within()} GROUP BY 1"
        return {_day(day) for (day,) in self._snapshot.rows(query, *days.bounds)}

    def holding(self, day: Day, days: Range) -> Holding:
        """What one day holds."""
        where, bounds = self._rows_of(day, days)
        query = f"SELECT count(*), max({self._mark})::text FROM {self._table} WHERE {where}"
        ((rows, mark),) = self._snapshot.rows(query, *bounds)
        return Holding(rows, mark or "")

    def lines(self, day: Day, days: Range) -> Iterator[pa.RecordBatch]:
        """Rows of one day by canonical column name, every value as text, always in the same order, with their numbers."""
        mapped = self._how.columns.mapped()
        texts = ", ".join(f"{_quoted(column)}::text AS {_quoted(name)}" for name, column in mapped.items())
        order = ", ".join(f'{_quoted(column)}::text COLLATE "C"' for column in mapped.values())
        where, bounds = self._rows_of(day, days)
        number = 0
        query = f"SELECT {texts} FROM {self._table} WHERE {where} ORDER BY {order}"
        for batch in self._snapshot.batches(query, *bounds):
            numbers = pa.array(range(number + 1, number + batch.num_rows + 1), pa.int64())
            number += batch.num_rows
            unbroken = pa.nulls(batch.num_rows, pa.string())
            yield pa.record_batch([*batch.columns, unbroken, numbers], names=[*mapped, "broken_line", "source_row"])

    def _types(self, place: str) -> dict[str, str]:
        """Every column of the table and its type, once those that are needed are found to be there."""
        types = dict(self._snapshot.rows(_COLUMNS, self._table))
        if not types:
            names = [name for (name,) in self._snapshot.rows(_TABLES)]
            close = closest(self._how.table, names)
            hint = f" Did you mean {close[0]}?" if close else ""
            raise SourceError(f"{place}: there is no such table.{hint} Correct source.table in the configuration.")
        positions(list(types), self._how.columns.mapped(), place)
        needed = {"source.columns.invoiced_at": MOMENTS, "source.high_water_mark": MARKS}
        for key, allowed in needed.items():
            column = self._how.high_water_mark if allowed is MARKS else self._how.columns.invoiced_at
            _check_type(key, column, allowed, types, place)
        return types

    def _by_day(self) -> str:
        return f"SELECT CASE WHEN {self._within()} THEN {self._moment}::date END::text"

    def _within(self) -> str:
        """From the first day to before the second; the wider bounds are for an index, as a day may begin twice."""
        at = self._moment
        wider = f"{at} >= $1::date - 1 AND {at} < $2::date + 1"
        return f"({wider} AND {at}::date >= $1::date AND {at}::date < $2::date)"

    def _rows_of(self, day: Day, days: Range) -> tuple[str, tuple[str, str]]:
        if day is None:
            return f"{self._within()} IS NOT TRUE", days.bounds
        return self._within(), Range(day, day).bounds


def _check_type(key: str, column: str, allowed: tuple[str, ...], types: Mapping[str, str], place: str) -> None:
    if column not in types:
        close = closest(column, list(types))
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise SourceError(f"{place}: has no column {column!r}.{hint} Correct {key} in the configuration.")
    if types[column] not in allowed:
        raise SourceError(
            f"{place}: column {column!r} is of type {types[column]}; {key} needs one of: {', '.join(allowed)}. "
            "Name another column, or a view that has it so."
        )


def _day(text: str | None) -> Day:
    return None if text is None else date.fromisoformat(text)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
