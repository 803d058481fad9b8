"""Exploration: statistics that agree with pandas and SciPy, before and after the transform; outliers; RFM scores."""

from collections import Counter
from datetime import date
from math import ceil

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
            "customer_id": [f"c{number}" for number in range(400)],
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
    measures = explored["measure"].value_counts()
    described = measures.drop("score_table").to_dict()
    assert described == {
        name: len(EVERY) * rows
        for name, rows in (("quantile", 7), ("moment", 5), ("histogram", 40), ("correlation", 2 * 3), ("outlier", 10))
    }
    assert 0 < measures["score_table"] <= 5 * 5
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


@pytest.mark.parametrize(
    "draw",
    [
        lambda draws, size: draws.lognormal(3, 2, size),
        lambda draws, size: np.floor(draws.exponential(5, size)),
        lambda draws, size: draws.normal(1e9, 1e-7, size),  # differ by rounding alone
    ],
)
@pytest.mark.filterwarnings("ignore:Precision loss:RuntimeWarning")
def test_skewness_and_kurtosis_are_those_of_scipy_bit_for_bit(draw):
    draws = np.random.default_rng(8)
    for size in range(1, 200):
        sample = draw(draws, size)
        expected = (stats.skew(sample), stats.kurtosis(sample)) if sample.std() else (0.0, 0.0)
        np.testing.assert_array_equal(exploration.skewness_and_kurtosis(sample), expected, strict=False)


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


# Outliers


def farthest(values, number=10):
    """Places of the customers farthest from the average customer, farthest first, by a plain computation."""
    distances = np.sqrt(sum(of_feature**2 for of_feature in values["transformed"].values()))
    return sorted(range(len(distances)), key=lambda place: -distances[place])[:number]


def outliers(explored):
    """Their customers, in order, and their features by scale and feature."""
    rows = explored[explored["measure"] == "outlier"]
    assert rows[["lower", "upper"]].isna().all(axis=None)
    return rows["item"].drop_duplicates().tolist(), rows.set_index(["scale", "feature", "item"])["value"].sort_index()


def test_outliers_are_the_ten_customers_farthest_from_the_average_after_the_transform(explored, values):
    found, features = outliers(explored)
    places = farthest(values)
    assert found == [f"c{place}" for place in places]
    for feature, scale in EVERY:
        shown = features[scale, feature][found]
        np.testing.assert_allclose(shown, values[scale][feature][places], rtol=0, atol=1e-9)


def test_outliers_keep_what_they_really_spent_where_the_transform_cuts_it(scalings):
    absurd = customers()
    absurd.loc[7, ["recency_days", "frequency", "monetary"]] = [0, 900, 1e9]
    found, features = outliers(exploration.explore(absurd, list(scalings.values()), AS_OF))
    assert found[0] == "c7"
    assert features["original", "monetary", "c7"] == 1e9
    cut = scalings["monetary"]
    assert features["transformed", "monetary", "c7"] == pytest.approx((np.log1p(cut.upper_cut) - cut.mean) / cut.scale)


def test_outliers_and_scores_are_of_the_same_customers_in_any_order_of_rows(scalings, explored):
    shuffled = customers().sample(frac=1, random_state=5)
    found = exploration.explore(shuffled, list(scalings.values()), AS_OF)
    for measure in ("outlier", "score_table"):
        one, other = (frame[frame["measure"] == measure].reset_index(drop=True) for frame in (found, explored))
        pd.testing.assert_frame_equal(one, other)


def test_where_there_are_fewer_than_ten_customers_all_are_listed(scalings):
    found, _features = outliers(exploration.explore(customers().head(4), list(scalings.values()), AS_OF))
    assert sorted(found) == ["c0", "c1", "c2", "c3"]


# Scores


def score_table(explored):
    rows = explored[explored["measure"] == "score_table"]
    assert set(rows["feature"]) == {"rfm"}
    return dict(zip(rows["item"], rows["value"], strict=True))


def scores(values):
    """One more than the fifths of customers that a value is above, each fifth ending at a customer's own value."""
    ordered = sorted(values)
    cuts = [ordered[ceil(len(ordered) * fifth / 5) - 1] for fifth in range(1, 5)]
    return [1 + sum(value > cut for cut in cuts) for value in values]


def test_the_table_of_scores_counts_every_customer_once(explored):
    of_recency = [6 - score for score in scores(customers()["recency_days"])]  # lately is 5
    expected = Counter(f"{r}:{f}" for r, f in zip(of_recency, scores(customers()["frequency"]), strict=True))
    found = score_table(explored)
    assert found == expected
    assert sum(found.values()) == len(customers())


def test_scores_are_of_recency_and_frequency_whatever_the_model_clusters_by(scalings, explored):
    alone = exploration.explore(customers(), [scalings["monetary"]], AS_OF)
    assert score_table(alone) == score_table(explored)


def test_customers_who_are_all_alike_are_in_one_cell():
    same = customers().assign(recency_days=30, frequency=1)
    assert score_table(exploration.explore(same, fit_scaling(same, RFM, 0.01), AS_OF)) == {"5:1": 400}
