"""Landing folders: files that still grow are left for the next look, and files that are tidied away still count."""

import os
import threading
import time
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner
from upath import UPath

from segmentation_pipeline.cli import app
from segmentation_pipeline.errors import TransientFault
from segmentation_pipeline.opening import build_resources
from segmentation_pipeline.planning import TRANSACTIONS, plan
from segmentation_pipeline.resources.engines.duckdb import DuckDBEngine
from segmentation_pipeline.resources.sources.files import FileSource
from segmentation_pipeline.resources.sources.headers import SourceError
from segmentation_pipeline.resources.sources.opening import wait_until_settled
from segmentation_pipeline.settings import load
from segmentation_tests.integration.shop_files import HEADER, configure, write_csv, write_parquet

LONG_AGO = time.time() - 3_600


def opened(folder: Path, **source: object) -> FileSource:
    settings = load(configure(folder, source))
    return FileSource(settings, DuckDBEngine(settings.engine, settings.timezone), UPath(settings.lake / ".sources"))


def sale(day: int, invoice: str = "I1") -> tuple[object, ...]:
    return (invoice, "P1", "thing", 2, f"2025-03-{day:02d} 10:30:00", 1.5, 17850, "UK")


def deliver(folder: Path, name: str, *days: int, written: float = LONG_AGO) -> Path:
    """A file with a sale on each of some days of March, of the kind its name says, written at some time."""
    file, rows = folder / "landing" / name, [sale(day, f"I{name}{day}") for day in days]
    if name.endswith(".csv"):
        write_csv(file, rows)
    else:
        write_parquet(file, dict(zip(HEADER, zip(*rows, strict=True), strict=True)))
    os.utime(file, (written, written))
    return file


def names(source: FileSource) -> list[str]:
    return [file.path for file in source.refresh()]


def raw(source: FileSource, *days: int) -> pd.DataFrame:
    rows = source.rows([date(2025, 3, day) for day in days])
    return source.engine.to_pandas(rows.order_by("source_file", "source_row"))


def digests(source: FileSource) -> list[str]:
    return [source.digest(date(2025, 3, 1) + timedelta(days=number)) for number in range(20)]


# Files that grow


@pytest.mark.parametrize("ahead", [0, 5], ids=["just now", "by a clock that is ahead"])
def test_a_new_file_is_left_until_it_has_settled(tmp_path, ahead):
    deliver(tmp_path, "04.csv", 4)
    growing = deliver(tmp_path, "05.csv", 5, written=time.time() + ahead)
    source = opened(tmp_path, settle_seconds=10)
    assert (names(source), source.waiting()) == (["04.csv"], ["05.csv"])
    os.utime(growing, (time.time() - 11, time.time() - 11))
    assert (names(source), source.waiting()) == (["04.csv", "05.csv"], [])


def test_a_half_copied_file_is_no_error_before_it_has_settled(tmp_path):
    deliver(tmp_path, "04.csv", 4)
    half = deliver(tmp_path, "05.parquet", 5)
    half.write_bytes(half.read_bytes()[:-50])
    source = opened(tmp_path, settle_seconds=10)
    assert names(source) == ["04.csv"]
    os.utime(half, (LONG_AGO, LONG_AGO))
    with pytest.raises(SourceError, match=r"05\.parquet: is no whole Parquet file"):
        source.refresh()


def test_files_that_all_still_grow_are_not_no_files(tmp_path):
    deliver(tmp_path, "05.csv", 5, written=time.time())
    source = opened(tmp_path, settle_seconds=10)
    assert (names(source), source.waiting()) == ([], ["05.csv"])
    assert (source.first_day(), source.last_day(), len(raw(source, 5))) == (None, None, 0)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_file_that_is_overwritten_stays_as_it_was_until_it_has_settled(tmp_path, kind):
    deliver(tmp_path, f"04.{kind}", 4)
    source = opened(tmp_path, settle_seconds=10)
    before, state, seen = digests(source), source.state(), source.files()
    file = deliver(tmp_path, f"04.{kind}", 4, 5, written=time.time())
    assert (source.refresh(), digests(source), source.state()) == (seen, before, state)
    assert source.waiting() == [f"04.{kind}"]
    if kind == "csv":
        assert len(raw(source, 4, 5)) == 1
    else:
        with pytest.raises(TransientFault, match=r"04\.parquet: is being overwritten"):
            raw(source, 4)
    os.utime(file, (LONG_AGO + 1, LONG_AGO + 1))
    assert source.state() != state
    source.refresh()
    assert len(raw(source, 4, 5)) == 2


