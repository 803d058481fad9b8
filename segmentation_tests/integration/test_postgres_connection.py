"""PostgreSQL as a source: nothing is written, no secret is told, and what is missing is named."""

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, urlsplit

import pyarrow.parquet as pq
import pytest
from psycopg import sql

from segmentation_pipeline.errors import TransientFault
from segmentation_pipeline.resources.sources.database import snapshot
from segmentation_pipeline.resources.sources.headers import SourceError
from segmentation_pipeline.settings import ConfigurationError, load
from segmentation_tests.database import PASSWORD, stopped
from segmentation_tests.integration.postgres_shop import (
    COLUMNS,
    as_reader,
    configure,
    make_table,
    opened,
    raw,
    sell,
)

SECRETS = (PASSWORD, quote(PASSWORD, safe=""), "s3cret", "postgresql://")


@pytest.fixture
def database(database_server, database_url):
    with as_reader(database_server, database_url) as owner:
        yield owner


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
    with stopped(database_server):
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
