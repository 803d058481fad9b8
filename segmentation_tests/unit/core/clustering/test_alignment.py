"""Alignment: a segment that is found again keeps its id, however the new model numbers, scales or counts its own."""

from collections.abc import Sequence
from itertools import permutations

import numpy as np
import pytest

from segmentation_pipeline.core.clustering.alignment import identities
from segmentation_pipeline.core.clustering.fitting import Fitter
from segmentation_pipeline.core.clustering.preprocessing import Scaling, fit_scaling, transform
from segmentation_pipeline.core.clustering.scoring import RFM, Segment, SegmentationModel

CORNERS = np.array([[0.0, 0.0, 0.0], [4.0, 0.0, 1.0], [0.0, 4.0, 2.0], [4.0, 4.0, 3.0]])
IDS = (2, 3, 7, 11)
NEXT = 12


def scaled(features: Sequence[str] = RFM, mean: float = 0.0, scale: float = 1.0) -> list[Scaling]:
    return [Scaling(feature, 0.0, 1e9, mean, scale) for feature in features]


def in_force(centres, ids: Sequence[int] = IDS, scalings: Sequence[Scaling] | None = None) -> SegmentationModel:
    """A model of which only centres, ids and scalings matter here."""
    segments = tuple(
        Segment(number, f"segment {number}", "#000000", "do", tuple(centre))
        for number, centre in zip(ids, centres, strict=False)
    )
    return SegmentationModel(tuple(scalings or scaled()), segments, {}, np.eye(2, 3), (0.5, 0.5), (), (), {})


# --- which continue ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("next_id", [1, 9])
def test_without_a_model_before_ids_are_given_out_in_order(next_id):
    assert identities(CORNERS, scaled(), None, next_id, 1.0) == list(range(next_id, next_id + 4))


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_the_same_centres_keep_their_ids_in_any_order(order):
    places = list(order)
    assert identities(CORNERS[places], scaled(), in_force(CORNERS), NEXT, 1.0) == [IDS[place] for place in places]


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_centres_that_moved_a_little_keep_them_too(order):
    moved = CORNERS[list(order)] + np.random.default_rng(1).normal(0, 0.2, (4, 3))
    assert identities(moved, scaled(), in_force(CORNERS), NEXT, 1.0) == [IDS[place] for place in order]


@pytest.mark.parametrize(
    ("moved_by", "farthest", "is_the_same"),
    [
        ((3.0, 4.0, 0.0), 5.0, True),  # the sides of a right triangle: 5 is not farther than 5
        ((3.0, 4.0, 0.0), 4.99, False),
        ((0.0, 0.0, -2.0), 2.0, True),
        ((0.0, 0.0, -2.0), 1.99, False),
        ((1.0, 2.0, -2.0), 3.0, True),
        ((1.0, 2.0, -2.0), 2.99, False),
        ((0.0, 0.0, 0.0), 0.01, True),
    ],
)
def test_a_centre_beyond_the_cut_off_is_a_new_segment(moved_by, farthest, is_the_same):
    before = [[1.0, 1.0, 1.0], [50.0, 50.0, 50.0]]
    now = np.array([before[1], np.add(before[0], moved_by)])
    assert identities(now, scaled(), in_force(before), NEXT, farthest) == [3, 2 if is_the_same else NEXT]


@pytest.mark.parametrize("seed", range(40))
def test_the_pairs_are_those_whose_distances_add_up_to_the_least(seed):
    """Witness: all ways to pair them, a pair beyond the cut-off counting as one at the cut-off."""
    random = np.random.default_rng(seed)
    before, now = (random.normal(0, 1, (random.integers(1, 5), 3)) for _ in range(2))
    farthest = random.uniform(0.5, 2)
    slots = [*range(len(before)), *[None] * len(now)]

    def distance(place: int, other: int | None) -> float:
        return farthest if other is None else float(np.linalg.norm(now[place] - before[other]))

    ways = set(permutations(slots, len(now)))
    best = min(ways, key=lambda way: sum(min(distance(place, other), farthest) for place, other in enumerate(way)))
    fresh = iter(range(NEXT, NEXT + len(now)))
    expected = [
        next(fresh) if other is None or distance(place, other) > farthest else IDS[other]
        for place, other in enumerate(best)
    ]
    assert identities(now, scaled(), in_force(before), NEXT, farthest) == expected


@pytest.mark.parametrize("where", [1.5, 5.0, 500.0])
def test_how_far_away_a_new_segment_is_changes_no_one_elses_id(where):
    """By the sum of all distances the centre at 0.9 would go to 0.0, so that the far one is nearer to what is left."""
    before, now = [[0.0], [1.0]], np.array([[0.9], [1.0 + where]])
    scalings = scaled(["monetary"])
    assert identities(now, scalings, in_force(before, scalings=scalings), NEXT, 1.0) == [3, NEXT]


