"""New and late data: what the sensor requests when files come, grow, change and go, and what that leaves in the lake."""

import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
import yaml

from segmentation_pipeline.planning import FEATURES, RETURNS, SEGMENTS, TRANSACTIONS
from segmentation_tests.integration.live_shop import MORNING_AFTER, Daemon, LiveShop, configure, days_of, in_short

FIRST, LAST, LATE = date(2025, 7, 1), date(2025, 7, 14), date(2025, 7, 5)
SNAPSHOTS = [date(2025, 7, 4), date(2025, 7, 9), date(2025, 7, 13), date(2025, 7, 14)]
SNAPSHOT = [*FEATURES, *SEGMENTS]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two weeks ingested, a model, and snapshots of some days."""
    file = configure(tmp_path_factory.mktemp("live"), FIRST, LAST)
    with dg.DagsterInstance.ephemeral() as instance:
        shop = LiveShop(file, instance)
        shop.ingested(FIRST, LAST)
        shop.with_model(LAST)
        shop.snapshots(SNAPSHOTS)
    return file


@pytest.fixture
def daemon(done: Path, tmp_path: Path) -> Iterator[Daemon]:
    """The sensor on a copy of the shop, after a first look that found nothing."""
    folder = shutil.copytree(done.parent, tmp_path / "shop")
    with dg.DagsterInstance.ephemeral() as instance:
        started = Daemon(LiveShop(folder / "shop.yaml", instance))
        assert started.tick() == f"Nothing in {started.shop.settings.source.path} has changed."
        yield started


def sold(file: Path, day: date, customer: str = "99001", rows: int = 3) -> Path:
    """A file with lines of a day, of a customer that no other file has."""
    lines = {
        "InvoiceNo": [f"9{customer}{number}" for number in range(rows)],
        "StockCode": "P1",
        "Description": "thing",
        "Quantity": 2,
        "InvoiceDate": pd.Timestamp(f"{day} 12:00"),
        "UnitPrice": 1.5,
        "CustomerID": customer,
        "Country": "France",
    }
    pd.DataFrame(lines).to_parquet(file)
    return file


@dataclass(frozen=True)
class Late:
    """What became of a shop after a late file: the requests of each tick, and its files before and after."""

    shop: LiveShop
    requests: list[list[dg.RunRequest]]
    before: dict[str, bytes]
    after: dict[str, bytes]


@pytest.fixture(scope="module")
def late(done: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Late]:
    """A late file came, and everything that the sensor requested was done."""
    folder = shutil.copytree(done.parent, tmp_path_factory.mktemp("late") / "shop")
    with dg.DagsterInstance.ephemeral() as instance:
        daemon = Daemon(LiveShop(folder / "shop.yaml", instance))
        daemon.tick()
        before = daemon.shop.bytes_of((*TRANSACTIONS, *RETURNS, "rfm_features", "customer_segments"))
        sold(daemon.shop.landing / "late.parquet", LATE)
        requests = daemon.carry_out_until_settled()
        after = daemon.shop.bytes_of((*TRANSACTIONS, *RETURNS, "rfm_features", "customer_segments"))
        yield Late(daemon.shop, requests, before, after)


def test_a_late_file_changes_its_day_and_then_the_snapshots_after_it_newest_first_and_the_newest_report(late):
    assert [in_short(requests) for requests in late.requests] == [
        [("raw_transactions", "2025-07-05")],
        [("customer_returns", "2025-07-05 to 2025-07-14")],
        [("rfm_features", "2025-07-14"), ("rfm_features", "2025-07-13"), ("rfm_features", "2025-07-09")],
        [("segment_report", "2025-07-14")],
    ]
    assert late.before.keys() == late.after.keys()
    changed = {"/".join(Path(file).parts[-3:-1]) for file in late.before if late.before[file] != late.after[file]}
    assert changed == {
        *(f"{asset}/date={LATE}" for asset in ("raw_transactions", "clean_transactions", "customer_orders")),
        *(f"{asset}/date={day}" for asset in ("rfm_features", "customer_segments") for day in SNAPSHOTS[1:]),
    }


def test_after_late_data_the_lake_is_as_if_the_file_had_come_in_time(late, tmp_path):
    assets = (*TRANSACTIONS, *RETURNS, "rfm_features")
    anew = shutil.copytree(late.shop.landing, tmp_path / "anew" / "landing").parent
    shutil.copy(late.shop.file, anew)
    in_time = LiveShop(anew / "shop.yaml", late.shop.instance)
    in_time.ingested(FIRST, LAST)
    in_time.run(["rfm_features"], SNAPSHOTS[0], LAST)

    def relative(shop):
        return {Path(file).relative_to(shop.file.parent): data for file, data in shop.bytes_of(assets).items()}

    found, expected = relative(late.shop), relative(in_time)
    assert found == {file: expected[file] for file in found}
    assert len(found) == 5 * 14 + len(SNAPSHOTS)


def test_newest_snapshots_come_first_in_the_queue_and_say_why_they_run(late):
    requests = late.requests[2]
    assert [int(request.tags["dagster/priority"]) for request in requests] == [3, 2, 1]
    assert {request.tags["segmentation/because"] for request in requests} == {
        "orders or returns of earlier days changed"
    }
    assert [key.path[-1] for key in requests[0].asset_selection] == SNAPSHOT


def test_a_restarted_daemon_requests_the_same_content_under_the_same_run_keys(daemon):
    sold(daemon.shop.landing / "late.parquet", LATE)
    cursor = daemon.cursor
    (first,) = daemon.tick()
    daemon.cursor = cursor  # the tick was cut short before Dagster noted it down
    (again,) = daemon.tick()
    assert first.run_key == again.run_key


def test_nothing_is_requested_while_a_requested_run_is_under_way(daemon):
    sold(daemon.shop.landing / "late.parquet", LATE)
    daemon.tick()
    run = daemon.shop.instance.create_run_for_job(
        daemon.shop.definitions.resolve_job_def("nightly_refresh"),
        tags={"dagster/sensor_name": daemon.sensor.name},
        status=dg.DagsterRunStatus.STARTED,
    )
    assert daemon.tick() == f"Run {run.run_id} is under way; what comes after it is looked for then."


def test_a_delivery_that_fails_its_gate_is_requested_once_and_the_reason_stays_in_view(daemon):
    (file,) = daemon.shop.landing.glob("*2025-07-10*")
    whole = file.read_bytes()
    rows = pd.read_parquet(file)
    pd.concat([rows, rows]).to_parquet(file)
    assert daemon.until_settled() == [[("raw_transactions", "2025-07-10")]]
    told = daemon.tick()
    assert "2025-07-10 was requested before and is still out of date" in told
    assert daemon.tick() == told

    sold(daemon.shop.landing / "late.parquet", LAST)
    assert daemon.until_settled()[0] == [("raw_transactions", str(LAST))]  # the other day does not wait
    file.write_bytes(whole)
    assert daemon.until_settled() == []  # what stands in the lake was made from this content
    pd.concat([rows, rows]).to_parquet(file)
    assert daemon.until_settled() == [[("raw_transactions", "2025-07-10")]]  # and this has come again


def later(daemon: Daemon) -> Daemon:
    """A quarter of an hour later, when the sensor looks again at what was in vain."""
    found = Daemon(daemon.shop, MORNING_AFTER + timedelta(minutes=15))
    found.cursor = daemon.cursor
    return found


def test_snapshots_whose_features_were_tidied_away_are_left_alone(daemon):
    for day in SNAPSHOTS[:2]:
        shutil.rmtree(Path(str(daemon.shop.lake.root)) / "rfm_features" / f"date={day}")
    daemon.cursor = None
    assert daemon.tick().startswith("Nothing in")


def test_what_follows_a_day_that_was_let_through_by_hand_is_requested(daemon):
    (file,) = daemon.shop.landing.glob("*2025-07-10*")
    rows = pd.read_parquet(file)
    pd.concat([rows, rows]).to_parquet(file)
    daemon.until_settled()
    content = yaml.safe_load(daemon.shop.file.read_text()) | {
        "quality": {"max_duplicate_share": 0.9, "max_quarantined_share": 0.9}
    }
    daemon.shop.file.write_text(yaml.safe_dump(content))
    lenient = Daemon(LiveShop(daemon.shop.file, daemon.shop.instance))
    lenient.cursor = daemon.cursor
    assert "2025-07-10 was requested before and is still out of date" in lenient.tick()
    lenient.shop.run(TRANSACTIONS, date(2025, 7, 10), date(2025, 7, 10))
    assert later(lenient).until_settled() == [
        [("customer_returns", "2025-07-10 to 2025-07-14")],
        [("rfm_features", "2025-07-14"), ("rfm_features", "2025-07-13")],
        [("segment_report", "2025-07-14")],
    ]


def test_snapshots_whose_segments_could_not_be_made_are_told_until_they_are(daemon):
    sold(daemon.shop.landing / "late.parquet", SNAPSHOTS[2])
    for _step in range(2):
        daemon.shop.carry_out(daemon.tick(), daemon.sensor.name)
    requests = daemon.tick()
    model = Path(str(daemon.shop.lake.root)) / "segmentation_model"
    model.rename(model.with_name("away"))
    assert daemon.shop.carry_out(requests, daemon.sensor.name) == [False, False]
    model.with_name("away").rename(model)
    told = "rfm_features and what follows of 2025-07-14 was requested before and is still out of date"
    assert told in daemon.tick()
    assert told in daemon.tick()
    daemon.shop.snapshots([day for day in SNAPSHOTS if day >= SNAPSHOTS[2]])
    assert later(daemon).tick().startswith("Nothing in")


def test_another_model_in_force_makes_no_snapshot_stale(daemon):
    models = daemon.shop.resources["models"]
    shutil.copytree(str(models.root / "version=0001"), str(models.root / "version=0002"))
    models.put_in_force(2)
    assert daemon.shop.resources["freshness"].standing("customer_segments", SNAPSHOTS) == set()
    assert daemon.tick().startswith("Nothing in")
    sold(daemon.shop.landing / "late.parquet", LATE)
    assert isinstance(daemon.tick(), list), "it was not asleep"


def test_a_file_delivered_again_with_other_rows_touches_the_days_of_both_versions(daemon):
    file = sold(daemon.shop.landing / "fix.parquet", date(2025, 7, 12))
    daemon.until_settled()
    sold(file, date(2025, 7, 14))
    touched, *_later = daemon.until_settled()
    assert touched == [("raw_transactions", "2025-07-12"), ("raw_transactions", "2025-07-14")]
    assert daemon.tick().startswith("Nothing in")


def test_a_file_that_is_only_touched_or_renamed_temporarily_requests_nothing(daemon):
    (file,) = daemon.shop.landing.glob("*2025-07-10*")
    file.touch()
    assert daemon.until_settled() == []


def configured(daemon: Daemon, **source: object) -> Daemon:
    """The same shop and lake, with another `source` section; what the sensor remembers stays."""
    content = yaml.safe_load(daemon.shop.file.read_text())
    content["source"] |= source
    daemon.shop.file.write_text(yaml.safe_dump(content))
    other = Daemon(LiveShop(daemon.shop.file, daemon.shop.instance))
    other.tick()
    return other


def test_a_growing_file_is_left_alone_and_named_until_it_has_stopped(daemon):
    patient = configured(daemon, settle_seconds=30)
    file = sold(patient.shop.landing / "late.parquet", LATE)
    assert patient.tick().endswith("Still growing, and left until they have stopped: late.parquet.")
    sold(file, LATE, rows=4)  # it has grown
    assert patient.tick().endswith("Still growing, and left until they have stopped: late.parquet.")
    settled = time.time() - 31
    os.utime(file, (settled, settled))
    (request,) = patient.tick()
    assert days_of(request) == str(LATE)


def test_a_removed_file_is_named_and_its_rows_stay(daemon):
    (file,) = daemon.shop.landing.glob("*2025-07-10*")
    before = daemon.shop.bytes_of(TRANSACTIONS)
    file.unlink()
    told = daemon.tick()
    assert told.endswith(f"No longer there, their rows kept (source.removed_files): {file.name}.")
    assert daemon.shop.bytes_of(TRANSACTIONS) == before


def test_a_removed_file_takes_its_rows_with_it_where_that_is_wished_for(daemon):
    (file,) = daemon.shop.landing.glob("*2025-07-10*")
    rows = daemon.shop.lake.rows("raw_transactions", date(2025, 7, 10))
    tidy = configured(daemon, removed_files="drop")
    tidy.until_settled()  # another setting reads everything anew
    file.unlink()
    assert tidy.until_settled()[0] == [("raw_transactions", "2025-07-10")]
    assert (rows > 0, tidy.shop.lake.rows("raw_transactions", date(2025, 7, 10))) == (True, 0)


def test_rows_of_a_day_that_is_not_over_wait_for_its_end(daemon):
    today = sold(daemon.shop.landing / "today.parquet", LAST)
    lines = pd.read_parquet(today).assign(InvoiceDate=pd.Timestamp("2025-07-15 07:00"))
    lines.to_parquet(today)
    assert daemon.until_settled() == []
    tomorrow = Daemon(daemon.shop, datetime(2025, 7, 16, 1, tzinfo=UTC))
    tomorrow.cursor = daemon.cursor
    assert tomorrow.until_settled()[0] == [("raw_transactions", "2025-07-15")]


def test_the_first_look_at_an_empty_lake_requests_every_delivered_day_in_one_run(tmp_path):
    with dg.DagsterInstance.ephemeral() as instance:
        shop = LiveShop(configure(tmp_path, FIRST, LAST), instance)
        daemon = Daemon(shop)
        (request,) = daemon.tick()
    assert days_of(request) == "2025-07-01 to 2025-07-14"
    assert [key.path[-1] for key in request.asset_selection] == list(TRANSACTIONS)
    assert json.loads(daemon.cursor)["requests"] == 1
