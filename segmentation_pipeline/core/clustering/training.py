"""Training: from a sample of customers and a chosen k to a named model with its card.

Belongs here: putting fitting, naming, score cuts and components together.
Does not: choosing k (selection.py), storing versions (resources/model_store.py).
"""

import hashlib
from datetime import date
from importlib.metadata import version

import numpy as np
import pandas as pd

from segmentation_pipeline.core import naming
from segmentation_pipeline.core.clustering import selection, stability
from segmentation_pipeline.core.clustering.fitting import Clusters, Fitter
from segmentation_pipeline.core.clustering.preprocessing import Scaling, fit_scaling, score_cuts, transform
from segmentation_pipeline.core.clustering.scoring import RFM, Segment, SegmentationModel
from segmentation_pipeline.settings import Model

LIBRARIES = ("scikit-learn", "scipy", "numpy", "fastcluster", "pandas")


def train(sampled: pd.DataFrame, as_of: date, k: int, reason: str, settings: Model) -> SegmentationModel:
    """Fit, name and describe a model.

    Args:
        sampled: Customers with net spend, ordered by customer id; see `preprocessing.sample`.
        as_of: Day of their features.
        k: Number of segments.
        reason: Why this k, for the card.
        settings: Algorithm, features, seed and archetypes.

    Returns:
        A model that is the same for the same customers and settings. Segments are numbered by the worth of their
        typical customer, the most worth first.
    """
    scalings = fit_scaling(sampled, settings.features, settings.winsor_share)
    points = transform(sampled, scalings)
    fitter = Fitter(points, settings.algorithm, settings.seed, settings.restarts)
    clusters = fitter.fit(k)
    components, shares = principal_components(points)
    return SegmentationModel(
        scalings=tuple(scalings),
        segments=_named(clusters, scalings, settings),
        score_cuts={feature: tuple(score_cuts(sampled, feature)) for feature in RFM},
        components=components,
        component_shares=shares,
        card={
            "as_of": as_of.isoformat(),
            "algorithm": settings.algorithm,
            "k": len(clusters.centres),
            "reason": reason,
            "features": list(settings.features),
            "fitted_on_customers": len(sampled),
            "silhouette": selection.Silhouette(points, settings.seed).score(clusters.labels),
            "stability": stability.bootstrap_agreement(clusters, fitter),
            "inertia": clusters.inertia,
            "segment_shares": [float(share) for share in clusters.shares],
            "settings": settings.model_dump(mode="json", exclude={"archetypes"}),
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


def _named(clusters: Clusters, scalings: list[Scaling], settings: Model) -> tuple[Segment, ...]:
    columns = {scaling.feature: clusters.centres[:, place] for place, scaling in enumerate(scalings)}
    unknown = np.full(len(clusters.centres), np.nan)
    profile = np.column_stack([columns.get(feature, unknown) for feature in RFM])
    archetypes = naming.assign(profile, settings.archetypes)
    worth = np.nansum(profile * np.array([-1.0, 1.0, 1.0]), axis=1)
    return tuple(
        Segment(
            segment_id=number,
            name=archetypes[place].name,
            color=archetypes[place].color,
            recommendation=archetypes[place].recommendation,
            centre=tuple(float(value) for value in clusters.centres[place]),
        )
        for number, place in enumerate(np.argsort(-worth, kind="stable"), start=1)
    )
