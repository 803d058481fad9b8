"""Diagnostics: every algorithm and number of clusters side by side, measured by every index.

Belongs here: the sweep and its indices. Does not: votes, vetoes and the choice (selection.py), fitting (fitting.py).
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, get_args

import numpy as np

from segmentation_pipeline.core.clustering.fitting import Algorithm, Clusters, Fitter, one_thread_each
from segmentation_pipeline.core.clustering.gap import Gap, first_sufficient, gap_statistic
from segmentation_pipeline.core.clustering.silhouette import Silhouette, silhouettes
from segmentation_pipeline.core.clustering.stability import Resampled, Stability
from segmentation_pipeline.core.sharing import Share, in_turn

ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)
# Of each clustering again: enough to tell one k from the next, and quick.
BOOTSTRAP_CUSTOMERS = 1_000
BOOTSTRAP_ROUNDS = 10


def sweep(
    points: np.ndarray,
    ks: Sequence[int],
    algorithm: Algorithm,
    seed: int,
    restarts: int,
    share: Share = in_turn,
) -> list[dict[str, Any]]:
    """Fit and measure every algorithm with every k.

    Args:
        points: (customers, features) standardised sample.
        ks: Numbers of clusters, in order, each at most the number of different points.
        algorithm: The one that the others are compared with.
        seed: Of the algorithms' starts, of the bootstrap and of smaller samples.
        restarts: Starts of k-means.
        share: Deals the algorithms out: none needs another's fits.

    Returns:
        One record per algorithm and k, with the columns of `schema.K_DIAGNOSTICS` that are measured, and
        `sufficient_by_gap`, the k that the gap statistic finds for the algorithm, 1 and none included.
    """
    measuring = [partial(_measured, points, ks, name, seed, restarts) for name in ALGORITHMS]
    comparing = [partial(_gaps, points, ks, name, seed) for name in ALGORITHMS]
    done = share([*reversed(measuring), *comparing])  # mixtures take longest: they come first, so that all end together
    measured = dict(zip(ALGORITHMS, reversed(done[: len(ALGORITHMS)]), strict=True))
    gaps = dict(zip(ALGORITHMS, done[len(ALGORITHMS) :], strict=True))
    labels = {name: [each.pop("labels") for each in records] for name, records in measured.items()}
    return [
        {"algorithm": name, "k": k, "agreement": _agreement(labels[name][place], labels[algorithm][place])}
        | measured[name][place]
        | gaps[name][place]
        for name in ALGORITHMS
        for place, k in enumerate(ks)
    ]


def _measured(
    points: np.ndarray, ks: Sequence[int], algorithm: Algorithm, seed: int, restarts: int
) -> list[dict[str, Any]]:
    """What one algorithm's fits are like, one record for each k, with the `labels` of the customers."""
    with one_thread_each():
        fitter = Fitter(points, algorithm, seed, restarts)
        resampled = Resampled(fitter, BOOTSTRAP_ROUNDS, BOOTSTRAP_CUSTOMERS)
        fits = [fitter.fit(k) for k in ks]
        apart = silhouettes(points, [fit.labels for fit in fits], seed)
        return [
            _record(points, fit, silhouette, resampled.stability(fit))
            for fit, silhouette in zip(fits, apart, strict=True)
        ]


def _record(points: np.ndarray, clusters: Clusters, silhouette: Silhouette, stability: Stability) -> dict[str, Any]:
    from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score

    by_cluster = silhouette.by_cluster(len(clusters.centres))
    is_apart = 2 <= len(np.unique(clusters.labels)) < len(points)
    return {
        "labels": clusters.labels,
        "inertia": clusters.inertia,
        "silhouette": silhouette.mean,
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


def _gaps(points: np.ndarray, ks: Sequence[int], algorithm: Algorithm, seed: int) -> list[dict[str, Any]]:
    """The gap for each k; none of a mixture, which does not minimise the dispersion it is made of."""
    gaps: list[Gap] = []
    if algorithm != "gaussian_mixture":
        gaps = gap_statistic(points, range(1, max(ks) + 1), lambda of: Fitter(of, algorithm, seed, 1), seed)
    found = {each.k: each for each in gaps}
    return [
        {
            "gap": found[k].gap if k in found else None,
            "gap_standard_error": found[k].standard_error if k in found else None,
            "sufficient_by_gap": first_sufficient(gaps),
        }
        for k in ks
    ]


def _agreement(labels: np.ndarray, others: np.ndarray) -> float:
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(labels, others))
