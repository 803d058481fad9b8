"""Segments: every customer's segment, what each segment is like, who moved, and how far customers have drifted.

Belongs here: `customer_segments`, `segment_migration`, `segment_drift`, `segment_profiles`. Does not: scoring
(core/clustering/scoring.py), comparing days (core/migration.py), measuring drift (core/drift.py).
"""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

import dagster as dg

from segmentation_pipeline.assets.gated import gated
from segmentation_pipeline.core import schema
from segmentation_pipeline.resources.annotations import DataFrame, Engine, Freshness, Lake, ModelStore, Table
from segmentation_pipeline.settings import Settings


@gated(group="segments", kinds={"parquet", "duckdb", "gold"})
def customer_segments(rfm_features: Table, models: dg.ResourceParam[ModelStore]) -> Table:
    """Segment, RFM scores and RFM group of every customer at the end of the day, by the model in force."""
    from segmentation_pipeline.core.clustering import scoring

    version = models.in_force()
    return scoring.customer_segments(rfm_features, models.load(version), version)


@gated(group="segments", kinds={"parquet", "duckdb", "gold"})
def segment_migration(
    days: Sequence[date],
    customer_segments: Table,
    customer_orders: Table,
    customer_returns: Table,
    lake: dg.ResourceParam[Lake],
    freshness: dg.ResourceParam[Freshness],
    models: dg.ResourceParam[ModelStore],
    settings: dg.ResourceParam[Settings],
) -> Iterator[Table]:
    """Customers and revenue from segment to segment since an earlier day, both days scored by the same model.

    The earlier day's features are those in the lake, or, where they are not there or were made from something else since,
    computed anew from orders and returns. A day too early to have one compares with nothing and has no rows.
    """
    import ibis
    from ibis import _

    from segmentation_pipeline.core import migration, rfm
    from segmentation_pipeline.core.clustering import scoring
    from segmentation_pipeline.resources.engines.engine import hold_for

    back = settings.migration.days
    versions = _versions(customer_segments, lake.engine)
    earlier = {
        day - timedelta(days=back): version
        for day, version in versions.items()
        if day in days and day - timedelta(days=back) >= settings.start_date
    }
    if not earlier:
        yield ibis.memtable([], schema=schema.SEGMENT_MIGRATION.ibis_schema)
        return
    stored = freshness.standing("rfm_features", list(earlier))
    told_apart_by = {each.feature for version in set(earlier.values()) for each in models.load(version).scalings}
    compute = rfm.rfm_features if "distinct_products" in told_apart_by else rfm.spending
    held = hold_for(lake.engine, [day for day in earlier if day not in stored])
    with held(customer_orders) as orders, held(customer_returns) as returns:

        def features(of: Sequence[date]) -> Table:
            standing = [day for day in of if day in stored]
            anew = [
                compute(orders, returns, day, settings.source.measure, settings.rfm.recent_days)
                for day in of
                if day not in stored
            ]
            return ibis.union(*([lake.read(schema.RFM_FEATURES, standing)] if standing else []), *anew)

        before = ibis.union(
            *(
                scoring.customer_segments(
                    features([day for day, scored_by in earlier.items() if scored_by == version]),
                    models.load(version),
                    version,
                )
                for version in sorted(set(earlier.values()))
            )
        )
        compared = [day + timedelta(days=back) for day in earlier]
        after = customer_segments.filter(_.date.isin(compared))
        yield migration.segment_migration(before, after, back, settings.migration.inactive_days)


@gated(group="segments", kinds={"parquet", "duckdb"})
def segment_drift(
    rfm_features: Table,
    customer_segments: Table,
    engine: dg.ResourceParam[Engine],
    models: dg.ResourceParam[ModelStore],
    settings: dg.ResourceParam[Settings],
) -> DataFrame:
    """Population stability index (PSI) of each feature and of the segments, against the customers the model was fitted on."""
    import pandas as pd
    from ibis import _

    from segmentation_pipeline.core import drift

    segments = customer_segments.select("date", "customer_id", "segment_id", "model_version")
    customers = rfm_features.inner_join(segments, ["date", "customer_id"])
    found = []
    for version in sorted(set(_versions(customer_segments, engine).values())):
        bins = models.load(version).reference
        counts = engine.to_pandas(drift.counted(customers.filter(_.model_version == version), bins))
        found.append(drift.judged(counts, bins, settings.drift).assign(model_version=version))
    return pd.concat(found)[schema.SEGMENT_DRIFT.names] if found else schema.SEGMENT_DRIFT.frame([])


@gated(group="segments", kinds={"parquet", "duckdb", "gold"})
def segment_profiles(
    rfm_features: Table,
    customer_segments: Table,
    segment_migration: Table,
    engine: dg.ResourceParam[Engine],
    models: dg.ResourceParam[ModelStore],
    settings: dg.ResourceParam[Settings],
) -> DataFrame:
    """Size, revenue share, typical recency, frequency and monetary of each segment, and what to do about it, in numbers."""
    import pandas as pd

    from segmentation_pipeline.core import profiles

    measures = engine.to_pandas(profiles.measured(customer_segments, rfm_features))
    earlier = engine.to_pandas(profiles.before(segment_migration))
    told = (settings.currency, settings.rfm.recent_days)
    found = [
        profiles.finished(rows, earlier, models.load(int(str(version))), *told)
        for version, rows in measures.groupby("model_version")
    ]
    return pd.concat(found) if found else schema.SEGMENT_PROFILES.frame([])


def _versions(segments: Table, engine: Engine) -> dict[date, int]:
    """The version of the model that scored each day."""
    import pandas as pd
    from ibis import _

    found = engine.to_pandas(segments.group_by("date").agg(version=_.model_version.max()))
    return {pd.Timestamp(day).date(): int(version) for day, version in found.itertuples(index=False)}
