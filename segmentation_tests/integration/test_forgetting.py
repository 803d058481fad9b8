"""Forgetting: a customer is gone from every byte that was written, stays gone, and everything else stays as it was."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import dagster as dg
import pandas as pd
import psycopg
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner, Result

from segmentation_pipeline import inspection
from segmentation_pipeline.cli import app
from segmentation_pipeline.instance import DAGSTER_YAML
from segmentation_pipeline.opening import build_resources
from segmentation_pipeline.planning import FEATURES, PUBLISHING, QUALITY, SEGMENTS, plan
from segmentation_pipeline.reporting import metadata
from segmentation_pipeline.settings import load
from segmentation_tests.integration.live_shop import LiveShop, configure, days
from segmentation_tests.integration.published import VARIABLE

FIRST, LAST = date(2025, 7, 1), date(2025, 7, 11)
SNAPSHOTS = days(date(2025, 7, 9), 3)
CSV_DAYS = [date(2025, 7, 3), date(2025, 7, 10)]
# Eight digits that stand nowhere else, neither in a number nor in a digest.
CUSTOMER = "90441773"
SPELLINGS = (CUSTOMER, f"{CUSTOMER}.0", f" {CUSTOMER} ")
LINES = ("raw_transactions", "clean_transactions", "quarantined_transactions")
OF_CUSTOMERS = ("customer_orders", "customer_returns", "rfm_features", "customer_segments")
SCHEMA = "forgetting"


@dataclass(frozen=True)
class Shop:
    """A shop's folder, with its configuration, landing files, lake, reports, exports and Dagster's records."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "shop.yaml"

    @property
    def lake(self) -> Path:
        return self.folder / "lake"

    def copied(self, folder: Path) -> "Shop":
        return Shop(Path(shutil.copytree(self.folder, folder / "shop")))

    def table(self, asset: str) -> pd.DataFrame:
        parts = [pq.read_table(file).to_pandas() for file in self.parts(asset)]
        return pd.concat(parts, ignore_index=True)

    def parts(self, asset: str) -> list[Path]:
        return sorted((self.lake / asset).glob("date=*/part-0.parquet"))

    def bytes_of(self, assets: Iterable[str]) -> dict[str, bytes]:
        return {str(file.relative_to(self.lake)): file.read_bytes() for asset in assets for file in self.parts(asset)}

    def notes(self) -> dict[str, str]:
        return {str(file.relative_to(self.lake)): file.read_text() for file in self.lake.rglob("partition.jsonl")}

    def command(self, *words: str) -> Result:
        runner = CliRunner(env={"DAGSTER_HOME": str(self.folder / "dagster"), "COLUMNS": "200"})
        return runner.invoke(app, [*words, "--config", str(self.config)])

    def forget(self, customer: str = CUSTOMER) -> Result:
        return self.command("forget", customer, "--yes")

    @contextmanager
    def opened(self) -> Iterator[LiveShop]:
        home = self.folder / "dagster"
        home.mkdir(exist_ok=True)
        (home / "dagster.yaml").write_text(DAGSTER_YAML)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DAGSTER_HOME", str(home))
            with dg.DagsterInstance.from_config(str(home)) as instance:
                yield LiveShop(self.config, instance)


def naming(root: Path) -> list[str]:
    """Files below a folder that hold the customer's id: as bytes, or in a column of a Parquet file."""
    return [str(file.relative_to(root)) for file in sorted(root.rglob("*")) if file.is_file() and names(file)]


def names(file: Path) -> bool:
    if CUSTOMER.encode() in file.read_bytes():
        return True
    return file.suffix == ".parquet" and CUSTOMER in pq.read_table(file).to_pandas().to_csv()


