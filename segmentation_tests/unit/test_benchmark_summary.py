"""What the benchmark's results come to: pairs, calls and targets, on results made up for it."""

import pytest

from segmentation_tests.benchmarks import page, sizing
from segmentation_tests.benchmarks.summary import Summary

MACHINE = {"processor": "any", "cores": 2, "memory_gib": 8.0, "python": "3.11", "libraries": {"duckdb": "2.0"}}


def run(contender, pair, wall_seconds, millions=10, batch="first", against="pandas", peak_mib=1_000.0):
    return {
        "kind": "whole", "batch": batch, "millions": millions, "lines": millions * 1_000_000, "against": against,
        "pair": pair, "contender": contender, "wall_seconds": wall_seconds, "peak_mib": peak_mib,
        "peak_of_main_mib": peak_mib, "date": "2026-01-01T00:00:00", "machine": MACHINE,
        "step_seconds": {"k_diagnostics": 9.0},
    }  # fmt: skip


def pairs(*seconds, **about):
    return [
        run(contender, pair, wall, **about)
        for pair, both in enumerate(seconds)
        for contender, wall in zip(("pipeline", about.get("against", "pandas")), both, strict=True)
    ]


def test_a_ratio_is_the_median_of_the_ratios_of_pairs_not_the_ratio_of_medians():
    found = Summary(pairs((10, 20), (30, 90), (50, 51)))
    assert found.ratio("wall_seconds", 10, "pandas") == pytest.approx(0.5)


def test_only_the_latest_call_of_a_comparison_counts():
    older, newer = pairs((10, 20)), pairs((10, 40), batch="second")
    other = pairs((10, 5), against="duckdb")
    found = Summary([*older, *other, *newer])
    assert found.ratio("wall_seconds", 10, "pandas") == pytest.approx(0.25)
    assert found.ratio("wall_seconds", 10, "duckdb") == pytest.approx(2.0)


def test_the_limit_of_memory_is_held_against_the_highest_run():
    runs = [run("pipeline", pair, 9.0, 100, peak_mib=peak) for pair, peak in enumerate((2_000.0, 2_000.0, 3_000.0))]
    assert "| 3 GB | 3.15 GB | **not met** |" in page.measured(Summary(runs))


def test_what_was_not_measured_is_neither_met_nor_missed():
    rows = [line for line in page.measured(Summary(pairs((10, 20)))).splitlines() if line.startswith("| Wall time,")]
    assert rows[0] == "| Wall time, pipeline / pandas, 10 M lines | 0.7 x | 0.50 x | met |"
    assert rows[1] == "| Wall time, pipeline / pandas, 30 M lines | 0.4 x | not measured |  |"


def test_the_page_is_written_between_its_marks_and_keeps_what_is_around_them(tmp_path):
    file = tmp_path / page.PAGE
    (tmp_path / page.SIZING).write_text(f"{page.BEGIN}\n{page.END}\n")
    file.write_text(f"above\n{page.BEGIN}\nold\n{page.END}\nbelow\n")
    page.write(tmp_path, [*pairs((10, 20)), *pairs((30, 90), millions=30)])
    once = file.read_text()
    assert once.startswith("above\n") and once.endswith("\nbelow\n") and "\nold\n" not in once
    assert (tmp_path / page.FIGURE).stat().st_size > 10_000
    page.write(tmp_path, [*pairs((10, 20)), *pairs((30, 90), millions=30)])
    assert file.read_text() == once
    assert "| 30 M | 41,096 | 30 s |" in (tmp_path / page.SIZING).read_text()


def test_larger_sizes_lie_on_the_line_through_the_smallest_and_the_largest_measured():
    assert list(sizing.sized({10: 30.0, 20: 90.0, 40: 75.0})) == [
        (10, "30 s", "measured"),
        (20, "90 s", "measured"),
        (40, "75 s", "measured"),
        (120, "3 min", "computed"),  # 30 + 110 * 1.5 = 195 s
        (400, "10 min", "computed"),  # 30 + 390 * 1.5 = 615 s
    ]


def test_nothing_is_computed_from_one_size_alone():
    assert list(sizing.sized({10: 30.0})) == [(10, "30 s", "measured")]


def test_memory_is_told_where_it_was_measured_and_nights_have_a_table_of_their_own():
    nights = [
        {**run("pipeline", 0, seconds, millions=size), "kind": "night", "bytes_read": {}}
        for size, seconds in ((10, 20.0), (100, 65.0))
    ]
    told = sizing.tables(Summary([*pairs((30, 90)), *pairs((75, 90), millions=40), *nights]))
    assert "| 40 M | 54,795 | 75 s | 1.0 GiB | measured |" in told
    assert "| 400 M | 547,945 | 10 min |  | computed |" in told
    assert "| 300 M | 3 min | computed |" in told  # 20 + 290 * 0.5 = 165 s
