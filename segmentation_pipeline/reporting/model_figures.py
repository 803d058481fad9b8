"""Figures about the model: how many segments, and how clearly they separate.

Belongs here: diagnostics of the number of segments, what each index says, and the scatter of customers.
Does not: what the segments are like (segment_figures.py).
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from segmentation_pipeline.reporting import wording
from segmentation_pipeline.reporting.data import ReportData, in_display_order
from segmentation_pipeline.reporting.figure_theme import blank, count_axis, decimal_axis, say, themed, wrapped
from segmentation_pipeline.reporting.indices import INDICES, Index, algorithms, numbers, votes_of
from segmentation_pipeline.reporting.palette import ACCEPTED, INK, NEUTRAL, SERIES, VOTE, hex_or_neutral

_SERIES_MARKERS = ("o", "s", "^", "D", "v", "P")
_CHOICE_DASHES = (0, (4, 3))
_PANELS_PER_ROW = 4
_SEGMENT_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*")


@themed
def elbow_and_silhouette(data: ReportData) -> Figure:
    """Inertia and silhouette of each algorithm and k, with elbows, vetoes and the choice marked."""
    figure = blank(4.6)
    inertia_axes, silhouette_axes = figure.subplots(1, 2)
    if data.k_diagnostics.empty:
        for axes in (inertia_axes, silhouette_axes):
            say(axes, "No diagnostics were recorded.")
        return figure
    _diagnostic(inertia_axes, data.k_diagnostics, "inertia")
    inertia_axes.set_title("Inertia (lower is tighter)")
    count_axis(inertia_axes, "y")
    inertia_axes.set_ylim(bottom=0)
    _diagnostic(silhouette_axes, data.k_diagnostics, "silhouette")
    silhouette_axes.set_title("Silhouette (higher is clearer)")
    decimal_axis(silhouette_axes, "y", decimals=2)
    handles, labels = inertia_axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def _diagnostic(axes: Axes, diagnostics: pd.DataFrame, metric: str) -> None:
    """One line per algorithm; hollow points were vetoed, a ring marks the elbow, a dashed line the choice."""
    algorithms = list(dict.fromkeys(diagnostics["algorithm"]))
    for place, algorithm in enumerate(algorithms):
        color, marker = SERIES[place % len(SERIES)], _SERIES_MARKERS[place % len(_SERIES_MARKERS)]
        line = diagnostics[diagnostics["algorithm"] == algorithm].sort_values("k")
        is_vetoed = line["vetoes"].fillna("").astype(str).str.strip().ne("")
        axes.plot(line["k"], line[metric], color=color, linewidth=1.8, zorder=2)
        kept, vetoed = line[~is_vetoed], line[is_vetoed]
        name = wording.algorithm_name(algorithm)
        axes.plot(kept["k"], kept[metric], marker, color=color, markersize=7, zorder=4, label=name)
        axes.plot(vetoed["k"], vetoed[metric], marker, mfc="white", mec=color, mew=1.5, markersize=7, zorder=4)
    axes.plot([], [], "o", mfc="white", mec=NEUTRAL, mew=1.5, markersize=7, label="hollow: vetoed")
    elbows = diagnostics[diagnostics["is_elbow"].astype(bool)]
    axes.plot(elbows["k"], elbows[metric], "o", mfc="none", mec=INK, mew=1.3, markersize=15, zorder=3, label="elbow")
    for chosen in diagnostics[diagnostics["is_chosen"].astype(bool)].itertuples():
        name = f"chosen: {wording.algorithm_name(chosen.algorithm)}, {chosen.k} segments"
        axes.axvline(float(str(chosen.k)), color=INK, linewidth=1.2, linestyle=_CHOICE_DASHES, zorder=1, label=name)
    axes.set_xticks(sorted(diagnostics["k"].unique()))
    axes.set_xlabel("number of segments (k)")
    axes.margins(0.08, 0.12)
    axes.grid(visible=False, axis="x")


@themed
def index_votes(data: ReportData) -> Figure:
    """Each index over k for the chosen algorithm, with its own vote and the choice."""
    diagnostics = data.k_diagnostics
    shown = diagnostics[diagnostics["algorithm"].isin(algorithms(diagnostics)[:1])].sort_values("k")
    known = [index for index in INDICES if index.vote and shown[index.column].notna().any()]
    if not known:
        figure = blank(1.2)
        say(figure.subplots(), "No index was recorded.")
        return figure
    rows = -(-len(known) // _PANELS_PER_ROW)
    figure = blank(0.7 + 2.1 * rows)
    grid = figure.subplots(rows, min(len(known), _PANELS_PER_ROW), sharex=True, squeeze=False)
    votes = votes_of(shown, shown["algorithm"].iloc[0])
    for axes in grid.flat[len(known) :]:
        axes.set_axis_off()
    for axes, index in zip(grid.flat, known, strict=False):
        _index_panel(axes, shown, index, votes.get(index.vote, []))
    grid.flat[0].set_xticks(sorted(shown["k"].unique()))
    for axes in grid.flat[max(0, len(known) - grid.shape[1]) : len(known)]:
        axes.tick_params(labelbottom=True)
        axes.set_xlabel("segments (k)")
    handles = {label: line for axes in grid.flat for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=3)
    return figure


def _index_panel(axes: Axes, shown: pd.DataFrame, index: Index, votes: list[int]) -> None:
    values = shown[index.column].to_numpy(dtype=float)
    axes.plot(shown["k"], values, "o-", color=ACCEPTED, linewidth=1.6, markersize=4)
    if index.column == "gap":
        errors = shown["gap_standard_error"].to_numpy(dtype=float)
        axes.vlines(shown["k"], values - errors, values + errors, color=ACCEPTED, linewidth=1.2)
    voted = np.isin(shown["k"], votes)
    axes.plot(shown["k"][voted], values[voted], "D", color=VOTE, markersize=9, mec=INK, label="its own vote", zorder=4)
    for row in shown[shown["is_chosen"].astype(bool)].itertuples():
        name = f"chosen: {wording.algorithm_name(row.algorithm)}, {row.k} segments"
        axes.axvline(float(str(row.k)), color=INK, linewidth=1.2, linestyle=_CHOICE_DASHES, zorder=1, label=name)
    title = "Inertia (elbow)" if index.column == "inertia" else index.title
    axes.set_title(f"{title}\n{f'says {numbers(votes)}' if votes else 'has no vote'}", fontsize=10)
    axes.set_ylabel(index.better, fontsize=9)
    axes.margins(0.08, 0.14)
    count_axis(axes, "y", ticks=4)
    axes.grid(visible=False, axis="x")


@themed
def segment_scatter(data: ReportData) -> Figure:
    """A sample of customers on the two directions in which they differ most."""
    points = data.scatter.dropna(subset=["component_1", "component_2"])
    figure = blank(1.2 if points.empty else 5.6)
    axes = figure.subplots()
    if points.empty:
        say(axes, "There are no customers to show.")
        return figure
    for place, (name, color) in enumerate(_named_colors(data, points)):
        of_segment = points[points["segment"] == name]
        axes.scatter(
            of_segment["component_1"],
            of_segment["component_2"],
            s=16,
            marker=_SEGMENT_MARKERS[place % len(_SEGMENT_MARKERS)],
            color=color,
            alpha=0.55,
            linewidths=0,
            label=wrapped(name),
        )
    axes.set_aspect("equal", adjustable="datalim")
    first, second = (wording.share(explained) for explained in data.component_shares)
    axes.set_xlabel(f"First principal component ({first} of the variance)")
    axes.set_ylabel(f"Second principal component ({second} of the variance)")
    count_axis(axes, "x", ticks=7)
    count_axis(axes, "y", ticks=7)
    legend = figure.legend(loc="outside right upper", markerscale=1.8, labelspacing=0.8, handletextpad=0.3)
    for handle in legend.legend_handles:
        if handle is not None:
            handle.set_alpha(1.0)
    return figure


def _named_colors(data: ReportData, points: pd.DataFrame) -> list[tuple[str, str]]:
    """Segments that have points, in display order, each with its colour; one without a profile is grey."""
    profiles = in_display_order(data.profiles)
    known = dict(zip(profiles["segment"], profiles["color"], strict=True))
    present = set(points["segment"])
    names = [name for name in known if name in present] + sorted(present - set(known))
    return [(name, hex_or_neutral(known.get(name))) for name in names]
