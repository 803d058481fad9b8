"""The batched event log against the stock one: the same assets and the same run, on real files, compared row by row."""

import multiprocessing
import os
import re
import sqlite3
import threading
import time
from contextlib import closing
from multiprocessing.synchronize import Barrier
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy
from dagster import AssetCheckKey, AssetKey, DagsterInstance
from dagster._core.events import DagsterEvent, DagsterEventBatchMetadata, DagsterEventType, StepMaterializationData
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from segmentation_pipeline.resources import event_log
from segmentation_pipeline.resources.event_log import BatchedSqliteEventLogStorage

FIRST_DAY, LAST_DAY, BAD_DAY = "2024-01-01", "2024-02-29", "2024-02-10"
DAYS = 60
RUN = "6a0b2a34-0000-4000-8000-000000000001"
BATCHED = """
event_log_storage:
  module: segmentation_pipeline.resources.event_log
  class: BatchedSqliteEventLogStorage
"""

days = dg.DailyPartitionsDefinition(FIRST_DAY, end_date="2024-03-01")
history = dg.TimeWindowPartitionMapping(start_offset=-1000, allow_nonexistent_upstream_partitions=True)
daily = {"partitions_def": days, "backfill_policy": dg.BackfillPolicy.single_run(), "code_version": "1"}


class DaysOnly(dg.IOManager):
    def handle_output(self, context, obj):
        context.add_output_metadata({"days": len(obj)})

    def load_input(self, context):
        return list(context.asset_partition_keys)


@dg.asset(**daily, check_specs=[dg.AssetCheckSpec("days_arrived", asset="raw")])
def raw(context):
    yield dg.Output(list(context.partition_keys))
    yield dg.AssetCheckResult(passed=True, metadata={"days": len(context.partition_keys)})


@dg.asset(**daily, ins={"raw": dg.AssetIn(partition_mapping=history)})
def rfm(context, raw):
    for day in raw[:3]:
        context.log_event(dg.AssetObservation("rfm", partition=day))
    return raw


@dg.asset_check(asset=rfm)
def rfm_adds_up():
    return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN)


@dg.asset(**daily, deps=[raw])
def returns(context):
    for day in context.partition_keys:
        if day != BAD_DAY:
            context.log_event(dg.AssetMaterialization("returns", partition=day))
    raise dg.Failure(f"bad day: {BAD_DAY}")


nightly = dg.Definitions(
    assets=[raw, rfm, returns],
    asset_checks=[rfm_adds_up],
    jobs=[dg.define_asset_job("nightly", selection="*")],
    resources={"io_manager": DaysOnly()},
    executor=dg.in_process_executor,
).resolve_job_def("nightly")


def backfilled(home: Path, dagster_yaml: str, batch_size: int) -> DagsterInstance:
    """An instance at `home` after one run over all days, in which all assets succeed but `returns`."""
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n" + dagster_yaml)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DAGSTER_HOME", str(home))
        environment.setenv("DAGSTER_EVENT_BATCH_SIZE", str(batch_size))
        instance = DagsterInstance.get()
        result = nightly.execute_in_process(
            instance=instance,
            run_id=RUN,
            tags={"dagster/asset_partition_range_start": FIRST_DAY, "dagster/asset_partition_range_end": LAST_DAY},
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=False,
        )
    assert [event.step_key for event in result.get_step_failure_events()] == ["returns"]
    return instance


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    with backfilled(tmp_path_factory.mktemp("stock") / "home", "", batch_size=0) as instance:
        yield instance


@pytest.fixture(scope="module")
def batched(tmp_path_factory):
    with backfilled(tmp_path_factory.mktemp("batched") / "home", BATCHED, batch_size=100) as instance:
        assert type(instance.event_log_storage) is BatchedSqliteEventLogStorage
        yield instance


