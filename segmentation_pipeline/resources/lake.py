"""The lake: which file holds which day of which asset, and how a file becomes visible.

Belongs here: paths, staging and publishing, reading by day, the note beside each partition.
Does not: Dagster's contexts (lake_inputs.py), expressions (core/).

    <lake>/<asset>/date=YYYY-MM-DD/part-0.parquet    and beside it `partition.jsonl`: a line on what the partition was
                                                     made from (freshness.py), and one on what was measured of it (checks/)
    <lake>/<asset>/part-0.parquet                    for an asset without days

A partition is one file, written elsewhere on the same file system and renamed into place: it is there whole or not at
all, and a reader that has the old one open keeps it.

Before a night begins thousands of notes are read, by paths that are text: objects take longer to make than the files to read.
"""

import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from ibis import _
from upath import UPath

from segmentation_pipeline.core import schema
from segmentation_pipeline.errors import PipelineError
from segmentation_pipeline.resources.engines.engine import Engine, OfDay
from segmentation_pipeline.resources.lock import exclusively

PART = "part-0.parquet"
NOTE = "partition.jsonl"
STAGING = ".staging"
DAY = "date="
SECONDS_PER_DAY = 86_400
RANGES_SHOWN = 8


class MissingPartitions(PipelineError):
    """Days that an expression needs are not in the lake; the message lists them."""


Profile: TypeAlias = Mapping[str, Any]
Rows: TypeAlias = ir.Table | pd.DataFrame | OfDay


@dataclass(frozen=True)
class Staged:
    """Rows that are written and not yet visible: for each day (or for None, where there are no days) a file and its footer."""

    layout: schema.Table
    files: Mapping[date | None, UPath]
    footers: Mapping[date | None, pq.FileMetaData]

    def rows(self, day: date | None = None) -> int:
        """Rows of a file."""
        return int(self.footers[day].num_rows)

    def columns(self, day: date | None = None) -> pa.Schema:
        """Columns and types of a file."""
        schema = self.footers[day].schema
        return self._first_columns if schema.equals(self._first.schema) else schema.to_arrow_schema()

    def __or__(self, other: "Staged") -> "Staged":
        """The files of both."""
        return Staged(self.layout, {**self.files, **other.files}, {**self.footers, **other.footers})

    @property
    def _first(self) -> pq.FileMetaData:
        return next(iter(self.footers.values()))

    @cached_property
    def _first_columns(self) -> pa.Schema:
        return self._first.schema.to_arrow_schema()


