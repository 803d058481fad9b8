"""The lake: partitions are there whole or not at all, and their bytes depend on their rows alone."""

import errno
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


def test_a_folder_that_was_set_aside_is_no_day(lake):
    lake.write(schema.CUSTOMER_ORDERS, orders([DAYS[0]]), {DAYS[0]: "digest"})
    folder = lake.root / "customer_orders"
    for name in ("date=2025-07-01.bak", "date=20250702", "date=", "2025-07-03"):
        (folder / name).mkdir()
        (folder / name / "part-0.parquet").write_bytes((folder / "date=2025-07-01" / "part-0.parquet").read_bytes())
    assert lake.days("customer_orders") == [DAYS[0]]


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


@pytest.mark.parametrize("characters", [0, 5, 21, 30])
def test_a_partition_whose_note_was_cut_short_counts_as_stale_and_as_not_measured(lake, characters):
    with lake.staged(schema.CUSTOMER_ORDERS, orders([DAYS[0]]), [DAYS[0]]) as staged:
        lake.publish(staged, {DAYS[0]: "digest"}, {DAYS[0]: {"rows": 3}})
    assert lake.inputs("customer_orders", DAYS[0]) == "digest"
    assert lake.profiles("customer_orders", DAYS) == {DAYS[0]: {"rows": 3}}
    note = lake.file("customer_orders", DAYS[0]).with_name("partition.jsonl")
    note.write_text(note.read_text()[:characters])
    assert lake.inputs("customer_orders", DAYS[0]) is None
    assert lake.profiles("customer_orders", DAYS) == {}


def test_where_the_note_cannot_be_written_the_partition_counts_as_not_made(lake, monkeypatch):
    lake.write(schema.CUSTOMER_ORDERS, orders([DAYS[0]]), {DAYS[0]: "first"})

    def full(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(type(lake.root), "write_text", full)
        with pytest.raises(OSError, match="No space left"):
            lake.write(schema.CUSTOMER_ORDERS, orders([DAYS[0]], 2.5), {DAYS[0]: "second"})
    stored = lake.engine.to_pandas(lake.read(schema.CUSTOMER_ORDERS, [DAYS[0]]))
    assert set(stored["amount"].astype(float)) == {1.5}
    assert lake.inputs("customer_orders", DAYS[0]) == "first"


def test_days_of_many_row_groups_leave_the_bytes_of_days_written_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "ROWS_PER_GROUP", 100)
    layout = pa.schema([("date", pa.date32()), ("value", pa.int64())])
    counts = dict(zip(DAYS, (250, 2_050, 30), strict=True))
    days = {day: pa.table({"date": [day] * count, "value": range(count)}, layout) for day, count in counts.items()}
    together = pa.concat_tables(days.values()).to_batches(max_chunksize=70)
    files = {day: UPath(tmp_path / f"{day}.parquet") for day in DAYS}
    parquet.write_by_day(iter(together), layout, files, 2)
    for day, rows in days.items():
        parquet.write_file(iter(rows.to_batches()), layout, UPath(tmp_path / "alone"))
        assert files[day].read_bytes() == (tmp_path / "alone").read_bytes(), day


def test_a_day_of_many_row_groups_is_written_while_it_comes(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "ROWS_PER_GROUP", 100)
    layout = pa.schema([("date", pa.date32()), ("value", pa.int64())])
    file, sizes = tmp_path / "day.parquet", []

    def batches():
        for number in range(50):
            sizes.append(file.stat().st_size if file.exists() else 0)
            values = range(100 * number, 100 * number + 100)
            yield from pa.table({"date": [DAYS[0]] * 100, "value": values}, layout).to_batches()

    parquet.write_by_day(batches(), layout, {DAYS[0]: UPath(file)}, 2)
    assert sizes[-1] > file.stat().st_size / 2
    assert pq.read_table(file)["value"].to_pylist() == list(range(5_000))


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