def test_a_file_that_has_changed_since_the_last_look_is_looked_at_again_before_it_is_read(tmp_path):
    deliver(tmp_path, "04.parquet", 4)
    source = opened(tmp_path)
    before = digests(source)
    deliver(tmp_path, "04.parquet", 4, 4, written=LONG_AGO + 1)
    assert len(raw(source, 4)) == 2
    assert source.digest(date(2025, 3, 4)) != before[3]


def test_the_state_is_that_of_settled_files_and_needs_no_index(tmp_path):
    deliver(tmp_path, "04.csv", 4)
    source = opened(tmp_path, settle_seconds=10)
    empty = source.state()
    file = deliver(tmp_path, "05.csv", 5, written=time.time())
    assert source.state() == empty
    os.utime(file, (LONG_AGO, LONG_AGO))
    grown = source.state()
    assert grown != empty
    assert not (tmp_path / "lake").exists()
    source.refresh()
    assert source.state() == grown


def test_with_no_time_to_settle_files_are_read_as_they_are(tmp_path):
    deliver(tmp_path, "05.csv", 5, written=time.time())
    source = opened(tmp_path, settle_seconds=0)
    assert (names(source), source.waiting()) == (["05.csv"], [])


def test_a_person_waits_for_the_file_just_copied_and_is_told_once(tmp_path):
    deliver(tmp_path, "04.csv", 4)
    deliver(tmp_path, "05.csv", 5, written=time.time())
    config = configure(tmp_path, {"settle_seconds": 3})
    result = CliRunner().invoke(app, ["check-source", "--config", str(config)])
    assert result.exit_code == 0, result.output
    assert result.stderr == "Waiting up to 18 s for 05.csv: changed less than 3 s ago.\n"
    assert "2 files, 2 rows, 2025-03-04 to 2025-03-05" in " ".join(result.stdout.split())


def test_a_file_that_never_settles_is_named_after_a_while(tmp_path):
    file = deliver(tmp_path, "05.csv", 5)
    source = opened(tmp_path, settle_seconds=0.2)
    over = threading.Event()

    def grow() -> None:
        while not over.is_set():
            os.utime(file)
            time.sleep(0.02)

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        while not source.waiting():
            time.sleep(0.01)
        with pytest.raises(SourceError, match=r"05\.csv: still growing after 1\.2 s"):
            wait_until_settled(source, source.settings, lambda _line: None)
    finally:
        over.set()
        writer.join()


# Files that are gone


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_file_that_is_tidied_away_changes_nothing(tmp_path, kind):
    gone = deliver(tmp_path, f"04.{kind}", 4)
    deliver(tmp_path, "05.csv", 5)
    source = opened(tmp_path)
    before, state, seen = digests(source), source.state(), source.files()
    assert source.removed() == []
    gone.unlink()
    kept = [replace(file, is_kept=file.path == gone.name) for file in seen]
    assert (source.refresh(), digests(source), source.state()) == (kept, before, state)
    assert (source.removed(), source.waiting()) == ([f"04.{kind}"], [])
    assert opened(tmp_path).files() == kept


def test_an_empty_landing_folder_is_fine_once_its_files_were_seen_and_a_missing_one_is_not(tmp_path):
    deliver(tmp_path, "04.csv", 4).unlink()
    with pytest.raises(SourceError, match="No file matches"):
        opened(tmp_path).refresh()
    gone = deliver(tmp_path, "04.csv", 4)
    source = opened(tmp_path)
    source.refresh()
    gone.unlink()
    assert names(source) == ["04.csv"]
    gone.parent.rmdir()
    with pytest.raises(SourceError, match="No file matches"):
        source.refresh()


def test_a_removed_csv_is_read_from_its_converted_copy_however_old_that_is(tmp_path):
    gone = deliver(tmp_path, "04.csv", 4)
    source = opened(tmp_path)
    source.files()
    for copy in (tmp_path / "lake" / ".sources").glob("*-*.parquet"):
        os.utime(copy, (0, 0))
    gone.unlink()
    deliver(tmp_path, "late.csv", 4)
    source.refresh()
    assert sorted(raw(source, 4)["source_file"]) == ["04.csv", "late.csv"]
    assert list(source.lost_days()) == []


