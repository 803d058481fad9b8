"""PostgreSQL as a source, on a real server: the same lines as in files, each under its day of sale."""

from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pandas as pd
import psycopg
import pyarrow.parquet as pq
import pytest
import yaml
from psycopg import sql

from segmentation_pipeline import sample_data
from segmentation_pipeline.build import build_definitions
from segmentation_pipeline.core import cleaning
from segmentation_pipeline.opening import build_resources
from segmentation_pipeline.planning import PlannedRun
from segmentation_pipeline.running import execute
from segmentation_pipeline.settings import Settings, load
from segmentation_tests.integration.postgres_shop import (
    COLUMNS,
    LAST,
    LONDON,
    as_reader,
    configure,
    days_of,
    make_table,
    opened,
    raw,
    sell,
    source_of,
)


@pytest.fixture
def database(database_server, database_url):
    with as_reader(database_server, database_url) as owner:
        yield owner


@pytest.fixture(scope="module")
def delivery(tmp_path_factory) -> tuple[Path, sample_data.Shop]:
    """Files of a simulated shop over a change of clocks."""
    folder = tmp_path_factory.mktemp("shop") / "landing"
    shop = sample_data.Shop(200, 150, date(2025, 3, 20), date(2025, 4, 5), seed=5)
    sample_data.simulate(folder, shop)
    return folder, shop


