"""The files of docs/production/: an instance on a real PostgreSQL with its queue, and services that agree with each other."""

import configparser
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import dagster as dg
import psycopg
import pytest
import yaml
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import TickStatus
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
from dagster_webserver.webserver import DagsterWebserver

from segmentation_pipeline.partitions import FIRST_DAY_TAG, LAST_DAY_TAG, POOL
from segmentation_pipeline.settings import Settings
from segmentation_tests.conftest import PROJECT

pytestmark = pytest.mark.filterwarnings("ignore:Using .httpx. with .starlette.testclient. is deprecated")

FILES = PROJECT / "docs" / "production"
UNITS = {name: FILES / f"segmentation-{name}.service" for name in ("webserver", "daemon")}
FIRST, LAST = "2025-07-01", "2025-07-03"
ASSETS = ["raw_transactions", "clean_transactions", "quarantined_transactions"]
LONGEST_RUN_SECONDS = 120
LAUNCH = """
mutation ($params: ExecutionParams!) {
  launchRun(executionParams: $params) { ... on LaunchRunSuccess { run { runId } } ... on Error { message } }
}"""


def variables() -> dict[str, str]:
    """The environment file as systemd and compose read it: NAME=value, and comments."""
    lines = (FILES / "segmentation.env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def unit(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # names as they are written
    parser.read(UNITS[name])
    return parser


def test_the_runbooks_commands_see_every_sign_of_the_environment_file(tmp_path):
    address = "postgresql://shop:p#w;(1)*@db/shop?sslmode=require&connect_timeout=5"
    lines = (
        (FILES / "segmentation.env.example").read_text().replace("# SHOP_DATABASE_URL=", f"SHOP_DATABASE_URL={address}")
    )
    (tmp_path / "segmentation.env").write_text(lines)
    shown = re.findall(r"sh -c '(.*?) /opt/segmentation/bin/", (PROJECT / "docs" / "operations.md").read_text())
    assert len(shown) == 3
    for words in shown:
        command = words.replace("/etc/segmentation/", f"{tmp_path}/").replace("cd; ", "")
        done = subprocess.run(["sh", "-c", f"{command} env"], capture_output=True, text=True, check=True, cwd=tmp_path)
        assert f"SHOP_DATABASE_URL={address}" in done.stdout.splitlines()
        assert "DAGSTER_EVENT_BATCH_SIZE=1000" in done.stdout.splitlines()


@dataclass(frozen=True)
class Production:
    """The instance, a webserver on it, and the daemon that takes runs from the queue, one look at a time."""

    instance: dg.DagsterInstance
    workspace: WorkspaceProcessContext
    post: Callable[..., Any]
    daemon: QueuedRunCoordinatorDaemon
    home: Path

    def launch(self, assets: Sequence[str], first: str, last: str) -> str:
        """What the UI does for a range of days in one run."""
        tags = [{"key": FIRST_DAY_TAG, "value": first}, {"key": LAST_DAY_TAG, "value": last}]
        selector = {
            "repositoryLocationName": "segmentation_pipeline",
            "repositoryName": "__repository__",
            "jobName": "nightly_refresh",
            "assetSelection": [{"path": [asset]} for asset in assets],
        }
        params = {"selector": selector, "executionMetadata": {"tags": tags}}
        answer = self.post("/graphql", json={"query": LAUNCH, "variables": {"params": params}}).json()
        return str(answer["data"]["launchRun"]["run"]["runId"])

    def look_at_queue(self) -> None:
        assert not [error for error in self.daemon.run_iteration(self.workspace) if error]

    def until_done(self) -> None:
        self.instance.run_launcher.join(timeout=LONGEST_RUN_SECONDS)

    def status(self, run: str) -> dg.DagsterRunStatus:
        found = self.instance.get_run_by_id(run)
        assert found
        return found.status


@pytest.fixture(scope="module")
def production(
    small_shop: Settings, database_url: str, tmp_path_factory: pytest.TempPathFactory, configured: Callable[..., Path]
) -> Iterator[Production]:
    """The shipped files with the shipped environment, but for places and the database's own words."""
    folder = tmp_path_factory.mktemp("production")
    home = folder / "home"
    home.mkdir()
    shutil.copy(FILES / "dagster.yaml", home)
    shutil.copytree(Path(small_shop.source.path).parent, folder / "landing")
    calendar = {"start_date": small_shop.start_date, "end_date": small_shop.end_date}
    database = urlsplit(database_url)
    given = {
        "SEGMENTATION_CONFIG": str(configured(folder, PROJECT / "data" / "shop.yaml", **calendar)),
        "DAGSTER_HOME": str(home),
        "DAGSTER_COMPUTE_LOGS": str(home / "compute_logs"),
        "DAGSTER_POSTGRES_HOST": database.hostname,
        "DAGSTER_POSTGRES_PORT": str(database.port),
        "DAGSTER_POSTGRES_DB": database.path.removeprefix("/"),
        "DAGSTER_POSTGRES_USER": database.username,
        "DAGSTER_POSTGRES_PASSWORD": unquote(database.password or ""),
    }
    assert given.keys() <= variables().keys()
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {**variables(), **given}.items():
            environment.setenv(name, value or "")
        with dg.DagsterInstance.get() as instance, opened(instance, home) as found:
            yield found


@contextmanager
def opened(instance: dg.DagsterInstance, home: Path) -> Iterator[Production]:
    """The services of an instance."""
    from starlette.testclient import TestClient  # here, where its advice to install httpx2 is not heard

    with (
        WorkspaceProcessContext(instance, WorkspaceFileTarget([str(FILES / "workspace.yaml")])) as workspace,
        TestClient(DagsterWebserver(workspace).create_asgi_app()) as client,
        QueuedRunCoordinatorDaemon(interval_seconds=1) as daemon,
    ):
        yield Production(instance, workspace, client.post, daemon, home)


@dataclass(frozen=True)
class Queued:
    """Two runs that were launched before a new instance first looked at its queue."""

    first: str
    second: str
    after_first_look: list[dg.DagsterRunStatus]


@pytest.fixture(scope="module")
def queued(production: Production) -> Queued:
    """Two runs of three days, through the queue, each in a process of its own."""
    runs = [production.launch(ASSETS, FIRST, LAST), production.launch(ASSETS[:1], FIRST, LAST)]
    assert {production.status(run) for run in runs} == {dg.DagsterRunStatus.QUEUED}
    production.look_at_queue()
    seen = [production.status(run) for run in runs]
    for _run in runs:
        production.until_done()
        production.look_at_queue()
    production.until_done()
    return Queued(*runs, seen)


@pytest.fixture
def done(queued: Queued) -> str:
    return queued.first


@pytest.fixture
def roomy(production: Production, queued: Queued, tmp_path: Path) -> Iterator[Production]:
    """The same with room for several runs, so that nothing but the pool of the lake can hold one back."""
    shipped = (FILES / "dagster.yaml").read_text()
    assert shipped.count("max_concurrent_runs: 1 ") == 1
    (tmp_path / "dagster.yaml").write_text(shipped.replace("max_concurrent_runs: 1 ", "max_concurrent_runs: 4 "))
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance, opened(instance, tmp_path) as found:
        yield found


def test_runs_and_events_of_every_day_are_in_postgresql(production, done, database_url):
    assert production.status(done) == dg.DagsterRunStatus.SUCCESS
    with psycopg.connect(database_url) as connection:
        runs = connection.execute("SELECT run_id, status FROM runs").fetchall()
        materialized = connection.execute(
            "SELECT asset_key, partition FROM event_logs WHERE run_id = %s AND dagster_event_type = 'ASSET_MATERIALIZATION'",
            [done],
        ).fetchall()
        checks = connection.execute("SELECT count(*) FROM asset_check_executions WHERE run_id = %s", [done]).fetchone()
    assert (done, "SUCCESS") in runs
    days = ("2025-07-01", "2025-07-02", "2025-07-03")
    assert sorted(materialized) == sorted((f'["{asset}"]', day) for asset in ASSETS for day in days)
    assert checks is not None
    assert checks[0] > 10
    assert not list(production.home.rglob("*.db"))


def test_what_steps_print_is_kept_where_the_environment_says(production, done):
    assert list((production.home / "compute_logs" / done).rglob("*.err"))


def test_of_two_runs_that_a_new_instance_finds_in_its_queue_one_waits_until_the_other_is_over(production, queued):
    first, second = queued.after_first_look
    assert first != dg.DagsterRunStatus.QUEUED
    assert second == dg.DagsterRunStatus.QUEUED
    assert [production.status(run) for run in (queued.first, queued.second)] == [dg.DagsterRunStatus.SUCCESS] * 2
    records = {record.dagster_run.run_id: record for record in production.instance.get_run_records()}
    assert records[queued.second].start_time >= records[queued.first].end_time


def test_the_pool_of_the_lake_alone_holds_a_run_back_while_another_is_under_way(roomy):
    assert {pool.name: pool.limit for pool in roomy.instance.event_log_storage.get_pool_limits()} == {POOL: 1}
    under_way, waiting = (roomy.launch(ASSETS[:1], FIRST, FIRST) for _ in range(2))
    roomy.look_at_queue()
    assert roomy.status(waiting) == dg.DagsterRunStatus.QUEUED
    assert roomy.status(under_way) != dg.DagsterRunStatus.QUEUED
    roomy.until_done()
    roomy.look_at_queue()
    assert roomy.status(waiting) != dg.DagsterRunStatus.QUEUED
    roomy.until_done()


def test_ticks_are_kept_for_as_long_as_the_file_says(production):
    kept = production.instance.get_tick_retention_settings
    assert kept(InstigatorType.SCHEDULE) == dict.fromkeys(
        (TickStatus.STARTED, TickStatus.SKIPPED, TickStatus.SUCCESS, TickStatus.FAILURE), 365
    )
    assert kept(InstigatorType.SENSOR) == {
        TickStatus.STARTED: 3,
        TickStatus.SKIPPED: 3,
        TickStatus.SUCCESS: 90,
        TickStatus.FAILURE: 90,
    }


def test_dead_runs_are_tried_again_failed_ones_are_not_and_nothing_is_told_outside(production):
    instance = production.instance
    assert (instance.run_monitoring_enabled, instance.run_retries_enabled) == (True, True)
    assert (instance.run_retries_max_retries, instance.run_retries_retry_on_asset_or_op_failure) == (2, False)
    assert instance.freshness_enabled
    assert (instance.telemetry_enabled, instance.nux_enabled) == (False, False)


def test_every_value_of_the_instance_has_its_reason():
    without = [
        line
        for line in (FILES / "dagster.yaml").read_text().splitlines()
        if re.search(r": (true|false|-?\d+|run)\b", line) and "  # " not in line
    ]
    assert not without


def test_every_variable_of_the_instance_is_in_the_environment_file():
    wanted = set(re.findall(r"env: (\w+)", (FILES / "dagster.yaml").read_text()))
    assert wanted <= variables().keys()


def test_containers_run_the_commands_of_the_units():
    services = yaml.safe_load((FILES / "compose.yaml").read_text())["services"]
    for name in UNITS:
        assert " ".join(services[name]["command"]) == unit(name)["Service"]["ExecStart"]
    assert set(services) == {"database", *UNITS}


def test_services_share_the_image_the_environment_and_the_folders_and_the_ui_is_for_this_machine_alone():
    composed = yaml.safe_load((FILES / "compose.yaml").read_text())
    webserver, daemon = (composed["services"][name] for name in UNITS)
    for key in ("image", "env_file", "volumes", "depends_on", "restart"):
        assert webserver[key] == daemon[key]
    assert all(port.startswith("127.0.0.1:") for port in webserver["ports"])
    named = {volume.split(":")[0] for service in composed["services"].values() for volume in service["volumes"]}
    assert {name for name in named if not name.startswith("./")} == set(composed["volumes"])
    assert (FILES / webserver["build"]["context"]).resolve() == PROJECT
    assert (PROJECT / webserver["build"]["dockerfile"]).exists()


def test_both_units_differ_in_their_command_alone_and_write_to_the_state_folder_alone():
    webserver, daemon = (dict(unit(name)["Service"]) for name in UNITS)
    assert webserver.pop("ExecStart") != daemon.pop("ExecStart")
    daemon.pop("TimeoutStopSec")
    assert webserver == daemon
    assert (daemon["ProtectSystem"], daemon["StateDirectory"]) == ("strict", "segmentation")
    places = [value for name, value in variables().items() if name in ("DAGSTER_HOME", "DAGSTER_COMPUTE_LOGS")]
    assert all(place.startswith("/var/lib/segmentation/") for place in places)


def test_no_secret_stands_in_a_file():
    assert variables()["DAGSTER_POSTGRES_PASSWORD"] == ""
    composed = yaml.safe_load((FILES / "compose.yaml").read_text())
    assert composed["services"]["database"]["environment"]["POSTGRES_PASSWORD"].startswith("${")
    for file in FILES.iterdir():
        assert not re.search(r"postgresql(\+\w+)?://\w+:[^@\s]+@", file.read_text()), file


def test_the_image_copies_files_that_exist_and_runs_as_a_user_of_its_own():
    lines = (FILES / "Containerfile").read_text().splitlines()
    copied = [word for line in lines if line.startswith("COPY") for word in line.split()[1:-1]]
    assert [word for word in copied if not (PROJECT / word).exists()] == []
    assert "constraints.txt" in copied
    assert [line for line in lines if line.startswith("USER")] == ["USER segmentation"]
    assert any(line.startswith("HEALTHCHECK") for line in lines)