def deliver(folder: Path) -> None:
    """Make one of the busiest customers `CUSTOMER`, with lines of every kind, and some days csv files."""
    files = sorted((folder / "landing").glob("*.parquet"))
    lines = pd.concat(pd.read_parquet(file) for file in files)
    busiest = lines.groupby("CustomerID")["InvoiceDate"].agg(lambda moments: moments.dt.date.nunique()).idxmax()
    for number, file in enumerate(files):
        frame = pd.read_parquet(file)
        if frame.empty:
            continue
        theirs = frame["CustomerID"] == busiest
        frame.loc[theirs, "CustomerID"] = SPELLINGS[number % len(SPELLINGS)]
        day = FIRST + (LAST - FIRST) / (len(files) - 1) * number
        assert day.isoformat() in file.name
        frame = pd.concat([frame, special(frame.iloc[0], number)], ignore_index=True)
        if day in CSV_DAYS:
            frame.to_csv(file.with_suffix(".csv"), index=False)
            with file.with_suffix(".csv").open("a") as opened:
                opened.write(f"500001,P1,too,many,cells,1,{day} 10:00:00,1.5,{CUSTOMER},France\n")
            file.unlink()
        else:
            frame.to_parquet(file, index=False)


def special(line: pd.Series, number: int) -> pd.DataFrame:
    """Lines that a loss of identity could turn into copies of each other, real copies, and quarantined ones."""
    usual = {**line.to_dict(), "InvoiceNo": f"7{number:05}", "Quantity": 3, "UnitPrice": 2.5, "CustomerID": CUSTOMER}
    changes: list[dict[str, object]] = [
        {},
        {},  # a copy
        {"CustomerID": f"{CUSTOMER}.0"},  # no copy: as text it differs
        {"CustomerID": "4711"},
        {"CustomerID": None},
        {"Quantity": 0},
        {"InvoiceNo": "5.36E+05"},
    ]
    return pd.DataFrame([{**usual, **change} for change in changes]).astype({"Quantity": "int64"})


@pytest.fixture(scope="module")
def environment(database_url) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, database_url)
        yield database_url


@pytest.fixture(scope="module")
def before(tmp_path_factory, environment) -> Shop:
    """Before anyone is forgotten: eleven days, three snapshots, published, exported and reported."""
    folder = tmp_path_factory.mktemp("before")
    publish = {"database": {"url_variable": VARIABLE, "schema": SCHEMA}, "exports": "exports"}
    config = configure(folder, FIRST, LAST, publish=publish)
    content = yaml.safe_load(config.read_text())
    content["source"]["path"] = "landing/*"
    config.write_text(yaml.safe_dump(content | {"end_date": LAST}))
    deliver(folder)
    found = Shop(folder)
    with found.opened() as shop:
        shop.ingested(FIRST, LAST)
        shop.with_model(LAST)
        shop.run([*FEATURES, *SEGMENTS], SNAPSHOTS[0], SNAPSHOTS[-1])
        shop.run([*PUBLISHING, *QUALITY], SNAPSHOTS[0], SNAPSHOTS[-1])
    return found


@pytest.fixture(scope="module")
def published_before(before, environment) -> dict[str, list[tuple[object, ...]]]:
    return published(environment)


def published(url: str) -> dict[str, list[tuple[object, ...]]]:
    with psycopg.connect(url) as connection:
        return {
            table: connection.execute(f"SELECT * FROM {SCHEMA}.{table} ORDER BY 1, 2").fetchall()
            for table in ("published_segments", "segment_changes", "publications")
        }


@pytest.fixture(scope="module")
def after(before, published_before, tmp_path_factory) -> Shop:
    """The same shop, once the customer is forgotten."""
    found = before.copied(tmp_path_factory.mktemp("after"))
    shutil.rmtree(found.folder / "dagster")
    done = found.forget()
    assert done.exit_code == 0, done.output
    return found


