"""Publishing when something goes wrong: whatever it is, a day is published whole or not at all, and no password is told."""

import itertools
import os
import re
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import psycopg
import pytest

from segmentation_pipeline.errors import PipelineError, TransientFault
from segmentation_pipeline.resources.publishing import postgres
from segmentation_pipeline.resources.publishing.faults import PublishingRefused
from segmentation_tests.conftest import PROJECT
from segmentation_tests.database import PASSWORD, url_of
from segmentation_tests.integration.published import (
    MONDAY,
    TUESDAY,
    VARIABLE,
    content,
    down,
    publish,
    publisher,
    rows,
    told,
)

NUMBERS = itertools.count()
DATABASE = "test_publishing_faults"
A_NIGHT = """
from segmentation_tests.integration.published import TUESDAY, publish
publish({schema!r}, TUESDAY, {{"ann": 2, "joe": 1}}, run="killed")
"""


@pytest.fixture(autouse=True)
def url(database_url, monkeypatch) -> str:
    monkeypatch.setenv(VARIABLE, database_url)
    return database_url


@pytest.fixture
def schema() -> str:
    """A schema with Monday in it."""
    name = f"shop_{next(NUMBERS)}"
    publish(name, MONDAY, {"ann": 1, "bob": 2})
    return name


@contextmanager
def refusal(kind: type[PipelineError]) -> Iterator[list[str]]:
    """What the error says, once the block has raised one of that kind that gives no password away."""
    said: list[str] = []
    with pytest.raises(kind) as raised:
        yield said
    everything = "".join(traceback.format_exception(raised.value)) + repr(raised.value.__context__)
    for secret in (PASSWORD, quote(PASSWORD, safe=""), "postgresql://postgres"):
        assert secret not in everything
    said.append(str(raised.value))


def waiting(connection: psycopg.Connection) -> int:
    """The backend that waits for a lock, once there is one."""
    for _ in range(2_400):
        found = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ).fetchone()
        if found:
            return found[0]
        time.sleep(0.05)
    raise AssertionError("no publisher waits")


def test_a_publisher_killed_in_the_middle_of_a_day_has_changed_nothing(url, schema):
    before = content(url, schema)
    with psycopg.connect(url) as holder, psycopg.connect(url, autocommit=True) as onlooker:
        holder.execute(f"LOCK TABLE {schema}.publications IN SHARE MODE")  # the last table that a day writes
        killed = subprocess.Popen(
            [sys.executable, "-c", A_NIGHT.format(schema=schema)],
            cwd=PROJECT,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
        )
        try:
            backend = waiting(onlooker)
        finally:
            killed.send_signal(signal.SIGKILL)
        assert killed.wait(30) == -signal.SIGKILL
        holder.rollback()
        for _ in range(200):
            gone = onlooker.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", [backend]).fetchone()
            if gone == (0,):
                break
            time.sleep(0.05)
    assert content(url, schema) == before
    assert publish(schema, TUESDAY, {"ann": 2, "joe": 1}).counts["moved"] == 1


def test_a_connection_lost_in_the_middle_of_a_day_is_a_passing_fault_and_has_changed_nothing(url, schema):
    before = content(url, schema)
    with psycopg.connect(url) as holder, psycopg.connect(url, autocommit=True) as onlooker:
        holder.execute(f"LOCK TABLE {schema}.publications IN SHARE MODE")
        night = subprocess.Popen(
            [sys.executable, "-c", A_NIGHT.format(schema=schema)],
            cwd=PROJECT,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            stderr=subprocess.PIPE,
            text=True,
        )
        onlooker.execute("SELECT pg_terminate_backend(%s)", [waiting(onlooker)])
        _, said = night.communicate(timeout=120)
    assert "TransientFault: Publishing into the database that $SEGMENTS_OF_THE_TESTS names broke off" in said
    assert PASSWORD not in said
    assert quote(PASSWORD, safe="") not in said
    assert content(url, schema) == before


@pytest.mark.parametrize("table", ["published_segments", "segment_changes", "publications"])
def test_a_statement_that_fails_rolls_the_whole_day_back(url, schema, table):
    with psycopg.connect(url) as connection:
        connection.execute(
            f"CREATE FUNCTION {schema}.refuse() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'not on a Tuesday' USING DETAIL = 'of ' || NEW::text; END $$"
        )
        connection.execute(
            f"CREATE TRIGGER refuse BEFORE INSERT ON {schema}.{table} FOR EACH ROW EXECUTE FUNCTION {schema}.refuse()"
        )
    before = content(url, schema)
    with refusal(PublishingRefused) as said:
        publish(schema, TUESDAY, {"ann": 2, "joe": 1})
    assert "refused to publish: not on a Tuesday (SQLSTATE P0001)" in said[0]
    assert "joe" not in said[0]
    assert content(url, schema) == before
    with psycopg.connect(url) as connection:
        connection.execute(f"DROP TRIGGER refuse ON {schema}.{table}")
    assert publish(schema, TUESDAY, {"ann": 2, "joe": 1}).counts["new"] == 1


