"""Parquet files whose bytes depend on their rows alone.

Belongs here: cutting a stream of sorted batches into one file per day, in row groups of a fixed size.
Does not: producing the stream (engines/), where files belong (lake.py).

The engine's own writer breaks runs of equal values wherever its batches happen to end, so one night and a range of
days would leave different bytes. Here rows are gathered into whole row groups first. Days are gathered whole, to be
written beside each other, but for those of many row groups: memory is a few row groups for each thread.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date
from itertools import chain, groupby
from operator import itemgetter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from upath import UPath

ROWS_PER_GROUP = 122_880
GROUPS_GATHERED = 4
NUMBERS = "source_row"


def write_file(batches: Iterator[pa.RecordBatch], schema: pa.Schema, file: UPath) -> None:
    """Write a stream of batches into one file."""
    with _writer(file, schema) as writer:
        for group in _groups(batches, schema):
            writer.write_table(group, row_group_size=ROWS_PER_GROUP)


def write_by_day(
    batches: Iterator[pa.RecordBatch], schema: pa.Schema, files: Mapping[date, UPath], threads: int
) -> None:
    """Write a stream that is sorted by `date` into one file per day; a day without rows gets an empty file.

    Args:
        batches: Rows of the days of `files`, and of no other day.
        schema: Columns and types of the files.
        files: Where each day goes.
        threads: Files encoded at once.
    """
    waiting = dict(files)
    with ThreadPoolExecutor(threads) as pool:
        written: list[Future[None]] = []
        for day, dated in groupby(_by_day(batches), itemgetter(0)):
            rows, file = (batch for _day, batch in dated), waiting.pop(day)
            gathered, is_whole = _gathered(rows)
            if is_whole:
                written.append(pool.submit(write_file, iter(gathered), schema, file))
            else:
                write_file(chain(gathered, rows), schema, file)
            if len(written) > threads:
                written.pop(0).result()
        written += [pool.submit(write_file, iter(()), schema, file) for file in waiting.values()]
        for each in written:
            each.result()


def _by_day(batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[date, pa.RecordBatch]]:
    """The batches, cut where the day changes."""
    for batch in batches:
        runs = pc.run_end_encode(batch.column("date"))
        start = 0
        for day, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
            yield day, batch.slice(start, end - start)
            start = end


def _gathered(rows: Iterator[pa.RecordBatch]) -> tuple[list[pa.RecordBatch], bool]:
    """The first batches of a day, and whether they are all that it has."""
    gathered, count = [], 0
    for batch in rows:
        gathered.append(batch)
        count += batch.num_rows
        if count > ROWS_PER_GROUP * GROUPS_GATHERED:
            return gathered, False
    return gathered, True


def _groups(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """Tables of exactly ROWS_PER_GROUP rows, the last one shorter, each in one piece."""
    pending: list[pa.Table] = []
    rows = 0
    for batch in batches:
        pending.append(pa.table(batch).cast(schema))
        rows += batch.num_rows
        while rows >= ROWS_PER_GROUP:
            whole = pa.concat_tables(pending)
            yield whole.slice(0, ROWS_PER_GROUP).combine_chunks()
            pending, rows = [whole.slice(ROWS_PER_GROUP)], rows - ROWS_PER_GROUP
    if rows:
        yield pa.concat_tables(pending).combine_chunks()


def _writer(file: UPath, schema: pa.Schema) -> pq.ParquetWriter:
    """A writer; row numbers are kept as differences, since a dictionary of what never repeats is built in vain."""
    encodings: dict[str, Any] = {}
    if NUMBERS in schema.names:
        encodings["use_dictionary"] = [name for name in schema.names if name != NUMBERS]
        encodings["column_encoding"] = {NUMBERS: "DELTA_BINARY_PACKED"}
    return pq.ParquetWriter(str(file), schema, compression="zstd", store_decimal_as_integer=True, **encodings)
