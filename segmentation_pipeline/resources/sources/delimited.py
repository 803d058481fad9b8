"""Delimited text: the rows of a csv or csv.gz file, every cell as text.

Belongs here: separators, encodings, broken lines, quotes that are never closed. Does not: writing Parquet (conversion.py).
"""

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from segmentation_pipeline.resources.sources.headers import (
    HEADER_ROWS_SEARCHED,
    SourceError,
    fullest,
    header_row,
    positions,
)
from segmentation_pipeline.settings import Files

SNIFFED_BYTES = 65_536
LONGEST_CELL = 2**24
DELIMITERS = ",;\t|"


@dataclass(frozen=True)
class Head:
    """How a file begins: its column names, the place of that row (from 1, blank lines not counted), its separator."""

    header: Sequence[str]
    number: int
    delimiter: str


def csv_rows(file: Path, source: Files) -> Iterator[pa.RecordBatch]:
    """Rows by canonical column name, with their numbers below the header; a line of too few or many cells as `broken_line`.

    Raises:
        SourceError: It is empty, damaged, not in the configured encoding, lacks a mapped column, or a quote in it is
            never closed.
    """
    try:
        with _opened(file) as opened:
            start = opened.read(SNIFFED_BYTES)
        head = _head(start, file, source)
        columns = positions(head.header, source.columns.mapped(), file)
        yield from _parsed(file, source, head, columns)
    except (pa.ArrowInvalid, UnicodeDecodeError) as problem:
        raise _undecodable(file, source.encoding) or SourceError(
            f"{file}: cannot be read as csv ({problem}). Check its quotes and separators, or deliver it again."
        ) from problem
    except (OSError, EOFError, zlib.error) as problem:
        raise SourceError(f"{file}: cannot be read ({problem}). Deliver it again.") from problem


def _opened(file: Path) -> BinaryIO:
    return gzip.open(file) if _is_zipped(file) else file.open("rb")  # type: ignore[return-value]


def _is_zipped(file: Path) -> bool:
    return file.name.lower().endswith(".gz")


def _head(start: bytes, file: Path, source: Files) -> Head:
    """The header row and the separator under which it holds the mapped columns."""
    text = codecs.getincrementaldecoder(source.encoding)(errors="replace").decode(start).removeprefix("\ufeff")
    if not text.strip():
        raise SourceError(f"{file}: is empty: not even a header row. Remove it, or deliver it again.")
    wanted = source.columns.mapped()
    heads = {delimiter: _records(text, delimiter) for delimiter in source.delimiter or DELIMITERS}
    for delimiter, records in heads.items():
        place = header_row(records, wanted)
        if place is not None:
            return Head(records[place], place + 1, delimiter)
    if "\ufffd" in text and (problem := _undecodable(file, source.encoding)):
        raise problem
    likely = max(heads, key=lambda each: len(fullest(heads[each])))
    return Head(fullest(heads[likely]), 1, likely)


def _records(text: str, delimiter: str) -> list[list[str]]:
    """The first rows of a text; lines without any character are no rows, as for the parser."""
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        return list(islice((row for row in rows if row), HEADER_ROWS_SEARCHED))
    except csv.Error:
        return []


def _parsed(file: Path, source: Files, head: Head, columns: Mapping[str, int]) -> Iterator[pa.RecordBatch]:
    broken: dict[int, str] = {}

    def remember(row: pa_csv.InvalidRow) -> str:
        broken[row.number] = row.text
        return "skip"

    names = [str(place) for place in range(len(head.header))]
    reader = pa_csv.open_csv(
        pa.input_stream(str(file), compression="gzip" if _is_zipped(file) else None),
        read_options=pa_csv.ReadOptions(column_names=names, use_threads=False, encoding=_strict(source.encoding)),
        parse_options=pa_csv.ParseOptions(
            delimiter=head.delimiter, newlines_in_values=True, invalid_row_handler=remember
        ),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False, include_columns=names
        ),
    )
    last = 0
    for batch in reader:
        numbers = _numbers(batch.num_rows, last, broken)
        last = max(numbers, default=last)
        if any(_may_swallow_lines(cells, head) for cells in batch.columns):
            _check_quotes(file, source.encoding, head.delimiter)
        below = pa.array(numbers, pa.int64())
        data = [batch.column(str(place)) for place in columns.values()]
        rows = _batch(columns, data, pa.nulls(batch.num_rows, pa.string()), pc.subtract(below, head.number))
        yield rows.filter(pc.greater(below, head.number))
    lines = {number - head.number: text for number, text in broken.items() if number > head.number}
    texts, nothing = pa.array(list(lines.values()), pa.string()), pa.nulls(len(lines), pa.string())
    if _may_swallow_lines(texts, head):
        _check_quotes(file, source.encoding, head.delimiter)
    yield _batch(columns, [nothing] * len(columns), texts, pa.array(list(lines), pa.int64()))


