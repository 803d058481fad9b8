"""Publishing as a shop runs it: nights and ranges of Dagster's jobs, failed nights, and what a run takes up again."""

import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import quote

import dagster as dg
import pandas as pd
import psycopg
import pyarrow.parquet as pq
import pytest

from segmentation_pipeline.build import build_definitions
from segmentation_pipeline.errors import TransientFault
from segmentation_pipeline.opening import build_resources
from segmentation_pipeline.planning import FEATURES, PUBLISHING, QUALITY, SEGMENTS, PlannedRun, plan
from segmentation_pipeline.resources.publishing.faults import PublishingRefused
from segmentation_pipeline.running import execute
from segmentation_pipeline.settings import Publish, Schedule, Settings
from segmentation_tests.database import PASSWORD
from segmentation_tests.integration.conftest import copy_of
from segmentation_tests.integration.published import VARIABLE, content, down, rows, told

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
LAST = date(2025, 7, 20)
START = date(2025, 7, 15)  # of what is published
AT_ONCE = Schedule(max_retries=1, retry_seconds=0.1)


class Publishing:
    """One shop's jobs, publishing into a schema and a folder of their own, on an instance of their own."""

    def __init__(self, shop: Settings, schema: str, folder: Path, instance: dg.DagsterInstance) -> None:
        publish = {"database": {"url_variable": VARIABLE, "schema": schema}, "exports": folder / "exports"}
        changed = {"publish": Publish.model_validate(publish), "lake": folder / "lake", "schedule": AT_ONCE}
        self.settings = shop.model_copy(update=changed)
        self.schema = schema
        self.instance = instance
        self.resources = build_resources(self.settings)
        self.definitions = build_definitions(self.settings, self.resources)

    def run(self, job: str, first: date | None = None, last: date | None = None, assets: list[str] | None = None):
        days = {}
        if first and last:
            tags = {"start": first.isoformat(), "end": last.isoformat()}
            days = {"tags": {f"dagster/asset_partition_range_{end}": day for end, day in tags.items()}}
        elif first:
            days = {"partition_key": first.isoformat()}
        selection = [dg.AssetKey(asset) for asset in assets] if assets else None
        return self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance, run_config=QUIET, asset_selection=selection, **days
        )

    def planned(self, as_of: date) -> list[PlannedRun]:
        resources = build_resources(self.settings)
        return plan(self.settings, resources["freshness"], resources["models"], as_of)

    def carried_out(self, as_of: date) -> None:
        execute(self.definitions, self.instance, self.planned(as_of), as_of, verbose=False)

    def exported(self, day: date) -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in self.resources["exports"].folder(day).iterdir()}

    def metadata(self, asset: str, day: date) -> dict[str, dg.MetadataValue]:
        found = self.instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[day.isoformat()]), limit=1
        )
        return found.records[0].asset_materialization.metadata


@pytest.fixture(autouse=True)
def url(database_url, monkeypatch) -> str:
    monkeypatch.setenv(VARIABLE, database_url)
    return database_url


@pytest.fixture(scope="module")
def settings(scored_shop, tmp_path_factory) -> Settings:
    """Of a shop that publishes nothing yet, and whose last night was not finished."""
    found = copy_of(scored_shop, tmp_path_factory.mktemp("scored") / "shop")
    shutil.rmtree(Path(found.lake) / "segment_profiles")
    return found


@pytest.fixture(scope="module")
def scored(settings) -> Path:
    """The folder of a lake with the segments of a few days, none of them published."""
    with dg.DagsterInstance.ephemeral() as instance:
        shop = Publishing(settings, "never", Path(settings.lake).parent, instance)
        shop.run("nightly_refresh", START, LAST, ["rfm_features", "customer_segments"])
    return Path(settings.lake).parent


