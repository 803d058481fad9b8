"""Alerts: what reaches a webhook, once each, from real runs of a small shop to a real server on this machine."""

import json
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from logging import getLogger
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pandas as pd
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster._core.events import JobFailureData, RunFailureReason
from dagster._core.remote_origin import RemoteJobOrigin
from dagster._core.scheduler.instigation import TickStatus
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, WILL_RETRY_TAG
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget
from dagster._daemon.sensor import execute_sensor_iteration
from dagster._serdes import serialize_value
from dagster._utils.error import serializable_error_info_from_exc_info

from segmentation_pipeline.build import build_definitions
from segmentation_pipeline.errors import PipelineError
from segmentation_pipeline.instance import DAGSTER_YAML, INSTANCE_VARIABLE
from segmentation_pipeline.jobs import LAKE_TAG
from segmentation_pipeline.opening import build_resources
from segmentation_pipeline.planning import FEATURES, MODEL, RETURNS, SEGMENTS, TRANSACTIONS, PlannedRun
from segmentation_pipeline.resources.sent_alerts import SentAlerts
from segmentation_pipeline.resources.webhook import NotDelivered, Webhook, WebhookNotSet
from segmentation_pipeline.running import execute
from segmentation_pipeline.sensors.alerts import alert_sensor
from segmentation_pipeline.settings import CONFIG_VARIABLE, Alerts, Schedule, Settings
from segmentation_tests.conftest import PROJECT
from segmentation_tests.integration.conftest import copy_of

VARIABLE, TOKEN = "SHOP_ALERTS_WEBHOOK", "T0K3N-that-nobody-may-read"
GOOD, BAD = date(2025, 7, 15), date(2025, 7, 16)
LONDON = ZoneInfo("Europe/London")
FIELDS = {"id", "kind", "shop", "title", "text", "asset", "days", "run_id", "url", "at"}


class Receiver:
    """A webhook: keeps what it took, and answers what it is told to, 200 when told nothing."""

    def __init__(self) -> None:
        self.taken: list[dict] = []
        self.answers: list[int] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = receiver.answers.pop(0) if receiver.answers else 200
                if answer == 200 and TOKEN in self.path:
                    receiver.taken.append(json.loads(body))
                self.send_response(answer)
                if 300 <= answer < 400:
                    self.send_header("Location", self.path)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def kinds(self) -> list[str]:
        return sorted(alert["kind"] for alert in self.taken)

    def only(self, kind: str, asset: str | None = None) -> dict:
        (alert,) = [each for each in self.taken if each["kind"] == kind and asset in (None, each["asset"])]
        return alert


