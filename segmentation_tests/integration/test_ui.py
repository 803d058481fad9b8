"""What a data engineer sees when a gate closes: the UI's own GraphQL API, with a code server and runs as it launches them."""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget
from dagster_webserver.webserver import DagsterWebserver

from segmentation_pipeline import instance
from segmentation_pipeline.checks.stages import STAGES
from segmentation_pipeline.checks.suites import suites
from segmentation_pipeline.partitions import FIRST_DAY_TAG, LAST_DAY_TAG
from segmentation_pipeline.settings import CONFIG_VARIABLE, Settings
from segmentation_tests.conftest import PROJECT

pytestmark = pytest.mark.filterwarnings("ignore:Using .httpx. with .starlette.testclient. is deprecated")

FIRST, LAST, BAD = "2025-07-01", "2025-07-20", "2025-07-16"
ASSETS = ["raw_transactions", "clean_transactions", "quarantined_transactions", "customer_orders"]
LOCATION = {"repositoryLocationName": "shop", "repositoryName": "__repository__"}
LONGEST_RUN_SECONDS, POLL_SECONDS = 90, 0.2

# `segmentation ui` also starts a daemon, which takes runs from a queue; without one they start at once.
NO_DAEMON = """
run_coordinator:
  module: dagster._core.run_coordinator
  class: DefaultRunCoordinator
code_servers:
  wait_for_local_processes_on_shutdown: true
"""

LAUNCH = """
mutation ($params: ExecutionParams!) {
  launchRun(executionParams: $params) { ... on LaunchRunSuccess { run { runId } } ... on Error { message } }
}"""
STATUS = "query ($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"
RUN = """
query ($run: ID!) { runOrError(runId: $run) { ... on Run {
  runId
  status
  stepStats { stepKey status }
  eventConnection { events { ... on ExecutionStepFailureEvent {
    stepKey failureMetadata { description metadataEntries { label ... on TextMetadataEntry { text } } }
  } } }
} } }"""
ASSET = """
query ($asset: AssetKeyInput!) { assetNodeOrError(assetKey: $asset) { ... on AssetNode {
  partitionStats { numMaterialized }
  assetPartitionStatuses { ... on TimePartitionStatuses { ranges { startKey endKey status } } }
  assetChecksOrError { ... on AssetChecks { checks {
    name description blocking
    executionForLatestMaterialization {
      runId
      status
      evaluation { success severity description metadataEntries {
        label ... on TextMetadataEntry { text } ... on MarkdownMetadataEntry { text: mdStr }
      } }
    }
  } } }
} } }"""

Json = dict[str, Any]


@dataclass(frozen=True)
class Seen:
    """What the UI showed after a run; kept, so that tests may come in any order."""

    run: Json
    assets: dict[str, Json]

    def checks(self, asset: str) -> dict[str, Json]:
        """The latest execution of every check of an asset."""
        listed = self.assets[asset]["assetChecksOrError"]["checks"]
        return {each["name"]: each["executionForLatestMaterialization"] for each in listed}

    def days(self, asset: str) -> list[tuple[str, str, str]]:
        """First day, last day and status of each stretch in the partition bar."""
        ranges = self.assets[asset]["assetPartitionStatuses"]["ranges"]
        return [(each["startKey"], each["endKey"], each["status"]) for each in ranges]

    def materialized(self) -> list[int]:
        """How many days of each asset there are."""
        return [asset["partitionStats"]["numMaterialized"] for asset in self.assets.values()]


@dataclass(frozen=True)
class Ui:
    """The UI of a shop, asked as its pages ask."""

    post: Callable[..., Any]
    landing: Path

    def ask(self, query: str, **variables: object) -> Json:
        answer = self.post("/graphql", json={"query": query, "variables": variables}).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def asset(self, name: str) -> Json:
        return self.ask(ASSET, asset={"path": [name]})["assetNodeOrError"]

    def range(self) -> Seen:
        """Materialize every day of the assets in one run, wait until it is over, and look."""
        tags = [{"key": FIRST_DAY_TAG, "value": FIRST}, {"key": LAST_DAY_TAG, "value": LAST}]
        selected = [{"path": [asset]} for asset in ASSETS]
        selector = {**LOCATION, "jobName": "nightly_refresh", "assetSelection": selected}
        launched = self.ask(LAUNCH, params={"selector": selector, "executionMetadata": {"tags": tags}})["launchRun"]
        assert "run" in launched, launched
        run = launched["run"]["runId"]
        deadline = time.monotonic() + LONGEST_RUN_SECONDS
        while (status := self.ask(STATUS, run=run)["runOrError"]["status"]) not in ("SUCCESS", "FAILURE", "CANCELED"):
            assert time.monotonic() < deadline, f"the run is still {status} after {LONGEST_RUN_SECONDS} seconds"
            time.sleep(POLL_SECONDS)
        return Seen(self.ask(RUN, run=run)["runOrError"], {asset: self.asset(asset) for asset in ASSETS})


