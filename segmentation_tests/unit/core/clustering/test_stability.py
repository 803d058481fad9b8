"""Stability: clusters that are there come back from every bootstrap sample, clusters that are not do not."""

from dataclasses import replace
from math import comb

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, jaccard_score

from segmentation_pipeline.core.clustering.fitting import Algorithm, Fitter
from segmentation_pipeline.core.clustering.stability import (
    CUSTOMERS,
    RESTARTS,
    ROUNDS,
    Resampled,
    bootstrap_stability,
    maximal_jaccards,
)

ALGORITHMS: tuple[Algorithm, ...] = ("kmeans", "bisecting_kmeans", "ward", "gaussian_mixture")
CORNERS = np.array([[0, 0, 0], [9, 0, 1], [0, 9, 2], [9, 9, 3]])


def blobs(customers: int, spread: float) -> np.ndarray:
    """Points around four corners."""
    random = np.random.default_rng(2)
    return CORNERS[random.integers(0, 4, customers)] + random.normal(0, spread, (customers, 3))


def agreement(points: np.ndarray, k: int, algorithm: Algorithm = "kmeans", seed: int = 42) -> float:
    fitter = Fitter(points, algorithm, seed, restarts=3)
    return bootstrap_stability(fitter.fit(k), fitter).agreement


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
    points = np.random.default_rng(4).normal(0, 1, (150, 3))
    first, second, other = (agreement(points, 5, algorithm, seed) for seed in (1, 1, 2))
    assert first == second
    assert other != first


@pytest.mark.usefixtures("one_thread")
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
    assert bootstrap_stability(clusters, fitter).agreement == pytest.approx(np.mean(expected), abs=1e-12)


def test_it_is_the_index_of_hubert_and_arabie_by_counting_pairs():
    """Thirty customers in two places, which every sample finds again; the clusters in question mix five of them up."""
    fitter = Fitter(np.repeat([[0.0, 0.0], [9.0, 9.0]], 15, axis=0), "kmeans", seed=0, restarts=3)
    mixed = replace(fitter.fit(2), labels=np.repeat([0, 1], [10, 20]))
    together = comb(10, 2) + comb(5, 2) + comb(15, 2)
    theirs, ours = comb(10, 2) + comb(20, 2), 2 * comb(15, 2)
    by_chance = theirs * ours / comb(30, 2)
    expected = (together - by_chance) / ((theirs + ours) / 2 - by_chance)
    assert bootstrap_stability(mixed, fitter).agreement == pytest.approx(expected, abs=1e-12)


def test_more_customers_than_a_round_draws_are_all_compared():
    assert agreement(blobs(CUSTOMERS["kmeans"] + 1_000, 0.5), 4) == 1


def test_every_clear_cluster_comes_back_whole():
    fitter = Fitter(blobs(400, 0.5), "kmeans", 42, restarts=3)
    assert bootstrap_stability(fitter.fit(4), fitter).jaccards == (1, 1, 1, 1)


def test_a_cluster_of_its_own_comes_back_and_the_halves_of_a_round_one_do_not():
    random = np.random.default_rng(7)
    points = np.vstack([random.normal(0, 1, (300, 2)), random.normal(30, 1, (100, 2))])
    fitter = Fitter(points, "kmeans", 42, restarts=3)
    clusters = fitter.fit(3)
    stability = bootstrap_stability(clusters, fitter)
    apart = int(clusters.labels[-1])
    assert stability.jaccards[apart] == 1
    assert max(np.delete(stability.jaccards, apart)) < 0.85


def test_jaccards_by_hand():
    """Of {0 1 2 3}, {4 5} and {6}: the best of {0 1 2}, {3 4 5 6} are 3 of 4, 2 of 4 and 1 of 4."""
    labels, others = np.array([0, 0, 0, 0, 1, 1, 2]), np.array([0, 0, 0, 1, 1, 1, 1])
    assert maximal_jaccards(labels, others, 3).tolist() == [3 / 4, 2 / 4, 1 / 4]
    assert maximal_jaccards(others, labels, 2).tolist() == [3 / 4, 2 / 4]


def test_an_empty_cluster_never_comes_back():
    labels, others = np.array([0, 0, 2]), np.array([0, 0, 1])
    assert maximal_jaccards(labels, others, 4).tolist() == [1, 0, 1, 0]


def test_jaccards_of_a_whole_bootstrap_by_hand():
    """Thirty customers in two places, which every sample finds again; five of the first place are said to be of the second."""
    fitter = Fitter(np.repeat([[0.0, 0.0], [9.0, 9.0]], 15, axis=0), "kmeans", seed=0, restarts=3)
    mixed = replace(fitter.fit(2), labels=np.repeat([0, 1], [10, 20]))
    assert bootstrap_stability(mixed, fitter).jaccards == pytest.approx((10 / 15, 15 / 20), abs=1e-12)


def test_jaccards_are_those_of_sets():
    random = np.random.default_rng(7)
    labels, others = random.integers(0, 5, 200), random.integers(0, 4, 200)
    ours = [set(np.flatnonzero(labels == one)) for one in range(5)]
    theirs = [set(np.flatnonzero(others == other)) for other in range(4)]
    expected = [max(len(one & other) / len(one | other) for other in theirs) for one in ours]
    assert maximal_jaccards(labels, others, 5).tolist() == expected


@pytest.mark.usefixtures("one_thread")
def test_the_jaccards_are_scikit_learns_over_fewer_rounds_of_fewer_customers():
    points = np.random.default_rng(8).normal(0, 1, (90, 2))
    fitter = Fitter(points, "kmeans", seed=3, restarts=3)
    clusters = fitter.fit(3)
    draw = np.random.default_rng(3)
    rounds = []
    for _ in range(4):
        again = KMeans(3, n_init=RESTARTS, random_state=3, tol=0, max_iter=1000).fit(points[draw.integers(0, 90, 40)])
        found = cdist(points, again.cluster_centers_).argmin(axis=1)
        rounds.append(
            [max(jaccard_score(clusters.labels == one, found == other) for other in range(3)) for one in range(3)]
        )
    stability = bootstrap_stability(clusters, fitter, rounds=4, customers=40)
    assert stability.jaccards == pytest.approx(np.mean(rounds, axis=0), abs=1e-12)


@pytest.mark.parametrize(("rounds", "customers"), [(0, None), (1, 0)])
def test_nothing_to_compare_is_refused(rounds, customers):
    fitter = Fitter(blobs(20, 0.5), "kmeans", 42, restarts=1)
    clusters = fitter.fit(2)
    with pytest.raises(ValueError, match="a round and a customer"):
        bootstrap_stability(clusters, fitter, rounds, customers)


def test_one_set_of_samples_gives_every_k_what_samples_of_its_own_would():
    fitter = Fitter(blobs(300, 1.5), "kmeans", 42, restarts=1)
    resampled = Resampled(fitter, 5, 200)
    for k in (6, 2, 4):
        clusters = fitter.fit(k)
        assert resampled.stability(clusters) == bootstrap_stability(clusters, fitter, 5, 200)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_samples_of_fewer_different_customers_than_clusters_are_compared_all_the_same(algorithm):
    fitter = Fitter(np.random.default_rng(0).normal(0, 1, (5, 3)), algorithm, 0, restarts=3)
    stability = bootstrap_stability(fitter.fit(5), fitter)
    assert len(stability.jaccards) == 5
    assert 0 < min(stability.jaccards) <= max(stability.jaccards) < 1
