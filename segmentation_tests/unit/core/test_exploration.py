"""Exploration: statistics that agree with pandas and SciPy, before and after the transform."""

from datetime import date

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from segmentation_pipeline.core import exploration, schema
from segmentation_pipeline.core.clustering.preprocessing import fit_scaling
from segmentation_pipeline.core.clustering.scoring import RFM

AS_OF = date(2011, 12, 9)


def customers() -> pd.DataFrame:
    random = np.random.default_rng(4)
    orders = 1 + random.poisson(2, 400)
    return pd.DataFrame(
        {
            "recency_days": random.integers(0, 370, 400),
            "frequency": orders,
            "monetary": (orders * random.lognormal(4, 1, 400)).round(2),
        }
    )


@pytest.fixture(scope="module")
def scalings():
    return {each.feature: each for each in fit_scaling(customers(), RFM, 0.01)}


@pytest.fixture(scope="module")
def explored(scalings):
    return exploration.explore(customers(), list(scalings.values()), AS_OF)


@pytest.fixture(scope="module")
def values(scalings):
    """Values by scale and feature, transformed by hand."""
    original = {feature: customers()[feature].to_numpy(dtype=float) for feature in RFM}
    logs = {f: np.log1p(np.clip(v, *np.quantile(v, [0.01, 0.99]))) for f, v in original.items()}
    return {"original": original, "transformed": {f: (v - v.mean()) / v.std() for f, v in logs.items()}}


def statistic(explored, measure, feature, scale):
    rows = explored[(explored["measure"] == measure) & (explored["feature"] == feature) & (explored["scale"] == scale)]
    return rows.set_index("item")


EVERY = [(feature, scale) for feature in RFM for scale in ("original", "transformed")]


def test_exploration_has_the_columns_of_its_table_and_one_row_for_each_statistic(explored):
    assert explored.columns.tolist() == schema.FEATURE_EXPLORATION.names
    assert set(explored["date"]) == {AS_OF}
    assert not explored.duplicated(["measure", "feature", "scale", "item"]).any()
    assert len(explored) == len(EVERY) * (7 + 5 + 40 + 2 * 3)
    assert exploration.NOTHING.columns.tolist() == schema.FEATURE_EXPLORATION.names
    assert exploration.NOTHING.empty


@pytest.mark.parametrize(("feature", "scale"), EVERY)
def test_quantiles_agree_with_pandas(explored, values, feature, scale):
    found = statistic(explored, "quantile", feature, scale)["value"]
    expected = pd.Series(values[scale][feature]).quantile([0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99])
    assert [float(share) for share in found.index] == expected.index.tolist()
    np.testing.assert_allclose(found.to_numpy(), expected.to_numpy(), rtol=0, atol=1e-9)


@pytest.mark.parametrize(("feature", "scale"), EVERY)
def test_moments_agree_with_pandas_and_scipy(explored, values, feature, scale):
    found = statistic(explored, "moment", feature, scale)["value"]
    sample = pd.Series(values[scale][feature])
    assert found["mean"] == pytest.approx(sample.mean(), abs=1e-9)
    assert found["standard_deviation"] == pytest.approx(sample.std(ddof=0), rel=1e-9)
    assert found["skewness"] == pytest.approx(stats.skew(sample), rel=1e-9)
    assert found["kurtosis"] == pytest.approx(stats.kurtosis(sample), rel=1e-9)


@pytest.mark.parametrize(("feature", "scale"), EVERY)
def test_the_share_at_the_edge_is_of_customers_at_or_beyond_a_cut(explored, scalings, feature, scale):
    sample = customers()[feature]
    at_edge = (sample <= scalings[feature].lower_cut) | (sample >= scalings[feature].upper_cut)
    assert statistic(explored, "moment", feature, scale)["value"]["share_at_edge"] == at_edge.mean()


@pytest.mark.parametrize(("feature", "scale"), EVERY)
def test_bins_of_a_histogram_join_and_count_every_customer(explored, values, feature, scale):
    bins = statistic(explored, "histogram", feature, scale)
    sample = values[scale][feature]
    assert bins["value"].sum() == len(sample)
    assert bins["upper"].tolist()[:-1] == bins["lower"].tolist()[1:]
    assert (bins["lower"].iloc[0], bins["upper"].iloc[-1]) == pytest.approx((sample.min(), sample.max()), abs=1e-12)
    inside = [((sample >= low) & (sample < high)).sum() for low, high in zip(bins["lower"], bins["upper"], strict=True)]
    assert bins["value"].tolist()[1:-1] == inside[1:-1]


@pytest.mark.parametrize(("feature", "scale"), EVERY)
def test_correlations_agree_with_scipy(explored, values, feature, scale):
    found = statistic(explored, "correlation", feature, scale)["value"]
    for other in RFM:
        pair = values[scale][feature], values[scale][other]
        assert found[f"pearson:{other}"] == pytest.approx(stats.pearsonr(*pair).statistic, abs=1e-9)
        assert found[f"spearman:{other}"] == pytest.approx(stats.spearmanr(*pair).statistic, abs=1e-9)


def test_a_feature_that_never_varies_has_no_shape_and_no_correlations():
    same = customers().assign(frequency=1)
    explored = exploration.explore(same, fit_scaling(same, RFM, 0.01), AS_OF)
    for scale in ("original", "transformed"):
        moments = statistic(explored, "moment", "frequency", scale)["value"]
        assert (moments["standard_deviation"], moments["skewness"], moments["kurtosis"]) == (0, 0, 0)
        correlations = statistic(explored, "correlation", "frequency", scale)["value"]
        assert correlations.tolist() == [0.0] * 6
    assert np.isfinite(explored["value"]).all()