# --- ids --------------------------------------------------------------------------------------------------------------


def test_new_ids_start_at_the_next_one_so_that_a_retired_id_never_comes_back():
    third = CORNERS[[0, 1, 2]]
    assert identities(third, scaled(), in_force(CORNERS), NEXT, 1.0) == [2, 3, 7]  # 11 is retired
    again = identities(CORNERS, scaled(), in_force(third), NEXT, 1.0)
    assert again == [2, 3, 7, NEXT]  # and its customers, back again, are someone new


def test_new_ids_follow_the_order_of_the_centres():
    far = CORNERS + 100
    mixed = np.array([far[3], CORNERS[1], far[0], CORNERS[0]])
    assert identities(mixed, scaled(), in_force(CORNERS), NEXT, 1.0) == [NEXT, 3, NEXT + 1, 2]


def test_of_two_halves_of_a_segment_the_nearer_continues_it():
    halves = np.array([[0.5, 0.0, 0.0], [-0.4, 0.0, 0.0], *CORNERS[1:]])
    assert identities(halves, scaled(), in_force(CORNERS), NEXT, 1.0) == [NEXT, *IDS]


@pytest.mark.parametrize("found", [[0], [3], [1, 3], [3, 2, 0]])
def test_fewer_segments_than_before_keep_theirs(found):
    assert identities(CORNERS[found], scaled(), in_force(CORNERS), NEXT, 1.0) == [IDS[place] for place in found]


@pytest.mark.parametrize("known", [1, 2, 3])
def test_more_segments_than_before_are_the_known_ones_and_new_ones(known):
    fresh = list(range(NEXT, NEXT + 4 - known))
    assert identities(CORNERS, scaled(), in_force(CORNERS[:known]), NEXT, 1.0) == [*IDS[:known], *fresh]


@pytest.mark.parametrize("seed", range(10))
def test_no_two_segments_share_an_id(seed):
    random = np.random.default_rng(seed)
    before, now = random.normal(0, 1, (4, 3)), random.normal(0, 1, (6, 3))
    ids = identities(now, scaled(), in_force(before), NEXT, 1.0)
    assert len(set(ids)) == 6
    assert set(ids) <= {*IDS, *range(NEXT, NEXT + 6)}


# --- coordinates ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("farthest", "number"), [(1.0, 2), (0.99, NEXT)])
def test_distances_are_in_standard_deviations_of_the_model_in_force(farthest, number):
    """1.5 of the new model is 1.5 * 2 + 1 = 4 in logarithms, and (4 - 2) / 0.5 = 4 of the old one, where 3 was."""
    before = in_force([[3.0]], scalings=scaled(["monetary"], mean=2.0, scale=0.5))
    assert identities(np.array([[1.5]]), scaled(["monetary"], mean=1.0, scale=2.0), before, NEXT, farthest) == [number]


@pytest.mark.parametrize("winsor_share", [0.0, 0.02, 0.1])
@pytest.mark.parametrize("customers", [500, 250])
def test_another_scaling_of_the_same_customers_gives_the_same_ids(shoppers, winsor_share, customers):
    before = fit_scaling(shoppers, RFM, 0.005)
    points = transform(shoppers, before)
    clusters = Fitter(points, "kmeans", 42, 3).fit(4)
    scalings = fit_scaling(shoppers.head(customers), RFM, winsor_share)
    again = transform(shoppers, scalings)
    order = [2, 0, 3, 1]
    centres = np.array([again[clusters.labels == label].mean(axis=0) for label in order])
    assert np.abs(centres - clusters.centres[order]).max() > 0.001
    found = identities(centres, scalings, in_force(clusters.centres, scalings=before), NEXT, 1.0)
    assert found == [IDS[label] for label in order]


@pytest.mark.parametrize("features", list(permutations(RFM)))
def test_the_order_of_features_makes_no_difference(features):
    columns = [RFM.index(feature) for feature in features]
    assert identities(CORNERS[:, columns], scaled(features), in_force(CORNERS), NEXT, 1.0) == list(IDS)


def test_features_that_only_one_model_knows_are_left_out():
    """They share frequency alone, where the segments in force are at 0, 4, 8 and 12."""
    before = in_force([[5.0, 0.0], [5.0, 4.0], [5.0, 8.0], [5.0, 12.0]], scalings=scaled(["recency_days", "frequency"]))
    now = np.array([[99.0, 8.1], [-99.0, 0.2], [0.0, 20.0], [7.0, 4.5]])
    assert identities(now, scaled(["monetary", "frequency"]), before, NEXT, 1.0) == [7, 2, NEXT, 3]


def test_models_without_a_feature_in_common_have_no_segment_in_common():
    before = in_force([[0.0], [4.0]], scalings=scaled(["recency_days"]))
    assert identities(np.array([[0.0], [4.0]]), scaled(["monetary"]), before, NEXT, 1.0) == [NEXT, NEXT + 1]
