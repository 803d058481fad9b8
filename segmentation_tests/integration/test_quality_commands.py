"""What the command line tells of data quality: quarantined rows, warnings, closed gates, and the way back."""

import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from segmentation_pipeline.cli import app
from segmentation_tests.integration.shop_files import Row, configure, recorded_in, sales, write_csv

QUALITY = {"quality": {"min_rows": 5}, "model": {"k": 3, "min_segment_share": 0.0, "min_silhouette": -1.0}}


@pytest.fixture(autouse=True)
def own_instance(tmp_path: Path) -> Iterator[None]:
    """Every command records to a folder of its test."""
    with recorded_in(tmp_path / "dagster"):
        yield


def segmentation(*words: object) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(word) for word in words])


def bad_rows() -> list[Row]:
    """Good sales, and three rows without price and two without a moment."""
    moments = ("2025-03-04 09:00:00", "2025-03-05 09:00:00", "2025-03-05 10:00:00")
    free = [(f"F{number}", "P1", "thing", 1, moment, 0, 10_001, "UK") for number, moment in enumerate(moments, start=1)]
    timeless = [(f"T{number}", "P3", "thing", 1, "", 5, 10_003, "UK") for number in range(2)]
    return [*sales(300, customers=40), *free, *timeless]


def numbers(text: str, reason: str) -> list[int]:
    """The whole numbers of the first line that begins with a reason."""
    line = next(line for line in text.splitlines() if line.strip().startswith(reason))
    return [int(number.replace(",", "")) for number in re.findall(r"\s(\d[\d,]*)(?=\s)", line)]


@pytest.fixture(scope="module")
def with_quarantine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration of a shop after a run that quarantined rows."""
    folder = tmp_path_factory.mktemp("quarantine")
    write_csv(folder / "landing" / "a.csv", bad_rows())
    config = configure(folder, **QUALITY)
    with recorded_in(tmp_path_factory.mktemp("dagster")):
        assert segmentation("run", "--config", config).exit_code == 0
    return config


def test_quarantined_rows_are_listed_by_reason_and_day_with_samples_as_they_came(with_quarantine):
    told = segmentation("quarantine", "--config", with_quarantine)
    assert told.exit_code == 0
    assert "5 quarantined rows" in told.stdout
    assert numbers(told.stdout, "zero_price")[:2] == [3, 2]
    assert numbers(told.stdout, "missing_timestamp")[:2] == [2, 1]
    assert "2025-03-05 2 zero_price 2" in re.sub(" +", " ", told.stdout)
    assert "a.csv row 301" in told.stdout
    assert "invoice_id F1, product_id P1, description thing" in told.stdout


def test_quarantined_rows_of_some_days_and_one_reason(with_quarantine):
    config = with_quarantine
    told = segmentation(
        "quarantine", "--config", config, "--from", "2025-03-05", "--to", "2025-03-09", "--reason", "zero_price"
    )
    assert "2025-03-05 to 2025-03-09: 2 quarantined rows" in told.stdout
    assert "missing_timestamp" not in told.stdout
    nothing = segmentation("quarantine", "--config", config, "--from", "2025-03-06", "--reason", "zero_price")
    assert "no quarantined rows" in nothing.stdout


def test_before_the_first_run_there_is_nothing_to_list(tmp_path):
    write_csv(tmp_path / "landing" / "a.csv", sales(10))
    told = segmentation("quarantine", "--config", configure(tmp_path))
    assert told.exit_code == 0
    assert "`segmentation run` brings it up to date" in told.stdout


def test_a_closed_gate_is_told_with_day_reason_and_remedy_and_the_next_run_after_the_fix_is_green(tmp_path):
    rows = sales(300, customers=40)
    twice = [row for row in rows if str(row[4]).startswith("2025-03-10")]
    write_csv(tmp_path / "landing" / "a.csv", rows)
    second = write_csv(tmp_path / "landing" / "b.csv", twice)
    config = configure(tmp_path, **QUALITY)
    refused = segmentation("run", "--config", config)
    assert refused.exit_code == 1
    assert "raw_transactions of 2025-03-10 was held back" in refused.stderr
    assert "duplicates_are_few" in refused.stderr
    assert "remove the second delivery" in refused.stderr
    assert "Traceback" not in refused.stderr
    page = tmp_path / "reports" / "date=2025-03-10" / "quality_report.html"
    assert str(page) in refused.stderr
    assert "A file delivered twice doubles a day" in page.read_text()
    assert not (tmp_path / "lake" / "clean_transactions").exists()

    second.unlink()
    mended = segmentation("run", "--config", config)
    assert mended.exit_code == 0, mended.stderr
    assert "300 source rows = 300 accepted + 0 quarantined" in mended.stdout


def test_a_quality_report_that_cannot_be_drawn_does_not_hide_why_the_gate_closed(tmp_path):
    rows = sales(300, customers=40)
    write_csv(tmp_path / "landing" / "a.csv", rows)
    write_csv(tmp_path / "landing" / "b.csv", [row for row in rows if str(row[4]).startswith("2025-03-10")])
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "date=2025-03-10").write_text("in the way of the page's folder")
    refused = segmentation("run", "--config", configure(tmp_path, **QUALITY))
    assert refused.exit_code == 1
    assert "raw_transactions of 2025-03-10 was held back" in refused.stderr
    assert "The quality report could not be drawn either: The run" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_an_own_expectation_that_cannot_be_is_told_before_anything_runs(tmp_path):
    write_csv(tmp_path / "landing" / "a.csv", sales(10))
    own = {
        "stage": "clean_transactions",
        "type": "expect_column_values_to_be_betwen",
        "arguments": {"column": "revenue"},
    }
    refused = segmentation("run", "--config", configure(tmp_path, quality={"expectations": [own]}))
    assert refused.exit_code == 1
    assert "did you mean expect_column_values_to_be_between?" in refused.stderr
    assert not (tmp_path / "lake").exists()


def test_warnings_are_counted_in_the_summary_and_kept_in_the_ledger(tmp_path):
    write_csv(tmp_path / "landing" / "a.csv", bad_rows())
    config = configure(tmp_path, quality={"min_rows": 5, "warn_quarantined_share": 0.0}, model=QUALITY["model"])
    done = segmentation("run", "--config", config)
    assert done.exit_code == 0
    assert "clean_transactions: quarantined_share_is_small on" in done.stdout
    ledger = pd.concat(map(pd.read_parquet, (tmp_path / "lake" / "quality_results").glob("*.parquet")))
    warned = ledger[(ledger["expectation"] == "quarantined_share_is_small") & (ledger["passed"] == False)]  # noqa: E712
    assert {str(day) for day in warned["date"]} >= {"2025-03-05"}
    assert ledger["run_id"].nunique() >= 3
