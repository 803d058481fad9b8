"""CSV files that are safe to open in a spreadsheet.

Belongs here: how a cell is written, streaming rows to and from a file. Does not: where files belong (exports.py).

The format is RFC 4180 in UTF-8. A spreadsheet takes text that begins like a formula for one, whoever wrote it: such a
cell gets an apostrophe in front, which spreadsheets do not show. Numbers and days are written as they are.

Source: OWASP, CSV Injection.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
from upath import UPath

BATCH_ROWS = 20_000
ENCODING = "utf-8"

# What a formula begins with, in its usual and its full width, behind blanks and quotes too; a tab or line break at the
# start may be dropped by the reader, which then sees what follows.
_FORMULA = re.compile(r"""[\t\r\n]|[\s\x00-\x20\ufeff\u200b'"]*[=+\-@＝＋－＠]""")  # noqa: RUF001 - full-width on purpose


def guarded(text: str) -> str:
    """Text as a cell that no spreadsheet calculates."""
    return f"'{text}" if _FORMULA.match(text) else text


def write(batches: Iterable[pa.RecordBatch], columns: Sequence[str], file: UPath) -> None:
    """Write a stream of batches with a header; nothing is an empty cell.

    Args:
        batches: Rows.
        columns: Their names, in order.
        file: Where to.
    """
    with file.open("w", encoding=ENCODING, newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(columns)
        for batch in batches:
            for start in range(0, batch.num_rows, BATCH_ROWS):
                writer.writerows(_rows(batch.slice(start, BATCH_ROWS)))


def without(file: UPath, column: str, values: set[str], target: UPath) -> int:
    """Copy a file without the rows that have one of some values in a column, and return how many those are."""
    cells, left_out = {guarded(value) for value in values}, 0
    with (
        file.open("r", encoding=ENCODING, newline="") as opened,
        target.open("w", encoding=ENCODING, newline="") as copy,
    ):
        reader, writer = csv.reader(opened), csv.writer(copy)
        header = next(reader)
        place = header.index(column)
        writer.writerow(header)
        for row in reader:
            if row[place] in cells:
                left_out += 1
            else:
                writer.writerow(row)
    return left_out


def _rows(batch: pa.RecordBatch) -> Iterator[tuple[str | None, ...]]:
    return zip(*(_cells(column) for column in batch.columns), strict=True)


def _cells(column: pa.Array) -> list[str | None]:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return [None if text is None else guarded(text) for text in column.to_pylist()]
    cells: list[str | None] = column.cast(pa.string()).to_pylist()
    return cells
