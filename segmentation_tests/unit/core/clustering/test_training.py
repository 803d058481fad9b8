"""Training: a named model, numbered by worth, the same for the same customers."""

import json
from datetime import date
from importlib.metadata import version

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score

from segmentation_pipeline.core.clustering.preprocessing import fit_scaling, score_cuts, transform
from segmentation_pipeline.core.clustering.scoring import RFM
from segmentation_pipeline.core.clustering.training import principal_components, train
from segmentation_pipeline.settings import DEFAULT_ARCHETYPES, Model

AS_OF = date(2011, 12, 9)


@pytest.fixture(scope="module")
def model(shoppers):
    return train(shoppers, AS_OF, 4, "because", Model())


@pytest.mark.parametrize("k", range(2, 13))
def test_every_segment_has_a_name_of_its_own_from_the_catalogue(shoppers, k):
    trained = train(shoppers, AS_OF, k, "because", Model(restarts=1))
    catalogue = {each.name: (each.color, each.action) for each in DEFAULT_ARCHETYPES}
    assert len({segment.name for segment in trained.segments}) == k
    for segment in trained.segments:
        assert catalogue[segment.name] == (segment.color, segment.action)


def test_segments_are_numbered_from_one_by_the_worth_of_their_customers(model):
    worth = [-recency + frequency + monetary for recency, frequency, monetary in model.centres]
    assert [segment.segment_id for segment in model.segments] == [1, 2, 3, 4]
    assert worth == sorted(worth, reverse=True)
    assert model.segments[0].name == "VIP Customers"


@pytest.mark.parametrize("algorithm", ["kmeans", "ward"])
def test_the_same_customers_give_the_same_model(shoppers, algorithm):
    first, second = (train(shoppers.copy(), AS_OF, 4, "because", Model(algorithm=algorithm)) for _ in range(2))
    assert json.dumps(dict(first.card)) == json.dumps(dict(second.card))
    assert (first.segments, first.scalings, first.score_cuts) == (second.segments, second.scalings, second.score_cuts)
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
    assert sorted(card["segment_shares"]) == sorted(np.bincount(nearest.argmin(axis=1)) / len(points))
    assert card["settings"]["seed"] == 42
    assert "archetypes" not in card["settings"]
    assert card["libraries"]["scikit-learn"] == version("scikit-learn")


def test_the_card_tells_samples_apart(model, shoppers):
    changed = shoppers.copy()
    changed.loc[0, "monetary"] += 0.01
    digests = {train(frame, AS_OF, 4, "", Model()).card["sample_sha256"] for frame in (shoppers, changed)}
    assert len(digests) == 2
    assert model.card["sample_sha256"] in digests


def test_score_cuts_are_those_of_the_sample(model, shoppers):
    assert {feature: list(cuts) for feature, cuts in model.score_cuts.items()} == {
        feature: score_cuts(shoppers, feature) for feature in RFM
    }


def test_features_left_out_take_no_part_in_clusters_and_still_have_scores(shoppers):
    trained = train(shoppers, AS_OF, 3, "because", Model(features=("recency_days", "monetary")))
    assert [scaling.feature for scaling in trained.scalings] == ["recency_days", "monetary"]
    assert trained.centres.shape == (3, 2)
    assert set(trained.score_cuts) == set(RFM)
    worth = [monetary - recency for recency, monetary in trained.centres]
    assert worth == sorted(worth, reverse=True)


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
