"""Building the code location: assets on the shop's calendar, jobs, schedules and resources.

Belongs here: putting the parts together, and what is the same for every asset (owners, tags, column metadata).
Does not: the parts themselves.
"""

from collections.abc import Mapping
from functools import cache
from threading import Lock
from typing import Any

import dagster as dg

from segmentation_pipeline import forgetting, jobs, schedules
from segmentation_pipeline.assets import (
    OWNERS,
    cleaning,
    exploration,
    features,
    ingestion,
    model,
    publishing,
    quality,
    reporting,
    segments,
)
from segmentation_pipeline.assets.gated import INPUTS
from segmentation_pipeline.checks.suites import suites
from segmentation_pipeline.core import schema
from segmentation_pipeline.partitions import calendar
from segmentation_pipeline.reporting import metadata
from segmentation_pipeline.resources.freshness import LOGIC_VERSION
from segmentation_pipeline.sensors.drift import drift
from segmentation_pipeline.sensors.new_data import new_data
from segmentation_pipeline.settings import Settings, load_configured

SEGMENTS = dg.AssetKey("customer_segments")
RESOURCES = (
    "settings",
    "engine",
    "lake",
    "source",
    "models",
    "reports",
    "freshness",
    "stretches",
    "ledger",
    "tombstones",
    "erasure",
    "second_process",
    "gate",
)


def build_definitions(settings: Settings | None = None, overrides: Mapping[str, Any] | None = None) -> dg.Definitions:
    """The code location of one shop.

    Args:
        settings: The configuration; without it, the file that `SEGMENTATION_CONFIG` names.
        overrides: Resources to use instead of the built ones, by name.

    Raises:
        ConfigurationError: The configuration cannot be used.
    """
    settings = settings or load_configured()
    return dg.Definitions(
        assets=build_assets(settings),
        jobs=[
            jobs.nightly_refresh,
            jobs.refit_model,
            forgetting.forget_customer,
            *([jobs.publish] if settings.publish else []),
        ],
        schedules=[schedules.nightly(settings), schedules.refit(settings)],
        sensors=_sensors(settings),
        resources={
            **_resources(settings),
            INPUTS: dg.InputManagerDefinition(_inputs, required_resource_keys={"lake"}),
            **(overrides or {}),
        },
        executor=dg.in_process_executor,
    )


def _sensors(settings: Settings) -> list[dg.SensorDefinition]:
    found = [new_data(settings), drift(settings)]
    if settings.alerts.webhook_variable:
        from segmentation_pipeline.sensors import alerts  # with an HTTP client, which most shops can do without

        found += alerts.sensors(settings)
    return found


def _resources(settings: Settings) -> dict[str, dg.ResourceDefinition]:
    """The resources of `opening.build_resources`, which are all made when the first of them is used.

    Ibis, pandas and PyArrow are loaded then, which takes longer than to load Dagster and all of these definitions.
    """
    lock = Lock()

    @cache
    def made() -> dict[str, Any]:
        from segmentation_pipeline.opening import build_resources

        return build_resources(settings)

    def resource(name: str) -> dg.ResourceDefinition:
        def get(_context: dg.InitResourceContext) -> Any:
            with lock:  # two ticks at once would load the same packages at once, and not all of them bear that
                return made()[name]

        return dg.ResourceDefinition(get)

    places = settings.publish
    publishing = {"exports": places and places.exports, "publisher": places and places.database}
    return {name: resource(name) for name in (*RESOURCES, *(name for name, place in publishing.items() if place))}


def _inputs(context: dg.InitResourceContext) -> dg.InputManager:
    from segmentation_pipeline.resources.lake_inputs import LakeInputs

    return LakeInputs(context.resources.lake)


def build_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Every asset, in the order the data flows, on the shop's calendar."""
    gated = [
        ingestion.raw_transactions,
        cleaning.clean_transactions_and_quarantine,
        features.customer_orders,
        features.customer_returns,
        features.rfm_features,
        exploration.feature_exploration,
        model.k_diagnostics,
        model.segmentation_model,
        segments.customer_segments,
        segments.segment_migration,
        segments.segment_drift,
        segments.segment_profiles,
    ]
    expected = suites(settings)
    declared = [
        *(asset.build(settings, expected) for asset in gated),
        reporting.build(settings),
        quality.build(expected),
        *publishing.configured(settings),
    ]
    days, deadline = calendar(settings), schedules.deadline(settings)

    def furnished(spec: dg.AssetSpec) -> dg.AssetSpec:
        return spec.replace_attributes(
            owners=OWNERS,
            freshness_policy=deadline if spec.key == SEGMENTS else None,
            code_version=LOGIC_VERSION,
            partitions_def=days if spec.partitions_def else None,
            tags={**spec.tags, "stage": spec.group_name or ""},
            metadata={**spec.metadata, **_column_metadata(spec.key.path[-1])},
        )

    return [asset.map_asset_specs(furnished) for asset in declared]


def _column_metadata(asset: str) -> dict[str, Any]:
    """Columns with their types, meanings and origins, as the UI shows them."""
    layout = schema.TABLES.get(asset)
    if layout is None:
        return {}
    lineage = {
        column.name: [
            dg.TableColumnDep(asset_key=dg.AssetKey(origin.split(".")[0]), column_name=origin.split(".")[1])
            for origin in column.sources
        ]
        for column in layout.columns
    }
    return {
        "dagster/column_schema": metadata.columns(layout),
        "dagster/column_lineage": dg.TableColumnLineage(lineage),
    }
