"""Fitting: cluster centres of a sample, by a seeded algorithm that gives the same centres for the same input.

Belongs here: the algorithms behind one function. Does not: choosing k (selection.py), naming (core/naming.py).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

Algorithm = Literal["kmeans", "ward"]


@dataclass(frozen=True)
class Clusters:
    """Centres (k, features), the nearest centre of each sampled customer, and the sum of squared distances to it."""

    centres: np.ndarray
    labels: np.ndarray
    inertia: float

    @property
    def shares(self) -> np.ndarray:
        """Share of the customers at each centre, 0 to 1."""
        return np.bincount(self.labels, minlength=len(self.centres)) / len(self.labels)

    def nearest(self, points: np.ndarray) -> np.ndarray:
        """The number of the nearest centre of each of (customers, features) points."""
        return np.asarray(squared_distances(points, self.centres).argmin(axis=1))


def squared_distances(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """(points, centres) squared Euclidean distances."""
    return np.asarray(((points[:, None, :] - centres[None, :, :]) ** 2).sum(axis=2))


class Fitter:
    """Clusters one sample for any k; what does not depend on k is computed once.

    Args:
        points: (customers, features) standardised coordinates.
        algorithm: `kmeans` (Lloyd 1982, k-means++ starts of Arthur & Vassilvitskii 2007) or `ward` (Ward 1963, by
            fastcluster in memory proportional to the sample).
        seed: Of the starts.
        restarts: Starts of which the best is kept.
    """

    def __init__(self, points: np.ndarray, algorithm: Algorithm, seed: int, restarts: int) -> None:
        self.points = points
        self.algorithm = algorithm
        self.seed = seed
        self.restarts = restarts
        self._merges = self._linkage() if algorithm == "ward" else None

    def fit(self, k: int) -> Clusters:
        """Find k clusters, ordered by their centres so that label numbers do not depend on the start.

        Every customer belongs to its nearest centre, also after Ward, for that is how the whole base is scored.
        """
        centres = self._ward_centres(k) if self._merges is not None else self._kmeans_centres(k)
        centres = centres[np.lexsort(centres.T)]
        squared = squared_distances(self.points, centres)
        return Clusters(centres, squared.argmin(axis=1), float(squared.min(axis=1).sum()))

    def _kmeans_centres(self, k: int) -> np.ndarray:
        from sklearn.cluster import KMeans
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1):  # sums in one order, so that the last bit does not depend on the machine's load
            model = KMeans(n_clusters=k, n_init=self.restarts, random_state=self.seed, tol=0, max_iter=1000).fit(
                self.points
            )
        return np.asarray(model.cluster_centers_)

    def _linkage(self) -> np.ndarray:
        from fastcluster import linkage_vector

        return np.asarray(linkage_vector(self.points, method="ward"))

    def _ward_centres(self, k: int) -> np.ndarray:
        from scipy.cluster.hierarchy import fcluster

        labels = fcluster(self._merges, k, criterion="maxclust")
        return np.vstack([self.points[labels == label].mean(axis=0) for label in np.unique(labels)])
