"""Stability: clusters that are there come back from every bootstrap sample, clusters that are not do not."""

from dataclasses import replace
from math import comb

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from segmentation_pipeline.core.clustering.fitting import Fitter
from segmentation_pipeline.core.clustering.stability import CUSTOMERS, RESTARTS, ROUNDS, bootstrap_agreement

ALGORITHMS = ("kmeans", "ward")
CORNERS = np.array([[0, 0, 0], [9, 0, 1], [0, 9, 2], [9, 9, 3]])


def blobs(customers: int, spread: float) -> np.ndarray:
    """Points around four corners."""
    random = np.random.default_rng(2)
    return CORNERS[random.integers(0, 4, customers)] + random.normal(0, spread, (customers, 3))


def agreement(points: np.ndarray, k: int, algorithm: str = "kmeans", seed: int = 42) -> float:
    fitter = Fitter(points, algorithm, seed, restarts=3)
    return bootstrap_agreement(fitter.fit(k), fitter)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_clear_clusters_come_back_every_time(algorithm):
    assert agreement(blobs(400, 0.5), 4, algorithm) == 1


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_clusters_where_there_are_none_come_back_far_less(algorithm):
    structureless = np.random.default_rng(3).normal(0, 1, (400, 3))
    assert agreement(structureless, 6, algorithm) < 0.7


def test_too_many_clusters_are_less_stable_than_the_right_number():
    points = blobs(400, 1.5)
    assert agreement(points, 7) < agreement(points, 4) - 0.2


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_same_seed_gives_the_same_number_and_another_seed_another_one(algorithm):
    points = np.random.default_rng(4).normal(0, 1, (300, 3))
    first, second, other = (agreement(points, 5, algorithm, seed) for seed in (1, 1, 2))
    assert first == second
    assert other != first


def test_the_agreement_is_scikit_learns_over_samples_with_replacement():
    points = np.random.default_rng(5).normal(0, 1, (120, 2))
    fitter = Fitter(points, "kmeans", seed=9, restarts=3)
    clusters = fitter.fit(3)
    draw = np.random.default_rng(9)
    expected = []
    for _ in range(ROUNDS):
        sample = points[draw.integers(0, 120, 120)]
        assert len(np.unique(sample, axis=0)) < 120
        again = KMeans(3, n_init=RESTARTS, random_state=9, tol=0, max_iter=1000).fit(sample)
        expected.append(adjusted_rand_score(clusters.labels, cdist(points, again.cluster_centers_).argmin(axis=1)))
    assert bootstrap_agreement(clusters, fitter) == pytest.approx(np.mean(expected), abs=1e-12)


def test_it_is_the_index_of_hubert_and_arabie_by_counting_pairs():
    """Thirty customers in two places, which every sample finds again; the clusters in question mix five of them up."""
    fitter = Fitter(np.repeat([[0.0, 0.0], [9.0, 9.0]], 15, axis=0), "kmeans", seed=0, restarts=3)
    mixed = replace(fitter.fit(2), labels=np.repeat([0, 1], [10, 20]))
    together = comb(10, 2) + comb(5, 2) + comb(15, 2)
    theirs, ours = comb(10, 2) + comb(20, 2), 2 * comb(15, 2)
    by_chance = theirs * ours / comb(30, 2)
    expected = (together - by_chance) / ((theirs + ours) / 2 - by_chance)
    assert bootstrap_agreement(mixed, fitter) == pytest.approx(expected, abs=1e-12)


def test_more_customers_than_a_round_draws_are_all_compared():
    assert agreement(blobs(CUSTOMERS["kmeans"] + 1_000, 0.5), 4) == 1
