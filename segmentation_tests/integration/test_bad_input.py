"""Bad input at the command line: one message that says what, where and what to do, and earlier output as it was.

Whatever can be judged row by row ends in quarantine; see test_sources.py for what each row becomes.
"""

import gzip
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from segmentation_pipeline.cli import app
from segmentation_tests.integration.shop_files import (
    COLUMNS,
    HEADER,
    configure,
    csv_text,
    recorded_in,
    sales,
    write_csv,
    write_parquet,
)

MISTAKES_IN_TEXT = (
    "I9997,P1,thing,2,2025-03-04 10:00:00,cheap,10000,UK",
    "I9998,P1,thing",
    "I9999,P1,thing,1,,2,10000,UK",
)


@pytest.fixture(autouse=True)
def own_instance(tmp_path: Path) -> Iterator[None]:
    """Every command records to a folder of its test."""
    with recorded_in(tmp_path / "dagster"):
        yield


def segmentation(command: str, config: Path, *options: str) -> Result:
    return CliRunner().invoke(app, [command, "--config", str(config), *options])


def refused(result: Result) -> str:
    """The message of a command that failed as it should: plain words, no traceback, nothing else printed."""
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    message = result.stderr.strip()
    assert message.startswith("Error: ")
    assert result.stdout.strip() == ""
    return message


def rows_of(lake: Path, asset: str) -> list[dict]:
    return [row for file in sorted((lake / asset).rglob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def in_one_line(text: str) -> str:
    return " ".join(text.split())


# What a delivery can be: a file name, its bytes, and what the message must say.
GOOD = csv_text(sales(30))
FIRST, SECOND, THIRD = csv_text(sales(3)).splitlines(keepends=True)[1:]
OPENED, QUOTED = FIRST.replace("thing", '"thing'), THIRD.replace("thing", '"thing"')
BAD_DELIVERIES = {
    "nothing in it": ("new.csv", b"", "is empty: not even a header row"),
    "only blanks": ("new.csv", b"\n  \n", "is empty: not even a header row"),
    "no mapped column": ("new.csv", GOOD.replace("Customer", "CustomerID").encode(), "Did you mean 'CustomerID'?"),
    "a column twice": ("new.csv", GOOD.replace("\n", ",Price\n").encode(), "has column 'Price' more than once"),
    "other columns": ("new.csv", b"a,b\n1,2\n", "Its columns are: a, b."),
    "another encoding": ("new.csv", GOOD.replace("thing", "thé", 3).encode("latin-1"), "line 2 is not utf-8 (byte 0xe9"),
    "another encoding in a broken line": ("new.csv", GOOD.encode() + b"caf\xe9\n", "line 32 is not utf-8 (byte 0xe9"),
    "utf-16": ("new.csv", GOOD.encode("utf-16"), "Set source.encoding, for example to utf-16"),
    "a quote never closed": ("new.csv", GOOD.replace("UK", '"UK', 1).encode(), "begins in line 2 has a quote that is not"),
    "a quote closed lines later": (
        "new.csv", (GOOD + OPENED + SECOND + QUOTED).encode(), "quote that is not closed",
    ),
    "a quote closed in the next line": ("new.csv", (GOOD + OPENED + QUOTED).encode(), "begins in line 32 has a quote"),
    "no gzip": ("new.csv.gz", GOOD.encode(), "cannot be read (Not a gzipped file"),
    "half of a gzip": ("new.csv.gz", gzip.compress(csv_text(sales(4000)).encode())[:-9000], "Deliver it again"),
    "empty parquet": ("new.parquet", b"", "is no whole Parquet file (0 bytes"),
    "no parquet": ("new.parquet", GOOD.encode(), "is no whole Parquet file"),
    "no workbook": ("new.xlsx", GOOD.encode(), "is no readable xlsx workbook"),
    "another kind of file": ("new.txt", GOOD.encode(), "is no csv, csv.gz, parquet or xlsx file"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "content", "told"), BAD_DELIVERIES.values(), ids=BAD_DELIVERIES)
@pytest.mark.parametrize("command", ["run", "check-source"])
def test_a_file_that_cannot_be_read_is_one_message_that_names_it(tmp_path, command, name, content, told):
    file = tmp_path / "landing" / name
    file.parent.mkdir()
    file.write_bytes(content)
    message = refused(segmentation(command, configure(tmp_path), *()))
    assert str(file) in message
    assert told in message
    assert len(message.splitlines()) == 1


def truncated_parquet(file: Path) -> None:
    write_parquet(file, dict(zip(HEADER, zip(*sales(30), strict=True), strict=True)))
    file.write_bytes(file.read_bytes()[:-50])


def test_a_truncated_parquet_file_is_named(tmp_path):
    truncated_parquet(tmp_path / "landing" / "new.parquet")
    message = refused(segmentation("run", configure(tmp_path)))
    assert "new.parquet: is no whole Parquet file" in message
    assert "Deliver it again" in message


def test_a_workbook_without_the_mapped_columns_says_what_it_has(tmp_path):
    import openpyxl

    book = openpyxl.Workbook()
    book.active.append(["Sales of March"])
    book.active.append(["Invoice", "Customer No", "When"])
    (tmp_path / "landing").mkdir()
    book.save(tmp_path / "landing" / "new.xlsx")
    message = refused(segmentation("run", configure(tmp_path)))
    assert "new.xlsx: has no column 'Customer', 'Price', " in message
    assert "Did you mean 'Customer No'?" in message
    assert "Its columns are: Invoice, Customer No, When" in message


def test_many_bad_files_are_told_together_and_not_one_by_one(tmp_path):
    for number in range(8):
        write_csv(tmp_path / "landing" / f"{number}.csv", [], header=("a", "b"))
    message = refused(segmentation("run", configure(tmp_path)))
    assert message.count("has no column") == 5
    assert message.endswith("and 3 more")


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("landing/*.csv", "No file matches"),
        ("landing", "landing is a folder. Name the files in it"),
        ("no/*", "No file"),
    ],
)
def test_a_source_without_files_says_where_it_looked(tmp_path, path, told):
    (tmp_path / "landing").mkdir()
    message = refused(segmentation("run", configure(tmp_path, {"path": path})))
    assert told in message
    assert str(tmp_path / path) in message


