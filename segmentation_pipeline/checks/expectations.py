"""Expectations as plain data: what must hold of a stage's profile, why, and what to do when it does not.

Belongs here: the form of a declaration, so that check names exist without importing Great Expectations, and short ways
to write the common ones. Does not: which there are (suites/), judging them (judging.py).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segmentation_pipeline.settings import Severity

LONGEST_LIST = 100


@dataclass(frozen=True)
class Expectation:
    """One expectation of Great Expectations about a stage's profile.

    Attributes:
        name: Of the asset check, unique within its stage.
        type: Its name in Great Expectations' registry, such as `expect_column_values_to_be_between`.
        arguments: Its arguments.
        severity: A day that fails a `critical` one is not let through; a `warning` is counted and shown, so is `info`.
        why: What goes wrong where it does not hold.
        remedy: What to do then.
        rows: Which rows of the stage show what is wrong; see `stages.Stage.samples`. Without it, any rows of the day.
    """

    name: str
    type: str
    arguments: Mapping[str, Any]
    severity: "Severity"
    why: str
    remedy: str
    rows: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it looks at."""
        given = [self.arguments.get(key) for key in ("column", "column_A", "column_B")]
        return tuple(column for column in [*given, *self.arguments.get("column_list", ())] if column)

    @property
    def threshold(self) -> str:
        """What must hold, in words."""
        return _in_words(self.type, self.arguments)


@dataclass(frozen=True)
class Advice:
    """What a failing expectation tells people: `why` it matters, the `remedy`, and which `rows` to show."""

    why: str
    remedy: str
    rows: str | None = None


def between(
    name: str, column: str, low: float | None, high: float | None, severity: "Severity", advice: Advice
) -> Expectation:
    """Every value of a column is within limits; null is left out."""
    limits = {"min_value": low, "max_value": high}
    arguments = {"column": column, **{key: value for key, value in limits.items() if value is not None}}
    return Expectation(name, "expect_column_values_to_be_between", arguments, severity, *_told(advice))


def at_most(name: str, column: str, high: float, severity: "Severity", advice: Advice) -> Expectation:
    """No value of a column is above a limit; null is left out."""
    return between(name, column, None, high, severity, advice)


def none_of(name: str, column: str, advice: Advice) -> Expectation:
    """A column counts nothing; critical."""
    return at_most(name, column, 0, "critical", advice)


def equal(name: str, left: str, right: str, advice: Advice) -> Expectation:
    """Two columns are equal on every row; critical."""
    pair = {"column_A": left, "column_B": right}
    return Expectation(name, "expect_column_pair_values_to_be_equal", pair, "critical", *_told(advice))


def not_null(name: str, column: str, advice: Advice) -> Expectation:
    """A column has a value on every row; critical."""
    return Expectation(name, "expect_column_values_to_not_be_null", {"column": column}, "critical", *_told(advice))


def unique(name: str, columns: Sequence[str], advice: Advice) -> Expectation:
    """No two rows agree in all of the columns; critical."""
    arguments = {"column_list": list(columns)}
    return Expectation(name, "expect_compound_columns_to_be_unique", arguments, "critical", *_told(advice))


def in_set(name: str, column: str, values: Sequence[Any], advice: Advice) -> Expectation:
    """A column has no other values; critical."""
    arguments = {"column": column, "value_set": list(values)}
    return Expectation(name, "expect_column_values_to_be_in_set", arguments, "critical", *_told(advice))


def total(name: str, column: str, value: float, severity: "Severity", advice: Advice) -> Expectation:
    """A column adds up to a value."""
    arguments = {"column": column, "min_value": value, "max_value": value}
    return Expectation(name, "expect_column_sum_to_be_between", arguments, severity, *_told(advice))


def _told(advice: Advice) -> tuple[str, str, str | None]:
    return advice.why, advice.remedy, advice.rows


def _in_words(kind: str, given: Mapping[str, Any]) -> str:
    say = _WORDS.get(kind)
    if say:
        return say(given)
    listed = ", ".join(f"{key} {value}" for key, value in given.items() if key != "column")
    about = f"{given['column']} " if "column" in given else ""
    return f"{kind.removeprefix('expect_').replace('_', ' ')}: {about}{listed}"


def _one_of(given: Mapping[str, Any]) -> str:
    shown = ", ".join(map(str, given["value_set"]))
    if len(shown) > LONGEST_LIST:
        return f"{given['column']} as declared"
    return f"{given['column']} is one of {shown}"


def _within(of: str, given: Mapping[str, Any]) -> str:
    """A range in words, and whatever else was asked for with it."""
    low, high = given.get("min_value"), given.get("max_value")
    further = [f"{key} {value}" for key, value in given.items() if key not in ("column", "min_value", "max_value")]
    return ", ".join([f"{of} {_limits(low, high)}", *further])


def _limits(low: Any, high: Any) -> str:
    if low is None and high is None:
        return "without limits"
    if low is None or high is None:
        return f"at most {_shown(high)}" if low is None else f"at least {_shown(low)}"
    is_one = low == high or (isinstance(low, float) and isinstance(high, float) and abs(high - low) < 1e-6)
    return f"= {_shown(low)}" if is_one else f"between {_shown(low)} and {_shown(high)}"


def _shown(limit: Any) -> str:
    return f"{limit:.6g}" if isinstance(limit, float) else str(limit)


_WORDS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "expect_column_values_to_be_between": lambda given: _within(given["column"], given),
    "expect_column_sum_to_be_between": lambda given: _within(f"sum of {given['column']}", given),
    "expect_column_pair_values_to_be_equal": lambda given: f"{given['column_A']} = {given['column_B']}",
    "expect_column_values_to_not_be_null": lambda given: f"{given['column']} is never null",
    "expect_compound_columns_to_be_unique": lambda given: f"{' and '.join(given['column_list'])} are unique together",
    "expect_column_values_to_be_in_set": _one_of,
}
