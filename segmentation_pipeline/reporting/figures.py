"""The figures of a report, in report order.

Belongs here: the registry that ties each caption to the function that draws its figure.
Does not: drawing (data_figures.py, model_figures.py, segment_figures.py), words (captions.py).

Importing this module imports matplotlib; import it only inside the asset that draws.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from matplotlib.figure import Figure

from segmentation_pipeline.reporting.captions import CAPTIONS
from segmentation_pipeline.reporting.data import ReportData
from segmentation_pipeline.reporting.data_figures import (
    correlations,
    distributions,
    quality_by_day,
    quarantine_reasons,
)
from segmentation_pipeline.reporting.figure_theme import REPORT_DPI, UI_DPI, Draw, png_bytes
from segmentation_pipeline.reporting.model_figures import elbow_and_silhouette, segment_scatter
from segmentation_pipeline.reporting.segment_figures import segment_profile, segment_sizes

__all__ = [
    "FIGURES",
    "REPORT_DPI",
    "UI_DPI",
    "FigureSpec",
    "correlations",
    "distributions",
    "drawn",
    "elbow_and_silhouette",
    "images",
    "png_bytes",
    "quality_by_day",
    "quarantine_reasons",
    "segment_profile",
    "segment_scatter",
    "segment_sizes",
]


@dataclass(frozen=True)
class FigureSpec:
    """One figure of the report: its words and how to draw it.

    Attributes:
        slug: Stable name, used as file name and HTML id.
        title: Heading over the figure.
        caption: One sentence that says how to read it; also the alternative text.
        draw: From the report's data to the figure.
    """

    slug: str
    title: str
    caption: str
    draw: Draw


_DRAWN_BY: Mapping[str, Draw] = MappingProxyType(
    {
        "segment_sizes": segment_sizes,
        "segment_profile": segment_profile,
        "segment_scatter": segment_scatter,
        "elbow_and_silhouette": elbow_and_silhouette,
        "distributions": distributions,
        "correlations": correlations,
        "quality_by_day": quality_by_day,
        "quarantine_reasons": quarantine_reasons,
    }
)

FIGURES: Mapping[str, FigureSpec] = MappingProxyType(
    {slug: FigureSpec(slug, words.title, words.text, _DRAWN_BY[slug]) for slug, words in CAPTIONS.items()}
)
"""Every figure by slug, in report order."""


def drawn(data: ReportData) -> dict[str, Figure]:
    """Every figure of the report, by slug, in report order."""
    return {slug: spec.draw(data) for slug, spec in FIGURES.items()}


def images(figures: Mapping[str, Figure], dpi: int = REPORT_DPI) -> dict[str, bytes]:
    """Figures as PNG, by slug; what `html.render` takes."""
    return {slug: png_bytes(figure, dpi) for slug, figure in figures.items()}
