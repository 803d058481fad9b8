"""Diagnostics: every index is that of scikit-learn for the same labels, and a large sample costs no more than a bounded one."""

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn import metrics
from sklearn.cluster import KMeans
from sklearn.mixture import GaussianMixture

from segmentation_pipeline.core import schema
from segmentation_pipeline.core.clustering.diagnostics import sweep
from segmentation_pipeline.core.clustering.fitting import Algorithm, Fitter
from segmentation_pipeline.core.clustering.gap import first_sufficient, gap_statistic
from segmentation_pipeline.core.clustering.stability import maximal_jaccards
from segmentation_pipeline.resources.second_process import SecondProcess

ALGORITHMS: tuple[Algorithm, ...] = ("kmeans", "bisecting_kmeans", "ward", "gaussian_mixture")
KS = (2, 3, 5)
SEED = 42
DECIDED_LATER = {"date", "features", "is_elbow", "votes", "vetoes", "is_chosen", "reason"}


def swept(points: np.ndarray, ks: Sequence[int] = KS, algorithm: Algorithm = "kmeans", seed: int = SEED) -> dict:
    """The records of a sweep by algorithm and k."""
    return {(each["algorithm"], each["k"]): each for each in sweep(points, ks, algorithm, seed, restarts=3)}


@pytest.fixture(scope="module")
def records(points):
    return swept(points)


@pytest.fixture(scope="module")
def labels(points):
    """Of the same fits; that these are scikit-learn's and SciPy's is proven with the fitting."""
    fitters = {name: Fitter(points, name, SEED, 3) for name in ALGORITHMS}
    return {(name, k): fitter.fit(k).labels for name, fitter in fitters.items() for k in KS}


def test_there_is_one_record_for_every_algorithm_and_k_with_everything_that_is_measured(points, records):
    found = sweep(points, KS, "kmeans", SEED, restarts=3)
    assert [(each["algorithm"], each["k"]) for each in found] == [(name, k) for name in ALGORITHMS for k in KS]
    measured = set(schema.K_DIAGNOSTICS.names) - DECIDED_LATER | {"sufficient_by_gap"}
    assert {frozenset(each) for each in found} == {frozenset(measured)}
    assert {(each["algorithm"], each["k"]): each for each in found} == records  # the same seed, the same bits


def test_records_are_the_same_bit_for_bit_wherever_the_work_is_done(points, records):
    second = SecondProcess()
    elsewhere = sweep(points, KS, "kmeans", SEED, 3, lambda tasks: [second.call(task) for task in tasks])
    second.end()
    assert {(each["algorithm"], each["k"]): each for each in elsewhere} == records


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("k", KS)
def test_kmeans_has_the_inertia_and_the_silhouette_of_scikit_learns(points, records, k):
    model = KMeans(k, n_init=3, random_state=SEED, tol=0, max_iter=1000).fit(points)
    assert records["kmeans", k]["inertia"] == pytest.approx(model.inertia_, rel=1e-12)
    assert records["kmeans", k]["silhouette"] == pytest.approx(
        metrics.silhouette_score(points, model.labels_), rel=1e-9
    )


