"""A source: what the rest of the pipeline asks of the place that transaction lines come from.

Belongs here: the questions. Does not: the answers (files.py, postgres.py), which kind a shop has (opening.py).
"""

from collections.abc import Collection, Sequence
from datetime import date
from typing import Protocol

import ibis.expr.types as ir

from segmentation_pipeline.core.forgetting import Forgotten
from segmentation_pipeline.resources.sources.index import SourceFile


class TransactionSource(Protocol):
    """Raw transaction lines of one shop, filed by day of sale, with an index of what holds which days."""

    @property
    def place(self) -> str:
        """What people are told of where the lines are."""

    def files(self) -> list[SourceFile]:
        """What is indexed; the source is looked at once per process, see `refresh`."""

    def refresh(self) -> list[SourceFile]:
        """Look at the source again, and index what is new or changed.

        Raises:
            SourceError: There is nothing, or something cannot be read. The index stays as it was.
            TransientFault: The source cannot be reached just now. Likewise.
        """

    def digest(self, day: date) -> str:
        """What the raw rows of a day are made from, and how they are read."""

    def rows(self, days: Sequence[date]) -> ir.Table:
        """Raw rows of a range of days as `schema.RAW_TRANSACTIONS`.

        Raises:
            SourceError: What was indexed is not to be had any more.
            TransientFault: It has changed since.
        """

    def first_day(self) -> date | None:
        """The first day of sale."""

    def last_day(self) -> date | None:
        """The last day of sale."""

    def column_types(self) -> dict[str, str]:
        """Canonical name to the type its column has in the source, for reports."""

    def state(self) -> str:
        """A fingerprint of what the source holds right now, found without reading contents or changing the index.

        As long as it stays the same, `refresh` finds nothing new.
        """

    def waiting(self) -> list[str]:
        """Names of files that still grow, and are left for a later look."""

    def removed(self) -> list[str]:
        """Names of files that are no longer there, and whose rows are kept."""

    def lost_days(self) -> Collection[date]:
        """Days that hold rows which are not to be had any more: they stay as they are and cannot be computed again."""

    def forget(self, forgotten: Forgotten) -> int:
        """Take customers out of the pipeline's own copies of rows; returns how many rows named them.

        The source itself is the shop's: it is never changed.
        """
