"""The figures of a report, in report order.

Belongs here: the registry that ties each caption to the function that draws its figure.
Does not: drawing (data_figures.py, model_figures.py, segment_figures.py, change_figures.py), words (captions.py).

Importing this module imports matplotlib; import it only inside the asset that draws.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from segmentation_pipeline.core.sharing import Share, in_turn
from segmentation_pipeline.reporting import figure_theme
from segmentation_pipeline.reporting.captions import CAPTIONS
from segmentation_pipeline.reporting.change_figures import drift, migration
from segmentation_pipeline.reporting.data import ReportData
from segmentation_pipeline.reporting.data_figures import (
    correlations,
    distributions,
    quality_by_day,
    quarantine_reasons,
)
from segmentation_pipeline.reporting.figure_theme import REPORT_DPI, UI_DPI, Draw, png_bytes, preview_bytes
from segmentation_pipeline.reporting.model_figures import elbow_and_silhouette, index_votes, segment_scatter
from segmentation_pipeline.reporting.segment_figures import rfm_grid, segment_profile, segment_sizes

__all__ = [
    "FIGURES",
    "REPORT_DPI",
    "UI_DPI",
    "FigureSpec",
    "correlations",
    "distributions",
    "drift",
    "elbow_and_silhouette",
    "images",
    "index_votes",
    "migration",
    "png_bytes",
    "preview_bytes",
    "previews",
    "quality_by_day",
    "quarantine_reasons",
    "rfm_grid",
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
        "migration": migration,
        "rfm_grid": rfm_grid,
        "elbow_and_silhouette": elbow_and_silhouette,
        "index_votes": index_votes,
        "distributions": distributions,
        "correlations": correlations,
        "drift": drift,
        "quality_by_day": quality_by_day,
        "quarantine_reasons": quarantine_reasons,
    }
)

FIGURES: Mapping[str, FigureSpec] = MappingProxyType(
    {slug: FigureSpec(slug, words.title, words.text, _DRAWN_BY[slug]) for slug, words in CAPTIONS.items()}
)
"""Every figure by slug, in report order."""


def images(data: ReportData, dpi: int = REPORT_DPI, share: Share = in_turn) -> dict[str, bytes]:
    """Every figure as PNG, by slug, in report order; what `html.render` takes.

    Args:
        data: What the report shows.
        dpi: Pixels per inch.
        share: Deals the figures out.
    """
    return figure_theme.images({slug: spec.draw for slug, spec in FIGURES.items()}, data, dpi, share)


def previews(images: Mapping[str, bytes], share: Share = in_turn) -> dict[str, bytes]:
    """Images of `REPORT_DPI`, made small enough for the event log without drawing them again, by slug."""
    return dict(zip(images, share([partial(preview_bytes, png) for png in images.values()]), strict=True))
