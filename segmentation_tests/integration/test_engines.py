"""Both engines: the same tables of UCI Online Retail, the same lake after a whole run, and files that either one reads."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import ibis
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from ibis import _
from upath import UPath

from segmentation_pipeline import sample_data
from segmentation_pipeline.checks.stages import STAGES
from segmentation_pipeline.core import cleaning, drift, migration, orders, profiles, returns, rfm, rfm_groups, schema
from segmentation_pipeline.core.clustering import preprocessing, scoring, training
from segmentation_pipeline.core.clustering.scoring import SegmentationModel
from segmentation_pipeline.resources.engines import spark_session
from segmentation_pipeline.resources.engines.duckdb import DuckDBEngine
from segmentation_pipeline.resources.engines.engine import Engine, UnreadableFile
from segmentation_pipeline.resources.engines.spark import SparkEngine
from segmentation_pipeline.resources.engines.spark_session import SparkMissing, SparkUnreachable
from segmentation_pipeline.resources.lake import Lake
from segmentation_pipeline.resources.sources.opening import open_source
from segmentation_pipeline.settings import DuckDB, Settings, Spark, load
from segmentation_tests.agreement import assert_same, assert_same_files
from segmentation_tests.conftest import ONLINE_RETAIL_YAML, PROJECT, SPARK

AS_OF = [date(2011, 6, 30), date(2011, 12, 8), date(2011, 12, 9)]
BACK = 162  # from the last as-of day to the first


@pytest.fixture(scope="module")
def duckdb() -> DuckDBEngine:
    return DuckDBEngine(DuckDB(), "Europe/London")


@dataclass
class Made:
    """A lake of Online Retail, filled by one engine without a run."""

    engine: Engine
    lake: Lake
    settings: Settings
    days: Sequence[date]
    model: SegmentationModel | None = None

    @classmethod
    def by(cls, engine: Engine, folder: Path, settings: Settings) -> "Made":
        source = open_source(settings, engine, UPath(folder / "sources"))
        first, last = source.first_day(), source.last_day()
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


TABLES = {
    "raw_transactions": 541_909,
    "clean_transactions": None,
    "quarantined_transactions": None,
    "customer_orders": None,
    "customer_returns": None,
    "rfm_features": None,
    "customer_segments": None,
    "segment_migration": None,
}


@pytest.mark.parametrize("asset", TABLES)
def test_tables_of_online_retail_are_the_same_to_the_last_digit_and_type(shops, asset):
    first, second = (Path(str(made.lake.root)) for made in shops)
    rows = assert_same_files(first, second, asset)
    assert rows == (TABLES[asset] or rows) > 0


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
        assert found["first"].iloc[0] == pd.Timestamp("2010-12-01 08:26", tz="Europe/London")
        expected = sum(by_duckdb.lake.rows("clean_transactions", day) for day in by_duckdb.days)
        assert found["rows"].iloc[0] == expected


@pytest.fixture(scope="module")
def run_shops(tmp_path_factory: pytest.TempPathFactory, configured: Callable[..., Path]) -> Iterator[dict[str, Path]]:
    """The same small simulated shop after `segmentation run` with each engine: kind to lake."""
    lakes = {}
    shop = sample_data.Shop(150, 120, date(2025, 7, 1), date(2025, 7, 4), seed=11)
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


def test_a_run_with_spark_leaves_the_returns_of_one_with_duckdb(run_shops):
    assert_same_files(run_shops["duckdb"], run_shops["spark"], "customer_returns")


def lines_of(days: dict[date, int]) -> ibis.Table:
    """Orders, so many on each day, in no order."""
    rows = [
        {
            "date": day,
            "customer_id": None if number == 0 else f"c{number % 97}",
            "order_id": f"o{(number * 7_919) % 104_729}",
            "items": number,
            "amount": Decimal(number) / 4,
            "products": 1,
            "product_ids": ["a", "b"] if number % 2 else [],
        }
        for day, count in days.items()
        for number in range(count)
    ]
    types = schema.CUSTOMER_ORDERS.ibis_schema.to_pyarrow()
    return ibis.memtable(pa.Table.from_pylist(rows, types))


def test_each_day_is_one_sorted_file_however_many_rows_it_has_and_an_empty_one_where_it_has_none(
    duckdb, spark, tmp_path
):
    days = [date(2025, 7, 1) + timedelta(days=number) for number in range(5)]
    rows = lines_of({days[0]: 3, days[2]: 30_000, days[4]: 1, date(2026, 1, 1): 2})
    found = {}
    for name, engine in (("duckdb", duckdb), ("spark", spark)):
        (tmp_path / name).mkdir()
        files = {day: UPath(tmp_path / name / f"{day}.parquet") for day in days}
        engine.write_days(rows, schema.CUSTOMER_ORDERS, files)
        assert sorted(path.name for path in (tmp_path / name).iterdir()) == [f"{day}.parquet" for day in days]
        found[name] = [pq.read_table(str(file)) for file in files.values()]
    assert [table.num_rows for table in found["spark"]] == [3, 0, 30_000, 0, 1]
    for one, other in zip(found["duckdb"], found["spark"], strict=True):
        assert other.schema.equals(one.schema)
        assert other.equals(one)


def test_a_table_without_days_is_one_file(duckdb, spark, tmp_path):
    rows = lines_of({date(2025, 7, 1): 500})
    for name, engine in (("duckdb", duckdb), ("spark", spark)):
        engine.write(rows, schema.CUSTOMER_ORDERS, UPath(tmp_path / f"{name}.parquet"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["duckdb.parquet", "spark.parquet"]
    assert pq.read_table(tmp_path / "spark.parquet").equals(pq.read_table(tmp_path / "duckdb.parquet"))


def test_the_same_rows_are_the_same_bytes_whether_a_day_is_written_alone_or_among_others(spark, tmp_path):
    days = [date(2025, 7, 1), date(2025, 7, 2)]
    rows = lines_of(dict.fromkeys(days, 1_000))
    (tmp_path / "alone").mkdir()
    spark.write_days(rows, schema.CUSTOMER_ORDERS, {day: UPath(tmp_path / f"{day}.parquet") for day in days})
    spark.write_days(rows, schema.CUSTOMER_ORDERS, {days[1]: UPath(tmp_path / "alone" / "b.parquet")})
    assert (tmp_path / f"{days[1]}.parquet").read_bytes() == (tmp_path / "alone" / "b.parquet").read_bytes()


def test_typed_columns_of_files_with_odd_names_become_the_same_text_with_the_same_file_and_row(duckdb, spark, tmp_path):
    moment = datetime(2011, 10, 30, 1, 30)
    table = pa.table(
        {
            "double": [0.1, 1e7, 1e16, 1.5e-5, 0.0001, -2.55, float("nan"), None],
            "money": pa.array([Decimal("2.50"), None, *[Decimal("0.00")] * 6], pa.decimal128(12, 2)),
            "local": pa.array([moment, moment.replace(microsecond=500_000), *[None] * 6], pa.timestamp("us")),
            "zoned": pa.array([moment, datetime(2011, 7, 1), *[None] * 6], pa.timestamp("us", "UTC")),
            "day": pa.array([date(2011, 7, 1)] * 8),
            "whole": pa.array(range(8), pa.int32()),
            "truth": [True, False] * 4,
        }
    )
    names = ["plain.parquet", "a b+c%20 [1] {x}.parquet", "é=ü.parquet"]
    for name in names:
        pq.write_table(table, tmp_path / name)

    def read(engine: Engine) -> pd.DataFrame:
        rows = engine.read_parquet_with_rows([UPath(tmp_path / name) for name in names])
        texts = {name: rows[name].cast("string") for name in table.column_names}
        return engine.to_pandas(rows.select("__file", "file_row_number", **texts))

    found = read(spark)
    assert set(found["__file"]) == {str(tmp_path / name) for name in names}
    assert_same(read(duckdb), found, ["__file", "file_row_number"])


def test_rows_are_streamed_as_the_expression_says_and_leave_nothing_behind(spark, tmp_path):
    rows = lines_of({date(2025, 7, 1): 1_000})
    with spark.batches(rows.select("order_id", "items")) as batches:
        assert batches.schema == pa.schema([("order_id", pa.string()), ("items", pa.int64())])
        assert sum(batch.num_rows for batch in batches) == 1_000
    assert list(spark._scratch.iterdir()) == []


def test_what_is_held_is_computed_once_and_let_go(spark, tmp_path):
    file = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"number": [1, 2, 3]}), file)
    session = spark.connection._session
    before = {table.name for table in session.catalog.listTables()}
    with spark.held(spark.read_parquet([UPath(file)])) as held:
        assert spark.to_pandas(held.agg(total=_.number.sum()))["total"].tolist() == [6]
        file.unlink()
        assert spark.to_pandas(held.count().name("rows").as_table())["rows"].tolist() == [3]
    assert {table.name for table in session.catalog.listTables()} == before


def test_a_damaged_file_is_said_to_be_one_by_both(duckdb, spark, tmp_path):
    file = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"number": range(50_000)}), file)
    whole = bytearray(file.read_bytes())
    for engine in (duckdb, spark):
        file.write_bytes(whole)
        rows = engine.read_parquet([UPath(file)])
        file.write_bytes(whole[: len(whole) // 3])
        with pytest.raises(UnreadableFile):
            engine.to_pandas(rows.agg(total=_.number.sum()))


def test_without_java_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(SparkMissing, match=r"needs Java 17 or 21.*default-jre-headless"):
        spark_session._check_java()


def test_without_pyspark_the_message_says_what_to_install():
    program = (
        "import sys; sys.modules['pyspark'] = None\n"
        "from segmentation_pipeline.resources.engines.spark_session import open_session\n"
        "from segmentation_pipeline.settings import Spark\n"
        "try: open_session(Spark(kind='spark'), 'UTC')\n"
        "except Exception as problem: print(type(problem).__name__, problem)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("SparkMissing engine.kind is spark, and PySpark cannot be imported")
    assert "pip install 'segmentation-pipeline[spark]'" in done.stdout


def test_a_server_that_does_not_answer_is_a_fault_that_may_pass(tmp_path):
    program = (
        "from segmentation_pipeline.resources.engines.spark_session import open_session\n"
        "from segmentation_pipeline.settings import Spark\n"
        "try: open_session(Spark(kind='spark', connect='sc://127.0.0.1:1'), 'UTC')\n"
        "except Exception as problem: print(type(problem).__name__, problem)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=200)
    assert done.stdout.startswith(f"{SparkUnreachable.__name__} No Spark session could be had at sc://127.0.0.1:1")
    del tmp_path


def test_a_session_runs_in_the_shops_zone_with_the_options_given(spark):
    settings = Spark(kind="spark", master="local[2]", options={"spark.sql.shuffle.partitions": 3})
    session = spark_session.open_session(settings, "Asia/Kolkata")
    assert session.conf.get("spark.sql.session.timeZone") == "Asia/Kolkata"
    assert session.conf.get("spark.sql.shuffle.partitions") == "3"
    assert spark.connection._session.conf.get("spark.sql.session.timeZone") == "Europe/London"
