"""Naming: every segment one name, no name twice, the nearest by sum of distances."""

from itertools import permutations

import numpy as np
import pytest

from segmentation_pipeline.core.naming import CORE_ARCHETYPES, assign
from segmentation_pipeline.settings import DEFAULT_ARCHETYPES

# Centres of four clusters of Online Retail at 2011-12-09: standardised recency_days, frequency, monetary.
FOUNDING = {
    "At-Risk / Churned": (0.87, -0.79, -0.81),
    "Recent Low Spenders": (-0.84, -0.38, -0.41),
    "Loyal Mid-Spenders": (0.14, 0.33, 0.53),
    "VIP Customers": (-1.26, 1.66, 1.41),
}


def places(archetypes):
    return np.array([[-each.recency, each.frequency, each.monetary] for each in archetypes])


@pytest.mark.parametrize("order", list(permutations(FOUNDING)), ids=lambda order: "-".join(name[:2] for name in order))
def test_the_founding_centres_get_the_founding_names_in_any_order(order):
    found = assign(np.array([FOUNDING[name] for name in order]), DEFAULT_ARCHETYPES)
    assert [archetype.name for archetype in found] == list(order)


@pytest.mark.parametrize("k", range(1, 13))
def test_any_number_of_centres_gets_as_many_different_names(k):
    for seed in range(20):
        found = assign(np.random.default_rng(seed).normal(size=(k, 3)), DEFAULT_ARCHETYPES)
        assert len({archetype.name for archetype in found}) == k
        assert {archetype.name for archetype in found} <= {
            archetype.name for archetype in DEFAULT_ARCHETYPES[: max(k, CORE_ARCHETYPES)]
        }


@pytest.mark.parametrize("k", [2, 3, 4, 5, 6])
def test_no_other_assignment_is_nearer_in_sum(k):
    candidates = DEFAULT_ARCHETYPES[: max(k, CORE_ARCHETYPES)]
    for seed in range(5):
        centres = np.random.default_rng(seed).normal(size=(k, 3))
        squared = ((centres[:, None] - places(candidates)[None]) ** 2).sum(axis=2)
        best = min(permutations(range(len(candidates)), k), key=lambda chosen: squared[range(k), chosen].sum())
        assert assign(centres, DEFAULT_ARCHETYPES) == [candidates[place] for place in best]


def test_centres_at_the_archetypes_get_them():
    shuffled = np.random.default_rng(1).permutation(len(DEFAULT_ARCHETYPES))
    found = assign(places(DEFAULT_ARCHETYPES)[shuffled], DEFAULT_ARCHETYPES)
    assert found == [DEFAULT_ARCHETYPES[place] for place in shuffled]


def test_a_feature_the_clusters_do_not_know_is_left_out_of_the_distance():
    centres = places(DEFAULT_ARCHETYPES[:4])
    centres[:, 1] = np.nan
    assert assign(centres, DEFAULT_ARCHETYPES) == list(DEFAULT_ARCHETYPES[:4])


def test_too_few_names_are_refused():
    with pytest.raises(ValueError, match="3 archetypes cannot name 4 segments"):
        assign(np.zeros((4, 3)), DEFAULT_ARCHETYPES[:3])


def test_the_catalogue_has_a_name_and_a_color_for_each_and_covers_the_largest_k():
    assert len({each.name for each in DEFAULT_ARCHETYPES}) == len(DEFAULT_ARCHETYPES) == 12
    assert len({each.color.lower() for each in DEFAULT_ARCHETYPES}) == 12
    assert {each.name for each in DEFAULT_ARCHETYPES[:CORE_ARCHETYPES]} == set(FOUNDING)