class Lake:
    """Tables as Parquet files below one folder.

    Args:
        root: The folder; made when first written to.
        engine: Reads and writes the files.
    """

    def __init__(self, root: UPath, engine: Engine) -> None:
        self.root = root
        self.engine = engine

    def file(self, asset: str, day: date | None = None) -> UPath:
        """Where an asset's rows (of one day) are."""
        return self.root / self._place(asset, day, PART)

    def days(self, asset: str) -> list[date]:
        """The days of an asset that are in the lake, in order."""
        folder = f"{self.root}/{asset}"
        try:
            names = os.listdir(folder)  # noqa: PTH208, see above
        except FileNotFoundError:
            return []
        found = {name: day for name in names if (day := day_of(name))}
        return sorted(day for name, day in found.items() if os.path.exists(f"{folder}/{name}/{PART}"))  # noqa: PTH110

    def came_from(self, source_file: str, days: Collection[date]) -> bool:
        """Whether raw rows of a source's file are in the lake, on one of the days it holds."""
        asset = schema.RAW_TRANSACTIONS.asset
        files = [self.file(asset, day) for day in days if self.file(asset, day).exists()]
        if not files:
            return False
        found = self.engine.read_parquet(files).filter(_.source_file == source_file).select("source_file").limit(1)
        return len(self.engine.to_pandas(found)) > 0

    def rows(self, asset: str, day: date) -> int:
        """Rows of a day that is in the lake."""
        return int(pq.read_metadata(str(self.file(asset, day))).num_rows)

    def read(self, layout: schema.Table, days: Sequence[date] | None = None) -> ir.Table:
        """An asset's rows, of the days asked for or of an asset without days.

        Raises:
            MissingPartitions: One of the days, or the asset, was never written.
        """
        if days is None:
            if not self.file(layout.asset).exists():
                raise MissingPartitions(f"{layout.asset} is not in the lake {self.root}. Materialize it first.")
            return self.engine.read_parquet([self.file(layout.asset)])
        present = set(self.days(layout.asset))
        missing = [day for day in days if day not in present]
        if missing or not days:
            raise MissingPartitions(
                f"{layout.asset} lacks {len(missing)} of the {len(days)} days needed: {in_ranges(missing) or 'none asked for'}. "
                f"Materialize these days of {layout.asset} first, then run this again."
            )
        return self.engine.read_parquet([self.file(layout.asset, day) for day in days])

    def exclusively(self, owner: str, tell: Callable[[str], None]) -> AbstractContextManager[None]:
        """Keep other processes from writing to the lake for the length of a block; see `lock.exclusively`."""
        return exclusively(Path(str(self.root)), owner, tell)

    @contextmanager
    def staged(self, layout: schema.Table, rows: Rows, days: Sequence[date] | None = None) -> Iterator[Staged]:
        """Write rows where no reader looks, to be published or, at the end of the block, forgotten.

        Args:
            layout: The table's description.
            rows: One expression or small frame for all days, or one that is called with each day.
            days: The days to write, each with all its rows; None for an asset without days.
        """
        with self._staging() as folder:
            files: dict[date | None, UPath] = {None: folder / PART}
            if days is None:
                self.engine.write(_expression(rows, layout), layout, folder / PART)
            else:
                by_day = {day: folder / f"{day.isoformat()}.parquet" for day in days}
                if callable(rows):
                    self.engine.write_each_day(rows, layout, by_day)
                else:
                    self.engine.write_days(_expression(rows, layout), layout, by_day)
                files = {day: file for day, file in by_day.items()}  # noqa: C416 - dict() would keep the keys' type
            yield Staged(layout, files, {day: pq.read_metadata(str(file)) for day, file in files.items()})

    def read_staged(self, staged: Staged, days: Sequence[date] | None = None) -> ir.Table:
        """The staged rows, or those of some days."""
        files = [staged.files[day] for day in days] if days else list(staged.files.values())
        return self.engine.read_parquet(files)

    def publish(
        self, staged: Staged, inputs: Mapping[date, str] | None = None, profiles: Mapping[date, Profile] | None = None
    ) -> None:
        """Put staged files in place of those that are there: the days of `inputs`, or an asset without days.

        Args:
            staged: Written just now.
            inputs: The days to publish, and what each is made from.
            profiles: What was measured of each day, if it is to be kept.
        """
        if inputs is None:
            self._publish(staged.files[None], self.file(staged.layout.asset))
        for day, digest in (inputs or {}).items():
            lines = [{"inputs": digest}, *([profiles[day]] if profiles else [])]
            note = "\n".join(json.dumps(line, default=str) for line in lines)
            self._publish(staged.files[day], self.file(staged.layout.asset, day), note)

    def replace(self, staged: Staged) -> None:
        """Put staged days in place of those that are there, which stay made from what they were made from."""
        for day, file in staged.files.items():
            file.replace(self.file(staged.layout.asset, day))

    def clear_staging(self) -> None:
        """Remove what runs that were killed left behind; under the lake's lock, so that nobody is at work there."""
        if (self.root / STAGING).exists():
            shutil.rmtree(str(self.root / STAGING))

    def write(self, layout: schema.Table, rows: Rows, inputs: Mapping[date, str] | None = None) -> None:
        """Stage rows and publish them all."""
        with self.staged(layout, rows, None if inputs is None else list(inputs)) as staged:
            self.publish(staged, inputs)

    def inputs(self, asset: str, day: date) -> str | None:
        """What a partition was made from, as written with it; None if it is not there or its note was cut short."""
        note = self._note(asset, day)
        return str(json.loads(note[0])["inputs"]) if note else None

    def profiles(self, asset: str, days: Sequence[date]) -> dict[date, Profile]:
        """What was measured of partitions; days that are not there, or were not measured, are left out."""
        notes = {day: self._note(asset, day) for day in days}
        return {day: json.loads(note[1]) for day, note in notes.items() if len(note) > 1}

    def _note(self, asset: str, day: date) -> list[str]:
        """The lines of a note; none where it is not there, or ends amid a line, as a machine that lost its power may leave it."""
        try:
            with open(f"{self.root}/{self._place(asset, day, NOTE)}", encoding="utf-8") as note:  # noqa: PTH123, see above
                found = note.read()
        except FileNotFoundError:
            return []
        return found.split("\n") if found.endswith("}") else []

    @staticmethod
    def _place(asset: str, day: date | None, name: str) -> str:
        """A file's path below the lake."""
        return f"{asset}/{DAY}{day.isoformat()}/{name}" if day else f"{asset}/{name}"

    @staticmethod
    def _publish(staged: UPath, target: UPath, note: str | None = None) -> None:
        """The note comes last, and whole or not at all: where it is missing, the partition counts as not made."""
        target.parent.mkdir(parents=True, exist_ok=True)
        beside, written = target.with_name(NOTE), staged.with_suffix(".jsonl")
        if note is not None:
            written.write_text(note, encoding="utf-8")
        beside.unlink(missing_ok=True)
        staged.replace(target)
        if note is not None:
            written.replace(beside)

    @contextmanager
    def _staging(self) -> Iterator[UPath]:
        folder = self.root / STAGING / uuid.uuid4().hex
        folder.mkdir(parents=True)
        self._sweep(folder.parent)
        try:
            yield folder
        finally:
            shutil.rmtree(str(folder))

    @staticmethod
    def _sweep(staging: UPath) -> None:
        """Remove what runs that were killed left behind; no write takes a day."""
        for left in staging.iterdir():
            if left.stat().st_mtime < time.time() - SECONDS_PER_DAY:
                shutil.rmtree(str(left), ignore_errors=True)