def rows(base_dir: Path) -> dict[tuple[str, str], list[tuple]]:
    """Every row of every table of every database, with what no two runs share (moments, durations) taken out.

    Left out too: the stock's planned rows of a check for every day of a range, which no evaluation ever finds, and the
    row numbers that differ for their sake.
    """
    passing = re.compile(
        r"20\d\d-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?|\b\d{10}\.\d+|\b[\d.]+m?s\b"
        r'|(?<="duration_ms": )[\d.e-]+|(?<="log_key": ")\w+'
    )
    found = {}
    for database in sorted(Path(base_dir).glob("*.db")):
        with closing(sqlite3.connect(database)) as connection:
            for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                found[database.name, table] = [
                    tuple(passing.sub("~", str(value)) for value in row)
                    for row in connection.execute(f"SELECT * FROM {table} ORDER BY 1")
                ]
    checks = found["index.db", "asset_check_executions"]
    found["index.db", "asset_check_executions"] = [row[1:] for row in checks if row[5] != "PLANNED"]
    return found


def history_of(instance: DagsterInstance) -> Path:
    return Path(instance.root_directory) / "history" / "runs"


def test_a_backfill_in_batches_leaves_the_rows_the_stock_event_log_leaves(stock, batched):
    expected, found = rows(history_of(stock)), rows(history_of(batched))
    assert found.keys() == expected.keys()
    for table in expected:
        assert found[table] == expected[table], table
    assert len(found["index.db", "asset_event_tags"]) >= 2 * DAYS
    assert len(found["index.db", "asset_check_executions"]) >= 2
    assert len(found[f"{RUN}.db", "event_logs"]) >= 6 * DAYS - 1


def answers(instance: DagsterInstance) -> dict[str, object]:
    storage = instance.event_log_storage
    log = [record.event_log_entry for record in storage.get_records_for_run(RUN).records]
    found = {"events": [(event.step_key, event.dagster_event_type, event.level) for event in log]}
    found["steps"] = [(s.step_key, s.status, len(s.materialization_events)) for s in instance.get_run_step_stats(RUN)]
    for key in map(AssetKey, ["raw", "rfm", "returns"]):
        materializations = instance.fetch_materializations(key, limit=100).records
        (asset,) = instance.get_asset_records([key])
        found[key.to_user_string()] = (
            instance.get_materialized_partitions(key),
            [(record.storage_id, record.partition_key) for record in materializations],
            [record.asset_materialization for record in materializations],
            [record.partition_key for record in instance.fetch_observations(key, limit=100).records],
            instance.get_latest_storage_id_by_partition(key, DagsterEventType.ASSET_MATERIALIZATION, None),
            asset.asset_entry.last_materialization_storage_id,
            asset.asset_entry.last_run_id,
        )
    for check in (AssetCheckKey(AssetKey("raw"), "days_arrived"), AssetCheckKey(AssetKey("rfm"), "rfm_adds_up")):
        found[check.to_user_string()] = [
            (record.status, record.run_id)
            for record in storage.get_asset_check_execution_history(check, limit=1000)
            if record.status != AssetCheckExecutionRecordStatus.PLANNED
        ]
    return found


def test_a_check_of_a_range_run_is_planned_once_and_not_for_every_day(stock, batched):
    planned = {}
    for name, instance in (("stock", stock), ("batched", batched)):
        with closing(sqlite3.connect(history_of(instance) / "index.db")) as connection:
            (planned[name],) = connection.execute(
                "SELECT count(*) FROM asset_check_executions WHERE execution_status = 'PLANNED'"
            ).fetchone()
    assert planned["stock"] >= DAYS
    assert planned["batched"] == 0


def test_questions_about_assets_checks_and_runs_get_the_answers_of_the_stock_event_log(stock, batched):
    expected, found = answers(stock), answers(batched)
    for question in expected:
        assert found[question] == expected[question], question
    assert len(found["rfm"][0]) == DAYS
    assert found["returns"][0] == set(days.get_partition_keys()) - {BAD_DAY}


def test_history_written_by_either_event_log_is_read_by_the_other(stock, batched):
    for instance, reader in [(stock, BatchedSqliteEventLogStorage), (batched, SqliteEventLogStorage)]:
        storage = reader(str(history_of(instance)))
        assert storage.get_materialized_partitions(AssetKey("rfm")) == set(days.get_partition_keys())
        assert len(storage.get_records_for_run(RUN).records) == len(instance.all_logs(RUN))
        storage.dispose()


