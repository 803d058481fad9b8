"""PostgreSQL as a source, on a real server: the same lines as in files, by day, only what is new, and nothing written."""

import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo

import pandas as pd
import psycopg
import pyarrow.parquet as pq
import pytest
import yaml
from psycopg import sql
from typer.testing import CliRunner
from upath import UPath

from segmentation_pipeline import sample_data
from segmentation_pipeline.build import build_resources
from segmentation_pipeline.cli import app
from segmentation_pipeline.core import cleaning
from segmentation_pipeline.errors import TransientFault
from segmentation_pipeline.resources.engine import DuckDBEngine
from segmentation_pipeline.resources.sources.database import snapshot
from segmentation_pipeline.resources.sources.headers import SourceError
from segmentation_pipeline.resources.sources.index import Index
from segmentation_pipeline.resources.sources.opening import open_source
from segmentation_pipeline.resources.sources.postgres import PostgresSource
from segmentation_pipeline.resources.sources.source import TransactionSource
from segmentation_pipeline.settings import ConfigurationError, Settings, load
from segmentation_tests.database import PASSWORD, url_of

COLUMNS = {
    "invoice_id": "InvoiceNo",
    "product_id": "StockCode",
    "description": "Description",
    "quantity": "Quantity",
    "unit_price": "UnitPrice",
    "customer_id": "CustomerID",
    "invoiced_at": "InvoiceDate",
    "country": "Country",
}
TABLE = """\
CREATE TABLE lines (
    id bigserial PRIMARY KEY, "InvoiceNo" text, "StockCode" text, "Description" text, "Quantity" bigint,
    "InvoiceDate" {}, "UnitPrice" double precision, "CustomerID" text, "Country" text,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
)"""
LONDON = ZoneInfo("Europe/London")
FIRST, LAST = date(2025, 3, 1), date(2025, 3, 31)
SECRETS = (PASSWORD, quote(PASSWORD, safe=""), "s3cret", "postgresql://")


@pytest.fixture
def database(database_server, database_url, monkeypatch) -> Iterator[psycopg.Connection]:
    """An empty schema, as its owner sees it; the pipeline comes as a user who may look at the tables and no more."""
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute("DROP SCHEMA public CASCADE")
        owner.execute("CREATE SCHEMA public")
        if not owner.execute("SELECT 1 FROM pg_roles WHERE rolname = 'reader'").fetchone():
            owner.execute(sql.SQL("CREATE ROLE reader LOGIN PASSWORD {}").format(PASSWORD))
        owner.execute("GRANT USAGE ON SCHEMA public TO reader")
        owner.execute("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO reader")
        owner.execute("SET TimeZone = 'Europe/London'")
        name = urlsplit(database_url).path.strip("/")
        monkeypatch.setenv("SHOP_DATABASE_URL", url_of(database_server, name, user="reader"))
        yield owner


def configure(folder: Path, source: dict | None = None, **more: object) -> Path:
    table = {"kind": "postgres", "table": "public.lines", "columns": COLUMNS, "high_water_mark": "updated_at"}
    days = {"timezone": "Europe/London", "start_date": FIRST, "end_date": LAST}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "shop.yaml").write_text(yaml.safe_dump({"source": {**table, **(source or {})}, **days, **more}))
    return folder / "shop.yaml"


def opened(folder: Path, source: dict | None = None, **more: object) -> PostgresSource:
    found = source_of(load(configure(folder, source, **more)))
    assert isinstance(found, PostgresSource)
    return found


def source_of(settings: Settings) -> TransactionSource:
    engine = DuckDBEngine(settings.engine, settings.timezone)
    return open_source(settings, engine, UPath(settings.lake / ".sources"))


def days_of(settings: Settings) -> list[date]:
    last = settings.end_date or settings.start_date
    return [settings.start_date + timedelta(days=number) for number in range((last - settings.start_date).days + 1)]


def raw(source: PostgresSource, *days: date) -> pd.DataFrame:
    rows = source.rows(list(days) or days_of(source.settings))
    return source.engine.to_pandas(rows.order_by("source_file", "source_row"))


