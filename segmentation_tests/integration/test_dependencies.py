"""The graph tells the truth: what each asset reads when it runs is what Dagster's graph, the digests and the plan say it reads.

Reads of an asset's own earlier days, which Dagster could only show as a chain of days, are left out.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from segmentation_pipeline.planning import FEATURES, MODEL, QUALITY, RETURNS, SEGMENTS, TRANSACTIONS, plan
from segmentation_pipeline.resources.freshness import Freshness
from segmentation_pipeline.resources.lake import Lake
from segmentation_pipeline.resources.model_store import ModelStore
from segmentation_tests.integration.live_shop import QUIET, LiveShop, configure
from segmentation_tests.integration.observed_reads import Reads, Seen, observed

FIRST, EARLIER, LAST = date(2025, 7, 1), date(2025, 7, 9), date(2025, 7, 14)
CLEANED = ("clean_transactions", "quarantined_transactions")  # made together
EXPORT = ("segment_export",)
DAILY = (*TRANSACTIONS, *RETURNS, *FEATURES, *SEGMENTS, *QUALITY, *EXPORT)
TRACKED = [asset for asset in DAILY if asset not in QUALITY]  # the quality report is drawn with each run

# Read, and yet no change of them makes the reader stale: an equal computation takes their place (see below), and what was
# delivered once is what the next delivery goes on from.
NOT_IN_DIGEST = {
    "segment_migration": {("rfm_features", EARLIER)},
    "segment_export": {("customer_segments", EARLIER)},
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveShop]:
    """Two weeks with a model, and everything there is as of the last day and of one earlier day."""
    file = configure(tmp_path_factory.mktemp("graph"), FIRST, LAST, publish={"exports": "exports"})
    with dg.DagsterInstance.ephemeral() as instance:
        shop = LiveShop(file, instance)
        shop.ingested(FIRST, LAST)
        shop.with_model(LAST)
        for day in (EARLIER, LAST):
            shop.run([*FEATURES, *SEGMENTS, *QUALITY, *EXPORT], day, day)
        yield shop


@pytest.fixture(scope="module")
def reads(shop: LiveShop) -> dict[str, Seen]:
    """What each asset read when the last day of it was materialized alone."""
    found = {}
    for asset in DAILY:
        made = CLEANED if asset in CLEANED else (asset,)
        with observed() as seen:
            shop.run(made, LAST, LAST)
            if asset == "segment_migration":
                with without_features_of(EARLIER, shop):
                    shop.run(made, LAST, LAST)
        found[asset] = seen.of_others(made)
    for asset in MODEL:
        with observed() as seen:
            done = shop.definitions.resolve_job_def("refit_model").execute_in_process(
                instance=shop.instance, run_config=QUIET, asset_selection=[dg.AssetKey(asset)]
            )
        assert done.success
        found[asset] = seen.of_others([asset])
    return found


@contextmanager
def without_features_of(day: date, shop: LiveShop) -> Iterator[None]:
    """The day's features are not in the lake until the block ends."""
    features = Path(str(shop.lake.root)) / "rfm_features" / f"date={day}"
    away = shutil.move(features, features.parent.parent / "away")
    yield
    shutil.move(away, features)


def upstream_in_dagster(shop: LiveShop, asset: str) -> tuple[Reads, set[str]]:
    """Upstream days of the last day that stand in the lake, and upstream assets without days."""
    graph = shop.definitions.resolve_asset_graph()
    key, days, without_days = dg.AssetKey(asset), set(), set()
    own = graph.get(key).partitions_def
    for parent in graph.get(key).parent_keys:
        name, partitions = parent.path[-1], graph.get(parent).partitions_def
        if partitions is None or own is None:
            without_days.add(name)
            continue
        mapped = graph.get_partition_mapping(key, parent).get_upstream_mapped_partitions_result_for_partitions(
            own.empty_subset().with_partition_keys([str(LAST)]), own, partitions
        )
        keys = set(mapped.partitions_subset.get_partition_keys())
        days |= {(name, day) for day in shop.lake.days(name) if str(day) in keys}
    return days, without_days


