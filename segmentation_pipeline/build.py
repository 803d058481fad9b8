"""Building the code location: assets on the shop's calendar, jobs, schedules and resources.

Belongs here: putting the parts together, and what is the same for every asset (owners, tags, column metadata).
Does not: the parts themselves.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg
from upath import UPath

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
from segmentation_pipeline.checks.gate import Gate
from segmentation_pipeline.checks.judge_process import judge_process
from segmentation_pipeline.checks.suites import suites
from segmentation_pipeline.core import schema
from segmentation_pipeline.partitions import calendar
from segmentation_pipeline.reporting import metadata
from segmentation_pipeline.resources.engines.opening import open_engine
from segmentation_pipeline.resources.erasure import Erasure
from segmentation_pipeline.resources.forgotten import Tombstones
from segmentation_pipeline.resources.freshness import LOGIC_VERSION, Freshness
from segmentation_pipeline.resources.lake import Lake
from segmentation_pipeline.resources.lake_inputs import LakeInputs
from segmentation_pipeline.resources.ledger import QualityLedger
from segmentation_pipeline.resources.model_store import ModelStore
from segmentation_pipeline.resources.publishing.exports import ExportFolder
from segmentation_pipeline.resources.publishing.postgres import SegmentPublisher
from segmentation_pipeline.resources.reports import ReportFolder
from segmentation_pipeline.resources.sources.opening import open_source
from segmentation_pipeline.resources.stretches import Stretches
from segmentation_pipeline.sensors import alerts
from segmentation_pipeline.sensors.drift import drift
from segmentation_pipeline.sensors.new_data import new_data
from segmentation_pipeline.settings import Settings, load_configured

SEGMENTS = dg.AssetKey("customer_segments")


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
        sensors=[new_data(settings), drift(settings), *alerts.sensors(settings)],
        resources={**build_resources(settings), **(overrides or {})},
        executor=dg.in_process_executor,
    )


def build_resources(settings: Settings) -> dict[str, Any]:
    """Everything assets reach the world through, by resource name; nothing is opened before it is used."""
    engine = open_engine(settings)
    lake = Lake(UPath(settings.lake), engine)
    tombstones = Tombstones(settings, engine, lake.root / "forgotten")
    source = open_source(
        settings, engine, lake.root / ".sources", tombstones, lambda file: lake.came_from(file.path, file.days())
    )
    models = ModelStore(lake.root / "segmentation_model")
    reports = ReportFolder(UPath(settings.reports))
    publish = settings.publish
    exports = ExportFolder(UPath(publish.exports), lake) if publish and publish.exports else None
    publisher = SegmentPublisher(publish.database) if publish and publish.database else None
    freshness = Freshness(settings, source, lake, models, reports, exports)
    stretches = Stretches(lake, source.files, settings.engine.rows_at_once)
    ledger = QualityLedger(lake.root / "quality_results", engine)
    return {
        "settings": settings,
        "engine": engine,
        "lake": lake,
        "source": source,
        "models": models,
        "reports": reports,
        "freshness": freshness,
        "stretches": stretches,
        "ledger": ledger,
        "tombstones": tombstones,
        "erasure": Erasure(settings, lake, source, tombstones, stretches, publisher, exports),
        "gate": Gate(settings, suites(settings), lake, freshness, ledger, judge_process(), stretches),
        INPUTS: dg.InputManagerDefinition(lambda _context: LakeInputs(lake)),
        **({"exports": exports} if exports else {}),
        **({"publisher": publisher} if publisher else {}),
    }


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
        reporting.segment_report,
        quality.quality_report,
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