def digests(source: PostgresSource) -> dict[date, str]:
    return {day: source.digest(day) for day in days_of(source.settings)}


def changed(before: dict[date, str], after: dict[date, str]) -> set[date]:
    return {day for day in before if before[day] != after[day]}


def sell(owner: psycopg.Connection, moments: Iterable[object], **values: object) -> None:
    """A line for each moment of sale, with other values than usual where they are given."""
    for number, moment in enumerate(moments):
        line = {
            "InvoiceNo": f"I{number}",
            "StockCode": "P1",
            "Quantity": 2,
            "UnitPrice": 1.5,
            "CustomerID": "C1",
            "InvoiceDate": moment,
            **values,
        }
        names = sql.SQL(", ").join(map(sql.Identifier, line))
        owner.execute(
            sql.SQL("INSERT INTO lines ({}) VALUES ({})").format(
                names, sql.SQL(", ").join([sql.Placeholder()] * len(line))
            ),
            list(line.values()),
        )


def make_table(owner: psycopg.Connection, moment: str = "timestamptz") -> None:
    owner.execute(sql.SQL(TABLE).format(sql.SQL(moment)))


# The same lines


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
    classified = cleaning.classify(source.rows(days_of(settings)), settings)
    accepted = source.engine.to_pandas(cleaning.accepted(classified, settings).drop("source_file", "source_row"))
    rejected = source.engine.to_pandas(cleaning.rejected(classified))
    return accepted.sort_values(list(accepted), ignore_index=True), rejected["reason"].value_counts().sort_index()


@pytest.mark.parametrize("moment", ["timestamp", "timestamptz"])
def test_a_table_gives_the_same_clean_transactions_as_files_with_the_same_lines(database, tmp_path, delivery, moment):
    folder, shop = delivery
    make_table(database, moment)
    names = list(COLUMNS.values())
    copy = sql.SQL("COPY lines ({}) FROM STDIN").format(sql.SQL(", ").join(map(sql.Identifier, names)))
    with database.cursor().copy(copy) as lines:
        for file in sorted(folder.glob("*.parquet")):
            for row in pq.read_table(file, columns=names).to_pylist():
                lines.write_row([row[name] for name in names])
    days = {"start_date": shop.start_date, "end_date": shop.end_date}
    by_table = load(configure(tmp_path / "table", **days))
    in_files = {"kind": "files", "path": str(folder / "*.parquet"), "columns": COLUMNS}
    (tmp_path / "shop.yaml").write_text(yaml.safe_dump({"source": in_files, "timezone": "Europe/London", **days}))
    by_files = load(tmp_path / "shop.yaml")
    (accepted, rejected), (expected, expected_rejected) = judged(by_table), judged(by_files)
    assert len(accepted) > 1_500
    pd.testing.assert_frame_equal(accepted, expected)
    pd.testing.assert_series_equal(rejected, expected_rejected)


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
    whole = cleaning.accepted(
        cleaning.classify(source.rows(days_of(source.settings)), source.settings), source.settings
    )
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


# Only what is new


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


# Nothing is written, and nothing is told


def test_a_look_at_the_table_can_write_nothing(database, database_url, tmp_path, monkeypatch):
    make_table(database)
    how = opened(tmp_path).how
    owner_may = "SELECT count(*)::text FROM public.lines"
    for url in ("reader", "owner"):
        if url == "owner":
            monkeypatch.setenv("SHOP_DATABASE_URL", database_url)
        with snapshot(how, "Europe/London", "the table") as looked:
            modes = looked.rows(
                "SELECT current_setting('transaction_read_only'), current_setting('transaction_isolation')"
            )
            assert modes == [("on", "repeatable read")]
            assert looked.rows(owner_may) == [("0",)]
            with pytest.raises(SourceError, match="read-only transaction"):
                looked.rows("""INSERT INTO public.lines ("Quantity") VALUES (1) RETURNING id""")


