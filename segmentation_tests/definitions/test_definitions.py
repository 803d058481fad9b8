"""The code location: what a data engineer finds in the UI before anything has run."""

import os
import subprocess
import sys
from datetime import UTC, date, datetime

import dagster as dg
import pytest

from segmentation_pipeline.assets.gated import INPUTS
from segmentation_pipeline.build import build_definitions
from segmentation_pipeline.core import schema
from segmentation_pipeline.core.schema import publishing
from segmentation_pipeline.opening import build_resources
from segmentation_pipeline.settings import ConfigurationError, Publish, Schedule, Settings
from segmentation_tests.conftest import PROJECT

GROUPS = {
    "ingestion": {"raw_transactions"},
    "cleaning": {"clean_transactions", "quarantined_transactions"},
    "features": {"customer_orders", "customer_returns", "rfm_features"},
    "exploration": {"feature_exploration"},
    "model": {"k_diagnostics", "segmentation_model"},
    "segments": {"customer_segments", "segment_migration", "segment_drift", "segment_profiles"},
    "reporting": {"segment_report", "quality_report"},
    "publishing": {"published_segments", "segment_export"},
}
NEEDS_A_PLACE = GROUPS["publishing"]


def published(shop: Settings, **publish: object) -> Settings:
    """The shop with a `publish` section."""
    return shop.model_copy(update={"publish": Publish.model_validate(publish)})


@pytest.fixture(scope="module")
def definitions(small_shop: Settings) -> dg.Definitions:
    """Of a shop that publishes everywhere it can."""
    return build_definitions(published(small_shop, database={}, exports="exports"))


@pytest.fixture(scope="module")
def graph(definitions):
    return definitions.resolve_asset_graph()


def test_every_asset_is_in_its_group(graph):
    found: dict[str, set[str]] = {}
    for node in graph.asset_nodes:
        found.setdefault(node.group_name, set()).add(node.key.path[-1])
    assert found == GROUPS


@pytest.mark.parametrize(
    ("publish", "assets"),
    [({}, set()), ({"database": {}}, {"published_segments"}), ({"exports": "exports"}, {"segment_export"})],
)
def test_without_a_place_to_publish_to_there_is_no_asset_nor_job_for_it(small_shop, publish, assets):
    definitions = build_definitions(published(small_shop, **publish) if publish else small_shop)
    found = {node.key.path[-1] for node in definitions.resolve_asset_graph().asset_nodes}
    assert found & NEEDS_A_PLACE == assets
    assert found | NEEDS_A_PLACE == set().union(*GROUPS.values())
    nightly = definitions.resolve_job_def("nightly_refresh").asset_layer.executable_asset_keys
    assert {key.path[-1] for key in nightly} & NEEDS_A_PLACE == assets
    jobs = {job.name for job in definitions.get_repository_def().get_all_jobs() if not job.name.startswith("__")}
    assert jobs == {"nightly_refresh", "refit_model", "forget_customer", *(["publish"] if assets else [])}


def test_the_tables_in_the_database_are_described_in_the_ui(graph):
    shown = graph.get(dg.AssetKey("published_segments")).metadata
    for table in publishing.DATABASE_TABLES:
        columns = shown[f"database table {table.asset}"].columns
        assert [column.name for column in columns] == table.names
        assert all(column.description for column in columns)


def test_every_asset_says_what_it_is_who_owns_it_and_how_it_is_made(graph):
    for node in graph.asset_nodes:
        assert node.description and len(node.description) > 40, node.key
        assert node.owners == ["team:data"], node.key
        assert node.kinds, node.key
        assert node.tags["stage"] == node.group_name


def test_every_table_shows_its_columns_and_where_they_come_from(graph):
    for node in graph.asset_nodes:
        asset = node.key.path[-1]
        if asset not in schema.TABLES:
            continue
        shown = node.metadata["dagster/column_schema"]
        assert [column.name for column in shown.columns] == schema.TABLES[asset].names
        assert all(column.description for column in shown.columns), asset


def test_column_lineage_names_columns_that_exist_in_assets_upstream(graph):
    for layout in schema.TABLES.values():
        upstream = graph.get_ancestor_asset_keys(dg.AssetKey(layout.asset))
        for column in layout.columns:
            for origin in column.sources:
                asset, name = origin.split(".")
                assert name in schema.TABLES[asset].names, origin
                assert dg.AssetKey(asset) in upstream, f"{layout.asset}.{column.name} <- {origin}"


def test_daily_assets_share_the_shops_calendar_and_the_model_has_none(graph, small_shop):
    for node in graph.asset_nodes:
        if node.group_name == "model":
            assert node.partitions_def is None
        else:
            keys = node.partitions_def.get_partition_keys()
            assert keys[0] == small_shop.start_date.isoformat()
            assert keys[-1] == small_shop.end_date.isoformat()
            assert len(keys) == 20


