"""Profiles of segments: customers that are missing, doubled or impossible show, and the sums are those of pandas."""

from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from segmentation_pipeline.core import migration, schema
from segmentation_pipeline.core.clustering.preprocessing import Scaling, fit_scaling
from segmentation_pipeline.core.clustering.scoring import Segment, SegmentationModel
from segmentation_pipeline.core.profiling import segments

DAYS = [date(2011, 6, day) for day in (1, 2, 3)]
EMPTY = DAYS[1]
BEFORE = date(2011, 5, 2)
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


# --- migration -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def flowed(engine, table_of):
    """The profile of flows into the day's segments, by day."""

    def run(scored, flows, days=DAYS[:1]):
        tables = table_of(schema.CUSTOMER_SEGMENTS, scored), table_of(schema.SEGMENT_MIGRATION, flows)
        found = engine.to_pandas(segments.migration_measured(*tables, days))
        return found.set_index(found["date"].dt.date).sort_index()

    return run


@pytest.fixture(scope="module")
def moves(engine, table_of):
    """The flows between two snapshots, as the pipeline finds them."""

    def run(before, after):
        snapshots = (table_of(schema.CUSTOMER_SEGMENTS, scored) for scored in (before, after))
        return engine.to_pandas(migration.segment_migration(*snapshots, (DAYS[0] - BEFORE).days, 180)).to_dict(
            "records"
        )

    return run


# Ann, Eve and Joe stay, Bob comes up from Lost, Sue is new, and Tom is gone.
KNOWN_BEFORE = [
    *(customer(name, number, BEFORE) for name, number in (("ann", 1), ("bob", 3), ("eve", 2), ("joe", 0))),
    customer("tom", 3, BEFORE, monetary=Decimal("0.75")),
]
UNCOMPARED = ["uncompared_customers", "uncompared_revenue"]


def test_flows_add_up_to_the_segments_of_the_day(flowed, moves):
    day = flowed(EVERYBODY, moves(KNOWN_BEFORE, EVERYBODY)).iloc[0]
    assert day[["flows", "customers", "customers_after", "customers_gone"]].tolist() == [6, 5, 5, 1]
    assert day[["before_revenue", "revenue", "after_revenue"]].tolist() == [Decimal("27.75"), 36, 36]
    assert day[[*UNCOMPARED, "no_revenue"]].tolist() == [0, 0, 0]
    assert day["stayed_share"] == 3 / 4


def test_flows_of_generated_customers_agree_with_pandas(flowed, moves, shoppers):
    random = np.random.default_rng(3)
    after = [row | {"date": DAYS[0]} for row in shoppers]
    number_of = {row["customer_id"]: int(random.choice(4)) for row in shoppers if random.random() < 0.8}
    before = [customer(name, number, BEFORE) for name, number in number_of.items()]
    day = flowed(after, moves(before, after)).iloc[0]
    both = [(number_of[row["customer_id"]], row["segment_id"]) for row in after if row["customer_id"] in number_of]
    assert day["stayed_share"] == pytest.approx(np.mean([one == other for one, other in both]))
    assert day[["customers", "customers_after", "customers_gone"]].tolist() == [400, 400, 0]
    assert day["revenue"] == day["after_revenue"] == sum(row["monetary"] for row in after)
    assert day["before_revenue"] == sum(row["monetary"] for row in before)
    assert day[UNCOMPARED].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"customers": -1}, [1, 0]),
        ({"customers": 2}, [-2, 0]),
        ({"revenue_after": Decimal("-0.01")}, [0, Decimal("0.01")]),
        ({"revenue_after": Decimal("0.0001")}, [0, Decimal("-0.0001")]),
    ],
)
@pytest.mark.parametrize("place", range(2))
def test_a_customer_or_a_penny_too_few_or_too_many_shows(flowed, moves, change, expected, place):
    flows = sorted(moves(KNOWN_BEFORE, EVERYBODY), key=lambda flow: (-flow["to_segment_id"], flow["from_segment_id"]))
    for name, difference in change.items():
        flows[place][name] += difference
    assert flowed(EVERYBODY, flows).iloc[0][UNCOMPARED].tolist() == expected


def test_a_flow_that_is_missing_shows_with_all_its_customers(flowed, moves):
    from_lost = [flow for flow in moves(KNOWN_BEFORE, EVERYBODY) if flow["from_segment_id"] != 3]
    assert flowed(EVERYBODY, from_lost).iloc[0][UNCOMPARED].tolist() == [1, 9]