def materialization(run_id: str, day: str, version: str = "1") -> EventLogEntry:
    fact = dg.AssetMaterialization("raw", partition=day, tags={"dagster/data_version": version})
    return EventLogEntry(
        error_info=None,
        level=10,
        user_message="",
        run_id=run_id,
        timestamp=time.time(),
        dagster_event=DagsterEvent(
            DagsterEventType.ASSET_MATERIALIZATION.value, "nightly", event_specific_data=StepMaterializationData(fact)
        ),
    )


def stored(base_dir: Path, run_id: str | None = None) -> list[str]:
    """The days of the materializations in the log of a run or, without one, in the index; by order of storage."""
    with closing(sqlite3.connect(Path(base_dir) / f"{run_id or 'index'}.db")) as connection:
        return [day for (day,) in connection.execute("SELECT partition FROM event_logs ORDER BY id")]


def hand_over(instance: DagsterInstance, events: list[EventLogEntry]) -> None:
    for position, event in enumerate(events, start=1):
        instance.handle_new_event(event, batch_metadata=DagsterEventBatchMetadata("batch", position == len(events)))


@pytest.fixture
def empty(tmp_path, monkeypatch):
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n" + BATCHED)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    with DagsterInstance.get() as instance:
        yield instance


def test_a_batch_that_fails_half_way_is_stored_once_when_dagster_repeats_it_one_by_one(empty, monkeypatch, capfd):
    monkeypatch.setattr(event_log, "SQLITE_BUSY_TIMEOUT_SECONDS", 1)
    empty.event_log_storage.dispose()
    all_days = list(days.get_partition_keys())
    with closing(sqlite3.connect(history_of(empty) / "index.db", check_same_thread=False)) as other_process:
        other_process.execute("BEGIN IMMEDIATE")
        release = threading.Timer(1.5, other_process.rollback)  # after the batch gave up, before its repetition does
        release.start()
        hand_over(empty, [materialization(RUN, day) for day in all_days])
        release.join()
    assert "database is locked" in capfd.readouterr().err
    assert stored(history_of(empty), RUN) == stored(history_of(empty)) == all_days


def test_an_event_that_cannot_be_stored_leaves_what_it_leaves_in_the_stock_event_log(empty, tmp_path):
    events = [materialization(RUN, day) for day in days.get_partition_keys()]
    events[30] = materialization(RUN, "2024-01-31", version="\ud800")  # SQLite refuses it, in the last statement
    one_by_one = SqliteEventLogStorage(str(tmp_path / "stock"))  # its batch is a loop over store_event
    with pytest.raises(UnicodeEncodeError):
        hand_over(empty, events)
    with pytest.raises(UnicodeEncodeError):
        one_by_one.store_event_batch(events)
    assert rows(history_of(empty)) == rows(tmp_path / "stock")
    assert len(stored(history_of(empty))) == 30


def test_a_run_database_that_cannot_commit_leaves_nothing_in_the_index(empty):
    def refuse(connection):
        if RUN in str(connection.engine.url):
            raise OSError("no space left on device")

    empty.event_log_storage.store_event(materialization(RUN, "before"))
    sqlalchemy.event.listen(sqlalchemy.Engine, "commit", refuse)
    try:
        with pytest.raises(OSError, match="no space"):
            empty.event_log_storage.store_event_batch([materialization(RUN, day) for day in (FIRST_DAY, LAST_DAY)])
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "commit", refuse)
    assert stored(history_of(empty), RUN) == stored(history_of(empty)) == ["before"]


def test_no_lock_is_held_after_a_batch_or_an_event(empty):
    hand_over(empty, [materialization(RUN, day) for day in days.get_partition_keys()])
    empty.event_log_storage.store_event(materialization(RUN, FIRST_DAY))
    for database in history_of(empty).glob("*.db"):
        with closing(sqlite3.connect(database, timeout=0)) as other_process:
            other_process.execute("BEGIN IMMEDIATE")


