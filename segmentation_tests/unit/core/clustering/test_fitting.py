"""Fitting: the same centres as scikit-learn and SciPy find, and the same ones every time."""

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans

from segmentation_pipeline.core.clustering.fitting import Fitter

ALGORITHMS = ("kmeans", "ward")


def by_coordinates(centres: np.ndarray) -> np.ndarray:
    """Rows sorted by their last coordinate, then the one before."""
    return np.array(sorted(centres.tolist(), key=lambda centre: centre[::-1]))


@pytest.mark.parametrize("k", [2, 4, 7])
def test_kmeans_finds_what_scikit_learn_finds(points, k):
    found = Fitter(points, "kmeans", seed=42, restarts=10).fit(k)
    witness = KMeans(k, n_init=10, random_state=42, tol=0, max_iter=1000).fit(points)
    assert found.inertia == pytest.approx(witness.inertia_, rel=1e-12)
    np.testing.assert_allclose(found.centres, by_coordinates(witness.cluster_centers_), rtol=0, atol=1e-12)


@pytest.mark.parametrize("k", [2, 4, 7])
def test_ward_merges_as_scipy_does(points, k):
    found = Fitter(points, "ward", seed=42, restarts=10).fit(k)
    labels = fcluster(linkage(points, "ward"), k, "maxclust")
    centres = [points[labels == label].mean(axis=0) for label in range(1, k + 1)]
    np.testing.assert_allclose(found.centres, by_coordinates(np.array(centres)), rtol=0, atol=1e-9)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_customer_belongs_to_its_nearest_centre(points, algorithm):
    found = Fitter(points, algorithm, seed=1, restarts=2).fit(5)
    distances = cdist(points, found.centres)
    np.testing.assert_array_equal(found.labels, distances.argmin(axis=1))
    assert found.inertia == pytest.approx((distances.min(axis=1) ** 2).sum(), rel=1e-12)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_same_input_gives_the_same_centres_to_the_last_bit(points, algorithm):
    first, second = (Fitter(points, algorithm, seed=42, restarts=3).fit(4) for _ in range(2))
    np.testing.assert_array_equal(first.centres, second.centres)
    np.testing.assert_array_equal(first.labels, second.labels)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_one_fitter_gives_the_same_for_any_order_of_k(points, algorithm):
    fitter = Fitter(points, algorithm, seed=42, restarts=3)
    third = fitter.fit(3)
    fitter.fit(6)
    np.testing.assert_array_equal(fitter.fit(3).centres, third.centres)


def test_numbers_of_clusters_do_not_depend_on_the_start():
    random = np.random.default_rng(5)
    corners = np.array([[0, 0, 0], [9, 0, 1], [0, 9, 2], [9, 9, 3]])
    apart = np.repeat(corners, 25, axis=0) + random.normal(0, 0.1, (100, 3))
    for seed in range(5):
        np.testing.assert_array_equal(Fitter(apart, "kmeans", seed, 10).fit(4).labels, np.repeat(range(4), 25))
    np.testing.assert_array_equal(Fitter(apart, "ward", 0, 1).fit(4).labels, np.repeat(range(4), 25))


def test_shares_are_of_the_sampled_customers(points):
    found = Fitter(points, "kmeans", seed=42, restarts=3).fit(4)
    assert found.shares.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_array_equal(found.shares, [(found.labels == label).mean() for label in range(4)])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_as_many_clusters_as_different_customers_leave_no_distance(algorithm):
    different = np.array([[0.0, 0, 0], [1, 0, 0], [0, 5, 0]])
    found = Fitter(np.repeat(different, 4, axis=0), algorithm, seed=0, restarts=3).fit(3)
    assert found.inertia == pytest.approx(0, abs=1e-20)
    assert found.shares.tolist() == [1 / 3] * 3
