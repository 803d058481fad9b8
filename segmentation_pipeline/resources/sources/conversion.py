"""Conversion: csv and xlsx files become Parquet once, every cell as text, every row with its number.

Belongs here: which files are converted, and the layout of what comes out, also of the days of a table; checking Parquet
files, which the engine reads as they are.
Does not: separators, encodings and broken lines (delimited.py), sheets (workbooks.py), queries (database.py), types and
rules (core/cleaning.py).
"""

import os
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from segmentation_pipeline.resources.engines.engine import ROW_COLUMN
from segmentation_pipeline.resources.sources.delimited import csv_rows
from segmentation_pipeline.resources.sources.headers import SourceError, positions
from segmentation_pipeline.resources.sources.workbooks import xlsx_rows
from segmentation_pipeline.settings import Files

# Converted files that the index no longer names may still be read by a run that began before it changed.
KEPT_SECONDS = 24 * 3600
COPIES = "*-*.parquet"
# What a process that was killed left of one.
UNFINISHED_COPIES = "*-*.staged"

Converter = Callable[[Path, Files], Iterator[pa.RecordBatch]]


def converter(name: str) -> Converter | None:
    """How to read a file of this name, or None for one that the engine reads itself."""
    lowered = name.lower()
    if lowered.endswith((".csv", ".csv.gz")):
        return csv_rows
    return xlsx_rows if lowered.endswith(".xlsx") else None


def write_converted(
    batches: Iterator[pa.RecordBatch], target: Path, columns: Collection[str], screen: Callable[[Path], None]
) -> None:
    """Write rows as Parquet with canonical column names, `broken_line` and `source_row`; whole or not at all.

    Args:
        batches: The rows.
        target: Where they go.
        columns: Canonical names.
        screen: Takes out of the file who is to be forgotten, before anyone can read it.

    Raises:
        SourceError: They cannot be read, or lack a mapped column.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    staged = target.with_suffix(f".{uuid.uuid4().hex}.staged")
    try:
        with pq.ParquetWriter(staged, _layout(columns), compression="zstd") as writer:
            for batch in batches:
                writer.write_batch(batch)
        screen(staged)
        staged.replace(target)
    finally:
        staged.unlink(missing_ok=True)


def check_parquet(path: Path, how: Files) -> None:
    """Check that a file, which the engine reads as it is, is Parquet, whole, and has the mapped columns.

    Raises:
        SourceError: It is not.
    """
    try:
        found = pq.read_schema(path)
    except (pa.ArrowInvalid, OSError) as problem:
        if path.suffix.lower() != ".parquet":
            raise SourceError(
                f"{path}: is no csv, csv.gz, parquet or xlsx file. Remove it, or let source.path name only such files."
            ) from problem
        raise SourceError(
            f"{path}: is no whole Parquet file ({path.stat().st_size:,} bytes; its end is missing or damaged). "
            f"Deliver it again. ({problem})"
        ) from problem
    positions(found.names, how.columns.mapped(), path)
    if ROW_COLUMN in (name.lower() for name in found.names):
        raise SourceError(f"{path}: has a column {ROW_COLUMN}, which the engine keeps for itself. Rename it.")


def forget(folder: Path, needed: Collection[Path], needed_before: Collection[Path]) -> None:
    """Remove converted files that are no longer needed, once no run can be reading them any more, or writing them.

    Args:
        folder: Where they are.
        needed: Those that are.
        needed_before: Those that were until now: a run may have begun with them just before.
    """
    for file in needed_before:
        if file.parent == folder and file not in needed:
            with suppress(FileNotFoundError):  # gone meanwhile, as whoever looks at the source comes here
                os.utime(file)
    for file in (*folder.glob(COPIES), *folder.glob(UNFINISHED_COPIES)):
        with suppress(FileNotFoundError):
            if file not in needed and file.stat().st_mtime < time.time() - KEPT_SECONDS:
                file.unlink()


def _layout(columns: Collection[str]) -> pa.Schema:
    return pa.schema([*((name, pa.string()) for name in (*columns, "broken_line")), ("source_row", pa.int64())])
