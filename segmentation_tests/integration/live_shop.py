"""A live shop: simulated days that end yesterday, run as Dagster runs it.

Belongs here: what tests of schedules and sensors share. Does not: what they expect.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import yaml

from segmentation_pipeline import sample_data
from segmentation_pipeline.build import build_definitions
from segmentation_pipeline.opening import build_resources
from segmentation_pipeline.planning import FEATURES, RETURNS, SEGMENTS, TRANSACTIONS
from segmentation_pipeline.sensors.new_data import new_data
from segmentation_pipeline.settings import Settings, load
from segmentation_tests.conftest import FEW_FITS, PROJECT

MORNING_AFTER = datetime(2025, 7, 15, 8, tzinfo=UTC)
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def configure(folder: Path, first: date, last: date, **changes: object) -> Path:
    """Write a shop's files from `first` to `last`, and a configuration without an end."""
    shop = sample_data.Shop(200, 100, first, last, seed=5)
    sample_data.simulate(folder / "landing", shop)
    content = yaml.safe_load((PROJECT / "data" / "shop.yaml").read_text())
    del content["end_date"]
    content |= {
        "start_date": first,
        "lake": "lake",
        "reports": "reports",
        "migration": {"days": 5},
        "model": FEW_FITS,
    }
    content["source"] |= {"settle_seconds": 0}
    file = folder / "shop.yaml"
    file.write_text(yaml.safe_dump(content | changes))
    return file


class LiveShop:
    """A shop, its lake and one Dagster instance.

    Args:
        file: Its configuration.
        instance: Where runs are recorded.
    """

    def __init__(self, file: Path, instance: dg.DagsterInstance) -> None:
        self.file = file
        self.instance = instance
        self.settings: Settings = load(file)
        self.started()

    def started(self) -> None:
        """What a process that starts now holds."""
        self.resources = build_resources(self.settings)
        self.definitions = build_definitions(self.settings, self.resources)
        self.lake = self.resources["lake"]

    @property
    def landing(self) -> Path:
        return Path(self.settings.source.path).parent

    def ingested(self, first: date, last: date) -> None:
        self.run([*TRANSACTIONS, *RETURNS], first, last)

    def with_model(self, day: date) -> None:
        self.run(FEATURES, day, day)
        config = QUIET | {"ops": {"k_diagnostics": {"config": {"as_of": day.isoformat()}}}}
        assert self._job("refit_model").execute_in_process(instance=self.instance, run_config=config).success

    def snapshots(self, days: Iterable[date]) -> None:
        for day in days:
            self.run([*FEATURES, *SEGMENTS], day, day)

    def run(self, assets: Sequence[str], first: date, last: date) -> None:
        tags = {"dagster/asset_partition_range_start": str(first), "dagster/asset_partition_range_end": str(last)}
        done = self._job("nightly_refresh").execute_in_process(
            instance=self.instance,
            run_config=QUIET,
            tags={} if first == last else tags,
            partition_key=str(first) if first == last else None,
            asset_selection=[dg.AssetKey(asset) for asset in assets],
        )
        assert done.success

    def carry_out(self, requests: Iterable[dg.RunRequest], sensor: str) -> list[bool]:
        """Run what a sensor requested, one after the other, each as a process that starts then; whether each succeeded."""
        succeeded = []
        for request in requests:
            self.started()
            found = self._job("nightly_refresh").execute_in_process(
                instance=self.instance,
                run_config=QUIET,
                tags={**request.tags, "dagster/sensor_name": sensor},
                partition_key=request.tags.get("dagster/partition"),
                asset_selection=request.asset_selection,
                raise_on_error=False,
            )
            succeeded.append(found.success)
        return succeeded

    def bytes_of(self, assets: Iterable[str]) -> dict[str, bytes]:
        """The files of assets by path."""
        root = Path(str(self.lake.root))
        return {str(file): file.read_bytes() for asset in assets for file in sorted((root / asset).rglob("*.parquet"))}

    def _job(self, name: str) -> dg.JobDefinition:
        return self.definitions.resolve_job_def(name)


def days(first: date, count: int) -> list[date]:
    return [first + timedelta(days=number) for number in range(count)]


class Daemon:
    """The sensor, looked at as often as a test wants, with what it remembers."""

    def __init__(self, shop: LiveShop, now: datetime = MORNING_AFTER) -> None:
        self.shop = shop
        self.sensor = new_data(shop.settings, now=lambda: now)
        self.cursor: str | None = None

    def tick(self) -> list[dg.RunRequest] | str:
        """One evaluation, by Dagster: the runs requested, or why there are none."""
        self.shop.started()
        names = ("source", "freshness", "lake")
        context = dg.build_sensor_context(
            self.shop.instance,
            self.cursor,
            resources={name: self.shop.resources[name] for name in names},
            definitions=self.shop.definitions,
            sensor_name=self.sensor.name,
        )
        found = self.sensor.evaluate_tick(context)
        self.cursor = found.cursor
        return found.run_requests or found.skip_message

    def carry_out_until_settled(self) -> list[list[dg.RunRequest]]:
        """Tick and carry out what is requested until nothing is; the requests of each tick."""
        requested = []
        while isinstance(found := self.tick(), list):
            requested.append(found)
            assert len(requested) < 10
            self.shop.carry_out(found, self.sensor.name)
        return requested

    def until_settled(self) -> list[list[tuple[str, str]]]:
        """Likewise; of each tick the first asset and the days of each run."""
        return [in_short(requests) for requests in self.carry_out_until_settled()]


def in_short(requests: Iterable[dg.RunRequest]) -> list[tuple[str, str]]:
    return [(request.asset_selection[0].path[-1], days_of(request)) for request in requests]


def days_of(request: dg.RunRequest) -> str:
    tags = request.tags
    if "dagster/partition" in tags:
        return tags["dagster/partition"]
    return f"{tags['dagster/asset_partition_range_start']} to {tags['dagster/asset_partition_range_end']}"
