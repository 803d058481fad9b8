"""Dagster's SQLite event log, without the cost of a new SQLAlchemy engine for every event.

A backfill of a year in one run stores an event per asset and day, twice: planned and materialized. The stock storage
opens and closes an engine for each. This one leaves the same rows in the same files, several times faster; the one
exception are planned rows of checks, by day, that no evaluation ever finds. Switch it on with these lines in
`$DAGSTER_HOME/dagster.yaml`, off by removing them (history is kept either way):

    event_log_storage:
      module: segmentation_pipeline.resources.event_log
      class: BatchedSqliteEventLogStorage

Set `DAGSTER_EVENT_BATCH_SIZE=1000` in the environment of every Dagster process as well: without it Dagster hands over
events one at a time.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dagster import DagsterInvariantViolationError, EventLogEntry, Field, StringSource
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData
from sqlalchemy.pool import NullPool, Pool, QueuePool

RUN_ENGINES_KEPT = 64


class BatchedSqliteEventLogStorage(SqliteEventLogStorage):
    """A drop-in for `SqliteEventLogStorage` that keeps its engines and stores a batch in one transaction per database.

    All of what is stored, and how, is left to the stock `store_event`; only where a connection comes from differs:
    `_connect` may be nested in one thread, and then yields the connection that is already open.

    The index database keeps its connection open. The databases of runs do not: the UI follows a run by watching its
    file, which SQLite in WAL mode touches when the last connection closes (and a server that lists thousands of runs
    would hold as many files open).
    """

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._open: dict[str, sa.Connection] = {}
        # By process, and never dropped from here by another: SQLite connections must not be used, nor even closed,
        # on the other side of a fork.
        self._index_engines: dict[int, sa.Engine] = {}
        self._run_engine = lru_cache(maxsize=RUN_ENGINES_KEPT)(lambda run_id: self._create_engine(run_id, NullPool))
        self._lock = threading.RLock()  # instead of the stock `_db_lock`, which cannot be taken twice
        super().__init__(base_dir, inst_data)

    @classmethod
    def config_type(cls) -> dict[str, Field]:
        """`base_dir` may be left out: it is `$DAGSTER_HOME/history/runs` then, as in stock."""
        return {"base_dir": Field(StringSource, is_required=False)}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "BatchedSqliteEventLogStorage":
        """Called by Dagster with what dagster.yaml says under `config`."""
        return cls(inst_data=inst_data, base_dir=config_value.get("base_dir") or stock_base_dir())

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store the events in one transaction per database: all of them or, where this raises, none.

        When this raises, Dagster stores the events again one by one. So the databases of the runs commit first, while
        the index can still be rolled back. Two files cannot commit as one: should the index fail after that, in the
        commit itself (a full disk, not a lock: that is taken by then), the events would appear twice in the log of
        the run, and still once in the index, which all questions about assets and checks are answered from.
        """
        with ExitStack() as transactions:
            for shard in (INDEX_SHARD_NAME, *{event.run_id: None for event in events}):
                transactions.enter_context(self._connect(shard))
            for event in events:
                self.store_event(event)

    def _store_asset_check_evaluation_planned(self, event: EventLogEntry, event_id: int | None) -> None:
        """One planned row for a check of a range run, where the stock storage has one for each day of the range.

        A check without partitions of its own, as all are here, reports one evaluation; the rows by day would stay
        planned for ever, each with a copy of the event: 80 checks over a year are 30,000 rows and 75 MB. A check with
        partitions loses nothing but the planned rows: its evaluations are added as they come.
        """
        dagster_event = event.get_dagster_event()
        planned = dagster_event.asset_check_planned_data
        if planned.partitions_subset is not None and len(planned.partitions_subset) > 1:
            whole = AssetCheckEvaluationPlanned(asset_key=planned.asset_key, check_name=planned.check_name)
            event = event._replace(dagster_event=dagster_event._replace(event_specific_data=whole))
        super()._store_asset_check_evaluation_planned(event, event_id)

    def has_table(self, table_name: str) -> bool:
        """Whether the index has the table; asked for every asset event that carries tags."""
        with self.index_connection() as connection:
            return connection.dialect.has_table(connection, table_name)

    def dispose(self) -> None:
        """Close what this process holds open. The storage can still be used, and opens it again."""
        super().dispose()
        with self._lock:
            self._run_engine.cache_clear()
            if engine := self._index_engines.pop(os.getpid(), None):
                engine.dispose()

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sa.Connection]:
        with self._lock:
            if shard in self._open:
                yield self._open[shard]
                return
            engine = self._index_engine() if shard == INDEX_SHARD_NAME else self._run_engine(shard)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                try:
                    self._open[shard] = connection
                    yield connection
                finally:
                    del self._open[shard]

    def _index_engine(self) -> sa.Engine:
        if os.getpid() not in self._index_engines:
            self._index_engines[os.getpid()] = self._create_engine(INDEX_SHARD_NAME, QueuePool)
        return self._index_engines[os.getpid()]

    def _create_engine(self, shard: str, pool: type[Pool]) -> sa.Engine:
        timeout = {"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}
        engine = sa.create_engine(self.conn_string_for_shard(shard), poolclass=pool, connect_args=timeout)
        sa.event.listen(engine, "connect", _sync_at_checkpoints)
        return engine


def _sync_at_checkpoints(connection: sqlite3.Connection, _record: object) -> None:
    """In WAL mode a commit then waits for no disk; a power cut may cost the last events, never the database."""
    connection.execute("PRAGMA synchronous = NORMAL")


def stock_base_dir() -> str:
    """The directory of Dagster's default event log: `$DAGSTER_HOME/history/runs`.

    Raises:
        DagsterInvariantViolationError: DAGSTER_HOME is not set, so Dagster runs from a temporary directory that only it
            knows.
    """
    home = os.environ.get("DAGSTER_HOME")
    if not home:
        raise DagsterInvariantViolationError(
            "BatchedSqliteEventLogStorage needs DAGSTER_HOME, or `config: {base_dir: ...}` in its row of dagster.yaml."
        )
    return str(Path(home).expanduser() / "history" / "runs")
