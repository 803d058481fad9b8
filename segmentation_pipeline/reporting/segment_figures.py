"""Figures about the segments and RFM groups: how large they are, and what sets them apart.

Belongs here: what a marketer needs to see.
Does not: how the segments were found (model_figures.py), who moved between them (change_figures.py).
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from segmentation_pipeline.reporting import wording
from segmentation_pipeline.reporting.data import FEATURES, SCORES, ReportData, in_display_order
from segmentation_pipeline.reporting.figure_theme import (
    bare_value_axis,
    blank,
    count_axis,
    say,
    shade_text_color,
    themed,
    wrapped,
)
from segmentation_pipeline.reporting.palette import GRID, INK, MUTED, SHADES, hex_or_neutral

_TILE_CHARACTERS = 20
_DIRECTIONS = {
    "recency_days": "further left: bought more recently",
    "frequency": "further right: orders more often",
    "monetary": "further right: spends more",
}


@themed
def segment_sizes(data: ReportData) -> Figure:
    """Each segment's share of customers beside its share of revenue."""
    profiles = in_display_order(data.profiles)
    figure = blank(0.7 + 0.52 * max(1, len(profiles)))
    customers_axes, revenue_axes = figure.subplots(1, 2, sharex=True, sharey=True)
    if profiles.empty:
        say(customers_axes, "There are no segments to show.")
        say(revenue_axes, "")
        return figure
    counts = [
        f"{wording.share(share)}  ({wording.count(customers)})"
        for share, customers in zip(profiles["customer_share"], profiles["customers"], strict=True)
    ]
    amounts = [
        f"{wording.share(share)}  ({wording.money(revenue, data.currency)})"
        for share, revenue in zip(profiles["revenue_share"], profiles["revenue"], strict=True)
    ]
    colors = [hex_or_neutral(color) for color in profiles["color"]]
    _share_bars(customers_axes, profiles["customer_share"], counts, colors)
    customers_axes.set_title("Share of customers")
    _share_bars(revenue_axes, profiles["revenue_share"], amounts, colors)
    revenue_axes.set_title("Share of revenue")
    _name_rows(customers_axes, profiles)
    # One scale, so that a bar can be compared with its neighbour; room to the right for the text behind the longest.
    shares = profiles[["customer_share", "revenue_share"]].fillna(0.0).to_numpy(dtype=float)
    customers_axes.set_xlim(min(0.0, 1.1 * shares.min()), max(0.01, 1.75 * shares.max()))
    return figure


def _share_bars(axes: Axes, shares: pd.Series, texts: list[str], colors: list[str]) -> None:
    values = shares.fillna(0.0).to_numpy(dtype=float)
    axes.barh(np.arange(len(values)), values, height=0.66, color=colors)
    for place, (value, text) in enumerate(zip(values, texts, strict=True)):
        end = (max(value, 0.0), place)
        axes.annotate(text, end, xytext=(5, 0), textcoords="offset points", va="center", fontsize=10)
    bare_value_axis(axes)


@themed
def segment_profile(data: ReportData) -> Figure:
    """Each segment's standardised median of every feature, labelled with the median itself."""
    centres = [f"{feature}_centre" for feature in FEATURES]
    profiles = in_display_order(data.profiles).dropna(subset=centres, how="all").reset_index(drop=True)
    figure = blank(1.7 + 0.52 * max(1, len(profiles)))
    grid = figure.subplots(1, len(FEATURES), sharex=True, sharey=True)
    if profiles.empty:
        for axes in grid:
            say(axes, "There are no segments to show.")
        return figure
    for axes, feature in zip(grid, FEATURES, strict=True):
        _profile_panel(axes, profiles, feature, data.currency)
    _name_rows(grid[0], profiles)
    reach = max(0.5, float(np.nanmax(np.abs(profiles[centres].to_numpy(dtype=float)))))
    grid[0].set_xlim(-1.2 * reach, 1.2 * reach)
    figure.supxlabel("standard deviations from the average customer", color=MUTED, fontsize=10)
    return figure


