"""Conversion: csv and xlsx files become Parquet once, every cell as text, every row with its number.

Belongs here: separators, encodings, broken lines, header rows.
Does not: types and rules (core/cleaning.py), Parquet sources, which the engine reads as they are.
"""

import csv
import gzip
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from difflib import get_close_matches
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from segmentation_pipeline.errors import PipelineError
from segmentation_pipeline.settings import Source

SNIFFED_CHARACTERS = 65_536
HEADER_ROWS_SEARCHED = 20
ROWS_PER_BATCH = 50_000


class SourceError(PipelineError):
    """A source that cannot be read; the message says which file, what is wrong with it, and what to do."""


def converter(name: str) -> Callable[[Path, Path, Source], None] | None:
    """How to convert a file of this name, or None for one that the engine reads itself."""
    lowered = name.lower()
    if lowered.endswith((".csv", ".csv.gz")):
        return convert_csv
    return convert_xlsx if lowered.endswith(".xlsx") else None


def convert_csv(file: Path, target: Path, source: Source) -> None:
    """Write a csv or csv.gz file as Parquet with canonical column names, `source_row` and `broken_line`.

    Raises:
        SourceError: It is empty, not in the configured encoding, or lacks a mapped column.
    """
    broken: dict[int, str] = {}

    def remember(row: pa_csv.InvalidRow) -> str:
        broken[row.number] = row.text
        return "skip"

    header, delimiter = _csv_header(file, source)
    columns = positions(header, source.columns.mapped(), file)
    names = [str(number) for number in range(len(header))]
    try:
        reader = pa_csv.open_csv(
            str(file),
            read_options=pa_csv.ReadOptions(
                column_names=names, skip_rows=1, use_threads=False, encoding=source.encoding
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, invalid_row_handler=remember
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False, include_columns=names
            ),
        )
        _write(target, columns, _numbered(reader, columns, broken))
    except (pa.ArrowInvalid, UnicodeDecodeError) as problem:
        raise SourceError(_csv_problem(file, source, problem)) from problem


def convert_xlsx(file: Path, target: Path, source: Source) -> None:
    """Write the first sheet of an xlsx file likewise; a title above the header row is passed over.

    Raises:
        SourceError: It is no workbook, or none of its first rows holds every mapped column.
    """
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        rows = CalamineWorkbook.from_path(str(file)).get_sheet_by_index(0).iter_rows()
    except (CalamineError, OSError, ValueError, IndexError) as problem:
        raise SourceError(
            f"{file}: is no readable xlsx workbook ({problem}). Save it again as xlsx, or as csv."
        ) from problem
    wanted = source.columns.mapped()
    head = [[_cell(cell) or "" for cell in row] for row in islice(rows, HEADER_ROWS_SEARCHED)]
    found = next(
        (number for number, row in enumerate(head) if set(wanted.values()) <= {cell.strip() for cell in row}), None
    )
    if found is None:
        fullest = max(head, key=lambda row: sum(bool(cell) for cell in row), default=[])
        positions(fullest, wanted, file)
    header = head[found or 0]
    columns = positions(header, wanted, file)
    body = chain(head[(found or 0) + 1 :], ([_cell(cell) for cell in row] for row in rows))
    _write(target, columns, _batches(body, columns))


def positions(header: Sequence[str], wanted: Mapping[str, str], file: Path) -> dict[str, int]:
    """Canonical name to the place of its column in the header.

    Raises:
        SourceError: A mapped column is missing or there twice.
    """
    names = [name.strip() for name in header]
    missing = [name for name in wanted.values() if name not in names]
    if missing:
        hints = [close[0] for name in missing if (close := _closest(name, names))]
        raise SourceError(
            f"{file}: has no column {', '.join(map(repr, missing))}. Its columns are: {', '.join(names) or '(none)'}."
            + (f" Did you mean {', '.join(map(repr, hints))}?" if hints else "")
            + " Correct source.columns in the configuration."
        )
    twice = [name for name in wanted.values() if names.count(name) > 1]
    if twice:
        raise SourceError(f"{file}: has column {', '.join(map(repr, twice))} more than once. Rename one of them.")
    return {canonical: names.index(name) for canonical, name in wanted.items()}


