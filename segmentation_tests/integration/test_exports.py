"""The export folder: delta files for marketing tools, as those who read them find them."""

import csv
import json
from datetime import date, timedelta
from decimal import Decimal

import ibis
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from upath import UPath

from segmentation_pipeline.core import changes, schema
from segmentation_pipeline.resources.engines.duckdb import DuckDBEngine
from segmentation_pipeline.resources.lake import Lake
from segmentation_pipeline.resources.publishing import spreadsheets
from segmentation_pipeline.resources.publishing.exports import ExportFolder
from segmentation_pipeline.settings import DuckDB

MONDAY, TUESDAY, WEDNESDAY = (date(2025, 7, number) for number in (7, 8, 9))
NAMES = {0: "Net zero", 1: "Best", 2: 'Loyal, "big"'}
ACTIONS = {0: "Look at why.", 1: "Thank them; @once", 2: "=Offer\nmore"}


class Shop:
    """A lake with snapshots by hand, and its export folder."""

    def __init__(self, folder) -> None:
        self.lake = Lake(UPath(folder / "lake"), DuckDBEngine(DuckDB(), "Europe/London"))
        self.exports = ExportFolder(UPath(folder / "exports"), self.lake)

    def scored(self, day: date, customers: dict[str, int], digest: str = "a") -> None:
        rows = [
            {
                "date": day,
                "customer_id": customer,
                "segment_id": segment,
                "segment": NAMES[segment],
                "recency_days": 3,
                "frequency": 2,
                "monetary": Decimal("-12.5"),
                "model_version": 1,
            }
            for customer, segment in customers.items()
        ]
        self.lake.write(schema.CUSTOMER_SEGMENTS, schema.CUSTOMER_SEGMENTS.frame(rows), {day: digest})

    def export(self, day: date) -> date | None:
        """Export a day as the asset does, and return the day it was compared with."""
        since, layout = self.exports.since(day), schema.CUSTOMER_SEGMENTS
        before = self.lake.read(layout, [since]) if since else ibis.memtable([], schema=layout.ibis_schema)
        told = changes.segment_changes(before, self.lake.read(layout, [day]), ACTIONS, day, since)
        self.exports.write(day, since, told, "made from")
        return since

    def rows(self, day: date) -> list[dict[str, str]]:
        with (self.exports.folder(day) / "segment_changes.csv").open(newline="", encoding="utf-8") as opened:
            return list(csv.DictReader(opened))

    def files(self, day: date) -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in self.exports.folder(day).iterdir()}


@pytest.fixture
def shop(tmp_path) -> Shop:
    return Shop(tmp_path)


def test_a_first_export_tells_of_everyone_as_new_in_the_order_of_ids(shop):
    shop.scored(MONDAY, {"bob": 2, "ann": 1, "eve": 0})
    assert shop.export(MONDAY) is None
    assert shop.rows(MONDAY)[0] == {
        "customer_id": "ann",
        "change": "new",
        "segment_before": "",
        "segment": "Best",
        "action": "Thank them; @once",
        "recency_days": "3",
        "frequency": "2",
        "monetary": "-12.5000",
        "as_of": "2025-07-07",
        "since": "",
    }
    assert [row["customer_id"] for row in shop.rows(MONDAY)] == ["ann", "bob", "eve"]


def test_an_export_tells_what_changed_since_the_one_before(shop):
    shop.scored(MONDAY, {"ann": 1, "bob": 2, "eve": 0})
    shop.export(MONDAY)
    shop.scored(WEDNESDAY, {"ann": 1, "bob": 1, "joe": 2})
    assert shop.export(WEDNESDAY) == MONDAY
    told = [(row["customer_id"], row["change"], row["since"]) for row in shop.rows(WEDNESDAY)]
    assert told == [("bob", "moved", "2025-07-07"), ("eve", "gone", "2025-07-07"), ("joe", "new", "2025-07-07")]