@pytest.mark.parametrize("asset", DAILY)
def test_dagsters_graph_has_what_an_asset_reads_and_nothing_else(shop, reads, asset):
    days, without_days = upstream_in_dagster(shop, asset)
    assert days == reads[asset].all
    assert without_days == reads[asset].without_days


@pytest.mark.parametrize("asset", MODEL)
def test_dagsters_graph_has_what_a_refit_reads_and_nothing_else(shop, reads, asset):
    _days, upstream = upstream_in_dagster(shop, asset)
    assert upstream == {name for name, _day in reads[asset].rows} | reads[asset].without_days


@pytest.mark.parametrize("asset", DAILY)
def test_a_table_that_an_asset_is_handed_is_one_that_its_function_reads(shop, reads, asset):
    definition = shop.definitions.resolve_assets_def(dg.AssetKey(asset))
    inputs = definition.node_def.input_dict
    handed = {
        key.path[-1] for name, key in definition.keys_by_input_name.items() if not inputs[name].dagster_type.is_nothing
    }
    assert handed <= {name for name, _day in reads[asset].rows}


@pytest.mark.parametrize("asset", TRACKED)
def test_a_digest_changes_with_what_shapes_an_assets_rows_and_with_nothing_else(shop, reads, asset, monkeypatch):
    freshness, stored = shop.resources["freshness"], Lake.inputs
    before = freshness.made_from(asset, [LAST])

    def changes_with(name: str, day: date) -> bool:
        def inputs(lake: Lake, asked: str, of: date) -> str | None:
            return "changed" if (asked, of) == (name, day) else stored(lake, asked, of)

        monkeypatch.setattr(Lake, "inputs", inputs)
        return freshness.made_from(asset, [LAST]) != before

    found = {
        (name, day)
        for name in (*TRANSACTIONS, *RETURNS, *FEATURES, *SEGMENTS)
        for day in shop.lake.days(name)
        if changes_with(name, day)
    }
    assert found == reads[asset].rows - NOT_IN_DIGEST.get(asset, set())


@pytest.mark.parametrize("asset", TRACKED)
def test_a_digest_changes_with_the_active_model_where_an_asset_asks_for_it(shop, reads, asset, monkeypatch):
    freshness = shop.resources["freshness"]
    before = freshness.made_from(asset, [LAST])
    monkeypatch.setattr(ModelStore, "digest", lambda _models: "another")
    assert (freshness.made_from(asset, [LAST]) != before) == reads[asset].active_model


@pytest.mark.parametrize("asset", TRACKED)
def test_a_plan_does_what_is_stale_and_after_it_everything_that_reads_it(shop, reads, asset, monkeypatch):
    digests = Freshness._digests

    def changed(freshness: Freshness, of: str, *given: Any) -> dict[date, str]:
        found = digests(freshness, of, *given)
        return {day: f"{digest} changed" for day, digest in found.items()} if of == asset else found

    monkeypatch.setattr(Freshness, "_digests", changed)
    runs = plan(shop.settings, shop.resources["freshness"], shop.resources["models"], LAST)
    order = [each for run in runs for each in run.assets]
    stale, readers = [asset], [asset]
    while readers:
        readers = [each for each in TRACKED if any((name, LAST) in reads[each].rows for name in readers)]
        stale += readers
    assert set(stale) <= set(order)
    for each in stale:
        assert all(order.index(name) <= order.index(each) for name, _day in reads[each].rows if name in order)


def test_migration_has_the_same_rows_whether_it_reads_the_earlier_features_or_computes_them(shop):
    file = Path(str(shop.lake.file("segment_migration", LAST)))
    shop.run(["segment_migration"], LAST, LAST)
    before = file.read_bytes()
    with without_features_of(EARLIER, shop):
        shop.run(["segment_migration"], LAST, LAST)
    assert file.read_bytes() == before