class Shop:
    """A shop whose runs are those of `segmentation run`."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance) -> None:
        self.settings = settings
        self.instance = instance
        self.resources = build_resources(settings)
        self.definitions = build_definitions(settings, self.resources)
        self.marks = Path(settings.lake) / ".alerts"

    def configured(self, **changes: object) -> "Shop":
        return Shop(self.settings.model_copy(update=changes), self.instance)

    def run(self, assets: tuple[str, ...], first: date, last: date) -> None:
        execute(
            self.definitions, self.instance, [PlannedRun("nightly_refresh", assets, first, last)], last, verbose=False
        )

    def refit(self) -> None:
        execute(self.definitions, self.instance, [PlannedRun("refit_model", MODEL)], GOOD, verbose=False)

    def tick(
        self, cursor: str | None = None, now: datetime | None = None, webhook: Webhook | None = None
    ) -> SensorExecutionData:
        """One evaluation of the sensor, as the daemon does it."""
        sensor = alert_sensor(self.settings, webhook or Webhook(VARIABLE), lambda: now or datetime.now(UTC))
        resources = {"lake": self.resources["lake"]}
        with dg.build_sensor_context(self.instance, cursor, resources=resources) as context:
            return sensor.evaluate_tick(context)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    (folder / "dagster.yaml").write_text(DAGSTER_YAML)
    return folder


@pytest.fixture(scope="module")
def shop(ingested_shop: Path, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A night that went well, and after it one of everything that can go wrong."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(INSTANCE_VARIABLE, str(home))
        with dg.DagsterInstance.get() as instance:
            alerts = Alerts(webhook_variable=VARIABLE, ui_url="http://ui.example/")
            schedule = Schedule(deadline_hours=6)
            settings = copy_of(ingested_shop, tmp_path_factory.mktemp("alerts") / "shop")
            shop = Shop(settings.model_copy(update={"alerts": alerts, "schedule": schedule}), instance)
            shutil.rmtree(shop.resources["lake"].file("clean_transactions", BAD).parent)
            shop.run((*TRANSACTIONS, *RETURNS), GOOD, GOOD)
            shop.run(FEATURES, GOOD, GOOD)
            shop.refit()
            shop.run(SEGMENTS[:1], GOOD, GOOD)
            go_wrong(shop)
            yield shop


def go_wrong(shop: Shop) -> None:
    (file,) = Path(shop.settings.source.path).parent.glob(f"*{BAD}*")
    rows = pd.read_parquet(file)
    pd.concat([rows, rows]).to_parquet(file)
    with pytest.raises(PipelineError, match="held back"):
        shop.configured().run(TRANSACTIONS, BAD, BAD)
    with pytest.raises(PipelineError, match="lacks"):
        shop.run(("customer_orders",), BAD, BAD)
    shop.refit()  # gives the same model once more, which is kept
    demanding = shop.settings.model.model_copy(update={"min_segment_share": 0.9, "k": 3, "promote": "always"})
    with pytest.raises(PipelineError, match="held back"):
        shop.configured(model=demanding).refit()


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    receiver = Receiver()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv(VARIABLE, f"http://127.0.0.1:{receiver.port}/services/{TOKEN}")
    yield receiver
    receiver.close()


@pytest.fixture(autouse=True)
def nothing_sent_yet(shop: Shop) -> Iterator[None]:
    yield
    shutil.rmtree(shop.marks, ignore_errors=True)


def failing(shop: Shop, problem: type[Exception] = NotDelivered) -> str:
    """All that Dagster keeps of a tick that fails: the message, its causes and every stack."""
    with pytest.raises(problem):
        try:
            shop.tick()
        except problem:
            told = serializable_error_info_from_exc_info(sys.exc_info()).to_string()
            raise
    return told


EVERYTHING = ["failed_gate", "failed_run", "held_back_model", "held_back_model"]


def test_everything_that_went_wrong_arrives_once_and_nothing_that_went_well(shop, receiver):
    cursor = shop.tick().cursor
    assert receiver.kinds == EVERYTHING
    for alert in receiver.taken:
        assert alert.keys() == FIELDS
        assert alert["shop"] == shop.settings.shop
        assert alert["url"] == f"http://ui.example/runs/{alert['run_id']}"
        assert alert["text"].startswith(f"{alert['shop']}: {alert['title']}\n")
        assert datetime.now(UTC) - datetime.fromisoformat(alert["at"]) < timedelta(minutes=10)
    assert [alert["at"] for alert in receiver.taken] == sorted(alert["at"] for alert in receiver.taken)
    assert shop.tick(cursor).skip_message == "Nothing to report."
    assert receiver.kinds == EVERYTHING


def test_a_failed_gate_names_its_days_what_was_found_and_the_remedy(shop, receiver):
    shop.tick()
    alert = receiver.only("failed_gate")
    assert (alert["asset"], alert["days"]) == ("raw_transactions", str(BAD))
    assert alert["title"] == f"Gate closed: raw_transactions of {BAD}"
    for words in ("duplicates_are_few", "duplicate_share: 0.5", "remove the second delivery"):
        assert words in alert["text"]


def test_a_failed_run_says_why_in_the_pipelines_own_words_without_a_traceback(shop, receiver):
    shop.tick()
    alert = receiver.only("failed_run")
    assert (alert["asset"], alert["days"]) == ("customer_orders", str(BAD))
    assert alert["title"] == f"The run of nightly_refresh of {BAD} failed at customer_orders"
    assert f"clean_transactions lacks 1 of the 1 days needed: {BAD}" in alert["text"]
    assert alert["run_id"] in alert["text"]
    assert "Traceback" not in alert["text"] and ".py" not in alert["text"]


def test_a_refit_that_did_not_pass_and_one_that_was_kept_say_why_and_what_serves(shop, receiver):
    shop.tick()
    kept, held_back = [each for each in receiver.taken if each["kind"] == "held_back_model"]
    assert held_back["title"] == "A refit did not pass the gate of segmentation_model"
    assert "no_segment_is_tiny: smallest_segment_share at least 0.9 does not hold" in held_back["text"]
    assert "The model in force stays" in held_back["text"]
    record = json.loads((Path(shop.settings.lake) / "segmentation_model/version=0002/record.json").read_text())
    assert kept["title"] == "Model version 2 was not put in force"
    assert record["promotion"] in kept["text"]
    assert "segmentation model use 2" in kept["text"]
    assert kept["days"] == str(GOOD)


def test_a_lost_cursor_and_a_new_instance_of_everything_send_nothing_again(shop, receiver, home):
    shop.tick()
    receiver.taken.clear()
    shop.tick(cursor=None)
    shop.tick(cursor=datetime(2020, 1, 1, tzinfo=UTC).isoformat())
    with dg.DagsterInstance.from_config(str(home)) as again:
        Shop(shop.settings, again).tick()
    assert receiver.taken == []


def test_on_the_first_look_nothing_older_than_a_day_is_reported(shop, receiver):
    shop.tick(now=datetime.now(UTC) + timedelta(hours=25))
    assert receiver.taken == []
    shop.tick(now=datetime.now(UTC) + timedelta(hours=23))
    assert receiver.kinds == EVERYTHING


def test_alerts_that_a_webhook_refuses_are_delivered_later_exactly_once(shop, receiver):
    receiver.answers = [500] * 4
    told = failing(shop)
    assert "4 of 4 alerts were not delivered: the webhook answered 500 Internal Server Error" in told
    assert (receiver.taken, list(shop.marks.glob("[!.]*"))) == ([], [])
    shop.tick()
    assert receiver.kinds == EVERYTHING
    shop.tick()
    assert receiver.kinds == EVERYTHING


def test_one_refused_alert_keeps_back_no_other_and_comes_with_the_next_tick(shop, receiver):
    receiver.answers = [200, 503, 200, 200]
    assert "1 of 4 alerts were not delivered" in failing(shop)
    first = [alert["id"] for alert in receiver.taken]
    assert len(first) == 3
    shop.tick()
    assert len(receiver.taken) == 4
    assert receiver.taken[-1]["id"] not in first


def test_a_webhook_that_is_gone_fails_the_tick_and_gets_everything_when_it_is_back(shop, receiver, monkeypatch):
    gone = Receiver()
    gone.close()
    with monkeypatch.context() as environment:
        environment.setenv(VARIABLE, f"http://127.0.0.1:{gone.port}/services/{TOKEN}")
        assert "could not be reached (Connection refused)" in failing(shop)
    shop.tick()
    assert receiver.kinds == EVERYTHING


def test_a_webhook_that_does_not_answer_in_time_counts_as_not_delivered(recorded, receiver, monkeypatch):
    died(recorded)
    with socket.create_server(("127.0.0.1", 0)) as silent, monkeypatch.context() as environment:
        environment.setenv(VARIABLE, f"http://127.0.0.1:{silent.getsockname()[1]}/{TOKEN}")
        with pytest.raises(NotDelivered, match="did not answer in time"):
            recorded.tick(webhook=Webhook(VARIABLE, timeout_seconds=0.1))
    recorded.tick()
    assert receiver.kinds == ["failed_run"]


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (f"ftp://127.0.0.1/{TOKEN}", "holds no http:// or https:// address"),
        (f"http://[{TOKEN}", "holds no http:// or https:// address"),
        (f"http://127.0.0.1:{TOKEN}/", "could not be reached (InvalidURL)"),
        (f"http://127.0.0.1/{TOKEN}\x7f", "could not be reached (InvalidURL)"),
        (f"http://{TOKEN}.invalid/", "could not be reached ("),
        ("", "is not set where Dagster runs"),
    ],
)
def test_no_address_that_cannot_be_used_is_ever_repeated(shop, receiver, monkeypatch, address, words):
    monkeypatch.setenv(VARIABLE, address)
    told = failing(shop, PipelineError)
    assert words in told
    assert VARIABLE in told
    assert TOKEN.lower() not in told.lower()


@pytest.mark.parametrize("answer", [500, 404, 302, 307])
def test_no_answer_brings_the_token_into_the_error(shop, receiver, answer):
    receiver.answers = [answer] * 4
    told = failing(shop)
    assert str(answer) in told
    assert TOKEN not in told
    assert receiver.taken == []


def test_a_variable_that_is_not_set_fails_even_a_tick_without_alerts(shop, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    with dg.DagsterInstance.ephemeral() as empty, pytest.raises(WebhookNotSet, match=VARIABLE):
        Shop(shop.settings, empty).tick()


def test_a_webhook_that_was_gone_from_the_first_look_on_gets_everything_days_later(shop, receiver, monkeypatch):
    gone = Receiver()
    gone.close()
    with monkeypatch.context() as environment:
        environment.setenv(VARIABLE, f"http://127.0.0.1:{gone.port}/services/{TOKEN}")
        for days in (0, 2):
            with pytest.raises(NotDelivered):
                shop.tick(now=datetime.now(UTC) + timedelta(days=days))
        environment.delenv(VARIABLE)
        with pytest.raises(PipelineError, match=VARIABLE):
            shop.tick(now=datetime.now(UTC) + timedelta(days=3))
    shop.tick(now=datetime.now(UTC) + timedelta(days=4))
    assert receiver.kinds == EVERYTHING


def test_segments_that_did_not_come_are_reported_once_for_each_day_of_a_live_feed(shop, receiver):
    with dg.DagsterInstance.ephemeral() as empty:
        live = Shop(shop.settings.model_copy(update={"end_date": None}), empty)

        def look(day: int, hour: int, cursor: str | None) -> str | None:
            return live.tick(cursor, datetime(2025, 7, day, hour, 0, 1, tzinfo=LONDON)).cursor

        cursor = look(16, 9, None)  # the segments of the 15th are there
        cursor = look(17, 8, cursor)  # those of the 16th are due at nine
        assert receiver.taken == []
        cursor = look(17, 9, cursor)
        cursor = look(17, 10, cursor)
        assert [(each["kind"], each["days"]) for each in receiver.taken] == [("stale_segments", "2025-07-16")]
        assert receiver.taken[0]["at"] == "2025-07-17T08:00:00+00:00"
        assert "6 hours after the night's run was due" in receiver.taken[0]["text"]
        look(20, 12, cursor)  # after a stop of three days
        assert [each["days"] for each in receiver.taken] == [f"2025-07-{day}" for day in (16, 17, 18, 19)]


def test_days_before_the_oldest_segments_are_not_stale_however_far_the_look_goes_back(shop, receiver):
    with dg.DagsterInstance.ephemeral() as empty:
        live = Shop(shop.settings.model_copy(update={"end_date": None}), empty)
        long_ago = datetime(2025, 7, 3, tzinfo=UTC).isoformat()  # as if there had been snapshots, and they were deleted
        live.tick(long_ago, datetime(2025, 7, 17, 12, tzinfo=LONDON))
    assert [each["days"] for each in receiver.taken] == ["2025-07-16"]


def test_a_closed_data_set_has_no_stale_segments(shop, receiver):
    with dg.DagsterInstance.ephemeral() as empty:
        Shop(shop.settings, empty).tick(now=datetime(2025, 7, 18, 12, tzinfo=LONDON))
    assert receiver.taken == []


@pytest.fixture
def recorded(shop: Shop) -> Iterator[Shop]:
    """The shop with a history of its own, for runs that need not be carried out."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield Shop(shop.settings, instance)


