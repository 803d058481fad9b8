"""Suites: what must hold of each stage, built from the settings as plain data.

Belongs here: putting the stages' suites, the shop's own expectations and its severities together.
Does not: measuring (core/profiling/), judging (judging.py).
"""

from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches

from segmentation_pipeline.checks.expectations import Advice, Expectation, in_set
from segmentation_pipeline.checks.suites import features, own, segments, transactions
from segmentation_pipeline.checks.written import declared_columns
from segmentation_pipeline.settings import ConfigurationError, Settings

Suites = Mapping[str, tuple[Expectation, ...]]

DECLARED = {
    "raw_transactions": transactions.raw_transactions,
    "clean_transactions": transactions.clean_transactions,
    "customer_orders": features.customer_orders,
    "customer_returns": features.customer_returns,
    "rfm_features": features.rfm_features,
    "feature_exploration": segments.feature_exploration,
    "k_diagnostics": segments.k_diagnostics,
    "segmentation_model": segments.segmentation_model,
    "customer_segments": segments.customer_segments,
    "segment_migration": segments.segment_migration,
    "segment_drift": segments.segment_drift,
    "segment_profiles": segments.segment_profiles,
}


def suites(settings: Settings) -> dict[str, tuple[Expectation, ...]]:
    """The expectations of every stage, by asset.

    Raises:
        ConfigurationError: `quality` names a check, stage, type, column or argument that does not exist.
    """
    built = {stage: (_columns_are_declared(stage), *declared(settings)) for stage, declared in DECLARED.items()}
    for expectation in settings.quality.expectations:
        built[own.stage_of(expectation)] += (own.expectation(expectation, built[expectation.stage]),)
    return _with_severities(built, settings)


def _columns_are_declared(stage: str) -> Expectation:
    return in_set(
        "columns_are_as_declared",
        "columns",
        [declared_columns(stage)],
        Advice(
            "Whoever reads the table relies on its columns and their types.",
            "The pipeline was changed, or mixed with another version: install one version, and materialize the day again.",
        ),
    )


def _with_severities(built: Suites, settings: Settings) -> dict[str, tuple[Expectation, ...]]:
    wanted = dict(settings.quality.severities)
    changed = {
        stage: tuple(replace(each, severity=wanted.pop(f"{stage}.{each.name}", each.severity)) for each in expectations)
        for stage, expectations in built.items()
    }
    if wanted:
        known = [f"{stage}.{each.name}" for stage, expectations in built.items() for each in expectations]
        unknown = next(iter(wanted))
        close = get_close_matches(unknown, known, n=1)
        raise ConfigurationError(
            f"quality.severities: there is no check {unknown}{f'; did you mean {close[0]}?' if close else ''} "
            "docs/data-quality.md lists them all."
        )
    return changed
