"""Reporting: the page a marketer reads and an engineer checks.

Belongs here: `segment_report`. Does not: statistics (core/), figures and page (reporting/).
"""

from collections.abc import Iterator
from datetime import date

import dagster as dg
import ibis
import ibis.expr.types as ir
import pandas as pd
from ibis import _

from segmentation_pipeline.assets.gated import INPUTS
from segmentation_pipeline.checks.profiles import profile_of_cleaning
from segmentation_pipeline.core.clustering import preprocessing
from segmentation_pipeline.core.profiling import clean
from segmentation_pipeline.partitions import DAYS, days_of, history
from segmentation_pipeline.reporting import metadata
from segmentation_pipeline.reporting.data import ReportData
from segmentation_pipeline.resources.freshness import Freshness
from segmentation_pipeline.resources.lake import Lake
from segmentation_pipeline.resources.model_store import ModelStore
from segmentation_pipeline.resources.reports import ReportFolder
from segmentation_pipeline.settings import Settings

SCATTER_CUSTOMERS = 4_000
NOT_DRAWN = (
    "Not drawn: the run covered many days, and only the last one gets a page. Materialize this day alone to draw it."
)


@dg.asset(
    group_name="reporting",
    partitions_def=DAYS,
    deps=[
        "segmentation_model",
        dg.AssetDep("clean_transactions", partition_mapping=history()),
        dg.AssetDep("quarantined_transactions", partition_mapping=history()),
    ],
    ins={
        name: dg.AssetIn(input_manager_key=INPUTS)
        for name in ("feature_exploration", "customer_segments", "segment_profiles")
    },
    backfill_policy=dg.BackfillPolicy.single_run(),
    output_required=False,
    kinds={"html", "matplotlib"},
)
def segment_report(  # noqa: PLR0913 - a report is where everything comes together
    context: dg.AssetExecutionContext,
    feature_exploration: ir.Table,
    customer_segments: ir.Table,
    segment_profiles: ir.Table,
    lake: dg.ResourceParam[Lake],
    freshness: dg.ResourceParam[Freshness],
    models: dg.ResourceParam[ModelStore],
    reports: dg.ResourceParam[ReportFolder],
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.Output[None]]:
    """One self-contained HTML page with its figures: segments and what to do about them, and how good the data was.

    A run over many days draws the last of them only. Materialize another day alone to draw it.
    """
    from segmentation_pipeline.reporting import figures, html

    *earlier, day = days_of(context)
    of_day = _.date == ibis.literal(day)
    data = _report_data(
        day,
        feature_exploration.filter(of_day),
        customer_segments.filter(of_day),
        segment_profiles.filter(of_day),
        lake,
        models,
        settings,
    )
    drawn = figures.drawn(data)
    images = figures.images(drawn)
    made_from = freshness.made_from("segment_report", [day])[day]
    page = reports.write(day, html.render(data, images), images, made_from)
    context.log_event(
        dg.AssetMaterialization(
            context.asset_key,
            partition=day.isoformat(),
            metadata={
                "page": dg.MetadataValue.path(str(page)),
                **{slug: metadata.image(png) for slug, png in figures.images(drawn, figures.UI_DPI).items()},
            },
        )
    )
    for other in earlier:
        context.log_event(
            dg.AssetMaterialization(context.asset_key, partition=other.isoformat(), metadata={"page": NOT_DRAWN})
        )
    yield from ()


def _report_data(
    day: date,
    exploration: ir.Table,
    segments: ir.Table,
    profiles: ir.Table,
    lake: Lake,
    models: ModelStore,
    settings: Settings,
) -> ReportData:
    version = models.in_force()
    model = models.load(version)
    engine = lake.engine
    days = profile_of_cleaning(lake, day)
    shown = engine.to_pandas(preprocessing.sample(segments, SCATTER_CUSTOMERS, settings.model.seed))
    places = model.project(shown)
    accepted = int(days["accepted_rows"].sum())
    return ReportData(
        shop=settings.shop,
        currency=settings.currency,
        as_of=day,
        first_day=pd.Timestamp(days["date"].min()).date(),
        days=days,
        reasons=clean.rows_by_reason(days),
        exploration=engine.to_pandas(exploration),
        k_diagnostics=models.diagnostics(version),
        profiles=engine.to_pandas(profiles).astype({"revenue": float}),
        scatter=pd.DataFrame({"segment": shown["segment"], "component_1": places[:, 0], "component_2": places[:, 1]}),
        component_shares=model.component_shares,
        model={"version": version, **model.card},
        guests={
            "lines": float(days["guest_rows"].sum()),
            "revenue": float(days["guest_revenue"].sum()),
            "line_share": float(days["guest_rows"].sum()) / max(accepted, 1),
        },
    )
