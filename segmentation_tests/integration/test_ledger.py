"""The quality ledger: every run's verdicts stay, and the latest one on each expectation and day is what counts."""

from datetime import UTC, date, datetime
from uuid import uuid4

import pandas as pd
import pyarrow.parquet as pq
import pytest
from upath import UPath

from segmentation_pipeline.core import schema
from segmentation_pipeline.resources.engines.duckdb import DuckDBEngine
from segmentation_pipeline.resources.ledger import QualityLedger
from segmentation_pipeline.settings import DuckDB

JULY = [date(2025, 7, day) for day in range(1, 6)]
GIVEN = [name for name in schema.QUALITY_RESULTS.names if name not in {"run_id", "evaluated_at"}]


@pytest.fixture
def folder(tmp_path) -> UPath:
    return UPath(tmp_path / "lake" / "quality_results")


@pytest.fixture
def ledger(folder) -> QualityLedger:
    return QualityLedger(folder, DuckDBEngine(DuckDB(), "Europe/London"))


def verdicts(stage: str, passed: dict[date, bool | None], expectation: str = "rows_reconcile") -> pd.DataFrame:
    """Verdicts on one expectation, by day; what was observed is the day's number."""
    rows = [
        {
            "stage": stage,
            "expectation": expectation,
            "severity": "critical",
            "threshold": "raw_rows equal to placed_rows",
            "date": day,
            "passed": each,
            "observed": float("nan") if each is None else float(day.day),
        }
        for day, each in passed.items()
    ]
    return pd.DataFrame(rows, columns=GIVEN).astype({"passed": "boolean"})


def seen(found: pd.DataFrame) -> dict[tuple[str, str, int], bool | None]:
    keys = zip(found["stage"], found["expectation"], found["date"].dt.day, strict=True)
    return {key: None if pd.isna(passed) else bool(passed) for key, passed in zip(keys, found["passed"], strict=True)}


def test_without_a_ledger_there_are_no_verdicts_but_their_columns(ledger, folder):
    found = ledger.latest(JULY[0], JULY[-1])
    assert found.empty
    assert found.columns.tolist() == schema.QUALITY_RESULTS.names
    assert not folder.exists()


def test_two_stages_of_one_run_are_both_kept_in_one_file(ledger, folder):
    run = str(uuid4())
    ledger.append(run, verdicts("raw_transactions", {JULY[0]: True}))
    ledger.append(run, verdicts("clean_transactions", {JULY[0]: False}))
    found = ledger.latest(JULY[0], JULY[0])
    assert seen(found) == {
        ("clean_transactions", "rows_reconcile", 1): False,
        ("raw_transactions", "rows_reconcile", 1): True,
    }
    assert set(found["run_id"]) == {run}
    assert [file.name.endswith(f"-{run}.parquet") for file in folder.iterdir()] == [True]


def test_a_verdict_comes_back_as_it_went_in(ledger):
    before = datetime.now(UTC)
    ledger.append("a-run", verdicts("raw_transactions", {JULY[0]: False, JULY[1]: None}))
    found = ledger.latest(JULY[0], JULY[1])
    assert found.columns.tolist() == schema.QUALITY_RESULTS.names
    assert found[["severity", "threshold"]].drop_duplicates().to_numpy().tolist() == [
        ["critical", "raw_rows equal to placed_rows"]
    ]
    assert seen(found) == {
        ("raw_transactions", "rows_reconcile", 1): False,
        ("raw_transactions", "rows_reconcile", 2): None,
    }
    assert found["observed"].iloc[0] == 1
    assert pd.isna(found["observed"].iloc[1])
    assert found["evaluated_at"].between(before, datetime.now(UTC)).all()


def test_the_latest_verdict_on_each_expectation_and_day_wins(ledger):
    ledger.append("first", verdicts("raw_transactions", {JULY[0]: False, JULY[1]: False, JULY[2]: True}))
    ledger.append("first", verdicts("raw_transactions", {JULY[0]: True}, "volume_is_usual"))
    ledger.append("second", verdicts("raw_transactions", {JULY[1]: True, JULY[2]: False}))
    ledger.append("first", verdicts("raw_transactions", {JULY[2]: None}))
    found = ledger.latest(JULY[0], JULY[-1])
    assert seen(found) == {
        ("raw_transactions", "rows_reconcile", 1): False,
        ("raw_transactions", "rows_reconcile", 2): True,
        ("raw_transactions", "rows_reconcile", 3): None,
        ("raw_transactions", "volume_is_usual", 1): True,
    }
    assert len(found) == 4
    assert found["run_id"].tolist() == ["first", "second", "first", "first"]


def test_verdicts_come_by_stage_expectation_and_day(ledger):
    for stage, expectation in (("rfm_features", "b"), ("clean_transactions", "z"), ("rfm_features", "a")):
        ledger.append("a-run", verdicts(stage, dict.fromkeys(reversed(JULY), True), expectation))
    found = ledger.latest(JULY[0], JULY[-1])
    assert list(seen(found)) == [
        (stage, expectation, day.day)
        for stage, expectation in (("clean_transactions", "z"), ("rfm_features", "a"), ("rfm_features", "b"))
        for day in JULY
    ]


def test_days_outside_the_range_are_left_out(ledger):
    ledger.append("a-run", verdicts("raw_transactions", dict.fromkeys(JULY, True)))
    assert ledger.latest(JULY[1], JULY[3])["date"].dt.date.tolist() == JULY[1:4]
    assert ledger.latest(date(2025, 8, 1), date(2025, 8, 31)).empty


def test_failures_are_the_latest_verdicts_that_do_not_hold(ledger):
    assert ledger.failures(JULY[0], JULY[-1]).empty
    ledger.append("first", verdicts("raw_transactions", {JULY[0]: False, JULY[1]: False, JULY[2]: True, JULY[3]: None}))
    ledger.append("second", verdicts("raw_transactions", {JULY[1]: True, JULY[4]: False}))
    assert ledger.failures(JULY[0], JULY[-1])["date"].dt.date.tolist() == [JULY[0], JULY[4]]
    assert ledger.failures(JULY[1], JULY[3]).empty


def test_every_verdict_of_every_run_stays_on_disk(ledger, folder):
    for run, passed in (("first", False), ("second", True), ("first", True)):
        ledger.append(run, verdicts("raw_transactions", {JULY[0]: passed}))
    files = list(folder.iterdir())
    assert len(files) == 2
    stored = pd.concat(pq.read_table(str(file)).to_pandas() for file in files)
    assert sorted(zip(stored["run_id"], stored["passed"], strict=True)) == [
        ("first", False),
        ("first", True),
        ("second", True),
    ]
    assert all(pq.read_schema(str(file)).names == schema.QUALITY_RESULTS.names for file in files)


def test_a_file_that_is_still_being_written_is_not_read(ledger, folder):
    ledger.append("a-run", verdicts("raw_transactions", {JULY[0]: True}))
    (folder / ".0123456789abcdef").write_bytes(b"PAR1 cut short")
    assert len(ledger.latest(JULY[0], JULY[0])) == 1