def died(shop: Shop, **tags: str) -> str:
    """A run whose process died, as Dagster records it."""
    return failed_with(shop, {"dagster/partition": str(GOOD), **tags})


def failed_with(shop: Shop, tags: dict[str, str], origin: RemoteJobOrigin | None = None) -> str:
    job = shop.definitions.resolve_job_def("nightly_refresh")
    run = shop.instance.create_run_for_job(job, tags={"dagster/max_retries": "0", **tags}, remote_job_origin=origin)
    data = JobFailureData(error=None, failure_reason=RunFailureReason.UNEXPECTED_TERMINATION)
    shop.instance.report_run_failed(run, "Run execution process unexpectedly exited with code -9.", data)
    return run.run_id


def test_a_run_whose_process_died_is_a_failed_run_without_a_step(recorded, receiver):
    run = died(recorded)
    recorded.tick()
    alert = receiver.only("failed_run")
    assert (alert["run_id"], alert["asset"], alert["days"]) == (run, None, str(GOOD))
    assert alert["title"] == f"The run of nightly_refresh of {GOOD} failed"
    assert "exited with code -9" in alert["text"]


def test_of_a_run_that_dagster_retries_only_the_last_attempt_is_reported(recorded, receiver):
    first = died(recorded, **{WILL_RETRY_TAG: "true"})
    cursor = recorded.tick().cursor
    assert receiver.taken == []
    last = died(recorded, **{WILL_RETRY_TAG: "false"})
    recorded.instance.add_run_tags(first, {AUTO_RETRY_RUN_ID_TAG: last})
    recorded.tick(cursor)
    assert [alert["run_id"] for alert in receiver.taken] == [last]


