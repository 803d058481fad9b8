"""Segments: every customer's segment, what each segment is like, who moved, and how far customers have drifted.

Belongs here: `customer_segments`, `segment_migration`, `segment_drift`, `segment_profiles`. Does not: scoring
(core/clustering/scoring.py), comparing days (core/migration.py), measuring drift (core/drift.py).
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta

import dagster as dg
import ibis
import ibis.expr.types as ir
import pandas as pd
from ibis import _

from segmentation_pipeline.assets.gated import gated
from segmentation_pipeline.core import drift, migration, profiles, rfm, schema
from segmentation_pipeline.core.clustering import scoring
from segmentation_pipeline.partitions import history
from segmentation_pipeline.resources.engine import DuckDBEngine
from segmentation_pipeline.resources.model_store import ModelStore
from segmentation_pipeline.settings import Settings

MODEL = (dg.AssetDep("segmentation_model"),)


@gated(group="segments", kinds={"parquet", "duckdb", "gold"}, deps=MODEL)
def customer_segments(rfm_features: ir.Table, models: dg.ResourceParam[ModelStore]) -> ir.Table:
    """Segment, RFM scores and RFM group of every customer at the end of the day, by the model in force."""
    version = models.in_force()
    return scoring.customer_segments(rfm_features, models.load(version), version)


@gated(
    group="segments",
    kinds={"parquet", "duckdb", "gold"},
    reads={"customer_orders": lambda _settings: history(), "customer_returns": lambda _settings: history()},
    deps=MODEL,
)
def segment_migration(
    days: Sequence[date],
    customer_segments: ir.Table,
    customer_orders: ir.Table,
    customer_returns: ir.Table,
    engine: dg.ResourceParam[DuckDBEngine],
    models: dg.ResourceParam[ModelStore],
    settings: dg.ResourceParam[Settings],
) -> Iterator[Mapping[date, ir.Table]]:
    """Customers and revenue from segment to segment since an earlier day, both days scored by the same model.

    The earlier day's features are computed anew from orders and returns, as known at its end, so it need not be in the
    lake. A day too early to have one compares with nothing and has no rows.
    """
    back = timedelta(days=settings.migration.days)
    versions = _versions(customer_segments, engine)
    with engine.held(customer_orders) as orders, engine.held(customer_returns) as returns:

        def moved(day: date) -> ir.Table:
            earlier, version = day - back, versions.get(day)
            if version is None or earlier < settings.start_date:
                return ibis.memtable([], schema=schema.SEGMENT_MIGRATION.ibis_schema)
            known = rfm.rfm_features(orders, returns, earlier, settings.source.measure, settings.rfm.recent_days)
            before = scoring.customer_segments(known, models.load(version), version)
            after = customer_segments.filter(_.date == ibis.literal(day))
            return migration.segment_migration(before, after, earlier, settings.migration.inactive_days)

        yield {day: schema.SEGMENT_MIGRATION.conform(moved(day)) for day in days}


@gated(group="segments", kinds={"parquet", "duckdb"}, deps=MODEL)
def segment_drift(
    rfm_features: ir.Table,
    customer_segments: ir.Table,
    engine: dg.ResourceParam[DuckDBEngine],
    models: dg.ResourceParam[ModelStore],
    settings: dg.ResourceParam[Settings],
) -> pd.DataFrame:
    """Population stability index (PSI) of each feature and of the segments, against the customers the model was fitted on."""
    segments = customer_segments.select("date", "customer_id", "segment_id", "model_version")
    customers = rfm_features.inner_join(segments, ["date", "customer_id"])
    found = []
    for version in sorted(set(_versions(customer_segments, engine).values())):
        bins = models.load(version).reference
        counts = engine.to_pandas(drift.counted(customers.filter(_.model_version == version), bins))
        found.append(drift.judged(counts, bins, settings.drift).assign(model_version=version))
    return pd.concat(found)[schema.SEGMENT_DRIFT.names] if found else schema.SEGMENT_DRIFT.frame([])


@gated(group="segments", kinds={"parquet", "duckdb", "gold"}, deps=MODEL)
def segment_profiles(
    rfm_features: ir.Table,
    customer_segments: ir.Table,
    segment_migration: ir.Table,
    engine: dg.ResourceParam[DuckDBEngine],
    models: dg.ResourceParam[ModelStore],
    settings: dg.ResourceParam[Settings],
) -> pd.DataFrame:
    """Size, revenue share, typical recency, frequency and monetary of each segment, and what to do about it, in numbers."""
    measures = engine.to_pandas(profiles.measured(customer_segments, rfm_features))
    earlier = engine.to_pandas(profiles.before(segment_migration))
    told = (settings.currency, settings.rfm.recent_days)
    found = [
        profiles.finished(rows, earlier, models.load(int(str(version))), *told)
        for version, rows in measures.groupby("model_version")
    ]
    return pd.concat(found) if found else schema.SEGMENT_PROFILES.frame([])


def _versions(segments: ir.Table, engine: DuckDBEngine) -> dict[date, int]:
    """The version of the model that scored each day."""
    found = engine.to_pandas(segments.group_by("date").agg(version=_.model_version.max()))
    return {pd.Timestamp(day).date(): int(version) for day, version in found.itertuples(index=False)}
