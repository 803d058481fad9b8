"""The benchmark's contenders do the same job, and its yardstick measures what it says; nothing here is timed."""

import sys
from datetime import date
from pathlib import Path

import duckdb
import pytest

from segmentation_tests.benchmarks import agree, contenders, nights, recorded, shops
from segmentation_tests.benchmarks.processes import ProcessFailed, measured
from segmentation_tests.benchmarks.shops import TimedShop


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> TimedShop:
    """Four months, with customers who buy the same things again and give some of them back."""
    few = TimedShop(tmp_path_factory.mktemp("timed"), date(2025, 2, 1), date(2025, 5, 30), 0)
    return shops.made(few, customers=150, lines_per_day=300)


@pytest.fixture(scope="module")
def evening(shop: TimedShop) -> Path:
    """The pipeline's lake up to the day before the last."""
    return nights.eve(shop)


@pytest.fixture(scope="module")
def features(shop: TimedShop, evening: Path) -> dict[str, str]:
    """What each contender left; the pipeline's came by a night on a linked copy."""
    out = {name: shop.folder / name for name in contenders.CONTENDERS}
    nights.night(shop, evening, out[contenders.PIPELINE])
    for script in contenders.SCRIPTS:
        contenders.from_nothing(script, shop, out[script])
    return {name: contenders.features(name, folder, shop.last) for name, folder in out.items()}


@pytest.mark.parametrize("script", contenders.SCRIPTS)
def test_a_script_finds_the_pipelines_features_for_every_customer(script, features):
    assert agree.check(features[contenders.PIPELINE], features[script]) > 100


@pytest.mark.parametrize("script", contenders.SCRIPTS)
def test_a_script_keeps_every_row_and_rejects_what_the_pipeline_rejects(script, shop, features):
    lake = shop.folder / contenders.PIPELINE / "lake"
    expected = _reasons(f"{lake}/quarantined_transactions/*/*.parquet")
    out = shop.folder / script
    rejected = "quarantined/*.parquet" if script == "duckdb" else "quarantined.parquet"
    clean = "clean/*/*.parquet" if script == "duckdb" else "clean.parquet"
    assert _reasons(f"{out}/{rejected}") == expected
    assert _rows(f"{out}/{clean}") + sum(expected.values()) == _rows(f"{shop.landing}/*.parquet")


@pytest.mark.parametrize("script", contenders.SCRIPTS)
def test_a_script_gives_every_customer_a_segment(script, shop, features):
    assert _rows(f"{shop.folder / script}/segments.parquet") == _rows(features[script])


def test_contenders_who_differ_in_one_digit_of_one_customer_do_not_agree(features, tmp_path):
    changed = tmp_path / "changed.parquet"
    duckdb.execute(f"""COPY (SELECT * REPLACE (monetary + if(row_number() OVER () = 7, 0.0001, 0) AS monetary)
        FROM '{features["duckdb"]}') TO '{changed}'""")
    with pytest.raises(agree.Disagreement, match="only in"):
        agree.check(features["duckdb"], str(changed))


def test_a_customer_who_is_missing_is_a_disagreement(features, tmp_path):
    fewer = tmp_path / "fewer.parquet"
    duckdb.execute(f"COPY (FROM '{features['duckdb']}' OFFSET 1) TO '{fewer}'")
    with pytest.raises(agree.Disagreement):
        agree.check(features["duckdb"], str(fewer))


def test_a_night_on_a_linked_copy_leaves_the_eve_as_it_was(shop, evening, features):
    assert not (evening / "lake" / "rfm_features" / f"date={shop.last}").exists()
    assert (shop.folder / contenders.PIPELINE / "lake" / "rfm_features" / f"date={shop.last}").exists()
    days = {folder.name for folder in (evening / "lake" / "clean_transactions").glob("date=*")}
    assert max(days) == f"date={shop.before_last}"


def test_the_steps_of_a_night_are_read_from_what_dagster_recorded(shop, features):
    everything = recorded.since(contenders.home(shop.folder / contenders.PIPELINE), 0.0)
    assert {"raw_transactions", "rfm_features", "k_diagnostics", "segment_report"} <= set(everything.step_seconds)
    assert all(seconds > 0 for seconds in everything.step_seconds.values())


def test_peak_memory_counts_a_child_beside_its_parent(tmp_path):
    hold = "import time; held = b'x' * (150 * 2**20); time.sleep(1.5)"
    parent = f"import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', {hold!r}]); {hold}; child.wait()"
    found = measured([sys.executable, "-c", parent], {}, tmp_path / "log.txt")
    assert 150 < found.peak_of_main_mib < 220
    assert found.peak_mib > 300


def test_a_child_that_has_begun_no_program_of_its_own_counts_with_its_parent(tmp_path):
    hold = "import os, time; held = b'1' * (160 << 20); os.fork() or (time.sleep(1), os._exit(0)); os.wait()"
    found = measured([sys.executable, "-c", hold], {}, tmp_path / "log")
    assert 150 < found.peak_mib < 220


def test_a_process_that_fails_is_not_a_time(tmp_path):
    with pytest.raises(ProcessFailed, match="the reason"):
        measured([sys.executable, "-c", "raise SystemExit('the reason')"], {}, tmp_path / "log.txt")


def _reasons(rejected: str) -> dict[str, int]:
    return dict(duckdb.execute(f"SELECT reason, count(*) FROM '{rejected}' GROUP BY reason").fetchall())


def _rows(files: str) -> int:
    return int(duckdb.execute(f"SELECT count(*) FROM '{files}'").fetchone()[0])