@pytest.fixture
def shop(settings, scored, tmp_path, request) -> Iterator[Publishing]:
    """The shop with that lake, publishing for the first time."""
    (tmp_path / "lake").mkdir()
    for part in (scored / "lake").iterdir():
        (tmp_path / "lake" / part.name).symlink_to(part)
    with dg.DagsterInstance.ephemeral() as instance:
        yield Publishing(settings, request.node.originalname[:40].rstrip("_"), tmp_path, instance)


def test_the_published_segments_are_those_of_the_lake(url, shop):
    shop.run("publish", LAST)
    shown = pd.DataFrame(rows(url, shop.schema, "current_segments"))
    lake = shop.settings.lake
    segments, features = (
        pq.read_table(str(lake / asset / f"date={LAST}" / "part-0.parquet")).to_pandas()
        for asset in ("customer_segments", "rfm_features")
    )
    expected = segments.merge(features[["customer_id", "last_order_date"]], on="customer_id").sort_values("customer_id")
    columns = [name for name in shown.columns if name in expected.columns]
    assert len(columns) == 12
    for name in columns:
        same = shown.sort_values("customer_id")[name].astype(object).fillna("none").tolist()
        assert same == expected[name].astype(object).fillna("none").tolist(), name


def test_night_by_night_and_a_range_leave_the_same(url, shop, settings, tmp_path):
    with dg.DagsterInstance.ephemeral() as instance:
        (tmp_path / "range").mkdir()
        ranged = Publishing(settings, f"{shop.schema}_range", tmp_path / "range", instance)
        (tmp_path / "range" / "lake").mkdir()
        for part in (tmp_path / "lake").iterdir():
            (tmp_path / "range" / "lake" / part.name).symlink_to(part)
        ranged.run("publish", START, LAST)
        days = [START + timedelta(days=number) for number in range(6)]
        for day in days:
            shop.run("publish", day)
        for table in ("published_segments", "segment_changes", "segment_history"):
            assert rows(url, shop.schema, table) == rows(url, ranged.schema, table)
        assert {row[0] for row in told(url, shop.schema)} == set(days), "a day without any change tells nothing"
        for day in days:
            assert shop.exported(day) == ranged.exported(day)


def test_the_same_range_again_changes_nothing(url, shop):
    shop.run("publish", START, LAST)
    before, files = content(url, shop.schema), shop.exported(LAST)
    shop.run("publish", START, LAST)
    assert content(url, shop.schema) == before
    assert shop.exported(LAST) == files


def test_the_ui_shows_counts_and_moves_and_no_customer(url, shop):
    shop.run("publish", START, LAST)
    shown = shop.metadata("published_segments", LAST)
    changed = [row for row in told(url, shop.schema) if row[0] == LAST]
    assert shown["customers"].value == len(rows(url, shop.schema, "published_segments"))
    assert shown["new"].value == sum(row[2] == "new" for row in changed)
    assert shown["moved"].value == sum(row[2] == "moved" for row in changed) > 0
    for asset in PUBLISHING:
        text = str(shop.metadata(asset, LAST))
        assert "| moved |" in text
        assert not [row[1] for row in changed if f"'{row[1]}'" in text or f" {row[1]} " in text]
    assert shop.metadata("segment_export", START)["since"].value == "no earlier export: everyone is new"


def test_a_day_before_the_latest_says_why_it_changed_nothing(url, shop):
    shop.run("publish", LAST)
    before = content(url, shop.schema)
    shop.run("publish", START)
    assert content(url, shop.schema) == before
    said = shop.metadata("published_segments", START)["outcome"].value
    assert said == (
        "Nothing was changed: the database already holds 2025-07-20, and 2025-07-15 is earlier. "
        "The published segments are always those of the latest day."
    )


def test_the_lake_notes_what_was_published_and_a_run_then_has_nothing_to_do(shop):
    night = (*FEATURES, *SEGMENTS, *QUALITY, *PUBLISHING)
    assert shop.planned(LAST) == [PlannedRun("nightly_refresh", night, LAST, LAST)]
    shop.carried_out(LAST)
    file = shop.settings.lake / "published_segments" / f"date={LAST}" / "part-0.parquet"
    (noted,) = pq.read_table(str(file)).to_pylist()
    assert (noted["outcome"], noted["new"], noted["moved"]) == ("published", noted["customers"], 0)
    assert shop.planned(LAST) == []