@pytest.fixture(scope="module")
def ui(small_shop: Settings, tmp_path_factory: pytest.TempPathFactory, configured: Callable[..., Path]) -> Iterator[Ui]:
    """The webserver on an instance of its own, with a copy of the shop and its code location in another process."""
    from starlette.testclient import TestClient  # here, where its advice to install httpx2 is not heard

    folder = tmp_path_factory.mktemp("ui")
    shutil.copytree(Path(small_shop.source.path).parent, folder / "landing")
    calendar = {"start_date": small_shop.start_date, "end_date": small_shop.end_date}
    (folder / "dagster.yaml").write_text(instance.DAGSTER_YAML + NO_DAEMON)
    target = ModuleTarget("segmentation_pipeline.definitions", None, str(folder), LOCATION["repositoryLocationName"])
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(CONFIG_VARIABLE, str(configured(folder, PROJECT / "data" / "shop.yaml", **calendar)))
        environment.setenv(instance.INSTANCE_VARIABLE, str(folder))
        environment.setenv(instance.BATCH_VARIABLE, instance.EVENTS_PER_BATCH)
        with (
            dg.DagsterInstance.get() as recorded,
            WorkspaceProcessContext(recorded, target) as workspace,
            TestClient(DagsterWebserver(workspace).create_asgi_app()) as client,
        ):
            yield Ui(client.post, folder / "landing")


@pytest.fixture(scope="module")
def closed(ui: Ui) -> Seen:
    """The whole range, of a shop that delivered every row of one day twice."""
    (file,) = ui.landing.glob(f"*{BAD}*")
    rows = pd.read_parquet(file)
    pd.concat([rows, rows]).to_parquet(file)
    return ui.range()


@pytest.fixture(scope="module")
def mended(ui: Ui, closed: Seen, small_shop: Settings) -> Seen:
    """The whole range again, with the right file of that day."""
    (whole,) = Path(small_shop.source.path).parent.glob(f"*{BAD}*")
    shutil.copy(whole, ui.landing)
    return ui.range()


@pytest.mark.parametrize("stage", STAGES)
def test_every_expectation_is_listed_with_its_severity_and_the_critical_ones_block(ui, small_shop, stage):
    expected = {each.name: each for each in suites(small_shop)[stage]}
    listed = {each["name"]: each for each in ui.asset(stage)["assetChecksOrError"]["checks"]}
    assert set(listed) == set(expected)
    for name, check in listed.items():
        each = expected[name]
        assert check["description"].startswith(f"{each.severity.capitalize()}: {each.threshold}"), name
        assert each.why in check["description"], name
        assert check["blocking"] == (each.severity == "critical"), name


def test_a_run_with_a_bad_day_is_red_and_its_error_names_the_day_the_check_and_the_remedy(closed):
    assert closed.run["status"] == "FAILURE"
    (failure,) = [event for event in closed.run["eventConnection"]["events"] if event]
    assert failure["stepKey"] == "raw_transactions"
    told = failure["failureMetadata"]
    assert told["metadataEntries"] == [{"label": "held_back", "text": BAD}]
    for words in (f"raw_transactions of {BAD} was held back", "duplicates_are_few", "remove the second delivery"):
        assert words in told["description"]


def test_the_check_that_closed_the_gate_shows_the_day_its_rows_the_threshold_and_the_remedy(closed):
    check = closed.checks("raw_transactions")["duplicates_are_few"]
    assert (check["runId"], check["status"]) == (closed.run["runId"], "FAILED")
    found = check["evaluation"]
    assert (found["success"], found["severity"]) == (False, "ERROR")
    assert BAD in found["description"]
    shown = {entry["label"]: entry.get("text") for entry in found["metadataEntries"]}
    (row,) = [line for line in shown["failing_days"].splitlines() if line.startswith("| 20")]
    assert row.startswith(f"| {BAD} | 0.5")
    assert "source_row" in row
    assert shown["threshold"] == "duplicate_share at most 0.25"
    assert shown["observed"].startswith("duplicate_share: 0.5")
    assert shown["severity"] == "critical"
    assert "remove the second delivery" in shown["remedy"]


def test_no_other_check_that_blocks_is_red_and_those_downstream_reached_no_verdict(closed, small_shop):
    critical = {each.name for each in suites(small_shop)["raw_transactions"] if each.severity == "critical"}
    found = closed.checks("raw_transactions")
    assert {name for name in critical if found[name]["status"] != "SUCCEEDED"} == {"duplicates_are_few"}
    for asset in ("clean_transactions", "customer_orders"):
        assert {check["status"] for check in closed.checks(asset).values()} == {"EXECUTION_FAILED"}
        assert not any(check["evaluation"] for check in closed.checks(asset).values())


def test_the_partition_bar_shows_the_good_days_and_the_bad_one_and_nothing_downstream(closed):
    assert closed.materialized() == [19, 0, 0, 0]
    assert closed.days("raw_transactions") == [
        (FIRST, "2025-07-15", "MATERIALIZED"),
        (BAD, BAD, "FAILED"),
        ("2025-07-17", LAST, "MATERIALIZED"),
    ]
    assert closed.run["stepStats"] == [{"stepKey": "raw_transactions", "status": "FAILURE"}]
    for asset in ASSETS[1:]:
        assert closed.days(asset) == [(FIRST, LAST, "FAILED")]  # planned, and not reached


def test_once_the_delivery_is_mended_the_range_and_the_check_are_green(mended):
    assert mended.run["status"] == "SUCCESS"
    check = mended.checks("raw_transactions")["duplicates_are_few"]
    assert (check["runId"], check["status"]) == (mended.run["runId"], "SUCCEEDED")
    assert check["evaluation"]["success"]
    assert {entry["label"] for entry in check["evaluation"]["metadataEntries"]}.isdisjoint({"failing_days", "remedy"})
    assert mended.materialized() == [20, 20, 20, 20]
    assert all(mended.days(asset) == [(FIRST, LAST, "MATERIALIZED")] for asset in ASSETS)
