"""Asset checks: what the suites say of sound and of damaged data, and what a run does then."""

from collections.abc import Iterator
from datetime import date

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from segmentation_pipeline.build import build_definitions, build_resources
from segmentation_pipeline.checks.expectations import Expectation
from segmentation_pipeline.checks.judging import CheckCrashed, judge
from segmentation_pipeline.checks.suites import SUITES
from segmentation_pipeline.settings import Settings

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
UP_TO_ORDERS = [
    "raw_transactions",
    "clean_transactions",
    "quarantined_transactions",
    "cleaning_profile",
    "customer_orders",
    "customer_returns",
]
RANGE = {"dagster/asset_partition_range_start": "2025-07-01", "dagster/asset_partition_range_end": "2025-07-20"}
LAST = "2025-07-20"


@pytest.fixture(scope="module")
def resources(small_shop: Settings):
    return build_resources(small_shop)


@pytest.fixture(scope="module")
def nightly(small_shop: Settings, resources) -> dg.Definitions:
    return build_definitions(small_shop, resources)


@pytest.fixture(scope="module")
def instance(nightly) -> Iterator[dg.DagsterInstance]:
    """An instance on which the shop has run to its last day, model and all."""
    with dg.DagsterInstance.ephemeral() as instance:
        run(nightly, instance, "nightly_refresh", UP_TO_ORDERS, tags=RANGE)
        run(nightly, instance, "nightly_refresh", ["rfm_features"], partition_key=LAST)
        run(nightly, instance, "refit_model", None)
        run(nightly, instance, "nightly_refresh", ["customer_segments", "segment_profiles"], partition_key=LAST)
        yield instance


def run(definitions, instance, job, assets, **options) -> dg.ExecuteInProcessResult:
    selection = [dg.AssetKey(asset) for asset in assets] if assets else None
    return definitions.resolve_job_def(job).execute_in_process(
        instance=instance, asset_selection=selection, run_config=QUIET, raise_on_error=False, **options
    )


def latest(instance: dg.DagsterInstance, asset: str) -> dict[str, dg.AssetCheckEvaluation]:
    keys = [dg.AssetCheckKey(dg.AssetKey(asset), each.name) for each in SUITES[asset]]
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    return {key.name: record.event.asset_check_evaluation for key, record in found.items()}


@pytest.mark.parametrize("asset", SUITES)
def test_every_expectation_holds_on_a_simulated_shop_and_is_recorded(instance, asset):
    evaluations = latest(instance, asset)
    assert set(evaluations) == {each.name for each in SUITES[asset]}
    assert all(evaluation.passed for evaluation in evaluations.values())


def test_check_names_are_unique_within_a_stage():
    for suite in SUITES.values():
        assert len({each.name for each in suite}) == len(suite)


def test_a_lost_row_fails_the_check_names_its_day_and_stops_what_is_downstream(
    instance, nightly, resources, small_shop
):
    file = resources["lake"].file("clean_transactions", date(2025, 7, 9))
    whole = file.read_bytes()
    table = pq.read_table(str(file))
    pq.write_table(table.slice(1), str(file))
    try:
        result = run(nightly, instance, "nightly_refresh", ["cleaning_profile", "segment_report"], tags=RANGE)
        evaluations = latest(instance, "cleaning_profile")
    finally:
        file.write_bytes(whole)
    assert not evaluations["rows_reconcile"].passed
    assert evaluations["rows_reconcile"].severity == dg.AssetCheckSeverity.ERROR
    assert "2025-07-09" in evaluations["rows_reconcile"].description
    assert "2025-07-09" in evaluations["rows_reconcile"].metadata["failing_days"].value
    assert "Materialize raw_transactions" in evaluations["rows_reconcile"].metadata["remedy"].value
    assert not evaluations["money_reconciles"].passed
    assert evaluations["quarantined_share_is_small"].passed
    assert not result.success

    assert run(nightly, instance, "nightly_refresh", ["cleaning_profile"], tags=RANGE).success
    assert all(evaluation.passed for evaluation in latest(instance, "cleaning_profile").values())


