"""Asset checks: each stage's profile is measured in the engine and judged by its suite, right after the stage.

Belongs here: which frame each suite judges. Does not: suites (suites.py), measuring (core/profiling.py), judging (judging.py).
"""

from collections.abc import Callable, Iterable
from datetime import date

import dagster as dg
import pandas as pd

from segmentation_pipeline.checks.judging import judge
from segmentation_pipeline.checks.suites import SUITES
from segmentation_pipeline.core import profiling, schema
from segmentation_pipeline.partitions import days_of_run
from segmentation_pipeline.resources.lake import Lake

Measured = Callable[[Lake, list[date]], pd.DataFrame]


def cleaning(lake: Lake, days: list[date]) -> pd.DataFrame:
    """Rows and money of each day: in the source, and accepted or quarantined."""
    return lake.engine.to_pandas(profiling.reconciliation(lake.read(schema.CLEANING_PROFILE, days)))


def features(lake: Lake, days: list[date]) -> pd.DataFrame:
    """Keys and ranges of each day's features."""
    return lake.engine.to_pandas(profiling.features_profile(lake.read(schema.RFM_FEATURES, days)))


def segments(lake: Lake, days: list[date]) -> pd.DataFrame:
    """Customers of each day, with features and with a segment."""
    scored, known = lake.read(schema.CUSTOMER_SEGMENTS, days), lake.read(schema.RFM_FEATURES, days)
    return lake.engine.to_pandas(profiling.segments_profile(scored, known))


def profiles(lake: Lake, days: list[date]) -> pd.DataFrame:
    """The profiles themselves, with the sum of each day's shares."""
    table = lake.engine.to_pandas(lake.read(schema.SEGMENT_PROFILES, days))
    return table.assign(day_customer_share=table.groupby("date")["customer_share"].transform("sum"))


def diagnostics(lake: Lake, _days: list[date]) -> pd.DataFrame:
    """The diagnostics themselves, with what the suite counts."""
    table = lake.engine.to_pandas(lake.read(schema.K_DIAGNOSTICS))
    finite = table["inertia"].where(table["inertia"].abs() < float("inf"))
    chosen = table["is_chosen"].astype(int)
    vetoed = chosen * (table["vetoes"] != "").astype(int)
    return table.assign(finite_inertia=finite, chosen=chosen, chosen_despite_vetoes=vetoed)


MEASURES: dict[str, Measured] = {
    "cleaning_profile": cleaning,
    "rfm_features": features,
    "customer_segments": segments,
    "segment_profiles": profiles,
    "k_diagnostics": diagnostics,
}


def checks_of(asset: str) -> dg.AssetChecksDefinition:
    """The asset checks of one stage; a critical one that fails stops what is downstream in the run.

    They judge the days of the run, or, executed alone from the UI, every day in the lake.
    """
    specs = [
        dg.AssetCheckSpec(each.name, asset=asset, description=each.why, blocking=each.severity == "critical")
        for each in SUITES[asset]
    ]

    @dg.multi_asset_check(name=f"{asset}_quality", specs=specs, can_subset=True)
    def judged(context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[Lake]) -> Iterable[dg.AssetCheckResult]:
        wanted = {key.name for key in context.op_execution_context.selected_asset_check_keys}
        suite = [each for each in SUITES[asset] if each.name in wanted]
        yield from judge(asset, suite, MEASURES[asset](lake, days_of_run(context.run.tags) or lake.days(asset)))

    return judged


ASSET_CHECKS = [checks_of(asset) for asset in SUITES]
