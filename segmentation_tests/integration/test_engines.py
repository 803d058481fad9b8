"""Both engines: the same tables of UCI Online Retail's last weeks, and the same lake after a whole run.

Spark takes minutes for the whole year, so the stretch begins late; ENGINES_COMPARED_FROM=2010-12-01 compares all of it.
How Spark reads and writes files is in test_spark_engine.py.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import ibis
import pandas as pd
import pytest
import yaml
from ibis import _
from upath import UPath

from segmentation_pipeline import sample_data
from segmentation_pipeline.checks.stages import STAGES
from segmentation_pipeline.core import cleaning, drift, migration, orders, profiles, returns, rfm, rfm_groups, schema
from segmentation_pipeline.core.clustering import preprocessing, scoring, training
from segmentation_pipeline.core.clustering.scoring import SegmentationModel
from segmentation_pipeline.resources.engines.duckdb import DuckDBEngine
from segmentation_pipeline.resources.engines.engine import Engine
from segmentation_pipeline.resources.engines.spark import SparkEngine
from segmentation_pipeline.resources.lake import Lake
from segmentation_pipeline.resources.sources.opening import open_source
from segmentation_pipeline.settings import DuckDB, Settings, load
from segmentation_tests.agreement import assert_same, assert_same_files
from segmentation_tests.conftest import ONLINE_RETAIL_YAML, PROJECT, SPARK

FIRST = date.fromisoformat(os.environ.get("ENGINES_COMPARED_FROM", "2011-11-21"))
AS_OF = [date(2011, 12, 1), date(2011, 12, 9)]
BACK = 8  # from the last as-of day to the first


@pytest.fixture(scope="module")
def duckdb() -> DuckDBEngine:
    return DuckDBEngine(DuckDB(), "Europe/London")


@dataclass
class Made:
    """A lake of Online Retail's last weeks, filled by one engine without a run."""

    engine: Engine
    lake: Lake
    settings: Settings
    days: Sequence[date]
    model: SegmentationModel | None = None

    @classmethod
    def by(cls, engine: Engine, folder: Path, settings: Settings) -> "Made":
        source = open_source(settings, engine, UPath(folder / "sources"))
        first, last = FIRST, source.last_day()
        days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
        made = cls(engine, Lake(UPath(folder / "lake"), engine), settings, days)
        made.keep(schema.RAW_TRANSACTIONS, source.rows(days), days)
        raw = made.read(schema.RAW_TRANSACTIONS)
        with engine.held(cleaning.rejected(raw, settings)) as rejected:
            made.keep(schema.CLEAN_TRANSACTIONS, cleaning.accepted(raw, rejected, settings), days)
            made.keep(schema.QUARANTINED_TRANSACTIONS, rejected, days)
        lines, window = made.read(schema.CLEAN_TRANSACTIONS), settings.rfm.return_window_days
        made.keep(schema.CUSTOMER_ORDERS, orders.customer_orders(lines), days)
        made.keep(schema.CUSTOMER_RETURNS, returns.customer_returns(lines, window, "items", first, last), days)
        with (
            engine.held(made.read(schema.CUSTOMER_ORDERS)) as bought,
            engine.held(made.read(schema.CUSTOMER_RETURNS)) as back,
        ):
            made.keep(schema.RFM_FEATURES, lambda day: rfm.rfm_features(bought, back, day, "items", 90), AS_OF)
        return made

    def score(self, model: SegmentationModel) -> None:
        """Segments of the as-of days, and who moved from the first to the last of them."""
        self.model = model
        self.keep(
            schema.CUSTOMER_SEGMENTS, scoring.customer_segments(self.read(schema.RFM_FEATURES, AS_OF), model, 1), AS_OF
        )
        snapshots = [self.read(schema.CUSTOMER_SEGMENTS, [day]) for day in (AS_OF[0], AS_OF[-1])]
        moved = migration.segment_migration(*snapshots, BACK, self.settings.migration.inactive_days)
        self.keep(schema.SEGMENT_MIGRATION, moved, AS_OF[-1:])

    def keep(self, layout: schema.Table, rows: object, days: Sequence[date]) -> None:
        self.lake.write(layout, rows, dict.fromkeys(days, "made by a test"))

    def read(self, layout: schema.Table, days: Sequence[date] | None = None) -> ibis.Table:
        return self.lake.read(layout, days or self.days)

    def measured(self, stage: str) -> pd.DataFrame:
        """A stage's profile."""
        days = AS_OF[-1:] if stage in ("rfm_features", "customer_segments", "segment_migration") else self.days
        of_as_of = {"rfm_features", "customer_segments", "segment_migration"}
        tables = {
            name: self.read(schema.TABLES[name], days if name in of_as_of else self.days)
            for name in schema.TABLES
            if (self.lake.root / name).exists() and (name not in of_as_of or stage in of_as_of)
        }
        return self.engine.to_pandas(STAGES[stage].measure(tables, days, self.settings))


