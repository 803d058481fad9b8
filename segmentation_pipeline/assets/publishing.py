"""Publishing: segments in the shop's own database, and files that tell marketing tools who changed.

Belongs here: `published_segments`, `segment_export`. Does not: transactions and files (resources/publishing/), comparing
snapshots (core/changes.py).
"""

from collections.abc import Callable, Iterator
from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg

from segmentation_pipeline.assets.retrying import retrying
from segmentation_pipeline.core import schema
from segmentation_pipeline.core.dependencies import dependencies
from segmentation_pipeline.core.schema import publishing as layouts
from segmentation_pipeline.partitions import DAYS, POOL, asset_deps, days_of
from segmentation_pipeline.reporting import metadata
from segmentation_pipeline.resources.annotations import (
    DataFrame,
    ExportFolder,
    Freshness,
    Lake,
    ModelStore,
    SegmentPublisher,
    Table,
)
from segmentation_pipeline.settings import Settings

if TYPE_CHECKING:
    from segmentation_pipeline.resources.publishing.postgres import Publication

FLOWS_SHOWN = 40


def configured(settings: Settings) -> list[dg.AssetsDefinition]:
    """Of these assets, those that the settings name a place for."""
    publish = settings.publish
    tables = {f"database table {table.asset}": metadata.columns(table) for table in layouts.DATABASE_TABLES}
    to_database = _daily(settings, "published_segments", kinds={"postgres"}, metadata=tables)
    to_files = _daily(settings, "segment_export", kinds={"csv", "parquet"})
    return [
        *([to_database(published_segments)] if publish and publish.database else []),
        *([to_files(segment_export)] if publish and publish.exports else []),
    ]


def _daily(settings: Settings, name: str, **described: Any) -> Callable[..., dg.AssetsDefinition]:
    return dg.asset(
        group_name="publishing",
        partitions_def=DAYS,
        pool=POOL,
        deps=asset_deps(name, dependencies(settings)[name]),
        backfill_policy=dg.BackfillPolicy.single_run(),
        output_required=False,
        **described,
    )


def published_segments(
    context: dg.AssetExecutionContext,
    lake: dg.ResourceParam[Lake],
    freshness: dg.ResourceParam[Freshness],
    publisher: dg.ResourceParam[SegmentPublisher],
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.Output[None]]:
    """Every customer's segment in the shop's PostgreSQL database, with a history of who changed when.

    Each day is one transaction, in order, under the lake's lock: nobody is forgotten in between. A day that was published
    before changes nothing unless its customers were computed anew; one before the latest published day changes nothing at
    all. The columns are those of the note in the lake; the database's are in the metadata.
    """
    days = days_of(context)
    made_from = freshness.made_from("published_segments", days)
    with retrying(context, settings.schedule), lake.exclusively(f"run {context.run.run_id}", context.log.info):
        for day in days:
            customers = lake.read(schema.CUSTOMER_SEGMENTS, [day])
            with lake.engine.batches(_published(customers)) as snapshot:
                publication = publisher.publish(day, snapshot, context.run.run_id)
            lake.write(schema.PUBLISHED_SEGMENTS, _noted(day, publication), {day: made_from[day]})
            context.log_event(
                dg.AssetMaterialization(context.asset_key, partition=day.isoformat(), metadata=_told(day, publication))
            )
    yield from ()


def segment_export(
    context: dg.AssetExecutionContext,
    lake: dg.ResourceParam[Lake],
    freshness: dg.ResourceParam[Freshness],
    models: dg.ResourceParam[ModelStore],
    exports: dg.ResourceParam[ExportFolder],
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.Output[None]]:
    """Who changed their segment since the previous export, as csv and Parquet files for marketing tools.

    Without a previous export everyone is new. Exporting a day again leaves the same bytes.
    """
    import ibis

    from segmentation_pipeline.core import changes

    days = days_of(context)
    made_from = freshness.made_from("segment_export", days)
    with retrying(context, settings.schedule), lake.exclusively(f"run {context.run.run_id}", context.log.info):
        for day in days:
            since = exports.since(day)
            layout = schema.CUSTOMER_SEGMENTS
            after = lake.read(layout, [day])
            before = lake.read(layout, [since]) if since else ibis.memtable([], schema=layout.ibis_schema)
            told = changes.segment_changes(before, after, _actions(after, lake, models), day, since)
            folder = exports.write(day, since, told, made_from[day])
            context.log_event(
                dg.AssetMaterialization(
                    context.asset_key,
                    partition=day.isoformat(),
                    metadata={
                        "folder": dg.MetadataValue.path(str(folder)),
                        "since": since.isoformat() if since else "no earlier export: everyone is new",
                        "changes": metadata.table_preview(exports.flows(day), rows=FLOWS_SHOWN),
                    },
                )
            )
    yield from ()


def _published(segments: Table) -> Table:
    """A day's customers as the database holds them: not days since the last order, which change for everyone every night."""
    last_order = (segments.date - segments.recency_days.as_interval("D")).cast("date")
    columns = [name for name in layouts.DATABASE_SEGMENTS.names if name != "changed_on"]
    return segments.mutate(last_order_date=last_order).select(columns)


def _noted(day: date, publication: "Publication") -> DataFrame:
    row: dict[str, object] = {
        "date": day,
        "outcome": publication.outcome,
        "customers": publication.customers,
        "model_version": publication.model_version,
    }
    return schema.PUBLISHED_SEGMENTS.frame([{**row, **publication.counts}])


def _told(day: date, publication: "Publication") -> dict[str, dg.MetadataValue]:
    """What the UI shows of a day; no customer is named."""
    if publication.outcome == "superseded":
        why = (
            f"Nothing was changed: the database already holds {publication.latest}, and {day} is earlier. "
            "The published segments are always those of the latest day."
        )
        return {"outcome": dg.MetadataValue.text(why)}
    unchanged = "; it was published before, and nothing has changed since"
    return {
        "outcome": dg.MetadataValue.text(f"published{'' if publication.touched_rows else unchanged}"),
        "customers": dg.MetadataValue.int(publication.customers),
        "touched_rows": dg.MetadataValue.int(publication.touched_rows),
        **{change: dg.MetadataValue.int(count) for change, count in publication.counts.items()},
        "changes": metadata.table_preview(publication.flows, rows=FLOWS_SHOWN),
    }


def _actions(segments: Table, lake: Lake, models: ModelStore) -> dict[int, str]:
    """Segment id to what to do about its customers, by the model that scored the day."""
    import pandas as pd
    from ibis import _

    from segmentation_pipeline.core import naming

    found = lake.engine.to_pandas(segments.agg(version=_.model_version.max()))["version"].iloc[0]
    scored_by = [] if pd.isna(found) else models.load(int(found)).segments
    return {naming.NET_ZERO_ID: naming.NET_ZERO_ACTION} | {each.segment_id: each.action for each in scored_by}
