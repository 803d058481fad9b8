"""The publisher: one transaction for each day, or for customers who are to be forgotten.

Belongs here: connecting, the order of things in a transaction, what is told of it.
Does not: SQL (statements.py), tables (layout.py), words of errors (faults.py), which days (assets/publishing.py).

The URL is read from the environment when it is needed and goes nowhere else.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
import pyarrow as pa

from segmentation_pipeline.core.changes import CHANGES
from segmentation_pipeline.errors import PipelineError
from segmentation_pipeline.resources.publishing import faults, layout, statements
from segmentation_pipeline.settings import Database

if TYPE_CHECKING:
    from adbc_driver_manager.dbapi import Cursor

CONNECT_SECONDS = 15
LOCK_TIMEOUT = "5min"  # how long to wait for another publisher, or for whoever else holds a lock

Outcome = Literal["published", "superseded"]


@dataclass(frozen=True)
class Publication:
    """What publishing a day came to.

    Attributes:
        outcome: published, or superseded: the database already holds the later day `latest`, and nothing was touched.
        latest: The last day that had been published before.
        customers: Customers of the day.
        model_version: Of the model that scored it.
        flows: Customers by `change`, `segment_before` and `segment`.
        touched_rows: Rows of customers and changes that were written or deleted; 0 where the day was there already.
    """

    outcome: Outcome
    latest: date | None
    customers: int = 0
    model_version: int | None = None
    flows: pd.DataFrame = field(default_factory=lambda: _flows([]))
    touched_rows: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """Customers by what happened to them."""
        by_change = self.flows.groupby("change")["customers"].sum()
        return {change: int(by_change.get(change, 0)) for change in CHANGES}


class SegmentPublisher:
    """Publishes into one schema of a PostgreSQL database. Connects for each transaction.

    Args:
        settings: The variable with the URL, and the schema.
    """

    def __init__(self, settings: Database) -> None:
        self._variable = settings.url_variable
        self._schema = settings.schema_name

    def publish(self, day: date, snapshot: pa.RecordBatchReader, run_id: str) -> Publication:
        """Make one day's segments the published ones, and note who changed; all of it or nothing.

        The same snapshot again changes nothing. The latest day again, computed anew, corrects what was said of it. An
        earlier day than the latest changes nothing.

        Args:
            day: The as-of day.
            snapshot: Its customers: `schema.publishing.DATABASE_SEGMENTS` but for `changed_on`.
            run_id: Noted beside the day.

        Raises:
            TransientFault: The database cannot be reached, or the connection was lost.
            PublishingRefused: Something has to be mended first: the URL, a grant, a constraint of the shop's own.
        """
        with self._transaction() as cursor:
            self._lay_out(cursor)
            latest = _one(cursor, statements.LATEST_DAY)
            if latest is not None and latest > day:
                return Publication("superseded", latest)
            cursor.adbc_ingest("snapshot", snapshot, mode="create", temporary=True)
            for statement in (*statements.TEMPORARY_TABLES, "ANALYZE pg_temp.snapshot"):
                cursor.execute(statement)
            cursor.execute(statements.SEGMENTS_BEFORE, (day,))
            cursor.execute("ANALYZE pg_temp.before")
            cursor.execute(statements.CHANGES_OF_THE_DAY, (day,))
            touched = sum(
                _one(cursor, statements.counting(each), *([day] if "$1" in each else [])) for each in statements.TOUCHED
            )
            cursor.execute(statements.WRITE_PUBLICATION, (day, run_id, touched))
            cursor.execute(statements.SIZE)
            customers, version = cursor.fetchall()[0]
            cursor.execute(statements.FLOWS)
            return Publication("published", latest, customers, version, _flows(cursor.fetchall()), touched)

    def forget(self, customer_ids: Sequence[str]) -> dict[str, int]:
        """Delete every row about some customers, and return how many there were, by table.

        Raises:
            TransientFault: The database cannot be reached, or the connection was lost.
            PublishingRefused: Something has to be mended first.
        """
        ids = pa.table({"customer_id": pa.array(list(customer_ids), pa.string())})
        with self._transaction() as cursor:
            present = self._present(cursor)
            cursor.adbc_ingest("forgotten", ids, mode="create", temporary=True)
            removed = dict.fromkeys(statements.FORGET, 0)
            for table, statement in statements.FORGET.items():
                if table in present:
                    removed[table] = _one(cursor, statements.counting(statement))
            return removed

    def _lay_out(self, cursor: "Cursor") -> None:
        """Make the schema, tables and views that are not there."""
        if not _one(cursor, statements.SCHEMA_EXISTS, self._schema):
            cursor.execute(f'CREATE SCHEMA "{self._schema}"')
        for statement in layout.missing(self._present(cursor)):
            cursor.execute(statement)
        comment = _one(cursor, statements.LAYOUT) or ""
        version = comment.removeprefix(layout.VERSION_COMMENT)
        if version.isdigit() and int(version) > layout.LAYOUT_VERSION:
            raise faults.PublishingRefused(
                f"The tables in schema {self._schema} were made by a later release (layout {version}; this one knows "
                f"{layout.LAYOUT_VERSION}). Nothing was published. Update the pipeline, or publish into another schema."
            )

    def _present(self, cursor: "Cursor") -> set[str]:
        cursor.execute(statements.TABLES_AND_VIEWS, (self._schema,))
        return {name for (name,) in cursor.fetchall()}

    @contextmanager
    def _transaction(self) -> Iterator["Cursor"]:
        """A cursor in the shop's schema, while no other publisher works; committed at the end of the block, or not at all.

        Errors are raised outside the `except` blocks, so that none carries along what the driver says of the connection.
        """
        try:
            from adbc_driver_postgresql import dbapi
        except ImportError as missing:
            raise faults.PublishingRefused(
                "Nothing was published: PostgreSQL's driver is not installed. Run pip install 'segmentation-pipeline[postgres]'."
            ) from missing

        problem: Exception | None = None
        try:
            connection = dbapi.connect(self._url())
        except dbapi.Error as refused:
            problem = faults.of_connecting(str(refused), self._variable)
        if problem:
            raise problem from None
        with closing(connection):
            try:
                with connection.cursor() as cursor:
                    self._begin(cursor)
                    yield cursor
                connection.commit()
            except dbapi.Error as failed:
                problem = failed
            if isinstance(problem, dbapi.Error):
                raise self._fault(connection, problem) from None

    def _begin(self, cursor: "Cursor") -> None:
        cursor.execute(statements.READ_COMMITTED)
        for name, value in (
            ("lock_timeout", LOCK_TIMEOUT),
            ("search_path", f'"{self._schema}", pg_temp'),
        ):
            _one(cursor, statements.SET_LOCAL, name, value)
        _one(cursor, statements.ONE_AT_A_TIME, self._schema)

    def _fault(self, connection: Any, problem: Any) -> PipelineError:
        """What to raise; of a missing permission, after asking the server which."""
        from adbc_driver_postgresql import dbapi

        with suppress(dbapi.Error):
            connection.rollback()
            if problem.sqlstate in faults.PERMISSION_STATES:
                with connection.cursor() as cursor:
                    cursor.execute(statements.MISSING_GRANTS, (self._schema,))
                    grants = [grant for (grant,) in cursor.fetchall()]
                if grants or problem.sqlstate == faults.NOT_PERMITTED:
                    return faults.of_permission(grants, self._variable, self._schema)
        is_lost = isinstance(problem, dbapi.OperationalError)
        state = problem.sqlstate or (faults.CONNECTION_LOST if is_lost else faults.UNKNOWN)
        return faults.of_statement(str(problem), state, self._variable)

    def _url(self) -> str:
        url = os.environ.get(self._variable, "")
        if not url:
            raise faults.PublishingRefused(
                f"Nothing was published: the environment variable {self._variable}, which publish.database.url_variable "
                "names, is not set. Put a URL such as postgresql://user:password@host:5432/database into it."
            )
        if not url.startswith(("postgresql://", "postgres://")):
            raise faults.PublishingRefused(
                f"Nothing was published: what {self._variable} holds is no URL such as "
                "postgresql://user:password@host:5432/database. (It is not shown, since it may hold a password.)"
            )
        if "connect_timeout=" in url:
            return url
        more = "&" if "?" in url.rpartition("@")[2] else "?"
        return f"{url}{more}connect_timeout={CONNECT_SECONDS}"


def _one(cursor: "Cursor", statement: str, *values: object) -> Any:
    """The first value that a statement gives."""
    cursor.execute(statement, values or None)
    return cursor.fetchall()[0][0]


def _flows(rows: Sequence[tuple[Any, ...]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["change", "segment_before", "segment", "customers"])
