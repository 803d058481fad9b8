"""Runs as the UI launches them: one day, a range in one run, a refit, and what stands in the lake afterwards."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from segmentation_pipeline.build import build_definitions
from segmentation_pipeline.core import schema
from segmentation_pipeline.opening import build_resources
from segmentation_pipeline.resources.lake import MissingPartitions
from segmentation_pipeline.resources.model_store import NoModelInForce
from segmentation_pipeline.settings import Settings
from segmentation_pipeline.settings import engine as engine_settings
from segmentation_tests.integration.conftest import copy_of

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
TRANSACTIONS = ["raw_transactions", "clean_transactions", "quarantined_transactions"]
FEATURES = ["customer_orders", "customer_returns", "rfm_features"]
FIRST, LAST = date(2025, 7, 1), date(2025, 7, 20)


class Runner:
    """Runs jobs of one shop on an instance of its own."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance) -> None:
        self.settings = settings
        self.resources = build_resources(settings)
        self.definitions = build_definitions(settings, self.resources)
        self.instance = instance
        self.lake = self.resources["lake"]

    def range(self, assets: list[str], first: date, last: date) -> dg.ExecuteInProcessResult:
        tags = {
            "dagster/asset_partition_range_start": first.isoformat(),
            "dagster/asset_partition_range_end": last.isoformat(),
        }
        return self._job("nightly_refresh", asset_selection=_keys(assets), tags=tags)

    def night(self, day: date, assets: list[str] | None = None) -> dg.ExecuteInProcessResult:
        selection = _keys(assets) if assets else None
        return self._job("nightly_refresh", partition_key=day.isoformat(), asset_selection=selection)

    def bytes_of(self, asset: str) -> dict[str, bytes]:
        return {file.parent.name: file.read_bytes() for file in (self.lake.root / asset).glob("date=*/*.parquet")}

    def _job(self, name: str, **options: object) -> dg.ExecuteInProcessResult:
        return self.definitions.resolve_job_def(name).execute_in_process(
            instance=self.instance, run_config=QUIET, **options
        )


def _keys(assets: list[str]) -> list[dg.AssetKey]:
    return [dg.AssetKey(asset) for asset in assets]


