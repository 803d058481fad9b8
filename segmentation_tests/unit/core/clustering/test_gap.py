"""Gap statistic: as many clusters as there are, one where there are none, and the numbers of the paper's formulas."""

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import pdist
from sklearn.cluster import KMeans

from segmentation_pipeline.core.clustering.fitting import Algorithm, Fitter
from segmentation_pipeline.core.clustering.gap import Gap, first_sufficient, gap_statistic

KS = range(1, 9)
# A mixture maximises a likelihood, not what W is made of.
ALGORITHMS: tuple[Algorithm, ...] = ("kmeans", "bisecting_kmeans", "ward")
PLACES = np.array([[0.0, 0.0, 0.0], [8.0, 0.0, 2.0], [0.0, 8.0, 4.0]])


def fitter(algorithm: Algorithm = "kmeans", restarts: int = 3):
    return lambda points: Fitter(points, algorithm, 42, restarts)


def one_group(customers: int = 400) -> np.ndarray:
    return np.random.default_rng(1).normal(0, 1, (customers, 3))


def three_groups() -> np.ndarray:
    random = np.random.default_rng(2)
    return PLACES[random.integers(0, 3, 400)] + random.normal(0, 0.7, (400, 3))


def dispersion(points: np.ndarray, labels: np.ndarray) -> float:
    """W as the paper writes it: distances between all pairs of each cluster, both ways, over twice its size."""
    groups = (points[labels == label] for label in np.unique(labels))
    return sum(2 * (pdist(group) ** 2).sum() / (2 * len(group)) for group in groups)


def log_dispersion(points: np.ndarray, k: int) -> float:
    return float(np.log(dispersion(points, KMeans(k, n_init=3, random_state=42, tol=0).fit_predict(points))))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_one_group_is_one_cluster(algorithm):
    assert first_sufficient(gap_statistic(one_group(), KS, fitter(algorithm), seed=0)) == 1


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_three_groups_are_three_clusters(algorithm):
    assert first_sufficient(gap_statistic(three_groups(), KS, fitter(algorithm), seed=0)) == 3


@pytest.mark.usefixtures("one_thread")
def test_the_numbers_are_those_of_the_papers_formulas():
    """Witnesses: pairwise distances for W, the formulas in plain steps for the rest."""
    points, ks, references = three_groups(), [1, 2, 3, 4], 5
    draw = np.random.default_rng(7)
    lows, highs = points.min(axis=0), points.max(axis=0)
    boxes = [draw.uniform(lows, highs, points.shape) for _ in range(references)]
    for found in gap_statistic(points, ks, fitter(), seed=7, references=references):
        by_chance = [log_dispersion(box, found.k) for box in boxes]
        mean = sum(by_chance) / references
        spread = (sum((each - mean) ** 2 for each in by_chance) / references) ** 0.5
        assert found.gap == pytest.approx(mean - log_dispersion(points, found.k), abs=1e-9)
        assert found.standard_error == pytest.approx(spread * (1 + 1 / references) ** 0.5, abs=1e-9)


def test_the_gap_of_one_cluster_by_hand():
    """Four corners of a rectangle of 2 by 4: W = 4 (1 + 4) = 20; its box is the rectangle itself."""
    corners = np.array([[0.0, 0.0], [0.0, 4.0], [2.0, 0.0], [2.0, 4.0]])
    [gap] = gap_statistic(corners, [1], fitter(), seed=5, references=2_000)
    draw = np.random.default_rng(6).uniform((0, 0), (2, 4), (20_000, 4, 2))
    expected = np.log(((draw - draw.mean(axis=1, keepdims=True)) ** 2).sum(axis=(1, 2)))
    assert gap.gap == pytest.approx(expected.mean() - np.log(20), abs=0.05)
    assert gap.standard_error == pytest.approx(expected.std(), rel=0.05)


def test_how_far_the_features_are_moved_makes_no_difference():
    before, after = (gap_statistic(points, KS, fitter(), seed=0) for points in (three_groups(), three_groups() + 100))
    for one, other in zip(before, after, strict=True):
        assert one.gap == pytest.approx(other.gap, abs=1e-6)


@pytest.mark.parametrize("algorithm", [*ALGORITHMS, "gaussian_mixture"])
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(algorithm):
    points = one_group(150)
    first, second, other = (gap_statistic(points, [1, 2, 3], fitter(algorithm), seed) for seed in (1, 1, 2))
    assert first == second
    assert all(one.gap != another.gap for one, another in zip(first, other, strict=True))


