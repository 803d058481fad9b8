"""A PostgreSQL server of this test session, and empty databases on it.

Belongs here: finding the installed server, starting and stopping it, making databases. Does not: tables, tests, fixtures
(conftest.py).

PostgreSQL refuses to run as root, as tests in a container do: then it runs as the user that its package made.
"""

import os
import pwd
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg.pq import PGconn, Ping
from pytest_postgresql.executors import PostgreSQLExecutor
from pytest_postgresql.janitor import DatabaseJanitor

HOST = "127.0.0.1"
OWNER = "postgres"
# With the signs that a URL must escape: a password that is told anywhere is found under either spelling.
PASSWORD = "s3cret/p@ss word"
_AUTHENTICATION = f"local all all trust\nhost all all {HOST}/32 scram-sha-256\n"


def installed_server() -> str | None:
    """The newest installed `pg_ctl`, or None: Debian keeps it off the path, below its version."""
    found = [file for file in Path("/usr/lib/postgresql").glob("*/bin/pg_ctl") if file.parts[-3].isdigit()]
    newest = max(found, key=lambda file: int(file.parts[-3]), default=None)
    return str(newest) if newest else shutil.which("pg_ctl")


@contextmanager
def running_server(pg_ctl: str) -> Iterator[PostgreSQLExecutor]:
    """A server on a free port with a folder of its own, which asks for passwords, until the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    try:
        server = PostgreSQLExecutor(
            executable=_as_owner(pg_ctl, folder),
            host=HOST,
            port=_free_port(),
            datadir=str(folder / "data"),
            unixsocketdir=str(folder),
            logfile=str(folder / "log"),
            startparams="-w",
            dbname="shop",
            user=OWNER,
        )
        with server:
            _wait_until_ready(server)
            with psycopg.connect(host=str(folder), port=server.port, user=OWNER, autocommit=True) as connection:
                connection.execute(psycopg.sql.SQL("ALTER ROLE postgres PASSWORD {}").format(PASSWORD))
                (folder / "data" / "pg_hba.conf").write_text(_AUTHENTICATION)
                connection.execute("SELECT pg_reload_conf()")
            server.password = PASSWORD
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def stopped(server: PostgreSQLExecutor) -> Iterator[None]:
    """The server is down until the block ends, and answers again after it, whatever happened in it."""
    server.stop()
    try:
        yield
    finally:
        server.start()
        _wait_until_ready(server)


@contextmanager
def empty_database(server: PostgreSQLExecutor, name: str) -> Iterator[str]:
    """The URL of a database that is there until the block ends, as its owner."""
    janitor = DatabaseJanitor(user=OWNER, host=HOST, port=server.port, dbname=name, password=PASSWORD, autocommit=True)
    with janitor:
        yield url_of(server, name)


def url_of(server: PostgreSQLExecutor, database: str, user: str = OWNER, password: str = PASSWORD) -> str:
    """The address of a database for one of its users."""
    return f"postgresql://{user}:{quote(password, safe='')}@{HOST}:{server.port}/{database}"


def _wait_until_ready(server: PostgreSQLExecutor, seconds: float = 60) -> None:
    """A server listens some time before it lets anyone in: until it does, it says that it is starting up."""
    end = time.monotonic() + seconds
    while PGconn.ping(f"host={HOST} port={server.port}".encode()) != Ping.OK:
        if time.monotonic() > end:
            raise TimeoutError(f"the server did not let anyone in within {seconds} s: see {server.logfile}")
        time.sleep(0.02)


def _as_owner(pg_ctl: str, folder: Path) -> str:
    """`pg_ctl`, or where tests run as root, a command in the folder that runs it as the server's user."""
    if os.geteuid() != 0:
        return pg_ctl
    owner = pwd.getpwnam(OWNER)
    os.chown(folder, owner.pw_uid, owner.pw_gid)
    command = folder / "pg_ctl"
    user = f"--reuid={owner.pw_uid} --regid={owner.pw_gid} --init-groups"
    command.write_text(f'#!/bin/sh\ncd "{folder}" && exec setpriv {user} "{pg_ctl}" "$@"\n')
    command.chmod(0o755)
    return str(command)


def _free_port() -> int:
    with socket.socket() as opened:
        opened.bind((HOST, 0))
        return int(opened.getsockname()[1])
