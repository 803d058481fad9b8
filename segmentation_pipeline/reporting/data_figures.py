"""Figures about the data: rows by day, quarantine reasons, distributions and correlations.

Belongs here: what shows whether the data can be trusted, and how the features look.
Does not: the model and its segments (model_figures.py, segment_figures.py).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import dates as mdates
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from segmentation_pipeline.reporting import wording
from segmentation_pipeline.reporting.data import SCALES, ReportData
from segmentation_pipeline.reporting.figure_theme import (
    bare_value_axis,
    blank,
    count_axis,
    say,
    share_axis,
    themed,
    wrapped,
)
from segmentation_pipeline.reporting.palette import (
    ACCEPTED,
    GRID,
    GUESTS,
    INK,
    MUTED,
    QUARANTINED,
    QUARANTINED_SOFT,
    REVENUE,
)

_SEPARATE_BARS_UP_TO_DAYS = 62
_LABEL_EACH_DAY_UP_TO_DAYS = 8
_DASHED = (0, (4, 2))
_ABREAST = 3
_METHODS = ("pearson", "spearman")
_SCALE_NAMES = {"original": "as measured", "transformed": "transformed"}


@themed
def quality_by_day(data: ReportData) -> Figure:
    """Accepted rows, quarantined share and revenue of each day, on one time axis."""
    figure = blank(7.2)
    rows_axes, share_axes, revenue_axes = figure.subplots(3, 1, sharex=True, height_ratios=(3, 2, 2))
    if data.days.empty:
        for axes in (rows_axes, share_axes, revenue_axes):
            say(axes, "There are no days to show.")
        return figure
    days = _calendar(data.days)
    with_customer = days["accepted_rows"] - days["guest_rows"]
    _bars_by_day(rows_axes, with_customer, ACCEPTED, "accepted, customer known")
    _bars_by_day(rows_axes, days["guest_rows"], GUESTS, "accepted, guest (no customer id)", base=with_customer)
    rows_axes.set_title("Accepted rows")
    rows_axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, borderaxespad=0.2)
    count_axis(rows_axes, "y")
    quarantined_share = days["quarantined_rows"] / days["raw_rows"].where(days["raw_rows"] > 0)
    _bars_by_day(share_axes, quarantined_share, QUARANTINED, "quarantined")
    share_axes.set_title("Quarantined rows, share of the day's rows")
    share_axis(share_axes, "y", ticks=4)
    share_axes.set_ylim(0, max(0.01, 1.1 * np.nanmax([0.0, *quarantined_share])))
    _bars_by_day(revenue_axes, days["revenue"], REVENUE, "revenue")
    revenue_axes.set_title(f"Revenue ({data.currency}), less returns and adjustments")
    count_axis(revenue_axes, "y", ticks=4)
    date_axis(revenue_axes, days.index)
    for axes in (rows_axes, share_axes, revenue_axes):
        axes.grid(visible=False, axis="x")
    return figure


def _calendar(days: pd.DataFrame) -> pd.DataFrame:
    """The days by date, with a gap where a day is missing instead of its neighbours joined up."""
    by_date = days.assign(date=pd.to_datetime(days["date"])).set_index("date").sort_index()
    every_day = pd.date_range(by_date.index.min(), by_date.index.max(), freq="D")
    return by_date[["raw_rows", "accepted_rows", "quarantined_rows", "guest_rows", "revenue"]].reindex(every_day)


def _bars_by_day(axes: Axes, values: pd.Series, color: str, label: str, base: pd.Series | None = None) -> None:
    """Bars while they can be told apart, else one outline, which stays sharp at a thousand days."""
    heights = values.fillna(0.0).to_numpy(dtype=float)
    bottoms = np.zeros_like(heights) if base is None else base.fillna(0.0).to_numpy(dtype=float)
    positions = day_positions(values.index)
    if len(positions) <= _SEPARATE_BARS_UP_TO_DAYS:
        axes.bar(positions, heights, width=0.8, bottom=bottoms, color=color, label=label)
    else:
        edges = np.append(positions - 0.5, positions[-1] + 0.5)
        axes.stairs(heights + bottoms, edges, baseline=bottoms, fill=True, color=color, label=label)


def day_positions(days: pd.Index) -> np.ndarray:
    """Where matplotlib's date axis puts each day."""
    return np.asarray(mdates.date2num(pd.DatetimeIndex(days).to_numpy()), dtype=float)


