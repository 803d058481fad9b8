"""Fitting: the centres that scikit-learn and SciPy find, and the same ones every time."""

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import cdist
from scipy.stats import multivariate_normal
from sklearn.cluster import BisectingKMeans, KMeans
from sklearn.mixture import GaussianMixture

from segmentation_pipeline.core.clustering.fitting import Algorithm, Fitter

ALGORITHMS: tuple[Algorithm, ...] = ("kmeans", "bisecting_kmeans", "ward", "gaussian_mixture")


def by_coordinates(centres: np.ndarray) -> np.ndarray:
    """Rows sorted by their last coordinate, then the one before."""
    return np.array(sorted(centres.tolist(), key=lambda centre: centre[::-1]))


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("k", [2, 4, 7])
def test_kmeans_finds_what_scikit_learn_finds(points, k):
    found = Fitter(points, "kmeans", seed=42, restarts=10).fit(k)
    witness = KMeans(k, n_init=10, random_state=42, tol=0, max_iter=1000).fit(points)
    assert found.inertia == pytest.approx(witness.inertia_, rel=1e-12)
    np.testing.assert_allclose(found.centres, by_coordinates(witness.cluster_centers_), rtol=0, atol=1e-12)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("k", [2, 4, 7])
def test_bisecting_kmeans_finds_what_scikit_learn_finds(points, k):
    found = Fitter(points, "bisecting_kmeans", seed=42, restarts=10).fit(k)
    witness = BisectingKMeans(k, n_init=10, random_state=42).fit(points)
    np.testing.assert_allclose(found.centres, by_coordinates(witness.cluster_centers_), rtol=0, atol=1e-12)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("restarts", [1, 2, 10])
@pytest.mark.parametrize("k", [2, 4, 7])
def test_a_mixture_has_the_means_and_the_bic_of_scikit_learns_of_one_start(points, k, restarts):
    found = Fitter(points, "gaussian_mixture", seed=42, restarts=restarts).fit(k)
    witness = GaussianMixture(k, random_state=42, reg_covar=0.01).fit(points)
    np.testing.assert_allclose(found.centres, by_coordinates(witness.means_), rtol=0, atol=1e-9)
    assert found.bic == pytest.approx(witness.bic(points), rel=1e-9)


def test_the_bic_of_a_mixture_of_one_is_that_of_the_normal_distribution(points):
    """Nine parameters: three means and six covariances."""
    covariance = np.cov(points.T, bias=True) + 0.01 * np.eye(3)
    likelihood = multivariate_normal(points.mean(axis=0), covariance).logpdf(points).sum()
    found = Fitter(points, "gaussian_mixture", seed=42, restarts=1).fit(1)
    assert found.bic == pytest.approx(9 * np.log(len(points)) - 2 * likelihood, rel=1e-9)


@pytest.mark.parametrize("algorithm", ["kmeans", "bisecting_kmeans", "ward"])
def test_what_has_no_likelihood_has_no_bic(points, algorithm):
    assert Fitter(points, algorithm, seed=42, restarts=1).fit(3).bic is None


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
    assert (first.inertia, first.bic) == (second.inertia, second.bic)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_one_fitter_gives_the_same_for_any_order_of_k(points, algorithm):
    fitter = Fitter(points, algorithm, seed=42, restarts=3)
    third = fitter.fit(3)
    fitter.fit(6)
    np.testing.assert_array_equal(fitter.fit(3).centres, third.centres)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_numbers_of_clusters_do_not_depend_on_the_start(algorithm):
    random = np.random.default_rng(5)
    corners = np.array([[0, 0, 0], [9, 0, 1], [0, 9, 2], [9, 9, 3]])
    apart = np.repeat(corners, 25, axis=0) + random.normal(0, 0.1, (100, 3))
    for seed in range(5):
        np.testing.assert_array_equal(Fitter(apart, algorithm, seed, 10).fit(4).labels, np.repeat(range(4), 25))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_shares_are_of_the_sampled_customers(points, algorithm):
    found = Fitter(points, algorithm, seed=42, restarts=3).fit(4)
    assert found.shares.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_array_equal(found.shares, [(found.labels == label).mean() for label in range(4)])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_as_many_clusters_as_different_customers_leave_no_distance(algorithm):
    different = np.array([[0.0, 0, 0], [1, 0, 0], [0, 5, 0]])
    found = Fitter(np.repeat(different, 4, axis=0), algorithm, seed=0, restarts=3).fit(3)
    assert found.inertia == pytest.approx(0, abs=1e-20)
    assert found.shares.tolist() == [1 / 3] * 3


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("customers", [(1, 1, 4), (1, 4, 1), (4, 1, 1), (2, 2, 2)])
def test_more_clusters_than_different_customers_leave_no_distance_either(algorithm, customers):
    different = np.array([[0.0, 0, 0], [1, 0, 0], [0, 5, 0]])
    found = Fitter(np.repeat(different, customers, axis=0), algorithm, seed=0, restarts=3).fit(5)
    assert len(found.centres) <= 5
    assert found.inertia == pytest.approx(0, abs=1e-20)
    assert found.shares.sum() == pytest.approx(1, abs=1e-12)


def test_the_nearest_centre_of_others_is_found_as_for_the_sampled(points):
    found = Fitter(points, "kmeans", seed=42, restarts=3).fit(4)
    others = np.random.default_rng(3).normal(0, 2, (50, 3))
    np.testing.assert_array_equal(found.nearest(others), cdist(others, found.centres).argmin(axis=1))
    np.testing.assert_array_equal(found.nearest(points), found.labels)
