"""Naming: every segment one name, no name twice, the nearest by sum of distances."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans

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
        if k <= CORE_ARCHETYPES:
            assert {each.name for each in found} <= {each.name for each in DEFAULT_ARCHETYPES[:CORE_ARCHETYPES]}


@pytest.mark.parametrize("k", [2, 3, 4, 5])
def test_no_other_assignment_is_nearer_in_sum(k):
    candidates = DEFAULT_ARCHETYPES[:CORE_ARCHETYPES] if k <= CORE_ARCHETYPES else DEFAULT_ARCHETYPES[:8]
    for seed in range(5):
        centres = np.random.default_rng(seed).normal(size=(k, 3))
        squared = ((centres[:, None] - places(candidates)[None]) ** 2).sum(axis=2)
        best = min(permutations(range(len(candidates)), k), key=lambda chosen: squared[range(k), chosen].sum())
        assert assign(centres, candidates) == [candidates[place] for place in best]


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
    assert len({each.name for each in DEFAULT_ARCHETYPES}) == len(DEFAULT_ARCHETYPES) == 18
    assert len({each.color.lower() for each in DEFAULT_ARCHETYPES}) == 18
    assert {each.name for each in DEFAULT_ARCHETYPES[:CORE_ARCHETYPES]} == set(FOUNDING)


@pytest.mark.parametrize("k", range(5, 13))
def test_names_of_many_segments_of_real_customers_fit_their_profile(k, online_retail_places):
    """A name that says lately, seldom or much is not given to customers who are clearly the other way."""
    centres = KMeans(k, n_init=5, random_state=42).fit(online_retail_places).cluster_centers_
    for centre, archetype in zip(centres, assign(centres, DEFAULT_ARCHETYPES), strict=True):
        for found, said in zip(centre, (-archetype.recency, archetype.frequency, archetype.monetary), strict=True):
            assert found * said > 0 or min(abs(found), abs(said)) < 0.75, (archetype.name, centre)


@pytest.fixture(scope="module")
def online_retail_places(online_retail):
    """Standardised log1p of recency, frequency and monetary of each customer, by pandas."""
    lines = pd.read_parquet(online_retail).drop_duplicates()
    sold = lines["CustomerID"].notna() & ~lines["InvoiceNo"].str.startswith("C")
    lines = lines[sold & (lines["Quantity"] > 0) & (lines["UnitPrice"] > 0)]
    lines = lines.assign(amount=lines["Quantity"] * lines["UnitPrice"])
    rfm = lines.groupby("CustomerID").agg(day=("InvoiceDate", "max"), f=("InvoiceNo", "nunique"), m=("amount", "sum"))
    rfm["day"] = (pd.Timestamp("2011-12-10") - rfm["day"]).dt.days
    places = np.log1p(rfm.clip(rfm.quantile(0.005), rfm.quantile(0.995), axis=1).to_numpy(dtype=float))
    return (places - places.mean(axis=0)) / places.std(axis=0)
