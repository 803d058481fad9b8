"""Stability: whether the same clusters come back when the customers are drawn again.

Belongs here: bootstrap agreement of a clustering with itself, as a whole and cluster by cluster.
Does not: judging it (checks/), fitting (fitting.py).
"""

from dataclasses import dataclass

import numpy as np

from segmentation_pipeline.core.clustering.fitting import Clusters, Fitter

ROUNDS = 20
CUSTOMERS = {"kmeans": 5_000, "bisecting_kmeans": 5_000, "ward": 2_000, "gaussian_mixture": 2_000}
RESTARTS = 3


@dataclass(frozen=True)
class Stability:
    """How much of a clustering comes back: of the whole, at most 1, and of each cluster, in the order of its centres.

    `agreement` is the mean adjusted Rand index: 1 is the same clusters every time, 0 no more than by chance.
    `jaccards` are shares, 0 to 1, of customers shared with the most similar cluster, on average. Hennig reads 0.75 as a
    stable cluster, 0.6 as a pattern whose members are doubtful, and 0.5 or less as a dissolved one.
    """

    agreement: float
    jaccards: tuple[float, ...]


def bootstrap_stability(
    clusters: Clusters, fitter: Fitter, rounds: int = ROUNDS, customers: int | None = None
) -> Stability:
    """Compare a clustering with those of bootstrap samples; see `Resampled`."""
    return Resampled(fitter, rounds, customers).stability(clusters)


class Resampled:
    """Bootstrap samples of one fitter's points, to compare its clusterings of any k with.

    Each round draws as many customers with replacement (a bounded number), clusters them anew, and compares where both
    sets of centres put all customers, drawn or not, for that is how the whole base is scored. (Hennig compares the
    drawn only.)

    Args:
        fitter: Algorithm, seed and points.
        rounds: How many samples, at least 1.
        customers: Bound on the size of a sample; by default that of the algorithm.

    Raises:
        ValueError: `rounds` or `customers` is below 1.

    Source: Hubert & Arabie (1985) for the index; Hennig (2007), Cluster-wise assessment of cluster stability, Comput.
        Stat. Data Anal. 52, 258-271, for the bootstrap and the mean of maximal Jaccard coefficients.
    """

    def __init__(self, fitter: Fitter, rounds: int = ROUNDS, customers: int | None = None) -> None:
        size = min(len(fitter.points), CUSTOMERS[fitter.algorithm] if customers is None else customers)
        if rounds < 1 or size < 1:
            raise ValueError(f"Stability needs a round and a customer: {rounds} rounds of {size} customers.")
        draw = np.random.default_rng(fitter.seed)
        self._points = fitter.points
        self._again = [
            Fitter(sampled, fitter.algorithm, fitter.seed, RESTARTS)
            for sampled in (fitter.points[draw.integers(0, len(fitter.points), size)] for _round in range(rounds))
        ]

    def stability(self, clusters: Clusters) -> Stability:
        """How much of a clustering of the fitter's points comes back."""
        from sklearn.metrics import adjusted_rand_score

        k = len(clusters.centres)
        found = [again.fit(k).nearest(self._points) for again in self._again]
        agreements = [adjusted_rand_score(clusters.labels, labels) for labels in found]
        jaccards = [maximal_jaccards(clusters.labels, labels, k) for labels in found]
        return Stability(float(np.mean(agreements)), tuple(float(mean) for mean in np.mean(jaccards, axis=0)))


def maximal_jaccards(labels: np.ndarray, others: np.ndarray, k: int) -> np.ndarray:
    """(k,) Jaccard coefficient of each cluster with the most similar cluster of another clustering; 0 if it is empty.

    Args:
        labels: (customers,) whole numbers below k, the clusters in question.
        others: (customers,) whole numbers from 0, any number of clusters, of the same customers in the same order.
        k: Number of clusters in question.

    Source: Jaccard (1901), Hennig (2007).
    """
    width = int(others.max()) + 1
    shared = np.bincount(labels * width + others, minlength=k * width).reshape(k, width)
    either = shared.sum(axis=1, keepdims=True) + shared.sum(axis=0) - shared
    return np.asarray((shared / np.maximum(either, 1)).max(axis=1))  # two empty clusters share nothing, not 0 / 0
