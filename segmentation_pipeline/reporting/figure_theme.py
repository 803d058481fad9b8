"""The look of every figure, and the way to PNG bytes.

Belongs here: fonts, sizes, axes furniture and the deterministic PNG encoder.
Does not: what any single figure shows (data_figures.py, model_figures.py, segment_figures.py, change_figures.py).
"""

import io
import textwrap
from collections.abc import Callable, Mapping
from functools import partial, wraps
from types import MappingProxyType
from typing import TypeVar

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from PIL import Image

from segmentation_pipeline.core.sharing import Share, in_turn
from segmentation_pipeline.reporting import wording
from segmentation_pipeline.reporting.data import ReportData
from segmentation_pipeline.reporting.palette import GRID, INK, MUTED

Draw = Callable[[ReportData], Figure]
Data = TypeVar("Data")

WIDTH_INCHES = 10.0
REPORT_DPI = 150
UI_SHRUNK_BY = 2
UI_DPI = REPORT_DPI // UI_SHRUNK_BY
_NAME_WIDTH_CHARACTERS = 26
_WHITE_TEXT_FROM_SHADE = 0.65

THEME = MappingProxyType(
    {
        "font.family": ["DejaVu Sans"],
        "font.size": 10.5,
        "text.color": INK,
        # Segment names come from configuration; a dollar sign in one is not mathematics.
        "text.parse_math": False,
        "axes.titlesize": 11,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.titlepad": 8,
        "axes.labelsize": 10,
        "axes.labelcolor": MUTED,
        "axes.edgecolor": MUTED,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": GRID,
        "grid.linewidth": 0.8,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelsize": 9.5,
        "ytick.labelsize": 9.5,
        "ytick.major.size": 0,
        "legend.frameon": False,
        "legend.fontsize": 10,
        "figure.facecolor": "white",
        "savefig.facecolor": "white",
    }
)


def themed(draw: Callable[[Data], Figure]) -> Callable[[Data], Figure]:
    """Draw in the house theme, whatever the process or the user has set matplotlib to."""

    @wraps(draw)
    def drawn(data: Data) -> Figure:
        with style.context(dict(THEME), after_reset=True):
            return draw(data)

    return drawn


def png_bytes(figure: Figure, dpi: int = REPORT_DPI) -> bytes:
    """The figure as PNG, byte for byte the same for the same figure.

    Not `Figure.savefig`: it arranges and draws a figure twice, which is most of the time that a report takes.

    Args:
        figure: Figure from any function of this package.
        dpi: Pixels per inch.
    """
    with style.context(dict(THEME), after_reset=True):
        figure.set_dpi(dpi)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    return _png(picture, dpi)


def images(
    draws: Mapping[str, Callable[[Data], Figure]], data: Data, dpi: int = REPORT_DPI, share: Share = in_turn
) -> dict[str, bytes]:
    """Figures as PNG, by slug, in the order of `draws`.

    Args:
        draws: What draws each figure.
        data: What they draw.
        dpi: Pixels per inch.
        share: Deals the figures out.
    """
    tasks = [partial(_image, draw, data, dpi) for draw in draws.values()]
    return dict(zip(draws, share(tasks), strict=True))


def preview_bytes(png: bytes) -> bytes:
    """A PNG of `REPORT_DPI` at `UI_DPI`, for the metadata of the Dagster UI; the figure is not drawn again."""
    with Image.open(io.BytesIO(png)) as picture:
        return _png(picture.reduce(UI_SHRUNK_BY), UI_DPI)


def _image(draw: Callable[[Data], Figure], data: Data, dpi: int) -> bytes:
    return png_bytes(draw(data), dpi)


def _png(picture: Image.Image, dpi: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="png", dpi=(dpi, dpi))
    return buffer.getvalue()


def blank(height_inches: float) -> Figure:
    """An empty figure of the report's width that arranges its own margins."""
    return Figure(figsize=(WIDTH_INCHES, height_inches), layout="constrained")


def say(axes: Axes, message: str) -> None:
    """Show a sentence where there is nothing to draw."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, message, ha="center", va="center", color=MUTED, transform=axes.transAxes)


def bare_value_axis(axes: Axes) -> None:
    """No ticks and grid for bars whose labels say their values; lines would only run through the labels."""
    axes.tick_params(axis="x", bottom=False, labelbottom=False)
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)
    axes.axvline(0.0, color=MUTED, linewidth=1.0)


def count_axis(axes: Axes, which: str, ticks: int = 5) -> None:
    """Ticks on the x or y axis at few, round numbers with thousands separators."""
    axis = {"x": axes.xaxis, "y": axes.yaxis}[which]
    axis.set_major_locator(MaxNLocator(nbins=ticks, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: _tick_text(value)))


def share_axis(axes: Axes, which: str, ticks: int = 5) -> None:
    """Ticks on the x or y axis in percent, for data that are shares from 0 to 1."""
    axis = {"x": axes.xaxis, "y": axes.yaxis}[which]
    axis.set_major_locator(MaxNLocator(nbins=ticks, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{_tick_text(100 * value)} %"))


def decimal_axis(axes: Axes, which: str, decimals: int) -> None:
    """Ticks on the x or y axis that all have the same number of decimals."""
    axis = {"x": axes.xaxis, "y": axes.yaxis}[which]
    axis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: wording.fixed(value, decimals)))


def _tick_text(value: float) -> str:
    rounded = round(value, 6)
    decimals = 0 if rounded == int(rounded) else len(f"{rounded:.6f}".rstrip("0").split(".")[1])
    return wording.fixed(rounded, decimals)


def shade_text_color(shade: float) -> str:
    """The colour of text that can be read on a shade between 0 (light) and 1 (dark) of `palette.SHADES`."""
    return "white" if shade > _WHITE_TEXT_FROM_SHADE else INK


def wrapped(name: object, characters: int = _NAME_WIDTH_CHARACTERS, lines: int = 2) -> str:
    """A name in few short lines that fit beside a plot; the page's tables have names in full."""
    found = textwrap.wrap(str(name), characters, max_lines=lines, placeholder=" …")
    return "\n".join(found) or wording.ABSENT