def _expression(rows: Rows, layout: schema.Table) -> ir.Table:
    if isinstance(rows, pd.DataFrame):
        return layout.conform(ibis.memtable(rows, schema=layout.ibis_schema))
    if isinstance(rows, ir.Table):
        return rows
    raise TypeError(f"{layout.asset}: expected a table, got {type(rows).__name__}")


def day_of(folder: str) -> date | None:
    """The day that a folder holds; None of any other, such as one that was set aside as `date=2025-07-16.bak`."""
    if not folder.startswith(DAY):
        return None
    try:
        day = date.fromisoformat(folder.removeprefix(DAY))
    except ValueError:
        return None
    return day if folder == f"{DAY}{day}" else None


def in_ranges(days: Sequence[date]) -> str:
    """Days for people: `2011-01-01 to 2011-01-31, 2011-03-05`."""
    if not days:
        return ""
    ordered = sorted(days)
    breaks = [later for earlier, later in pairwise(ordered) if later - earlier > timedelta(days=1)]
    starts = [ordered[0], *breaks]
    ends = [*(max(day for day in ordered if day < start) for start in breaks), ordered[-1]]
    stretches = [f"{start}" if start == end else f"{start} to {end}" for start, end in zip(starts, ends, strict=True)]
    more = [f"and {len(stretches) - RANGES_SHOWN} more stretches"] if len(stretches) > RANGES_SHOWN else []
    return ", ".join(stretches[:RANGES_SHOWN] + more)
