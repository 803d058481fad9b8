"""Stretches: how many days of a long range are worked on at once, so that memory does not grow with the range.

Belongs here: where a range of days is cut. Does not: what is done with the days (checks/gate.py), limits (settings/).
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from itertools import accumulate
from types import MappingProxyType

from segmentation_pipeline.resources.lake import Lake
from segmentation_pipeline.resources.sources.index import SourceFile

MOST_DAYS = 400
# Files that lie across a cut are read twice: at most this share of what is read in the stretch before it.
MOST_READ_TWICE = 0.1


class Stretches:
    """Cuts ranges of days.

    Args:
        lake: Knows the rows of the tables that are read.
        files: The source's files as indexed, with their rows and days.
        rows_at_once: Rows that a stretch has, more or less.
    """

    def __init__(self, lake: Lake, files: Callable[[], Sequence[SourceFile]], rows_at_once: int) -> None:
        self._lake = lake
        self._files = files
        self._rows_at_once = rows_at_once

    def of_inputs(self, days: Sequence[date], same_day: Sequence[str], earlier: Sequence[str]) -> list[list[date]]:
        """Stretches of days by what is read to make them.

        Args:
            days: The range, without a gap.
            same_day: Assets of which each day needs its own day.
            earlier: Assets of which each day needs earlier ones too; they count where nothing else is read. With neither,
                the source is read.
        """
        if len(days) == 1:
            return [list(days)]
        if same_day:
            return self.cut(days, {day: sum(self._lake.rows(asset, day) for asset in same_day) for day in days})
        if earlier:
            known = [(asset, day) for asset in earlier for day in self._lake.days(asset) if day <= max(days)]
            return self.cut(days, dict.fromkeys(days, sum(self._lake.rows(asset, day) for asset, day in known)))
        rows, across = self._of_files()
        return self.cut(days, rows, across)

    def cut(
        self, days: Sequence[date], rows: Mapping[date, int], across: Mapping[date, int] = MappingProxyType({})
    ) -> list[list[date]]:
        """Stretches of about the same number of rows.

        One whose end would have much read twice goes on, until that is little beside what it has itself.

        Args:
            days: The range, without a gap.
            rows: Of each day; none where there is no entry.
            across: Rows that are read twice if a stretch ends with a day; none where there is no entry.
        """
        stretches: list[list[date]] = [[]]
        gathered = 0
        for day in sorted(days):
            here = rows.get(day, 0)
            full = gathered + here > self._rows_at_once or len(stretches[-1]) >= MOST_DAYS
            twice = across.get(stretches[-1][-1], 0) if stretches[-1] else 0
            if stretches[-1] and full and twice <= MOST_READ_TWICE * max(gathered, self._rows_at_once):
                stretches.append([])
                gathered = 0
            stretches[-1].append(day)
            gathered += here
        return stretches

    def _of_files(self) -> tuple[dict[date, int], dict[date, int]]:
        """How many rows each day has, and how many are in files that go on after it."""
        rows: Counter[date] = Counter()
        opened: Counter[date] = Counter()
        for file in self._files():
            held = file.days()
            rows.update(held)
            if held:
                opened[min(held)] += file.rows
                opened[max(held)] -= file.rows
        days = sorted(opened)
        every = [days[0] + timedelta(days=number) for number in range((days[-1] - days[0]).days + 1)] if days else []
        return dict(rows), dict(zip(every, accumulate(opened[day] for day in every), strict=True))
