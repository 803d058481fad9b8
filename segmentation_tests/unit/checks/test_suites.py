"""Suites: every expectation holds of a sound profile, and fails on damage to its own columns and to no others."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from segmentation_pipeline.checks import results
from segmentation_pipeline.checks.expectations import Advice, Expectation, at_most, between
from segmentation_pipeline.checks.judging import CheckCrashed, judge
from segmentation_pipeline.checks.stages import STAGES
from segmentation_pipeline.checks.suites import suites
from segmentation_pipeline.checks.written import declared_columns, tables_of, written_columns
from segmentation_pipeline.core.clustering.preprocessing import Scaling
from segmentation_pipeline.core.clustering.scoring import RFM, Segment, SegmentationModel
from segmentation_pipeline.core.dependencies import WITHOUT_DAYS
from segmentation_pipeline.core.profiling.segments import with_quality
from segmentation_pipeline.core.schema import Table
from segmentation_pipeline.settings import Columns, ConfigurationError, Drift, Files, Model, Quality, Settings

ADVICE = Advice(why="-", remedy="-")
DAYS = [date(2025, 7, day) for day in (1, 2, 3)]
EVERY_COLUMN = Columns(
    customer_id="c", invoiced_at="t", unit_price="p", quantity="q", invoice_id="i", product_id="s", country="l"
)


def settings_with(**quality: Any) -> Settings:
    source = Files(path="-", columns=EVERY_COLUMN)
    return Settings(source=source, start_date=date(2025, 1, 1), quality=Quality(**quality))


SUITES = suites(settings_with())
EVERY_EXPECTATION = [(stage, each) for stage, expectations in SUITES.items() for each in expectations]


def sound(stage: str) -> pd.DataFrame:
    """A profile of three days of which every expectation holds."""
    frame = pd.DataFrame({"date": DAYS, **{column.name: [1.0] * len(DAYS) for column in STAGES[stage].columns}})
    for each in SUITES[stage]:
        low, high = each.arguments.get("min_value"), each.arguments.get("max_value")
        if each.type == "expect_column_values_to_be_between":
            limits = [limit for limit in (low, high) if limit is not None]
            value = frame[each.arguments["column"]].iloc[0]
            if any(value < limit for limit in [low] if limit is not None) or (high is not None and value > high):
                frame[each.arguments["column"]] = float(sum(limits) / len(limits))
        elif each.type == "expect_column_sum_to_be_between":
            frame[each.arguments["column"]] = [float(low), 0.0, 0.0]
        elif each.type == "expect_column_values_to_be_in_set":
            frame[each.arguments["column"]] = each.arguments["value_set"][0]
        elif each.type == "expect_compound_columns_to_be_unique":
            last = each.arguments["column_list"][-1]
            frame[last] = [f"{last} {number}" for number in range(len(DAYS))]
    return frame


def damaged(frame: pd.DataFrame, each: Expectation) -> pd.DataFrame:
    """The same profile, with the second day (for a sum, the whole) as the expectation forbids it."""
    harmed, column = frame.copy(), each.columns[-1]
    low, high = each.arguments.get("min_value"), each.arguments.get("max_value")
    if each.type in ("expect_column_values_to_be_between", "expect_column_sum_to_be_between"):
        harmed.loc[1, column] = high + 1 if high is not None else low - 1
    elif each.type == "expect_column_pair_values_to_be_equal":
        harmed.loc[1, column] += 1
    elif each.type == "expect_column_values_to_not_be_null":
        harmed[column] = harmed[column].astype(object)
        harmed.loc[1, column] = None
    elif each.type == "expect_column_values_to_be_in_set":
        harmed.loc[1, column] = "something else"
    elif each.type == "expect_compound_columns_to_be_unique":
        for name in (*each.columns, "date"):
            harmed.loc[1, name] = harmed.loc[0, name]
    return harmed


@pytest.mark.parametrize("stage", SUITES)
def test_every_expectation_holds_of_a_sound_profile(stage):
    verdicts = judge(stage, SUITES[stage], sound(stage))
    assert [verdict.expectation for verdict in verdicts] == list(SUITES[stage])
    assert [verdict.expectation.name for verdict in verdicts if not verdict.passed] == []


@pytest.mark.parametrize("stage", SUITES)
def test_every_expectation_fails_on_its_own_damage_names_the_day_and_no_other_expectation_minds(stage):
    frame = sound(stage)
    for each in SUITES[stage]:
        failed = [verdict for verdict in judge(stage, SUITES[stage], damaged(frame, each)) if not verdict.passed]
        assert each.name in [verdict.expectation.name for verdict in failed]
        for verdict in failed:
            assert set(verdict.expectation.columns) & {*each.columns, "date"}, (each.name, verdict.expectation.name)
        own = next(verdict for verdict in failed if verdict.expectation == each)
        if "sum" not in each.type:
            assert set(own.failing_days) <= ({DAYS[0], DAYS[1]} if "unique" in each.type else {DAYS[1]})


def test_a_column_with_nothing_to_compare_with_fails_nothing():
    frame = sound("raw_transactions").assign(volume_ratio=None)
    assert all(verdict.passed for verdict in judge("raw_transactions", SUITES["raw_transactions"], frame))


def test_an_expectation_that_breaks_is_a_crash_and_not_a_verdict():
    broken = between("broken", "absent", 0, 1, "critical", ADVICE)
    with pytest.raises(CheckCrashed, match="broken could not be evaluated"):
        judge("rfm_features", [broken], sound("rfm_features"))


def test_a_failed_sum_fails_on_every_day_and_a_failed_warning_holds_nothing_back():
    frame = sound("k_diagnostics").assign(chosen=0.0, chosen_despite_vetoes=1.0)
    found = {verdict.expectation.name: verdict for verdict in judge("k_diagnostics", SUITES["k_diagnostics"], frame)}
    assert found["one_k_is_chosen"].holds_back == tuple(DAYS)
    assert not found["choice_is_not_vetoed"].passed
    assert found["choice_is_not_vetoed"].holds_back == ()


def test_of_several_rows_a_day_the_failing_one_is_told_and_of_a_sum_the_sum():
    rows = pd.DataFrame({"date": DAYS[0], "psi": [0.12, None, 0.41, 0.3], "vetoed": [0.0, 1.0, 1.0, 0.0]})
    least = Expectation(
        "none", "expect_column_sum_to_be_between", {"column": "vetoed", "max_value": 0}, "warning", "-", "-"
    )
    verdicts = judge("segment_drift", [at_most("stable", "psi", 0.35, "warning", ADVICE), least], rows)
    told = results.ledger_rows("segment_drift", verdicts)
    assert list(zip(told["expectation"], told["passed"], told["observed"], strict=True)) == [
        ("stable", False, 0.41),
        ("none", False, 2.0),
    ]
    shown = [results.check_result("segment_drift", verdict, {}).metadata for verdict in verdicts]
    assert [each["observed"].value for each in shown] == [
        "psi: 0.41 (1\N{NO-BREAK SPACE}day)",
        "2 (1\N{NO-BREAK SPACE}day)",
    ]
    assert "0.41" in shown[0]["failing_days"].value
    assert "0.12" not in shown[0]["failing_days"].value


def test_of_a_day_on_which_all_rows_pass_one_that_was_compared_is_told_and_a_day_without_anything_to_compare_is_neither():
    rows = pd.DataFrame({"date": [DAYS[0], DAYS[0], DAYS[1]], "psi": [None, 0.2, None]})
    told = results.ledger_rows(
        "segment_drift", judge("segment_drift", [at_most("stable", "psi", 0.35, "warning", ADVICE)], rows)
    )
    assert told["observed"].iloc[0] == 0.2
    assert list(told["passed"].astype(object).fillna("neither")) == [True, "neither"]


def test_names_are_unique_and_every_expectation_says_why_and_what_to_do():
    for expectations in SUITES.values():
        assert len({each.name for each in expectations}) == len(expectations)
    for stage, each in EVERY_EXPECTATION:
        assert len(each.why) > 20, (stage, each.name)
        assert len(each.remedy) > 20, (stage, each.name)
        assert each.rows is None or each.rows in STAGES[stage].samples, (stage, each.name)
        assert set(each.columns) <= {"date", *(column.name for column in STAGES[stage].columns)}, (stage, each.name)


def test_thresholds_are_settings():
    limit = {each.name: each for each in suites(settings_with(max_duplicate_share=0.4))["raw_transactions"]}
    assert limit["duplicates_are_few"].threshold == "duplicate_share at most 0.4"


def test_a_check_can_get_another_severity():
    found = suites(settings_with(severities={"raw_transactions.volume_is_usual": "critical"}))["raw_transactions"]
    assert {each.name: each.severity for each in found}["volume_is_usual"] == "critical"


def test_a_severity_for_a_check_that_does_not_exist_names_the_nearest_one():
    with pytest.raises(ConfigurationError, match=r"there is no check raw_transactions.volume; did you mean raw_trans"):
        suites(settings_with(severities={"raw_transactions.volume": "critical"}))


def test_only_mapped_columns_are_missed():
    bare = Columns(customer_id="c", invoiced_at="t", amount="a")
    settings = Settings(source=Files(path="-", columns=bare), start_date=date(2025, 1, 1))
    names = {each.name for each in suites(settings)["raw_transactions"]}
    assert {"invoiced_at_is_given", "price_is_given"} <= names
    assert not names & {"invoice_id_is_given", "quantity_is_given", "product_id_is_given", "country_is_given"}


# A model


SHARES = {"Best": 0.4, "Middle": 0.35, "Rest": 0.25}
OF_A_CARD = {"silhouette": 0.4, "stability": 0.8}


def fitted(
    shares: dict[str, float], centres: np.ndarray, agreement: float | None = None, **card: float
) -> pd.DataFrame:
    """What is judged of a model, as the gate sees it, with these segments."""
    model = SegmentationModel(
        scalings=tuple(Scaling(feature, 0.0, 300.0, 4.0, 1.5) for feature in RFM),
        segments=tuple(
            Segment(number, name, "#111111", "-", tuple(centre))
            for number, (name, centre) in enumerate(zip(shares, centres, strict=True), start=1)
        ),
        score_cuts={},
        components=np.eye(2, 3),
        component_shares=(0.5, 0.5),
        described_by=(),
        reference=(),
        card={"segments": shares} | OF_A_CARD | card,
    )
    frame = with_quality(model, DAYS[0], chosen_k=len(shares), agreement=agreement)
    return frame.assign(columns=declared_columns("segmentation_model"))


@pytest.mark.parametrize("stage", [name for name in STAGES if name not in WITHOUT_DAYS])
def test_columns_are_declared_in_the_words_of_the_files_that_are_written(stage, tmp_path):
    def written(layout: Table) -> pa.Schema:
        file = tmp_path / f"{layout.asset}.parquet"
        pq.write_table(layout.ibis_schema.to_pyarrow().empty_table(), file)
        return pq.read_schema(file)

    assert declared_columns(stage) == written_columns(*((each.asset, written(each)) for each in tables_of(stage)))


def held_back_by(frame: pd.DataFrame, **model: Any) -> set[str]:
    """Names of the critical expectations that keep a model from being put in force."""
    settings = settings_with().model_copy(update={"model": Model(**model)})
    verdicts = judge("segmentation_model", suites(settings)["segmentation_model"], frame)
    assert {verdict.expectation.name for verdict in verdicts if not verdict.passed} == {
        verdict.expectation.name for verdict in verdicts if verdict.is_critical
    }
    return {verdict.expectation.name for verdict in verdicts if verdict.holds_back}


@pytest.mark.parametrize(
    ("card", "failing"),
    [
        ({}, set()),
        ({"silhouette": 0.24}, {"segments_are_apart"}),
        ({"stability": 0.49}, {"segments_are_stable"}),
        ({"agreement": 0.69}, {"agrees_with_model_in_force"}),
        ({"agreement": 0.7}, set()),
    ],
)
def test_a_model_is_held_back_by_the_one_number_that_is_too_low(card, failing):
    assert held_back_by(fitted(SHARES, np.eye(3), **card)) == failing


@pytest.mark.parametrize(
    ("setting", "failing"),
    [
        ({"min_segment_share": 0.26}, "no_segment_is_tiny"),
        ({"min_silhouette": 0.41}, "segments_are_apart"),
        ({"min_stability": 0.81}, "segments_are_stable"),
        ({"min_agreement": 0.91}, "agrees_with_model_in_force"),
    ],
)
def test_what_is_too_low_for_a_model_is_a_setting(setting, failing):
    assert held_back_by(fitted(SHARES, np.eye(3), agreement=0.9), **setting) == {failing}


def test_segments_of_a_handful_are_held_back_however_superb_the_silhouette():
    sizes = np.array([2, 5, 31, 4_300])
    shares = dict(zip("ABCD", sizes / sizes.sum(), strict=True))
    frame = fitted(shares, np.arange(12.0).reshape(4, 3), silhouette=0.954, stability=0.9)
    assert held_back_by(frame) == {"no_segment_is_tiny"}


@pytest.fixture(scope="module")
def raw_rfm(online_retail: Path) -> np.ndarray:
    """Recency, frequency and monetary of Online Retail as many tutorials compute and cluster them: not scaled at all."""
    lines = pd.read_parquet(online_retail)
    lines = lines[lines["CustomerID"].notna() & (lines["Quantity"] > 0) & (lines["UnitPrice"] > 0)]
    lines = lines[~lines["InvoiceNo"].astype(str).str.startswith("C")]
    customers = lines.assign(amount=lines["Quantity"] * lines["UnitPrice"]).groupby("CustomerID")
    recency = (pd.Timestamp("2011-12-10") - customers["InvoiceDate"].max()).dt.days
    return np.column_stack([recency, customers["InvoiceNo"].nunique(), customers["amount"].sum()]).astype(float)


def test_unscaled_k_means_of_online_retail_looks_superb_and_is_held_back(raw_rfm):
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    clusters = KMeans(4, n_init=10, random_state=42).fit(raw_rfm)
    sizes = np.bincount(clusters.labels_)
    silhouette = silhouette_score(raw_rfm, clusters.labels_)
    assert silhouette > 0.9
    assert sizes.min() / sizes.sum() < settings_with().model.min_segment_share
    shares = dict(zip("ABCD", (sizes / sizes.sum()).tolist(), strict=True))
    # Stability is given its best value, so that nothing but the size of the segments speaks against the model.
    frame = fitted(shares, clusters.cluster_centers_, silhouette=float(silhouette), stability=1.0)
    assert held_back_by(frame) == {"no_segment_is_tiny"}


# Migration and drift


def test_flows_that_lack_a_customer_or_a_penny_are_held_back():
    frame = sound("segment_migration").assign(uncompared_customers=[0, 1, -1], customers_gone=0)
    found = {each.expectation.name: each for each in judge("segment_migration", SUITES["segment_migration"], frame)}
    assert found["everybody_came_from_somewhere"].holds_back == (DAYS[1], DAYS[2])
    assert [name for name, verdict in found.items() if not verdict.passed] == ["everybody_came_from_somewhere"]


def test_drift_warns_from_its_two_limits_on_and_holds_nothing_back():
    settings = settings_with().model_copy(update={"drift": Drift(warn=0.2, act=0.4)})
    expectations = suites(settings)["segment_drift"]
    frame = sound("segment_drift").assign(drifted_psi=[None, 0.3, 0.5])
    found = {verdict.expectation.name: verdict for verdict in judge("segment_drift", expectations, frame)}
    assert found["customers_are_as_when_fitted"].failing_days == (DAYS[1], DAYS[2])
    assert found["model_still_fits"].failing_days == (DAYS[2],)
    assert not any(verdict.holds_back for verdict in found.values())


# A shop's own


OWN = {
    "stage": "clean_transactions",
    "type": "expect_column_values_to_be_between",
    "arguments": {"column": "revenue", "min_value": 1000},
}


def test_an_own_expectation_is_judged_like_the_others():
    found = suites(settings_with(expectations=[OWN]))["clean_transactions"]
    assert (found[-1].name, found[-1].severity) == ("revenue_column_values_to_be_between", "warning")
    frame = sound("clean_transactions").assign(revenue=[1000, 999, 2000])
    (verdict,) = judge("clean_transactions", found[-1:], frame)
    assert verdict.failing_days == (DAYS[1],)


@pytest.mark.parametrize(
    ("kind", "arguments", "failing"),
    [
        ("between", {"column": "date", "min_value": date(2025, 7, 2)}, DAYS[:1]),
        ("between", {"column": "date", "min_value": "2025-07-02"}, DAYS[:1]),
        ("between", {"column": "first_line_at", "max_value": "2025-07-02"}, DAYS[1:]),
        ("between", {"column": "first_line_at", "max_value": date(2025, 7, 2)}, DAYS[1:]),
        ("between", {"column": "first_line_at", "max_value": "2025-07-02 09:30"}, DAYS[2:]),
        ("between", {"column": "first_line_at", "max_value": "2025-07-02T11:00:00+02:00"}, DAYS[2:]),
        ("in_set", {"column": "first_line_at", "value_set": ["2025-07-01 09:00", "2025-07-02 09:00"]}, DAYS[2:]),
    ],
)
def test_days_and_moments_of_an_own_expectation_are_compared_and_can_be_shown(kind, arguments, failing):
    described = {**OWN, "type": f"expect_column_values_to_be_{kind}", "arguments": arguments}
    own = suites(settings_with(expectations=[described]))["clean_transactions"][-1]
    begun = [pd.Timestamp(f"{day} 09:00", tz="UTC") for day in DAYS]
    (verdict,) = judge("clean_transactions", [own], sound("clean_transactions").assign(first_line_at=begun))
    assert list(verdict.failing_days) == failing
    shown = results.check_result("clean_transactions", verdict, {}).metadata["expectation"].value
    assert "2025-07-0" in json.dumps(shown)


@pytest.mark.parametrize(
    ("arguments", "threshold"),
    [
        ({"column": "date", "min_value": date(2020, 1, 1), "max_value": date(2030, 1, 1)},
         "date between 2020-01-01 and 2030-01-01"),
        ({"column": "first_line_at", "min_value": "2020-01-01", "max_value": "2020-01-01"},
         "first_line_at = 2020-01-01 00:00:00+00:00"),
        ({"column": "revenue", "min_value": 1000, "strict_min": True, "mostly": 0.9},
         "revenue at least 1000, strict_min True, mostly 0.9"),
        ({"column": "revenue", "min_value": 0.1, "max_value": 0.1 + 1e-12}, "revenue = 0.1"),
        ({"column": "revenue"}, "revenue without limits"),
    ],
)  # fmt: skip
def test_what_an_own_expectation_asks_for_is_told_in_full(arguments, threshold):
    own = suites(settings_with(expectations=[{**OWN, "arguments": arguments}]))["clean_transactions"][-1]
    assert own.threshold == threshold


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stage": "clean_transaction"}, "there is no stage 'clean_transaction'; did you mean clean_transactions?"),
        ({"type": "expect_column_values_between"}, "did you mean expect_column_values_to_be_between?"),
        ({"arguments": {"column": "revenue", "min_valu": 1}}, "has no argument 'min_valu'; did you mean min_value?"),
        ({"arguments": {"column": "revenu", "min_value": 1}}, "has no column 'revenu'; did you mean revenue?"),
        ({"arguments": {"min_value": 1}}, "'column' is a required property"),
        ({"arguments": {"column": "revenue", "min_value": "much"}}, "min_value: is not of a kind that is allowed"),
        ({"arguments": {"column": "revenue", "min_value": 1, "mostly": 2}}, "mostly: is not of a kind that is allowed"),
        ({"name": "rows_reconcile"}, "there is a check 'rows_reconcile' already"),
    ],
)
def test_an_own_expectation_that_cannot_be_is_one_clear_message(changes, message):
    with pytest.raises(ConfigurationError) as refused:
        suites(settings_with(expectations=[{**OWN, **changes}]))
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
