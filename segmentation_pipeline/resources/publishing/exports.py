"""The export folder: what changed since the previous export, as files that marketing tools take in.

Belongs here: names, what a day is compared with, writing and forgetting, each file whole or not at all.
Does not: comparing (core/changes.py), the format of csv (spreadsheets.py).

    <exports>/date=YYYY-MM-DD/segment_changes.parquet
                             /segment_changes.csv      the same rows
                             /export.json              as_of, since, and what the files were made from; written last
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date

import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from upath import UPath

from segmentation_pipeline.core import schema
from segmentation_pipeline.core.changes import flows
from segmentation_pipeline.resources import parquet
from segmentation_pipeline.resources.lake import Lake, day_of
from segmentation_pipeline.resources.publishing import spreadsheets

PARQUET = "segment_changes.parquet"
CSV = "segment_changes.csv"
NOTE = "export.json"
SNAPSHOT = "customer_segments"


@dataclass(frozen=True)
class Note:
    """What an export was made from.

    Attributes:
        as_of: Its day.
        since: The day it was compared with, if any.
        inputs: Digest of what it was made from (resources/freshness.py).
        snapshot: Digest of the day's customers.
    """

    as_of: str
    since: str | None
    inputs: str
    snapshot: str | None


class ExportFolder:
    """Exports below one folder.

    Args:
        root: The folder; made when first written to.
        lake: Holds the snapshots that are compared.
    """

    def __init__(self, root: UPath, lake: Lake) -> None:
        self.root = root
        self._lake = lake

    def folder(self, day: date) -> UPath:
        """Where the files of a day are."""
        return self.root / f"date={day.isoformat()}"

    def since(self, day: date) -> date | None:
        """The day to compare with: the newest earlier one that was exported from the customers that are in the lake now.

        One whose customers were computed again since is passed over: what was exported of it is no longer known.
        """
        found = (day_of(folder.name) for folder in self.root.glob("date=*"))
        for earlier in sorted((each for each in found if each and each < day), reverse=True):
            note, snapshot = self._note(earlier), self._lake.inputs(SNAPSHOT, earlier)
            if note and snapshot and note.snapshot == snapshot and self._lake.file(SNAPSHOT, earlier).exists():
                return earlier
        return None

    def write(self, day: date, since: date | None, changes: ir.Table, inputs: str) -> UPath:
        """Write a day's files and return their folder; the same changes give the same bytes.

        Args:
            day: The as-of day.
            since: The day it was compared with.
            changes: `schema.SEGMENT_EXPORT`.
            inputs: What they were made from.
        """
        folder, layout = self.folder(day), schema.SEGMENT_EXPORT
        folder.mkdir(parents=True, exist_ok=True)
        (folder / NOTE).unlink(missing_ok=True)
        _replace(folder / PARQUET, lambda staged: self._lake.engine.write(changes, layout, staged))
        rows = _batches(folder / PARQUET)
        _replace(folder / CSV, lambda staged: spreadsheets.write(rows, layout.names, staged))
        snapshot = self._lake.inputs(SNAPSHOT, day)
        note = Note(day.isoformat(), since.isoformat() if since else None, inputs, snapshot)
        _replace(folder / NOTE, lambda staged: staged.write_text(json.dumps(asdict(note), indent=2)))
        return folder

    def flows(self, day: date) -> pd.DataFrame:
        """How many customers of a day's export went from which segment to which."""
        return self._lake.engine.to_pandas(flows(self._lake.engine.read_parquet([self.folder(day) / PARQUET])))

    def inputs(self, day: date) -> str | None:
        """What the export of a day was made from; None if there is none or its writing was cut short."""
        note = self._note(day)
        return note.inputs if note else None

    def forget(self, customer_ids: Sequence[str]) -> dict[str, int]:
        """Rewrite every file that has a row about some customers without those rows.

        Returns:
            How many rows there were, in files of each name.
        """
        removed, ids = {PARQUET: 0, CSV: 0}, set(customer_ids)
        for folder in sorted(self.root.glob("date=*"), key=str):
            for left in folder.glob(".*"):  # of a run that was killed while it wrote
                left.unlink()
            for name, without in ((PARQUET, _parquet_without), (CSV, _csv_without)):
                if (folder / name).exists():
                    removed[name] += without(folder / name, ids)
        return removed

    def _note(self, day: date) -> Note | None:
        folder = self.folder(day)
        is_whole = all((folder / name).exists() for name in (PARQUET, CSV, NOTE))
        return Note(**json.loads((folder / NOTE).read_text())) if is_whole else None


def _replace(target: UPath, write: Callable[[UPath], object]) -> None:
    """Put a file in place of the one that is there, in one step."""
    staged = _staged(target)
    try:
        write(staged)
        staged.replace(target)
    finally:
        staged.unlink(missing_ok=True)


def _staged(target: UPath) -> UPath:
    return target.with_name(f".{target.name}")


def _batches(file: UPath) -> Iterator[pa.RecordBatch]:
    yield from pq.ParquetFile(str(file)).iter_batches(spreadsheets.BATCH_ROWS)


def _parquet_without(file: UPath, ids: set[str]) -> int:
    wanted = pa.array(sorted(ids), pa.string())
    opened = pq.ParquetFile(str(file))
    found = sum(
        pc.sum(pc.is_in(batch.column("customer_id"), value_set=wanted)).as_py() or 0
        for batch in opened.iter_batches(columns=["customer_id"])
    )
    if found:
        kept = (
            batch.filter(pc.invert(pc.is_in(batch.column("customer_id"), value_set=wanted))) for batch in _batches(file)
        )
        _replace(file, lambda staged: parquet.write_file(kept, opened.schema_arrow, staged))
    return found


def _csv_without(file: UPath, ids: set[str]) -> int:
    """The copy takes the file's place only if it is shorter, so that the others keep their time of change."""
    staged = _staged(file)
    try:
        found = spreadsheets.without(file, "customer_id", ids, staged)
        if found:
            staged.replace(file)
    finally:
        staged.unlink(missing_ok=True)
    return found
