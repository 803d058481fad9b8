"""Sizing: what a shop of some size costs on the machine that was measured, and what a larger one would.

Belongs here: computing and laying out the tables of docs/scaling.md. Does not: measuring (bench.py), figures (summary.py).
"""

from collections.abc import Iterator, Mapping, Sequence

from segmentation_tests.benchmarks.contenders import PIPELINE
from segmentation_tests.benchmarks.summary import Summary

LARGER = (3, 10)  # times the largest size measured
DAYS = 730  # of every size; see shops.py
MIB_PER_GIB = 1024
SECONDS_PER_MINUTE = 60
LIMIT_SECONDS = 120  # longer times are told in minutes


def tables(found: Summary) -> str:
    """Markdown: whole runs, and nights on as many lines if some were measured."""
    sizes = {size: found.typical("wall_seconds", "whole", millions=size, contender=PIPELINE) for size in found.sizes()}
    peaks = {size: found.typical("peak_mib", "whole", millions=size, contender=PIPELINE) for size in sizes}
    histories = sorted({record["millions"] for record in found.of("night")})
    nights = {size: found.typical("wall_seconds", "night", millions=size) for size in histories}
    whole = [
        (f"{size:,} M", f"{size * 1_000_000 / DAYS:,.0f}", told, _gib(peaks.get(size)), how)
        for size, told, how in sized(sizes)
    ]
    parts = [_table(("Lines", "Lines a day", "All days from nothing", "Peak memory", ""), whole)]
    if nights:
        rows = [(f"{size:,} M", told, how) for size, told, how in sized(nights)]
        parts.append(_table(("Lines of history", "A night", ""), rows))
    return "\n".join(parts)


def sized(measured: Mapping[int, float | None]) -> Iterator[tuple[int, str, str]]:
    """Millions of lines, time, and whether it was measured, of each size measured and of larger ones.

    Those lie on the line through the smallest and the largest size measured; with one size alone there are none.
    """
    points = {size: seconds for size, seconds in measured.items() if seconds is not None}
    for size, seconds in points.items():
        yield size, _told(seconds), "measured"
    small, large = min(points), max(points)
    for size in [large * times for times in LARGER if small < large]:
        slope = (points[large] - points[small]) / (large - small)
        yield size, _told(points[small] + slope * (size - small)), "computed"


def _told(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < LIMIT_SECONDS else f"{seconds / SECONDS_PER_MINUTE:.0f} min"


def _gib(mib: float | None) -> str:
    return "" if mib is None else f"{mib / MIB_PER_GIB:.1f} GiB"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ("---:",) * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
