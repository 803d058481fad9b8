"""Silhouettes: how much nearer customers are to their own cluster than to the next.

Belongs here: the index, of any number of clusterings of one sample at once. Does not: the other indices (diagnostics.py),
weighing them (selection.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segmentation_pipeline.core.clustering.fitting import one_thread_each

CUSTOMERS = 5_000
ROWS_AT_ONCE = 500
NOTHING_TO_COMPARE = -1.0


@dataclass(frozen=True)
class Silhouette:
    """The silhouette of each customer that takes part, from -1 to 1, and the label each has."""

    of_each: np.ndarray
    labels: np.ndarray

    @property
    def mean(self) -> float:
        """That of all customers; -1 where fewer than two clusters, or only clusters of one, are left."""
        return float(self.of_each.mean())

    def by_cluster(self, k: int) -> list[float]:
        """The mean of each of the clusters 0 to k - 1; -1 where one is empty."""
        members = (self.labels == label for label in range(k))
        return [float(self.of_each[each].mean()) if each.any() else NOTHING_TO_COMPARE for each in members]


def silhouettes(points: np.ndarray, labelings: Sequence[np.ndarray], seed: int) -> list[Silhouette]:
    """The silhouette of each clustering of a sample.

    Distances are computed once for all of them, some rows at a time, and summed up by cluster as one product of matrices:
    scikit-learn's `silhouette_samples`, which takes one clustering and all distances, takes many times as long.

    Args:
        points: (customers, features) standardised coordinates; at most 5,000 of them, drawn with the seed, take part.
        labelings: For each clustering, the (customers,) labels, whole numbers.
        seed: Of the draw.

    Returns:
        One for each of `labelings`, in their order.

    Source: Rousseeuw (1987), Silhouettes: a graphical aid to the interpretation and validation of cluster analysis,
        J. Comput. Appl. Math. 20, 53-65.
    """
    chosen = _some(len(points), seed)
    clusters = [np.unique(labels[chosen], return_inverse=True, return_counts=True) for labels in labelings]
    members = [np.eye(len(sizes))[places] for _found, places, sizes in clusters]
    sums = _distances_to(points[chosen], np.hstack(members))
    parts = np.split(sums, np.cumsum([each.shape[1] for each in members])[:-1], axis=1)
    return [
        Silhouette(_of_each(part, places, sizes), labels[chosen])
        for part, (_found, places, sizes), labels in zip(parts, clusters, labelings, strict=True)
    ]


def _distances_to(points: np.ndarray, members: np.ndarray) -> np.ndarray:
    """(points, clusters) sum of the distances from each point to all members of each cluster, which are told by ones."""
    from scipy.spatial.distance import cdist

    with one_thread_each():
        starts = range(0, len(points), ROWS_AT_ONCE)
        return np.vstack([cdist(points[start : start + ROWS_AT_ONCE], points) @ members for start in starts])


def _of_each(sums: np.ndarray, places: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """From the sums of distances to each cluster, the cluster each customer is in, and the clusters' sizes."""
    if not 2 <= len(sizes) < len(places):
        return np.full(len(places), NOTHING_TO_COMPARE)
    own = np.arange(len(places)), places
    within = sums[own] / np.maximum(sizes[places] - 1, 1)
    means = sums / sizes
    means[own] = np.inf
    to_next = means.min(axis=1)
    larger = np.maximum(within, to_next)
    scores = np.divide(to_next - within, larger, out=np.zeros(len(places)), where=larger > 0)
    return np.where(sizes[places] > 1, scores, 0.0)  # a cluster of one is neither well nor badly placed


def _some(size: int, seed: int) -> np.ndarray:
    """Places of at most `CUSTOMERS` of them, drawn with the seed, in order."""
    if size <= CUSTOMERS:
        return np.arange(size)
    return np.sort(np.random.default_rng(seed).choice(size, CUSTOMERS, replace=False))
