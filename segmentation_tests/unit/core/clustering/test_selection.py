"""Selection of k: the indices agree with scikit-learn, and the policy chooses as it says."""

from datetime import date

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score

from segmentation_pipeline.core import schema
from segmentation_pipeline.core.clustering import selection
from segmentation_pipeline.core.clustering.selection import (
    NotEnoughCustomers,
    Policy,
    Silhouette,
    choose,
    diagnose,
    elbow,
)
from segmentation_pipeline.errors import PipelineError

AS_OF = date(2011, 12, 9)
POLICY = Policy("kmeans", min_k=2, max_k=6, min_segment_share=0.02, min_silhouette=0.25)


def swept(elbow_at: int | None, vetoed: dict[int, str], silhouettes: dict[int, float]) -> list[dict[str, object]]:
    return [
        {"k": k, "silhouette": score, "vetoes": vetoed.get(k, ""), "is_elbow": k == elbow_at}
        for k, score in silhouettes.items()
    ]


SILHOUETTES = {2: 0.6, 3: 0.4, 4: 0.5, 5: 0.45, 6: 0.3}


# --- elbow ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "inertia",
    [
        [100, 60, 30, 25, 22, 20, 19],
        [100, 40, 35, 31, 28, 26, 25],
        [1000 / k for k in range(2, 9)],
        [np.exp(-k) for k in range(2, 9)],
    ],
)
def test_the_elbow_is_farthest_below_the_chord(inertia):
    ks = np.arange(2, 9)
    heights = (np.array(inertia) - min(inertia)) / (max(inertia) - min(inertia))
    below = (1 - (ks - 2) / 6) - heights
    assert elbow(list(ks), inertia) == ks[below.argmax()]


def test_a_straight_line_has_no_elbow():
    assert elbow([2, 3, 4, 5, 6], [100, 80, 60, 40, 20]) is None


@pytest.mark.parametrize("ks", [[], [2], [2, 3]])
def test_fewer_than_three_points_have_no_elbow(ks):
    assert elbow(ks, [100.0, 10.0][: len(ks)]) is None


# --- choose -----------------------------------------------------------------------------------------------------------


def test_the_elbow_is_chosen_where_nothing_speaks_against_it():
    k, reason = choose(swept(4, {}, SILHOUETTES), POLICY)
    assert k == 4
    assert "elbow of the inertia curve is at k = 4" in reason
    assert "best silhouette alone would say k = 2" in reason


def test_a_vetoed_elbow_gives_way_to_the_nearest_k_the_smaller_first():
    assert choose(swept(4, {4: "too small"}, SILHOUETTES), POLICY)[0] == 3
    assert choose(swept(4, {3: "x", 4: "too small"}, SILHOUETTES), POLICY)[0] == 5
    k, reason = choose(swept(4, {3: "x", 4: "too small", 5: "x"}, SILHOUETTES), POLICY)
    assert k == 2
    assert "The elbow at k = 4 is vetoed (too small); k = 2 is the nearest" in reason


def test_without_an_elbow_the_best_silhouette_of_those_left_is_chosen_and_said():
    k, reason = choose(swept(None, {2: "too small"}, SILHOUETTES), POLICY)
    assert k == 4
    assert "has no knee" in reason


def test_where_every_k_is_vetoed_the_best_silhouette_is_chosen_and_said():
    k, reason = choose(swept(4, dict.fromkeys(SILHOUETTES, "bad"), SILHOUETTES), POLICY)
    assert k == 2
    assert reason.startswith("Every k from 2 to 6 is vetoed")


def test_of_equal_silhouettes_the_smaller_k_is_chosen():
    assert choose(swept(None, {}, {2: 0.1, 3: 0.5, 4: 0.5}), POLICY)[0] == 3


def test_a_configured_k_overrides_everything():
    override = Policy("kmeans", 2, 6, 0.02, 0.25, k=5)
    k, reason = choose(swept(4, {5: "bad"}, SILHOUETTES), override)
    assert (k, reason) == (5, "k = 5 is set in the configuration (model.k).")


# --- diagnose ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def diagnostics(points):
    return diagnose(points, AS_OF, POLICY, seed=42, restarts=5)


def test_every_algorithm_and_k_is_reported_in_the_columns_of_the_table(diagnostics):
    assert diagnostics.columns.tolist() == schema.K_DIAGNOSTICS.names
    assert list(zip(diagnostics["algorithm"], diagnostics["k"], strict=True)) == [
        (algorithm, k) for algorithm in ("kmeans", "ward") for k in range(2, 7)
    ]
    assert set(diagnostics["date"]) == {AS_OF}
    assert diagnostics["reason"].nunique() == 1