def _closest(name: str, names: Sequence[str]) -> list[str]:
    folded = {each.lower(): each for each in names}
    return [folded[close] for close in get_close_matches(name.lower(), folded, n=1)]


def _opened(file: Path) -> BinaryIO:
    return gzip.open(file) if file.name.lower().endswith(".gz") else file.open("rb")  # type: ignore[return-value]


def _csv_header(file: Path, source: Source) -> tuple[list[str], str]:
    try:
        with _opened(file) as opened:
            start = opened.read(SNIFFED_CHARACTERS)
    except (OSError, EOFError) as problem:
        raise SourceError(f"{file}: cannot be read ({problem}). Deliver it again.") from problem
    text = start.decode(
        "utf-8-sig" if source.encoding.lower() in ("utf-8", "utf8") else source.encoding, errors="replace"
    )
    line = text.split("\n", 1)[0].rstrip("\r")
    if not line.strip():
        raise SourceError(f"{file}: is empty: not even a header row. Remove it, or deliver it again.")
    delimiter = source.delimiter or max(",;\t|", key=line.count)
    return next(csv.reader([line], delimiter=delimiter)), delimiter


def _csv_problem(file: Path, source: Source, problem: Exception) -> str:
    """What is wrong with a csv file; names the first row whose bytes are not in the encoding, if that is it."""
    with _opened(file) as opened:
        for number, line in enumerate(opened):
            try:
                line.decode(source.encoding)
            except UnicodeDecodeError as wrong:
                return (
                    f"{file}: row {number} is not {source.encoding} (byte {wrong.object[wrong.start]:#04x} after "
                    f"{line[: wrong.start][-20:]!r}). Set source.encoding, for example to latin-1 or cp1252."
                )
    return f"{file}: cannot be read as csv ({problem}). Check its quotes and separators, or deliver it again."


def _numbered(
    reader: pa_csv.CSVStreamingReader, columns: Mapping[str, int], broken: Mapping[int, str]
) -> Iterator[pa.RecordBatch]:
    """Batches with row numbers; the parser counts the header as row 1, and leaves out the broken rows it reports."""
    line = 1
    told: set[int] = set()
    for batch in reader:
        numbers = []
        while len(numbers) < batch.num_rows:
            line += 1
            if line not in broken:
                numbers.append(line - 1)
        told.update(numbers)
        data = [batch.column(str(place)) for place in columns.values()]
        yield _batch(columns, data, [None] * batch.num_rows, numbers)
    nothing = pa.nulls(len(broken), pa.string())
    yield _batch(columns, [nothing] * len(columns), list(broken.values()), [number - 1 for number in broken])


def _batches(rows: Iterator[Sequence[str | None]], columns: Mapping[str, int]) -> Iterator[pa.RecordBatch]:
    numbered = ((number, row) for number, row in enumerate(rows, start=1) if any(row))
    while part := list(islice(numbered, ROWS_PER_BATCH)):
        data = [pa.array([row[place] or None for _, row in part], pa.string()) for place in columns.values()]
        yield _batch(columns, data, [None] * len(part), [number for number, _ in part])


def _batch(
    columns: Mapping[str, int], data: Sequence[pa.Array], broken: Sequence[str | None], numbers: Sequence[int]
) -> pa.RecordBatch:
    return pa.record_batch(
        [*data, pa.array(broken, pa.string()), pa.array(numbers, pa.int64())],
        names=[*columns, "broken_line", "source_row"],
    )


def _write(target: Path, columns: Mapping[str, int], batches: Iterator[pa.RecordBatch]) -> None:
    fields = [*((name, pa.string()) for name in (*columns, "broken_line")), ("source_row", pa.int64())]
    with pq.ParquetWriter(target, pa.schema(fields), compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)


def _cell(value: object) -> str | None:
    """A workbook's cell as text: whole numbers without `.0`, moments as ISO 8601, nothing as None."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, (date, time)):
        return value.isoformat()
    text = "" if value is None else str(value)
    return text or None
