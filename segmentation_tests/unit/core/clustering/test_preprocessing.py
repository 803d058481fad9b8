"""Preprocessing: the sample, the scaling and the cuts of the scores."""

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import StandardScaler

from segmentation_pipeline.core.clustering import preprocessing
from segmentation_pipeline.core.clustering.scoring import RFM


@pytest.fixture(scope="module")
def sampled(engine, features):
    return lambda frame, rows, seed=42: engine.to_pandas(preprocessing.sample(features(frame), rows, seed))


@pytest.mark.parametrize("winsor_share", [0.0, 0.005, 0.1])
def test_scaling_agrees_with_scikit_learn(shoppers, winsor_share):
    scalings = preprocessing.fit_scaling(shoppers, RFM, winsor_share)
    values = shoppers[list(RFM)].to_numpy(dtype=float)
    lower, upper = np.quantile(values, [winsor_share, 1 - winsor_share], axis=0)
    logs = np.log1p(np.clip(values, lower, upper))
    witness = StandardScaler().fit(logs)
    np.testing.assert_allclose([each.mean for each in scalings], witness.mean_, rtol=1e-12)
    np.testing.assert_allclose([each.scale for each in scalings], witness.scale_, rtol=1e-12)
    np.testing.assert_allclose(preprocessing.transform(shoppers, scalings), witness.transform(logs), rtol=0, atol=1e-12)


def test_a_feature_that_never_varies_adds_nothing_to_a_distance():
    frame = pd.DataFrame({"frequency": [3] * 10})
    (scaling,) = preprocessing.fit_scaling(frame, ["frequency"], 0.005)
    assert scaling.scale == 1.0
    np.testing.assert_array_equal(preprocessing.transform(frame, [scaling]), np.zeros((10, 1)))


def test_values_beyond_the_cuts_are_taken_as_the_cuts():
    scaling = preprocessing.Scaling("monetary", lower_cut=1.0, upper_cut=9.0, mean=0.5, scale=2.0)
    found = scaling.transform(np.array([-100.0, 1.0, 4.0, 9.0, 1e9, np.nan]))
    expected = (np.log([2.0, 2.0, 5.0, 10.0, 10.0, np.nan]) - 0.5) / 2.0
    np.testing.assert_allclose(found, expected, rtol=1e-15)


@pytest.mark.parametrize("rows", [100, 161, 194, 1_000, 2_989, 2_990])
def test_a_sample_has_exactly_the_size_asked_for(sampled, everyone, rows):
    assert len(sampled(everyone, rows)) == rows


@pytest.mark.parametrize("customers", [161, 167, 193, 194, 195])
def test_a_sample_has_that_size_whatever_the_number_of_customers(sampled, shoppers, customers):
    assert len(sampled(shoppers.head(customers), 100)) == 100


def test_few_customers_are_all_taken_once_by_id(sampled, everyone):
    found = sampled(everyone.sample(frac=1, random_state=1), 100_000)
    assert found["customer_id"].tolist() == sorted(everyone["customer_id"][10:])
    assert found.columns.tolist() == everyone.columns.tolist()


def test_customers_without_net_spend_are_never_sampled(sampled, everyone):
    assert sampled(everyone.head(10), 100).empty


def test_a_sample_does_not_depend_on_the_order_of_rows(sampled, everyone):
    shuffled = everyone.sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(sampled(everyone, 300), sampled(shuffled, 300))


def test_another_seed_draws_others_among_equal_customers_only(sampled, everyone):
    equal = everyone.tail(2_000).assign(frequency=1, monetary=10.0)
    first, second = (set(sampled(equal, 200, seed)["customer_id"]) for seed in (1, 2))
    assert len(first & second) < 60  # 20 by chance; a standard deviation is 4
    different = everyone.tail(2_000).assign(frequency=1, monetary=np.arange(2_000.0) + 1)
    assert set(sampled(different, 200, 1)["customer_id"]) == set(sampled(different, 200, 2)["customer_id"])


def test_every_stretch_of_frequency_gives_its_share(sampled, everyone):
    spending = everyone[10:]
    found = sampled(everyone, 299)["frequency"].value_counts()
    expected = spending["frequency"].value_counts() * 299 / len(spending)
    assert (found.reindex(expected.index, fill_value=0) - expected).abs().max() < 1


def test_score_cuts_are_values_that_occur_and_split_distinct_ones_evenly():
    assert preprocessing.score_cuts(pd.DataFrame({"monetary": range(1, 11)}), "monetary") == [2, 4, 6, 8]


def test_score_cuts_of_ties_are_equal():
    orders = pd.DataFrame({"frequency": [1] * 65 + [2] * 10 + [3] * 15 + [9] * 10})
    assert preprocessing.score_cuts(orders, "frequency") == [1, 1, 1, 3]


def test_score_cuts_do_not_depend_on_the_order_of_rows(shoppers):
    shuffled = shoppers.sample(frac=1, random_state=2)
    assert preprocessing.score_cuts(shuffled, "monetary") == preprocessing.score_cuts(shoppers, "monetary")


@pytest.mark.parametrize("broken", [np.nan, np.inf, -5.0])
def test_a_feature_that_cannot_be_put_on_a_log_scale_is_refused_by_name_and_counted(shoppers, broken):
    frame = shoppers.astype({"monetary": float})
    frame.loc[[3, 8], "monetary"] = broken
    with pytest.raises(
        preprocessing.UnusableFeature, match="monetary is missing, infinite or below 0 for 2 of 500 customers"
    ):
        preprocessing.fit_scaling(frame, RFM, 0.005)
