"""Diagnostics: every algorithm and number of clusters side by side, measured by every index.

Belongs here: the sweep and its indices. Does not: votes, vetoes and the choice (selection.py), fitting (fitting.py).
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, get_args

import numpy as np

from segmentation_pipeline.core.clustering.fitting import Algorithm, Clusters, Fitter, one_thread_each
from segmentation_pipeline.core.clustering.gap import Gap, first_sufficient, gap_statistic
from segmentation_pipeline.core.clustering.stability import Resampled

ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)
SILHOUETTE_CUSTOMERS = 5_000
# Of each clustering again: enough to tell one k from the next, and quick.
BOOTSTRAP_CUSTOMERS = 1_000
BOOTSTRAP_ROUNDS = 10
AT_ONCE = 2


def sweep(
    points: np.ndarray, ks: Sequence[int], algorithm: Algorithm, seed: int, restarts: int
) -> list[dict[str, Any]]:
    """Fit and measure every algorithm with every k.

    Args:
        points: (customers, features) standardised sample.
        ks: Numbers of clusters, in order, each at most the number of different points.
        algorithm: The one that the others are compared with.
        seed: Of the algorithms' starts, of the bootstrap and of smaller samples.
        restarts: Starts of k-means.

    Returns:
        One record per algorithm and k, with the columns of `schema.K_DIAGNOSTICS` that are measured, and
        `sufficient_by_gap`, the k that the gap statistic finds for the algorithm, 1 and none included.
    """
    silhouette = Silhouette(points, seed)
    fitters = {name: Fitter(points, name, seed, restarts) for name in ALGORITHMS}
    compared_with = {k: fitters[algorithm].fit(k) for k in ks}

    def measured(name: Algorithm) -> list[dict[str, Any]]:
        resampled = Resampled(fitters[name], BOOTSTRAP_ROUNDS, BOOTSTRAP_CUSTOMERS)
        gaps = _gaps(points, ks, name, seed)
        fits = compared_with if name == algorithm else {k: fitters[name].fit(k) for k in ks}
        return [
            {"algorithm": name, "k": k, "agreement": _agreement(fits[k], compared_with[k])}
            | _measured(points, fits[k], silhouette, resampled)
            | _gap_of(gaps, k)
            | {"sufficient_by_gap": first_sufficient(list(gaps.values()))}
            for k in ks
        ]

    # Two algorithms at a time, as none needs another's fits; with more, Python's lock costs what the processors gain. What
    # each fit limits is limited for all of them meanwhile: the first to end would otherwise lift it for the others.
    with one_thread_each(), ThreadPoolExecutor(AT_ONCE) as pool:
        return [record for records in pool.map(measured, ALGORITHMS) for record in records]


class Silhouette:
    """Silhouettes (Rousseeuw 1987) of any labels of one sample; the distances are computed once.

    Args:
        points: (customers, features) standardised coordinates; at most 5,000 of them, drawn with the seed, take part.
        seed: Of the draw.
    """

    def __init__(self, points: np.ndarray, seed: int) -> None:
        from sklearn.metrics import pairwise_distances

        self._chosen = _some(len(points), SILHOUETTE_CUSTOMERS, seed)
        self._distances = pairwise_distances(points[self._chosen])

    def score(self, labels: np.ndarray) -> float:
        """The mean silhouette; -1 where fewer than two clusters, or only clusters of one, are left."""
        return self.scores(labels, 0)[0]

    def scores(self, labels: np.ndarray, k: int) -> tuple[float, list[float]]:
        """The mean silhouette of all customers, and of each of k clusters, -1 where one is empty."""
        chosen = labels[self._chosen]
        of_each = self._of_each(chosen)
        by_cluster = [chosen == label for label in range(k)]
        return float(of_each.mean()), [float(of_each[each].mean()) if each.any() else -1.0 for each in by_cluster]

    def _of_each(self, chosen: np.ndarray) -> np.ndarray:
        from sklearn.metrics import silhouette_samples

        if not 2 <= len(np.unique(chosen)) < len(chosen):
            return np.full(len(chosen), -1.0)
        return np.asarray(silhouette_samples(self._distances, chosen, metric="precomputed"))


def _measured(points: np.ndarray, clusters: Clusters, silhouette: Silhouette, resampled: Resampled) -> dict[str, Any]:
    from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score

    stability = resampled.stability(clusters)
    mean_silhouette, by_cluster = silhouette.scores(clusters.labels, len(clusters.centres))
    is_apart = 2 <= len(np.unique(clusters.labels)) < len(points)
    return {
        "inertia": clusters.inertia,
        "silhouette": mean_silhouette,
        "cluster_silhouettes": by_cluster,
        "least_silhouette": min(by_cluster),
        "calinski_harabasz": float(calinski_harabasz_score(points, clusters.labels)) if is_apart else None,
        "davies_bouldin": float(davies_bouldin_score(points, clusters.labels)) if is_apart else None,
        "bic": clusters.bic,
        "stability": stability.agreement,
        "cluster_jaccards": list(stability.jaccards),
        "least_jaccard": min(stability.jaccards),
        "cluster_shares": clusters.shares.tolist(),
        "smallest_share": float(clusters.shares.min()),
    }


def _gaps(points: np.ndarray, ks: Sequence[int], algorithm: Algorithm, seed: int) -> dict[int, Gap]:
    """The gap of every k from 1 to the largest; none of a mixture, which does not minimise the dispersion it is made of."""
    if algorithm == "gaussian_mixture":
        return {}
    every = range(1, max(ks) + 1)
    return {each.k: each for each in gap_statistic(points, every, lambda of: Fitter(of, algorithm, seed, 1), seed)}


def _gap_of(gaps: Mapping[int, Gap], k: int) -> dict[str, float | None]:
    found = gaps.get(k)
    return {"gap": found.gap if found else None, "gap_standard_error": found.standard_error if found else None}


def _agreement(clusters: Clusters, others: Clusters) -> float:
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(clusters.labels, others.labels))


def _some(size: int, most: int, seed: int) -> np.ndarray:
    """Places of at most so many customers, drawn with the seed, in order."""
    if size <= most:
        return np.arange(size)
    return np.sort(np.random.default_rng(seed).choice(size, most, replace=False))