@pytest.fixture(scope="module")
def runner(scored_shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """A shop whose days are ingested, with features and a model of the last day."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield Runner(copy_of(scored_shop, tmp_path_factory.mktemp("runs") / "shop"), instance)


@pytest.fixture(scope="module")
def ranged(runner: Runner) -> Runner:
    """The same shop, whose days were done again in one range run."""
    runner.range([*TRANSACTIONS, *FEATURES[:2]], FIRST, LAST)
    return runner


@pytest.fixture(scope="module")
def night(runner: Runner) -> Runner:
    """The same shop, whose last day was done again in one run of every asset."""
    assert runner.night(LAST).success
    return runner


@pytest.fixture
def empty(small_shop: Settings, tmp_path) -> Iterator[Runner]:
    """The same shop with an empty lake."""
    moved = small_shop.model_copy(update={"lake": tmp_path / "lake", "reports": tmp_path / "reports"})
    with dg.DagsterInstance.ephemeral() as instance:
        yield Runner(moved, instance)


def test_a_range_is_one_run_and_materializes_every_day(ranged):
    runner = ranged
    for asset in [*TRANSACTIONS, *FEATURES[:2]]:
        assert len(runner.instance.get_materialized_partitions(dg.AssetKey(asset))) == 20
        runs = {
            record.run_id for record in runner.instance.fetch_materializations(dg.AssetKey(asset), limit=20).records
        }
        assert len(runs) == 1
        assert runner.lake.days(asset) == [FIRST + timedelta(days=number) for number in range(20)]


def test_each_day_shows_its_own_row_count(ranged):
    runner = ranged
    records = runner.instance.fetch_materializations(dg.AssetKey("raw_transactions"), limit=20).records
    shown = {
        record.partition_key: record.asset_materialization.metadata["dagster/partition_row_count"].value
        for record in records
    }
    stored = {
        day.isoformat(): pq.read_metadata(str(runner.lake.file("raw_transactions", day))).num_rows
        for day in runner.lake.days("raw_transactions")
    }
    assert shown == stored
    assert len(set(shown.values())) > 5


def test_nights_one_by_one_leave_the_same_bytes_as_one_range(ranged, empty):
    begun = LAST - timedelta(days=3)
    empty.range([*TRANSACTIONS, *FEATURES[:2]], FIRST, begun)
    for number in range(1, (LAST - begun).days + 1):
        empty.night(begun + timedelta(days=number), [*TRANSACTIONS, *FEATURES[:2]])
    for asset in [*TRANSACTIONS, *FEATURES[:2]]:
        assert empty.bytes_of(asset) == ranged.bytes_of(asset), asset


def test_a_range_in_many_stretches_leaves_the_same_bytes_and_profiles_as_in_one(runner, empty, monkeypatch):
    monkeypatch.setattr(engine_settings, "BYTES_PER_ROW", 1e9 / 400)  # a day or two at once
    stretched = Runner(empty.settings, empty.instance)
    days = [FIRST + timedelta(days=number) for number in range(10)]
    assets = [*TRANSACTIONS, *FEATURES[:2], "rfm_features"]
    stretched.range(assets, FIRST, days[-1])
    assert 2 < len(stretched.resources["stretches"].of_inputs(days, ["clean_transactions"], [])) < 10
    runner.range(["rfm_features"], FIRST, days[-1])
    of_days = {f"date={day}" for day in days}
    for asset in assets:
        whole = {day: content for day, content in runner.bytes_of(asset).items() if day in of_days}
        assert stretched.bytes_of(asset) == whole, asset
        assert stretched.lake.profiles(asset, days) == runner.lake.profiles(asset, days), asset


def test_a_whole_night_scores_with_the_model_in_force_and_draws_its_report(night):
    runner = night
    model = runner.resources["models"]
    assert model.in_force() == 1
    segments = runner.lake.engine.to_pandas(runner.lake.read(schema.CUSTOMER_SEGMENTS, [LAST]))
    features = runner.lake.engine.to_pandas(runner.lake.read(schema.RFM_FEATURES, [LAST]))
    assert sorted(segments["customer_id"]) == sorted(features["customer_id"])
    assert set(segments["model_version"]) == {1}
    page = runner.resources["reports"].page(LAST).read_text()
    assert all(name in page for name in set(segments["segment"]))
    event = runner.instance.get_latest_materialization_event(dg.AssetKey("segment_report"))
    shown = event.asset_materialization.metadata
    assert "data:image/png;base64," in shown["segment_profile"].value
    assert "data:image/png;base64," in shown["elbow_and_silhouette"].value


def test_a_night_reads_its_own_day_and_orders_and_returns_but_no_old_lines(night):
    runner = night
    files = {
        asset: {day: runner.lake.file(asset, day).stat().st_size for day in runner.lake.days(asset)}
        for asset in (*TRANSACTIONS, *FEATURES[:2])
    }
    own_day = sum(files[asset][LAST] for asset in TRANSACTIONS)
    kept = sum(sum(files[asset].values()) for asset in FEATURES[:2])
    # A file is read by several expressions, and its footer with each.
    most = {"raw_transactions": 5 * own_day, "clean_transactions": 5 * own_day, "rfm_features": 8 * kept}
    for asset, limit in most.items():
        event = runner.instance.get_latest_materialization_event(dg.AssetKey(asset))
        assert 0 < event.asset_materialization.metadata["bytes_read"].value < limit
    assert most["raw_transactions"] < sum(files["raw_transactions"].values())
    assert most["clean_transactions"] < sum(files["clean_transactions"].values())


def test_a_night_computes_anew_only_who_bought_or_gave_back_since(runner):
    eve = LAST - timedelta(days=1)
    runner.range(["rfm_features"], eve, LAST)
    file = runner.lake.file("rfm_features", eve)
    known = pq.read_table(file)
    far_off = pa.array(known.column("distinct_products").to_pandas() + 1000)
    place = known.schema.get_field_index("distinct_products")
    try:
        pq.write_table(known.set_column(place, known.schema.field(place), far_off), file)
        runner.night(LAST, ["rfm_features"])
        found = pq.read_table(runner.lake.file("rfm_features", LAST)).to_pandas()
    finally:
        runner.range(["rfm_features"], eve, LAST)  # a range takes nothing over
    of_the_day = [pq.read_table(runner.lake.file(asset, LAST)).to_pandas() for asset in FEATURES[:2]]
    active = set(pd.concat(of_the_day)["customer_id"])
    assert active & set(known.column("customer_id").to_pylist())
    is_taken_over = found["distinct_products"] >= 1000
    assert is_taken_over.any()
    assert set(found.loc[~is_taken_over, "customer_id"]) == active


def test_a_range_of_snapshots_gives_each_day_what_its_own_night_gives(runner, empty):
    days = [LAST - timedelta(days=1), LAST]
    snapshots = ["rfm_features", "customer_segments", "segment_migration", "segment_drift", "segment_profiles"]
    runner.range(snapshots, *days)
    ranged = {asset: runner.bytes_of(asset) for asset in snapshots}
    for day in days:
        runner.night(day, list(ranged))
    assert {asset: runner.bytes_of(asset) for asset in ranged} == ranged


def test_a_missing_partition_is_named_and_nothing_is_written(empty):
    empty.range(TRANSACTIONS, FIRST, FIRST + timedelta(days=4))
    with pytest.raises(
        MissingPartitions, match=r"clean_transactions lacks 3 of the 8 days needed: 2025-07-06 to 2025-07-08"
    ):
        empty.range(["customer_orders"], FIRST, FIRST + timedelta(days=7))
    assert not empty.lake.days("customer_orders")


def test_scoring_without_a_model_says_which_job_to_run(empty):
    empty.range([*TRANSACTIONS, *FEATURES[:2]], FIRST, FIRST + timedelta(days=4))
    day = FIRST + timedelta(days=4)
    empty.night(day, ["rfm_features"])
    with pytest.raises(NoModelInForce, match="refit_model"):
        empty.night(day, ["customer_segments"])