def date_axis(axes: Axes, days: pd.Index) -> None:
    """Ticks at days, or at round dates among many, with the year wherever it is new."""
    positions = day_positions(days)
    first, last = float(positions[0]), float(positions[-1])
    axes.set_xlim(first - 0.7, last + 0.7)
    ticks = positions
    if len(positions) > _LABEL_EACH_DAY_UP_TO_DAYS:
        locator = mdates.AutoDateLocator(minticks=4, maxticks=12)
        found = locator.tick_values(*mdates.num2date((first, last)))
        ticks = np.asarray([tick for tick in found if first <= tick <= last])
    axes.set_xticks(ticks, _date_texts(mdates.num2date(ticks)))


def _date_texts(moments: Sequence[datetime]) -> list[str]:
    """Month, or day and month where ticks fall within months, with the year wherever it is new."""
    month_starts = len(moments) > 1 and all(moment.day == 1 for moment in moments)
    texts = [f"{moment:%b}" if month_starts else f"{moment.day} {moment:%b}" for moment in moments]
    years = [None, *(moment.year for moment in moments)]
    return [
        text if moment.year == before else f"{text}\n{moment.year}"
        for text, moment, before in zip(texts, moments, years, strict=False)
    ]


@themed
def quarantine_reasons(data: ReportData) -> Figure:
    """Rows by primary reason, over the rows that fail the same rule at all."""
    reasons = data.reasons[data.reasons["failed_rows"] > 0].sort_values(["rows", "reason"], ascending=[False, True])
    figure = blank(0.9 + 0.5 * max(1, len(reasons)))
    axes = figure.subplots()
    if reasons.empty:
        say(axes, "No row was quarantined.")
        return figure
    places = range(len(reasons))
    longest = float(reasons["failed_rows"].max())
    axes.barh(places, reasons["failed_rows"], height=0.72, color=QUARANTINED_SOFT, label="all rows that broke the rule")
    axes.barh(places, reasons["rows"], height=0.44, color=QUARANTINED, label="rows with it as their primary reason")
    for place, rows, failed in zip(places, reasons["rows"], reasons["failed_rows"], strict=True):
        text = wording.count(rows) if rows == failed else f"{wording.count(rows)} of {wording.count(failed)}"
        axes.text(failed + 0.01 * longest, place, text, va="center", fontsize=10)
    axes.set_yticks(places, [wrapped(wording.humanised(reason)) for reason in reasons["reason"]], color=INK)
    axes.set_xlim(0, 1.22 * longest)
    axes.invert_yaxis()
    bare_value_axis(axes)
    figure.legend(loc="outside upper right", ncols=2, reverse=True)
    return figure


@themed
def distributions(data: ReportData) -> Figure:
    """Histogram of each feature, as measured above and transformed below, three features side by side."""
    bands = [data.explored[first : first + _ABREAST] for first in range(0, len(data.explored), _ABREAST)]
    panels = [(scale, band) for band in bands for scale in SCALES]
    figure = blank(3.1 * len(panels))
    grid = figure.subplots(len(panels), _ABREAST, squeeze=False)
    for axes_of_row, (scale, band) in zip(grid, panels, strict=True):
        for axes, feature in zip(axes_of_row, band, strict=False):
            of_panel = data.exploration["feature"].eq(feature) & data.exploration["scale"].eq(scale)
            _distribution(axes, data.exploration[of_panel])
            skewness = wording.number(_statistic(data.exploration[of_panel], "moment", "skewness"))
            is_measured = scale == "original"
            name = wording.feature_label(feature, data.currency) if is_measured else wording.feature_name(feature)
            axes.set_title(f"{name}\n{_SCALE_NAMES[scale]}, skewness {skewness}", fontsize=10)
            axes.set_xlabel("" if is_measured else "standard deviations from the mean")
        axes_of_row[0].set_ylabel("customers")
        for unused in axes_of_row[len(band) :]:
            unused.set_axis_off()
    median = Line2D([], [], color=INK, linewidth=1.2, linestyle=_DASHED, label="median customer")
    figure.legend(handles=[median], loc="outside upper right")
    return figure