def test_a_retry_that_never_comes_is_reported_in_the_end_however_long_others_are_looked_at(recorded, receiver):
    run = died(recorded, **{WILL_RETRY_TAG: "true"})
    cursor = recorded.tick().cursor
    cursor = recorded.tick(cursor, datetime.now(UTC) + timedelta(minutes=50)).cursor
    assert receiver.taken == []
    recorded.tick(cursor, datetime.now(UTC) + timedelta(hours=5))
    assert [alert["run_id"] for alert in receiver.taken] == [run]


def test_runs_of_another_shop_on_the_same_instance_are_not_reported(recorded, receiver):
    died(recorded, **{LAKE_TAG: "/another/lake"})
    recorded.tick()
    assert receiver.taken == []


def test_marks_are_removed_after_ninety_days_and_nothing_comes_again(recorded, receiver):
    run = died(recorded)
    cursor = recorded.tick().cursor
    later = datetime.now(UTC) + timedelta(days=91)
    recorded.tick(cursor, later)
    assert list(recorded.marks.glob("[!.]*")) == []
    recorded.instance.add_run_tags(run, {"looked_at_by": "somebody"})  # the record is newer, the failure is not
    recorded.tick(cursor, later)
    recorded.tick(None, later)
    assert len(receiver.taken) == 1


