"""Dependencies: which days of which tables each asset reads, said once.

Dagster's graph with its partition mappings, the digests that tell what is stale and what a gate reads to check are derived from
this. A test compares it with what each asset reads when it runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from segmentation_pipeline.settings import Settings

WITHOUT_DAYS = frozenset({"k_diagnostics", "segmentation_model"})
# Of as-of days: a run brings up to date that of its last day, and earlier ones only when asked to.
SNAPSHOTS = frozenset(
    {
        "rfm_features",
        "feature_exploration",
        "customer_segments",
        "segment_migration",
        "segment_drift",
        "segment_profiles",
    }
)

# Days back that reach every day there is.
WHOLE_HISTORY = 36_500
DRIFT_DAYS_SHOWN = 90

Use = Literal["rows", "checks", "shortcut", "delta"]


@dataclass(frozen=True)
class Dependency:
    """What an asset reads of another one.

    Attributes:
        asset: The one that is read.
        earliest: How many days before its own day an asset begins to read.
        latest: How many days before its own day it ends to read.
        use: What for. `rows`: they shape the rows, so a change makes them stale. `checks`: only the gate compares with them.
            `shortcut`: where they are fresh they are read, and elsewhere computed anew to the same rows. `delta`: the newest
            day that was exported before; what was delivered then is not made wrong by a later change.
    """

    asset: str
    earliest: int = 0
    latest: int = 0
    use: Use = "rows"

    @property
    def is_same_day(self) -> bool:
        """Whether each day needs its own day alone."""
        return self.earliest == self.latest == 0


def dependencies(settings: Settings) -> Mapping[str, tuple[Dependency, ...]]:
    """What each asset reads, by asset, in the order the data flows.

    Left out are an asset's own earlier days, and the quality report, which reads what was found of every checked asset
    (assets/quality.py).
    """
    orders_and_returns = (Dependency("customer_orders", WHOLE_HISTORY), Dependency("customer_returns", WHOLE_HISTORY))
    model = Dependency("segmentation_model")
    features, segments = Dependency("rfm_features"), Dependency("customer_segments")
    migration_days = settings.migration.days
    return {
        "raw_transactions": (),
        "clean_transactions": (Dependency("raw_transactions"),),
        "quarantined_transactions": (Dependency("raw_transactions"),),
        "customer_orders": (Dependency("clean_transactions"),),
        "customer_returns": (
            Dependency("clean_transactions", settings.rfm.return_window_days),
            Dependency("customer_orders", use="checks"),
        ),
        "rfm_features": orders_and_returns,
        "feature_exploration": (features,),
        "k_diagnostics": (Dependency("rfm_features", WHOLE_HISTORY),),
        "segmentation_model": (Dependency("k_diagnostics"), Dependency("rfm_features", WHOLE_HISTORY)),
        "customer_segments": (features, model),
        "segment_migration": (
            segments,
            *orders_and_returns,
            model,
            Dependency("rfm_features", migration_days, migration_days, use="shortcut"),
        ),
        "segment_drift": (features, segments, model),
        "segment_profiles": (features, segments, Dependency("segment_migration"), model),
        "segment_report": (
            Dependency("clean_transactions", WHOLE_HISTORY),
            features,
            Dependency("feature_exploration"),
            segments,
            Dependency("segment_migration"),
            Dependency("segment_drift", DRIFT_DAYS_SHOWN),
            Dependency("segment_profiles"),
            model,
        ),
        "published_segments": (segments,),
        "segment_export": (segments, Dependency("customer_segments", WHOLE_HISTORY, 1, use="delta"), model),
    }