def test_two_who_ask_at_once_about_the_first_customers_are_both_heard(before, tmp_path):
    shop = before.copied(tmp_path)
    content = yaml.safe_load(shop.config.read_text())
    del content["publish"]
    shop.config.write_text(yaml.safe_dump(content))
    another = next(each for each in sorted(set(shop.table("customer_orders")["customer_id"])) if each != CUSTOMER)
    resources = build_resources(load(shop.config))
    asked = inspection.asked_to_forget(resources, CUSTOMER)  # and while people think about it
    assert shop.forget(another).exit_code == 0
    digest = resources["erasure"].entomb(asked.named, "a test", print)
    erased = resources["erasure"].carry_out(digest, "a test", print)
    assert erased.rows["customer_orders"] == asked.traces.rows["customer_orders"]
    left = set(shop.table("customer_orders")["customer_id"])
    assert left.isdisjoint({CUSTOMER, another})
    assert naming(shop.lake) == []


def test_before_the_customer_is_in_every_table_copy_export_and_published_table(before, published_before):
    found = {name.split("/")[1] for name in naming(before.folder) if name.startswith("lake/")}
    assert found == {*LINES, *OF_CUSTOMERS, "feature_exploration", ".sources"}
    assert [name for name in naming(before.folder) if name.startswith("exports/")]
    assert CUSTOMER in str(published_before["published_segments"]) and CUSTOMER in str(
        published_before["segment_changes"]
    )