def write(base_dir_or_storage: str | SqliteEventLogStorage, run_id: str, start: Barrier) -> None:
    storage = base_dir_or_storage
    if isinstance(storage, str):
        storage = BatchedSqliteEventLogStorage(storage)
    all_days = days.get_partition_keys()
    start.wait(timeout=120)
    for first in range(0, DAYS, 20):
        storage.store_event_batch([materialization(run_id, day) for day in all_days[first : first + 20]])
        storage.store_event(materialization("shared", f"{run_id} {first}"))


def test_threads_and_processes_that_write_and_read_at_once_lose_nothing(tmp_path):
    storage = BatchedSqliteEventLogStorage(str(tmp_path))
    spawn = multiprocessing.get_context("spawn")
    start = spawn.Barrier(4)
    writers = [
        spawn.Process(target=write, args=(str(tmp_path), "process1", start)),
        spawn.Process(target=write, args=(str(tmp_path), "process2", start)),
        threading.Thread(target=write, args=(storage, "thread1", start)),
        threading.Thread(target=write, args=(storage, "thread2", start)),
    ]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        storage.get_materialized_partitions(AssetKey("raw"))
        time.sleep(0.02)
    assert [process.exitcode for process in writers[:2]] == [0, 0]

    runs, all_days = ["process1", "process2", "thread1", "thread2"], list(days.get_partition_keys())
    shared = [f"{run} {first}" for run in runs for first in (0, 20, 40)]
    assert [stored(tmp_path, run) for run in runs] == [all_days] * 4
    assert sorted(stored(tmp_path, "shared")) == sorted(shared)
    assert sorted(stored(tmp_path)) == sorted(all_days * 4 + shared)
    assert storage.get_materialized_partitions(AssetKey("raw")) == {*all_days, *shared}
    assert len(rows(tmp_path)["index.db", "asset_event_tags"]) == 4 * DAYS + len(shared)
    storage.dispose()


def test_the_ui_sees_events_of_a_running_run_when_they_are_stored(tmp_path):
    run, ui = BatchedSqliteEventLogStorage(str(tmp_path)), BatchedSqliteEventLogStorage(str(tmp_path))
    run.store_event(materialization(RUN, "2024-01-01"))
    seen: list[str] = []
    ui.watch(RUN, None, lambda event, cursor: seen.append(event.dagster_event.partition))
    run.store_event_batch([materialization(RUN, "2024-01-02"), materialization(RUN, "2024-01-03")])
    deadline = time.time() + 60
    while len(seen) < 3 and time.time() < deadline:
        time.sleep(0.05)
    assert seen == ["2024-01-01", "2024-01-02", "2024-01-03"]
    ui.dispose()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_a_forked_child_and_its_parent_both_go_on_writing(tmp_path):
    storage = BatchedSqliteEventLogStorage(str(tmp_path))
    storage.store_event(materialization(RUN, "before"))
    child = os.fork()
    if child == 0:
        storage.store_event_batch([materialization(RUN, "child"), materialization(RUN, "child")])
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    storage.store_event(materialization(RUN, "after"))
    assert stored(tmp_path, RUN) == stored(tmp_path) == ["before", "child", "child", "after"]


def test_the_event_log_can_be_used_again_after_dispose_and_after_wipe(tmp_path):
    storage = BatchedSqliteEventLogStorage(str(tmp_path))
    storage.store_event(materialization(RUN, "first"))
    storage.dispose()
    storage.store_event(materialization(RUN, "second"))
    assert stored(tmp_path, RUN) == stored(tmp_path) == ["first", "second"]
    storage.wipe()
    storage.store_event_batch([materialization(RUN, "third"), materialization(RUN, "fourth")])
    assert stored(tmp_path, RUN) == stored(tmp_path) == ["third", "fourth"]


def test_without_dagster_home_and_base_dir_the_error_names_both(monkeypatch):
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    with pytest.raises(dg.DagsterInvariantViolationError, match=r"DAGSTER_HOME.*base_dir"):
        BatchedSqliteEventLogStorage.from_config_value(None, {})