def test_csv_and_parquet_hold_the_same_rows(shop):
    shop.scored(MONDAY, {"bob": 2, "ann": 1, "=1+1": 0})
    shop.export(MONDAY)
    table = pq.read_table(str(shop.exports.folder(MONDAY) / "segment_changes.parquet"))
    assert table.schema.names == schema.SEGMENT_EXPORT.names
    assert table.schema.field("monetary").type == pa.decimal128(18, 4)
    assert table.column("customer_id").to_pylist() == ["=1+1", "ann", "bob"]
    assert [row["customer_id"] for row in shop.rows(MONDAY)] == ["'=1+1", "ann", "bob"]


def test_ids_come_back_from_the_csv_whatever_they_hold(shop):
    ids = ["007", 'a "quoted" one', "comma,", "line\nbreak", "é€🙂", "ann\r", "a=b", "semi;colon"]
    shop.scored(MONDAY, dict.fromkeys(ids, 2))
    shop.export(MONDAY)
    assert sorted(row["customer_id"] for row in shop.rows(MONDAY)) == sorted(ids)
    assert {row["segment"] for row in shop.rows(MONDAY)} == {NAMES[2]}
    assert {row["action"] for row in shop.rows(MONDAY)} == {"'=Offer\nmore"}
    text = (shop.exports.folder(MONDAY) / "segment_changes.csv").read_bytes()
    assert text.startswith(b"customer_id,change,segment_before,segment,action,recency_days,")
    assert text.endswith(b"\r\n")
    read = pd.read_csv(str(shop.exports.folder(MONDAY) / "segment_changes.csv"), dtype={"customer_id": str})
    assert read["monetary"].tolist() == [-12.5] * len(ids)


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\tplain",
        "\rplain",
        "\nplain",
        "  =1",
        "\u00a0=1",
        "'=1",
        '"=1',
        "' \"+1",
        "\ufeff=1",
        "\x00=1",
        "＝1",  # noqa: RUF001 - full-width on purpose
        "＋1",  # noqa: RUF001 - likewise
        "－1",  # noqa: RUF001 - likewise
        "＠SUM(A1)",  # noqa: RUF001 - likewise
    ],
)
def test_text_that_a_spreadsheet_would_calculate_gets_an_apostrophe(text):
    assert spreadsheets.guarded(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "ann", "a=b", "1-2", "O'Neil", "'quoted'", " blank", "007", "e@mail.com"])
def test_other_text_stays_as_it_is(text):
    assert spreadsheets.guarded(text) == text


def test_a_day_exported_again_has_the_same_bytes(shop):
    shop.scored(MONDAY, {f"c{number}": number % 3 for number in range(500)})
    shop.export(MONDAY)
    shop.scored(TUESDAY, {f"c{number}": number % 2 for number in range(450)})
    shop.export(TUESDAY)
    before = shop.files(TUESDAY)
    shop.scored(WEDNESDAY, {"ann": 1})
    shop.export(WEDNESDAY)
    shop.export(TUESDAY)
    assert shop.files(TUESDAY) == before
    assert set(before) == {"segment_changes.csv", "segment_changes.parquet", "export.json"}


def test_an_export_cut_short_is_none_and_is_not_continued(shop):
    shop.scored(MONDAY, {"ann": 1})
    shop.export(MONDAY)
    shop.scored(TUESDAY, {"ann": 2})
    shop.export(TUESDAY)
    (shop.exports.folder(TUESDAY) / "export.json").unlink()
    assert shop.exports.inputs(TUESDAY) is None
    assert shop.exports.since(WEDNESDAY) == MONDAY


def test_a_day_computed_again_since_its_export_is_not_continued(shop):
    shop.scored(MONDAY, {"ann": 1})
    shop.export(MONDAY)
    shop.scored(TUESDAY, {"ann": 2})
    shop.export(TUESDAY)
    shop.scored(TUESDAY, {"ann": 0}, digest="b")
    shop.scored(WEDNESDAY, {"ann": 0})
    assert shop.export(WEDNESDAY) == MONDAY
    assert [row["segment_before"] for row in shop.rows(WEDNESDAY)] == ["Best"]


