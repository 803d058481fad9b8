"""Interruptions: runs that are killed, two runs at once, and faults that pass leave what an undisturbed run leaves."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import ibis.expr.types as ir
import psycopg
import pytest

from segmentation_pipeline.build import build_definitions
from segmentation_pipeline.errors import TransientFault
from segmentation_pipeline.opening import build_resources
from segmentation_pipeline.resources.lock import exclusively
from segmentation_pipeline.resources.sources.source import TransactionSource
from segmentation_pipeline.settings import CONFIG_VARIABLE, load
from segmentation_tests.integration.live_shop import QUIET, configure

FIRST, LAST = date(2025, 7, 1), date(2025, 7, 6)
VARIABLE = "INTERRUPTED_SHOP_DATABASE_URL"
ASSETS = ("raw_transactions", "clean_transactions", "quarantined_transactions", "customer_orders", "customer_returns")
SNAPSHOTS = ("rfm_features", "feature_exploration", "customer_segments", "segment_migration", "segment_profiles")
WRITTEN = (*ASSETS, *SNAPSHOTS, "segment_drift", "published_segments", "segment_export")
RANGE = {"dagster/asset_partition_range_start": str(FIRST), "dagster/asset_partition_range_end": str(LAST)}

# Where a run kills itself: before the first, second, ... call of a method, or of one that moves a file to such a place.
POINTS = {
    "the first rows are staged and none is published": ("segmentation_pipeline.checks.gate", "Gate._measured", "", 1),
    "a partition is in place and its note is not": (
        "pathlib",
        "Path.replace",
        "clean_transactions/*/partition.jsonl",
        3,
    ),
    "some days are published": ("pathlib", "Path.replace", "customer_orders/*/part-0.parquet", 4),
    "some days are in the database and a transaction is open": (
        "adbc_driver_manager.dbapi",
        "Connection.commit",
        "",
        3,
    ),
}

# What a run worker does: every daily table of the range, in one run. `ready` tells when the work begins.
WORKER = f"""
import fnmatch, importlib, os, signal, sys
from pathlib import Path
import dagster as dg
from segmentation_pipeline.build import build_definitions
from segmentation_pipeline.settings import load

def kill_before(module, method, place, call):
    owner, name = method.split(".")
    owner = getattr(importlib.import_module(module), owner)
    unharmed, calls = getattr(owner, name), []
    def harmful(*given):
        if not place or fnmatch.fnmatch(str(given[1]), "*/lake/" + place):
            calls.append(given)
            if len(calls) == call:
                os.killpg(0, signal.SIGKILL)
        return unharmed(*given)
    setattr(owner, name, harmful)

if len(sys.argv) > 2:
    kill_before(*sys.argv[2:5], int(sys.argv[5]))
definitions = build_definitions(load(Path(sys.argv[1])))
job = definitions.resolve_job_def("nightly_refresh")
selected = [dg.AssetKey(asset) for asset in {WRITTEN!r}]
print("ready", flush=True)
with dg.DagsterInstance.ephemeral() as instance:
    done = job.execute_in_process(
        instance=instance, run_config={QUIET!r}, tags={RANGE!r}, asset_selection=selected, raise_on_error=False
    )
for failed in done.filter_events(lambda event: event.is_step_failure):
    print(failed.step_key, failed.step_failure_data.error, file=sys.stderr, flush=True)