def test_a_live_feed_ends_with_the_day_that_ended_last(small_shop):
    live = build_definitions(small_shop.model_copy(update={"end_date": None})).resolve_asset_graph()
    days = live.get(dg.AssetKey("raw_transactions")).partitions_def
    just_before_midnight_in_london = datetime(2025, 7, 10, 22, 59, tzinfo=UTC)
    just_after = datetime(2025, 7, 10, 23, 1, tzinfo=UTC)
    assert days.get_partition_keys(just_before_midnight_in_london)[-1] == "2025-07-09"
    assert days.get_partition_keys(just_after)[-1] == "2025-07-10"


def test_returns_read_the_look_back_window_and_features_the_whole_history(graph):
    def upstream_of(asset: str, day: str, upstream: str) -> list[str]:
        days = graph.get(dg.AssetKey(asset)).partitions_def
        mapping = graph.get_partition_mapping(dg.AssetKey(asset), dg.AssetKey(upstream))
        subset = days.empty_subset().with_partition_keys([day])
        mapped = mapping.get_upstream_mapped_partitions_result_for_partitions(subset, days, days)
        return sorted(mapped.partitions_subset.get_partition_keys())

    assert upstream_of("customer_returns", "2025-07-20", "clean_transactions")[0] == "2025-07-01"
    assert upstream_of("rfm_features", "2025-07-03", "customer_orders") == ["2025-07-01", "2025-07-02", "2025-07-03"]


def test_the_nightly_job_leaves_the_model_alone_and_the_refit_job_touches_nothing_else(definitions):
    def assets_of(job: str) -> set[str]:
        return {key.path[-1] for key in definitions.resolve_job_def(job).asset_layer.executable_asset_keys}

    assert assets_of("refit_model") == GROUPS["model"]
    assert assets_of("publish") == GROUPS["publishing"]
    assert assets_of("nightly_refresh") == set().union(*GROUPS.values()) - GROUPS["model"]


def test_a_refit_at_a_moment_that_never_comes_is_one_clear_message(small_shop):
    never = small_shop.model_copy(update={"schedule": Schedule(refit_cron="0 0 30 2 *")})
    with pytest.raises(ConfigurationError, match=r"schedule.refit_cron: '0 0 30 2 \*' names no moment"):
        build_definitions(never)


@pytest.mark.parametrize("engine", ["duckdb", "spark"])
def test_loading_the_definitions_imports_nothing_heavy(engine, tmp_path, configured):
    config = configured(tmp_path, PROJECT / "data" / "shop.yaml", engine={"kind": engine})
    probe = (
        "import sys, segmentation_pipeline.definitions; "
        "heavy = ('sklearn', 'matplotlib', 'great_expectations', 'pyspark', 'scipy', 'adbc_driver_manager', "
        "'numpy', 'pandas', 'pyarrow', 'ibis', 'duckdb', 'upath', 'jinja2', 'segmentation_pipeline.opening'); "
        "print([name for name in heavy if name in sys.modules])"
    )
    environment = {**os.environ, "SEGMENTATION_CONFIG": str(config)}
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("timezone", "said"), [("Europe/London", "built"), ("Europe/Nowhere", "refused")])
def test_garbage_is_looked_for_again_once_the_definitions_are_built_but_not_among_them(
    tmp_path, configured, timezone, said
):
    config = configured(tmp_path, PROJECT / "data" / "shop.yaml", timezone=timezone)
    probe = (
        "import gc\n"
        "from segmentation_pipeline.settings import ConfigurationError\n"
        "try:\n    import segmentation_pipeline.definitions\n    said = 'built'\n"
        "except ConfigurationError:\n    said = 'refused'\n"
        "print(said, gc.isenabled(), gc.get_freeze_count() > 100_000)"
    )
    environment = {**os.environ, "SEGMENTATION_CONFIG": str(config)}
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == [said, "True", str(said == "built")]


@pytest.mark.parametrize(
    "publish", [{}, {"database": {}}, {"exports": "exports"}, {"database": {}, "exports": "exports"}]
)
def test_every_resource_is_declared_before_any_is_made(small_shop, publish):
    settings = published(small_shop, **publish) if publish else small_shop
    declared, made = build_definitions(settings).resources, build_resources(settings)
    assert declared.keys() - {INPUTS} == made.keys()
    with dg.build_resources({name: declared[name] for name in made}) as used:
        assert {name: type(getattr(used, name)) for name in made} == {name: type(each) for name, each in made.items()}
        assert used.lake.engine is used.engine


def test_a_calendar_day_is_a_day_in_the_shops_zone(graph):
    window = graph.get(dg.AssetKey("raw_transactions")).partitions_def.time_window_for_partition_key("2025-07-05")
    assert window.start.astimezone(UTC) == datetime(2025, 7, 4, 23, 0, tzinfo=UTC)
    assert window.start.date() == date(2025, 7, 5)