def test_a_day_whose_customers_are_no_longer_in_the_lake_is_not_continued(shop):
    shop.scored(MONDAY, {"ann": 1})
    shop.export(MONDAY)
    shop.lake.file("customer_segments", MONDAY).unlink()
    shop.scored(TUESDAY, {"ann": 1})
    assert shop.export(TUESDAY) is None


def test_the_note_says_what_an_export_continues(shop):
    shop.scored(MONDAY, {"ann": 1})
    shop.export(MONDAY)
    shop.scored(TUESDAY, {"ann": 2})
    shop.export(TUESDAY)
    note = json.loads((shop.exports.folder(TUESDAY) / "export.json").read_text())
    assert (note["as_of"], note["since"], note["inputs"]) == ("2025-07-08", "2025-07-07", "made from")


def test_deltas_applied_in_order_give_the_last_snapshot(shop):
    known: dict[str, str] = {}
    for number in range(6):
        day = MONDAY + timedelta(days=number)
        customers = {f"c{each}": (each + number // 2) % 3 for each in range(60) if (each + number) % 7}
        shop.scored(day, customers)
        shop.export(day)
        for row in shop.rows(day):
            known[row["customer_id"]] = row["segment"]
            if row["change"] == "gone":
                del known[row["customer_id"]]
        assert known == {customer: NAMES[segment] for customer, segment in customers.items()}


def test_forgetting_takes_a_customer_out_of_every_file_and_leaves_the_rest_as_it_was(shop):
    for day, segment in ((MONDAY, 1), (TUESDAY, 2)):
        shop.scored(day, {"ann": segment, "bob": segment, "=eve": segment})
        shop.export(day)
    shop.scored(WEDNESDAY, {"ann": 2, "bob": 1, "=eve": 2})  # only bob is in the file
    shop.export(WEDNESDAY)
    untouched, leftover = shop.files(WEDNESDAY), shop.exports.folder(MONDAY) / ".segment_changes.csv"
    leftover.write_text("ann")
    written = (shop.exports.folder(WEDNESDAY) / "segment_changes.csv").stat().st_mtime_ns
    assert shop.exports.forget(["ann", "=eve", "nobody"]) == {"segment_changes.parquet": 4, "segment_changes.csv": 4}
    for day in (MONDAY, TUESDAY):
        assert [row["customer_id"] for row in shop.rows(day)] == ["bob"]
        table = pq.read_table(str(shop.exports.folder(day) / "segment_changes.parquet"))
        assert table.column("customer_id").to_pylist() == ["bob"]
    assert shop.files(WEDNESDAY) == untouched
    assert (shop.exports.folder(WEDNESDAY) / "segment_changes.csv").stat().st_mtime_ns == written
    everything = b"".join(file.read_bytes() for file in shop.exports.root.rglob("*") if file.is_file())
    assert b"ann" not in everything
    assert b"eve" not in everything
    assert shop.exports.forget(["ann"]) == {"segment_changes.parquet": 0, "segment_changes.csv": 0}


def test_forgetting_leaves_what_an_export_without_the_customer_would_have_been(shop, tmp_path):
    customers = {f"c{number}": number % 3 for number in range(300)}
    shop.scored(MONDAY, customers)
    shop.export(MONDAY)
    shop.exports.forget(["c7", "c8"])
    other = Shop(tmp_path / "other")
    other.scored(MONDAY, {name: segment for name, segment in customers.items() if name not in ("c7", "c8")})
    other.export(MONDAY)
    assert shop.files(MONDAY) == other.files(MONDAY)


def test_forgetting_before_there_is_any_export_finds_nobody(shop):
    assert shop.exports.forget(["ann"]) == {"segment_changes.parquet": 0, "segment_changes.csv": 0}