@pytest.mark.parametrize("k", KS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_indices_agree_with_scikit_learn(points, records, labels, algorithm, k):
    found, of = records[algorithm, k], labels[algorithm, k]
    assert found["silhouette"] == pytest.approx(metrics.silhouette_score(points, of), rel=1e-9)
    assert found["calinski_harabasz"] == pytest.approx(metrics.calinski_harabasz_score(points, of), rel=1e-9)
    assert found["davies_bouldin"] == pytest.approx(metrics.davies_bouldin_score(points, of), rel=1e-9)


@pytest.mark.parametrize("k", KS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_cluster_has_its_own_silhouette_and_share(points, records, labels, algorithm, k):
    found, of = records[algorithm, k], labels[algorithm, k]
    of_each = metrics.silhouette_samples(points, of)
    assert found["cluster_silhouettes"] == pytest.approx([of_each[of == label].mean() for label in range(k)], rel=1e-9)
    assert found["least_silhouette"] == min(found["cluster_silhouettes"])
    assert found["cluster_shares"] == [(of == label).mean() for label in range(k)]
    assert sum(found["cluster_shares"]) == pytest.approx(1, abs=1e-12)
    assert found["smallest_share"] == min(found["cluster_shares"])
    assert found["silhouette"] == pytest.approx(np.dot(found["cluster_silhouettes"], found["cluster_shares"]), rel=1e-9)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("k", KS)
def test_only_a_mixture_has_a_bic_and_it_is_scikit_learns(points, records, k):
    witness = GaussianMixture(k, random_state=SEED, reg_covar=0.01).fit(points)
    assert records["gaussian_mixture", k]["bic"] == pytest.approx(witness.bic(points), rel=1e-9)
    assert {records[name, k]["bic"] for name in ALGORITHMS[:3]} == {None}


@pytest.mark.parametrize("algorithm", ALGORITHMS[:3])
def test_the_gap_is_that_of_every_k_from_one_to_the_largest(points, records, algorithm):
    gaps = gap_statistic(points, range(1, max(KS) + 1), lambda of: Fitter(of, algorithm, SEED, 1), SEED)
    for k in KS:
        found = records[algorithm, k]
        assert (found["gap"], found["gap_standard_error"]) == (gaps[k - 1].gap, gaps[k - 1].standard_error)
        assert found["sufficient_by_gap"] == first_sufficient(gaps)


@pytest.mark.parametrize("k", KS)
def test_a_mixture_has_no_gap(records, k):
    found = records["gaussian_mixture", k]
    assert [found[name] for name in ("gap", "gap_standard_error", "sufficient_by_gap")] == [None] * 3


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_agreement_is_with_the_models_algorithm_and_one_with_itself(points, algorithm):
    part = points[:80]
    labels = {name: Fitter(part, name, SEED, 3).fit(7).labels for name in ALGORITHMS}
    records = swept(part, [7], algorithm)
    assert records[algorithm, 7]["agreement"] == 1
    assert min(each["agreement"] for each in records.values()) < 1
    for name in ALGORITHMS:
        expected = metrics.adjusted_rand_score(labels[algorithm], labels[name])
        assert records[name, 7]["agreement"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_stability_is_over_ten_bootstrap_samples(points, records, labels, algorithm):
    draw = np.random.default_rng(SEED)
    again = [Fitter(points[draw.integers(0, len(points), len(points))], algorithm, SEED, 3) for _ in range(10)]
    for k in KS:
        found, of = records[algorithm, k], labels[algorithm, k]
        others = [cdist(points, fitter.fit(k).centres).argmin(axis=1) for fitter in again]
        indices = [metrics.adjusted_rand_score(of, other) for other in others]
        assert found["stability"] == pytest.approx(np.mean(indices), abs=1e-12)
        jaccards = np.mean([maximal_jaccards(of, other, k) for other in others], axis=0)
        assert found["cluster_jaccards"] == pytest.approx(jaccards.tolist(), abs=1e-12)
        assert found["least_jaccard"] == min(found["cluster_jaccards"])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_indices_that_compare_customers_of_a_cluster_have_none_where_each_is_alone(algorithm):
    found = swept(np.random.default_rng(0).normal(0, 1, (5, 3)), [5])[algorithm, 5]
    assert (found["calinski_harabasz"], found["davies_bouldin"]) == (None, None)
    assert (found["silhouette"], found["cluster_silhouettes"]) == (-1.0, [-1.0] * 5)
    assert found["cluster_shares"] == [0.2] * 5


# --- bounds -----------------------------------------------------------------------------------------------------------

MANY = 6_000


def two_groups(customers: int) -> np.ndarray:
    """Customers in two groups that overlap, along one feature."""
    random = np.random.default_rng(4)
    return random.normal(0, 1, (customers, 1)) + 3 * random.integers(0, 2, (customers, 1))


@pytest.fixture(scope="module")
def many():
    return two_groups(MANY)


@pytest.fixture(scope="module")
def of_many(many):
    return swept(many, [2])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_silhouettes_of_many_are_of_five_thousand_drawn_with_the_seed(many, of_many, algorithm):
    chosen = np.random.default_rng(SEED).choice(MANY, 5_000, replace=False)
    labels = Fitter(many, algorithm, SEED, 3).fit(2).labels
    of_each = metrics.silhouette_samples(many[chosen], labels[chosen])
    found = of_many[algorithm, 2]
    assert found["silhouette"] == pytest.approx(of_each.mean(), rel=1e-9)
    expected = [of_each[labels[chosen] == label].mean() for label in (0, 1)]
    assert found["cluster_silhouettes"] == pytest.approx(expected, rel=1e-9)
    assert found["cluster_shares"] == [(labels == label).mean() for label in (0, 1)]  # of all of them


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_bootstrap_samples_of_many_are_of_one_thousand_and_compared_where_all_are(many, of_many, algorithm):
    draw = np.random.default_rng(SEED)
    labels = Fitter(many, algorithm, SEED, 3).fit(2).labels
    samples = [many[draw.integers(0, MANY, 1_000)] for _ in range(10)]
    others = [cdist(many, Fitter(sample, algorithm, SEED, 3).fit(2).centres).argmin(axis=1) for sample in samples]
    expected = np.mean([metrics.adjusted_rand_score(labels, other) for other in others])
    assert of_many[algorithm, 2]["stability"] == pytest.approx(expected, abs=1e-12)
