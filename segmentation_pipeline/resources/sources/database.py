"""A PostgreSQL database, looked at as it is at one moment.

Belongs here: connecting, the transaction, rows as Arrow batches, faults in plain words. Does not: which queries (table.py).

The address is never shown: not in an error, and not in the errors behind it, because the driver repeats an address that
it cannot read. Everything runs in one read-only transaction, so counting and reading see the same rows.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa

from segmentation_pipeline.errors import PipelineError, TransientFault
from segmentation_pipeline.resources.sources.headers import SourceError
from segmentation_pipeline.settings import Postgres

ROWS_PER_FETCH = 20_000
CONNECT_TIMEOUT_SECONDS = 10
EXTRA = "segmentation-pipeline[postgres]"
# Rows come by a cursor, which the driver's COPY cannot read from.
_WITHOUT_COPY = {"adbc.postgresql.use_copy": "false"}
# Classes of SQLSTATE: lost connection, resources, operator's intervention, serialization, locks.
_TRANSIENT_STATES = ("08", "53", "57", "40", "55")
_REFUSALS = re.compile(r"authentication failed|does not exist|pg_hba\.conf|permission denied|not permitted to log in")
_SESSION = """\
SELECT set_config('TimeZone', $1, true), set_config('DateStyle', 'ISO, YMD', true),
    set_config('extra_float_digits', '1', true), set_config('search_path', 'pg_catalog', true)
"""


class Snapshot:
    """Answers queries from the database as it was when the snapshot was opened; see `snapshot`.

    Args:
        connection: Open, and in a transaction.
        place: What messages call the table.
    """

    def __init__(self, connection: Any, place: str) -> None:
        self._connection = connection
        self._place = place

    def rows(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        """The rows of a query whose result is small; `values` are bound to $1, $2 and so on.

        Raises:
            SourceError: The database refuses it.
            TransientFault: The connection is lost.
        """
        with self._faults_in_plain_words(), self._connection.cursor() as cursor:
            cursor.execute(query, values or None)
            return list(cursor.fetchall())

    def batches(self, query: str, *values: str) -> Iterator[pa.RecordBatch]:
        """The rows of a query of any size, some thousand at a time; see `rows`."""
        with self._faults_in_plain_words(), self._connection.cursor() as cursor:
            cursor.execute(f"DECLARE lines NO SCROLL CURSOR FOR {query}", values or None)
            cursor.adbc_statement.set_options(**_WITHOUT_COPY)
            while True:
                cursor.execute(f"FETCH {ROWS_PER_FETCH} FROM lines")
                fetched = cursor.fetch_arrow_table()
                yield from fetched.to_batches()
                if fetched.num_rows < ROWS_PER_FETCH:
                    break
            cursor.execute("CLOSE lines")

    @contextmanager
    def _faults_in_plain_words(self) -> Iterator[None]:
        from adbc_driver_postgresql import dbapi

        try:
            yield
        except dbapi.Error as problem:
            raise _fault_of_query(problem, self._place) from problem


@contextmanager
def snapshot(how: Postgres, timezone: str, place: str) -> Iterator[Snapshot]:
    """The database as it is now, until the block ends; nothing can be written to it.

    Args:
        how: Names the variable with the address.
        timezone: Days begin and end in it, and moments without a zone are local to it.
        place: What messages call the table.

    Raises:
        SourceError: The extra, the variable or the right to connect is missing.
        TransientFault: The server cannot be reached.
    """
    connection = _connected(how)
    try:
        opened = Snapshot(connection, place)
        with connection.cursor() as cursor:
            cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        opened.rows(_SESSION, timezone)
        yield opened
    finally:
        connection.close()


def _connected(how: Postgres) -> Any:
    try:
        from adbc_driver_postgresql import dbapi
    except ImportError as missing:
        raise SourceError(f"source.kind postgres needs a driver: install {EXTRA}.") from missing
    told: PipelineError
    try:
        return dbapi.connect(_address(how.url_variable), autocommit=True)
    except dbapi.Error as problem:
        told = _fault_of_connecting(str(problem), how.url_variable)
    raise told  # outside, so that the driver's words, which may hold the address, are not kept as its cause


def _address(variable: str) -> str:
    """The address that a variable holds, with a limit to waiting for an answer.

    Raises:
        SourceError: It is not set, or is no address of a PostgreSQL database.
    """
    address = os.environ.get(variable, "").strip()
    if not address:
        raise SourceError(
            f"The environment variable {variable} is not set. Put the database's address in it: "
            "postgresql://user:password@host:5432/database."
        )
    if not re.match(r"postgres(ql)?://", address) or any(sign.isspace() for sign in address):
        raise _unreadable(variable)
    query = urlsplit(address).query
    if "connect_timeout" in parse_qs(query):
        return address
    return f"{address}{'&' if query else '?'}connect_timeout={CONNECT_TIMEOUT_SECONDS}"


def _unreadable(variable: str) -> SourceError:
    return SourceError(
        f"The environment variable {variable} holds no address such as postgresql://user:password@host:5432/database. "
        "Signs with a meaning there are written as their codes: / in a password as %2F, @ as %40, a blank as %20."
    )


def _fault_of_connecting(message: str, variable: str) -> PipelineError:
    """What went wrong, in the server's words where it was the server that spoke, without user and address."""
    if "connection to server" not in message and "could not translate host name" not in message:
        return _unreadable(variable)
    spoken = message.strip().splitlines()[0].rpartition("failed: ")[2] if "failed: " in message else ""
    if "could not translate host name" in message:
        spoken = "its host name is not known"
    if "authentication failed" in message:
        spoken = "user or password are wrong"
    if _REFUSALS.search(message):
        return SourceError(f"The database of {variable} refuses the connection: {_bare(spoken)}. Correct the address.")
    return TransientFault(
        f"The database of {variable} cannot be reached: {_bare(spoken)}. Run again when the server is up; if it is, check "
        "host and port of the address."
    )


def _fault_of_query(problem: Exception, place: str) -> PipelineError:
    state = getattr(problem, "sqlstate", None) or ""
    spoken = _bare(re.sub(r"^.*?(ERROR|FATAL): +", "", str(problem).strip().splitlines()[0]))
    if state.startswith(_TRANSIENT_STATES) or (not state and type(problem).__name__ == "OperationalError"):
        return TransientFault(f"The connection to {place} was lost: {spoken}. Run again.")
    if state == "42501":
        return SourceError(f"{place}: {spoken}. Grant the user of the address SELECT on it.")
    return SourceError(f"{place}: cannot be read: {spoken}.")


def _bare(text: str) -> str:
    return re.sub(r"^(FATAL|ERROR): +", "", text).strip().rstrip(".") or "no answer"
