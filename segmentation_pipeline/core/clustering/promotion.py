"""Promotion: whether a challenger is better than the model in force, and how far the two agree.

Belongs here: comparing two models on the same customers. Does not: floors that every model must pass (checks/suites),
swapping the model in force (resources/model_store.py).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from segmentation_pipeline.core.clustering.fitting import squared_distances
from segmentation_pipeline.core.clustering.preprocessing import transform
from segmentation_pipeline.core.clustering.scoring import SegmentationModel
from segmentation_pipeline.core.clustering.silhouette import silhouettes

Promote = Literal["if_better", "always", "never"]


@dataclass(frozen=True)
class Comparison:
    """Two models on the same customers.

    Attributes:
        agreement: Adjusted Rand index of their segments (Hubert & Arabie 1985): 1 is the same, 0 no more than by chance.
        moved_share: Share of the customers whose segment id differs, 0 to 1.
        silhouette: Mean silhouette of the challenger's segments, in the challenger's coordinates.
        silhouette_in_force: That of the model in force, in the same coordinates.
    """

    agreement: float
    moved_share: float
    silhouette: float
    silhouette_in_force: float

    def is_better_by(self, gain: float) -> bool:
        """Whether the challenger's segments are farther apart on the same customers, by more than a gain in silhouette."""
        return self.silhouette - self.silhouette_in_force > gain


def compare(challenger: SegmentationModel, in_force: SegmentationModel, sampled: pd.DataFrame, seed: int) -> Comparison:
    """Score the same customers by both models.

    Args:
        challenger: The new model.
        in_force: The one it may replace.
        sampled: The customers the challenger was fitted on, with the features of both.
        seed: Of the silhouette's sample.
    """
    from sklearn.metrics import adjusted_rand_score

    new, old = (segments_of(model, sampled).to_numpy() for model in (challenger, in_force))
    apart, apart_in_force = silhouettes(transform(sampled, challenger.scalings), [new, old], seed)
    return Comparison(
        agreement=float(adjusted_rand_score(old, new)),
        moved_share=float(np.mean(old != new)),
        silhouette=apart.mean,
        silhouette_in_force=apart_in_force.mean,
    )


def decision(comparison: Comparison | None, promote: Promote, min_gain: float) -> tuple[bool, str]:
    """Whether a challenger that passed its gate is put in force, and why, in one sentence."""
    if promote == "never":
        return False, "Kept and not put in force, as asked (promote: never)."
    if comparison is None:
        return True, "Put in force: there was no model before it."
    apart = f"silhouette {comparison.silhouette:.3f} against {comparison.silhouette_in_force:.3f} on the same customers"
    if promote == "always":
        return True, f"Put in force as asked (promote: always); {apart}."
    if comparison.is_better_by(min_gain):
        return True, f"Put in force: its segments are farther apart ({apart})."
    return False, f"Kept and not put in force: its segments are not farther apart by more than {min_gain:g} ({apart})."


def segments_of(model: SegmentationModel, customers: pd.DataFrame) -> pd.Series:
    """The segment id of each customer by the nearest centre, by customer id; all must have net spend."""
    places = squared_distances(transform(customers, model.scalings), model.centres).argmin(axis=1)
    ids = np.array([segment.segment_id for segment in model.segments])
    return pd.Series(ids[places], index=customers["customer_id"])
