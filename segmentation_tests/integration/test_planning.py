"""Planning: a run does what is new and nothing else."""

import os
import shutil
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq
import pytest

from segmentation_pipeline import inspection
from segmentation_pipeline.build import build_definitions
from segmentation_pipeline.catching_up import due
from segmentation_pipeline.opening import build_resources
from segmentation_pipeline.planning import (
    FEATURES,
    MODEL,
    QUALITY,
    RETURNS,
    SEGMENTS,
    TRANSACTIONS,
    AsOfError,
    PlannedRun,
    as_of_day,
    plan,
)
from segmentation_pipeline.running import execute
from segmentation_pipeline.settings import Settings

FIRST, LAST = date(2025, 7, 1), date(2025, 7, 20)
NIGHT = (*TRANSACTIONS, *RETURNS, *FEATURES, *SEGMENTS, *QUALITY)


def planned(settings: Settings, as_of: date) -> list[PlannedRun]:
    """The plan of a process that starts now."""
    resources = build_resources(settings)
    resources["source"].refresh()
    return plan(settings, resources["freshness"], resources["models"], as_of)


def carried_out(settings: Settings, as_of: date) -> list[PlannedRun]:
    resources = build_resources(settings)
    runs = plan(settings, resources["freshness"], resources["models"], as_of)
    with dg.DagsterInstance.ephemeral() as instance:
        execute(build_definitions(settings, resources), instance, runs, as_of, verbose=False)
    return runs


@pytest.fixture(scope="module")
def done(small_shop: Settings) -> Settings:
    """A shop that has run to the day before its last."""
    first = carried_out(small_shop, LAST - timedelta(days=1))
    assert [(run.job, run.assets) for run in first] == [
        ("nightly_refresh", (*TRANSACTIONS, *RETURNS)),
        ("nightly_refresh", FEATURES),
        ("refit_model", MODEL),
        ("nightly_refresh", (*SEGMENTS, *QUALITY)),
    ]
    return small_shop


def test_nothing_new_is_no_run(done):
    assert planned(done, LAST - timedelta(days=1)) == []


def test_a_night_is_one_run_of_the_job_that_the_schedule_runs(done):
    assert planned(done, LAST) == [PlannedRun("nightly_refresh", NIGHT, LAST, LAST)]


def test_an_earlier_day_only_needs_its_snapshot(done):
    day = LAST - timedelta(days=5)
    assert planned(done, day) == [PlannedRun("nightly_refresh", (*FEATURES, *SEGMENTS, *QUALITY), day, day)]


def test_a_new_file_brings_its_own_day_up_to_date_and_what_is_computed_from_it(done):
    dropping = done.model_copy(update={"source": done.source.model_copy(update={"removed_files": "drop"})})
    late = Path(done.source.path).parent / "late.parquet"
    rows = pq.read_table(late.with_name("transactions-2025-07-10.parquet")).slice(0, 3)
    pq.write_table(rows.set_column(0, "InvoiceNo", [["999001", "999002", "999003"]]), late)
    try:
        day, end = date(2025, 7, 10), LAST - timedelta(days=1)
        assert planned(done, end) == [
            PlannedRun("nightly_refresh", TRANSACTIONS, day, day),
            PlannedRun("nightly_refresh", RETURNS, day, end),
            PlannedRun("nightly_refresh", (*FEATURES, *SEGMENTS, *QUALITY), end, end),
        ]
    finally:
        late.unlink()
    assert planned(dropping, LAST - timedelta(days=1)) == []


def test_a_file_that_is_only_touched_changes_nothing(done):
    file = Path(done.source.path).parent / "transactions-2025-07-10.parquet"
    later = time.time() + 60
    os.utime(file, (later, later))
    assert planned(done, LAST - timedelta(days=1)) == []


def test_another_cleaning_rule_cleans_again_and_reads_nothing_again(done):
    changed = done.model_copy(update={"cleaning": done.cleaning.model_copy(update={"reject_duplicates": False})})
    runs = planned(changed, LAST - timedelta(days=1))
    assert runs[0].first_day == FIRST
    assert "clean_transactions" in runs[0].assets


def test_a_lost_report_is_drawn_again(done):
    day = LAST - timedelta(days=1)
    page = build_resources(done)["reports"].page(day)
    content = page.read_bytes()
    page.unlink()
    try:
        assert planned(done, day) == [PlannedRun("nightly_refresh", (*FEATURES, *SEGMENTS, *QUALITY), day, day)]
    finally:
        page.write_bytes(content)


def test_the_day_is_the_last_in_the_source_unless_another_is_wished_for(done):
    source = build_resources(done)["source"]
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert as_of_day(done, source, None, now) == LAST
    assert as_of_day(done, source, date(2025, 7, 4), now) == date(2025, 7, 4)
    with pytest.raises(AsOfError, match="first sale is on 2025-07-01"):
        as_of_day(done, source, date(2025, 6, 30), now)


def test_a_day_that_is_not_over_cannot_be_computed(done):
    source = build_resources(done)["source"]
    during_the_last_day = datetime(2025, 7, 20, 12, tzinfo=UTC)
    assert as_of_day(done, source, None, during_the_last_day) == LAST - timedelta(days=1)
    with pytest.raises(AsOfError, match="last day to be had is 2025-07-19"):
        as_of_day(done, source, LAST, during_the_last_day)


def test_a_later_start_date_leaves_earlier_days_out_and_nothing_to_do_once_it_is_carried_out(done, tmp_path):
    shutil.copytree(done.lake, tmp_path / "lake")
    first = FIRST + timedelta(days=4)
    moved = {"start_date": first, "lake": tmp_path / "lake", "reports": tmp_path / "reports"}
    later = done.model_copy(update=moved)
    day = LAST - timedelta(days=1)
    carried_out(later, day)
    assert planned(later, day) == []
    resources = build_resources(later)
    days = [first + timedelta(days=number) for number in range((day - first).days + 1)]
    assert due(resources["freshness"], resources["lake"], days) == []
    shown = inspection.results(resources["lake"], first, day).days
    assert shown["date"].dt.date.tolist() == days
