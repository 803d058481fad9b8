"""Settings of the model and of what is compared with it: migration and drift.

Belongs here: their sections. Does not: archetypes (archetypes.py), the other sections (shop.py, quality.py).
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from segmentation_pipeline.settings.archetypes import DEFAULT_ARCHETYPES, Archetype
from segmentation_pipeline.settings.section import Section, Share

Feature = Literal[
    "recency_days",
    "frequency",
    "monetary",
    "tenure_days",
    "mean_days_between_orders",
    "average_order_value",
    "items_per_order",
    "distinct_products",
    "return_rate",
    "recent_revenue_share",
]


class Model(Section):
    """How clusters are found, how many, and what the segments are called."""

    features: tuple[Feature, ...] = ("recency_days", "frequency", "monetary")
    """Features that take part in clustering."""
    algorithm: Literal["kmeans", "bisecting_kmeans", "ward", "gaussian_mixture"] = "kmeans"
    """Algorithm of the model; the others are shown for comparison."""
    min_k: Annotated[int, Field(ge=2)] = 2
    """Smallest number of segments tried."""
    max_k: Annotated[int, Field(le=12)] = 8
    """Largest number of segments tried."""
    k: Annotated[int, Field(ge=2, le=12)] | None = Field(None, description="Overrides the policy's choice.")
    sample_rows: Annotated[int, Field(ge=100)] = Field(20_000, description="Customers scikit-learn sees at most.")
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42
    """Of the sample and the starts of k-means."""
    restarts: Annotated[int, Field(ge=1)] = 10
    """Starts of k-means, of which the best is kept."""
    winsor_share: Annotated[float, Field(ge=0, lt=0.25)] = Field(0.005, description="Cut at each end before scaling.")
    min_segment_share: Share = Field(0.02, description="A k with a smaller segment is vetoed.")
    min_silhouette: Annotated[float, Field(ge=-1, le=1)] = Field(0.25, description="A k below it is vetoed.")
    min_stability: Share = Field(
        0.5,
        description="Mean adjusted Rand index with clusters of bootstrap samples: a k below it is vetoed, a model not put "
        "in force.",
    )
    max_centre_shift: Annotated[float, Field(gt=0)] = Field(
        1.0,
        description="A refitted segment farther than this from the one it continues, in standard deviations, is new.",
    )
    min_agreement: Share = Field(
        0.7,
        description="Adjusted Rand index with the model in force on the same customers: a model below it is not put in "
        "force, unless promote says always.",
    )
    min_gain: Annotated[float, Field(ge=0, le=2)] = Field(
        0.005, description="By how much the silhouette must rise for a refitted model to be better."
    )
    promote: Literal["if_better", "always", "never"] = Field(
        "if_better",
        description="Whether a refitted model that passes its checks is put in force; the launchpad can say otherwise.",
    )
    diagnostics_rows: Annotated[int, Field(ge=100, le=10_000)] = Field(
        5_000, description="Customers on which algorithms and numbers of segments are compared, at most."
    )
    archetypes: tuple[Archetype, ...] = DEFAULT_ARCHETYPES
    """Names segments can get, general ones first: name, color, action, and standardised recency, frequency, monetary."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.min_k > self.max_k:
            raise ValueError(f"min_k ({self.min_k}) is above max_k ({self.max_k})")
        if len({archetype.name for archetype in self.archetypes}) != len(self.archetypes):
            raise ValueError("archetypes: every name may be given once")
        if len(self.archetypes) < max(self.max_k, self.k or 0):
            raise ValueError(f"archetypes: {len(self.archetypes)} names do not cover max_k = {self.max_k} segments")
        if not self.features or len(set(self.features)) != len(self.features):
            raise ValueError("features: give each at most once, and at least one")
        return self


class Migration(Section):
    """What the segments of a day are compared with."""

    days: Annotated[int, Field(ge=1, le=3650)] = Field(30, description="How many days back the earlier day is.")
    inactive_days: Annotated[int, Field(ge=1, le=3650)] = Field(
        180,
        description="A customer whose last kept order is longer ago, or who has none, is inactive: lost, or reactivated "
        "by the next one.",
    )


class Drift(Section):
    """From which population stability index on customers count as changed since the model was fitted."""

    warn: Annotated[float, Field(gt=0)] = Field(0.10, description="From here on a day is shown as drifting.")
    act: Annotated[float, Field(gt=0)] = Field(0.25, description="From here on the model should be fitted anew.")
    min_customers: Annotated[int, Field(ge=1)] = Field(
        500, description="With fewer customers, drift is shown and not judged: the index is above zero by chance."
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.warn > self.act:
            raise ValueError(f"warn ({self.warn:g}) is above act ({self.act:g})")
        return self
