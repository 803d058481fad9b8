"""Training: a named model, numbered by worth and then by what it continues, the same for the same customers."""

import json
from dataclasses import replace
from datetime import date
from importlib.metadata import version

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score

from segmentation_pipeline.core.clustering.fitting import Algorithm, Fitter
from segmentation_pipeline.core.clustering.preprocessing import fit_scaling, score_cuts, transform
from segmentation_pipeline.core.clustering.scoring import RFM, SegmentationModel
from segmentation_pipeline.core.clustering.stability import bootstrap_stability
from segmentation_pipeline.core.clustering.training import Choice, principal_components, train
from segmentation_pipeline.settings import DEFAULT_ARCHETYPES, Model

AS_OF = date(2011, 12, 9)
ALGORITHMS: tuple[Algorithm, ...] = ("kmeans", "bisecting_kmeans", "ward", "gaussian_mixture")
FOUR = Choice(AS_OF, RFM, "kmeans", 4, "because")


@pytest.fixture(scope="module")
def model(shoppers):
    return train(shoppers, FOUR, Model())


@pytest.mark.parametrize("k", range(2, 13))
def test_every_segment_has_a_name_of_its_own_from_the_catalogue(shoppers, k):
    trained = train(shoppers, replace(FOUR, k=k), Model(restarts=1))
    catalogue = {each.name: (each.color, each.action) for each in DEFAULT_ARCHETYPES}
    assert len({segment.name for segment in trained.segments}) == k
    for segment in trained.segments:
        assert catalogue[segment.name] == (segment.color, segment.action)


def test_segments_are_numbered_from_one_by_the_worth_of_their_customers(model):
    worth = [-recency + frequency + monetary for recency, frequency, monetary in model.centres]
    assert [segment.segment_id for segment in model.segments] == [1, 2, 3, 4]
    assert worth == sorted(worth, reverse=True)
    assert model.segments[0].name == "VIP Customers"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_same_customers_give_the_same_model(shoppers, algorithm):
    choice = replace(FOUR, algorithm=algorithm)
    first, second = (train(shoppers.copy(), choice, Model(restarts=2)) for _ in range(2))
    assert json.dumps(dict(first.card)) == json.dumps(dict(second.card))
    assert (first.segments, first.scalings, first.score_cuts) == (second.segments, second.scalings, second.score_cuts)
    assert first.reference == second.reference
    np.testing.assert_array_equal(first.components, second.components)


def test_the_card_says_where_the_model_came_from(model, shoppers):
    card = json.loads(json.dumps(dict(model.card)))
    points = transform(shoppers, fit_scaling(shoppers, RFM, Model().winsor_share))
    nearest = ((points[:, None, :] - model.centres[None]) ** 2).sum(axis=2)
    assert card["as_of"] == "2011-12-09"
    assert (card["algorithm"], card["k"], card["reason"]) == ("kmeans", 4, "because")
    assert card["features"] == list(RFM)
    assert card["fitted_on_customers"] == len(shoppers)
    assert card["inertia"] == pytest.approx(nearest.min(axis=1).sum(), rel=1e-12)
    assert card["silhouette"] == pytest.approx(silhouette_score(points, nearest.argmin(axis=1)), rel=1e-9)
    shares = np.bincount(nearest.argmin(axis=1)) / len(points)
    assert card["segments"] == {segment.name: share for segment, share in zip(model.segments, shares, strict=True)}
    assert card["first_order"] == str(shoppers["first_order_date"].min())[:10]
    assert card["settings"]["seed"] == 42
    assert "archetypes" not in card["settings"]
    assert card["libraries"]["scikit-learn"] == version("scikit-learn")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_card_says_how_much_of_it_comes_back_from_bootstrap_samples(shoppers, points, algorithm):
    trained = train(shoppers, replace(FOUR, algorithm=algorithm), Model(restarts=2))
    fitter = Fitter(points, algorithm, 42, 2)
    stability = bootstrap_stability(fitter.fit(4), fitter)
    assert trained.card["algorithm"] == algorithm
    assert trained.card["stability"] == stability.agreement
    assert trained.card["least_jaccard"] == min(stability.jaccards)


