"""Training: from a sample of customers and a chosen k to a named model with its card.

Belongs here: putting fitting, naming, score cuts and components together.
Does not: choosing k (selection.py), storing versions (resources/model_store.py).
"""

import hashlib
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version

import numpy as np
import pandas as pd

from segmentation_pipeline.core import drift, naming
from segmentation_pipeline.core.clustering import alignment
from segmentation_pipeline.core.clustering.fitting import Algorithm, Clusters, Fitter, squared_distances
from segmentation_pipeline.core.clustering.preprocessing import Scaling, fit_scaling, score_cuts, transform
from segmentation_pipeline.core.clustering.scoring import RFM, Segment, SegmentationModel
from segmentation_pipeline.core.clustering.silhouette import silhouettes
from segmentation_pipeline.core.clustering.stability import bootstrap_stability
from segmentation_pipeline.settings import Model

LIBRARIES = ("scikit-learn", "scipy", "numpy", "fastcluster", "pandas")
CHOSEN_BY_THE_RUN = {"archetypes", "algorithm", "k", "features", "promote"}


@dataclass(frozen=True)
class Choice:
    """What is fitted: the day of the features, the features that take part, the algorithm, k, and why."""

    as_of: date
    features: tuple[str, ...]
    algorithm: Algorithm
    k: int
    reason: str


def train(
    sampled: pd.DataFrame,
    choice: Choice,
    settings: Model,
    in_force: SegmentationModel | None = None,
    next_id: int = 1,
) -> SegmentationModel:
    """Fit, name and describe a model.

    Args:
        sampled: Customers with net spend, ordered by customer id; see `preprocessing.sample`.
        choice: What was chosen.
        settings: Seed, restarts, cuts, archetypes.
        in_force: The model whose segments keep their ids where they are found again; None for the first one.
        next_id: The first segment id that was never given out.

    Returns:
        A model that is the same for the same arguments. New ids are given out by the worth of the typical customer,
        the most worth first.
    """
    scalings = fit_scaling(sampled, choice.features, settings.winsor_share)
    points = transform(sampled, scalings)
    fitter = Fitter(points, choice.algorithm, settings.seed, settings.restarts)
    clusters = fitter.fit(choice.k)
    components, shares = principal_components(points)
    described_by = fit_scaling(sampled, RFM, settings.winsor_share)
    profile = _typical(transform(sampled, described_by), clusters)
    segments = _named(clusters, scalings, profile, settings, in_force, next_id)
    ids = np.array([segment.segment_id for segment in segments])
    labels = ids[squared_distances(points, np.array([segment.centre for segment in segments])).argmin(axis=1)]
    bins = [drift.reference(sampled[feature].to_numpy(dtype=float), feature) for feature in choice.features]
    stability = bootstrap_stability(clusters, fitter)
    return SegmentationModel(
        scalings=tuple(scalings),
        segments=segments,
        score_cuts={feature: tuple(score_cuts(sampled, feature)) for feature in RFM},
        components=components,
        component_shares=shares,
        described_by=tuple(described_by),
        reference=(*sum(bins, ()), *drift.reference_of_segments(labels)),
        card={
            "as_of": choice.as_of.isoformat(),
            "algorithm": choice.algorithm,
            "k": len(clusters.centres),
            "reason": choice.reason,
            "features": list(choice.features),
            "fitted_on_customers": len(sampled),
            "first_order": min(sampled["first_order_date"]).date().isoformat(),
            "silhouette": silhouettes(points, [clusters.labels], settings.seed)[0].mean,
            "stability": stability.agreement,
            "least_jaccard": min(stability.jaccards),
            "inertia": clusters.inertia,
            "segments": {segment.name: float((labels == segment.segment_id).mean()) for segment in segments},
            "settings": settings.model_dump(mode="json", exclude=CHOSEN_BY_THE_RUN),
            "libraries": {name: version(name) for name in LIBRARIES},
            "sample_sha256": hashlib.sha256(
                pd.util.hash_pandas_object(sampled, index=False).to_numpy().tobytes()
            ).hexdigest(),
        },
    )


def principal_components(points: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
    """The two directions of the largest spread and their shares of the variance; their largest entry is positive.

    With one feature the second direction is null.

    Source: Pearson (1901); by singular value decomposition.
    """
    centred = points - points.mean(axis=0)
    __, strengths, directions = np.linalg.svd(centred, full_matrices=False)
    total = float((strengths**2).sum()) or 1.0
    found = np.zeros((2, points.shape[1]))
    found[: len(directions[:2])] = directions[:2]
    signs = np.sign(found[np.arange(2), np.abs(found).argmax(axis=1)])
    shares = [*(strengths**2 / total), 0.0]
    return found * np.where(signs == 0, 1, signs)[:, None], (float(shares[0]), float(shares[1]))


def _typical(places: np.ndarray, clusters: Clusters) -> np.ndarray:
    """(k, 3) mean recency, frequency and monetary of each cluster's customers, standardised, whatever was clustered by.

    A cluster that is nobody's nearest is at the average customer.
    """
    members = [places[clusters.labels == label] for label in range(len(clusters.centres))]
    return np.array([each.mean(axis=0) if len(each) else np.zeros(len(RFM)) for each in members])


def _named(
    clusters: Clusters,
    scalings: list[Scaling],
    profile: np.ndarray,
    settings: Model,
    in_force: SegmentationModel | None,
    next_id: int,
) -> tuple[Segment, ...]:
    """The clusters as segments, by id."""
    archetypes = naming.assign(profile, settings.archetypes)
    worth = (profile * np.array([-1.0, 1.0, 1.0])).sum(axis=1)
    places = np.argsort(-worth, kind="stable")
    ids = alignment.identities(clusters.centres[places], scalings, in_force, next_id, settings.max_centre_shift)
    segments = [
        Segment(
            segment_id=number,
            name=archetypes[place].name,
            color=archetypes[place].color,
            action=archetypes[place].action,
            centre=tuple(float(value) for value in clusters.centres[place]),
        )
        for number, place in zip(ids, places, strict=True)
    ]
    return tuple(sorted(segments, key=lambda segment: segment.segment_id))
