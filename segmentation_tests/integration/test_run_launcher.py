"""The run launcher: a run whose process is gone is failed by Dagster's own monitor, and one that goes on is left alone."""

import logging
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._daemon.monitoring.run_monitoring import monitor_started_run

from segmentation_pipeline.instance import DAGSTER_YAML
from segmentation_pipeline.resources.run_launcher import MACHINE_TAG, machine
from segmentation_tests.integration.live_shop import configure

SLEEPER = (
    "import signal, time; signal.signal(signal.SIGINT, signal.SIG_DFL); print('there', flush=True); time.sleep(600)"
)


@pytest.fixture
def instance(tmp_path):
    home = tmp_path / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text(DAGSTER_YAML)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DAGSTER_HOME", str(home))
        with dg.DagsterInstance.from_config(str(home)) as opened:
            yield opened


@pytest.fixture
def process():
    found = subprocess.Popen([sys.executable, "-c", SLEEPER], stdout=subprocess.PIPE, text=True)
    assert found.stdout
    assert found.stdout.readline() == "there\n"
    yield found
    found.kill()
    found.wait()


@dg.job
def idle() -> None:
    """A job for records of runs."""


def begun(instance: dg.DagsterInstance, pid: int, **tags: str) -> dg.DagsterRun:
    """A run that a process has begun, as its events say."""
    run = instance.create_run_for_job(idle, tags={MACHINE_TAG: machine(), **tags})
    told = dg.DagsterEvent("PIPELINE_START", "idle", message="begun", pid=pid)
    instance.report_dagster_event(told, run.run_id)
    return instance.get_run_by_id(run.run_id)


def monitored(instance: dg.DagsterInstance, run_id: str) -> str:
    """What the daemon's monitor makes of a run."""
    record = instance.get_run_record_by_id(run_id)
    monitor_started_run(instance, None, record, logging.getLogger("test"))
    return instance.get_run_by_id(run_id).status.value


def test_a_command_that_was_killed_is_failed_and_its_process_named(instance, tmp_path):
    file = configure(tmp_path, date(2025, 7, 1), date(2025, 7, 9))
    command = [sys.executable, "-m", "segmentation_pipeline.cli", "run", "--config", str(file)]
    killed = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (runs := instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))):
        time.sleep(0.1)
        assert killed.poll() is None
    (run,) = runs
    assert monitored(instance, run.run_id) == "STARTED"
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert monitored(instance, run.run_id) == "FAILURE"
    (failed,) = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    assert f"its process {killed.pid} ended without a word" in failed.message


def test_a_process_that_is_there_is_left_alone_and_one_that_nobody_has_buried_is_not(instance, process):
    run = begun(instance, process.pid)
    assert monitored(instance, run.run_id) == "STARTED"
    process.kill()
    while Path(f"/proc/{process.pid}/stat").read_text().split()[2] != "Z":
        time.sleep(0.01)
    assert monitored(instance, run.run_id) == "FAILURE"


def test_of_another_machine_only_a_launched_run_is_gone(instance, process):
    elsewhere = {MACHINE_TAG: "another 4711 pid:[1]"}
    assert monitored(instance, begun(instance, process.pid, **elsewhere).run_id) == "STARTED"
    launched = begun(instance, process.pid, **elsewhere, **{GRPC_INFO_TAG: "{}"})
    assert monitored(instance, launched.run_id) == "FAILURE"


def test_what_this_machine_did_before_it_was_started_anew_is_gone(instance, process):
    before = {MACHINE_TAG: f"{machine().split(' ')[0]} another-start pid:[1]"}
    assert monitored(instance, begun(instance, process.pid, **before).run_id) == "FAILURE"


def test_of_a_command_in_another_container_nothing_is_known_though_nobody_here_has_its_number(instance, process):
    name, boot, _numbers = machine().split(" ")
    process.kill()
    process.wait()
    assert (
        monitored(instance, begun(instance, process.pid, **{MACHINE_TAG: f"{name} {boot} pid:[1]"}).run_id) == "STARTED"
    )


def test_of_a_run_without_a_note_of_its_machine_nothing_is_known(instance):
    run = instance.create_run_for_job(idle)
    instance.report_dagster_event(dg.DagsterEvent("PIPELINE_START", "idle", message="begun", pid=1), run.run_id)
    assert monitored(instance, run.run_id) == "STARTED"


def test_a_run_whose_server_cannot_be_reached_is_interrupted_itself(instance, process, tmp_path):
    server = f'{{"host": "localhost", "socket": "{tmp_path}/gone"}}'
    run = begun(instance, process.pid, **{GRPC_INFO_TAG: server})
    assert instance.run_launcher.terminate(run.run_id)
    assert process.wait() == -signal.SIGINT
