"""Writes data-quality.md from the suites themselves; run by `make docs`.

Belongs here: laying out expectations and profile columns. Does not: any of them (segmentation_pipeline/checks).
"""

from datetime import date
from pathlib import Path

from segmentation_pipeline.checks.stages import STAGES
from segmentation_pipeline.checks.suites import suites
from segmentation_pipeline.settings import Columns, Files, Settings

HEAD = """\
# Data quality

Every table passes a gate before anyone can read it. What an asset made is written aside, **measured** by the engine in one
expression (one row per day, however many lines), **judged** by a suite of Great Expectations, and only then **published**.

- A day that fails a **critical** expectation is held back: nothing of it is written, what stood in the lake stays, and nothing
  downstream runs on it, in this run or another. The other days of a range are let through; the run is red and names the days.
- A **warning** (and **info**) lets the day through. It is counted, shown in the UI and in the quality report.
- An expectation that cannot be evaluated is a failed run, never a failed or a passed check.

Each expectation is an asset check in the Dagster UI, with its threshold, what was found, the failing days with some of their
rows, and what to do. Every verdict is kept in `<lake>/quality_results/`; `quality_report` draws their history.

## When a gate is closed

1. The failed check names the days, the rows and the remedy: in the UI, on the terminal of `segmentation run`, and in the report.
2. `segmentation quarantine` lists rejected rows by reason and day, with samples as they came.
3. Correct the source, or the configuration if the source is right, and run again: `segmentation run`, or materialize the days in
   the UI. Quarantined rows move over, and rows and money still add up, for every run proves it.

In the UI, the assets after a closed gate show all days of the run as failed: they were planned and not reached. What stood in the
lake is still there.

## Thresholds

Every threshold is a setting, see `quality` in [configuration.md](configuration.md). A check can get another severity:

```yaml
quality:
  max_duplicate_share: 0.4
  severities: {raw_transactions.volume_is_usual: critical}
```

What is usual for a day is the median of the same weekday, or of all days, in the `quality.baseline_weeks` before it; never of
days after it, so an old day judged again gets the same verdict. A day with fewer than `quality.min_rows` rows is not judged by
shares and not compared. Days that were held back are nobody's usual days.

## Your own expectations

Any expectation of Great Expectations about a column of a stage's profile (below), without code:

```yaml
quality:
  expectations:
    - stage: clean_transactions
      type: expect_column_values_to_be_between
      arguments: {column: revenue, min_value: 1000}
      severity: warning
      name: revenue_is_worth_a_day          # optional
      why: The shop has not had such a day in years.
      remedy: Ask the tills.
```

A stage, type, argument or column that does not exist is one message when the pipeline starts.

This page is written by `make docs`, with the default thresholds and every optional column mapped.
"""

EVERY_COLUMN = Columns(
    customer_id="c", invoiced_at="t", unit_price="p", quantity="q", invoice_id="i", product_id="s", country="l"
)


def page() -> str:
    """The whole page."""
    settings = Settings(source=Files(path="-", columns=EVERY_COLUMN), start_date=date(2025, 1, 1))
    parts = [HEAD, "## Every expectation\n"]
    for stage, expectations in suites(settings).items():
        parts.append(f"### {stage}\n")
        parts += ["| check | severity | must hold | why | remedy |", "|---|---|---|---|---|"]
        parts += [_row(f"`{e.name}`", e.severity, f"`{e.threshold}`", e.why, e.remedy) for e in expectations]
        parts.append("")
    parts.append("## What is measured\n")
    for name, stage in STAGES.items():
        parts.append(f"### Profile of {name}\n")
        parts += ["| column | type | meaning |", "|---|---|---|"]
        parts += [_row(f"`{column.name}`", column.type, column.description) for column in stage.columns]
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


if __name__ == "__main__":
    Path(__file__).with_name("data-quality.md").write_text(page())
