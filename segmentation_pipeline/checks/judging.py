"""Judging: a suite and a small frame become verdicts, through Great Expectations.

Belongs here: the one adapter to Great Expectations. Does not: what is expected (suites/), measuring (core/profiling/),
what follows from a verdict (gate.py), how people are told (results.py).

Importing Great Expectations takes seconds, so it happens when the first suite is judged, in the second process
(judge_process.py). An expectation that itself breaks raises: a crash is a failed run, never a failed or passed check.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from numbers import Real
from typing import Any

import pandas as pd

from segmentation_pipeline.checks.expectations import Expectation


class CheckCrashed(Exception):
    """An expectation could not be evaluated; the message names it and says why."""


@dataclass(frozen=True)
class Verdict:
    """What came of one expectation.

    Attributes:
        expectation: What was expected.
        passed: Whether it holds.
        failing_rows: Places of the rows of `observed` on which it does not.
        observed: `date`, and what was found there in the columns it looks at, one row per row of the frame.
        value: What was found of the frame as a whole, such as a sum, if that is what it looks at and a number.
    """

    expectation: Expectation
    passed: bool
    failing_rows: tuple[int, ...]
    observed: pd.DataFrame
    value: float | None = None

    @property
    def failing(self) -> pd.DataFrame:
        """The rows of `observed` on which it does not hold."""
        return self.observed.iloc[list(self.failing_rows)]

    @property
    def failing_days(self) -> tuple[date, ...]:
        """The days on which it does not hold, in order."""
        return tuple(sorted(set(self.failing["date"])))

    @property
    def is_critical(self) -> bool:
        """Whether something critical does not hold."""
        return not self.passed and self.expectation.severity == "critical"

    @property
    def holds_back(self) -> tuple[date, ...]:
        """The days that must not be let through because of it."""
        return self.failing_days if self.expectation.severity == "critical" else ()


def judge(stage: str, expectations: Sequence[Expectation], frame: pd.DataFrame) -> list[Verdict]:
    """Evaluate a suite on a profile.

    Args:
        stage: Asset the suite belongs to.
        expectations: What must hold.
        frame: One row per day (`date`), or the small table itself, with a `date` on each row.

    Returns:
        One verdict per expectation, in their order. One that fails for the frame as a whole, such as a sum, fails on
        every day of it.

    Raises:
        CheckCrashed: An expectation could not be evaluated.
    """
    from great_expectations.core.expectation_suite import ExpectationSuite
    from great_expectations.expectations.metadata_types import FailureSeverity
    from great_expectations.expectations.registry import get_expectation_impl

    days = [pd.Timestamp(day).date() for day in frame["date"]]
    frame = frame.assign(date=days).reset_index(drop=True)  # whose numbers say which rows fail
    batch = _frames(stage).get_batch({"dataframe": frame})
    suite = ExpectationSuite(
        name=stage,
        expectations=[
            get_expectation_impl(each.type)(
                **each.arguments,
                severity=FailureSeverity(each.severity),
                description=each.why,
                meta={"name": each.name},
            )
            for each in expectations
        ],
    )
    results = batch.validate(suite, result_format="COMPLETE").results
    found = {config.meta["name"]: result for result in results if (config := result.expectation_config) and config.meta}
    return [_verdict(stage, each, found[each.name], frame) for each in expectations]


@cache
def _frames(stage: str) -> Any:
    """Great Expectations' own place for the frames of a stage."""
    return _source().add_dataframe_asset(stage).add_batch_definition_whole_dataframe("all")


@cache
def _source() -> Any:
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    return context.data_sources.add_pandas("profiles")


def _verdict(stage: str, expectation: Expectation, result: Any, frame: pd.DataFrame) -> Verdict:
    problems = _exceptions(result.exception_info)
    if result.success is None or problems:
        raise CheckCrashed(f"{stage}: {expectation.name} could not be evaluated: {'; '.join(problems)}")
    passed, rows = bool(result.success), result.result.get("unexpected_index_list")
    value = result.result.get("observed_value")
    failing = () if passed else tuple(map(int, rows or range(len(frame))))
    known = [column for column in dict.fromkeys(expectation.columns) if column in frame and column != "date"]
    is_number = isinstance(value, Real | Decimal)
    return Verdict(expectation, passed, failing, frame[["date", *known]], float(value) if is_number else None)


def _exceptions(info: dict) -> list[str]:
    """Messages of what went wrong; Great Expectations nests them by metric."""
    entries = [info] if "raised_exception" in info else list(info.values())
    return [str(entry["exception_message"]) for entry in entries if entry["raised_exception"]]