sys.stdout.flush()
os._exit(0 if done.success else 1)
"""


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory, database_url: str) -> Iterator[Path]:
    """A shop with a model in force and nothing else in its lake, that publishes into a database and a folder."""
    publish = {"database": {"url_variable": VARIABLE, "schema": "undisturbed"}, "exports": "exports"}
    file = configure(tmp_path_factory.mktemp("interrupted"), FIRST, LAST, publish=publish)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(VARIABLE, database_url)
        fit(file)
        yield file


def fit(file: Path) -> None:
    settings = load(file)
    definitions = build_definitions(settings)
    with dg.DagsterInstance.ephemeral() as instance:
        job = definitions.resolve_job_def("nightly_refresh")
        selected = [dg.AssetKey(asset) for asset in (*ASSETS, "rfm_features")]
        assert job.execute_in_process(instance=instance, run_config=QUIET, tags=RANGE, asset_selection=selected).success
        assert (
            definitions.resolve_job_def("refit_model").execute_in_process(instance=instance, run_config=QUIET).success
        )
    for asset in (*ASSETS, "rfm_features"):
        shutil.rmtree(settings.lake / asset)


@pytest.fixture(scope="module")
def undisturbed(ready: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], float]:
    """The files of a run that nothing befell, and the seconds it took once it had begun."""
    file = copied(ready, tmp_path_factory.mktemp("undisturbed"))
    worker = started(file)
    begun = time.monotonic()
    assert worker.wait(300) == 0
    return contents(file), time.monotonic() - begun


def copied(file: Path, folder: Path) -> Path:
    return shutil.copytree(file.parent, folder / "shop") / file.name


def started(file: Path, schema: str = "undisturbed", point: Sequence[object] = ()) -> subprocess.Popen[str]:
    """A run worker that has begun, in a process group of its own, publishes into that schema, and dies at that point."""
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(file), *map(str, point)],
        env={**os.environ, "SEGMENTATION_PUBLISH__DATABASE__SCHEMA": schema},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert worker.stdout
    assert worker.stdout.readline() == "ready\n"
    return worker


def contents(file: Path) -> dict[str, bytes]:
    """Every partition of the lake and every export, by path."""
    folders = [file.parent / "lake" / asset for asset in (*ASSETS, *SNAPSHOTS)] + [file.parent / "exports"]
    return {
        str(part.relative_to(file.parent)): part.read_bytes()
        for folder in folders
        for part in sorted(folder.rglob("*"))
        if part.suffix in (".parquet", ".csv") and not part.name.startswith(".")
    }


def published(url: str, schema: str) -> dict[str, list[tuple[object, ...]]]:
    """Every row of the published tables, but for when they were published and by which run."""
    tables = {
        "published_segments": "*",
        "segment_changes": "*",
        "publications": "as_of, model_version, customers",
    }
    with psycopg.connect(url) as database:
        return {
            table: database.execute(f"SELECT {columns} FROM {schema}.{table} ORDER BY 1, 2").fetchall()
            for table, columns in tables.items()
        }


def readable(file: Path) -> None:
    """Every partition that is in the lake can be read to its last row."""
    lake = load(file).lake
    for asset in (*ASSETS, *SNAPSHOTS):
        parts = [str(part) for part in (lake / asset).rglob("part-0.parquet")]
        if parts:
            duckdb.sql(f"SELECT count(*), max(hash(t)) FROM read_parquet({parts}) t").fetchall()


def test_a_range_run_killed_at_named_points_and_a_random_one_and_run_again_leaves_the_same_bytes_and_rows(
    ready, undisturbed, tmp_path, database_url
):
    file = copied(ready, tmp_path)
    whole, seconds = undisturbed
    partitions = []
    for point in (*POINTS.values(), None):
        worker = started(file, "killed", point or ())
        if point is None:
            time.sleep(random.Random(3).uniform(0.02, 0.95) * seconds)
            os.killpg(worker.pid, signal.SIGKILL)
        assert worker.wait(300) == -signal.SIGKILL
        readable(file)
        found = contents(file)
        partitions.append(len(found))
        assert all(whole[part] == content for part, content in found.items())
    staged_only, without_a_note, some_days, in_database, _at_random = partitions
    assert staged_only == 0 < without_a_note < some_days < in_database < len(whole)
    worker = started(file, "killed")
    assert worker.wait(300) == 0
    assert contents(file) == whole
    rows = published(database_url, "killed")
    assert rows == published(database_url, "undisturbed")
    assert len(rows["publications"]) == (LAST - FIRST).days + 1


def test_two_range_runs_at_once_on_overlapping_days_end_in_the_same_bytes(ready, undisturbed, tmp_path, database_url):
    file = copied(ready, tmp_path)
    workers = [started(file, "twice") for _worker in range(2)]
    assert [worker.wait(300) for worker in workers] == [0, 0]
    assert contents(file) == undisturbed[0]
    assert published(database_url, "twice") == published(database_url, "undisturbed")


def test_a_run_waits_for_another_process_that_writes_to_the_lake_and_says_for_whom(ready, tmp_path):
    file = copied(ready, tmp_path)
    settings = load(file)
    definitions = build_definitions(settings)
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time; from pathlib import Path; from segmentation_pipeline.resources.lock import exclusively\n"
            "with exclusively(Path(sys.argv[1]), 'run 4711', print):\n    print('held', flush=True); time.sleep(3)",
            str(settings.lake),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout
    assert holder.stdout.readline() == "held\n"
    with dg.DagsterInstance.ephemeral() as instance:
        done = definitions.resolve_job_def("nightly_refresh").execute_in_process(
            instance=instance,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            partition_key=str(FIRST),
            asset_selection=[dg.AssetKey("raw_transactions")],
        )
        told = [entry.user_message for entry in instance.all_logs(done.run_id)]
    assert holder.wait() == 0
    assert f"Waiting for run 4711, which writes to {settings.lake}." in told


def test_a_killed_process_leaves_no_lock_behind(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from segmentation_pipeline.resources.lock import exclusively\n"
        "with exclusively(Path(sys.argv[1]), 'a run', print):\n    print('held', flush=True); time.sleep(600)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout
    assert holder.stdout.readline() == "held\n"
    holder.kill()
    holder.wait()
    told: list[str] = []
    with exclusively(tmp_path, "another", told.append):
        assert told == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_interrupted_says_so_and_how_to_go_on(tmp_path, how):
    file = configure(tmp_path, FIRST, LAST)
    command = [sys.executable, "-m", "segmentation_pipeline.cli", "run", "--config", str(file)]
    environment = {**os.environ, "DAGSTER_HOME": str(tmp_path / "dagster")}
    run = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while run.poll() is None and not (tmp_path / "lake" / "raw_transactions").exists():
        time.sleep(0.1)
    run.send_signal(how)
    _shown, told = run.communicate(timeout=60)
    assert "Interrupted. What was finished is kept, and nothing is half-written; run it again to go on." in told
    assert "Traceback" not in told
    assert run.returncode == 128 + how


IN_A_QUERY = """
import os, signal, threading, dagster as dg
from segmentation_pipeline import interrupts
from segmentation_pipeline.assets.retrying import retrying
from segmentation_pipeline.errors import Interrupted
from segmentation_pipeline.resources.engines.duckdb import DuckDBEngine
from segmentation_pipeline.settings import DuckDB, Schedule