@pytest.mark.parametrize(
    ("rows", "end_date"),
    [([], "2025-03-20"), (sales(10), "2025-03-01"), ([(*sales(1)[0][:4], "soon", *sales(1)[0][5:])], "2025-03-20")],
    ids=["only a header", "all after the end", "no readable day"],
)
def test_a_source_without_a_usable_day_says_which_days_count(tmp_path, rows, end_date):
    late = [row for row in rows if row[4] >= "2025-03-02" or row[4] == "soon"]
    write_csv(tmp_path / "landing" / "a.csv", late)
    config = configure(tmp_path, end_date=end_date)
    message = refused(segmentation("run", config))
    assert f"between start_date 2025-03-01 and end_date {end_date}" in message
    assert "check-source" in message
    assert not (tmp_path / "reports").exists()


def test_check_source_of_files_without_rows_says_so(tmp_path):
    write_csv(tmp_path / "landing" / "a.csv", [])
    result = segmentation("check-source", configure(tmp_path))
    assert result.exit_code == 0
    assert "There are no rows." in result.stdout


CONFIGURATIONS = {
    "an unknown key": ({"timezon": "UTC"}, "timezon: is no known key; did you mean timezone?"),
    "a time zone": ({"timezone": "Mars/Olympus"}, "timezone: 'Mars/Olympus' is no IANA time zone"),
    "a day": ({"start_date": "soon"}, "start_date: is no day, such as 2025-07-31"),
    "a range of k": ({"model": {"min_k": 6, "max_k": 3}}, "model: min_k (6) is above max_k (3)"),
    "a memory limit": ({"engine": {"memory_limit": "lots"}}, "engine.memory_limit: give a number and a unit"),
}


@pytest.mark.parametrize(("changes", "told"), CONFIGURATIONS.values(), ids=CONFIGURATIONS)
@pytest.mark.parametrize("command", ["run", "check-source", "ui"])
def test_a_wrong_configuration_is_one_message_with_file_and_key(tmp_path, command, changes, told):
    config = configure(tmp_path, **changes)
    message = refused(segmentation(command, config))
    assert f"{config}: the configuration cannot be used" in message
    assert told in message


def test_a_missing_configuration_and_one_that_is_no_yaml_are_named(tmp_path):
    assert "there is no such configuration file" in refused(segmentation("run", tmp_path / "none.yaml"))
    (tmp_path / "bad.yaml").write_text("shop: [")
    assert f"{tmp_path / 'bad.yaml'}: is no YAML" in refused(segmentation("run", tmp_path / "bad.yaml"))


@pytest.mark.parametrize("day", ["2025-02-28", "2025-03-21"])
def test_an_as_of_day_outside_the_data_says_which_days_there_are(tmp_path, day):
    write_csv(tmp_path / "landing" / "a.csv", sales(200))
    message = refused(segmentation("run", configure(tmp_path), "--as-of", day))
    assert message == (
        f"Error: There are no segments as of {day}: the first sale is on 2025-03-01, "
        "and the last day to be had is 2025-03-20."
    )


@pytest.mark.parametrize("day", ["2025-02-31", "yesterday"])
def test_an_as_of_day_that_is_no_day_is_a_mistake_of_usage(tmp_path, day):
    result = segmentation("run", configure(tmp_path), "--as-of", day)
    assert result.exit_code == 2
    assert "--as-of" in result.output
    assert day in result.output


