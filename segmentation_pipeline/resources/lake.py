"""The lake: which file holds which day of which asset, and how a file becomes visible.

Belongs here: paths, staging and publishing, reading by day, what each partition was made from.
Does not: Dagster's contexts (io_manager.py), expressions (core/).

    <lake>/<asset>/date=YYYY-MM-DD/part-0.parquet    and beside it `inputs.txt`, see `freshness.py`
    <lake>/<asset>/part-0.parquet                    for an asset without days

A partition is one file, written elsewhere on the same file system and renamed into place: it is there whole or not at
all, and a reader that has the old one open keeps it.
"""

import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from itertools import pairwise

import ibis.expr.types as ir
import pyarrow.parquet as pq
from upath import UPath

from segmentation_pipeline.core import schema
from segmentation_pipeline.errors import PipelineError
from segmentation_pipeline.resources.engine import DuckDBEngine

PART = "part-0.parquet"
INPUTS = "inputs.txt"
STAGING = ".staging"
SECONDS_PER_DAY = 86_400


class MissingPartitions(PipelineError):
    """Days that an expression needs are not in the lake; the message lists them."""


class Lake:
    """Tables as Parquet files below one folder.

    Args:
        root: The folder; made when first written to.
        engine: Reads and writes the files.
    """

    def __init__(self, root: UPath, engine: DuckDBEngine) -> None:
        self.root = root
        self.engine = engine

    def file(self, asset: str, day: date | None = None) -> UPath:
        """Where an asset's rows (of one day) are."""
        folder = self.root / asset
        return (folder / f"date={day.isoformat()}" if day else folder) / PART

    def days(self, asset: str) -> list[date]:
        """The days of an asset that are in the lake, in order."""
        found = (self.root / asset).glob(f"date=*/{PART}")
        return sorted(date.fromisoformat(file.parent.name.removeprefix("date=")) for file in found)

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

    def write(
        self, layout: schema.Table, table: ir.Table, inputs: Mapping[date, str] | None = None
    ) -> dict[date | None, int]:
        """Write an expression, replacing what was there, and return the rows of each day (or of None).

        Args:
            layout: The table's description.
            table: The rows; with days, all rows of each day of `inputs`.
            inputs: The days to write, and what each is made from.
        """
        with self._staging() as staging:
            staged: dict[date | None, UPath] = {}
            if inputs is None:
                staged[None] = staging / PART
                self.engine.write(table, layout, staging / PART)
            else:
                by_day = {day: staging / f"{day.isoformat()}.parquet" for day in inputs}
                self.engine.write_days(table, layout, by_day)
                staged.update((day, by_day[day]) for day in inputs)
            rows = {day: pq.read_metadata(str(file)).num_rows for day, file in staged.items()}
            for day, file in staged.items():
                self._publish(file, self.file(layout.asset, day), (inputs or {}).get(day) if day else None)
        return rows

    def inputs(self, asset: str, day: date) -> str | None:
        """What a partition was made from, as written with it; None if it is not there or its writing was cut short."""
        note = self.file(asset, day).with_name(INPUTS)
        return note.read_text() if note.exists() else None

    def _publish(self, staged: UPath, target: UPath, inputs: str | None) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        note = target.with_name(INPUTS)
        note.unlink(missing_ok=True)
        staged.replace(target)
        if inputs is not None:
            note.write_text(inputs)

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


def in_ranges(days: Sequence[date]) -> str:
    """Days for people: `2011-01-01 to 2011-01-31, 2011-03-05`."""
    if not days:
        return ""
    ordered = sorted(days)
    breaks = [later for earlier, later in pairwise(ordered) if later - earlier > timedelta(days=1)]
    starts = [ordered[0], *breaks]
    ends = [*(max(day for day in ordered if day < start) for start in breaks), ordered[-1]]
    return ", ".join(
        f"{start}" if start == end else f"{start} to {end}" for start, end in zip(starts, ends, strict=True)
    )
