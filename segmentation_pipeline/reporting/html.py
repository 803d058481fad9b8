"""The report as one self-contained HTML page.

Belongs here: handing the template what it shows, and rendering it.
Does not: rows and sentences (page_tables.py, model_card.py), text and layout of the page (templates/), drawing
(figures.py), number formats (wording.py).

The page loads nothing: styles are inline, figures are data URIs, there is no script, and a content security policy
makes browsers hold it to that. The same input gives the same page, byte for byte.
"""

import base64
from collections.abc import Mapping
from functools import cache

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from segmentation_pipeline.reporting import model_card, page_tables, wording
from segmentation_pipeline.reporting.captions import CAPTIONS
from segmentation_pipeline.reporting.data import SCORES, ReportData, in_display_order
from segmentation_pipeline.reporting.indices import INDICES
from segmentation_pipeline.reporting.palette import hex_or_neutral

_TEMPLATE = "segment_report.html.j2"


def render(data: ReportData, images: Mapping[str, bytes]) -> str:
    """The report as one HTML page.

    Args:
        data: Everything the report shows.
        images: PNG bytes of every figure by slug, from `figures.images`.

    Raises:
        ValueError: `images` lacks a figure or has one that the report does not know; the message names it.
    """
    unmatched = sorted(set(CAPTIONS) ^ set(images))
    if unmatched:
        raise ValueError(f"a report has exactly the figures {', '.join(CAPTIONS)}; not matched: {', '.join(unmatched)}")
    return (
        environment()
        .get_template(_TEMPLATE)
        .render(
            report=data,
            captions=CAPTIONS,
            images={slug: base64.b64encode(png).decode("ascii") for slug, png in images.items()},
            totals=page_tables.totals(data),
            segments=page_tables.records(in_display_order(data.profiles)),
            recent_days=data.recent_days,
            choice=page_tables.choice(data.k_diagnostics),
            disagreement=page_tables.disagreement(data.k_diagnostics),
            votes=page_tables.votes_by_algorithm(data.k_diagnostics),
            candidates=page_tables.candidates(data.k_diagnostics),
            indices=INDICES,
            compared_with=pd.Timestamp(data.migration["compared_with"].iloc[0]) if len(data.migration) else None,
            migration=page_tables.migration_summary(data.migration),
            flows=page_tables.largest_flows(data.migration),
            rfm_groups=page_tables.records(data.rfm_groups),
            score_thresholds=page_tables.score_thresholds(data.score_cuts, data.currency),
            score_table=page_tables.score_table(data.scores),
            scores=SCORES,
            feature_rows=page_tables.feature_rows(data.exploration, data.explored),
            features=data.explored,
            outliers=page_tables.outliers(data.exploration, data.explored, data.currency),
            drift=page_tables.drift_rows(data.drift, data.as_of),
            reasons=page_tables.records(data.reasons.sort_values(["rows", "reason"], ascending=[False, True])),
            card=model_card.rows(data.model),
        )
    )


@cache
def environment() -> Environment:
    """Templates of pages, with the number formats they use."""
    environment = Environment(
        loader=PackageLoader("segmentation_pipeline.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        count=wording.count,
        number=wording.number,
        fixed=wording.fixed,
        money=wording.money,
        share=wording.share,
        quantity=wording.quantity,
        days_ago=wording.days_ago,
        change=wording.change,
        long_date=wording.long_date,
        sentence=wording.sentence,
        humanised=wording.humanised,
        number_range=wording.number_range,
        feature_name=wording.feature_name,
        feature_label=wording.feature_label,
        algorithm_name=wording.algorithm_name,
        is_absent=wording.is_absent,
        color=hex_or_neutral,
    )
    return environment
