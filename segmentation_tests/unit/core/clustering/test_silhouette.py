"""Silhouettes: those of scikit-learn for the same labels, of a bounded part of a large sample."""

import tracemalloc

import numpy as np
import pytest
from sklearn import metrics

from segmentation_pipeline.core.clustering.silhouette import silhouettes

MANY = 6_000


def random_labels(points: np.ndarray, k: int) -> np.ndarray:
    return np.random.default_rng(k).integers(0, k, len(points))


def two_groups(customers: int) -> np.ndarray:
    """Customers in two groups that overlap, along one feature."""
    random = np.random.default_rng(4)
    return random.normal(0, 1, (customers, 1)) + 3 * random.integers(0, 2, (customers, 1))


def test_each_customers_silhouette_agrees_with_scikit_learn_for_any_number_of_clusterings(points):
    labelings = [random_labels(points, k) for k in (4, 2, 3)]
    for found, labels in zip(silhouettes(points, labelings, seed=1), labelings, strict=True):
        expected = metrics.silhouette_samples(points, labels)
        np.testing.assert_allclose(found.of_each, expected, rtol=1e-9, atol=1e-12)
        assert found.mean == pytest.approx(metrics.silhouette_score(points, labels), rel=1e-9)
        assert found.by_cluster(5)[:2] == pytest.approx(
            [expected[labels == label].mean() for label in (0, 1)], rel=1e-9
        )


def test_labels_may_be_any_whole_numbers(points):
    labels = random_labels(points, 3)
    plain, others = silhouettes(points, [labels, 10 * labels - 7], seed=1)
    np.testing.assert_array_equal(plain.of_each, others.of_each)


def test_a_cluster_of_one_is_neither_well_nor_badly_placed_and_equal_customers_are_told_apart_as_by_scikit_learn():
    points = np.array([[0.0], [0.0], [1.0], [1.0], [9.0]])
    labels = np.array([0, 1, 1, 0, 2])
    (found,) = silhouettes(points, [labels], seed=1)
    np.testing.assert_allclose(found.of_each, metrics.silhouette_samples(points, labels), atol=1e-12)
    assert found.of_each[4] == 0


def test_where_all_customers_are_the_same_nobody_is_nearer_to_any_cluster():
    (found,) = silhouettes(np.ones((6, 2)), [np.array([0, 0, 0, 1, 1, 1])], seed=1)
    np.testing.assert_array_equal(found.of_each, np.zeros(6))


@pytest.mark.parametrize("labels", [np.zeros(10, int), np.arange(10)], ids=["one cluster", "clusters of one"])
def test_the_silhouette_of_nothing_to_compare_is_the_worst(points, labels):
    (found,) = silhouettes(points[:10], [labels], seed=1)
    assert found.mean == -1.0
    assert found.by_cluster(10) == [-1.0] * 10


def test_an_empty_cluster_has_the_worst_silhouette_and_the_others_their_own(points):
    labels = 2 * (points[:, 2] > 0).astype(int)
    (found,) = silhouettes(points, [labels], seed=1)
    of_each = metrics.silhouette_samples(points, labels)
    expected = [of_each[labels == 0].mean(), -1, of_each[labels == 2].mean(), -1]
    assert found.by_cluster(4) == pytest.approx(expected, rel=1e-9)


def test_of_a_large_sample_a_part_drawn_with_the_seed_takes_part():
    many = two_groups(MANY)
    labels = (many[:, 0] > 1.5).astype(int)
    first, second, other = (silhouettes(many, [labels], seed)[0].mean for seed in (3, 3, 4))
    assert first == second != other
    assert first == pytest.approx(other, abs=0.02)
    chosen = np.random.default_rng(3).choice(MANY, 5_000, replace=False)
    assert first == pytest.approx(metrics.silhouette_score(many[chosen], labels[chosen]), rel=1e-9)


def test_distances_are_never_held_all_at_once():
    points = two_groups(20_000)
    tracemalloc.start()
    silhouettes(points, [random_labels(points, k) for k in range(2, 9)], seed=1)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 5_000**2 * 8 / 4