@dg.asset
def endless(context):
    context.instance.report_run_canceling(context.run)  # as the UI does before it sends the signal
    with retrying(context, Schedule()):
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
        engine = DuckDBEngine(DuckDB(), "UTC")
        engine.connection.raw_sql("SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE hash(a, b) = 0")

with dg.DagsterInstance.ephemeral() as instance:
    try:
        with interrupts.ends_in_interrupted():
            dg.materialize([endless], instance=instance)
    except Interrupted as stopped:
        print(stopped.exit_code, *(run.status.value for run in instance.get_runs()))
"""


def test_a_stop_signal_that_comes_while_duckdb_runs_a_query_cancels_the_run():
    run = subprocess.run([sys.executable, "-c", IN_A_QUERY], check=False, capture_output=True, text=True, timeout=50)
    assert run.stdout == "143 CANCELED\n", run.stderr


def test_an_interrupt_that_comes_while_an_object_is_removed_is_not_lost(tmp_path):
    code = (
        "import os, signal, time, dagster as dg, segmentation_pipeline.definitions\n"
        "class Removed:\n"
        "    def __del__(self):\n        os.kill(os.getpid(), signal.SIGTERM)\n        time.sleep(1)\n"
        "@dg.asset\ndef stopped():\n    Removed()\n    time.sleep(30)\n    print('went on')\n"
        "dg.materialize([stopped], instance=dg.DagsterInstance.ephemeral())\n"
    )
    environment = {**os.environ, CONFIG_VARIABLE: str(configure(tmp_path, FIRST, LAST))}
    run = subprocess.run(
        [sys.executable, "-c", code], check=False, env=environment, capture_output=True, text=True, timeout=50
    )
    assert run.returncode != 0
    assert "DagsterExecutionInterruptedError" in run.stderr
    assert "Exception ignored in" not in run.stderr
    assert "went on" not in run.stdout


class Flaky:
    """A source that cannot be reached at first."""

    def __init__(self, source: TransactionSource, faults: list[Exception]) -> None:
        self._source = source
        self._faults = faults
        self.asked = 0

    def lost_days(self) -> Collection[date]:
        return self._source.lost_days()

    def rows(self, days: Sequence[date]) -> ir.Table:
        self.asked += 1
        if self._faults:
            raise self._faults.pop(0)
        return self._source.rows(days)


def attempts(file: Path, faults: list[Exception]) -> tuple[bool, int, list[float]]:
    """Whether a run succeeded whose source had these faults, how often it was asked, and the seconds between."""
    settings = load(file)
    schedule = settings.schedule.model_copy(update={"retry_seconds": 0.05})
    settings = settings.model_copy(update={"schedule": schedule})
    resources: Mapping[str, Any] = build_resources(settings)
    source = Flaky(resources["source"], faults)
    definitions = build_definitions(settings, {**resources, "source": source})
    with dg.DagsterInstance.ephemeral() as instance:
        done = definitions.resolve_job_def("nightly_refresh").execute_in_process(
            instance=instance,
            run_config=QUIET,
            partition_key=str(FIRST),
            asset_selection=[dg.AssetKey("raw_transactions")],
            raise_on_error=False,
        )
        again = [event for event in done.all_events if event.event_type == dg.DagsterEventType.STEP_UP_FOR_RETRY]
        waits = [event.step_retry_data.seconds_to_wait for event in again]
    return done.success, source.asked, waits


@pytest.mark.parametrize(
    "fault",
    [TransientFault("The database is away."), ConnectionResetError("reset"), OSError(116, "Stale file handle")],
    ids=["database", "network", "file system"],
)
def test_a_fault_that_passes_is_tried_again_later_and_later(ready, tmp_path, fault):
    succeeded, asked, waits = attempts(copied(ready, tmp_path), [fault, fault])
    assert (succeeded, asked, waits) == (True, 3, [0.05, 0.1])


@pytest.mark.parametrize("fault", [ValueError("a bug"), OSError(28, "No space left on device")], ids=["bug", "disk"])
def test_any_other_fault_ends_the_run_at_once(ready, tmp_path, fault):
    assert attempts(copied(ready, tmp_path), [fault]) == (False, 1, [])


def test_a_fault_that_does_not_pass_ends_the_run_after_the_configured_retries(ready, tmp_path):
    succeeded, asked, waits = attempts(copied(ready, tmp_path), [TransientFault("The database is away.")] * 9)
    assert (succeeded, asked, len(waits)) == (False, 4, 3)
