"""Figures of the quality report: what held on which day, and measures against their limits.

Belongs here: drawing. Does not: verdicts (checks/), words around the figures (templates/).
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from segmentation_pipeline.reporting import wording
from segmentation_pipeline.reporting.data_figures import date_axis, day_positions
from segmentation_pipeline.reporting.figure_theme import WIDTH_INCHES, blank, say, themed
from segmentation_pipeline.reporting.palette import ACCEPTED, INK, MUTED
from segmentation_pipeline.reporting.quality_data import FAILED, HELD, UNKNOWN, WARNED, QualityData

OUTCOMES = MappingProxyType(
    {
        HELD: ("every check held", "#cfe8dc"),
        UNKNOWN: ("nothing to compare with", "#e4e8ed"),
        WARNED: ("warning", "#f0b429"),
        FAILED: ("critical: held back", "#9c2f00"),
    }
)
CHECKS_DRAWN = 24
MEASURES = (
    ("raw_transactions", "volume_is_usual", "Rows against the usual ones of the weekday"),
    ("raw_transactions", "duplicates_are_few", "Share of rows that are copies"),
    ("raw_transactions", "customers_are_given", "Share of rows without a customer"),
    ("clean_transactions", "most_rows_are_accepted", "Share of rows quarantined"),
    ("clean_transactions", "price_level_is_usual", "Median price against the usual one"),
    ("clean_transactions", "returns_are_few", "Share of goods lines that are returns"),
)


@themed
def verdicts_by_day(data: QualityData) -> Figure:
    """One row per stage, and below it one for each of its checks that failed; one column per day."""
    rows = _rows(data)
    figure = blank(1.3 + 0.3 * max(len(rows), 1))
    axes = figure.subplots()
    if rows.empty:
        say(axes, "No day was judged yet.")
        return figure
    places = day_positions(rows.columns)
    colors = [OUTCOMES[outcome][1] for outcome in sorted(OUTCOMES)]
    edges = (np.append(places - 0.5, places[-1] + 0.5), np.arange(len(rows) + 1) - 0.5)
    cells = np.ma.masked_invalid(rows.to_numpy(dtype=float))
    norm = BoundaryNorm(np.arange(-0.5, len(colors)), len(colors))
    axes.pcolormesh(*edges, cells, cmap=ListedColormap(colors), norm=norm, edgecolors="white", linewidth=0.4)
    axes.invert_yaxis()
    axes.set_yticks(range(len(rows)), [_row_label(*row) for row in rows.index])
    for label, (__, expectation) in zip(axes.get_yticklabels(), rows.index, strict=True):
        label.set(color=MUTED if expectation else INK, fontweight="normal" if expectation else "bold")
    date_axis(axes, rows.columns)
    axes.grid(visible=False)
    handles = [Patch(color=color, label=label) for label, color in OUTCOMES.values()]
    axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=4, borderaxespad=0.3)
    return figure


@themed
def measures_by_day(data: QualityData) -> Figure:
    """What some checks saw on each day, against their limits."""
    figure = Figure(figsize=(WIDTH_INCHES, 6.6), layout="constrained")
    for axes, (stage, expectation, title) in zip(figure.subplots(3, 2).flat, MEASURES, strict=True):
        of = (data.verdicts["stage"] == stage) & (data.verdicts["expectation"] == expectation)
        found = data.verdicts[of].dropna(subset="observed").sort_values("date")
        axes.set_title(title)
        if found.empty:
            say(axes, "Nothing to show yet.")
            continue
        _against_limits(axes, found, _limits(data, stage, expectation))
        date_axis(axes, pd.date_range(data.first_day, data.as_of))
    return figure


FIGURES: Mapping[str, tuple[str, str, Callable[[QualityData], Figure]]] = MappingProxyType(
    {
        "verdicts_by_day": (
            "What held on which day",
            "One row per stage in the order the data flows, bold; below it, each of its checks that failed. A day that is "
            "held back keeps what stood in the lake before.",
            verdicts_by_day,
        ),
        "measures_by_day": (
            "Measures against their limits",
            "One dot per day. The dashed line is the limit that the check allows, where it is near enough to be drawn.",
            measures_by_day,
        ),
    }
)
"""Title, caption and drawing function of each figure, by slug."""


def _rows(data: QualityData) -> pd.DataFrame:
    """The worst outcome of each stage, and the checks that failed; (stage, "") names the stage's own row."""
    outcome = data.outcome()
    failing = outcome[(outcome >= WARNED).any(axis=1)].head(CHECKS_DRAWN)
    parts = []
    for stage in dict.fromkeys(outcome.index.get_level_values(0)):
        of_stage = outcome.loc[[stage]]
        parts.append(pd.DataFrame([of_stage.max()], index=pd.MultiIndex.from_tuples([(stage, "")])))
        if stage in failing.index.get_level_values(0):
            parts.append(failing.loc[[stage]])
    return pd.concat(parts) if parts else outcome


def _limits(data: QualityData, stage: str, expectation: str) -> list[float]:
    of = (data.checks["stage"] == stage) & (data.checks["expectation"] == expectation)
    return [float(limit) for limit in data.checks.loc[of, ["low", "high"]].to_numpy().flat if pd.notna(limit)]


def _row_label(stage: str, expectation: str) -> str:
    return f"{wording.humanised(expectation)}   " if expectation else stage


def _against_limits(axes: Axes, found: pd.DataFrame, limits: Sequence[float]) -> None:
    values = found["observed"].to_numpy(dtype=float)
    axes.plot(day_positions(pd.DatetimeIndex(found["date"])), values, ".", markersize=5, color=ACCEPTED)
    low, high = min(0.0, values.min()), values.max() * 1.15 or 1.0
    drawn = [limit for limit in limits if limit <= 4 * high]
    for limit in drawn:
        axes.axhline(limit, color=OUTCOMES[FAILED][1], linestyle="--", linewidth=1.2)
    axes.set_ylim(low, max([high, *(limit * 1.1 for limit in drawn)]))
    axes.grid(visible=False, axis="x")
