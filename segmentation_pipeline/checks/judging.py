"""Judging: a suite and a small frame become asset check results, through Great Expectations.

Belongs here: the one adapter between the two. Does not: what is expected (suites.py), measuring (core/profiling.py).

Importing Great Expectations takes seconds, so it happens when the first check runs. An expectation that itself breaks
raises: a crash is a failed run, never a failed or passed check.
"""

from collections.abc import Iterator, Sequence

import dagster as dg
import pandas as pd

from segmentation_pipeline.checks.expectations import Expectation
from segmentation_pipeline.reporting import metadata

SEVERITIES = {
    "critical": dg.AssetCheckSeverity.ERROR,
    "warning": dg.AssetCheckSeverity.WARN,
    "info": dg.AssetCheckSeverity.WARN,
}
DAYS_SHOWN = 20


class CheckCrashed(Exception):
    """An expectation could not be evaluated; the message names it and says why."""


def judge(asset: str, expectations: Sequence[Expectation], frame: pd.DataFrame) -> Iterator[dg.AssetCheckResult]:
    """Evaluate a suite on a profile.

    Args:
        asset: Asset the checks belong to.
        expectations: What must hold.
        frame: One row per day (`date`), or the small table itself.

    Yields:
        One result per expectation, with what was expected, what was found, the failing days and the remedy.

    Raises:
        CheckCrashed: An expectation could not be evaluated.
    """
    import great_expectations as gx
    from great_expectations.core.expectation_suite import ExpectationSuite
    from great_expectations.data_context.types.base import ProgressBarsConfig
    from great_expectations.expectations.metadata_types import FailureSeverity
    from great_expectations.expectations.registry import get_expectation_impl

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    source = context.data_sources.add_pandas("profiles").add_dataframe_asset(asset)
    batch = source.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
    suite = ExpectationSuite(
        name=asset,
        expectations=[
            get_expectation_impl(each.type)(
                **each.arguments, severity=FailureSeverity(each.severity), meta={"name": each.name}
            )
            for each in expectations
        ],
    )
    wanted = {"result_format": "COMPLETE", "unexpected_index_column_names": ["date"]}
    results = batch.validate(suite, result_format=wanted).results
    found = {config.meta["name"]: result for result in results if (config := result.expectation_config) and config.meta}
    for expectation in expectations:
        result = found[expectation.name]
        if result.success is None or _exceptions(result.exception_info):
            raise CheckCrashed(
                f"{asset}: {expectation.name} could not be evaluated: {_exceptions(result.exception_info)}"
            )
        yield _as_check_result(asset, expectation, bool(result.success), result.result)


def _exceptions(info: dict) -> list[str]:
    """Messages of what went wrong; Great Expectations nests them by metric."""
    entries = [info] if "raised_exception" in info else list(info.values())
    return [str(entry["exception_message"]) for entry in entries if entry["raised_exception"]]


def _as_check_result(asset: str, expectation: Expectation, passed: bool, result: dict) -> dg.AssetCheckResult:
    rows = result.get("unexpected_index_list") or []
    shown: dict[str, dg.MetadataValue | str] = {
        "expected": dg.MetadataValue.json({"type": expectation.type, **expectation.arguments}),
        "why": expectation.why,
    }
    if "observed_value" in result:
        shown["observed"] = str(result["observed_value"])
    if rows:
        shown["failing_days"] = metadata.table_preview(pd.DataFrame(rows), rows=DAYS_SHOWN)
    if not passed:
        shown["remedy"] = expectation.remedy
    return dg.AssetCheckResult(
        passed=passed,
        asset_key=asset,
        check_name=expectation.name,
        severity=SEVERITIES[expectation.severity],
        description=None if passed else _in_short(expectation, rows),
        metadata=shown,
    )


def _in_short(expectation: Expectation, rows: Sequence[dict]) -> str:
    days = sorted({str(row["date"]) for row in rows})
    where = f" on {', '.join(days[:3])}{' and more' if len(days) > 3 else ''}" if days else ""
    return f"Does not hold{where}. {expectation.remedy}"
