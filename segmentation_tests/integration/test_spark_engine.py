"""Spark as an engine: the files it writes and reads, what it holds, its session, and what it says when it cannot run."""

import subprocess
import sys
from datetime import date, datetime, timedelta
from decimal import Decimal

import ibis
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ibis import _
from upath import UPath

from segmentation_pipeline.core import schema
from segmentation_pipeline.resources.engines import spark_session
from segmentation_pipeline.resources.engines.duckdb import DuckDBEngine
from segmentation_pipeline.resources.engines.engine import Engine, UnreadableFile
from segmentation_pipeline.resources.engines.spark import SparkEngine
from segmentation_pipeline.resources.engines.spark_session import SparkMissing, SparkUnreachable
from segmentation_pipeline.settings import DuckDB, Spark
from segmentation_tests.agreement import assert_same
from segmentation_tests.conftest import SPARK


@pytest.fixture(scope="module")
def duckdb() -> DuckDBEngine:
    return DuckDBEngine(DuckDB(), "Europe/London")


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
            "local_ns": pa.array([moment, datetime(1950, 1, 1, 3, microsecond=7), *[None] * 6], pa.timestamp("ns")),
            "zoned_ns": pa.array([moment, datetime(1950, 7, 1), *[None] * 6], pa.timestamp("ns", "UTC")),
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


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"note": ["a"], "Note": ["b"]}, "the columns note, Note are one to Spark"),
        (
            {"worth": pa.array([Decimal("1.5")], pa.decimal256(40, 2))},
            "no decimals of more than 38 digits, as worth has",
        ),
    ],
)
def test_what_spark_cannot_read_is_told(spark, tmp_path, columns, told):
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(UnreadableFile, match=told):
        spark.to_pandas(spark.read_parquet_with_rows([UPath(tmp_path / "a.parquet")]).count().as_table())


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
    assert list(spark._scratch.iterdir()) == []


def test_what_is_held_keeps_its_types_and_an_empty_table_is_held_too_whatever_the_folder_is_called(spark, tmp_path):
    scratch = tmp_path / "a b [1] {x}"
    engine = SparkEngine(SPARK, "Europe/London", scratch)
    at = [datetime(2011, 7, 1, 0, 30), datetime(2011, 10, 30, 1, 30), None]
    moments = ibis.memtable(
        pa.table({"at": pa.array(at, pa.timestamp("us", "UTC")), "local": pa.array(at, pa.timestamp("us"))})
    )
    orders = lines_of({date(2025, 7, 1): 5})
    for table, key in ((orders, ["order_id"]), (moments, ["at"]), (orders.limit(0), ["order_id"])):
        with engine.held(table) as held, engine._frame(table) as made:
            assert engine.connection._session.table(held.op().name).dtypes == made.dtypes
            assert_same(spark.to_pandas(table), engine.to_pandas(held), key)
    assert list(scratch.iterdir()) == []


def test_whatever_goes_wrong_nothing_stays_held(spark):
    views = spark.connection._session.catalog.listTables
    before = {table.name for table in views()}
    orders = lines_of({date(2025, 7, 1): 5})
    with pytest.raises(KeyError), spark.held(orders):
        raise KeyError
    overflowing = orders.mutate(number=(_["items"] + 2) * 2**62)
    with pytest.raises(Exception, match="ARITHMETIC_OVERFLOW"), spark.held(overflowing):
        pytest.fail("it cannot be held")
    assert list(spark._scratch.iterdir()) == []
    assert {table.name for table in views()} == before


def test_what_reads_held_rows_is_planned_without_what_they_were_made_by(spark):
    rows = lines_of({date(2025, 7, 1): 50})
    made = rows.group_by("customer_id").agg(total=_.amount.sum()).order_by("total")
    with spark.held(made) as held, spark._frame(held.count().name("rows").as_table()) as frame:
        plan = frame._jdf.queryExecution().executedPlan().toString()
    assert "parquet" in plan
    assert "customer_id" not in plan


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


def test_a_damaged_file_is_said_to_be_one_where_java_says_it(spark, tmp_path):
    file = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"number": range(50_000)}), file)
    damaged = bytearray(file.read_bytes())
    damaged[1_000:20_000] = bytes(19_000)
    file.write_bytes(damaged)
    rows = spark.read_parquet([UPath(file)])
    with pytest.raises(UnreadableFile, match=r"FAILED_READ_FILE.*rows\.parquet"), spark.held(rows):
        pass
    with pytest.raises(UnreadableFile, match=r"FAILED_READ_FILE.*rows\.parquet"):
        spark.to_pandas(rows.agg(total=_.number.sum()))


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


def test_bytes_that_the_executors_read_are_counted(spark, tmp_path):
    file = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"number": range(10_000)}), file)
    before = spark.bytes_read
    assert spark.to_pandas(spark.read_parquet([UPath(file)]).agg(total=_.number.sum()))["total"].tolist() == [
        49_995_000
    ]
    assert isinstance(before, int)
    assert spark.bytes_read > before
