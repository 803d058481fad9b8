"""Stability: whether the same clusters come back when the customers are drawn again.

Belongs here: bootstrap agreement of a clustering with itself. Does not: judging it (checks/), fitting (fitting.py).
"""

import numpy as np

from segmentation_pipeline.core.clustering.fitting import Clusters, Fitter

ROUNDS = 20
CUSTOMERS = {"kmeans": 5_000, "ward": 2_000}
RESTARTS = 3


def bootstrap_agreement(clusters: Clusters, fitter: Fitter) -> float:
    """Mean adjusted Rand index between a clustering and those of bootstrap samples, at most 1.

    Each round draws as many customers with replacement (a bounded number), clusters them anew, and compares where both
    sets of centres put the customers. 1 is the same clusters every time; 0 is no more agreement than by chance.

    Args:
        clusters: The clustering in question.
        fitter: Its algorithm, seed and points.

    Source: Hubert & Arabie (1985) for the index; Hennig (2007) for the bootstrap.
    """
    from sklearn.metrics import adjusted_rand_score

    draw = np.random.default_rng(fitter.seed)
    size = min(len(fitter.points), CUSTOMERS[fitter.algorithm])
    scores = []
    for _round in range(ROUNDS):
        sampled = fitter.points[draw.integers(0, len(fitter.points), size)]
        again = Fitter(sampled, fitter.algorithm, fitter.seed, RESTARTS).fit(len(clusters.centres))
        scores.append(adjusted_rand_score(clusters.labels, again.nearest(fitter.points)))
    return float(np.mean(scores))