def test_a_snapshot_does_not_see_what_comes_later(database, tmp_path):
    make_table(database)
    with snapshot(opened(tmp_path).how, "Europe/London", "the table") as looked:
        before = looked.rows("SELECT count(*) FROM public.lines")
        sell(database, ["2025-03-01 10:00"])
        assert looked.rows("SELECT count(*) FROM public.lines") == before == [(0,)]


INJECTION = 'x"; DROP TABLE lines; --'


@pytest.mark.parametrize("key", ["table", "url_variable"])
def test_settings_that_are_sql_are_refused(tmp_path, key):
    for value in (INJECTION, f"public.{INJECTION}", "public.lines; DROP TABLE lines", "lines", "", 'a."b"'):
        with pytest.raises(ConfigurationError, match=f"source.{key}: give"):
            load(configure(tmp_path, {key: value if key == "table" else value + " "}))


@pytest.mark.parametrize("name", [INJECTION, 'Quantity" FROM lines; --', "1) OR (1=1", "Quantity'"])
def test_columns_that_are_sql_are_columns_that_are_not_there(database, tmp_path, name):
    make_table(database)
    sell(database, ["2025-03-01 10:00"])
    with pytest.raises(SourceError, match="has no column"):
        opened(tmp_path, {"columns": {**COLUMNS, "country": name}}).files()
    with pytest.raises(SourceError, match=r"has no column.*source\.high_water_mark"):
        opened(tmp_path, {"high_water_mark": name}).files()
    assert database.execute("SELECT count(*) FROM lines").fetchone() == (1,)


def test_a_column_with_any_name_is_read(database, tmp_path):
    make_table(database)
    database.execute(
        sql.SQL("ALTER TABLE lines RENAME {} TO {}").format(sql.Identifier("Country"), sql.Identifier(INJECTION))
    )
    sell(database, ["2025-03-01 10:00"], **{INJECTION: "UK'); --"})
    assert list(raw(opened(tmp_path, {"columns": {**COLUMNS, "country": INJECTION}}))["country"]) == ["UK'); --"]


def told(problem: BaseException) -> str:
    """Everything that a log can hold of an error: its words and those of what led to it."""
    causes, cause = [], problem
    while cause is not None and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    return "".join(traceback.format_exception(problem)) + "".join(f"{each!s} {each!r}" for each in causes)


Damage = Callable[[str], str]
UNREACHABLE: dict[str, tuple[Damage, type[Exception], str]] = {
    "a wrong password": (lambda url: url.replace("s3cret", "s3cret-but-wrong"), SourceError, "user or password are wrong"),
    "a user there is none of": (lambda url: url.replace("reader", "nobody"), SourceError, "user or password are wrong"),
    "a database there is none of": (lambda url: url + "_nowhere", SourceError, "does not exist"),
    "a port without a server": (lambda url: url.replace(f":{urlsplit(url).port}/", ":1/"), TransientFault, "refused"),
    "a host that is not known": (lambda url: url.replace("127.0.0.1", "nowhere.invalid"), TransientFault, "host name"),
    "a blank in the password": (lambda url: url.replace("%20", " "), SourceError, "as %20"),
    "a slash in the password": (lambda url: url.replace("%2F", "/"), SourceError, "as %2F"),
    "a port that is none": (lambda url: url.replace(f":{urlsplit(url).port}/", ":port/"), SourceError, "holds no address"),
    "another kind of database": (lambda url: url.replace("postgresql", "mysql"), SourceError, "holds no address"),
    "no address": (lambda url: PASSWORD, SourceError, "holds no address"),
}  # fmt: skip


@pytest.mark.parametrize(("damage", "kind", "words"), UNREACHABLE.values(), ids=UNREACHABLE)
def test_a_database_that_cannot_be_reached_is_told_without_its_address(
    database, tmp_path, monkeypatch, damage, kind, words
):
    monkeypatch.setenv("SHOP_DATABASE_URL", damage(os.environ["SHOP_DATABASE_URL"]))
    with pytest.raises(kind, match=words) as failed:
        opened(tmp_path).files()
    assert "SHOP_DATABASE_URL" in str(failed.value)
    assert not [secret for secret in SECRETS[:3] if secret in told(failed.value)]


