"""Erasure: taking a forgotten customer out of everything that the pipeline has written.

Belongs here: where a customer is named, and in which order it is erased. Does not: what becomes of the rows
(core/forgetting.py), the list of forgotten customers (forgotten.py), the run that does it (segmentation_pipeline/forgetting.py).

The customer's id is found by its digest and is held in memory alone. What a repeat could not find again goes first: the
database and the exports need the id, which the lake tells. So a run that was killed is finished by another, whoever starts it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date

import ibis.expr.types as ir
from ibis import _

from segmentation_pipeline.core import forgetting, schema
from segmentation_pipeline.core.forgetting import Erasing, Forgotten
from segmentation_pipeline.core.schema import Table
from segmentation_pipeline.resources.forgotten import Named, Tombstones
from segmentation_pipeline.resources.lake import Lake
from segmentation_pipeline.resources.publishing.exports import ExportFolder
from segmentation_pipeline.resources.publishing.postgres import SegmentPublisher
from segmentation_pipeline.resources.sources.source import TransactionSource
from segmentation_pipeline.resources.stretches import Stretches
from segmentation_pipeline.settings import Settings

COPIES = "copies of the source"


@dataclass(frozen=True)
class Traces:
    """Where customers are named.

    Attributes:
        days: Rows by table and day, in the lake.
        source_files: Files of the source that hold their lines, as far as the lake still tells.
    """

    days: Mapping[str, Mapping[date, int]] = field(default_factory=dict)
    source_files: tuple[str, ...] = ()

    @property
    def rows(self) -> dict[str, int]:
        """Rows by table."""
        return {asset: sum(of_table.values()) for asset, of_table in self.days.items()}


@dataclass(frozen=True)
class Erased:
    """What was done; no customer is named.

    Attributes:
        rows: Rows by table that lost their customer or are gone, in the lake and elsewhere.
        partitions: Days by table that were rewritten, in the lake.
    """

    rows: Mapping[str, int]
    partitions: Mapping[str, int]


class Erasure:
    """Takes customers out of one lake and what was made from it.

    Args:
        settings: How rows are read.
        lake: Its tables.
        source: Has copies of rows.
        tombstones: Who is forgotten.
        stretches: Cuts what is rewritten at once.
        publisher: The shop's database, if segments are published there.
        exports: The exports, if there are any.
    """

    def __init__(
        self,
        settings: Settings,
        lake: Lake,
        source: TransactionSource,
        tombstones: Tombstones,
        stretches: Stretches,
        publisher: SegmentPublisher | None = None,
        exports: ExportFolder | None = None,
    ) -> None:
        self._settings = settings
        self._lake = lake
        self._source = source
        self._tombstones = tombstones
        self._stretches = stretches
        self._publisher = publisher
        self._exports = exports
        self._asked: dict[str, str] = {}

    def traces(self, digest: str) -> Traces:
        """Where a customer is named in the lake."""
        forgotten = self._tombstones.one(digest)
        days = {layout.asset: self._days(layout, erasing, forgotten) for layout, erasing in self._tables()}
        files: list[str] = []
        if days.get("raw_transactions"):
            files = self._texts(self._named(schema.RAW_TRANSACTIONS, forgetting.ERASING_RAW, forgotten), "source_file")
        return Traces({asset: found for asset, found in days.items() if found}, tuple(sorted(files)))

    def entomb(self, named: Named, owner: str, tell: Callable[[str], None]) -> str:
        """Put a customer on the list, and return their digest on it: from now on no line of theirs comes in with their id.

        It need not be the one they were asked about by: another process may have made the list since, with its own salt.

        In this process the id is remembered, so that `carry_out` finds the customer in the database and the exports even
        where the lake no longer names them, such as after a backup was put back.
        """
        with self._lake.exclusively(owner, tell):
            digest = self._tombstones.named(named.customer).digest
            self._tombstones.add(digest)
        self._asked[digest] = named.customer
        return digest

    def carry_out(self, digest: str, owner: str, tell: Callable[[str], None]) -> Erased:
        """Take a customer out of everything, under the lake's lock.

        Args:
            digest: Of their id, as it stands on the list.
            owner: Who holds the lock.
            tell: Is told of every table, and whom one waits for.

        Raises:
            TransientFault: The database cannot be reached; nothing was changed, and it can be done again.
            PublishingRefused: The database needs something mended first; likewise.
        """
        forgotten = self._tombstones.one(digest)
        with self._lake.exclusively(owner, tell):
            self._tombstones.add(digest)
            self._lake.clear_staging()
            rows = dict(self._elsewhere(forgotten))
            partitions: dict[str, int] = {}
            for layout, erasing in self._tables():
                days = self._days(layout, erasing, forgotten)
                self._rewrite(layout, erasing, forgotten, list(days))
                rows[layout.asset], partitions[layout.asset] = sum(days.values()), len(days)
                tell(f"{layout.asset}: {sum(days.values()):,} rows on {len(days):,} days.")
        return Erased({name: count for name, count in rows.items() if count or name in partitions}, partitions)

    def _elsewhere(self, forgotten: Forgotten) -> dict[str, int]:
        """Rows by place outside the lake's tables."""
        ids = self._ids(forgotten) if self._publisher or self._exports else []
        found: dict[str, int] = {}
        if self._publisher:
            of_database = self._publisher.forget(ids).items()
            found |= {f"database table {table}": rows for table, rows in of_database}
        if self._exports:
            found |= self._exports.forget(ids)
        return found | {COPIES: self._source.forget(forgotten)}

    def _tables(self) -> list[tuple[Table, Erasing]]:
        """Tables of the lake that can name customers; those that lines come in by last, since they are read first."""
        known = [(layout, forgetting.erasing(layout)) for layout in reversed(schema.TABLES.values())]
        return [(layout, erasing) for layout, erasing in known if erasing and self._lake.days(layout.asset)]

    def _named(self, layout: Table, erasing: Erasing, forgotten: Forgotten) -> ir.Table:
        rows = self._lake.read(layout, self._lake.days(layout.asset))
        return rows.filter(erasing.named(rows, forgotten, self._settings))

    def _days(self, layout: Table, erasing: Erasing, forgotten: Forgotten) -> dict[date, int]:
        """Rows that name a customer, by day, by one query on the columns that can."""
        counted = self._named(layout, erasing, forgotten).group_by("date").agg(rows=_.count())
        found = self._lake.engine.to_pandas(counted.order_by("date"))
        return {day.date(): int(rows) for day, rows in zip(found["date"], found["rows"], strict=True)}

    def _rewrite(self, layout: Table, erasing: Erasing, forgotten: Forgotten, days: list[date]) -> None:
        """Each day whole or not at all, and made from what it was made from, so that nothing becomes stale."""
        if not days:
            return
        for stretch in self._stretches.cut(days, {day: self._lake.rows(layout.asset, day) for day in days}):
            left = layout.conform(erasing.left(self._lake.read(layout, stretch), forgotten, self._settings))
            with self._lake.staged(layout, left, stretch) as staged:
                self._lake.replace(staged)

    def _ids(self, forgotten: Forgotten) -> list[str]:
        """The ids behind the digests, as cleaning reads them."""
        found = {self._asked[digest] for digest in forgotten.digests if digest in self._asked}
        for layout, erasing in self._tables():
            if layout.asset in ("clean_transactions", "customer_segments", "rfm_features"):
                found |= set(self._texts(self._named(layout, erasing, forgotten), "customer_id"))
        return sorted(found)

    def _texts(self, rows: ir.Table, column: str) -> list[str]:
        return [str(text) for text in self._lake.engine.to_pandas(rows.select(column).distinct())[column]]