def _profile_panel(axes: Axes, profiles: pd.DataFrame, feature: str, currency: str) -> None:
    """Dots on stems from the average customer at 0; the labels stand across the line, where the row is empty."""
    centres = profiles[f"{feature}_centre"].to_numpy(dtype=float)
    medians = profiles[f"{feature}_median"].to_numpy(dtype=float)
    colors = [hex_or_neutral(color) for color in profiles["color"]]
    places = np.arange(len(profiles))
    axes.hlines(places, 0.0, np.nan_to_num(centres), color=colors, linewidth=3, alpha=0.45)
    axes.scatter(centres, places, s=80, color=colors, zorder=3)
    for place, centre, median in zip(places, centres, medians, strict=True):
        if not np.isnan(centre):
            across = -1 if centre >= 0 else 1
            axes.annotate(
                wording.feature_value(feature, median, currency),
                (0.0, place),
                xytext=(9 * across, 0),
                textcoords="offset points",
                ha="left" if across > 0 else "right",
                va="center",
                fontsize=9.5,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
            )
    axes.axvline(0.0, color=MUTED, linewidth=1.0, zorder=1)
    axes.set_title(wording.feature_label(feature, currency))
    axes.set_xlabel(_DIRECTIONS[feature])
    count_axis(axes, "x", ticks=5)
    axes.grid(visible=False, axis="y")


@themed
def rfm_grid(data: ReportData) -> Figure:
    """A tile per recency and value score, shaded by customers, with dark lines between the groups."""
    tiles = data.rfm_grid.dropna(subset=["recency_score", "value_score"])
    figure = blank(1.2 if tiles.empty else 5.0)
    axes = figure.subplots()
    if tiles.empty:
        say(axes, "No customer has scores yet.")
        return figure
    places = [
        (int(value), int(recency)) for value, recency in zip(tiles["value_score"], tiles["recency_score"], strict=True)
    ]
    customers = dict(zip(places, tiles["customers"].fillna(0).astype(float), strict=True))
    groups = dict(zip(places, tiles["rfm_group"], strict=True))
    most = max(1.0, *customers.values())
    shades = np.array([[customers.get((value, recency), np.nan) / most for value in SCORES] for recency in SCORES])
    axes.set_facecolor(GRID)
    axes.pcolormesh(SCORES, SCORES, np.ma.masked_invalid(shades), cmap=SHADES, vmin=0, vmax=1, ec="white", lw=1)
    for (value, recency), group in groups.items():
        color = shade_text_color(customers[value, recency] / most)
        name = wrapped(group, _TILE_CHARACTERS)
        axes.text(value, recency - 0.08, name, ha="center", va="top", fontsize=9, color=color, linespacing=1.05)
        count = wording.count(customers[value, recency])
        axes.text(value, recency + 0.18, count, ha="center", va="center", fontsize=12, fontweight="bold", color=color)
    for value, recency in (
        (value, recency) for value in SCORES for recency in SCORES if (value, recency) not in groups
    ):
        axes.text(value, recency, "nobody", ha="center", va="center", fontsize=9, color=MUTED)
    axes.add_collection(LineCollection(_group_borders(groups), colors=INK, linewidths=1.6, capstyle="projecting"))
    axes.set_xticks(SCORES)
    axes.set_yticks(SCORES)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("value score (5: orders most often and spends most)")
    axes.set_ylabel("recency score (5: bought most recently)")
    return figure


def _group_borders(groups: Mapping[tuple[int, int], object]) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """The edges between neighbouring tiles of different groups."""
    borders = []
    for (value, recency), group in groups.items():
        if groups.get((value + 1, recency), group) != group:
            borders.append(((value + 0.5, recency - 0.5), (value + 0.5, recency + 0.5)))
        if groups.get((value, recency + 1), group) != group:
            borders.append(((value - 0.5, recency + 0.5), (value + 0.5, recency + 0.5)))
    return borders


def _name_rows(axes: Axes, profiles: pd.DataFrame) -> None:
    axes.set_yticks(range(len(profiles)), [wrapped(name) for name in profiles["segment"]], color=INK)
    axes.tick_params(axis="y", labelsize=10.5)
    axes.set_ylim(len(profiles) - 0.4, -0.6)
