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
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dagster import DagsterInvariantViolationError, EventLogEntry, Field, StringSource
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS, EVENT_TYPE_TO_PIPELINE_RUN_STATUS
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData
from sqlalchemy.pool import QueuePool

RUNS_KEPT_OPEN = 4


class BatchedSqliteEventLogStorage(SqliteEventLogStorage):
    """A drop-in for `SqliteEventLogStorage` that keeps its engines and stores a batch in one transaction per database.

    Single events are left to the stock `store_event`, and so are the rows of checks; of a batch the rows of each table are
    written together. `_connect` may be nested in one thread, and then yields the connection that is already open.

    Connections stay open: that of the index, and those of the last few runs (a server that lists thousands would hold
    as many files open). The UI follows a run by watching its file, which SQLite in WAL mode leaves alone while a
    connection is open, so it is touched after each write.
    """

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._open: dict[str, sa.Connection] = {}
        # By process, and never dropped from here by another: SQLite connections must not be used, nor even closed,
        # on the other side of a fork.
        self._engines: dict[int, OrderedDict[str, sa.Engine]] = {}
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

    def store_event(self, event: EventLogEntry) -> None:
        """As in stock."""
        super().store_event(event)
        if event.run_id not in self._open:
            self._show_watchers(event.run_id)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store the events in one transaction per database: all of them or, where this raises, none.

        When this raises, Dagster stores the events again one by one. So the databases of the runs commit first, while
        the index can still be rolled back. Two files cannot commit as one: should the index fail after that, in the
        commit itself (a full disk, not a lock: that is taken by then), the events would appear twice in the log of
        the run, and still once in the index, which all questions about assets and checks are answered from.
        """
        told = [(event, self._event_to_row(event)) for event in events]
        by_run: dict[str, list[dict[str, Any]]] = {}
        for event, row in told:
            by_run.setdefault(event.run_id, []).append(row)
        with ExitStack() as transactions:
            for shard in (INDEX_SHARD_NAME, *by_run):
                transactions.enter_context(self._connect(shard))
            for run_id, rows in by_run.items():
                with self.run_connection(run_id) as connection:
                    connection.execute(SqlEventLogStorageTable.insert(), rows)
            self._store_in_index([each for each in told if _is_in_index(each[0])])
        for run_id in by_run:
            self._show_watchers(run_id)

    def _store_in_index(self, told: Sequence[tuple[EventLogEntry, dict[str, Any]]]) -> None:
        """What the stock storage does with events that are asked for across runs: assets', checks', a run's states."""
        if not told:
            return
        with self.index_connection() as connection:
            connection.execute(SqlEventLogStorageTable.insert(), [row for _event, row in told])
            last = connection.execute(sa.text("SELECT last_insert_rowid()")).scalar_one()
        # Within one transaction SQLite gives out one number after the other.
        numbered = [(event, last - len(told) + place) for place, (event, _row) in enumerate(told, start=1)]
        self._store_assets([each for each in numbered if each[0].dagster_event_type in ASSET_EVENTS])
        for event, event_id in numbered:
            if event.dagster_event_type in ASSET_CHECK_EVENTS:
                self.store_asset_check_event(event, event_id)

    def _store_assets(self, numbered: Sequence[tuple[EventLogEntry, int]]) -> None:
        """What the stock storage does after each asset event, done once for a batch.

        It overwrites the asset's row with every event. Events of one kind overwrite the same columns, so the last of
        each kind, in the order in which they came, leave the row that all of them would have left.
        """
        if not numbered:
            return
        last: dict[tuple[Any, Any], tuple[EventLogEntry, int]] = {}
        for event, event_id in numbered:
            kind = (event.get_dagster_event().asset_key, event.dagster_event_type)
            last.pop(kind, None)
            last[kind] = (event, event_id)
        with self.index_connection() as connection:
            self._store_asset_event_tags(connection, *zip(*numbered, strict=True))
            for event, event_id in last.values():
                self._store_asset_event(connection, event, event_id)

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

    def wipe(self) -> None:
        """As in stock, which removes files that must not stay open then."""
        self.dispose()
        super().wipe()

    def dispose(self) -> None:
        """Close what this process holds open. The storage can still be used, and opens it again."""
        super().dispose()
        with self._lock:
            for engine in self._engines.pop(os.getpid(), OrderedDict()).values():
                engine.dispose()

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sa.Connection]:
        with self._lock:
            if shard in self._open:
                yield self._open[shard]
                return
            engine = self._engine(shard)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                try:
                    self._open[shard] = connection
                    yield connection
                finally:
                    del self._open[shard]

    def _engine(self, shard: str) -> sa.Engine:
        """The engine of a database, made when first asked for; those of the runs not used for longest are closed."""
        engines = self._engines.setdefault(os.getpid(), OrderedDict())
        if shard not in engines:
            timeout = {"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}
            engines[shard] = sa.create_engine(
                self.conn_string_for_shard(shard), poolclass=QueuePool, connect_args=timeout
            )
            sa.event.listen(engines[shard], "connect", _sync_at_checkpoints)
        engines.move_to_end(shard)
        closed = [each for each in engines if each not in self._open and each != INDEX_SHARD_NAME][:-RUNS_KEPT_OPEN]
        for each in closed:
            engines.pop(each).dispose()
        return engines[shard]

    def _show_watchers(self, run_id: str) -> None:
        os.utime(self.path_for_shard(run_id))


def _is_in_index(event: EventLogEntry) -> bool:
    """Whether the stock storage mirrors an event in the database that questions across runs are answered from."""
    kind = event.dagster_event_type
    return event.is_dagster_event and (
        kind in ASSET_EVENTS or kind in ASSET_CHECK_EVENTS or kind in EVENT_TYPE_TO_PIPELINE_RUN_STATUS
    )


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