def test_indices_of_kmeans_agree_with_scikit_learn(diagnostics, points):
    for row in diagnostics[diagnostics["algorithm"] == "kmeans"].itertuples():
        model = KMeans(row.k, n_init=5, random_state=42, tol=0, max_iter=1000).fit(points)
        assert row.inertia == pytest.approx(model.inertia_, rel=1e-12)
        assert row.silhouette == pytest.approx(silhouette_score(points, model.labels_), rel=1e-9)
        assert row.smallest_share == np.bincount(model.labels_).min() / len(points)


def test_the_policy_chooses_one_row_of_its_own_algorithm(points):
    for algorithm in ("kmeans", "ward"):
        found = diagnose(points, AS_OF, Policy(algorithm, 2, 6, 0.0, -1.0), seed=42, restarts=2)
        chosen = found[found["is_chosen"]]
        assert chosen["algorithm"].tolist() == [algorithm]
        of_algorithm = found[found["algorithm"] == algorithm]
        expected = elbow(of_algorithm["k"].tolist(), of_algorithm["inertia"].tolist())
        assert expected is not None
        assert chosen["k"].tolist() == of_algorithm["k"][of_algorithm["is_elbow"]].tolist() == [expected]


def test_floors_veto_and_say_so(points):
    found = diagnose(points, AS_OF, Policy("kmeans", 2, 6, 0.15, 0.45), seed=42, restarts=2)
    assert found["vetoes"].ne("").any()
    for row in found.itertuples():
        assert ("smallest segment" in row.vetoes) == (row.smallest_share < 0.15)
        assert ("silhouette" in row.vetoes) == (row.silhouette < 0.45)


def test_a_configured_k_beyond_the_range_is_measured_too(points):
    found = diagnose(points, AS_OF, Policy("kmeans", 2, 4, 0.02, 0.25, k=9), seed=42, restarts=2)
    assert sorted(set(found["k"])) == [2, 3, 4, 9]
    assert found["k"][found["is_chosen"]].tolist() == [9]


def test_k_beyond_the_number_of_different_customers_is_left_out():
    three = np.repeat([[0.0, 0, 0], [1, 0, 0], [0, 5, 0]], 20, axis=0)
    found = diagnose(three, AS_OF, POLICY, seed=42, restarts=2)
    assert sorted(set(found["k"])) == [2, 3]


@pytest.mark.parametrize(
    "policy", [Policy("kmeans", 4, 8, 0.02, 0.25), Policy("kmeans", 2, 8, 0.02, 0.25, k=4)], ids=["min_k", "k"]
)
def test_too_few_different_customers_are_an_error_that_counts_them(policy):
    three = np.repeat([[0.0, 0, 0], [1, 0, 0], [0, 5, 0]], 20, axis=0)
    with pytest.raises(
        NotEnoughCustomers, match=r"3 different customers .* 2011-12-09 cannot form 4 segments"
    ) as caught:
        diagnose(three, AS_OF, policy, seed=42, restarts=2)
    assert isinstance(caught.value, PipelineError)


def test_no_customers_at_all_are_an_error_too():
    with pytest.raises(NotEnoughCustomers, match="0 different customers"):
        diagnose(np.empty((0, 3)), AS_OF, POLICY, seed=42, restarts=2)


# --- silhouette -------------------------------------------------------------------------------------------------------


def test_the_silhouette_agrees_with_scikit_learn(points):
    labels = np.random.default_rng(1).integers(0, 3, len(points))
    assert Silhouette(points, seed=1).score(labels) == pytest.approx(silhouette_score(points, labels), rel=1e-9)


def test_the_silhouette_of_a_large_sample_is_of_a_seeded_part(points, monkeypatch):
    monkeypatch.setattr(selection, "SILHOUETTE_CUSTOMERS", 200)
    labels = (points[:, 2] > 0).astype(int)
    part = np.random.default_rng(3).choice(len(points), 200, replace=False)
    expected = silhouette_score(points[part], labels[part])
    assert Silhouette(points, seed=3).score(labels) == pytest.approx(expected, rel=1e-9)
    assert Silhouette(points, seed=4).score(labels) != pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("labels", [np.zeros(10, int), np.arange(10)], ids=["one cluster", "clusters of one"])
def test_the_silhouette_of_nothing_to_compare_is_the_worst(points, labels):
    assert Silhouette(points[:10], seed=1).score(labels) == -1.0
