"""Files as a source: every shape in which shops deliver lines, what becomes of each row, and what is read again when."""

import gzip
import os
import shutil
from datetime import date, datetime, timedelta
from pathlib import Path

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from upath import UPath

from segmentation_pipeline.core import cleaning
from segmentation_pipeline.core.forgetting import Forgotten
from segmentation_pipeline.resources.engines.duckdb import DuckDBEngine
from segmentation_pipeline.resources.sources.files import FileSource
from segmentation_pipeline.resources.sources.headers import SourceError
from segmentation_pipeline.settings import load
from segmentation_tests.integration.shop_files import (
    COLUMNS,
    HEADER,
    configure,
    csv_text,
    sales,
    write_csv,
    write_parquet,
)

SALE = ("I1", "P1", "thing", 2, "2025-03-04 10:30:00", 1.5, 17850, "UK")


def opened(folder: Path, source: dict | None = None, **more: object) -> FileSource:
    settings = load(configure(folder, source, **more))
    return FileSource(settings, DuckDBEngine(settings.engine, settings.timezone), UPath(settings.lake / ".sources"))


def days_of(source: FileSource) -> list[date]:
    first, last = source.settings.start_date, source.settings.end_date
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def raw(source: FileSource, days: list[date] | None = None) -> pd.DataFrame:
    rows = source.rows(days or days_of(source))
    return source.engine.to_pandas(rows.order_by("source_file", "source_row"))


