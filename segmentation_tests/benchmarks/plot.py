"""The figure of the performance page: wall time and peak memory against lines, of all three.

Belongs here: drawing. Does not: medians (summary.py), the page around it (page.py).
"""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from segmentation_pipeline.reporting.figure_theme import blank, themed
from segmentation_pipeline.reporting.palette import SERIES
from segmentation_tests.benchmarks.contenders import CONTENDERS, PIPELINE
from segmentation_tests.benchmarks.summary import Summary

COLORS = dict(zip(CONTENDERS, SERIES, strict=False))
NAMES = {PIPELINE: "pipeline", "pandas": "pandas script", "duckdb": "DuckDB script"}
PANELS = (("wall_seconds", "Wall time in seconds"), ("peak_mib", "Peak resident memory in MiB"))
_TICKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000)
_ROOM_BELOW, _ROOM_ABOVE, _ROOM_ASIDE = 0.7, 1.6, 1.25

Line = tuple[str, list[float], list[float]]


@themed
def growth(found: Summary) -> Figure:
    """Two panels with logarithmic axes."""
    figure = blank(4.6)
    for axes, (measure, title) in zip(figure.subplots(1, len(PANELS)), PANELS, strict=True):
        lines = [line for line in (_line(found, measure, each) for each in CONTENDERS) if line[1]]
        axes.set_title(title)
        for contender, sizes, values in lines:
            look = {"marker": "o", "markersize": 4.5, "linewidth": 2, "color": COLORS[contender]}
            axes.plot(sizes, values, label=NAMES[contender], **look)
        _scale(axes, lines)
        axes.legend(loc="upper left", frameon=True, framealpha=1.0, edgecolor="none")
    return figure


def _line(found: Summary, measure: str, contender: str) -> Line:
    values = {size: found.typical(measure, "whole", millions=size, contender=contender) for size in found.sizes()}
    known = {size: value for size, value in values.items() if value is not None}
    return contender, list(known), list(known.values())


def _scale(axes: Axes, lines: Sequence[Line]) -> None:
    """Both axes logarithmic, with round numbers where something was measured."""
    sizes = sorted({size for _, along, _ in lines for size in along})
    values = [value for _, _, up in lines for value in up]
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(sizes[0] / _ROOM_ASIDE, sizes[-1] * _ROOM_ASIDE)
    lowest, highest = min(values) * _ROOM_BELOW, max(values) * _ROOM_ABOVE
    axes.set_ylim(lowest, highest)
    axes.set_xticks(sizes)
    axes.set_yticks([tick for tick in _TICKS if lowest <= tick <= highest])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:g} M"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlabel("Transaction lines")
    axes.grid(visible=False, axis="x")
