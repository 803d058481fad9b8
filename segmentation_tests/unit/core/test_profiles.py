"""Segment profiles: shares, medians and looks of each segment of a day."""

from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from segmentation_pipeline.core import naming, profiles, schema
from segmentation_pipeline.core.clustering.preprocessing import Scaling
from segmentation_pipeline.core.clustering.scoring import RFM, Segment, SegmentationModel

DAYS = [date(2011, 6, 1), date(2011, 6, 2)]
SCALINGS = (
    Scaling("recency_days", 0.0, 300.0, 4.0, 1.5),
    Scaling("monetary", 5.0, 9_000.0, 6.0, 1.2),
)
MODEL = SegmentationModel(
    scalings=SCALINGS,
    segments=(Segment(1, "Best", "#111111", "keep", (0.0, 1.0)), Segment(2, "Rest", "#222222", "grow", (1.0, 0.0))),
    score_cuts={},
    components=np.eye(2),
    component_shares=(0.5, 0.5),
    card={},
)
NAMES = {0: naming.NET_ZERO, 1: "Best", 2: "Rest"}


@pytest.fixture(scope="module")
def customers() -> pd.DataFrame:
    random = np.random.default_rng(9)
    segment_ids = random.choice([0, 1, 2], 300, p=[0.1, 0.3, 0.6])
    recency = pd.array(random.integers(0, 200, 300), dtype="Int64")
    recency[segment_ids == 0] = pd.NA
    return pd.DataFrame(
        {
            "date": random.choice(DAYS, 300),
            "customer_id": [str(number) for number in range(300)],
            "segment_id": segment_ids,
            "segment": [NAMES[number] for number in segment_ids],
            "recency_days": recency,
            "frequency": np.where(segment_ids == 0, 0, random.integers(1, 9, 300)),
            "monetary": np.where(segment_ids == 0, -1.0, random.lognormal(5, 1, 300).round(2)),
            "model_version": 4,
        }
    )


@pytest.fixture(scope="module")
def measures(engine, table_of, customers):
    rows = customers.astype(object).where(customers.notna(), None).to_dict("records")
    segments = table_of(schema.CUSTOMER_SEGMENTS, [row | {"monetary": Decimal(str(row["monetary"]))} for row in rows])
    return engine.to_pandas(profiles.measured(segments))


@pytest.fixture(scope="module")
def finished(measures):
    return profiles.finished(measures, MODEL)


@pytest.fixture(scope="module")
def groups(customers):
    return customers.groupby(["date", "segment_id"])


def test_profiles_have_the_columns_of_their_table_by_day_and_segment(finished, groups):
    assert finished.columns.tolist() == schema.SEGMENT_PROFILES.names
    found = list(zip(finished["date"].dt.date, finished["segment_id"], strict=True))
    assert found == list(groups.groups)


def test_customers_and_revenue_agree_with_pandas(finished, groups):
    assert finished["customers"].tolist() == groups.size().tolist()
    expected = groups["monetary"].sum()
    np.testing.assert_allclose(finished["revenue"].astype(float), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("feature", RFM)
@pytest.mark.parametrize(("name", "share"), [("p25", 0.25), ("median", 0.5), ("p75", 0.75)])
def test_quartiles_agree_with_pandas(finished, groups, feature, name, share):
    expected = groups[feature].quantile(share).astype("Float64").to_numpy(dtype=float, na_value=np.nan)
    np.testing.assert_allclose(finished[f"{feature}_{name}"], expected, rtol=1e-12)


def test_shares_of_a_day_add_up_to_one(finished, customers):
    np.testing.assert_allclose(finished.groupby("date")[["customer_share", "revenue_share"]].sum(), 1, atol=1e-12)
    first = finished.iloc[1]
    of_day = customers[customers["date"] == first["date"].date()]
    assert first["customer_share"] == pytest.approx((of_day["segment_id"] == 1).mean())
    best = of_day.loc[of_day["segment_id"] == 1, "monetary"].sum()
    assert first["revenue_share"] == pytest.approx(best / of_day["monetary"].sum())


def test_centres_are_the_medians_in_the_space_of_the_model(finished):
    named = finished[finished["segment_id"] != naming.NET_ZERO_ID]
    for scaling in SCALINGS:
        medians = named[f"{scaling.feature}_median"].to_numpy(dtype=float)
        expected = (np.log1p(medians) - scaling.mean) / scaling.scale
        np.testing.assert_allclose(named[f"{scaling.feature}_centre"].to_numpy(), expected, rtol=1e-12)


def test_net_zero_and_features_outside_the_model_have_no_centre(finished):
    nothing = finished[finished["segment_id"] == naming.NET_ZERO_ID]
    assert len(nothing) == len(DAYS)
    assert nothing[[f"{feature}_centre" for feature in RFM]].isna().all(axis=None)
    assert finished["frequency_centre"].isna().all()


def test_looks_come_from_the_model_and_net_zero_has_its_own(finished):
    looks = {
        0: (naming.NET_ZERO_COLOR, naming.NET_ZERO_RECOMMENDATION),
        1: ("#111111", "keep"),
        2: ("#222222", "grow"),
    }
    found = zip(finished["color"], finished["recommendation"], strict=True)
    assert list(found) == [looks[number] for number in finished["segment_id"]]
    assert set(finished["model_version"]) == {4}


def test_profiles_do_not_depend_on_the_order_of_measures(measures, finished):
    shuffled = measures.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(profiles.finished(shuffled, MODEL), finished)
