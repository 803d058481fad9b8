"""Reporting: the page a marketer reads and an engineer checks.

Belongs here: `segment_report`. Does not: statistics (core/), figures and page (reporting/).
"""

from collections.abc import Iterator
from datetime import date, timedelta
from functools import partial
from typing import TYPE_CHECKING

import dagster as dg

from segmentation_pipeline.assets.retrying import retrying
from segmentation_pipeline.core import schema
from segmentation_pipeline.core.dependencies import DRIFT_DAYS_SHOWN, dependencies
from segmentation_pipeline.partitions import DAYS, POOL, asset_deps, days_of
from segmentation_pipeline.resources.annotations import (
    DataFrame,
    Engine,
    Freshness,
    Lake,
    ModelStore,
    ReportFolder,
    SecondProcess,
    Table,
)
from segmentation_pipeline.settings import Settings

if TYPE_CHECKING:
    from segmentation_pipeline.reporting.data import ReportData

SCATTER_CUSTOMERS = 4_000
LEFT_OUT = ("saved_at", "continues")  # of the model's card: the same input gives the same page
NOT_DRAWN = (
    "Not drawn: the run covered many days, and only the last one gets a page. Materialize this day alone to draw it."
)


def build(settings: Settings) -> dg.AssetsDefinition:
    """The asset."""
    return dg.asset(
        group_name="reporting",
        partitions_def=DAYS,
        pool=POOL,
        deps=asset_deps("segment_report", dependencies(settings)["segment_report"]),
        backfill_policy=dg.BackfillPolicy.single_run(),
        output_required=False,
        kinds={"html", "matplotlib"},
    )(segment_report)


def segment_report(
    context: dg.AssetExecutionContext,
    lake: dg.ResourceParam[Lake],
    freshness: dg.ResourceParam[Freshness],
    models: dg.ResourceParam[ModelStore],
    reports: dg.ResourceParam[ReportFolder],
    second_process: dg.ResourceParam[SecondProcess],
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.Output[None]]:
    """One self-contained HTML page with its figures: segments and what to do about them, and how good the data was.

    A run over many days draws the last of them only. Materialize another day alone to draw it.
    """
    from segmentation_pipeline.resources.second_process import loaded

    second_process.prepare(partial(loaded, "segmentation_pipeline.reporting.figures"))
    from segmentation_pipeline.reporting import figures, html, metadata

    *earlier, day = days_of(context)
    with retrying(context, settings.schedule):
        made_from = freshness.made_from("segment_report", [day])[day]
        data = _report_data(day, lake, models, settings)
        images = figures.images(data, share=second_process.share)
        page = reports.write(day, html.render(data, images), images, made_from)
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
                **{slug: metadata.image(png) for slug, png in figures.previews(images, second_process.share).items()},
            },
        )
    )
    yield from ()


def _report_data(day: date, lake: Lake, models: ModelStore, settings: Settings) -> "ReportData":
    import pandas as pd

    from segmentation_pipeline.checks.profiles import profile_of_cleaning
    from segmentation_pipeline.core import rfm_groups
    from segmentation_pipeline.core.clustering import preprocessing
    from segmentation_pipeline.core.profiling import clean
    from segmentation_pipeline.reporting.data import ReportData

    engine = lake.engine
    exploration, segments, flows, profiles = (
        lake.read(layout, [day])
        for layout in (
            schema.FEATURE_EXPLORATION,
            schema.CUSTOMER_SEGMENTS,
            schema.SEGMENT_MIGRATION,
            schema.SEGMENT_PROFILES,
        )
    )
    version = _scored_by(segments, engine, models)
    model = models.load(version)
    days = profile_of_cleaning(lake, settings.start_date, day)
    needed = {"customer_id", "frequency", "monetary", *(scaling.feature for scaling in model.scalings)}
    features = lake.read(schema.RFM_FEATURES, [day]).select(*sorted(needed))  # no more, as all customers are sorted
    sampled = preprocessing.sample(features, SCATTER_CUSTOMERS, settings.model.seed)
    named = sampled.join(segments.select("customer_id", "segment"), "customer_id").order_by("customer_id")
    shown = engine.to_pandas(named)
    places = model.project(shown)
    cells = engine.to_pandas(rfm_groups.counted(segments))
    accepted = int(days["accepted_rows"].sum())
    return ReportData(
        shop=settings.shop,
        currency=settings.currency,
        recent_days=settings.rfm.recent_days,
        inactive_days=settings.migration.inactive_days,
        as_of=day,
        first_day=pd.Timestamp(days["date"].min()).date(),
        days=days,
        reasons=clean.rows_by_reason(days),
        exploration=engine.to_pandas(exploration),
        k_diagnostics=models.diagnostics(version),
        profiles=engine.to_pandas(profiles).astype(
            {"revenue": float, "revenue_recent": float, "customers_before": float}
        ),
        scatter=pd.DataFrame({"segment": shown["segment"], "component_1": places[:, 0], "component_2": places[:, 1]}),
        rfm_groups=rfm_groups.summed(cells),
        rfm_grid=cells,
        scores=engine.to_pandas(rfm_groups.by_scores(segments)),
        score_cuts=model.score_cuts,
        migration=engine.to_pandas(flows).astype({"revenue_before": float, "revenue_after": float}),
        drift=_drift(day, version, lake),
        drift_thresholds=(settings.drift.warn, settings.drift.act),
        component_shares=model.component_shares,
        model={"version": version, **{key: value for key, value in model.card.items() if key not in LEFT_OUT}},
        guests={
            "lines": float(days["guest_rows"].sum()),
            "revenue": float(days["guest_revenue"].sum()),
            "line_share": float(days["guest_rows"].sum()) / max(accepted, 1),
        },
    )


def _scored_by(segments: Table, engine: Engine, models: ModelStore) -> int:
    """The version of the model that scored a day; of a day without customers, the one in force."""
    import pandas as pd
    from ibis import _

    found = engine.to_pandas(segments.agg(version=_.model_version.max()))["version"].iloc[0]
    return models.in_force() if pd.isna(found) else int(found)


def _drift(day: date, version: int, lake: Lake) -> DataFrame:
    """The day's drift and that of the days before that the same model scored, of those that are in the lake."""
    from ibis import _

    first = day - timedelta(days=DRIFT_DAYS_SHOWN)
    days = [each for each in lake.days("segment_drift") if first <= each <= day]
    history = lake.read(schema.SEGMENT_DRIFT, days).filter(_.model_version == version)
    return lake.engine.to_pandas(history.order_by("date", "kind", "name"))
