"""Tombstones: which customers are to be forgotten, without saying who they are.

Belongs here: the list of digests, and the salt they were taken with. Does not: what becomes of the rows
(core/forgetting.py), rewriting what is there (erasure.py).

    <lake>/forgotten/part-0.parquet    one row for each customer: salt (the same in all), digest, forgotten_on

The list is read whenever rows are, and never kept: it may have grown since a process began. A lake that is made anew
keeps its customers forgotten if it is given this folder.
"""

import secrets
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from segmentation_pipeline.core import cleaning, forgetting
from segmentation_pipeline.core.forgetting import Forgotten
from segmentation_pipeline.errors import PipelineError
from segmentation_pipeline.resources.engines.engine import Engine
from segmentation_pipeline.settings import Settings

SALT_BYTES = 32
_LAYOUT = pa.schema([("salt", pa.string()), ("digest", pa.string()), ("forgotten_on", pa.date32())])


class NobodyNamed(PipelineError):
    """What was given is no customer's id."""


@dataclass(frozen=True)
class Named:
    """A customer: the id as cleaning reads it, which goes nowhere but into memory, and its digest."""

    customer: str = field(repr=False)
    digest: str


class Tombstones:
    """The forgotten customers of one lake.

    Args:
        settings: How ids are read.
        engine: Digests them.
        folder: Where the list is kept.
    """

    def __init__(self, settings: Settings, engine: Engine, folder: UPath) -> None:
        self._settings = settings
        self._engine = engine
        self._file = folder / "part-0.parquet"
        self._new_salt = secrets.token_hex(SALT_BYTES)

    def all(self) -> Forgotten | None:
        """Everyone who is to be forgotten; None if there is no one."""
        rows = self._rows()
        return Forgotten(rows[0]["salt"], tuple(row["digest"] for row in rows)) if rows else None

    def one(self, digest: str) -> Forgotten:
        """One of them."""
        return Forgotten(self._salt(), (digest,))

    def named(self, customer: str) -> Named:
        """Who is meant by a customer's id, however it is spelled.

        Raises:
            NobodyNamed: It is empty, or a word for "nothing".
        """
        text = ibis.memtable([{"text": customer}], schema={"text": "string"}).text
        read = cleaning.customer(text, self._settings.cleaning.null_tokens)
        digest = Forgotten(self._salt(), ()).digest(read)
        found = self._engine.to_pandas(read.name("customer").as_table().mutate(digest=digest))
        if pd.isna(found["customer"].iloc[0]):
            raise NobodyNamed(
                f"{customer!r} is no customer: the source's rows with it are guests'. Give a customer's id."
            )
        return Named(str(found["customer"].iloc[0]), str(found["digest"].iloc[0]))

    def forgotten_on(self, digest: str) -> date | None:
        """The day on which someone was put on the list; None for who is not on it."""
        return next((row["forgotten_on"] for row in self._rows() if row["digest"] == digest), None)

    def add(self, digest: str) -> None:
        """Put a customer on the list; under the lake's lock, since the file is replaced whole."""
        rows = self._rows()
        if any(row["digest"] == digest for row in rows):
            return
        rows.append({"salt": self._salt(), "digest": digest, "forgotten_on": datetime.now(UTC).date()})
        self._file.parent.mkdir(parents=True, exist_ok=True)
        staged = self._file.with_suffix(".staged")
        pq.write_table(pa.Table.from_pylist(rows, _LAYOUT), str(staged))
        staged.replace(self._file)

    def unnamed(self, raw: ir.Table) -> ir.Table:
        """Raw rows without the identity of anyone on the list; the same expression where no one is."""
        forgotten = self.all()
        return forgetting.of_raw(raw, forgotten, self._settings) if forgotten else raw

    def _salt(self) -> str:
        rows = self._rows()
        return str(rows[0]["salt"]) if rows else self._new_salt

    def _rows(self) -> list[dict[str, Any]]:
        return pq.read_table(str(self._file)).to_pylist() if self._file.exists() else []