def test_one_check_can_be_executed_alone_and_then_judges_every_day(instance, nightly):
    key = dg.AssetCheckKey(dg.AssetKey("cleaning_profile"), "rows_reconcile")
    job = nightly.resolve_implicit_global_asset_job_def().get_subset(asset_check_selection={key}, asset_selection=set())
    result = job.execute_in_process(instance=instance, run_config=QUIET)
    (evaluation,) = result.get_asset_check_evaluations()
    assert (evaluation.check_name, evaluation.passed) == ("rows_reconcile", True)


SOUND = {
    "cleaning_profile": pd.DataFrame(
        {"date": [date(2025, 7, 1)], "raw_rows": [4], "placed_rows": [4], "raw_amount": [9.5], "placed_amount": [9.5],
         "quarantined_rows": [0], "quarantined_share": [0.0]}
    ),
    "rfm_features": pd.DataFrame(
        {"date": [date(2025, 7, 1)], "rows": [3], "customers": [3], "least_recency_days": [0], "impossible_rows": [0]}
    ),
    "customer_segments": pd.DataFrame(
        {"date": [date(2025, 7, 1)], "customers_with_features": [3], "customers": [3], "unnamed_customers": [0]}
    ),
    "segment_profiles": pd.DataFrame(
        {"date": [date(2025, 7, 1)] * 2, "segment": ["A", "B"], "day_customer_share": [1.0, 1.0]}
    ),
    "k_diagnostics": pd.DataFrame(
        {"date": [date(2025, 7, 1)] * 2, "finite_inertia": [2.0, 1.0], "chosen": [0, 1], "chosen_despite_vetoes": [0, 0]}
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("asset", "column", "value", "fails"),
    [
        ("cleaning_profile", "placed_rows", 3, "rows_reconcile"),
        ("cleaning_profile", "placed_amount", 9.49, "money_reconciles"),
        ("cleaning_profile", "quarantined_share", 0.26, "quarantined_share_is_small"),
        ("rfm_features", "rows", 4, "one_row_per_customer"),
        ("rfm_features", "least_recency_days", -1, "recency_is_never_negative"),
        ("rfm_features", "impossible_rows", 1, "recency_and_frequency_agree"),
        ("customer_segments", "customers", 2, "every_customer_has_one_segment"),
        ("customer_segments", "unnamed_customers", 1, "every_segment_has_a_name"),
        ("segment_profiles", "segment", "A", "every_name_is_used_once"),
        ("segment_profiles", "day_customer_share", 0.99, "shares_add_up"),
        ("k_diagnostics", "finite_inertia", np.nan, "inertia_is_finite"),
        ("k_diagnostics", "chosen", 0, "one_k_is_chosen"),
        ("k_diagnostics", "chosen_despite_vetoes", 1, "choice_is_not_vetoed"),
    ],
)
def test_each_expectation_fails_on_its_own_damage_and_no_other_does(asset, column, value, fails):
    assert all(result.passed for result in judge(asset, SUITES[asset], SOUND[asset]))
    damaged = SOUND[asset].assign(**{column: value})
    assert [result.check_name for result in judge(asset, SUITES[asset], damaged) if not result.passed] == [fails]


def test_every_expectation_is_covered_by_a_damage():
    covered = {mark.args[1][place][3] for mark in test_each_expectation_fails_on_its_own_damage_and_no_other_does.pytestmark
               for place in range(len(mark.args[1]))}  # fmt: skip
    assert covered == {each.name for suite in SUITES.values() for each in suite}


def test_an_expectation_that_breaks_is_a_crash_and_not_a_verdict():
    broken = Expectation(
        "expect_column_values_to_be_between",
        {"column": "absent", "max_value": 1},
        "critical",
        why="-",
        remedy="-",
        name="broken",
    )
    with pytest.raises(CheckCrashed, match="broken could not be evaluated"):
        list(judge("rfm_features", [broken], SOUND["rfm_features"]))