def test_a_lock_that_is_not_had_in_time_is_a_passing_fault(url, schema, monkeypatch):
    monkeypatch.setattr(postgres, "LOCK_TIMEOUT", "200ms")
    with psycopg.connect(url) as holder:
        holder.execute(f"LOCK TABLE {schema}.published_segments IN SHARE MODE")
        with refusal(TransientFault) as said:
            publish(schema, TUESDAY, {"ann": 2})
    assert "another transaction held a lock for too long" in said[0]
    assert publish(schema, TUESDAY, {"ann": 2}).counts == {"new": 0, "moved": 1, "renamed": 0, "gone": 1, "returned": 0}


def test_a_statement_that_takes_too_long_is_a_passing_fault(url, schema, monkeypatch):
    before = content(url, schema)
    monkeypatch.setenv(VARIABLE, f"{url}?options=-c%20statement_timeout%3D20ms")
    with refusal(TransientFault) as said:
        publish(schema, TUESDAY, {f"c{number}": 1 for number in range(20_000)})
    assert "took longer than the server allows" in said[0]
    assert content(url, schema) == before


def test_a_server_that_is_down_is_a_passing_fault(database_server, url, schema):
    with down(database_server, url), refusal(TransientFault) as said:
        publish(schema, TUESDAY, {"ann": 2})
    assert f"${VARIABLE}" in said[0]
    assert "Connection refused" in said[0]
    assert publish(schema, TUESDAY, {"ann": 2}).outcome == "published"


def test_a_wrong_password_has_to_be_mended(database_server, schema, monkeypatch):
    monkeypatch.setenv(VARIABLE, url_of(database_server, DATABASE, password=PASSWORD + "x"))
    with refusal(PublishingRefused) as said:
        publish(schema, TUESDAY, {"ann": 2})
    assert "password authentication failed" in said[0]


@pytest.mark.parametrize(
    ("given", "told_of"),
    [
        ("", "is not set"),
        ("s3cret/p@ss word", "is no URL"),
        ("mysql://u:s3cret/p@ss word@h/d", "is no URL"),
        ("postgresql://u:s3cret%zzp@h/d", "refuses the address"),
        ("postgresql://u:s3cret/p@ss word@h:port/d", "refuses the address"),
    ],
)
def test_an_address_that_is_none_is_not_repeated(schema, monkeypatch, given, told_of):
    monkeypatch.setenv(VARIABLE, given)
    with refusal(PublishingRefused) as said:
        publish(schema, TUESDAY, {"ann": 2})
    assert told_of in said[0]
    assert "s3cret" not in said[0]


def test_a_driver_that_is_not_installed_is_told_how_to_install(schema, monkeypatch):
    monkeypatch.setitem(sys.modules, "adbc_driver_postgresql", None)
    with refusal(PublishingRefused) as said:
        publish(schema, TUESDAY, {"ann": 2})
    assert "pip install 'segmentation-pipeline[postgres]'" in said[0]


@pytest.fixture
def guest(url, database_server, monkeypatch) -> Iterator[str]:
    """A role that may only log in, and is the publisher's from here on."""
    name = f"guest {next(NUMBERS)}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE \"{name}\" LOGIN PASSWORD 'x{PASSWORD}'")
        connection.execute(f"REVOKE TEMPORARY ON DATABASE {DATABASE} FROM PUBLIC")
    monkeypatch.setenv(VARIABLE, url_of(database_server, DATABASE, quote(name), "x" + PASSWORD))
    yield name
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'DROP OWNED BY "{name}" CASCADE')
        connection.execute(f'DROP ROLE "{name}"')


def granted_step_by_step(url: str, schema: str) -> list[str]:
    """Publish, running the grants that each refusal asks for, until it works."""
    asked: list[str] = []
    for _ in range(5):
        try:
            publish(schema, TUESDAY, {"ann": 2, "joe": 1})
        except PublishingRefused as refused:
            grants = re.findall(r"GRANT .*(?=;)", str(refused))
            assert grants, refused
            assert not set(grants) & set(asked), "asked for again"
            with psycopg.connect(url, autocommit=True) as connection:
                for grant in grants:
                    connection.execute(grant)
            asked += grants
        else:
            return asked
    raise AssertionError(asked)


def test_a_role_without_rights_is_told_the_grants_it_needs_for_a_new_schema(url, guest):
    schema = f"shop_{next(NUMBERS)}"
    assert granted_step_by_step(url, schema) == [
        f'GRANT TEMPORARY ON DATABASE {DATABASE} TO "{guest}"',
        f'GRANT CREATE ON DATABASE {DATABASE} TO "{guest}"',
    ]
    assert len(told(url, schema)) == 2


def test_a_role_without_rights_is_told_the_grants_it_needs_for_tables_of_somebody_else(url, schema, guest):
    asked = granted_step_by_step(url, schema)
    assert asked[:2] == [
        f'GRANT TEMPORARY ON DATABASE {DATABASE} TO "{guest}"',
        f'GRANT USAGE ON SCHEMA {schema} TO "{guest}"',
    ]
    assert len(asked) == 5
    assert publisher(schema).forget(["ann"])["published_segments"] == 1
    assert [row["customer_id"] for row in rows(url, schema, "published_segments")] == ["joe"]


def test_tables_of_a_later_release_are_left_alone(url, schema):
    with psycopg.connect(url) as connection:
        connection.execute(f"COMMENT ON TABLE {schema}.publications IS 'segmentation_pipeline layout 99'")
    before = content(url, schema)
    with refusal(PublishingRefused) as said:
        publish(schema, TUESDAY, {"ann": 2})
    assert "later release" in said[0]
    assert content(url, schema) == before