@pytest.fixture(scope="module")
def shops(
    duckdb: DuckDBEngine,
    spark: SparkEngine,
    online_retail: Path,
    configured: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Made, Made]:
    """Online Retail by DuckDB and by Spark."""
    folder = tmp_path_factory.mktemp("engines")
    source = {**yaml.safe_load(ONLINE_RETAIL_YAML.read_text())["source"], "path": str(online_retail)}
    settings = load(configured(folder, ONLINE_RETAIL_YAML, source=source))
    made = [Made.by(engine, folder / name, settings) for name, engine in (("duckdb", duckdb), ("spark", spark))]
    sampled = [each.engine.to_pandas(sample(each)) for each in made]
    assert_same(*sampled, ["customer_id"])
    choice = training.Choice(AS_OF[-1], ("recency_days", "frequency", "monetary"), "kmeans", 4, "for this test")
    model = training.train(sampled[0], choice, settings.model, None, 1)
    for each in made:
        each.score(model)
    return made[0], made[1]


def sample(made: Made) -> ibis.Table:
    features = made.read(schema.RFM_FEATURES, AS_OF[-1:])
    return preprocessing.sample(features, 2_000, made.settings.model.seed)


TABLES = [
    "raw_transactions",
    "clean_transactions",
    "quarantined_transactions",
    "customer_orders",
    "customer_returns",
    "rfm_features",
    "customer_segments",
    "segment_migration",
]


@pytest.mark.parametrize("asset", TABLES)
def test_tables_of_online_retail_are_the_same_to_the_last_digit_and_type(shops, asset):
    first, second = (Path(str(made.lake.root)) for made in shops)
    assert assert_same_files(first, second, asset) > 0


@pytest.mark.parametrize(
    "stage",
    [
        "raw_transactions",
        "clean_transactions",
        "customer_orders",
        "customer_returns",
        "rfm_features",
        "customer_segments",
        "segment_migration",
    ],
)
def test_what_is_measured_of_a_stage_is_the_same(shops, stage):
    assert_same(*(made.measured(stage) for made in shops), ["date"])


def test_small_tables_about_segments_are_the_same(shops):
    def counted(made: Made) -> list[pd.DataFrame]:
        day = AS_OF[-1:]
        features, segments = made.read(schema.RFM_FEATURES, day), made.read(schema.CUSTOMER_SEGMENTS, day)
        customers = features.inner_join(segments.select("date", "customer_id", "segment_id"), ["date", "customer_id"])
        return [
            made.engine.to_pandas(drift.counted(customers, made.model.reference)),
            made.engine.to_pandas(rfm_groups.counted(segments)),
            made.engine.to_pandas(profiles.measured(segments, features)),
            made.engine.to_pandas(profiles.before(made.read(schema.SEGMENT_MIGRATION, day))),
        ]

    keys = (["name", "bin"], ["recency_score", "value_score"], ["segment_id"], ["segment_id"])
    for one, other, key in zip(counted(shops[0]), counted(shops[1]), keys, strict=True):
        assert len(one)
        assert_same(one, other, key)


def test_either_engine_reads_the_lake_of_the_other(shops):
    by_duckdb, by_spark = shops
    for reader, lake in ((by_duckdb.engine, by_spark.lake), (by_spark.engine, by_duckdb.lake)):
        lines = Lake(lake.root, reader).read(schema.CLEAN_TRANSACTIONS, by_duckdb.days)
        found = reader.to_pandas(lines.agg(rows=_.count(), amount=_.amount.sum(), first=_.invoiced_at.min()))
        assert found["first"].iloc[0].tz_convert("Europe/London").date() == FIRST
        expected = sum(by_duckdb.lake.rows("clean_transactions", day) for day in by_duckdb.days)
        assert found["rows"].iloc[0] == expected


@pytest.fixture(scope="module")
def run_shops(tmp_path_factory: pytest.TempPathFactory, configured: Callable[..., Path]) -> Iterator[dict[str, Path]]:
    """The same small simulated shop after `segmentation run` with each engine: kind to lake."""
    lakes = {}
    shop = sample_data.Shop(150, 120, date(2025, 7, 1), date(2025, 7, 4), seed=3)  # one with returns
    for kind, engine in (("duckdb", DuckDB()), ("spark", SPARK)):
        folder = tmp_path_factory.mktemp(kind)
        sample_data.simulate(folder / "landing", shop)
        described = engine.model_dump(exclude_none=True)
        config = configured(
            folder, PROJECT / "data" / "shop.yaml", start_date=shop.start_date, end_date=shop.end_date, engine=described
        )
        environment = {**os.environ, "DAGSTER_HOME": str(folder / "dagster")}
        command = [sys.executable, "-m", "segmentation_pipeline.cli", "run", "--config", str(config)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        told = [line for line in done.stderr.splitlines() if line.strip() and "incubator" not in line]
        assert not told, told
        lakes[kind] = folder / "lake"
    yield lakes


@pytest.mark.parametrize(
    "asset", ["clean_transactions", "customer_orders", "customer_returns", "rfm_features", "customer_segments"]
)
def test_a_run_with_spark_leaves_the_tables_of_one_with_duckdb(run_shops, asset):
    assert assert_same_files(run_shops["duckdb"], run_shops["spark"], asset)
