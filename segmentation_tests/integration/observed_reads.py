"""What a run really reads, noted where it is read: the engine's expressions, the lake's notes, the ledger, the model store.

Belongs here: noting reads. Does not: what they are compared with (test_dependencies.py).
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import wraps
from pathlib import Path
from typing import Any

import ibis.expr.operations as ops
import ibis.expr.types as ir
import pytest

from segmentation_pipeline.checks.gate import Gate
from segmentation_pipeline.core.dependencies import WITHOUT_DAYS
from segmentation_pipeline.resources.engines.duckdb import DuckDBEngine
from segmentation_pipeline.resources.freshness import Freshness
from segmentation_pipeline.resources.lake import Lake, day_of
from segmentation_pipeline.resources.ledger import QualityLedger
from segmentation_pipeline.resources.model_store import ModelStore

Reads = set[tuple[str, date]]


@dataclass
class Seen:
    """What a run read: to make rows, for checks, of assets without days, and whether it asked which model is active."""

    rows: Reads = field(default_factory=set)
    checks: Reads = field(default_factory=set)
    without_days: set[str] = field(default_factory=set)
    active_model: bool = False

    @property
    def all(self) -> Reads:
        return self.rows | self.checks

    def of_others(self, made: Iterable[str]) -> "Seen":
        """What was read of other assets than those that were made."""
        rows, checks = ({read for read in part if read[0] not in made} for part in (self.rows, self.checks))
        return Seen(rows, checks, self.without_days - {*made}, self.active_model)


@contextmanager
def observed() -> Iterator[Seen]:
    """Note what is read until the block ends."""
    with pytest.MonkeyPatch.context() as patch:
        yield _Observer(patch).seen


class _Observer:
    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.seen = Seen()
        self._patch = patch
        self._files: dict[str, list[str]] = {}
        self._within: list[str] = []  # parts of the gate, or of telling a digest, that are under way
        self._after(DuckDBEngine, "read_parquet", self._opened)
        self._before(DuckDBEngine, "_sql", lambda table, _key: self._ran(table))
        self._before(DuckDBEngine, "to_pandas", self._ran)
        self._before(Lake, "profiles", self._note)
        self._before(ModelStore, "load", lambda _version: self.seen.without_days.add("segmentation_model"))
        self._before(ModelStore, "in_force", self._asked_for_the_active_model)
        self._after(QualityLedger, "latest", self._found_in_ledger)
        for owner, names in ((Gate, ("_measured", "_samples", "_history")), (Freshness, ("made_from",))):
            for name in names:
                self._enclose(owner, name)

    def _note(self, asset: str, days: Iterable[date]) -> None:
        if asset in WITHOUT_DAYS:
            self.seen.without_days.add(asset)
        else:
            reads = self.seen.checks if self._within else self.seen.rows
            reads.update((asset, day) for day in days)

    def _opened(self, table: ir.Table, paths: Iterable[object]) -> None:
        self._files[table.op().name] = [str(path) for path in paths]

    def _ran(self, table: ir.Table) -> None:
        for read in table.op().find(ops.DatabaseTable):
            for path in self._files.get(read.name, ()):
                above, asset, folder = Path(path).parts[-4:-1]
                if folder in WITHOUT_DAYS:
                    self._note(folder, [])
                elif above == "lake" and (day := day_of(folder)):  # not a staged file, an export, one of the source
                    self._note(asset, [day])

    def _found_in_ledger(self, found: Any, *_range: date) -> None:
        self._within.append("ledger")
        for stage, days in found.groupby("stage")["date"]:
            self._note(stage, {day.date() for day in days})
        self._within.pop()

    def _asked_for_the_active_model(self) -> None:
        if "made_from" not in self._within:
            self.seen.active_model = True
            self.seen.without_days.add("segmentation_model")

    def _before(self, owner: type, name: str, look: Callable[..., object]) -> None:
        method = getattr(owner, name)

        @wraps(method)
        def looked_at(self: Any, *given: Any, **named: Any) -> Any:
            look(*given)
            return method(self, *given, **named)

        self._patch.setattr(owner, name, looked_at)

    def _after(self, owner: type, name: str, look: Callable[..., object]) -> None:
        method = getattr(owner, name)

        @wraps(method)
        def looked_at(self: Any, *given: Any) -> Any:
            found = method(self, *given)
            look(found, *given)
            return found

        self._patch.setattr(owner, name, looked_at)

    def _enclose(self, owner: type, name: str) -> None:
        method, within = getattr(owner, name), self._within

        @wraps(method)
        def entered(*given: Any, **named: Any) -> Any:
            within.append(name)
            try:
                return method(*given, **named)
            finally:
                within.pop()

        self._patch.setattr(owner, name, entered)