def test_segments_that_are_there_are_only_published(shop):
    shop.carried_out(LAST)
    (shop.settings.lake / "published_segments" / f"date={LAST}" / "partition.jsonl").unlink()
    assert shop.planned(LAST) == [PlannedRun("publish", PUBLISHING, LAST, LAST)]
    shop.carried_out(LAST)
    assert shop.planned(LAST) == []


def test_a_failed_night_is_taken_up_again_in_its_order(url, shop, database_server):
    first, second, third = LAST - timedelta(days=2), LAST - timedelta(days=1), LAST
    shop.run("publish", first)
    before = content(url, shop.schema)
    with down(database_server, url), pytest.raises(TransientFault, match="Connection refused"):
        shop.run("publish", second)
    assert content(url, shop.schema) == before
    assert shop.resources["lake"].inputs("published_segments", second) is None
    assert shop.planned(third) == [
        PlannedRun("nightly_refresh", (*FEATURES, *SEGMENTS, *QUALITY), third, third),
        PlannedRun("publish", PUBLISHING, second, third),
    ]
    execute(shop.definitions, shop.instance, shop.planned(third)[1:], third, verbose=False)
    assert [row["as_of"] for row in rows(url, shop.schema, "publications")] == [first, second, third]


def test_no_run_tells_the_password(shop, database_server, url):
    shop.run("publish", LAST)
    with down(database_server, url):
        failed = shop.definitions.resolve_job_def("publish").execute_in_process(
            instance=shop.instance, run_config=QUIET, partition_key=LAST.isoformat(), raise_on_error=False
        )
    assert not failed.success
    events = "".join(
        str(record.event_log_entry.to_json())
        for record in shop.instance.fetch_run_status_changes(dg.DagsterEventType.RUN_FAILURE, limit=5).records
    )
    logged = "".join(
        entry.to_json()
        for run in shop.instance.get_run_records()
        for entry in shop.instance.all_logs(run.dagster_run.run_id)
    )
    assert "TransientFault" in logged
    for secret in (PASSWORD, quote(PASSWORD, safe=""), url):
        assert secret not in logged + events
        assert not any(
            secret.encode() in file.read_bytes() for file in shop.settings.lake.parent.rglob("*") if file.is_file()
        )


def test_a_missing_variable_is_told_by_its_name(shop, monkeypatch):
    monkeypatch.delenv(VARIABLE)
    with pytest.raises(PublishingRefused, match=f"the environment variable {VARIABLE}"):
        shop.run("publish", LAST, assets=["published_segments"])


def test_exports_alone_need_no_database(shop, monkeypatch):
    monkeypatch.delenv(VARIABLE)
    shop.run("publish", LAST, assets=["segment_export"])
    assert shop.exported(LAST)


def test_actions_are_those_of_the_model(shop):
    shop.run("publish", LAST, assets=["segment_export"])
    told_of = pq.read_table(str(shop.resources["exports"].folder(LAST) / "segment_changes.parquet")).to_pandas()
    models = shop.resources["models"]
    actions = {segment.name: segment.action for segment in models.load(models.in_force()).segments}
    named = told_of[told_of["segment"] != "Net zero"]
    assert named["action"].tolist() == [actions[name] for name in named["segment"]]
    assert set(actions) == set(named["segment"])


def test_what_was_forgotten_in_the_database_does_not_make_a_night_fail(url, shop):
    shop.run("publish", LAST - timedelta(days=1))
    someone = rows(url, shop.schema, "published_segments")[0]["customer_id"]
    shop.resources["publisher"].forget([someone])
    with psycopg.connect(url) as connection:
        counted = connection.execute(f"SELECT count(*) FROM {shop.schema}.published_segments").fetchone()
    shop.run("publish", LAST)
    assert len(rows(url, shop.schema, "published_segments")) > counted[0]