# Too little to segment


def test_fewer_customers_than_segments_says_how_many_there_are(tmp_path):
    write_csv(
        tmp_path / "landing" / "a.csv", [(*row[:6], 10_000 + number % 3, "UK") for number, row in enumerate(sales(60))]
    )
    message = refused(segmentation("run", configure(tmp_path, model={"min_k": 4, "max_k": 6})))
    assert "3 different customers" in message
    assert "4 segments" in message
    assert "Give a later as-of day" in message
    assert not (tmp_path / "lake" / "segmentation_model").exists()


def test_customers_that_are_all_the_same_cannot_be_segmented(tmp_path):
    same = [(f"I{number}", "P1", "thing", 1, "2025-03-05 10:00:00", 5, number, "UK") for number in range(40)]
    write_csv(tmp_path / "landing" / "a.csv", same)
    message = refused(segmentation("run", configure(tmp_path)))
    assert "1 different customers" in message
    assert not (tmp_path / "reports").exists()


def test_a_shop_of_guests_only_has_no_segments_and_no_report(tmp_path):
    write_csv(tmp_path / "landing" / "a.csv", [(*row[:6], "", "UK") for row in sales(60)])
    message = refused(segmentation("run", configure(tmp_path)))
    assert "customer" in message
    assert not (tmp_path / "reports").exists()
    assert not (tmp_path / "lake" / "segmentation_model").exists()


# Enough to segment


def minimal_shop(folder: Path) -> Path:
    rows = [(row[6], row[4], row[3] * row[5]) for row in sales(300, customers=40)]
    write_csv(folder / "landing" / "a.csv", rows, header=("Customer", "When", "Total"))
    return configure(
        folder, {"columns": {"customer_id": "Customer", "invoiced_at": "When", "amount": "Total"}}, model={"k": 3}
    )


def test_customer_moment_and_amount_are_enough_for_segments(tmp_path):
    result = segmentation("run", minimal_shop(tmp_path))
    assert result.exit_code == 0, result.output
    assert "300 source rows = 300 accepted + 0 quarantined" in result.stdout
    segments = rows_of(tmp_path / "lake", "customer_segments")
    assert len({row["segment"] for row in segments}) == 3
    assert {row["customer_id"] for row in segments} == {str(row[6]) for row in sales(300, customers=40)}
    assert (tmp_path / "reports" / "date=2025-03-20" / "segment_report.html").exists()


@dataclass
class Shop:
    """A shop with a day's good output, for deliveries that come after it."""

    folder: Path
    config: Path
    result: Result

    def output(self) -> dict[str, bytes]:
        kept = (self.folder / "lake", self.folder / "reports")
        return {str(file): file.read_bytes() for root in kept for file in sorted(root.rglob("*")) if file.is_file()}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("shop")
    landing = folder / "landing"
    write_csv(landing / "a.csv", sales(300, customers=40))
    (landing / "b.csv").write_text("\n".join([",".join(HEADER), *MISTAKES_IN_TEXT]) + "\n")
    config = configure(folder, model={"k": 3})
    with recorded_in(folder / "dagster"):
        yield Shop(folder, config, segmentation("run", config))


def test_rows_that_cannot_be_used_are_quarantined_counted_and_explained(shop):
    assert shop.result.exit_code == 0, shop.result.output
    assert "303 source rows = 300 accepted + 3 quarantined" in shop.result.stdout
    printed = in_one_line(shop.result.stdout)
    for reason in ("broken_line 1", "unreadable_price 1", "missing_timestamp 1"):
        assert reason in printed
    found = rows_of(shop.folder / "lake", "quarantined_transactions")
    assert {(row["reason"], row["source_file"], row["source_row"]) for row in found} == {
        ("unreadable_price", "b.csv", 1), ("broken_line", "b.csv", 2), ("missing_timestamp", "b.csv", 3),
    }  # fmt: skip
    assert [row["broken_line"] for row in found if row["reason"] == "broken_line"] == [MISTAKES_IN_TEXT[1]]


@pytest.mark.parametrize(("name", "content", "told"), BAD_DELIVERIES.values(), ids=BAD_DELIVERIES)
def test_a_bad_second_delivery_leaves_earlier_output_as_it_was(shop, name, content, told):
    before = shop.output()
    delivered = shop.folder / "landing" / name
    delivered.write_bytes(content)
    try:
        assert told in refused(segmentation("run", shop.config))
        assert shop.output() == before
    finally:
        delivered.unlink()