def _distribution(axes: Axes, panel: pd.DataFrame) -> None:
    bins = panel[panel["measure"] == "histogram"].dropna(subset=["lower", "upper", "value"]).sort_values("lower")
    if bins.empty:
        say(axes, "no histogram")
        return
    widths = bins["upper"] - bins["lower"]
    axes.bar(bins["lower"], bins["value"], width=widths, align="edge", color=ACCEPTED, edgecolor="white", linewidth=0.4)
    median = _statistic(panel, "quantile", "0.5")
    if not wording.is_absent(median):
        axes.axvline(median, color=INK, linewidth=1.2, linestyle=_DASHED)
    axes.grid(visible=False, axis="x")
    count_axis(axes, "x", ticks=4)
    count_axis(axes, "y", ticks=4)


def _statistic(panel: pd.DataFrame, measure: str, item: str) -> float:
    found = panel.loc[panel["measure"].eq(measure) & panel["item"].eq(item), "value"]
    return float(found.iloc[0]) if len(found) else float("nan")


@themed
def correlations(data: ReportData) -> Figure:
    """Heat maps of Pearson's and Spearman's correlations, before and after the transform."""
    features = data.explored
    rows = 1 if len(features) <= _ABREAST else len(_METHODS)  # a cell must hold its number
    figure = blank(3.1 if rows == 1 else rows * (1.9 + 0.32 * len(features)))
    grid = figure.subplots(rows, len(_METHODS) * len(SCALES) // rows, sharex=True, sharey=True, squeeze=False)
    stated = data.exploration[data.exploration["measure"] == "correlation"]
    panels = [(method, scale) for method in _METHODS for scale in SCALES]
    for axes, (method, scale) in zip(grid.flat, panels, strict=True):
        _heat_map(axes, _correlation_matrix(stated[stated["scale"] == scale], method, features), features)
        axes.set_title(f"{wording.humanised(method)}\n{_SCALE_NAMES[scale]}", fontsize=10)
    bar = figure.colorbar(grid[0, 0].images[0], ax=list(grid.flat), shrink=0.75, ticks=[-1, -0.5, 0, 0.5, 1])
    bar.outline.set_visible(False)
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: wording.fixed(value, 1)))
    return figure


def _correlation_matrix(stated: pd.DataFrame, method: str, features: Sequence[str]) -> np.ndarray:
    """The stated correlations as a symmetric matrix; a pair stated once counts both ways."""
    matrix = np.full((len(features), len(features)), np.nan)
    np.fill_diagonal(matrix, 1.0)
    for feature, item, value in zip(stated["feature"], stated["item"], stated["value"], strict=True):
        kind, _, other = str(item).partition(":")
        if kind == method and feature in features and other in features:
            row, column = features.index(feature), features.index(other)
            matrix[row, column] = matrix[column, row] = value
    return matrix


def _heat_map(axes: Axes, matrix: np.ndarray, features: Sequence[str]) -> None:
    axes.imshow(np.ma.masked_invalid(matrix), cmap="RdBu_r", vmin=-1, vmax=1)
    axes.set_facecolor(GRID)
    names = [wording.feature_name(feature) for feature in features]
    is_small = len(features) > _ABREAST
    turned: dict[str, Any] = (
        {"rotation": 90} if is_small else {"rotation": 35, "ha": "right", "rotation_mode": "anchor"}
    )
    axes.set_xticks(range(len(names)), names, **turned)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    size, decimals = (8, 1) if is_small else (10, 2)
    for (row, column), value in np.ndenumerate(matrix):
        shade = MUTED if np.isnan(value) else "white" if abs(value) > 0.6 else INK
        axes.text(column, row, wording.fixed(value, decimals), ha="center", va="center", color=shade, fontsize=size)