def test_the_gap_of_a_k_does_not_depend_on_which_others_are_asked_for():
    points = three_groups()
    alone, among = gap_statistic(points, [3], fitter(), 0), gap_statistic(points, [5, 1, 3], fitter(), 0)
    assert [each.k for each in among] == [5, 1, 3]
    assert alone == among[2:]


def test_clusters_without_any_spread_have_a_large_gap_and_the_same_customer_over_again_none():
    two_places = np.repeat([[0.0, 0.0], [9.0, 0.0]], 20, axis=0)
    one, two = gap_statistic(two_places, [1, 2], fitter(), seed=0)
    assert 10 < two.gap < 100
    assert one.gap < two.gap
    assert gap_statistic(np.full((20, 2), 0.1), [1], fitter(), seed=0) == [Gap(1, 0.0, 0.0)]


def test_fewer_customers_than_features():
    gaps = gap_statistic(np.array([[0.0, 1.0, 2.0], [5.0, 1.0, 0.0]]), [1, 2], fitter(), seed=0)
    assert np.isfinite([each.gap for each in gaps]).all()


@pytest.mark.parametrize(
    ("points", "ks", "references"),
    [(np.empty((0, 3)), [1], 10), (one_group(9), [0, 1], 10), (one_group(9), [1], 0)],
)
def test_what_has_no_gap_is_refused(points, ks, references):
    with pytest.raises(ValueError, match="needs points, k >= 1 and a reference"):
        gap_statistic(points, ks, fitter(), 0, references)


def gaps_of(*numbers: float, first_k: int = 1, error: float = 0.0) -> list[Gap]:
    return [Gap(k, number, error) for k, number in enumerate(numbers, start=first_k)]


@pytest.mark.parametrize(
    ("gaps", "k"),
    [
        (gaps_of(0.1, 0.5, 0.4), 2),
        (gaps_of(0.1, 0.5, 0.5), 2),  # as good is sufficient
        (gaps_of(0.1, 0.4, 0.5), None),  # the largest has no next one to be compared with
        (gaps_of(0.1, 0.4, 0.5, error=0.2), 2),  # the next is better by less than its standard error
        (gaps_of(0.1, 0.4, 0.3, 0.9, 0.8), 2),  # the smallest, not the best
        (gaps_of(0.5, 0.4, first_k=4), 4),
        ([Gap(3, 0.4, 0.0), Gap(2, 0.5, 0.0)], 2),  # in any order
        ([Gap(2, 0.5, 0.0), Gap(4, 0.4, 0.0)], None),  # 3 is not known
        ([Gap(2, 0.50, 0.9), Gap(3, 0.55, 0.01)], None),  # the error that counts is that of the next
        (gaps_of(0.5), None),
        ([], None),
    ],
)
def test_the_rule(gaps, k):
    assert first_sufficient(gaps) == k


@pytest.fixture(scope="module")
def online_retail_points(online_retail) -> np.ndarray:
    """Standardised log1p of R, F and M of each customer, by pandas, winsorised at 0.5 % as the model does."""
    lines = pd.read_parquet(online_retail).drop_duplicates()
    sale = lines["CustomerID"].notna() & ~lines["InvoiceNo"].str.startswith("C")
    lines = lines[sale & (lines["Quantity"] > 0) & (lines["UnitPrice"] > 0)]
    customers = lines.assign(day=lines["InvoiceDate"].dt.normalize(), amount=lines["Quantity"] * lines["UnitPrice"])
    rfm = customers.groupby("CustomerID").agg(day=("day", "max"), f=("InvoiceNo", "nunique"), m=("amount", "sum"))
    rfm["day"] = (pd.Timestamp("2011-12-09") - rfm["day"]).dt.days
    values = np.log1p(rfm.clip(rfm.quantile(0.005), rfm.quantile(0.995), axis=1).to_numpy(dtype=float))
    return (values - values.mean(axis=0)) / values.std(axis=0)


@pytest.mark.parametrize("seed", [0, 1, 42])
def test_on_online_retail_tibshiranis_rule_finds_five(online_retail_points, seed):
    gaps = gap_statistic(online_retail_points, KS, fitter(), seed, references=20)
    assert len(online_retail_points) == 4_338
    assert first_sufficient(gaps) == 5