def test_a_delivery_cut_short_in_place_of_a_good_one_leaves_earlier_output_as_it_was(shop):
    before, file = shop.output(), shop.folder / "landing" / "a.csv"
    good = file.read_bytes()
    try:
        file.write_bytes(b"")
        assert "a.csv: is empty" in refused(segmentation("run", shop.config))
        assert shop.output() == before
    finally:
        file.write_bytes(good)


def test_files_that_are_gone_altogether_leave_earlier_output_as_it_was(shop, tmp_path):
    before, landing = shop.output(), shop.folder / "landing"
    landing.rename(tmp_path / "moved")
    try:
        assert "No file matches" in refused(segmentation("run", shop.config))
        assert shop.output() == before
    finally:
        (tmp_path / "moved").rename(landing)


@pytest.mark.parametrize(
    "column", [name for name in COLUMNS if name not in ("customer_id", "invoiced_at", "unit_price")]
)
def test_every_optional_column_is_optional(tmp_path, column):
    """Features are computed without those that shape them; the others are only carried along."""
    pick = random.Random(5)
    rows = sales(60) + [(f"C{row[0]}", *row[1:3], -row[3], _later(str(row[4]), pick), *row[5:]) for row in sales(6)]
    place = HEADER.index(COLUMNS[column])
    without = [(*row[:place], *row[place + 1 :]) for row in rows]
    write_csv(tmp_path / "landing" / "a.csv", without, header=(*HEADER[:place], *HEADER[place + 1 :]))
    columns = {name: source for name, source in COLUMNS.items() if name != column}
    config = configure(tmp_path, {"columns": columns})
    assert "Every row would be accepted." in segmentation("check-source", config).stdout
    if column in ("invoice_id", "product_id", "quantity"):
        features = features_of(config)
        assert len(features) == len({row[6] for row in rows})
        assert any(row["frequency"] > 1 for row in features)


def _later(moment: str, pick: random.Random) -> str:
    return min(
        datetime.fromisoformat(moment) + timedelta(hours=pick.randrange(48)), datetime(2025, 3, 20, 23)
    ).isoformat(" ")


def features_of(config: Path) -> list[dict]:
    """`rfm_features` of the last day, by the assets themselves."""
    import dagster as dg

    from segmentation_pipeline.build import build_definitions
    from segmentation_pipeline.opening import build_resources
    from segmentation_pipeline.planning import RETURNS, TRANSACTIONS
    from segmentation_pipeline.settings import load

    settings = load(config)
    resources = build_resources(settings)
    job = build_definitions(settings, resources).resolve_job_def("nightly_refresh")
    with dg.DagsterInstance.ephemeral() as instance:
        for assets, first in (((*TRANSACTIONS, *RETURNS), settings.start_date), (("rfm_features",), settings.end_date)):
            tags = {
                "dagster/asset_partition_range_start": first.isoformat(),
                "dagster/asset_partition_range_end": settings.end_date.isoformat(),
            }
            job.execute_in_process(
                instance=instance,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                tags=tags,
                asset_selection=[dg.AssetKey(asset) for asset in assets],
            )
    return rows_of(settings.lake, "rfm_features")


# What no rule foresees


def test_a_damaged_partition_fails_the_run_in_plain_words_and_keeps_the_report(shop, tmp_path):
    config = shutil.copytree(shop.folder, tmp_path, dirs_exist_ok=True) / shop.config.name
    page = next((tmp_path / "reports").rglob("segment_report.html"))
    drawn = page.read_bytes()
    next((tmp_path / "lake" / "rfm_features").rglob("partition.jsonl")).unlink()
    orders = next((tmp_path / "lake" / "customer_orders").rglob("part-0.parquet"))
    orders.write_bytes(b"PAR1 and then nothing that a reader could use PAR1")
    message = refused(segmentation("run", config))
    assert "The run " in message
    assert "--verbose shows it here" in message
    assert page.read_bytes() == drawn


def test_a_file_where_the_lake_is_to_be_is_named(tmp_path):
    write_csv(tmp_path / "landing" / "sales.csv", sales(30))
    (tmp_path / "taken").write_text("")
    config = configure(tmp_path, lake=str(tmp_path / "taken" / "lake"))
    assert "taken" in refused(segmentation("run", config))


@pytest.mark.parametrize("content", ["telemetry: [", "event_log_storage: {module: nowhere, class: Nothing}"])
def test_an_instance_that_cannot_be_opened_is_named(tmp_path, content):
    write_csv(tmp_path / "landing" / "sales.csv", sales(30))
    (tmp_path / "dagster").mkdir(exist_ok=True)
    (tmp_path / "dagster" / "dagster.yaml").write_text(content)
    message = refused(segmentation("run", configure(tmp_path)))
    assert f"The Dagster instance of {tmp_path / 'dagster'} cannot be opened" in message
    assert "Look at its dagster.yaml" in message
