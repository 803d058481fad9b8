"""Model: how many segments, and the model in force.

Belongs here: `k_diagnostics`, `segmentation_model`. Neither is part of a nightly run.
Does not: fitting and choosing (core/clustering/), storing versions (resources/model_store.py).
"""

from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg

from segmentation_pipeline.assets.gated import gated
from segmentation_pipeline.core import schema
from segmentation_pipeline.resources.annotations import DataFrame, Lake, ModelStore, SecondProcess
from segmentation_pipeline.settings import ConfigurationError, Settings, chosen_for_one_run

if TYPE_CHECKING:
    from segmentation_pipeline.checks.gate import Candidate
    from segmentation_pipeline.core.clustering.training import Choice

SHOWN = (
    "algorithm",
    "k",
    "inertia",
    "silhouette",
    "gap",
    "stability",
    "smallest_share",
    "votes",
    "vetoes",
    "is_chosen",
)


class RefitConfig(dg.Config):
    """What to fit. What is left empty is as configured: the last day of features in the lake, and the `model` section."""

    as_of: str | None = None
    k: int | None = None
    algorithm: str | None = None
    features: list[str] | None = None


class PromotionConfig(dg.Config):
    """Whether a model that passes its checks is put in force: if_better, always or never; left empty, as configured."""

    promote: str | None = None


@gated(group="model", kinds={"parquet", "scikitlearn"})
def k_diagnostics(
    config: RefitConfig,
    lake: dg.ResourceParam[Lake],
    second_process: dg.ResourceParam[SecondProcess],
    settings: dg.ResourceParam[Settings],
) -> "Candidate":
    """Every algorithm and number of segments, measured by every index, with each index's vote and the policy's choice."""
    from segmentation_pipeline.checks.gate import Candidate
    from segmentation_pipeline.core.clustering import preprocessing, selection
    from segmentation_pipeline.core.profiling import segments as profiling
    from segmentation_pipeline.reporting import metadata

    given = {"k": config.k, "algorithm": config.algorithm, "features": config.features}
    model = chosen_for_one_run(settings.model, **given)
    as_of = _day(config.as_of) if config.as_of else _last_day(lake)
    sampled = _sampled(lake, as_of, model.diagnostics_rows, model.seed)
    scalings = preprocessing.fit_scaling(sampled, model.features, model.winsor_share)
    policy = selection.Policy(
        model.algorithm,
        model.min_k,
        model.max_k,
        model.min_segment_share,
        model.min_silhouette,
        model.min_stability,
        model.k,
    )
    points = preprocessing.transform(sampled, scalings)
    diagnostics = selection.diagnose(
        points, as_of, policy, model.features, model.seed, model.restarts, second_process.share
    )

    def publish() -> dict[str, Any]:
        lake.write(schema.K_DIAGNOSTICS, diagnostics)
        return {
            "as_of": as_of.isoformat(),
            "choice": diagnostics["reason"].iloc[0],
            "preview": metadata.table_preview(diagnostics[list(SHOWN)], rows=len(diagnostics)),
        }

    return Candidate(profiling.with_choice(diagnostics), publish)


@gated(group="model", kinds={"parquet", "scikitlearn"})
def segmentation_model(
    config: PromotionConfig,
    lake: dg.ResourceParam[Lake],
    models: dg.ResourceParam[ModelStore],
    settings: dg.ResourceParam[Settings],
) -> "Candidate":
    """The model in force: centres, scaling and names as tables, with a card that says how it came about.

    Every model that passes its gate is kept as a version. `promote` decides whether it is put in force; the pointer to the
    version in force is then swapped in one step. One that does not pass is not kept, and the model in force stays.
    """
    from segmentation_pipeline.checks.gate import Candidate
    from segmentation_pipeline.core.clustering import promotion, training
    from segmentation_pipeline.core.clustering.scoring import model_table
    from segmentation_pipeline.core.profiling import segments as profiling
    from segmentation_pipeline.reporting import metadata

    promote = chosen_for_one_run(settings.model, promote=config.promote).promote
    diagnostics = lake.engine.to_pandas(lake.read(schema.K_DIAGNOSTICS))
    choice = _choice(diagnostics)
    sampled = _sampled(lake, choice.as_of, settings.model.sample_rows, settings.model.seed)
    continues = models.in_force() if models.digest() else None
    in_force = models.load(continues) if continues else None
    model = training.train(sampled, choice, settings.model, in_force, models.next_segment_id())
    compared = promotion.compare(model, in_force, sampled, settings.model.seed) if in_force else None
    agreement = compared.agreement if compared and promote == "if_better" else None

    def publish() -> dict[str, Any]:
        is_put_in_force, why = promotion.decision(compared, promote, settings.model.min_gain)
        version = models.save(model, diagnostics, why, continues)
        if is_put_in_force:
            models.put_in_force(version)
        return {
            "version": version,
            "promotion": why,
            "is_put_in_force": is_put_in_force,
            "as_of": choice.as_of.isoformat(),
            "segments": ", ".join(segment.name for segment in model.segments),
            "card": dg.MetadataValue.json(dict(model.card)),
            "preview": metadata.table_preview(model_table(model, version), rows=36),
        }

    return Candidate(profiling.with_quality(model, choice.as_of, choice.k, agreement), publish)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as problem:
        told = f"as_of: is no day, such as 2025-07-31 (given: {text!r})"
        raise ConfigurationError(f"The run's configuration cannot be used\n  {told}") from problem


def _choice(diagnostics: DataFrame) -> "Choice":
    import pandas as pd

    from segmentation_pipeline.core.clustering.training import Choice

    chosen = diagnostics[diagnostics["is_chosen"]].iloc[0]
    return Choice(
        pd.Timestamp(chosen["date"]).date(),
        tuple(str(chosen["features"]).split(", ")),
        chosen["algorithm"],
        int(chosen["k"]),
        str(chosen["reason"]),
    )


def _sampled(lake: Lake, as_of: date, rows: int, seed: int) -> DataFrame:
    from segmentation_pipeline.core.clustering import preprocessing
    from segmentation_pipeline.core.clustering.selection import NotEnoughCustomers

    features = lake.read(schema.RFM_FEATURES, [as_of])
    sampled = lake.engine.to_pandas(preprocessing.sample(features, rows, seed))
    if sampled.empty:
        raise NotEnoughCustomers(
            f"No customer has net spend on {as_of}, so there is nothing to segment. `segmentation check-source` shows whether "
            "rows are quarantined or lack a customer."
        )
    return sampled


def _last_day(lake: Lake) -> date:
    from segmentation_pipeline.resources.lake import MissingPartitions

    days = lake.days("rfm_features")
    if not days:
        raise MissingPartitions(
            "rfm_features has no day in the lake yet. Materialize one day of it, then fit the model."
        )
    return days[-1]
