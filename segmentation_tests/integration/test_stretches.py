"""Stretches: every day once and in order, about as many rows as asked for, and no file read over and over."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmentation_pipeline.resources.sources.index import SourceFile
from segmentation_pipeline.resources.stretches import MOST_DAYS, Stretches

FIRST = date(2025, 1, 1)


def days(count: int) -> list[date]:
    return [FIRST + timedelta(days=number) for number in range(count)]


def file_of(first: date, last: date, rows: int) -> SourceFile:
    share, every = rows // ((last - first).days + 1), [day for day in days(400) if first <= day <= last]
    dated = [(day, share) for day in every[:-1]] + [(last, rows - share * (len(every) - 1))]
    return SourceFile(f"{first}.csv", 1, 1, "", tuple(dated), 0, first, "")


def of_source(count: int, *files: SourceFile, rows_at_once: int = 100) -> list[int]:
    """How many days each stretch has."""
    stretches = Stretches(None, lambda: files, rows_at_once).of_inputs(days(count), [], [])
    assert [day for stretch in stretches for day in stretch] == days(count)
    return [len(stretch) for stretch in stretches]


@given(st.lists(st.integers(0, 300), min_size=1, max_size=60), st.integers(1, 400))
def test_every_day_is_in_one_stretch_and_only_a_day_alone_has_more_rows_than_asked_for(rows, rows_at_once):
    by_day = dict(zip(days(len(rows)), rows, strict=True))
    stretches = Stretches(None, None, rows_at_once).cut(list(by_day), by_day)
    assert [day for stretch in stretches for day in stretch] == list(by_day)
    for stretch, after in zip(stretches, [*stretches[1:], None], strict=True):
        held = sum(by_day[day] for day in stretch)
        assert held <= rows_at_once or len(stretch) == 1
        assert after is None or held + by_day[after[0]] > rows_at_once


def test_a_long_range_without_rows_is_cut_all_the_same():
    assert [len(each) for each in Stretches(None, None, 10).cut(days(1_000), {})] == [MOST_DAYS, MOST_DAYS, 200]


def test_files_of_a_day_each_are_cut_by_their_rows():
    assert of_source(10, *(file_of(day, day, 40) for day in days(10))) == [2, 2, 2, 2, 2]


def test_one_file_of_all_days_is_read_once():
    assert of_source(10, file_of(FIRST, days(10)[-1], 4_000)) == [10]


def test_a_late_row_in_each_file_does_not_leave_a_long_range_in_one_piece():
    files = [file_of(max(FIRST, day - timedelta(days=3)), day, 40) for day in days(400)]
    stretches = of_source(400, *files)
    assert max(stretches[:-1]) * 40 <= 10 * 4 * 40 + 100  # by then a tenth of it is what four files hold


@pytest.mark.parametrize(("late_rows", "expected"), [(4, [2, 2, 2, 2, 2]), (40, [10])])
def test_files_that_lie_across_a_cut_are_read_twice_if_they_are_few(late_rows, expected):
    late = file_of(FIRST, days(10)[-1], late_rows)
    assert of_source(10, late, *(file_of(day, day, 40) for day in days(10))) == expected