def test_a_server_that_is_stopped_or_hangs_up_may_come_back(database, database_server, tmp_path):
    make_table(database)
    sell(database, ["2025-03-01 10:00"])
    source = opened(tmp_path)
    with (
        pytest.raises(TransientFault, match=r"public\.lines.* was lost") as lost,
        snapshot(source.how, "Europe/London", source.place) as looked,
    ):
        database.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'reader'")
        looked.rows("SELECT 1")
    with database_server.stopped():
        for asked in (source.files, source.state):
            with pytest.raises(TransientFault, match="cannot be reached") as down:
                asked()
            assert not [secret for secret in SECRETS if secret in told(down.value) + told(lost.value)]
    assert len(source.files()) == 1


def test_no_file_in_the_workspace_holds_the_password_or_the_address(database, tmp_path):
    make_table(database)
    sell(database, ["2025-03-01 10:00", None])
    source = opened(tmp_path)
    source.files()
    written = [file for file in Path(str(source.workspace)).rglob("*") if file.is_file()]
    assert len(written) == 3
    for file in written:
        content = (
            file.read_bytes() + repr(pq.read_metadata(file).metadata).encode() + repr(pq.read_table(file)).encode()
        )
        assert not [secret for secret in SECRETS if secret.encode() in content]


def test_an_address_in_the_configuration_is_refused_without_repeating_it(tmp_path, database_url):
    for source in ({"url_variable": database_url}, {"url": database_url}, {"kind": "files", "path": database_url}):
        with pytest.raises(ConfigurationError) as refused:
            load(configure(tmp_path, source))
        assert not [secret for secret in SECRETS[:3] if secret in told(refused.value)]


# What is missing


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (
            {"table": "public.line"},
            r"public\.line of SHOP_DATABASE_URL: there is no such table. Did you mean public\.lines",
        ),
        ({"table": "shop.lines"}, "there is no such table"),
        ({"columns": {**COLUMNS, "quantity": "quantity"}}, "has no column 'quantity'.*Did you mean 'Quantity'"),
        ({"high_water_mark": "update_at"}, "has no column 'update_at'. Did you mean 'updated_at'"),
        ({"high_water_mark": "Country"}, "column 'Country' is of type text; source.high_water_mark needs one of"),
        ({"columns": {**COLUMNS, "invoiced_at": "Country"}}, "source.columns.invoiced_at needs one of: timestamp with"),
    ],
)
def test_a_table_or_column_that_is_missing_is_named_with_what_is_close(database, tmp_path, source, words):
    make_table(database)
    with pytest.raises(SourceError, match=words):
        opened(tmp_path, source).files()


def test_a_table_that_may_not_be_read_says_what_to_grant(database, tmp_path):
    make_table(database)
    database.execute("REVOKE SELECT ON lines FROM reader")
    with pytest.raises(SourceError, match=r"permission denied for table lines\. Grant the user of the address SELECT"):
        opened(tmp_path).files()


def test_a_variable_that_is_not_set_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("ELSEWHERE", raising=False)
    with pytest.raises(SourceError, match="The environment variable ELSEWHERE is not set"):
        opened(tmp_path, {"url_variable": "ELSEWHERE"}).files()


def test_a_driver_that_is_not_installed_is_named_with_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "adbc_driver_postgresql", None)
    with pytest.raises(SourceError, match=r"install segmentation-pipeline\[postgres\]"):
        opened(tmp_path).files()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"kind": "oracle"}, r"source.kind: Input should be 'files' or 'postgres' \(given: 'oracle'\)"),
        ({"tabel": "x"}, "source.tabel: is no known key; did you mean table\\? allowed here: columns, kind, table"),
        ({"delimiter": ";"}, "source.delimiter: is no known key"),
        ({"columns": {"customer": "C"}}, "source.columns.customer: is no known key; did you mean customer_id"),
        ({"table": None}, "source.table: "),
    ],
)
def test_a_wrong_key_of_a_table_is_told_like_one_of_files(tmp_path, source, words):
    with pytest.raises(ConfigurationError, match=words):
        load(configure(tmp_path, source))
