"""A backfill of every day, launched as the UI launches it: seconds from the launch to the end, daemon and all.

    python segmentation_tests/benchmarks/backfill.py CONFIG [--assets]

Copies the model in force of a shop that `segmentation run` has brought up to date into an empty lake, starts
`segmentation ui` on an instance of its own, launches a backfill of all days of `nightly_refresh` (or, with --assets, of
all daily assets, as Materialize all in the lineage graph does) through the GraphQL API, and waits. Prints the seconds, the
number of runs, and the days with a report.
"""

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import yaml

from segmentation_pipeline.build import build_definitions
from segmentation_pipeline.settings import CONFIG_VARIABLE, Settings, load
from segmentation_tests.browser.server import served

POLL_SECONDS = 0.5
LAUNCH = """
mutation ($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message }
} }"""
STATUS = """
query ($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill {
  status numPartitions runs(limit: 50) { runId status startTime endTime } error { message }
} } }"""


def main() -> None:
    """Launch, wait and print."""
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("config", type=Path)
    arguments.add_argument("--assets", action="store_true")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = _emptied(given.config.resolve(), Path(folder))
        settings = load(file)
        environment = {**os.environ, "DAGSTER_HOME": f"{folder}/home", CONFIG_VARIABLE: str(file)}
        with served(file, environment, Path(folder)) as address:
            params = _assets(settings) if given.assets else _job(settings)
            begun = time.monotonic()
            launched = _ask(address, LAUNCH, params=params)["launchPartitionBackfill"]
            found = _until_done(address, launched["backfillId"])
            seconds = time.monotonic() - begun
        reports = sorted(page.parent.name for page in settings.reports.glob("date=*/segment_report.html"))
        in_runs = [run["endTime"] - run["startTime"] for run in found["runs"]]
        print(  # noqa: T201
            f"{found['status']}: {found['numPartitions']} days in {len(in_runs)} runs, {seconds:.1f} s from launch to end "
            f"({sum(in_runs):.1f} s in the runs); reports: {', '.join(reports)}"
        )


def _emptied(config: Path, folder: Path) -> Path:
    """The configuration of the same source with an empty lake, but for the model."""
    done = load(config)
    for asset in ("segmentation_model", "k_diagnostics"):
        shutil.copytree(done.lake / asset, folder / "lake" / asset)
    content = yaml.safe_load(config.read_text())
    content["source"]["path"] = done.source.path
    file = folder / "shop.yaml"
    file.write_text(yaml.safe_dump(content | {"lake": "lake", "reports": "reports"}))
    return file


def _days(settings: Settings) -> list[str]:
    graph = build_definitions(settings).resolve_asset_graph()
    (daily,) = {node.partitions_def for node in graph.asset_nodes if node.partitions_def}
    return list(daily.get_partition_keys())


def _job(settings: Settings) -> dict[str, Any]:
    location = {"repositoryLocationName": "segmentation_pipeline", "repositoryName": "__repository__"}
    selector = {"partitionSetName": "nightly_refresh_partition_set", "repositorySelector": location}
    return {"selector": selector, "partitionNames": _days(settings), "forceSynchronousSubmission": False}


def _assets(settings: Settings) -> dict[str, Any]:
    graph = build_definitions(settings).resolve_asset_graph()
    daily = [{"path": list(node.key.path)} for node in graph.asset_nodes if node.partitions_def]
    return {"assetSelection": daily, "partitionNames": _days(settings)}


def _until_done(address: str, backfill: str) -> dict[str, Any]:
    while True:
        found = _ask(address, STATUS, id=backfill)["partitionBackfillOrError"]
        if found["status"] not in ("REQUESTED", "CANCELING", "FAILING"):
            return dict(found)
        time.sleep(POLL_SECONDS)


def _ask(address: str, query: str, **variables: object) -> dict[str, Any]:
    answer = httpx.post(f"{address}/graphql", json={"query": query, "variables": variables}, timeout=60).json()
    if "errors" in answer:
        raise SystemExit(answer["errors"])
    return dict(answer["data"])


if __name__ == "__main__":
    main()
