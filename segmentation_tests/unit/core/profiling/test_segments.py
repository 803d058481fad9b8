"""Profiles of segments: customers that are missing, doubled or impossible show, and the sums are those of pandas."""

from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from segmentation_pipeline.core import schema
from segmentation_pipeline.core.clustering.preprocessing import Scaling
from segmentation_pipeline.core.clustering.scoring import Segment, SegmentationModel
from segmentation_pipeline.core.profiling import segments

DAYS = [date(2011, 6, day) for day in (1, 2, 3)]
EMPTY = DAYS[1]
NAMES = {0: "Net zero", 1: "Best", 2: "Rest", 3: "Lost"}


def customer(name: str, segment_id: int, day: date = DAYS[0], **changes: object) -> dict[str, object]:
    """A scored customer; one of segment 0 has no net spend."""
    is_net_zero = segment_id == 0
    return {
        "date": day,
        "customer_id": name,
        "segment_id": segment_id,
        "segment": NAMES[segment_id],
        "frequency": 0 if is_net_zero else 2,
        "monetary": Decimal(0 if is_net_zero else 9),
        "recency_score": None if is_net_zero else 5,
        "frequency_score": None if is_net_zero else 1,
        "monetary_score": None if is_net_zero else 3,
        "model_version": 4,
    } | changes


EVERYBODY = [customer("ann", 1), customer("bob", 2), customer("eve", 2), customer("joe", 0), customer("sue", 2)]


@pytest.fixture(scope="module")
def profile(engine, table_of):
    """The profile of scored customers, by day; those with features are the same ones unless given."""

    def run(scored, known=None, days=DAYS[:1]):
        tables = (
            table_of(schema.RFM_FEATURES, scored if known is None else known),
            table_of(schema.CUSTOMER_SEGMENTS, scored),
        )
        found = engine.to_pandas(segments.segments_measured(*tables, days))
        return found.set_index(found["date"].dt.date).sort_index()

    return run


@pytest.fixture(scope="module")
def shoppers() -> list[dict[str, object]]:
    """Four hundred scored customers of two days."""
    random = np.random.default_rng(12)
    return [
        customer(
            str(number),
            int(random.choice(4, p=[0.1, 0.2, 0.6, 0.1])),
            DAYS[random.choice([0, 2])],
            model_version=int(random.integers(1, 4)),
        )
        for number in range(400)
    ]


def test_counts_and_shares_of_generated_customers_agree_with_pandas(profile, shoppers):
    found = profile(shoppers, days=DAYS).drop(EMPTY)
    days = pd.DataFrame(shoppers).groupby("date")
    sizes = days["segment_id"].value_counts()
    for measure in ("rows", "customers", "customers_with_features"):
        assert found[measure].tolist() == days.size().tolist()
    assert found["segments"].tolist() == [3, 3]
    assert found["model_versions"].tolist() == days["model_version"].nunique().tolist()
    assert found["net_zero_customers"].tolist() == sizes.xs(0, level="segment_id").tolist()
    assert found["net_zero_share"].tolist() == pytest.approx((sizes.xs(0, level="segment_id") / days.size()).tolist())
    largest = sizes.groupby("date").max() / days.size()
    assert found["largest_segment_share"].tolist() == pytest.approx(largest.tolist())
    assert not found[["unnamed_customers", "impossible_scores"]].to_numpy().any()


def test_a_day_without_customers_has_zeros_and_no_shares(profile, shoppers):
    day = profile(shoppers, days=DAYS).loc[EMPTY]
    counts = [column.name for column in segments.SEGMENTS_COLUMNS if column.type == "int64"]
    assert day[counts].tolist() == [0] * len(counts)
    assert day[["largest_segment_share", "net_zero_share"]].isna().all()


def test_a_customer_who_was_not_scored_is_missing_from_the_rows(profile):
    day = profile(EVERYBODY[1:], EVERYBODY).iloc[0]
    assert day[["rows", "customers", "customers_with_features"]].tolist() == [4, 4, 5]


def test_a_customer_who_was_scored_twice_is_one_customer_in_two_rows(profile):
    day = profile([*EVERYBODY, customer("ann", 2)], EVERYBODY).iloc[0]
    assert day[["rows", "customers", "customers_with_features"]].tolist() == [6, 5, 5]
    assert day["largest_segment_share"] == 4 / 6


def test_a_profile_has_its_declared_columns_in_their_types(table_of):
    tables = table_of(schema.RFM_FEATURES, []), table_of(schema.CUSTOMER_SEGMENTS, [])
    declared = (schema.Column("date", "date", ""), *segments.SEGMENTS_COLUMNS)
    expected = schema.Table("profile", declared, ()).ibis_schema
    assert segments.segments_measured(*tables, DAYS).schema() == expected