def test_the_card_tells_samples_apart(model, shoppers):
    changed = shoppers.copy()
    changed.loc[0, "monetary"] += 0.01
    digests = {train(frame, FOUR, Model(restarts=1)).card["sample_sha256"] for frame in (shoppers, changed)}
    assert len(digests) == 2
    assert model.card["sample_sha256"] in digests


def test_score_cuts_are_those_of_the_sample(model, shoppers):
    assert {feature: list(cuts) for feature, cuts in model.score_cuts.items()} == {
        feature: score_cuts(shoppers, feature) for feature in RFM
    }


def test_features_left_out_take_no_part_in_clusters_and_still_have_scores(shoppers):
    trained = train(shoppers, replace(FOUR, features=("recency_days", "monetary"), k=3), Model())
    assert [scaling.feature for scaling in trained.scalings] == ["recency_days", "monetary"]
    assert trained.centres.shape == (3, 2)
    assert set(trained.score_cuts) == set(RFM)
    assert trained.card["features"] == ["recency_days", "monetary"]
    assert {each.name for each in trained.reference} == {"recency_days", "monetary", "segments"}
    worth = [monetary - recency for recency, monetary in trained.centres]
    assert worth == sorted(worth, reverse=True)


@pytest.mark.parametrize("feature", RFM)
def test_the_reference_of_a_feature_is_how_many_customers_are_between_its_cuts(model, shoppers, feature):
    bins = [each for each in model.reference if each.name == feature]
    uppers = [-np.inf, *(each.upper for each in bins[:-1]), np.inf]
    assert [each.bin for each in bins] == list(range(1, len(bins) + 1))
    assert [each.share for each in bins] == (pd.cut(shoppers[feature], uppers).value_counts(sort=False) / 500).tolist()


def test_the_reference_of_the_segments_is_their_shares_by_id(model):
    bins = [each for each in model.reference if each.name == "segments"]
    assert [each.bin for each in bins] == [1, 2, 3, 4]
    assert [each.share for each in bins] == pytest.approx(
        [model.card["segments"][each.name] for each in model.segments]
    )


# --- the same segments again ------------------------------------------------------------------------------------------

# Recency, orders and money of kinds of customers that no algorithm takes for one another.
APART = ((3, 40, 9_000.0), (20, 3, 4_000.0), (90, 12, 400.0), (320, 1, 60.0))


def apart(kinds=APART, seed: int = 3) -> pd.DataFrame:
    """Sixty customers of each kind, in the order of the kinds."""
    random = np.random.default_rng(seed)
    recency, orders, money = np.repeat(kinds, 60, axis=0).T
    return pd.DataFrame(
        {
            "customer_id": [f"{number:05}" for number in range(len(recency))],
            "recency_days": recency.astype("int64") + random.integers(0, 3, len(recency)),
            "frequency": orders.astype("int64") + random.integers(0, 2, len(recency)),
            "monetary": (money * random.lognormal(0, 0.05, len(recency))).round(2),
            "first_order_date": pd.Timestamp("2010-12-01"),
        }
    )


def ids_of(customers: pd.DataFrame, model: SegmentationModel) -> pd.Series:
    """Segment of each customer, by customer id."""
    ids = np.array([segment.segment_id for segment in model.segments])
    places = cdist(transform(customers, model.scalings), model.centres).argmin(axis=1)
    return pd.Series(ids[places], index=customers["customer_id"]).sort_index()


def renumbered(model: SegmentationModel, *ids: int) -> SegmentationModel:
    """As it would be after years of refits, with ids that do not follow worth."""
    segments = [replace(segment, segment_id=number) for segment, number in zip(model.segments, ids, strict=True)]
    return replace(model, segments=tuple(sorted(segments, key=lambda segment: segment.segment_id)))


AGAIN = {
    "another order of customers": lambda frame, settings: (frame.sample(frac=1, random_state=4), settings),
    "another seed": lambda frame, settings: (frame, settings.model_copy(update={"seed": 7})),
    "other cuts": lambda frame, settings: (frame, settings.model_copy(update={"winsor_share": 0.05})),
    "four fifths of them": lambda frame, settings: (frame.sample(frac=0.8, random_state=6), settings),
}


