"""Quality: the history of what the gates found.

Belongs here: `quality_report`. Does not: judging (checks/), the page and its figures (reporting/).
"""

from collections.abc import Collection, Iterator
from datetime import timedelta

import dagster as dg

from segmentation_pipeline.assets.retrying import retrying
from segmentation_pipeline.checks.suites import suites
from segmentation_pipeline.core.dependencies import Dependency
from segmentation_pipeline.partitions import DAYS, POOL, asset_deps, days_of
from segmentation_pipeline.resources.annotations import DataFrame, QualityLedger, ReportFolder
from segmentation_pipeline.settings import Settings

DAYS_SHOWN = 90
DPI = 110  # cells and dots stay sharp, and a nightly page is drawn in half the time
NOT_DRAWN = "Not drawn: the run covered many days, and the page of the last one shows their history."


def build(checked: Collection[str]) -> dg.AssetsDefinition:
    """The asset; it reads what was found of all assets that are checked."""
    read = [Dependency(asset, DAYS_SHOWN - 1, use="checks") for asset in checked]
    return dg.asset(
        group_name="reporting",
        partitions_def=DAYS,
        pool=POOL,
        deps=asset_deps("quality_report", read),
        backfill_policy=dg.BackfillPolicy.single_run(),
        output_required=False,
        kinds={"html", "matplotlib"},
    )(quality_report)


def quality_report(
    context: dg.AssetExecutionContext,
    ledger: dg.ResourceParam[QualityLedger],
    reports: dg.ResourceParam[ReportFolder],
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.Output[None]]:
    """One self-contained HTML page: what every check found on each day, what failed, and what to do about it.

    It reads the quality ledger alone, so it can be materialized for any day, after a failed gate too.
    """
    from segmentation_pipeline.reporting import figure_theme, metadata, quality_figures, quality_page
    from segmentation_pipeline.reporting.quality_data import QualityData

    *earlier, day = days_of(context)
    first = day - timedelta(days=DAYS_SHOWN - 1)
    draws = {slug: draw for slug, (__, __, draw) in quality_figures.FIGURES.items()}
    with retrying(context, settings.schedule):
        data = QualityData(settings.shop, day, first, _checks(settings), ledger.latest(first, day))
        images = figure_theme.images(draws, data, DPI)
        page = reports.write(day, quality_page.render(data, images), images, name="quality_report")
    by_day = figure_theme.preview_bytes(images["verdicts_by_day"])
    failed = data.failures[["date", "stage", "expectation", "severity", "observed", "threshold"]]
    for other in earlier:
        context.log_event(
            dg.AssetMaterialization(context.asset_key, partition=other.isoformat(), metadata={"page": NOT_DRAWN})
        )
    context.log_event(
        dg.AssetMaterialization(
            context.asset_key,
            partition=day.isoformat(),
            metadata={
                "page": dg.MetadataValue.path(str(page)),
                "failed": metadata.table_preview(failed, rows=20),
                "verdicts_by_day": metadata.image(by_day),
            },
        )
    )
    yield from ()


def _checks(settings: Settings) -> DataFrame:
    """Every expectation, in the order of the stages, with its limits."""
    import pandas as pd

    return pd.DataFrame(
        {
            "stage": stage,
            "expectation": each.name,
            "severity": each.severity,
            "threshold": each.threshold,
            "why": each.why,
            "remedy": each.remedy,
            "low": each.arguments.get("min_value"),
            "high": each.arguments.get("max_value"),
        }
        for stage, expectations in suites(settings).items()
        for each in expectations
    )