@pytest.mark.parametrize("score", segments.SCORES)
@pytest.mark.parametrize(
    ("segment_id", "value", "is_impossible"),
    [(1, 1, 0), (1, 5, 0), (1, 0, 1), (1, 6, 1), (1, None, 1), (0, None, 0), (0, 0, 1), (0, 3, 0)],
)
def test_a_score_is_one_to_five_and_only_net_zero_may_lack_it(profile, score, segment_id, value, is_impossible):
    day = profile([*EVERYBODY, customer("zoe", segment_id, **{score: value})]).iloc[0]
    assert day["impossible_scores"] == is_impossible


def test_customers_without_a_name_and_a_second_model_are_counted(profile):
    day = profile([*EVERYBODY, customer("zoe", 3, segment=None, model_version=5)]).iloc[0]
    assert day[["unnamed_customers", "model_versions", "segments"]].tolist() == [1, 2, 3]


@pytest.mark.parametrize(("frequency", "monetary", "expected"), [(0, 5, 2), (1, 0, 2), (1, -1, 2), (1, "0.0001", 1)])
def test_net_zero_by_the_features_is_no_order_or_no_money_kept(profile, frequency, monetary, expected):
    known = [*EVERYBODY, customer("zoe", 1, frequency=frequency, monetary=Decimal(monetary))]
    day = profile(EVERYBODY, known).iloc[0]
    assert day["net_zero_customers"] == expected
    assert day["net_zero_share"] == 1 / 5


# --- small tables -----------------------------------------------------------------------------------------------------


def test_profiles_carry_the_sums_of_their_day(engine, table_of, shoppers):
    described = [
        {"date": day, "segment_id": number, "customers": size, "customer_share": size / 100, "revenue_share": share}
        for day, number, size, share in [(DAYS[0], 1, 60, 0.9), (DAYS[0], 2, 41, 0.2), (EMPTY, 1, 7, 1.0)]
    ]
    tables = table_of(schema.CUSTOMER_SEGMENTS, shoppers), table_of(schema.SEGMENT_PROFILES, described)
    measured = segments.profiles_measured(*tables)
    assert measured.columns == ("date", *(column.name for column in segments.PROFILES_COLUMNS))
    every_row = engine.to_pandas(measured).sort_values(["date", "segment_id"], ignore_index=True)
    described_at_all = every_row["segment_id"].notna()
    undescribed = every_row[~described_at_all]  # a day with scored customers and no segments
    assert undescribed[["day_customers", "scored_customers"]].to_numpy().tolist() == [
        [0, sum(row["date"] == undescribed["date"].iloc[0].date() for row in shoppers)]
    ]
    found = every_row[described_at_all]
    assert found["customers"].tolist() == [60, 41, 7]
    assert found["day_customers"].tolist() == [101, 101, 7]
    assert found["day_customer_share"].tolist() == pytest.approx([1.01, 1.01, 0.07])
    assert found["day_revenue_share"].tolist() == pytest.approx([1.1, 1.1, 1.0])
    scored = sum(row["date"] == DAYS[0] for row in shoppers)
    assert found["scored_customers"].tolist()[:2] == [scored, scored]
    assert found["scored_customers"].iloc[2] == 0  # nobody was scored on that day


def test_a_choice_is_counted_and_one_against_a_veto_shows():
    rows = [
        {"k": 2, "inertia": 90.0, "is_chosen": False, "vetoes": ""},
        {"k": 3, "inertia": np.inf, "is_chosen": True, "vetoes": "too small"},
        {"k": 4, "inertia": np.nan, "is_chosen": True, "vetoes": ""},
    ]
    found = segments.with_choice(schema.K_DIAGNOSTICS.frame(rows))
    assert found["chosen"].tolist() == [0, 1, 1]
    assert found["chosen_despite_vetoes"].tolist() == [0, 1, 0]
    assert found["finite_inertia"].isna().tolist() == [False, True, True]
    assert {column.name for column in segments.DIAGNOSTICS_COLUMNS} | {"date"} == set(found.columns)


def test_a_model_shows_coordinates_and_scales_that_are_no_numbers():
    model = SegmentationModel(
        scalings=(Scaling("recency_days", 0.0, 300.0, 4.0, 0.0), Scaling("monetary", 5.0, 9_000.0, 6.0, 1.2)),
        segments=(
            Segment(1, "Best", "#111111", "keep", (0.0, np.nan)),
            Segment(2, "Rest", "#222222", "grow", (-np.inf, 0.5)),
        ),
        score_cuts={},
        components=np.eye(2),
        component_shares=(0.5, 0.5),
        card={"segment_shares": [0.7, 0.3], "silhouette": 0.4, "stability": 0.8},
    )
    found = segments.with_quality(model, DAYS[0], chosen_k=3)
    assert found["finite_centre"].isna().tolist() == [False, True, True, False]
    assert found["finite_scale"].isna().tolist() == [True, False, True, False]
    assert found[
        ["k", "chosen_k", "smallest_segment_share", "silhouette", "stability"]
    ].drop_duplicates().to_numpy().tolist() == [[2, 3, 0.3, 0.4, 0.8]]
    assert set(found["date"]) == {DAYS[0]}
    assert {column.name for column in segments.MODEL_COLUMNS} <= set(found.columns)
