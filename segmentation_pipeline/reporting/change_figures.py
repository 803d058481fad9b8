"""Figures about change: who moved between segments, and how far customers have drifted from the model's.

Belongs here: comparisons of the report's day with earlier ones. Does not: a single day (segment_figures.py).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from segmentation_pipeline.reporting import wording
from segmentation_pipeline.reporting.data import GONE_SEGMENT_ID, NEW_SEGMENT_ID, ReportData, in_display_order
from segmentation_pipeline.reporting.data_figures import date_axis, day_positions
from segmentation_pipeline.reporting.figure_theme import (
    blank,
    decimal_axis,
    say,
    shade_text_color,
    themed,
    wrapped,
)
from segmentation_pipeline.reporting.palette import ACT, INK, SERIES, SHADES, WARN

_NAMES_UPRIGHT_UP_TO = 7
_CHARACTERS_ACROSS = 90
_DAYS_WITH_MARKERS = 40
_LINES = ("-", "--", ":")
_MARKERS = ("o", "s", "^", "D", "v", "P")


@themed
def migration(data: ReportData) -> Figure:
    """Customers by the segment they were in and the segment they are in, shaded by their share of the row."""
    flows = data.migration
    if flows.empty:
        figure = blank(1.2)
        say(figure.subplots(), "No earlier day to compare with.")
        return figure
    known = in_display_order(data.profiles)["segment_id"].tolist()
    rows = _names(flows, "from", [*known, NEW_SEGMENT_ID])
    columns = _names(flows, "to", [*known, GONE_SEGMENT_ID])
    customers = (
        flows.pivot_table(index="from_segment_id", columns="to_segment_id", values="customers", aggfunc="sum")
        .reindex(index=list(rows), columns=list(columns))
        .to_numpy(dtype=float)
    )
    upright = len(columns) <= _NAMES_UPRIGHT_UP_TO
    figure = blank((1.5 if upright else 2.9) + 0.42 * len(rows))
    axes = figure.subplots()
    totals = np.nansum(customers, axis=1, keepdims=True)
    shares = customers / np.where(totals > 0, totals, np.nan)
    mesh = axes.pcolormesh(np.ma.masked_invalid(shares), cmap=SHADES, vmin=0, vmax=1, ec="white", lw=1)
    for (row, column), number in np.ndenumerate(customers):
        if number > 0:
            color = shade_text_color(float(shares[row, column]))
            text = wording.count(number)
            axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=9.5, color=color)
    _name_cells(axes, list(rows.values()), list(columns.values()), upright)
    before = wording.long_date(pd.Timestamp(flows["compared_with"].iloc[0]))
    axes.set_ylabel(f"segment on {before}")
    axes.set_xlabel(f"segment on {wording.long_date(data.as_of)}")
    bar = figure.colorbar(mesh, ax=axes, shrink=0.8, pad=0.02, ticks=[0, 0.5, 1], label="share of the row")
    bar.outline.set_visible(False)
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
    return figure


def _names(flows: pd.DataFrame, side: str, order: Sequence[int]) -> Mapping[int, str]:
    """The segments of one side by id: those of the profiles first, in their order, and only those that occur."""
    names = dict(zip(flows[f"{side}_segment_id"], flows[f"{side}_segment"], strict=True))
    others = sorted(number for number in names if number not in order)
    places = [*order[:-1], *others, order[-1]]
    return {number: str(names[number]) for number in places if number in names}


def _name_cells(axes: Axes, rows: Sequence[str], columns: Sequence[str], upright: bool) -> None:
    axes.set_yticks(np.arange(len(rows)) + 0.5, [wrapped(name) for name in rows], color=INK)
    width = max(10, _CHARACTERS_ACROSS // len(columns))
    names = [wrapped(name, width, lines=3) if upright else wrapped(name) for name in columns]
    axes.set_xticks(np.arange(len(columns)) + 0.5, names, color=INK, rotation=0 if upright else 90)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.tick_params(length=0)
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


@themed
def drift(data: ReportData) -> Figure:
    """The population stability index of each feature and of the segments over the days, with both limits."""
    history = data.drift.assign(date=pd.to_datetime(data.drift["date"])).sort_values("date")
    figure = blank(1.2 if history.empty else 3.9)
    axes = figure.subplots()
    if history.empty:
        say(axes, "No drift was measured yet.")
        return figure
    warn, act = data.drift_thresholds
    days = pd.date_range(history["date"].min(), history["date"].max(), freq="D")
    for place, ((kind, name), line) in enumerate(history.groupby(["kind", "name"], sort=True)):
        axes.plot(
            day_positions(pd.Index(line["date"])),
            line["psi"].astype(float),
            color=SERIES[place % len(SERIES)],
            marker=_MARKERS[place % len(_MARKERS)] if len(days) <= _DAYS_WITH_MARKERS else "",
            markersize=5,
            linewidth=1.8,
            linestyle=_LINES[place // len(SERIES) % len(_LINES)],
            label=wording.drifting(kind, name),
        )
    axes.axhline(act, color=ACT, linewidth=1.3, linestyle=(0, (5, 2)), label=f"act from {wording.fixed(act, 2)}")
    axes.axhline(warn, color=WARN, linewidth=1.3, linestyle=(0, (1, 1.5)), label=f"warn from {wording.fixed(warn, 2)}")
    axes.set_ylim(0, 1.15 * max(act, *history["psi"].astype(float).fillna(0.0)))
    decimal_axis(axes, "y", decimals=2)
    axes.set_ylabel("PSI (0: no change)")
    date_axis(axes, days)
    axes.grid(visible=False, axis="x")
    figure.legend(loc="outside lower center", ncols=3)
    return figure
