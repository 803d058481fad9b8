"""PostgreSQL as a source: what is asked of the database and fetched again when something is new, and nothing else."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from segmentation_pipeline.cli import app
from segmentation_pipeline.opening import build_resources
from segmentation_pipeline.resources.sources.index import Index
from segmentation_pipeline.settings import load
from segmentation_tests.integration.postgres_shop import (
    FIRST,
    LONDON,
    as_reader,
    changed,
    configure,
    digests,
    make_table,
    opened,
    raw,
    sell,
)


@pytest.fixture
def database(database_server, database_url):
    with as_reader(database_server, database_url) as owner:
        yield owner


def test_new_and_updated_rows_change_the_digests_of_their_days_and_no_other(database, tmp_path):
    make_table(database)
    sell(database, [f"2025-03-{day:02d} 10:00" for day in range(1, 11)])
    source = opened(tmp_path)
    before = digests(source)
    source.refresh()
    assert changed(before, digests(source)) == set()
    sell(database, ["2025-03-04 23:30"], InvoiceNo="new")
    source.refresh()
    assert changed(before, digests(source)) == {date(2025, 3, 4)}
    before = digests(source)
    database.execute("""UPDATE lines SET "Quantity" = 9, updated_at = clock_timestamp() WHERE "InvoiceNo" = 'I6'""")
    other = opened(tmp_path)
    assert changed(before, digests(other)) == {date(2025, 3, 7)}
    assert list(raw(other, date(2025, 3, 7))["quantity"]) == ["9"]
    assert len(raw(other)) == 11


@pytest.mark.parametrize("kind", ["timestamptz", "timestamp", "date"])
def test_rows_of_a_day_that_begins_twice_are_all_found(database, tmp_path, kind):
    database.execute("SET TimeZone = 'Atlantic/Azores'")  # where the clock goes back from 01:00 to 00:00
    make_table(database, kind)
    autumn = {"timezone": "Atlantic/Azores", "start_date": date(2025, 10, 1), "end_date": date(2025, 10, 31)}
    sell(database, [f"2025-10-{day} 12:00" for day in range(24, 29)])
    source = opened(tmp_path, **autumn)
    assert len(raw(source)) == 5
    twice = ["2025-10-26 00:20+00", "2025-10-26 01:20+00"]  # the first and the second 00:20 of the 26th
    sell(database, twice if kind == "timestamptz" else ["2025-10-26 00:20", "2025-10-26 00:20"])
    source.refresh()
    assert len(raw(source)) == 7
    assert len(raw(source, date(2025, 10, 26))) == 3


@pytest.mark.parametrize("mark", ["id", "updated_at"])
def test_days_whose_rows_are_as_they_were_are_not_fetched_again(database, tmp_path, mark):
    make_table(database)
    sell(database, [f"2025-03-{day:02d} 10:00" for day in range(1, 13)])
    source = opened(tmp_path, {"high_water_mark": mark})
    fetched = {file.path: file.mtime_ns for file in source.files()}
    sell(database, ["2025-03-04 12:00"])
    again = {file.path: file.mtime_ns for file in source.refresh()}
    assert {path for path in fetched if fetched[path] != again[path]} == {"public.lines/2025-03-04"}


def test_a_row_with_the_highest_mark_seen_is_not_missed(database, tmp_path):
    make_table(database)
    sell(database, ["2025-03-01 10:00", "2025-03-02 10:00"], updated_at="2025-03-20 00:00")
    source = opened(tmp_path)
    assert len(raw(source)) == 2
    sell(database, ["2025-03-01 11:00", "2025-03-09 10:00"], updated_at="2025-03-20 00:00")
    source.refresh()
    assert len(raw(source)) == 4


def test_a_row_without_a_mark_is_not_missed(database, tmp_path):
    make_table(database)
    database.execute("ALTER TABLE lines ALTER updated_at DROP NOT NULL")
    sell(database, ["2025-03-01 10:00"])
    source = opened(tmp_path)
    source.files()
    sell(database, ["2025-03-02 10:00"], updated_at=None)
    source.refresh()
    assert len(raw(source)) == 2


def test_a_row_that_was_in_the_future_is_filed_once_its_day_has_come(database, tmp_path):
    make_table(database)
    today = datetime.now(LONDON).date()
    sell(database, [f"{today - timedelta(days=3)} 10:00", f"{today} 00:30", f"{today + timedelta(days=1)} 10:00"])
    source = opened(tmp_path, start_date=today - timedelta(days=9), end_date=today + timedelta(days=9))
    entries = {file.path.rpartition("/")[2]: file for file in source.files()}
    assert (entries["undated"].rows, entries[f"{today}"].rows) == (1, 1)
    yesterday = [replace(file, mtime_ns=file.mtime_ns - 86_400 * 10**9) for file in entries.values()]
    index = Index(Path(str(source.workspace)) / "index.parquet")
    index.save([file for file in yesterday if not file.path.endswith(f"{today}")])
    source.refresh()
    assert list(raw(source, today)["source_file"]) == [f"public.lines/{today}"]
    assert len(raw(source)) == 3


def test_a_fetched_day_that_is_damaged_or_gone_is_fetched_again(database, tmp_path):
    make_table(database)
    sell(database, ["2025-03-01 10:00", "2025-03-02 10:00", "2025-03-03 10:00"])
    source = opened(tmp_path)
    before, files = raw(source), digests(source)
    first, second, _third = sorted(
        Path(str(source.workspace)).glob("*-2025-*.parquet"), key=lambda file: file.name[-10:]
    )
    first.write_bytes(first.read_bytes()[:100])
    second.unlink()
    pd.testing.assert_frame_equal(raw(source), before)
    assert digests(source) == files


def test_another_table_of_the_same_name_is_read_anew(database, tmp_path):
    make_table(database)
    sell(database, ["2025-03-01 10:00"], updated_at="2025-03-20")
    source = opened(tmp_path)
    before = digests(source)
    database.execute("DROP TABLE lines")
    make_table(database)
    sell(database, ["2025-03-01 10:00"], updated_at="2025-03-20", Quantity=7)
    source.refresh()
    assert changed(before, digests(source)) >= {FIRST}
    assert list(raw(source)["quantity"]) == ["7"]


def test_the_state_changes_with_what_is_new_and_only_then(database, tmp_path):
    make_table(database)
    sell(database, ["2025-03-01 10:00"])
    source = opened(tmp_path)
    state = source.state()
    assert (source.state(), source.waiting(), list(source.lost_days())) == (state, [], [])
    assert not Path(str(source.workspace)).exists()
    sell(database, ["2025-03-02 10:00"])
    later = source.state()
    assert later != state
    database.execute("ALTER TABLE lines ALTER updated_at DROP NOT NULL")
    sell(database, ["2025-03-02 10:00"], updated_at=None)
    assert source.state() != later


def test_a_shop_with_a_table_is_built_and_checked_like_one_with_files(database, tmp_path):
    make_table(database)
    sell(database, ["2025-03-04 10:00", "2025-03-05 10:00", None])
    config = configure(tmp_path)
    source = build_resources(load(config))["source"]
    assert (source.first_day(), source.last_day()) == (date(2025, 3, 4), date(2025, 3, 5))
    result = CliRunner().invoke(app, ["check-source", "--config", str(config)])
    assert result.exit_code == 0, result.output
    printed = " ".join(result.stdout.split())
    assert (
        "table public.lines of SHOP_DATABASE_URL: 3 rows, 2025-03-04 to 2025-03-05; 1 rows without a usable" in printed
    )
    assert "invoiced_at InvoiceDate timestamp with time zone" in printed
    assert "missing_timestamp 1" in printed
