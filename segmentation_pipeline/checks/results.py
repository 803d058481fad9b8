"""Results: what people and programs are told of a verdict, in the UI and in the ledger.

Belongs here: a verdict as an asset check result and as rows of the ledger. Does not: reaching verdicts (judging.py).
"""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd

from segmentation_pipeline.checks.judging import Verdict
from segmentation_pipeline.reporting import metadata, wording

SEVERITIES = {
    "critical": dg.AssetCheckSeverity.ERROR,
    "warning": dg.AssetCheckSeverity.WARN,
    "info": dg.AssetCheckSeverity.WARN,
}
DAYS_SHOWN = 20
DAYS_NAMED = 3
SIGNS_SHOWN = 200


def check_result(stage: str, verdict: Verdict, samples: Mapping[date, str]) -> dg.AssetCheckResult:
    """A verdict as the UI shows it.

    Args:
        stage: Asset that was judged.
        verdict: What came of the expectation.
        samples: For failing days, keys of rows that show what is wrong.
    """
    expectation = verdict.expectation
    shown: dict[str, dg.MetadataValue | str] = {
        "severity": expectation.severity,
        "threshold": expectation.threshold,
        "observed": _observed(verdict),
        "why": expectation.why,
        "expectation": dg.MetadataValue.json({"type": expectation.type, **_plain(expectation.arguments)}),
    }
    if not verdict.passed:
        shown["failing_days"] = metadata.table_preview(_failing(verdict, samples), rows=DAYS_SHOWN)
        shown["remedy"] = expectation.remedy
    return dg.AssetCheckResult(
        passed=verdict.passed,
        asset_key=stage,
        check_name=expectation.name,
        severity=SEVERITIES[expectation.severity],
        description=None if verdict.passed else in_short(verdict),
        metadata=shown,
    )


def in_short(verdict: Verdict) -> str:
    """A failed verdict in one sentence, with its days, what was found on them, and the remedy."""
    days = [day.isoformat() for day in verdict.failing_days]
    more = f" and {len(days) - DAYS_NAMED} more days" if len(days) > DAYS_NAMED else ""
    found = _found(verdict)
    return (
        f"{verdict.expectation.threshold} does not hold on {', '.join(days[:DAYS_NAMED])}{more}"
        f"{f' ({found})' if found else ''}. {verdict.expectation.remedy}"
    )


def ledger_rows(stage: str, verdicts: Sequence[Verdict]) -> pd.DataFrame:
    """Verdicts as rows of `schema.QUALITY_RESULTS`, one per expectation and day."""
    parts = [_by_day(verdict) for verdict in verdicts]
    return pd.concat(parts, ignore_index=True).assign(stage=stage)


def _plain(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON has them: a day or moment as text."""
    return dict(json.loads(json.dumps(dict(arguments), default=str)))


def _by_day(verdict: Verdict) -> pd.DataFrame:
    """One row per day: failed if any row of it failed, with what was found; null where there was nothing to compare with."""
    expectation = verdict.expectation
    compared = verdict.observed.dropna(thresh=2)  # a day, and something else
    rows = pd.concat([verdict.failing, compared, verdict.observed]).drop_duplicates("date").sort_values("date")
    values = rows.drop(columns="date")
    is_number = len(values.columns) == 1 and pd.api.types.is_numeric_dtype(values.iloc[:, 0])
    failed = rows["date"].isin(verdict.failing_days)
    nothing = values.isna().all(axis=1) if len(values.columns) else pd.Series(False, index=rows.index)
    found = values.iloc[:, 0].astype(float) if is_number else np.nan
    return pd.DataFrame(
        {
            "date": rows["date"],
            "passed": (~failed).astype("boolean").mask(nothing & ~failed),
            "observed": found if verdict.value is None else verdict.value,
            "expectation": expectation.name,
            "severity": expectation.severity,
            "threshold": expectation.threshold,
        }
    )


def _observed(verdict: Verdict) -> str:
    """What was found, in words, and on how many days."""
    days = wording.quantity(_telling(verdict)["date"].nunique(), "day")
    found = _found(verdict)
    return f"{found} ({days})" if found else days


def _found(verdict: Verdict) -> str:
    """The range of each column, or what was found of all rows."""
    if verdict.value is not None:
        return f"{verdict.value:,.6g}"
    rows = _telling(verdict)
    return "; ".join(_range(column, rows[column]) for column in rows.columns if column != "date")


def _telling(verdict: Verdict) -> pd.DataFrame:
    """What was observed, on failing rows if there are any."""
    return verdict.observed if verdict.passed else verdict.failing


def _range(column: str, values: pd.Series) -> str:
    known = values.dropna()
    if known.empty:
        return f"{column}: nothing to compare with"
    if not pd.api.types.is_numeric_dtype(known) and not hasattr(known.iloc[0], "as_tuple"):
        shown = sorted({str(value) for value in known})
        text = ", ".join(shown[:2])
        text = text if len(text) <= SIGNS_SHOWN else f"{text[:SIGNS_SHOWN]}…"
        return f"{column}: {text}{' and more' if len(shown) > 2 else ''}"
    low, high = (f"{float(value):,.6g}" for value in (known.min(), known.max()))
    missing = f", {len(values) - len(known)} not comparable" if len(known) < len(values) else ""
    return f"{column}: {low if low == high else f'{low} to {high}'}{missing}"


def _failing(verdict: Verdict, samples: Mapping[date, str]) -> pd.DataFrame:
    rows = verdict.failing.drop_duplicates("date").sort_values("date")
    return rows.assign(rows=[samples.get(day, "") for day in rows["date"]]) if samples else rows
