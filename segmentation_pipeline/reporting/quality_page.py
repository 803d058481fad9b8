"""The quality report as one self-contained HTML page.

Belongs here: arranging verdicts for the template. Does not: drawing (quality_figures.py), reaching verdicts (checks/).
"""

import base64
from collections.abc import Mapping

import pandas as pd

from segmentation_pipeline.reporting import wording
from segmentation_pipeline.reporting.html import environment
from segmentation_pipeline.reporting.quality_data import FAILED, UNKNOWN, WARNED, QualityData
from segmentation_pipeline.reporting.quality_figures import FIGURES

FAILURES_SHOWN = 60


def render(data: QualityData, images: Mapping[str, bytes]) -> str:
    """The quality report as one HTML page.

    Args:
        data: Everything the report shows.
        images: PNG bytes of each of `quality_figures.FIGURES`.
    """
    outcome = data.outcome()
    failures = data.failures
    return (
        environment()
        .get_template("quality_report.html.j2")
        .render(
            report=data,
            figures={
                slug: {"title": title, "caption": caption, "image": base64.b64encode(images[slug]).decode("ascii")}
                for slug, (title, caption, __) in FIGURES.items()
            },
            tiles=_tiles(outcome, data),
            failures=[_failure(row) for row in failures.head(FAILURES_SHOWN).to_dict("records")],
            failures_left_out=max(len(failures) - FAILURES_SHOWN, 0),
            checks=[_check(row, outcome) for row in data.checks.to_dict("records")],
        )
    )


def _tiles(outcome: pd.DataFrame, data: QualityData) -> list[tuple[str, str, str]]:
    """Headline numbers: of the last day, and of all days shown."""
    last = outcome[pd.Timestamp(data.as_of)].dropna() if len(outcome) else pd.Series(dtype=float)
    judged = outcome.notna().any() if len(outcome) else pd.Series(dtype=bool)
    critical, warned = (outcome >= FAILED).any(), (outcome == WARNED).any()
    return [
        ("Checks", wording.count(len(last)), "judged on the last day"),
        ("Critical", wording.count(int((last == FAILED).sum())), "on the last day"),
        ("Warnings", wording.count(int((last == WARNED).sum())), "on the last day"),
        ("Not comparable", wording.count(int((last == UNKNOWN).sum())), "on the last day"),
        ("Days judged", wording.count(int(judged.sum())), f"{critical.sum()} held back, {warned.sum()} warned"),
    ]


def _failure(row: Mapping[object, object]) -> dict[str, object]:
    observed = row["observed"]
    return {
        "date": pd.Timestamp(str(row["date"])).date().isoformat(),
        "stage": row["stage"],
        "check": wording.humanised(row["expectation"]),
        "severity": row["severity"],
        "threshold": row["threshold"],
        "observed": wording.ABSENT if wording.is_absent(observed) else f"{float(str(observed)):.4g}",
        "why": row["why"],
        "remedy": row["remedy"],
    }


def _check(row: Mapping[object, object], outcome: pd.DataFrame) -> dict[str, object]:
    key = (str(row["stage"]), str(row["expectation"]))
    days = outcome.loc[[key]].iloc[0] if key in outcome.index else pd.Series(dtype=float)
    failed = days[days >= WARNED]
    return {
        "stage": row["stage"],
        "check": wording.humanised(row["expectation"]),
        "severity": row["severity"],
        "threshold": row["threshold"],
        "judged": int((days >= 1).sum()),
        "failed": len(failed),
        "last": failed.index.max().date().isoformat() if len(failed) else "",
    }
