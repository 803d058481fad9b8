"""Selection of k: every index votes by its own rule, floors veto, and the policy chooses as it says."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from segmentation_pipeline.core import schema
from segmentation_pipeline.core.clustering.diagnostics import sweep
from segmentation_pipeline.core.clustering.fitting import Algorithm, Fitter
from segmentation_pipeline.core.clustering.gap import first_sufficient, gap_statistic
from segmentation_pipeline.core.clustering.scoring import RFM
from segmentation_pipeline.core.clustering.selection import (
    NotEnoughCustomers,
    Policy,
    choose,
    diagnose,
    elbow,
    votes,
)
from segmentation_pipeline.errors import PipelineError

AS_OF = date(2011, 12, 9)
POLICY = Policy("kmeans", min_k=2, max_k=6, min_segment_share=0.02, min_silhouette=0.25, min_stability=0.5)
ANY = replace(POLICY, min_segment_share=0.0, min_silhouette=-1.0, min_stability=-1.0)
ALGORITHMS: tuple[Algorithm, ...] = ("kmeans", "bisecting_kmeans", "ward", "gaussian_mixture")
THREE = np.repeat([[0.0, 0, 0], [1, 0, 0], [0, 5, 0]], 20, axis=0)


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
    k, reason = choose(swept(4, {5: "bad"}, SILHOUETTES), replace(POLICY, k=5))
    assert (k, reason) == (5, "k = 5 was given, by model.k or by the run's own configuration.")


# --- votes ------------------------------------------------------------------------------------------------------------


def record(k: int, **indices: float | None) -> Mapping[str, object]:
    """A record of a sweep in which every index has the same value for every k, but for those given."""
    same = dict.fromkeys(("silhouette", "calinski_harabasz", "davies_bouldin", "stability"), 0.5)
    return {"k": k, "inertia": 100 / k, "bic": None, "sufficient_by_gap": None} | same | indices


@pytest.mark.parametrize(
    ("index", "values", "k"),
    [
        ("silhouette", (0.1, 0.3, 0.2), 3),
        ("calinski_harabasz", (90.0, 80.0, 99.0), 4),
        ("davies_bouldin", (0.9, 0.7, 0.8), 3),
        ("bic", (-10.0, -30.0, -20.0), 3),
        ("stability", (0.9, 0.8, 0.7), 2),
        ("silhouette", (0.1, 0.3, 0.3), 3),  # the smaller of equal ones
        ("davies_bouldin", (0.7, 0.7, 0.8), 2),
        ("calinski_harabasz", (90.0, 95.0, None), 3),  # not measured is no vote
        ("davies_bouldin", (None, 0.9, None), 3),
        ("bic", (None, None, None), None),
    ],
)
def test_every_index_votes_for_its_best_k(index, values, k):
    rows = [record(number, **{index: value}) for number, value in enumerate(values, start=2)]
    assert votes(rows)[index] == k


@pytest.mark.parametrize("k", [1, 3, None])
def test_the_gap_votes_for_the_smallest_k_that_is_sufficient_even_for_one(k):
    assert votes([record(number, sufficient_by_gap=k) for number in (2, 3, 4)])["gap"] == k


def test_the_elbow_votes_for_the_knee_of_the_inertia():
    inertias = [100, 40, 35, 31, 28, 26, 25]
    rows = [record(k, inertia=inertia) for k, inertia in enumerate(inertias, start=2)]
    assert votes(rows)["elbow"] == elbow(range(2, 9), inertias) == 3


# --- diagnose ---------------------------------------------------------------------------------------------------------


def diagnosed(points: np.ndarray, policy: Policy):
    return diagnose(points, AS_OF, policy, RFM, seed=42, restarts=2)


@pytest.fixture(scope="module")
def diagnostics(points):
    return diagnosed(points, POLICY)


def test_every_algorithm_and_k_is_reported_in_the_columns_of_the_table(diagnostics):
    assert diagnostics.columns.tolist() == schema.K_DIAGNOSTICS.names
    assert list(zip(diagnostics["algorithm"], diagnostics["k"], strict=True)) == [
        (algorithm, k) for algorithm in ALGORITHMS for k in range(2, 7)
    ]
    assert set(diagnostics["date"]) == {AS_OF}
    assert set(diagnostics["features"]) == {"recency_days, frequency, monetary"}
    assert diagnostics["reason"].nunique() == 1


def test_what_is_reported_is_what_the_sweep_measured(points):
    part = points[:150]
    reported = diagnosed(part, replace(POLICY, max_k=3)).to_dict("records")
    for found, measured in zip(reported, sweep(part, [2, 3], "kmeans", seed=42, restarts=2), strict=True):
        for name in set(measured) & set(found):
            assert found[name] == measured[name] or (np.isnan(found[name]) and measured[name] is None)


def test_every_vote_is_on_the_best_row_of_its_algorithm(diagnostics):
    highest = dict.fromkeys(("silhouette", "calinski_harabasz", "stability"), "idxmax")
    for algorithm, rows in diagnostics.groupby("algorithm"):
        cast = {row.k: row.votes.split(", ") for row in rows.itertuples()}
        bic = {"bic": "idxmin"} if algorithm == "gaussian_mixture" else {}
        indices = highest | {"davies_bouldin": "idxmin"} | bic
        for index, best in indices.items():
            assert [k for k in cast if index in cast[k]] == [rows.set_index("k")[index].agg(best)]
        assert [k for k in cast if "elbow" in cast[k]] == rows["k"][rows["is_elbow"]].tolist()
        assert algorithm == "gaussian_mixture" or not any("bic" in each for each in cast.values())


def test_where_the_gap_says_one_it_votes_for_no_row():
    alike = np.random.default_rng(1).normal(0, 1, (300, 3))
    gaps = gap_statistic(alike, [1, 2, 3], lambda points: Fitter(points, "kmeans", 42, 1), seed=42)
    assert first_sufficient(gaps) == 1
    found = diagnosed(alike, replace(ANY, max_k=3))
    assert not found["votes"].str.contains("gap").any()
    assert found["votes"].str.contains("silhouette").any()


def test_where_the_gap_says_three_it_votes_for_three():
    places = np.array([[0.0, 0.0, 0.0], [8.0, 0.0, 2.0], [0.0, 8.0, 4.0]])
    apart = places.repeat(60, axis=0) + np.random.default_rng(2).normal(0, 0.7, (180, 3))
    found = diagnosed(apart, replace(ANY, max_k=4))
    cast = found[found["votes"].str.contains("gap")]
    assert list(zip(cast["algorithm"], cast["k"], strict=True)) == [
        (name, 3) for name in ("kmeans", "bisecting_kmeans", "ward")
    ]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_policy_chooses_one_row_of_its_own_algorithm(points, algorithm):
    found = diagnosed(points[:80], replace(ANY, algorithm=algorithm, max_k=4))
    chosen = found[found["is_chosen"]]
    assert chosen["algorithm"].tolist() == [algorithm]
    of_algorithm = found[found["algorithm"] == algorithm]
    expected = elbow(of_algorithm["k"].tolist(), of_algorithm["inertia"].tolist())
    assert of_algorithm["k"][of_algorithm["is_elbow"]].tolist() == [expected] * (expected is not None)
    assert chosen["k"].tolist() == [expected or of_algorithm.set_index("k")["silhouette"].idxmax()]
    assert set(of_algorithm["agreement"]) == {1.0}


def test_floors_veto_and_say_so(points):
    floors = replace(POLICY, max_k=5, min_segment_share=0.15, min_silhouette=0.5, min_stability=0.9)
    found = diagnosed(points[:150], floors)
    for row in found.itertuples():
        assert ("smallest segment" in row.vetoes) == (row.smallest_share < 0.15)
        assert ("silhouette" in row.vetoes) == (row.silhouette < 0.5)
        assert ("stability" in row.vetoes) == (row.stability < 0.9)
    for reason in ("smallest segment", "silhouette", "stability"):
        assert 0 < found["vetoes"].str.contains(reason).sum() < len(found)
    assert (found["vetoes"] == "").any()


@pytest.mark.parametrize(
    ("floor", "veto"),
    [
        ({"min_segment_share": 0.6}, "smallest segment 33.3% is under the 60.0% floor"),
        ({"min_silhouette": 1.0}, "silhouette 0.94 is under the 1.00 floor"),
        ({"min_stability": 1.01}, "stability 1.00 is under the 1.01 floor"),
        ({"min_segment_share": 0.6, "min_stability": 1.01},
         "smallest segment 33.3% is under the 60.0% floor; stability 1.00 is under the 1.01 floor"),
        ({}, ""),
    ],
)  # fmt: skip
def test_a_veto_is_a_sentence_with_both_numbers(floor, veto):
    noise = np.random.default_rng(3).normal(0, 0.1, (60, 3))
    found = diagnosed(3 * THREE + noise, replace(ANY, min_k=3, max_k=3, **floor))
    assert found["vetoes"].tolist() == [veto] * 4


def test_clusters_that_cannot_be_told_apart_are_a_veto():
    """The sides of a square are equal: Ward merges two pairs at once, and no cut leaves three clusters."""
    square = np.repeat([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], 10, axis=0)
    found = diagnosed(square, replace(ANY, algorithm="ward", max_k=4)).set_index(["algorithm", "k"])["vetoes"]
    assert found["ward"].tolist() == ["", "only 2 clusters could be told apart", ""]


def test_a_configured_k_beyond_the_range_is_measured_too(points):
    found = diagnosed(points[:80], replace(POLICY, max_k=3, k=7))
    assert sorted(set(found["k"])) == [2, 3, 7]
    assert found["k"][found["is_chosen"]].tolist() == [7]


def test_k_beyond_the_number_of_different_customers_is_left_out():
    assert sorted(set(diagnosed(THREE, POLICY)["k"])) == [2, 3]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("customers", [3, 5])
def test_a_handful_of_customers_is_diagnosed_as_any_other_number(customers):
    found = diagnosed(np.random.default_rng(0).normal(0, 1, (customers, 3)), POLICY)
    assert set(found["k"]) == set(range(2, min(customers, 6) + 1))
    assert found["is_chosen"].sum() == 1


@pytest.mark.parametrize("policy", [replace(POLICY, min_k=4), replace(POLICY, k=4)], ids=["min_k", "k"])
def test_too_few_different_customers_are_an_error_that_counts_them(policy):
    with pytest.raises(
        NotEnoughCustomers, match=r"3 different customers .* 2011-12-09 cannot form 4 segments"
    ) as caught:
        diagnosed(THREE, policy)
    assert isinstance(caught.value, PipelineError)


def test_no_customers_at_all_are_an_error_too():
    with pytest.raises(NotEnoughCustomers, match="0 different customers"):
        diagnosed(np.empty((0, 3)), POLICY)


def test_where_the_gap_finds_no_groups_the_reason_says_so():
    one_group = np.random.default_rng(1).normal(0, 1, (300, 3))
    reason = diagnosed(one_group, POLICY)["reason"].iloc[0]
    assert reason.endswith("The gap statistic alone finds no groups at all (k = 1).")


def test_of_a_mixture_which_has_no_gap_the_reason_says_nothing_of_it():
    reason = diagnosed(np.random.default_rng(1).normal(0, 1, (300, 3)), replace(POLICY, algorithm="gaussian_mixture"))
    assert "gap" not in reason["reason"].iloc[0]