@pytest.mark.parametrize("change", AGAIN.values(), ids=AGAIN.keys())
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_customer_changes_its_id_on(algorithm, change):
    customers, choice, settings = apart(), replace(FOUR, algorithm=algorithm), Model(restarts=3)
    first = train(customers, choice, settings)
    in_force = renumbered(first, 9, 2, 11, 4)
    again, changed = change(customers, settings)
    for before, next_id in ((None, 1), (in_force, 12)):
        found = train(again, choice, changed, before, next_id)
        expected = ids_of(customers, before or first)
        pd.testing.assert_series_equal(ids_of(customers, found), expected)
        assert expected.nunique() == 4


def test_segments_are_in_order_of_their_ids_with_names_looks_and_shares_of_their_own():
    customers = apart().head(200)  # the last kind has a third of its customers
    first = train(customers, FOUR, Model(restarts=2))
    found = train(customers, FOUR, Model(restarts=2), renumbered(first, 9, 2, 11, 4), 12)
    assert [segment.segment_id for segment in found.segments] == [2, 4, 9, 11]
    numbers = {1: 9, 2: 2, 3: 11, 4: 4}
    assert {replace(each, segment_id=numbers[each.segment_id]) for each in first.segments} == set(found.segments)
    assert found.card["segments"] == first.card["segments"]
    counts = ids_of(customers, found).value_counts(normalize=True).sort_index()
    bins = [each for each in found.reference if each.name == "segments"]
    assert {each.bin: each.share for each in bins} == pytest.approx(counts.to_dict())


def test_a_kind_that_is_new_gets_the_next_id_and_the_others_keep_theirs():
    in_force = renumbered(train(apart(), FOUR, Model(restarts=3)), 9, 2, 11, 4)
    more = apart((*APART, (320, 60, 90_000.0)))
    found = ids_of(more, train(more, replace(FOUR, k=5), Model(restarts=3), in_force, 12))
    assert found[:240].tolist() == ids_of(apart(), in_force).tolist()
    assert set(found[240:]) == {12}


def test_a_kind_that_is_gone_takes_its_id_with_it():
    in_force = renumbered(train(apart(), FOUR, Model(restarts=3)), 9, 2, 11, 4)
    fewer = apart(APART[1:])
    found = ids_of(fewer, train(fewer, replace(FOUR, k=3), Model(restarts=3), in_force, 12))
    assert found.tolist() == ids_of(apart(), in_force)[60:].tolist()


@pytest.mark.parametrize(("shift", "is_the_same"), [(0.3, False), (1.2, True)])
def test_a_kind_that_moves_farther_than_the_setting_allows_is_a_new_segment(shift, is_the_same):
    """Four times the money is ln 4 = 1.39 in logarithms, of which one standard deviation here is 1.96."""
    in_force = train(apart(), FOUR, Model(restarts=3))
    richer = apart((*APART[:3], (320, 1, 240.0)))
    found = ids_of(richer, train(richer, FOUR, Model(restarts=3, max_centre_shift=shift), in_force, 5))
    before = ids_of(apart(), in_force)
    assert found[:180].tolist() == before[:180].tolist()
    assert set(found[180:]) == (set(before[180:]) if is_the_same else {5})


# --- components -------------------------------------------------------------------------------------------------------


def test_components_agree_with_scikit_learn(points):
    components, shares = principal_components(points)
    witness = PCA(2).fit(points)
    signs = np.sign((components * witness.components_).sum(axis=1))
    np.testing.assert_allclose(components, witness.components_ * signs[:, None], rtol=0, atol=1e-9)
    np.testing.assert_allclose(shares, witness.explained_variance_ratio_, rtol=1e-9)


def test_the_largest_entry_of_a_component_is_positive(points):
    for given in (points, -points):
        components, _ = principal_components(given)
        assert (components[[0, 1], np.abs(components).argmax(axis=1)] > 0).all()


def test_one_feature_has_no_second_direction():
    components, shares = principal_components(np.array([[1.0], [2.0], [4.0]]))
    np.testing.assert_array_equal(components, [[1.0], [0.0]])
    assert shares == pytest.approx((1.0, 0.0))


def test_customers_that_are_all_the_same_have_no_spread():
    assert principal_components(np.ones((5, 3)))[1] == (0.0, 0.0)


def test_the_projection_is_that_of_the_components(model, shoppers):
    points = transform(shoppers, model.scalings)
    witness = PCA(2).fit(points)
    found = model.project(shoppers)
    np.testing.assert_allclose(found.var(axis=0), witness.transform(points).var(axis=0), rtol=1e-9)