def test_a_day_without_an_earlier_one_and_a_day_without_customers_have_zeros(flowed, moves):
    scored = [*EVERYBODY, *(row | {"date": DAYS[2]} for row in EVERYBODY)]
    found = flowed(scored, moves(KNOWN_BEFORE, EVERYBODY), DAYS)
    counts = [column.name for column in segments.MIGRATION_COLUMNS if column.type != "float64"]
    assert not found.loc[EMPTY, counts].astype(bool).any()
    uncompared = found.loc[DAYS[2], counts]
    assert uncompared[["customers", "revenue"]].tolist() == [5, 36]
    assert not uncompared.drop(["customers", "revenue"]).astype(bool).any()
    assert found["stayed_share"].isna().tolist() == [False, True, True]


def test_where_everybody_is_new_nobody_stayed_or_went(flowed, moves):
    day = flowed(EVERYBODY, moves([], EVERYBODY)).iloc[0]
    assert day[["customers_after", "customers_gone", "before_revenue", *UNCOMPARED]].tolist() == [5, 0, 0, 0, 0]
    assert pd.isna(day["stayed_share"])


def test_a_profile_of_flows_has_its_declared_columns_in_their_types(table_of):
    tables = table_of(schema.CUSTOMER_SEGMENTS, []), table_of(schema.SEGMENT_MIGRATION, [])
    declared = (schema.Column("date", "date", ""), *segments.MIGRATION_COLUMNS)
    found = segments.migration_measured(*tables, DAYS).schema()
    assert dict(found.items()) == dict(schema.Table("profile", declared, ()).ibis_schema.items())


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


def test_drift_is_judged_where_its_level_says_so(engine, table_of):
    measured = [("recency_days", 0.3, "act"), ("frequency", 0.12, "warn"), ("monetary", 0.4, "stable")]
    rows = [
        {"date": DAYS[0], "kind": "feature", "name": name, "psi": psi, "level": level, "model_version": 4}
        for name, psi, level in measured
    ]
    table = segments.drift_measured(table_of(schema.SEGMENT_DRIFT, rows))
    assert table.columns == ("date", *(column.name for column in segments.DRIFT_COLUMNS))
    found = engine.to_pandas(table).set_index("name")
    assert found["drifted_psi"].dropna().to_dict() == {"recency_days": 0.3, "frequency": 0.12}
    assert found["psi"].to_dict() == {name: psi for name, psi, _level in measured}


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


def fitted_on(values: np.ndarray) -> Scaling:
    (scaling,) = fit_scaling(pd.DataFrame({"recency_days": values}), ["recency_days"], 0.005)
    return scaling


@pytest.mark.parametrize("agreement", [0.85, None])
def test_a_model_shows_centres_that_are_no_numbers_and_features_that_do_not_vary(agreement):
    model = SegmentationModel(
        scalings=(fitted_on(np.zeros(1_000)), Scaling("monetary", 5.0, 9_000.0, 6.0, 1.2)),
        segments=(
            Segment(1, "Best", "#111111", "keep", (0.0, np.nan)),
            Segment(2, "Rest", "#222222", "grow", (-np.inf, 0.5)),
        ),
        score_cuts={},
        components=np.eye(2),
        component_shares=(0.5, 0.5),
        described_by=(),
        reference=(),
        card={"segments": {"Best": 0.7, "Rest": 0.3}, "silhouette": 0.4, "stability": 0.8},
    )
    found = segments.with_quality(model, DAYS[0], chosen_k=3, agreement=agreement)
    assert found["finite_centre"].isna().tolist() == [False, True, True, False]
    assert found["varying_scale"].isna().tolist() == [True, False, True, False]
    assert found[
        ["k", "chosen_k", "smallest_segment_share", "silhouette", "stability"]
    ].drop_duplicates().to_numpy().tolist() == [[2, 3, 0.3, 0.4, 0.8]]
    assert found["agreement"].tolist() == [agreement] * 4
    assert found["action"].tolist() == ["keep", "keep", "grow", "grow"]
    assert set(found["date"]) == {DAYS[0]}
    assert {column.name for column in segments.MODEL_COLUMNS} <= set(found.columns)
