"""Conversion: csv and xlsx files become Parquet once, every cell as text, every row with its number.

Belongs here: which files are converted, where to, and the layout of what comes out.
Does not: separators, encodings and broken lines (delimited.py), sheets (workbooks.py), types and rules (core/cleaning.py),
Parquet sources, which the engine reads as they are.
"""

import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from segmentation_pipeline.resources.sources.delimited import csv_rows
from segmentation_pipeline.resources.sources.workbooks import xlsx_rows
from segmentation_pipeline.settings import Source

# Converted files that the index no longer names may still be read by a run that began before it changed.
KEPT_SECONDS = 24 * 3600

Converter = Callable[[Path, Source], Iterator[pa.RecordBatch]]


def converter(name: str) -> Converter | None:
    """How to read a file of this name, or None for one that the engine reads itself."""
    lowered = name.lower()
    if lowered.endswith((".csv", ".csv.gz")):
        return csv_rows
    return xlsx_rows if lowered.endswith(".xlsx") else None


def convert(file: Path, target: Path, source: Source, rows: Converter) -> None:
    """Write a file as Parquet with canonical column names, `broken_line` and `source_row`; whole or not at all.

    Raises:
        SourceError: It cannot be read, or lacks a mapped column.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    staged = target.with_suffix(f".{uuid.uuid4().hex}.staged")
    try:
        with pq.ParquetWriter(staged, _layout(source.columns.mapped()), compression="zstd") as writer:
            for batch in rows(file, source):
                writer.write_batch(batch)
        staged.replace(target)
    finally:
        staged.unlink(missing_ok=True)


def forget(folder: Path, needed: Collection[Path]) -> None:
    """Remove converted files that are no longer needed, once no run can be reading them any more."""
    for file in folder.glob("*-*.parquet"):
        if file not in needed and file.stat().st_mtime < time.time() - KEPT_SECONDS:
            file.unlink(missing_ok=True)


def _layout(columns: Mapping[str, str]) -> pa.Schema:
    return pa.schema([*((name, pa.string()) for name in (*columns, "broken_line")), ("source_row", pa.int64())])