def test_a_removed_parquet_file_that_is_needed_again_is_named_with_its_days_and_what_to_do(tmp_path):
    gone = deliver(tmp_path, "04.parquet", 4, 5)
    content = gone.read_bytes()
    deliver(tmp_path, "09.csv", 9)
    source = opened(tmp_path)
    source.files()
    gone.unlink()
    deliver(tmp_path, "late.csv", 4)
    source.refresh()
    assert len(raw(source, 9)) == 1
    assert sorted(source.lost_days()) == [date(2025, 3, 4), date(2025, 3, 5)]
    with pytest.raises(SourceError) as lost:
        raw(source, 3, 4)
    assert str(lost.value) == (
        f"{gone}: removed, and needed to compute 2025-03-04 again. Put it back, or set source.removed_files: drop to "
        "compute these days without it."
    )
    gone.write_bytes(content)
    os.utime(gone, (LONG_AGO, LONG_AGO))
    source.refresh()
    assert len(raw(source, 4)) == 2


def test_removed_files_are_dropped_where_the_shop_says_so(tmp_path):
    gone = deliver(tmp_path, "04.csv", 4)
    deliver(tmp_path, "05.csv", 5)
    source = opened(tmp_path, removed_files="drop")
    before, state = digests(source), source.state()
    gone.unlink()
    assert source.state() != state
    assert (names(source), source.removed()) == (["05.csv"], [])
    assert [day for day, (old, new) in enumerate(zip(before, digests(source), strict=True), 1) if old != new] == [4]
    assert len(raw(source, 4, 5)) == 1


def test_a_file_that_is_renamed_is_not_two_files(tmp_path):
    file = deliver(tmp_path, "04.parquet", 4)
    source = opened(tmp_path, path="landing/**/*.parquet")
    source.files()
    (file.parent / "2025").mkdir()
    file.rename(file.parent / "2025" / "04.parquet")
    assert (names(source), source.removed()) == (["2025/04.parquet"], [])
    assert len(raw(source, 4)) == 1


def test_files_of_another_glob_were_not_removed_but_are_not_meant_any_more(tmp_path):
    deliver(tmp_path, "04.csv", 4)
    deliver(tmp_path, "05.parquet", 5)
    assert names(opened(tmp_path)) == ["04.csv", "05.parquet"]
    source = opened(tmp_path, path="landing/*.parquet")
    assert (names(source), source.removed()) == (["05.parquet"], [])


def test_a_shop_that_moves_with_its_lake_still_knows_its_removed_files(tmp_path):
    gone = deliver(tmp_path / "here", "04.csv", 4)
    deliver(tmp_path / "here", "05.csv", 5)
    before = digests(opened(tmp_path / "here"))
    gone.unlink()
    (tmp_path / "here").rename(tmp_path / "there")
    source = opened(tmp_path / "there")
    assert (digests(source), source.removed()) == (before, ["04.csv"])
    assert len(raw(source, 4, 5)) == 2


def test_other_settings_read_a_removed_csv_anew_and_leave_a_removed_parquet_file_as_it_was(tmp_path):
    for kind in ("csv", "parquet"):
        deliver(tmp_path, f"04.{kind}", 4, 6)
    deliver(tmp_path, "05.csv", 5)
    opened(tmp_path).files()
    for kind in ("csv", "parquet"):
        (tmp_path / "landing" / f"04.{kind}").unlink()
    settings = load(configure(tmp_path, end_date="2025-03-05"))
    source = FileSource(settings, DuckDBEngine(settings.engine, settings.timezone), UPath(settings.lake / ".sources"))
    spans = {file.path: (str(file.last_day), file.undated_rows) for file in source.files()}
    assert spans["04.csv"] == ("2025-03-04", 1)
    assert spans["04.parquet"] == ("2025-03-06", 0)


def test_a_day_that_is_lost_is_not_computed_again_because_its_neighbours_are(tmp_path):
    for day in (3, 4, 5):
        deliver(tmp_path, f"{day:02d}.parquet", day)
    resources = build_resources(load(configure(tmp_path)))
    resources["source"].files()
    (tmp_path / "landing" / "04.parquet").unlink()
    fourth, end = date(2025, 3, 4), date(2025, 3, 5)
    days = [date(2025, 3, day) for day in range(1, 6)]
    expected = resources["freshness"].expected(days)
    for asset in TRANSACTIONS:
        folder = tmp_path / "lake" / asset / f"date={fourth}"
        folder.mkdir(parents=True)
        (folder / "part-0.parquet").touch()
        (folder / "partition.jsonl").write_text(f'{{"inputs": "{expected[asset][fourth]}"}}')
    runs = plan(load(configure(tmp_path)), resources["freshness"], resources["models"], end)
    stretches = [(run.first_day, run.last_day) for run in runs if "raw_transactions" in run.assets]
    assert stretches == [(date(2025, 3, 1), date(2025, 3, 3)), (end, end)]
