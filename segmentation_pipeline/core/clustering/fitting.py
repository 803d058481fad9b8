"""Fitting: cluster centres of a sample, by a seeded algorithm that gives the same centres for the same input.

Belongs here: the algorithms behind one function. Does not: choosing k (selection.py), naming (core/naming.py).
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np

Algorithm = Literal["kmeans", "bisecting_kmeans", "ward", "gaussian_mixture"]

# Of a mixture's component, in standardised units: without a floor, one shrinks onto the many customers with one order.
LEAST_VARIANCE = 0.01


@dataclass(frozen=True)
class Clusters:
    """Centres (k, features), the nearest centre of each sampled customer, and the sum of squared distances to it.

    `bic` is the Bayesian information criterion (Schwarz 1978; lower is better) of an algorithm that has a likelihood.
    """

    centres: np.ndarray
    labels: np.ndarray
    inertia: float
    bic: float | None = None

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


@cache
def _threads() -> Any:
    """What limits the threads of numerical libraries; looking for these takes longer than fitting."""
    import sklearn.cluster  # noqa: F401, so that its libraries are found
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Fit without help of other threads, so that sums are taken in one order, whatever the machine's load.

    There are no warnings either of too few different points, or of a mixture that is still moving, on each of hundreds of
    fits: the indices show a poor one.
    """
    from sklearn.exceptions import ConvergenceWarning

    with _threads().limit(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


class Fitter:
    """Clusters one sample for any k; what does not depend on k is computed once.

    Args:
        points: (customers, features) standardised coordinates.
        algorithm: `kmeans` (Lloyd 1982, k-means++ starts of Arthur & Vassilvitskii 2007), `bisecting_kmeans` (Steinbach,
            Karypis & Kumar 2000), `ward` (Ward 1963, by fastcluster in memory proportional to the sample) or
            `gaussian_mixture` (Dempster, Laird & Rubin 1977, full covariances).
        seed: Of the starts.
        restarts: Starts of which the best is kept; a mixture has one, from k-means.
    """

    def __init__(self, points: np.ndarray, algorithm: Algorithm, seed: int, restarts: int) -> None:
        self.points = points
        self.algorithm = algorithm
        self.seed = seed
        self.restarts = restarts
        self._merges = self._linkage() if algorithm == "ward" else None

    def fit(self, k: int) -> Clusters:
        """Find k clusters, ordered by their centres so that label numbers do not depend on the start.

        Every customer belongs to its nearest centre, also after Ward or a mixture, for that is how the whole base is
        scored.
        """
        bic = None
        with one_thread_each():
            if self.algorithm == "kmeans":
                centres = self._kmeans_centres(k)
            elif self.algorithm == "bisecting_kmeans":
                centres = self._bisecting_centres(k)
            elif self.algorithm == "ward":
                centres = self._ward_centres(k)
            else:
                centres, bic = self._mixture_centres(k)
        centres = centres[np.lexsort(centres.T)]
        squared = squared_distances(self.points, centres)
        return Clusters(centres, squared.argmin(axis=1), float(squared.min(axis=1).sum()), bic)

    def _kmeans_centres(self, k: int) -> np.ndarray:
        from sklearn.cluster import KMeans

        model = KMeans(n_clusters=k, n_init=self.restarts, random_state=self.seed, tol=0, max_iter=1000)
        return np.asarray(model.fit(self.points).cluster_centers_)

    def _bisecting_centres(self, k: int) -> np.ndarray:
        from sklearn.cluster import BisectingKMeans

        k = min(k, len(np.unique(self.points, axis=0)))  # it fails on a cluster that cannot be split
        model = BisectingKMeans(n_clusters=k, n_init=self.restarts, random_state=self.seed)
        return np.asarray(model.fit(self.points).cluster_centers_)

    def _mixture_centres(self, k: int) -> tuple[np.ndarray, float]:
        from sklearn.mixture import GaussianMixture

        model = GaussianMixture(k, random_state=self.seed, reg_covar=LEAST_VARIANCE).fit(self.points)
        return np.asarray(model.means_), float(model.bic(self.points))

    def _linkage(self) -> np.ndarray:
        from fastcluster import linkage_vector

        return np.asarray(linkage_vector(self.points, method="ward"))

    def _ward_centres(self, k: int) -> np.ndarray:
        from scipy.cluster.hierarchy import fcluster

        labels = fcluster(self._merges, k, criterion="maxclust")
        return np.vstack([self.points[labels == label].mean(axis=0) for label in np.unique(labels)])
