"""The sizing table: what a shop of some size costs on the machine that was measured, and what a larger one would.

Belongs here: computing and laying out the table of docs/scaling.md. Does not: measuring (bench.py), figures (summary.py).
"""

from collections.abc import Callable

from segmentation_tests.benchmarks.contenders import PIPELINE
from segmentation_tests.benchmarks.summary import Summary

LARGER = (3, 10)  # times the largest size measured
DAYS = 730  # of every size; see shops.py
MIB_PER_GIB = 1024
SECONDS_PER_MINUTE = 60
LIMIT_SECONDS = 120  # longer times are told in minutes

COLUMNS = ("Lines", "Lines a day", "All days from nothing", "Its peak memory", "A night on them", "")


def table(found: Summary) -> str:
    """Markdown: a row for each size measured, and for larger ones on the line through the smallest and the largest.

    Memory is not computed for larger sizes: it is bounded by settings, not by lines.
    """
    sizes = found.sizes()
    rows = [_row(found, size, is_measured=True) for size in sizes]
    rows += [_row(found, sizes[-1] * times, is_measured=False) for times in LARGER if len(sizes) > 1]
    lines = [COLUMNS, ("---:",) * len(COLUMNS), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def on_a_line(points: dict[int, float]) -> Callable[[int], float] | None:
    """Seconds at a size in millions, by the smallest and the largest size measured; None with fewer than two."""
    if len(points) < 2:
        return None
    small, large = min(points), max(points)
    slope = (points[large] - points[small]) / (large - small)
    return lambda millions: points[small] + slope * (millions - small)


def _row(found: Summary, millions: int, is_measured: bool) -> tuple[str, ...]:
    whole = {size: found.typical("wall_seconds", "whole", millions=size, contender=PIPELINE) for size in found.sizes()}
    nights = {record["millions"] for record in found.of("night")}
    night = {size: found.typical("wall_seconds", "night", millions=size) for size in nights}
    peak = found.typical("peak_mib", "whole", millions=millions, contender=PIPELINE)
    return (
        f"{millions:,} M",
        f"{millions * 1_000_000 / DAYS:,.0f}",
        _time(whole, millions, is_measured),
        "" if peak is None else f"{peak / MIB_PER_GIB:.1f} GiB",
        _time(night, millions, is_measured),
        "measured" if is_measured else "computed",
    )


def _time(measured: dict[int, float | None], millions: int, is_measured: bool) -> str:
    points = {size: seconds for size, seconds in measured.items() if seconds is not None}
    if is_measured:
        return _told(points[millions]) if millions in points else ""
    line = on_a_line(points)
    return _told(line(millions)) if line else ""


def _told(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < LIMIT_SECONDS else f"{seconds / SECONDS_PER_MINUTE:.0f} min"