def test_while_another_process_sends_a_tick_does_nothing(recorded, receiver):
    died(recorded)
    with SentAlerts(recorded.resources["lake"].root / ".alerts").alone():
        tick = recorded.tick()
    assert "Another process sends alerts" in tick.skip_message
    assert (receiver.taken, tick.cursor) == ([], None)
    recorded.tick()
    assert len(receiver.taken) == 1


def test_a_foreign_error_is_named_without_what_it_quotes(recorded, receiver):
    @dg.op
    def load() -> None:
        raise ValueError("Could not convert string 'C-12346' of jo@example.com, order 581475, to a number\nmore")

    @dg.job(name="somebody_elses")
    def job() -> None:
        load()

    job.execute_in_process(instance=recorded.instance, raise_on_error=False)
    recorded.tick()
    alert = receiver.only("failed_run")
    assert "ValueError: Could not convert string … of … order …, to a number" in alert["text"]
    assert alert["asset"] == "load"


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        ("segmentation_pipeline.core.clustering.selection.NotEnoughCustomers", "No customer '12346' has net spend."),
        ("segmentation_pipeline.core.clustering.selection.GoneSince", "GoneSince: No customer … has net spend."),
        ("segmentation_pipeline.gone_since.Gone", "Gone: No customer … has net spend."),
        ("segmentation_pipeline.checks.judging.CheckCrashed", "CheckCrashed: No customer … has net spend."),
        ("duckdb.IOException", "IOException: No customer … has net spend."),
    ],
)
def test_the_pipelines_own_errors_are_told_in_full_though_what_raised_them_is_not_loaded(raised, told):
    program = (
        "import sys; from dagster._utils.error import SerializableErrorInfo; "
        "from segmentation_pipeline.sensors.run_records import in_plain_words; raised, message = sys.argv[1:]; "
        "assert 'segmentation_pipeline.core.clustering' not in sys.modules; "
        "print(in_plain_words(SerializableErrorInfo(f'{raised}: {message}', [], raised.rpartition('.')[2])))"
    )
    command = [sys.executable, "-c", program, raised, "No customer '12346' has net spend.\n"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == told


def test_the_daemon_and_a_code_server_do_the_same_and_the_tick_that_failed_does_not_show_the_token(
    shop, receiver, home, monkeypatch, configured: Callable[..., Path]
):
    folder = Path(shop.settings.lake).parent
    calendar = {"start_date": shop.settings.start_date, "end_date": shop.settings.end_date}
    file = configured(folder, PROJECT / "data" / "shop.yaml", alerts={"webhook_variable": VARIABLE}, **calendar)
    monkeypatch.setenv(CONFIG_VARIABLE, str(file))
    monkeypatch.setenv(INSTANCE_VARIABLE, str(home))
    receiver.answers = [200, 500]
    target = ModuleTarget("segmentation_pipeline.definitions", None, str(folder), "shop")
    with WorkspaceProcessContext(shop.instance, target) as workspace:
        repository = workspace.create_request_context().get_code_location("shop").get_repository("__repository__")
        sensor = repository.get_sensor("alert_sensor")
        launched = failed_with(shop, {}, repository.get_full_job("nightly_refresh").get_remote_origin())
        list(execute_sensor_iteration(workspace, getLogger("daemon"), None, None))
        (tick,) = shop.instance.get_ticks(sensor.get_remote_origin_id(), sensor.selector_id)
    assert tick.status == TickStatus.FAILURE
    shop.instance.delete_run(launched)
    assert "1 of 5 alerts were not delivered: the webhook answered 500" in tick.error.to_string()
    assert TOKEN not in serialize_value(tick)
    assert [alert["run_id"] for alert in receiver.taken].count(launched) == 1
    assert len(receiver.taken) == 4
    shop.tick()  # in this process, with no cursor
    assert receiver.kinds == sorted([*EVERYTHING, "failed_run"])
