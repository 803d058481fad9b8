"""Model: how many segments, and the model in force.

Belongs here: `k_diagnostics`, `segmentation_model`. Neither is part of a nightly run.
Does not: fitting and choosing (core/clustering/), storing versions (resources/model_store.py).
"""

from datetime import date
from typing import Any

import dagster as dg
import pandas as pd

from segmentation_pipeline.assets.gated import gated
from segmentation_pipeline.checks.gate import Candidate
from segmentation_pipeline.core import schema
from segmentation_pipeline.core.clustering import preprocessing, selection, training
from segmentation_pipeline.core.clustering.scoring import model_table
from segmentation_pipeline.core.profiling import segments as profiling
from segmentation_pipeline.reporting import metadata
from segmentation_pipeline.resources.lake import Lake, MissingPartitions
from segmentation_pipeline.resources.model_store import ModelStore
from segmentation_pipeline.settings import Settings


class RefitConfig(dg.Config):
    """What to fit on: the as-of day of the features, or, left empty, the last one in the lake."""

    as_of: str | None = None


@gated(
    group="model",
    kinds={"parquet", "scikitlearn"},
    deps=(dg.AssetDep("rfm_features", partition_mapping=dg.AllPartitionMapping()),),
    is_daily=False,
)
def k_diagnostics(config: RefitConfig, lake: dg.ResourceParam[Lake], settings: dg.ResourceParam[Settings]) -> Candidate:
    """Inertia, silhouette and smallest segment of every algorithm and number of segments, and the declared policy's choice."""
    as_of = date.fromisoformat(config.as_of) if config.as_of else _last_day(lake)
    sampled = _sampled(lake, settings, as_of)
    scalings = preprocessing.fit_scaling(sampled, settings.model.features, settings.model.winsor_share)
    model = settings.model
    policy = selection.Policy(
        model.algorithm, model.min_k, model.max_k, model.min_segment_share, model.min_silhouette, model.k
    )
    points = preprocessing.transform(sampled, scalings)
    diagnostics = selection.diagnose(points, as_of, policy, model.seed, model.restarts)

    def publish() -> dict[str, Any]:
        lake.write(schema.K_DIAGNOSTICS, diagnostics)
        return {
            "as_of": as_of.isoformat(),
            "choice": diagnostics["reason"].iloc[0],
            "preview": metadata.table_preview(diagnostics, rows=len(diagnostics)),
        }

    return Candidate(profiling.with_choice(diagnostics), publish)


@gated(group="model", kinds={"parquet", "scikitlearn"}, deps=(dg.AssetDep("k_diagnostics"),), is_daily=False)
def segmentation_model(
    lake: dg.ResourceParam[Lake], models: dg.ResourceParam[ModelStore], settings: dg.ResourceParam[Settings]
) -> Candidate:
    """The model in force: centres, scaling and names as tables, with a card that says how it came about.

    Every model that passes its gate is kept as a version; the pointer to the version in force is swapped in one step.
    One that does not pass is not kept, and the model in force stays.
    """
    diagnostics = lake.engine.to_pandas(lake.read(schema.K_DIAGNOSTICS))
    chosen = diagnostics[diagnostics["is_chosen"]].iloc[0]
    as_of = pd.Timestamp(chosen["date"]).date()
    sampled = _sampled(lake, settings, as_of)
    model = training.train(sampled, as_of, int(chosen["k"]), str(chosen["reason"]), settings.model)

    def publish() -> dict[str, Any]:
        version = models.save(model, diagnostics)
        models.put_in_force(version)
        return {
            "version": version,
            "as_of": as_of.isoformat(),
            "segments": ", ".join(segment.name for segment in model.segments),
            "card": dg.MetadataValue.json(dict(model.card)),
            "preview": metadata.table_preview(model_table(model, version), rows=36),
        }

    return Candidate(profiling.with_quality(model, as_of, int(chosen["k"])), publish)


def _sampled(lake: Lake, settings: Settings, as_of: date) -> pd.DataFrame:
    features = lake.read(schema.RFM_FEATURES, [as_of])
    sampled = lake.engine.to_pandas(preprocessing.sample(features, settings.model.sample_rows, settings.model.seed))
    if sampled.empty:
        raise selection.NotEnoughCustomers(
            f"No customer has net spend on {as_of}, so there is nothing to segment. `segmentation check-source` shows whether "
            "rows are quarantined or lack a customer."
        )
    return sampled


def _last_day(lake: Lake) -> date:
    days = lake.days("rfm_features")
    if not days:
        raise MissingPartitions(
            "rfm_features has no day in the lake yet. Materialize one day of it, then fit the model."
        )
    return days[-1]