def is_told(entry: dg.EventLogEntry) -> bool:
    """Whether an event shows what was found in rows."""
    kinds = (dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    return entry.dagster_event is not None and entry.dagster_event.event_type in kinds


def ids_in(text: str) -> set[str]:
    """What looks like one of the simulation's ids."""
    return set(re.findall(r"(?<![\w.,-])(?:\d{5}|\d{8})(?![\w.,-])", text))


def test_no_event_of_any_run_no_report_and_no_verdict_names_a_customer(before):
    customers = set(before.table("customer_orders")["customer_id"])
    assert len(customers) > 50
    with before.opened() as shop:
        entries = [entry for run in shop.instance.get_runs() for entry in shop.instance.all_logs(run.run_id)]
    told = [str(entry.dagster_event.event_specific_data) for entry in entries if is_told(entry)]
    assert len(told) > 100
    assert ids_in(str(metadata.table_preview(before.table("customer_orders")))) & customers, (
        "this is how they would show"
    )
    assert not ids_in(" ".join(told)) & customers
    for folder in (before.folder / "reports", before.folder / "dagster", before.lake / "quality_results"):
        assert not naming(folder)
    pages = "".join(page.read_text() for page in (before.folder / "reports").rglob("*.html"))
    assert "farthest from the average" in pages
    assert not [customer for customer in customers if f">{customer}<" in pages]


def test_after_the_customer_is_in_no_byte_of_the_lake_exports_reports_or_of_dagsters_records(after, environment):
    for folder in ("lake", "exports", "reports", "dagster"):
        assert (after.folder / folder).is_dir()
        assert not naming(after.folder / folder)
    assert naming(after.folder / "landing"), "the source is the shop's own"
    assert CUSTOMER not in str(published(environment))


def test_the_command_tells_what_it_removed_and_which_files_of_the_shop_still_name_the_customer(before, tmp_path):
    shop = before.copied(tmp_path)
    refused = CliRunner(env={"DAGSTER_HOME": str(tmp_path / "home"), "COLUMNS": "200"}).invoke(
        app, ["forget", CUSTOMER, "--config", str(shop.config)], input="n\n"
    )
    assert refused.exit_code == 1
    assert f"{LAST}.parquet" in refused.output and f"{CSV_DAYS[0]}.csv" in refused.output
    assert not (shop.lake / "forgotten").exists()
    assert shop.bytes_of(LINES) == before.bytes_of(LINES)
    theirs = (before.table("customer_orders")["customer_id"] == CUSTOMER).sum()
    assert any(line.split()[:2] == ["customer_orders", str(theirs)] for line in refused.output.splitlines())


def test_the_run_is_recorded_and_says_how_many_rows_went(before, after):
    with after.opened() as shop:
        instance = shop.instance
        (run,) = instance.get_runs()
        assert run.job_name == "forget_customer" and run.is_success
        outputs = [
            entry.dagster_event.step_output_data.metadata
            for entry in instance.all_logs(run.run_id)
            if entry.dagster_event and entry.dagster_event.is_successful_output
        ]
    rows, partitions = outputs[0]["rows"].value, outputs[0]["partitions"].value
    for asset in OF_CUSTOMERS:
        table = before.table(asset)
        theirs = table[table["customer_id"] == CUSTOMER]
        assert (rows[asset], partitions[asset]) == (len(theirs), theirs["date"].nunique())
    assert rows["copies of the source"] > 0 and rows["database table published_segments"] == 1


def test_rows_and_money_of_every_day_are_as_before(before, after):
    keys = ["date", "source_file", "source_row"]
    for asset, untouched in {
        "raw_transactions": ["product_id", "quantity", "unit_price", "invoiced_at"],
        "clean_transactions": ["product_id", "quantity", "amount", "line_kind", "invoiced_at"],
        "quarantined_transactions": ["reason", "amount_at_stake"],
    }.items():
        pd.testing.assert_frame_equal(before.table(asset)[keys + untouched], after.table(asset)[keys + untouched])
    is_shared = before.table("clean_transactions")["invoice_id"].str.startswith(
        "7"
    )  # by several customers: see `special`
    lines = [shop.table("clean_transactions")[~is_shared] for shop in (before, after)]
    pd.testing.assert_series_equal(*(each.groupby("date")["invoice_id"].nunique() for each in lines))
    assert before.notes() == after.notes()


def test_rows_of_other_customers_are_as_before(before, after):
    for asset in OF_CUSTOMERS:
        table = before.table(asset)
        others = table[table["customer_id"] != CUSTOMER].reset_index(drop=True)
        assert 0 < len(others) < len(table)
        pd.testing.assert_frame_equal(others, after.table(asset))
    for asset in LINES:
        table, found = before.table(asset), after.table(asset)
        is_other = ~table.apply(lambda row: CUSTOMER in str(row.to_dict()), axis=1)
        assert 0 < is_other.sum() < len(table)
        pd.testing.assert_frame_equal(table[is_other], found[is_other])


def test_files_that_do_not_name_the_customer_are_not_written_again(before, after):
    untouched = [name for name in naming_none(before) if (after.lake / name).exists()]
    assert len(untouched) > 10
    for name in untouched:
        assert (after.lake / name).stat().st_mtime_ns == (before.lake / name).stat().st_mtime_ns, name


def naming_none(shop: Shop) -> set[str]:
    files = {str(file.relative_to(shop.lake)) for file in shop.lake.rglob("part-0.parquet")}
    return files - set(naming(shop.lake))


def test_nothing_becomes_stale(after):
    with after.opened() as shop:
        assert not plan(shop.settings, shop.resources["freshness"], shop.resources["models"], LAST)


def ingested_anew(shop: Shop, folder: Path) -> Shop:
    """The shop's files in an empty lake that knows only whom to forget, and the model that scored before."""
    found = shop.copied(folder)
    for part in (*LINES, *OF_CUSTOMERS, "feature_exploration", ".sources", "quality_results"):
        shutil.rmtree(found.lake / part)
    shutil.rmtree(found.folder / "dagster")
    with found.opened() as live:
        live.ingested(FIRST, LAST)
        live.run(["rfm_features", "customer_segments"], SNAPSHOTS[0], SNAPSHOTS[-1])
    return found


def test_the_same_files_ingested_again_give_the_same_bytes_and_do_not_bring_the_customer_back(after, tmp_path):
    again = ingested_anew(after, tmp_path)
    assert not naming(again.lake)
    for asset in (*LINES, *OF_CUSTOMERS):
        expected, found = after.bytes_of([asset]), again.bytes_of([asset])
        wanted = {
            name for name in expected if asset in (*LINES, "customer_orders", "customer_returns") or name in found
        }
        assert {name for name in wanted if expected[name] != found[name]} == set(), asset


def test_again_is_harmless(after, tmp_path):
    shop = after.copied(tmp_path)
    files = {str(file.relative_to(shop.lake)): file.read_bytes() for file in shop.lake.rglob("*.parquet")}
    for spelling in SPELLINGS:
        done = shop.forget(spelling)
        assert done.exit_code == 0, done.output
    assert {str(file.relative_to(shop.lake)): file.read_bytes() for file in shop.lake.rglob("*.parquet")} == files


def test_lines_that_come_later_come_in_as_a_guests(after, tmp_path):
    shop = after.copied(tmp_path)
    source = next((shop.folder / "landing").glob(f"*{LAST}.parquet"))
    late = pd.read_parquet(source)
    late = late[late["CustomerID"] == CUSTOMER].head(1).assign(InvoiceNo="799999", Quantity=7, UnitPrice=11.0)
    late.to_csv(source.with_name("late.csv"), index=False)
    with shop.opened() as live:
        live.ingested(LAST, LAST)
    assert not naming(shop.lake)
    found = shop.table("clean_transactions").query("source_file == 'late.csv'")
    assert found["customer_id"].isna().all() and found["amount"].astype(float).tolist() == [77.0]


def test_a_customer_that_no_line_has_is_an_error_and_leaves_nothing(before, tmp_path):
    shop = before.copied(tmp_path)
    done = shop.forget("99999999")
    assert done.exit_code == 1
    assert "No line of the lake" in done.output and "nothing was done" in done.output
    assert not (shop.lake / "forgotten").exists()
    assert shop.forget("NULL").exit_code == 1
    shutil.rmtree(shop.lake)
    assert "No line of the lake" in shop.forget().output


def test_a_customer_who_is_back_in_the_database_and_the_exports_is_forgotten_there_again(
    before, after, environment, tmp_path
):
    shop = after.copied(tmp_path)
    shutil.rmtree(shop.folder / "exports")
    shutil.copytree(before.folder / "exports", shop.folder / "exports")  # as from a backup
    with psycopg.connect(environment) as connection:
        connection.execute(
            f"INSERT INTO {SCHEMA}.published_segments SELECT (jsonb_populate_record(NULL::{SCHEMA}.published_segments, "
            f"to_jsonb(one) || %s::jsonb)).* FROM {SCHEMA}.published_segments AS one LIMIT 1",
            [json.dumps({"customer_id": CUSTOMER})],
        )
    assert CUSTOMER in str(published(environment))
    done = shop.forget()
    assert done.exit_code == 0, done.output
    assert not naming(shop.folder / "exports")
    assert CUSTOMER not in str(published(environment))


def test_a_killed_command_is_finished_by_another(before, after, tmp_path):
    shop = before.copied(tmp_path)
    shutil.copytree(after.lake / "forgotten", shop.lake / "forgotten")  # the same salt: the same bytes
    words = ["-m", "segmentation_pipeline.cli", "forget", CUSTOMER, "--yes", "--config", str(shop.config)]
    environment = {**os.environ, "DAGSTER_HOME": str(tmp_path / "home")}
    unchanged = before.bytes_of(OF_CUSTOMERS)
    worker = subprocess.Popen(
        [sys.executable, *words], env=environment, stdout=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while shop.bytes_of(OF_CUSTOMERS) == unchanged and worker.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()
    assert shop.bytes_of(OF_CUSTOMERS) != unchanged
    assert naming(shop.lake), "it was killed in the middle"
    done = shop.forget()
    assert done.exit_code == 0, done.output
    assert not naming(shop.lake)
    every = (*LINES, *OF_CUSTOMERS, "feature_exploration")
    assert shop.bytes_of(every) == after.bytes_of(every)
