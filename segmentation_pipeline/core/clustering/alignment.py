"""Alignment: which segments of a new model are those of the model in force, so that identities outlive a refit.

Belongs here: matching centres, giving out ids. Does not: naming (core/naming.py), whether a model replaces another
(promotion.py).
"""

from collections.abc import Sequence

import numpy as np

from segmentation_pipeline.core.clustering.fitting import squared_distances
from segmentation_pipeline.core.clustering.preprocessing import Scaling
from segmentation_pipeline.core.clustering.scoring import SegmentationModel


def identities(
    centres: np.ndarray,
    scalings: Sequence[Scaling],
    in_force: SegmentationModel | None,
    next_id: int,
    farthest: float,
) -> list[int]:
    """The id of each new centre: that of the segment it continues, or a new one.

    Centres are compared in the coordinates of the model in force, along the features that both models know, and paired
    so that the distances add up to the least. Centres farther apart than the cut-off are different segments, and how much
    farther makes no difference to the pairs.

    Args:
        centres: (k, features) new centres in their own standardised coordinates, in the order new ids are given out.
        scalings: The new model's, one for each feature.
        in_force: The model to continue; None for the first one.
        next_id: The first id that was never given out.
        farthest: Distance of a centre from the one it continues, at most, in standard deviations.

    Returns:
        One id for each row of `centres`.

    Source: assignment by Kuhn (1955), as in `scipy.optimize.linear_sum_assignment`.
    """
    from scipy.optimize import linear_sum_assignment

    continued: dict[int, int] = {}
    if in_force is not None:
        own, others = _comparable(centres, scalings, in_force)
        if own.shape[1]:
            distances = np.sqrt(squared_distances(own, others))
            pairs = zip(*linear_sum_assignment(np.minimum(distances, farthest)), strict=True)
            continued = {
                int(place): in_force.segments[other].segment_id
                for place, other in pairs
                if distances[place, other] <= farthest
            }
    fresh = iter(range(next_id, next_id + len(centres)))
    return [continued[place] if place in continued else next(fresh) for place in range(len(centres))]


def _comparable(
    centres: np.ndarray, scalings: Sequence[Scaling], in_force: SegmentationModel
) -> tuple[np.ndarray, np.ndarray]:
    """Both models' centres in the coordinates of the one in force, along the features that both know."""
    known = {scaling.feature: (place, scaling) for place, scaling in enumerate(in_force.scalings)}
    shared = [(place, each, *known[each.feature]) for place, each in enumerate(scalings) if each.feature in known]
    own = [(centres[:, place] * each.scale + each.mean - old.mean) / old.scale for place, each, _, old in shared]
    others = [in_force.centres[:, place] for _, _, place, _ in shared]
    return np.array(own).T.reshape(len(centres), len(shared)), np.array(others).T.reshape(
        len(in_force.segments), len(shared)
    )
