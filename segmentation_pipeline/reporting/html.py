"""The report as one self-contained HTML page.

Belongs here: arranging ready-made statistics for the template, and rendering it.
Does not: text and layout of the page (templates/), drawing (figures.py), number formats (wording.py).

The page loads nothing: styles are inline, figures are data URIs, there is no script, and a content security policy
makes browsers hold it to that. The same input gives the same page, byte for byte.
"""

import base64
from collections.abc import Mapping
from datetime import date
from functools import cache
from numbers import Integral, Real

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from segmentation_pipeline.reporting import wording
from segmentation_pipeline.reporting.captions import CAPTIONS
from segmentation_pipeline.reporting.data import FEATURES, NET_ZERO_SEGMENT_ID, SCALES, ReportData, in_display_order
from segmentation_pipeline.reporting.palette import hex_or_neutral

_TEMPLATE = "segment_report.html.j2"
_CARD_LABELS = {"k": "Segments (k)", "as_of": "Fitted as of"}
_STATISTICS = (
    ("quantile", "0.05"),
    ("quantile", "0.5"),
    ("quantile", "0.95"),
    ("moment", "mean"),
    ("moment", "standard_deviation"),
    ("moment", "skewness"),
    ("moment", "kurtosis"),
    ("moment", "share_at_edge"),
)


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
            totals=_totals(data),
            segments=_records(in_display_order(data.profiles)),
            diagnostics=_records(data.k_diagnostics.sort_values(["algorithm", "k"], kind="stable")),
            choice=_choice(data.k_diagnostics),
            reasons=_records(data.reasons.sort_values(["rows", "reason"], ascending=[False, True])),
            feature_rows=_feature_rows(data.exploration),
            card=_card_rows(data.model),
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
        long_date=wording.long_date,
        sentence=wording.sentence,
        humanised=wording.humanised,
        number_range=wording.number_range,
        feature_name=wording.feature_name,
        feature_label=wording.feature_label,
        algorithm_name=wording.algorithm_name,
        color=hex_or_neutral,
    )
    return environment


def _records(frame: pd.DataFrame) -> list[dict[str, object]]:
    return [{str(column): value for column, value in row.items()} for row in frame.to_dict("records")]


def _totals(data: ReportData) -> dict[str, float]:
    """Column totals for the headline; `unaccounted` is 0 when every row is accepted or quarantined."""
    days, profiles = data.days, data.profiles
    raw, accepted, quarantined = (int(days[f"{kind}_rows"].sum()) for kind in ("raw", "accepted", "quarantined"))
    is_net_zero = profiles["segment_id"] == NET_ZERO_SEGMENT_ID
    return {
        "customers": int(profiles["customers"].sum()),
        "net_zero_customers": int(profiles.loc[is_net_zero, "customers"].sum()),
        "segments": int((~is_net_zero).sum()),
        "revenue": float(days["revenue"].sum()),
        "raw": raw,
        "accepted": accepted,
        "quarantined": quarantined,
        "quarantined_share": quarantined / raw if raw else float("nan"),
        "unaccounted": raw - accepted - quarantined,
        "days": (data.as_of - data.first_day).days + 1,
    }


def _choice(diagnostics: pd.DataFrame) -> str:
    """Why this number of segments: the sentence that every row of the diagnostics carries."""
    return wording.sentence(diagnostics["reason"].iloc[0]) if len(diagnostics) else "No diagnostics were recorded."


def _feature_rows(exploration: pd.DataFrame) -> list[dict[str, object]]:
    """One row per feature and scale: its statistics as text, in the order of `_STATISTICS`."""
    keys = exploration[["feature", "scale", "measure", "item"]].itertuples(index=False, name=None)
    values = dict(zip(keys, exploration["value"], strict=True))
    return [
        {
            "feature": feature,
            "scale": scale,
            "cells": [
                (wording.share if item == "share_at_edge" else wording.number)(
                    values.get((feature, scale, measure, item), float("nan"))
                )
                for measure, item in _STATISTICS
            ],
        }
        for feature in FEATURES
        for scale in SCALES
    ]


def _card_rows(model: Mapping[str, object]) -> list[tuple[str, str]]:
    """The model card as label and text, in the order the card gives."""
    return [(_CARD_LABELS.get(key, wording.humanised(key)), _card_text(key, value)) for key, value in model.items()]


def _card_text(key: str, value: object) -> str:
    if key == "algorithm":
        return wording.algorithm_name(value)
    if isinstance(value, (list, tuple)):
        return ", ".join(wording.feature_name(item) for item in value)
    if isinstance(value, date):
        return wording.long_date(value)
    if isinstance(value, Integral):
        return wording.count(int(value))
    if isinstance(value, Real):
        return wording.fixed(float(value), 3)
    return wording.sentence(value)
