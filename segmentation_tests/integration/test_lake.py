"""The lake: partitions are there whole or not at all, and their bytes depend on their rows alone."""

import os
import time
from datetime import date

import ibis
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from upath import UPath

from segmentation_pipeline.core import schema
from segmentation_pipeline.resources import parquet
from segmentation_pipeline.resources.engines.duckdb import DuckDBEngine
from segmentation_pipeline.resources.lake import Lake, MissingPartitions, in_ranges
from segmentation_pipeline.settings import DuckDB

DAYS = [date(2025, 7, 1), date(2025, 7, 2), date(2025, 7, 3)]


@pytest.fixture
def lake(tmp_path) -> Lake:
    return Lake(UPath(tmp_path / "lake"), DuckDBEngine(DuckDB(), "Europe/London"))


def orders(days: list[date], amount: float = 1.5):
    rows = [
        {
            "date": day,
            "customer_id": customer,
            "order_id": f"{customer}-{day}",
            "items": 2,
            "amount": amount,
            "products": 1,
            "product_ids": ["mug"],
        }
        for day in days
        for customer in ("c", "a", "b")
    ]
    return schema.CUSTOMER_ORDERS.conform(ibis.memtable(pd.DataFrame(rows)))


def test_a_day_without_rows_is_an_empty_file_and_no_missing_partition(lake):
    with lake.staged(schema.CUSTOMER_ORDERS, orders([DAYS[0], DAYS[2]]), DAYS) as staged:
        assert [staged.rows(day) for day in DAYS] == [3, 0, 3]
        lake.publish(staged, dict.fromkeys(DAYS, "digest"))
    assert lake.engine.to_pandas(lake.read(schema.CUSTOMER_ORDERS, [DAYS[1]])).empty
    assert pq.read_schema(str(lake.file("customer_orders", DAYS[1]))).names == schema.CUSTOMER_ORDERS.names


def test_rows_are_stored_by_key_whatever_order_they_come_in(lake):
    lake.write(schema.CUSTOMER_ORDERS, orders([DAYS[0]]), {DAYS[0]: "digest"})
    assert pq.read_table(str(lake.file("customer_orders", DAYS[0])))["customer_id"].to_pylist() == ["a", "b", "c"]


def test_missing_days_are_named_in_ranges(lake):
    lake.write(schema.CUSTOMER_ORDERS, orders([DAYS[0]]), {DAYS[0]: "digest"})
    with pytest.raises(MissingPartitions, match="lacks 2 of the 3 days needed: 2025-07-02 to 2025-07-03"):
        lake.read(schema.CUSTOMER_ORDERS, DAYS)
    assert in_ranges([DAYS[2], DAYS[0], date(2025, 7, 9)]) == "2025-07-01, 2025-07-03, 2025-07-09"


def test_an_expression_that_fails_leaves_the_old_partition_and_no_litter(lake):
    lake.write(schema.CUSTOMER_ORDERS, orders(DAYS), dict.fromkeys(DAYS, "first"))
    before = {day: lake.file("customer_orders", day).read_bytes() for day in DAYS}
    bad = orders(DAYS).mutate(items=ibis.literal("none").cast("int64"))
    with pytest.raises(Exception, match="Could not convert"):
        lake.write(schema.CUSTOMER_ORDERS, bad, dict.fromkeys(DAYS, "second"))
    assert {day: lake.file("customer_orders", day).read_bytes() for day in DAYS} == before
    assert [lake.inputs("customer_orders", day) for day in DAYS] == ["first"] * 3
    assert not list((lake.root / ".staging").iterdir())


def test_a_partition_whose_writing_was_cut_short_counts_as_stale(lake):
    lake.write(schema.CUSTOMER_ORDERS, orders([DAYS[0]]), {DAYS[0]: "digest"})
    lake.file("customer_orders", DAYS[0]).with_name("partition.jsonl").unlink()
    assert lake.inputs("customer_orders", DAYS[0]) is None


def test_what_killed_runs_left_behind_is_swept_after_a_day(lake):
    old, recent = lake.root / ".staging" / "old", lake.root / ".staging" / "recent"
    for folder in (old, recent):
        folder.mkdir(parents=True)
        (folder / "part-0.parquet").write_bytes(b"half")
    two_days_ago = time.time() - 2 * 86_400
    os.utime(str(old), (two_days_ago, two_days_ago))
    lake.write(schema.CUSTOMER_ORDERS, orders([DAYS[0]]), {DAYS[0]: "digest"})
    assert not old.exists()
    assert recent.exists()


def test_bytes_do_not_depend_on_how_the_stream_is_cut(tmp_path):
    layout = pa.schema([("date", pa.date32()), ("value", pa.int64())])
    rows = pa.table({"date": [DAYS[0]] * 5_000, "value": [number // 700 for number in range(5_000)]}, layout)
    for name, size in (("whole", 5_000), ("cut", 333)):
        parquet.write_file(iter(rows.to_batches(max_chunksize=size)), layout, UPath(tmp_path / name))
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "cut").read_bytes()


def test_row_groups_have_a_fixed_size(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "ROWS_PER_GROUP", 1_000)
    layout = pa.schema([("value", pa.int64())])
    rows = pa.table({"value": range(3_500)}, layout)
    parquet.write_file(iter(rows.to_batches(max_chunksize=640)), layout, UPath(tmp_path / "file"))
    written = pq.ParquetFile(tmp_path / "file")
    assert [written.metadata.row_group(number).num_rows for number in range(4)] == [1_000, 1_000, 1_000, 500]
    assert written.read()["value"].to_pylist() == list(range(3_500))


def test_staged_days_are_not_there_until_they_are_published_and_only_those_published_are(lake):
    with lake.staged(schema.CUSTOMER_ORDERS, orders(DAYS), DAYS) as staged:
        assert lake.days("customer_orders") == []
        assert lake.engine.to_pandas(lake.read_staged(staged, [DAYS[1]]))["date"].dt.date.unique().tolist() == [DAYS[1]]
        lake.publish(staged, {DAYS[0]: "digest"}, {DAYS[0]: {"orders": 3}})
    assert lake.days("customer_orders") == [DAYS[0]]
    assert lake.profiles("customer_orders", DAYS) == {DAYS[0]: {"orders": 3}}
    assert not list((lake.root / ".staging").iterdir())
