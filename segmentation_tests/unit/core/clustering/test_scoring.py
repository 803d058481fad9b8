"""Scoring: the engine's expressions agree with NumPy and scikit-learn for every customer."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import ibis
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import pairwise_distances_argmin
from sklearn.neighbors import NearestCentroid

from segmentation_pipeline.core import naming, schema
from segmentation_pipeline.core.clustering import scoring
from segmentation_pipeline.core.clustering.preprocessing import Scaling, transform
from segmentation_pipeline.core.clustering.scoring import RFM, Segment, SegmentationModel
from segmentation_pipeline.core.clustering.training import Choice, train
from segmentation_pipeline.core.rfm_groups import GRID
from segmentation_pipeline.settings import Model
from segmentation_pipeline.settings.archetypes import NET_ZERO

AS_OF = date(2011, 12, 9)


def trained(shoppers, algorithm):
    return train(shoppers, Choice(AS_OF, RFM, algorithm, 5, "because"), Model(restarts=2))


@pytest.fixture(scope="module")
def model(shoppers):
    return trained(shoppers, "kmeans")


@pytest.fixture(scope="module")
def segmented(engine, table_of):
    def run(frame, model, version=3):
        rows = [
            row | {"date": AS_OF, "monetary": Decimal(str(row["monetary"])).quantize(Decimal("0.0001"))}
            for row in frame.astype(object).where(frame.notna(), None).to_dict("records")
        ]
        features = table_of(schema.RFM_FEATURES, rows)
        found = engine.to_pandas(scoring.customer_segments(features, model, version).order_by("customer_id"))
        return found.set_index("customer_id")

    return run


@pytest.fixture(scope="module")
def scored(segmented, everyone, model):
    return segmented(everyone, model)


@pytest.mark.filterwarnings(
    "ignore:invalid value encountered in divide:RuntimeWarning"
)  # the witness, of one point each
@pytest.mark.parametrize("algorithm", ["kmeans", "bisecting_kmeans", "ward", "gaussian_mixture"])
def test_every_customer_gets_the_segment_of_the_nearest_centre(segmented, everyone, shoppers, algorithm):
    model = trained(shoppers, algorithm)
    scored = segmented(everyone[:1_000], model)
    spending = everyone[10:1_000].astype({"recency_days": "int64"})
    points = transform(spending, model.scalings)
    nearest = pairwise_distances_argmin(points, model.centres)
    numbers = np.array([segment.segment_id for segment in model.segments])
    np.testing.assert_array_equal(scored.loc[spending["customer_id"], "segment_id"], numbers[nearest])
    witness = NearestCentroid().fit(model.centres, numbers)
    np.testing.assert_array_equal(scored.loc[spending["customer_id"], "segment_id"], witness.predict(points))


def test_a_query_is_not_longer_for_each_pair_of_segments(engine, model):
    features = ibis.table(schema.RFM_FEATURES.ibis_schema, "features")
    segment = model.segments[0]
    few, many = (
        replace(model, segments=tuple(replace(segment, segment_id=number + 1) for number in range(count)))
        for count in (2, 20)
    )
    lengths = [len(engine.connection.compile(scoring.customer_segments(features, each, 1))) for each in (few, many)]
    assert lengths[1] < 10 * lengths[0]


def test_every_segment_goes_by_its_name(scored, model):
    names = {segment.segment_id: segment.name for segment in model.segments} | {0: "Net zero"}
    assert scored["segment"].tolist() == [names[number] for number in scored["segment_id"]]
    assert set(scored["segment_id"]) == set(names)
    assert set(scored["model_version"]) == {3}


def test_customers_without_net_spend_are_net_zero_and_have_no_scores(scored, everyone):
    nothing = scored.loc[everyone["customer_id"][:10]]
    assert set(nothing["segment"]) == {NET_ZERO}
    assert set(nothing["segment_id"]) == {naming.NET_ZERO_ID}
    scores = ["recency_score", "frequency_score", "monetary_score", "rfm_score", "rfm_group"]
    assert nothing[scores].isna().all(axis=None)
    assert nothing["monetary"].astype(float).tolist() == everyone["monetary"][:10].tolist()


def test_scores_agree_with_numpy(scored, everyone, model):
    spending = everyone[10:]
    found = scored.loc[spending["customer_id"]]
    above = {
        feature: np.searchsorted(model.score_cuts[feature], spending[feature].to_numpy(dtype=float), side="left")
        for feature in RFM
    }
    np.testing.assert_array_equal(found["recency_score"], 5 - above["recency_days"])
    np.testing.assert_array_equal(found["frequency_score"], 1 + above["frequency"])
    np.testing.assert_array_equal(found["monetary_score"], 1 + above["monetary"])
    digits = found[["recency_score", "frequency_score", "monetary_score"]].astype(int).astype(str)
    assert found["rfm_score"].tolist() == digits.sum(axis=1).tolist()


def test_groups_are_those_of_the_grid_at_recency_and_the_mean_of_the_others_rounded_half_up(scored):
    spending = scored[scored["segment_id"] != 0]
    recency, frequency, monetary = (
        spending[f"{name}_score"].astype(int) for name in ("recency", "frequency", "monetary")
    )
    value = np.floor((frequency + monetary) / 2 + 0.5).astype(int)
    expected = [GRID[5 - row][column - 1] for row, column in zip(recency, value, strict=True)]
    assert spending["rfm_group"].tolist() == expected
    assert len(set(expected)) > 5


def test_equal_values_get_equal_scores_and_larger_ones_never_less(scored):
    spending = scored[scored["segment_id"] != 0]
    for feature, score, direction in (
        ("recency_days", "recency_score", -1),
        ("frequency", "frequency_score", 1),
        ("monetary", "monetary_score", 1),
    ):
        by_value = spending.groupby(spending[feature].astype(float))[score].agg(["min", "max"])
        assert (by_value["min"] == by_value["max"]).all()
        assert (direction * by_value["min"].astype(int).diff().dropna() >= 0).all()
        assert by_value["min"].min() == 1 or feature == "frequency"
        assert by_value["min"].max() == 5


def test_a_coordinate_is_the_scaling_as_an_expression(engine):
    scaling = Scaling("monetary", lower_cut=1.0, upper_cut=9.0, mean=0.5, scale=2.0)
    values = [-100.0, 0.0, 1.0, 1.0001, 4.0, 9.0, 1e12]
    table = ibis.memtable({"place": range(len(values)), "value": values})
    found = engine.to_pandas(table.mutate(at=scoring.coordinate(table.value, scaling)).order_by("place"))["at"]
    np.testing.assert_allclose(found, scaling.transform(np.array(values)), rtol=1e-15)


PLAIN = tuple(Scaling(feature, lower_cut=0.0, upper_cut=1e9, mean=0.0, scale=1.0) for feature in RFM)


def model_of(centres, scalings=PLAIN):
    segments = tuple(
        Segment(number, f"segment {number}", "#000000", "do", tuple(centre)) for number, centre in enumerate(centres, 1)
    )
    cuts = dict.fromkeys(RFM, (1.0, 2.0, 3.0, 4.0))
    return SegmentationModel(scalings, segments, cuts, np.eye(2, len(scalings)), (0.5, 0.5), (), (), {})


def test_of_equally_near_centres_the_first_is_taken(segmented):
    customer = pd.DataFrame({"customer_id": ["a"], "recency_days": [0], "frequency": [1], "monetary": [1.0]})
    here = np.log1p([0.0, 1.0, 1.0])
    around = [here + step for step in ([1, 0, 0], [-1, 0, 0], [0, 1, 0], [0.5, 0, 0], [-0.5, 0, 0])]
    assert segmented(customer, model_of(around[:3]))["segment_id"].tolist() == [1]
    assert segmented(customer, model_of(around))["segment_id"].tolist() == [4]


def test_a_value_at_a_cut_scores_as_one_below_it(segmented):
    values = [1.0, 1.0001, 2.0, 3.0, 4.0, 4.0001]
    customers = pd.DataFrame(
        {
            "customer_id": list("abcdef"),
            "recency_days": [0, 1, 2, 3, 4, 5],
            "frequency": [1, 2, 3, 4, 5, 6],
            "monetary": values,
        }
    )
    found = segmented(customers, model_of([[0, 0, 0], [9, 9, 9]]))
    assert found["recency_score"].tolist() == [5, 5, 4, 3, 2, 1]
    assert found["frequency_score"].tolist() == [1, 2, 3, 4, 5, 5]
    assert found["monetary_score"].tolist() == [1, 2, 2, 3, 4, 5]
    assert found["rfm_score"].tolist() == ["511", "522", "432", "343", "254", "155"]


def test_a_feature_that_is_not_in_the_model_does_not_move_a_customer(segmented, everyone, shoppers):
    model = train(shoppers, Choice(AS_OF, ("frequency",), "kmeans", 3, "because"), Model(restarts=2))
    found = segmented(everyone[10:], model)
    centres = model.centres[:, 0]
    at = model.scalings[0].transform(everyone["frequency"][10:].to_numpy(dtype=float))
    assert (found["segment_id"].to_numpy() - 1 == np.abs(at[:, None] - centres).argmin(axis=1)).all()


def test_one_segment_takes_everyone(segmented, everyone):
    found = segmented(everyone[10:], model_of([[0, 0, 0], [1e6, 1e6, 1e6]]))
    assert set(found["segment_id"]) == {1}


def test_segments_have_the_columns_of_their_table(table_of):
    found = scoring.customer_segments(table_of(schema.RFM_FEATURES, []), model_of([[0, 0, 0], [1, 1, 1]]), 1)
    assert found.schema() == schema.CUSTOMER_SEGMENTS.ibis_schema


def test_the_model_as_a_table_holds_all_that_scoring_needs(model):
    table = scoring.model_table(model, 7)
    assert table.columns.tolist() == schema.SEGMENTATION_MODEL.names
    assert set(table["version"]) == {7}
    centres = table.pivot(index="segment_id", columns="feature", values="centre")[list(RFM)]
    np.testing.assert_array_equal(centres.to_numpy(), model.centres)
    for scaling in model.scalings:
        rows = table[table["feature"] == scaling.feature]
        found = rows[["lower_cut", "upper_cut", "mean", "scale"]].drop_duplicates().to_numpy().tolist()
        assert found == [[scaling.lower_cut, scaling.upper_cut, scaling.mean, scaling.scale]]
    looks = table[["segment_id", "segment", "color", "action"]].drop_duplicates().to_numpy().tolist()
    assert looks == [[each.segment_id, each.name, each.color, each.action] for each in model.segments]


def test_a_model_read_back_from_its_table_scores_the_same(segmented, everyone, model):
    table = scoring.model_table(model, 1)
    segments = tuple(
        Segment(number, *rows[["segment", "color", "action"]].iloc[0], tuple(rows["centre"]))
        for number, rows in table.groupby("segment_id")
    )
    scalings = tuple(
        Scaling(*row) for row in table.head(len(RFM))[["feature", "lower_cut", "upper_cut", "mean", "scale"]].to_numpy()
    )
    again = replace(model, segments=segments, scalings=scalings)
    pd.testing.assert_frame_equal(segmented(everyone[:300], again), segmented(everyone[:300], model))