def judged(settings: Settings) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Accepted lines without where they came from, in an order of their own, and rejected rows by reason."""
    source = source_of(settings)
    raw = source.rows(days_of(settings))
    failing = cleaning.rejected(raw, settings)
    passing = cleaning.accepted(raw, failing, settings)
    accepted = source.engine.to_pandas(passing.drop("source_file", "source_row"))
    rejected = source.engine.to_pandas(failing)
    return accepted.sort_values(list(accepted), ignore_index=True), rejected["reason"].value_counts().sort_index()


def fill(owner: psycopg.Connection, folder: Path, moment: str) -> None:
    """The table with the lines of all files."""
    make_table(owner, moment)
    names = list(COLUMNS.values())
    copy = sql.SQL("COPY lines ({}) FROM STDIN").format(sql.SQL(", ").join(map(sql.Identifier, names)))
    with owner.cursor().copy(copy) as lines:
        for file in sorted(folder.glob("*.parquet")):
            for row in pq.read_table(file, columns=names).to_pylist():
                lines.write_row([row[name] for name in names])


def by_files(folder: Path, delivered: Path, shop: sample_data.Shop) -> Settings:
    folder.mkdir()
    in_files = {"kind": "files", "path": str(delivered / "*.parquet"), "columns": COLUMNS}
    days = {"timezone": "Europe/London", "start_date": shop.start_date, "end_date": shop.end_date}
    (folder / "shop.yaml").write_text(yaml.safe_dump({"source": in_files, **days}))
    return load(folder / "shop.yaml")


@pytest.mark.parametrize("moment", ["timestamp", "timestamptz"])
def test_a_table_gives_the_same_clean_transactions_as_files_with_the_same_lines(database, tmp_path, delivery, moment):
    folder, shop = delivery
    fill(database, folder, moment)
    by_table = load(configure(tmp_path, start_date=shop.start_date, end_date=shop.end_date))
    accepted, rejected = judged(by_table)
    expected, expected_rejected = judged(by_files(tmp_path / "files", folder, shop))
    assert len(accepted) > 1_500
    pd.testing.assert_frame_equal(accepted, expected)
    pd.testing.assert_series_equal(rejected, expected_rejected)


def test_a_run_on_a_table_leaves_the_same_days_in_the_lake_as_one_on_files(database, tmp_path, delivery):
    folder, shop = delivery
    fill(database, folder, "timestamptz")
    by_table = load(configure(tmp_path / "table", start_date=shop.start_date, end_date=shop.end_date))
    clean, raw_files = cleaned_in_the_lake(by_table)
    expected, _files = cleaned_in_the_lake(by_files(tmp_path / "files", folder, shop))
    assert clean["date"].nunique() > 10
    pd.testing.assert_frame_equal(clean, expected)
    assert {name.partition("/")[0] for name in raw_files} == {"public.lines"}


def cleaned_in_the_lake(settings: Settings) -> tuple[pd.DataFrame, set[str]]:
    """Lines, customers and money by day and kind after a run of the assets, and the files that raw rows came from."""
    resources = build_resources(settings)
    definitions = build_definitions(settings, resources)
    cleaned = ("raw_transactions", "clean_transactions", "quarantined_transactions")
    run = PlannedRun("nightly_refresh", cleaned, settings.start_date, settings.end_date)
    with dg.DagsterInstance.ephemeral() as instance:
        execute(definitions, instance, [run], settings.end_date or LAST, verbose=False)
    raw, clean = (
        pd.concat(map(pd.read_parquet, sorted(Path(settings.lake / asset).rglob("*.parquet")))) for asset in cleaned[:2]
    )
    totals = clean.groupby(["date", "line_kind"], as_index=False).agg(
        lines=("amount", "size"),
        customers=("customer_id", "nunique"),
        amount=("amount", "sum"),
        items=("quantity", "sum"),
    )
    return totals, set(raw["source_file"])


@pytest.mark.parametrize("moment", ["timestamptz", "timestamp", "date"])
def test_a_moment_of_any_type_is_filed_under_its_day_in_the_shops_zone_when_clocks_change_too(
    database, tmp_path, moment
):
    make_table(database, moment)
    summer, winter = (
        datetime(2025, 3, 29, 22, tzinfo=ZoneInfo("UTC")),
        datetime(2025, 10, 25, 21, tzinfo=ZoneInfo("UTC")),
    )
    moments = [start + timedelta(minutes=30 * step) for start in (summer, winter) for step in range(110)]
    sell(database, [each.astimezone(LONDON) for each in moments])
    source = opened(tmp_path, end_date="2025-12-31")
    found = raw(source)
    assert dict(zip(found["invoice_id"], found["date"].astype(str).str[:10], strict=True)) == {
        f"I{number}": each.astimezone(LONDON).date().isoformat() for number, each in enumerate(moments)
    }
    assert set(found["source_file"]) == {f"public.lines/{day}" for day in found["date"].astype(str).str[:10]}
    rows = source.rows(days_of(source.settings))
    whole = cleaning.accepted(rows, cleaning.rejected(rows, source.settings), source.settings)
    if moment == "timestamptz":
        exact = source.engine.to_pandas(whole).set_index("invoice_id")["invoiced_at"].dt.tz_convert("UTC")
        assert [exact[f"I{number}"] for number in range(len(moments))] == moments


def test_rows_without_a_usable_day_are_kept_under_the_first_day(database, tmp_path):
    make_table(database)
    sell(database, ["2025-03-05 10:00", "2025-03-09 10:00"])
    odd = [None, "2019-01-01 10:00", "2025-04-01 00:00", "infinity", "-infinity", "0044-03-15 BC", "2999-01-01"]
    sell(database, odd, CustomerID="odd")
    source = opened(tmp_path)
    assert len(raw(source)) == sum(file.rows for file in source.files()) == 9
    fifth = raw(source, date(2025, 3, 5))
    assert list(fifth["customer_id"]) == ["C1", *["odd"] * len(odd)]
    assert set(fifth["source_file"]) == {"public.lines/2025-03-05", "public.lines/undated"}
    assert list(fifth["source_row"]) == [1, *range(1, len(odd) + 1)]
    sell(database, ["2025-03-02 10:00"])
    source.refresh()
    assert list(raw(source, date(2025, 3, 2))["customer_id"]) == ["C1", *["odd"] * len(odd)]
    assert len(raw(source, date(2025, 3, 5))) == 1


def test_the_same_rows_are_numbered_alike_in_whatever_order_they_were_written(database, tmp_path):
    make_table(database)
    sell(database, ["2025-03-05 10:00", "2025-03-05 09:00", "2025-03-05 11:00"])
    before = raw(opened(tmp_path / "a"))
    database.execute("CREATE TABLE copied AS SELECT * FROM lines ORDER BY id DESC")
    after = raw(opened(tmp_path / "b", {"table": "public.copied"}))
    pd.testing.assert_frame_equal(before.drop(columns="source_file"), after.drop(columns="source_file"))