def _strict(encoding: str) -> str:
    """The encoding under a name that makes the parser decode: it takes plain UTF-8 on trust, and stumbles over it later."""
    return "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding


def _numbers(rows: int, after: int, broken: Mapping[int, str]) -> list[int]:
    """Numbers of the next rows; the parser leaves out the broken rows, which it reported before, and counts them."""
    numbers: list[int] = []
    number = after
    while len(numbers) < rows:
        number += 1
        if number not in broken:
            numbers.append(number)
    return numbers


def _batch(columns: Mapping[str, int], data: Sequence[pa.Array], broken: pa.Array, numbers: pa.Array) -> pa.RecordBatch:
    return pa.record_batch([*data, broken, numbers], names=[*columns, "broken_line", "source_row"])


def _may_swallow_lines(cells: pa.Array, head: Head) -> bool:
    """Whether a text of several lines holds as many separators as a row, as if a quote in it were never closed."""
    texts = cells.filter(pc.match_substring_regex(cells, "[\r\n]"))
    counts = pc.count_substring(texts, head.delimiter)
    return len(texts) > 0 and 0 < len(head.header) - 1 <= pc.max(counts).as_py()


def _check_quotes(file: Path, encoding: str, delimiter: str) -> None:
    """Read a suspicious file by the letter.

    Raises:
        SourceError: A quote is never closed, or followed by something other than a separator.
    """
    line = 0
    with _opened(file) as opened, io.TextIOWrapper(opened, encoding, errors="replace", newline="") as text:
        csv.field_size_limit(LONGEST_CELL)
        rows = csv.reader(text, delimiter=delimiter, strict=True)
        try:
            for _row in rows:
                line = rows.line_num
        except csv.Error as problem:
            if "field larger than" in str(problem):
                raise SourceError(
                    f"{file}: the row that begins in line {line + 1} has a cell of more than {LONGEST_CELL:,} signs, or a quote "
                    "that is not closed. Close it, or shorten the cell, and deliver the file again."
                ) from problem
            raise SourceError(
                f"{file}: the row that begins in line {line + 1} has a quote that is not closed, so it swallows the next lines. "
                "Close it, or double a quote that is part of the text, and deliver the file again."
            ) from problem


def _undecodable(file: Path, encoding: str) -> SourceError | None:
    """The error that names the first line whose bytes are not in the encoding; None if all are."""
    decoder, line, before = codecs.getincrementaldecoder(encoding)(), 1, ""
    with _opened(file) as opened:
        for part in iter(lambda: opened.read(SNIFFED_BYTES), b""):
            try:
                text = decoder.decode(part)
            except UnicodeDecodeError as wrong:
                readable = before + wrong.object[: wrong.start].decode(encoding, errors="replace")
                line += readable.count("\n") - before.count("\n")
                near = readable.rsplit("\n", 1)[-1][-20:]
                likely = (
                    "utf-16"
                    if wrong.object.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
                    else "latin-1 or cp1252"
                )
                return SourceError(
                    f"{file}: line {line} is not {encoding} (byte {wrong.object[wrong.start]:#04x} after {near!r}). "
                    f"Set source.encoding, for example to {likely}."
                )
            line += text.count("\n")
            before = text[-200:]
    return None
