"""Workbooks: the rows of the first sheet of an xlsx file, every cell as text.

Belongs here: header rows below a title, cells of any type as text. Does not: writing Parquet (conversion.py).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from itertools import chain, islice
from pathlib import Path

import pyarrow as pa

from segmentation_pipeline.resources.sources.headers import (
    HEADER_ROWS_SEARCHED,
    SourceError,
    fullest,
    header_row,
    positions,
)
from segmentation_pipeline.settings import NUMBERS, Files

ROWS_PER_BATCH = 50_000


def xlsx_rows(file: Path, source: Files) -> Iterator[pa.RecordBatch]:
    """Rows by canonical column name, with their numbers below the header; blank rows are left out.

    Raises:
        SourceError: It is no workbook, or none of its first rows holds every mapped column.
    """
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        rows = iter(CalamineWorkbook.from_path(str(file)).get_sheet_by_index(0).iter_rows())
    except (CalamineError, OSError, ValueError, IndexError) as problem:
        raise SourceError(
            f"{file}: is no readable xlsx workbook ({problem}). Save it again as xlsx, or as csv."
        ) from problem
    wanted = source.columns.mapped()
    head: list[Sequence[object]] = list(islice(rows, HEADER_ROWS_SEARCHED))
    names = [[_text(cell) or "" for cell in row] for row in head]
    found = header_row(names, wanted)
    columns = positions(fullest(names) if found is None else names[found], wanted, file)
    below = chain(head[(found or 0) + 1 :], rows)
    yield from _batches(below, columns, source.decimal)


def _batches(rows: Iterable[Sequence[object]], columns: Mapping[str, int], decimal: str) -> Iterator[pa.RecordBatch]:
    numbered = ((number, row) for number, row in enumerate(rows, start=1) if any(_text(cell) for cell in row))
    while part := list(islice(numbered, ROWS_PER_BATCH)):
        cells = [
            pa.array([_text(row[place], decimal if name in NUMBERS else ".") for _, row in part], pa.string())
            for name, place in columns.items()
        ]
        numbers = pa.array([number for number, _ in part], pa.int64())
        yield pa.record_batch(
            [*cells, pa.nulls(len(part), pa.string()), numbers], names=[*columns, "broken_line", "source_row"]
        )


def _text(cell: object, decimal: str = ".") -> str | None:
    """A cell as text: whole numbers without `.0`, others as this source writes them, moments as ISO 8601, blank as None."""
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() else str(cell).replace(".", decimal)
    if isinstance(cell, datetime):
        return cell.isoformat(sep=" ")
    if isinstance(cell, (date, time)):
        return cell.isoformat()
    text = "" if cell is None else str(cell)
    return text or None