def judged(source: FileSource) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Accepted lines and rejected rows of the whole source."""
    raw = source.rows(days_of(source))
    rejected = cleaning.rejected(raw, source.settings)
    accepted = cleaning.accepted(raw, rejected, source.settings)
    ordered = [table.order_by("source_file", "source_row") for table in (accepted, rejected)]
    return source.engine.to_pandas(ordered[0]), source.engine.to_pandas(ordered[1])


def test_a_name_with_signs_of_a_pattern_is_that_file_and_no_other(tmp_path):
    lines = {name: [value] * 2 for name, value in zip(HEADER, SALE, strict=True)}
    write_parquet(tmp_path / "landing" / "sales1.parquet", lines)
    write_parquet(tmp_path / "landing" / "sales[1].parquet", {**lines, "When": ["2025-03-05 10:30:00"] * 2})
    write_parquet(tmp_path / "landing" / "sales?.parquet", {**lines, "When": ["2025-03-06 10:30:00"] * 2})
    source = opened(tmp_path)
    assert {file.path: file.rows for file in source.files()} == dict.fromkeys(
        ("sales1.parquet", "sales[1].parquet", "sales?.parquet"), 2
    )
    assert raw(source).groupby("source_file")["date"].agg(["size", "nunique"]).to_numpy().tolist() == [[2, 1]] * 3


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_quote_left_open_is_told_whatever_ends_a_line(tmp_path, end):
    rows = [SALE, (*SALE[:2], '"5 inch', *SALE[3:]), SALE, (*SALE[:2], '6" inch', *SALE[3:]), SALE]
    text = end.join(",".join(map(str, row)) for row in (HEADER, *rows)) + end
    (tmp_path / "landing").mkdir()
    (tmp_path / "landing" / "a.csv").write_bytes(text.encode())
    with pytest.raises(SourceError, match="begins in line 3 has a quote that is not closed"):
        opened(tmp_path).files()


def test_a_long_cell_of_several_lines_is_read(tmp_path):
    long = "\n".join(["a, b, c, d, e, f, g, h"] * 10_000)
    write_csv(tmp_path / "landing" / "a.csv", [(*SALE[:2], f'"{long}"', *SALE[3:])])
    assert raw(opened(tmp_path))["description"].tolist() == [long]


def test_a_damaged_beginning_of_a_zipped_file_is_told(tmp_path):
    whole = gzip.compress(csv_text([SALE] * 500).encode())
    (tmp_path / "landing").mkdir()
    (tmp_path / "landing" / "a.csv.gz").write_bytes(whole[:20] + b"\xff" * 40 + whole[60:])
    with pytest.raises(SourceError, match=r"a.csv.gz: cannot be read \(.*\). Deliver it again"):
        opened(tmp_path).files()


def test_a_name_that_is_not_utf_8_is_told(tmp_path):
    write_csv(tmp_path / "landing" / "a.csv", [SALE])
    (tmp_path / "landing" / "a.csv").rename(os.fsdecode(os.fsencode(tmp_path / "landing") + b"/Verk\xe4ufe.csv"))
    with pytest.raises(SourceError, match=r"Verk\?ufe.csv: the name of this file is not UTF-8. Rename it."):
        opened(tmp_path).files()


def test_a_comma_file_gives_every_cell_as_it_is_written(tmp_path):
    write_csv(tmp_path / "landing" / "a.csv", [SALE])
    (row,) = raw(opened(tmp_path)).to_dict("records")
    assert [row[name] for name in ("invoice_id", "quantity", "unit_price", "customer_id", "invoiced_at")] == [
        "I1", "2", "1.5", "17850", "2025-03-04 10:30:00",
    ]  # fmt: skip
    assert (str(row["date"])[:10], row["source_file"], row["source_row"]) == ("2025-03-04", "a.csv", 1)


SHAPES = {
    "byte order mark": (lambda text: b"\xef\xbb\xbf" + text.encode(), {}),
    "CRLF": (lambda text: text.replace("\n", "\r\n").encode(), {}),
    "no line end at the end": (lambda text: text.rstrip("\n").encode(), {}),
    "semicolons": (lambda text: text.replace(",", ";").encode(), {}),
    "tabs": (lambda text: text.replace(",", "\t").encode(), {}),
    "a stated delimiter": (lambda text: text.replace(",", "^").encode(), {"delimiter": "^"}),
    "the line Excel puts above": (lambda text: b"sep=;\n" + text.replace(",", ";").encode(), {}),
    "a title and blank lines above": (lambda text: b"Sales of March,,,,,,,\n\n" + text.encode(), {}),
    "latin-1": (lambda text: text.replace("thing", "thé").encode("latin-1"), {"encoding": "latin-1"}),
    "utf-16": (lambda text: text.encode("utf-16"), {"encoding": "utf-16"}),
    "blank lines between": (lambda text: text.replace("\n", "\n\n").encode(), {}),
    "every cell in quotes": (lambda text: ('"' + text.replace(",", '","').replace("\n", '"\n"'))[:-1].encode(), {}),
    "a quoted header with other delimiters in it": (
        lambda text: text.replace(
            "Description", '"Description; long; longer; even; more; than; that; is; it"'
        ).encode(),
        {"columns": {name: column for name, column in COLUMNS.items() if name != "description"}},
    ),
}


@pytest.mark.parametrize(("shape", "source"), SHAPES.values(), ids=SHAPES)
def test_a_csv_is_read_whatever_its_shape(tmp_path, shape, source):
    (tmp_path / "landing").mkdir()
    (tmp_path / "landing" / "a.csv").write_bytes(shape(csv_text(sales(20))))
    accepted, rejected = judged(opened(tmp_path, source))
    assert list(rejected["reason"]) == []
    assert list(accepted["source_row"]) == list(range(1, 21))
    assert float(accepted["amount"].sum()) == pytest.approx(sum(row[3] * row[5] for row in sales(20)), abs=0.01)


def test_a_zipped_csv_is_read_like_an_open_one(tmp_path):
    text = csv_text(sales(20)).encode()
    (tmp_path / "landing").mkdir()
    (tmp_path / "landing" / "a.csv.gz").write_bytes(gzip.compress(text))
    (tmp_path / "plain" / "landing").mkdir(parents=True)
    (tmp_path / "plain" / "landing" / "a.csv").write_bytes(text)
    zipped, plain = raw(opened(tmp_path)), raw(opened(tmp_path / "plain"))
    pd.testing.assert_frame_equal(zipped.drop(columns="source_file"), plain.drop(columns="source_file"))


def test_quoted_newlines_delimiters_and_quotes_belong_to_their_cell(tmp_path):
    text = csv_text([(*SALE[:2], '"a, ""b""\nc"', *SALE[3:]), ("I2", *SALE[1:])])
    (tmp_path / "landing").mkdir()
    (tmp_path / "landing" / "a.csv").write_text(text)
    rows = raw(opened(tmp_path))
    assert list(rows["description"]) == ['a, "b"\nc', "thing"]
    assert list(rows["source_row"]) == [1, 2]


def test_a_legitimate_text_of_several_lines_is_no_open_quote(tmp_path):
    columns = {"customer_id": "Customer", "invoiced_at": "When", "amount": "Total", "description": "Text"}
    text = '17850,2025-03-04,5,"High St,\nLondon, W1, UK, EU"\n17851,2025-03-04,6,"x"\n'
    (tmp_path / "landing").mkdir()
    (tmp_path / "landing" / "a.csv").write_text("Customer,When,Total,Text\n" + text)
    accepted, rejected = judged(opened(tmp_path, {"columns": columns}))
    assert (len(accepted), len(rejected)) == (2, 0)


def test_lines_with_too_few_or_too_many_cells_are_quarantined_with_their_text_and_row(tmp_path):
    lines = csv_text(sales(6)).splitlines()
    lines[2] = "I9,P1"
    lines[5] += ",one,more"
    (tmp_path / "landing").mkdir()
    (tmp_path / "landing" / "a.csv").write_text("\n".join(lines) + "\n")
    accepted, rejected = judged(opened(tmp_path))
    assert list(accepted["source_row"]) == [1, 3, 4, 6]
    assert list(accepted["invoice_id"]) == ["I00000", "I00002", "I00003", "I00005"]
    assert list(rejected["reason"]) == ["broken_line", "broken_line"]
    assert list(zip(rejected["source_row"], rejected["broken_line"], strict=True)) == [(2, lines[2]), (5, lines[5])]


def test_rows_keep_their_numbers_beyond_the_parsers_blocks(tmp_path):
    rows = [(f"I{number}", *SALE[1:]) for number in range(1, 60_001)]
    lines = csv_text(rows).splitlines()
    for number in range(1_000, 60_001, 1_000):
        lines[number] = f"broken {number}"
    (tmp_path / "landing").mkdir()
    (tmp_path / "landing" / "a.csv").write_text("\n".join(lines))
    found = raw(opened(tmp_path))
    whole, broken = found[found["broken_line"].isna()], found[found["broken_line"].notna()]
    assert (whole["invoice_id"] == "I" + whole["source_row"].astype(str)).all()
    assert (broken["broken_line"] == "broken " + broken["source_row"].astype(str)).all()
    assert (len(whole), len(broken)) == (59_940, 60)


def in_german(rows: list) -> list:
    return [(*row[:5], f"{row[5]:.2f}".replace(".", ","), *row[6:]) for row in rows]


def test_decimal_commas_are_read_when_the_source_says_so(tmp_path):
    (tmp_path / "landing").mkdir()
    (tmp_path / "landing" / "a.csv").write_text(csv_text(in_german(sales(20)), delimiter=";"))
    accepted, rejected = judged(opened(tmp_path, {"decimal": ","}))
    assert len(rejected) == 0
    assert float(accepted["amount"].sum()) == pytest.approx(sum(row[3] * row[5] for row in sales(20)), abs=0.01)


def test_decimal_commas_that_nobody_announced_are_quarantined(tmp_path):
    (tmp_path / "landing").mkdir()
    (tmp_path / "landing" / "a.csv").write_text(csv_text(in_german(sales(20)), delimiter=";"))
    accepted, rejected = judged(opened(tmp_path))
    assert len(accepted) == 0
    assert set(rejected["reason"]) == {"unreadable_price"}


def write_xlsx(file: Path, rows: list, title: str | None = None) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    book = openpyxl.Workbook()
    for row in [*([(title,), ()] if title else []), HEADER, *rows]:
        book.active.append(row)
    book.save(file)


TYPED = [
    (581475, "22699", "cup", 2, datetime(2025, 3, 4, 10, 30), 2.55, 17850, "UK"),
    (581476, "22699", "cup", 3, datetime(2025, 3, 5, 23, 30), 1000, 17850.0, "UK"),
]


@pytest.mark.parametrize("decimal", [".", ","])
def test_a_workbook_with_a_title_dates_and_numbers_is_read(tmp_path, decimal):
    write_xlsx(tmp_path / "landing" / "a.xlsx", TYPED, title="Sales of March")
    accepted, rejected = judged(opened(tmp_path, {"decimal": decimal}))
    assert len(rejected) == 0
    assert list(accepted["invoice_id"]) == ["581475", "581476"]
    assert list(accepted["customer_id"]) == ["17850", "17850"]
    assert [float(amount) for amount in accepted["amount"]] == [5.10, 3000]
    assert [str(day)[:10] for day in accepted["date"]] == ["2025-03-04", "2025-03-05"]
    assert list(accepted["source_row"]) == [1, 2]


@pytest.mark.parametrize("decimal", [".", ","])
def test_one_customer_is_one_customer_however_a_file_types_the_id(tmp_path, decimal):
    landing = tmp_path / "landing"
    write_csv(landing / "floats.csv", [("I1", *SALE[1:5], 7, "17850.0", "UK")])
    write_csv(landing / "strings.csv", [("I2", *SALE[1:5], 7, " 17850 ", "UK")])
    for name, values in {"ints": [17850], "doubles": [17850.0], "texts": ["17850"]}.items():
        columns = dict(zip(HEADER, [[value] for value in SALE], strict=True))
        write_parquet(landing / f"{name}.parquet", {**columns, "Invoice": [name], "Price": [2.5], "Customer": values})
    write_xlsx(landing / "cells.xlsx", [("I3", *SALE[1:5], 2.5, 17850.0, "UK")])
    accepted, rejected = judged(opened(tmp_path, {"decimal": decimal}))
    assert len(rejected) == 0
    assert set(accepted["customer_id"]) == {"17850"}
    assert sorted(float(price) for price in accepted["unit_price"]) == [2.5, 2.5, 2.5, 2.5, 7, 7]


def test_columns_that_differ_only_by_case_are_told_apart(tmp_path):
    columns = {name: [value] for name, value in zip(HEADER, SALE, strict=True)}
    write_parquet(tmp_path / "landing" / "a.parquet", {"quantity": [99], **columns, "PRICE": [1e6], "filename": ["x"]})
    (row,) = raw(opened(tmp_path)).to_dict("records")
    assert (row["quantity"], row["unit_price"], row["source_file"]) == ("2", "1.5", "a.parquet")


def test_parquet_of_different_shapes_is_read_together(tmp_path):
    columns = {name: [value] for name, value in zip(HEADER, SALE, strict=True)}
    write_parquet(tmp_path / "landing" / "a.parquet", columns)
    write_parquet(tmp_path / "landing" / "b.parquet", {**dict(reversed(columns.items())), "Invoice": [2], "More": [1]})
    moment = pa.array([datetime(2025, 3, 4, 10, 30)], pa.timestamp("ns"))
    typed = pa.table({**{name: pa.array(cells) for name, cells in columns.items()}, "Invoice": ["I3"], "When": moment})
    pq.write_table(typed, tmp_path / "landing" / "c.parquet")
    accepted, rejected = judged(opened(tmp_path))
    assert (list(accepted["invoice_id"]), len(rejected)) == (["I1", "2", "I3"], 0)
    assert accepted["invoiced_at"].nunique() == 1


def test_the_same_delivery_under_two_names_is_two_files_and_every_second_row_a_duplicate(tmp_path):
    for name in ("a.csv", "b.csv"):
        write_csv(tmp_path / "landing" / name, sales(20))
    accepted, rejected = judged(opened(tmp_path))
    assert set(accepted["source_file"]) == {"a.csv"}
    assert set(rejected["source_file"]) == {"b.csv"}
    assert (len(accepted), set(rejected["reason"])) == (20, {"exact_duplicate"})


def test_times_without_a_zone_are_the_shops_and_offsets_are_kept_over_the_change_of_clocks(tmp_path):
    moments = {
        "2025-03-29 23:30:00": ("2025-03-29", "2025-03-29 23:30:00"),
        "2025-03-29T23:30:00Z": ("2025-03-29", "2025-03-29 23:30:00"),
        "2025-03-30 00:30:00": ("2025-03-30", "2025-03-30 00:30:00"),
        "2025-03-30 23:30:00": ("2025-03-30", "2025-03-30 22:30:00"),
        "2025-03-30T23:30:00Z": ("2025-03-31", "2025-03-30 23:30:00"),
        "2025-03-31T00:30:00+02:00": ("2025-03-30", "2025-03-30 22:30:00"),
        "2025-03-31T00:15:00+01:00": ("2025-03-31", "2025-03-30 23:15:00"),
    }
    rows = [(f"I{number}", *SALE[1:4], moment, *SALE[5:]) for number, moment in enumerate(moments)]
    write_csv(tmp_path / "landing" / "a.csv", rows)
    accepted, rejected = judged(opened(tmp_path, end_date="2025-03-31"))
    assert len(rejected) == 0
    in_utc = accepted["invoiced_at"].dt.tz_convert("UTC").dt.strftime("%Y-%m-%d %H:%M:%S")
    found = zip(accepted["date"].astype(str).str[:10], in_utc, strict=True)
    assert list(found) == list(moments.values())


# Days and files


def two_days(folder: Path) -> Path:
    landing = folder / "landing"
    write_csv(landing / "04.csv", [SALE, ("I2", *SALE[1:])])
    late = ("I9", *SALE[1:4], "2025-03-04 23:00:00", *SALE[5:])
    fifth = ("I3", *SALE[1:4], "2025-03-05 09:00:00", *SALE[5:])
    seventh = ("I4", *SALE[1:4], "2025-03-07 09:00:00", *SALE[5:])
    write_csv(landing / "05.csv", [fifth, late])
    write_csv(landing / "07.csv", [seventh])
    return landing


def test_a_row_belongs_to_its_day_of_sale_whichever_file_brings_it(tmp_path):
    two_days(tmp_path)
    source = opened(tmp_path)
    found = raw(source, [date(2025, 3, 4)])
    assert list(zip(found["source_file"], found["invoice_id"], strict=True)) == [
        ("04.csv", "I1"), ("04.csv", "I2"), ("05.csv", "I9"),
    ]  # fmt: skip
    assert list(raw(source, [date(2025, 3, 5)])["invoice_id"]) == ["I3"]
    assert len(raw(source)) == 5


def test_a_day_without_rows_is_empty_and_not_missing(tmp_path):
    two_days(tmp_path)
    assert len(raw(opened(tmp_path), [date(2025, 3, 6)])) == 0


def test_rows_without_a_usable_day_are_counted_and_filed_under_the_first_day_of_their_file(tmp_path):
    landing = two_days(tmp_path)
    odd = ["", "soon", "2019-01-01 10:00:00", "2025-03-25 10:00:00"]
    rows = [(f"U{number}", *SALE[1:4], moment, *SALE[5:]) for number, moment in enumerate(odd)]
    write_csv(landing / "05.csv", [*rows, ("I3", *SALE[1:4], "2025-03-05 09:00:00", *SALE[5:])])
    write_csv(landing / "none.csv", rows[:1])
    source = opened(tmp_path)
    undated = {file.path: (file.undated_rows, str(file.filing_day)) for file in source.files()}
    assert undated["05.csv"] == (4, "2025-03-05")
    assert undated["none.csv"] == (1, "2025-03-01")
    assert list(raw(source, [date(2025, 3, 5)])["invoice_id"]) == ["U0", "U1", "U2", "U3", "I3"]
    assert list(raw(source, [date(2025, 3, 1)])["source_file"]) == ["none.csv"]
    assert sum(len(raw(source, [day])) for day in days_of(source)) == sum(file.rows for file in source.files()) == 9


def test_a_row_dated_after_its_file_was_written_is_filed_with_the_others(tmp_path):
    landing = two_days(tmp_path)
    written = datetime(2025, 3, 6, 12).timestamp()
    write_csv(
        landing / "05.csv",
        [("I3", *SALE[1:4], "2025-03-05 09:00", *SALE[5:]), ("I8", *SALE[1:4], "2025-03-08 09:00", *SALE[5:])],
    )
    os.utime(landing / "05.csv", (written, written))
    source = opened(tmp_path)
    assert list(raw(source, [date(2025, 3, 5)])["invoice_id"]) == ["I3", "I8"]
    assert len(raw(source, [date(2025, 3, 8)])) == 0


def spoil(file: Path) -> None:
    """Make a file unreadable without its size or time telling."""
    stat = file.stat()
    file.write_bytes(b"\0" * stat.st_size)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_a_day_opens_only_the_files_that_hold_it(tmp_path):
    landing = tmp_path / "landing"
    for day in (4, 5):
        rows = [(*SALE[:4], f"2025-03-0{day} 10:00:00", *SALE[5:])]
        write_parquet(landing / f"{day}.parquet", dict(zip(HEADER, zip(*rows, strict=True), strict=True)))
    opened(tmp_path).files()
    spoil(landing / "5.parquet")
    source = opened(tmp_path)
    assert len(raw(source, [date(2025, 3, 4)])) == 1
    with pytest.raises(Exception, match="magic"):
        raw(source, [date(2025, 3, 5)])


def test_unchanged_files_are_not_read_again_and_changed_ones_are(tmp_path):
    landing = two_days(tmp_path)
    before = opened(tmp_path).files()
    for file in landing.iterdir():
        spoil(file)
    assert opened(tmp_path).files() == before
    write_csv(landing / "07.csv", [("I4", *SALE[1:4], "2025-03-08 09:00:00", *SALE[5:])])
    after = opened(tmp_path).files()
    assert after[:2] == before[:2]
    assert str(after[2].first_day) == "2025-03-08"


def test_the_index_follows_files_that_come_and_go(tmp_path):
    landing, following = two_days(tmp_path), {"removed_files": "drop"}
    source = opened(tmp_path, following)
    assert [file.path for file in source.files()] == ["04.csv", "05.csv", "07.csv"]
    write_csv(landing / "06.csv", [("I6", *SALE[1:4], "2025-03-06 09:00:00", *SALE[5:])])
    (landing / "04.csv").unlink()
    assert [file.path for file in source.refresh()] == ["05.csv", "06.csv", "07.csv"]
    assert [file.path for file in opened(tmp_path, following).files()] == ["05.csv", "06.csv", "07.csv"]
    assert list(raw(source, [date(2025, 3, 4)])["invoice_id"]) == ["I9"]


def test_the_digest_of_a_day_changes_with_the_files_that_hold_it_and_only_with_them(tmp_path):
    landing = two_days(tmp_path)
    fourth, seventh = date(2025, 3, 4), date(2025, 3, 7)
    source = opened(tmp_path)
    before = source.digest(fourth), source.digest(seventh)
    write_csv(landing / "07.csv", [("I5", *SALE[1:4], "2025-03-07 09:00:00", *SALE[5:])])
    source.refresh()
    assert source.digest(fourth) == before[0]
    assert source.digest(seventh) != before[1]
    assert opened(tmp_path, {"decimal": ","}).digest(fourth) != before[0]


def test_a_misdated_row_does_not_make_its_file_one_of_the_days_between(tmp_path):
    landing = two_days(tmp_path)
    fifth, sixth = date(2025, 3, 5), date(2025, 3, 6)
    before = opened(tmp_path).digest(fifth), opened(tmp_path).digest(sixth)
    sold = [(*SALE[:4], f"2025-03-0{day} 10:00:00", *SALE[5:]) for day in (4, 8, 8)]
    write_parquet(landing / "08.parquet", dict(zip(HEADER, zip(*sold, strict=True), strict=True)))
    source = opened(tmp_path)
    assert source.files()[-1].days() == {date(2025, 3, 4): 1, date(2025, 3, 8): 2}
    assert (source.digest(fifth), source.digest(sixth)) == before
    (landing / "08.parquet").unlink()
    assert set(opened(tmp_path).lost_days()) == {date(2025, 3, 4), date(2025, 3, 8)}


def test_an_index_of_another_version_is_made_again_and_a_damaged_one_is_told(tmp_path):
    two_days(tmp_path)
    before = opened(tmp_path).files()
    index = tmp_path / "lake" / ".sources" / "index.parquet"
    for content in (b"", b"\0" * 100):
        index.write_bytes(content)
        with pytest.raises(SourceError, match=r"index\.parquet: the index of the source is damaged.*or remove it"):
            opened(tmp_path).files()
    index.unlink()
    assert opened(tmp_path).files() == before
    pq.write_table(pa.table({"path": ["04.csv"], "other": [1]}), index)
    assert opened(tmp_path).files() == before


def test_what_a_killed_process_left_half_converted_is_forgotten_with_a_customer_and_removed_after_a_day(tmp_path):
    landing = two_days(tmp_path)
    source = opened(tmp_path)
    source.files()
    workspace = tmp_path / "lake" / ".sources"
    (copy, *_others) = workspace.glob("*-*.parquet")
    left = [copy.with_suffix(f".{number}.staged") for number in range(2)]
    for file in left:
        file.write_bytes(b"half, with everybody's names")
    os.utime(left[0], (0, 0))
    write_csv(landing / "07.csv", [("I5", *SALE[1:4], "2025-03-07 09:00:00", *SALE[5:])])
    opened(tmp_path).files()
    assert [file.exists() for file in left] == [False, True]
    source.forget(Forgotten("salt", ()))
    assert not left[1].exists()


def test_converted_files_that_nobody_needs_are_removed_after_a_day(tmp_path):
    landing = two_days(tmp_path)
    opened(tmp_path).files()
    workspace = tmp_path / "lake" / ".sources"
    converted = set(workspace.glob("*-*.parquet"))
    write_csv(landing / "07.csv", [("I5", *SALE[1:4], "2025-03-07 09:00:00", *SALE[5:])])
    opened(tmp_path).files()
    assert converted < set(workspace.glob("*-*.parquet"))
    for file in workspace.glob("*-*.parquet"):
        os.utime(file, (0, 0))
    shutil.copy(landing / "07.csv", landing / "08.csv")
    opened(tmp_path).files()
    assert len(list(workspace.glob("*-*.parquet"))) == 4


def test_a_run_keeps_the_copy_it_began_with_however_old_that_is_and_finds_the_new_one_if_it_is_gone(tmp_path):
    landing = two_days(tmp_path)
    running = opened(tmp_path)
    days = [date(2025, 3, 4)]
    before = running.rows(days)
    held = len(running.engine.to_pandas(before))
    workspace = tmp_path / "lake" / ".sources"
    for copy in workspace.glob("*-*.parquet"):
        os.utime(copy, (0, 0))
    (file,) = [each for each in landing.iterdir() if each.name.startswith("04")]
    with file.open("a") as more:
        more.write(file.read_text().splitlines()[-1] + "\n")
    old = set(workspace.glob("*-*.parquet"))
    opened(tmp_path).files()
    assert len(running.engine.to_pandas(before)) == held
    for copy in old:
        copy.unlink()
    assert len(running.engine.to_pandas(running.rows(days))) == held + 1


def test_a_file_that_vanishes_before_it_is_read_is_named(tmp_path):
    landing = tmp_path / "landing"
    write_parquet(landing / "04.parquet", {name: [value] for name, value in zip(HEADER, SALE, strict=True)})
    source = opened(tmp_path, {"removed_files": "drop"})
    source.files()
    (landing / "04.parquet").unlink()
    with pytest.raises(SourceError, match=r"04\.parquet: removed, and needed to compute 2025-03-04 again. Run again"):
        source.rows([date(2025, 3, 4)])


@pytest.mark.parametrize(
    ("glob", "found"),
    [
        ("landing/*.csv", ["a.csv", "b.csv"]),
        ("landing/a.csv", ["a.csv"]),
        ("landing/**/*.csv", ["2025/03/c.csv", "a.csv", "b.csv"]),
        ("landing/**", ["2025/03/c.csv", "a.csv", "b.csv"]),
        ("landing/**.csv", ["a.csv", "b.csv"]),
        ("landing/%Y/%m/*.csv", ["2025/03/c.csv"]),
        ("landing/[a].csv", ["a.csv"]),
        ("**/[bc].csv", ["landing/2025/03/c.csv", "landing/b.csv"]),
    ],
)
@pytest.mark.parametrize("folder", ["plain", "with [signs] and 100%Yes"])
def test_globs_name_files_below_their_first_wildcard(tmp_path, glob, found, folder):
    landing = tmp_path / folder / "landing"
    for number, name in enumerate(("a.csv", "b.csv", "2025/03/c.csv", ".hidden.csv", "~$a.csv")):
        write_csv(landing / name, [(f"I{number}", *SALE[1:])])
    source = opened(tmp_path / folder, {"path": glob})
    assert [file.path for file in source.files()] == found
    assert sorted(set(raw(source)["source_file"])) == found
