"""Scoring: the model as a table, and the engine expression that applies it to any number of customers.

Belongs here: what a model is, nearest centre, RFM scores.
Does not: fitting (fitting.py), files and versions (resources/model_store.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis import _

from segmentation_pipeline.core import naming, schema
from segmentation_pipeline.core.clustering.preprocessing import SCORE_LEVELS, Scaling, transform
from segmentation_pipeline.core.drift import Bin
from segmentation_pipeline.core.rfm import has_net_spend
from segmentation_pipeline.core.rfm_groups import rfm_group
from segmentation_pipeline.settings.archetypes import NET_ZERO

RFM = ("recency_days", "frequency", "monetary")


@dataclass(frozen=True)
class Segment:
    """One named segment: its centre in standardised coordinates, in the order of the model's scalings."""

    segment_id: int
    name: str
    color: str
    action: str
    centre: tuple[float, ...]


@dataclass(frozen=True)
class SegmentationModel:
    """Everything needed to score a customer, and to say where the model came from.

    Attributes:
        scalings: One for each feature that takes part in clustering.
        segments: In order of `segment_id`, 1 or more.
        score_cuts: Feature to the four values that divide scores 1 to 5.
        components: (2, features) directions of the largest spread in the sample, for the scatter plot.
        component_shares: Share of the variance along each.
        described_by: Scalings of recency, frequency and monetary, whatever was clustered by, for names and profiles.
        reference: How the customers it was fitted on are distributed, to measure drift against.
        card: When, from what and how the model was fitted.
    """

    scalings: tuple[Scaling, ...]
    segments: tuple[Segment, ...]
    score_cuts: Mapping[str, tuple[float, ...]]
    components: np.ndarray
    component_shares: tuple[float, float]
    described_by: tuple[Scaling, ...]
    reference: tuple[Bin, ...]
    card: Mapping[str, object]

    @property
    def centres(self) -> np.ndarray:
        """The (segments, features) matrix of centres."""
        return np.array([segment.centre for segment in self.segments])

    def project(self, customers: pd.DataFrame) -> np.ndarray:
        """The (customers, 2) coordinates of customers along the components."""
        return transform(customers, self.scalings) @ self.components.T


def customer_segments(features: ir.Table, model: SegmentationModel, version: int) -> ir.Table:
    """Segment and RFM scores of every customer, by the nearest centre.

    Args:
        features: `schema.RFM_FEATURES`, any days.
        model: The model to apply.
        version: Its version, noted beside each customer.

    Returns:
        `schema.CUSTOMER_SEGMENTS`, one row for each row of `features`. Customers without net spend are `Net zero`.
    """
    names = {segment.segment_id: segment.name for segment in model.segments} | {naming.NET_ZERO_ID: NET_ZERO}
    placed = nearest(features, model)
    spends = has_net_spend(placed)
    scored = placed.mutate(
        segment_id=spends.ifelse(placed.segment_id, naming.NET_ZERO_ID).cast("int64"),
        model_version=ibis.literal(version, "int64"),
        recency_score=spends.ifelse(SCORE_LEVELS - _above(placed.recency_days, model.score_cuts["recency_days"]), None),
        frequency_score=spends.ifelse(1 + _above(placed.frequency, model.score_cuts["frequency"]), None),
        monetary_score=spends.ifelse(1 + _above(placed.monetary, model.score_cuts["monetary"]), None),
    )
    scores = [scored[name].cast("string") for name in ("recency_score", "frequency_score", "monetary_score")]
    return schema.CUSTOMER_SEGMENTS.conform(
        scored.mutate(
            segment=ibis.cases(*((_.segment_id == number, name) for number, name in names.items())),
            rfm_score=scores[0] + scores[1] + scores[2],
            rfm_group=rfm_group(scored.recency_score, scored.frequency_score, scored.monetary_score),
        )
    )


def nearest(features: ir.Table, model: SegmentationModel) -> ir.Table:
    """The rows with `segment_id`, of the centre nearest by Euclidean distance; the first of equally near ones.

    One step after the other, since each distance is compared with all: in one step an engine would be given every
    distance, with all that it is computed from, as often as there are pairs of centres.
    """
    coordinates = {f"coordinate_{number}": each for number, each in enumerate(model.scalings)}
    distances = {f"distance_{segment.segment_id}": segment for segment in model.segments}
    placed = features.mutate(**{name: coordinate(features[each.feature], each) for name, each in coordinates.items()})
    measured = placed.mutate(
        **{
            name: _squared_distance([placed[place] for place in coordinates], segment.centre)
            for name, segment in distances.items()
        }
    )
    compared = measured.mutate(shortest=ibis.least(*(measured[name] for name in distances)))
    number = ibis.cases(
        *((compared[name] == compared.shortest, segment.segment_id) for name, segment in distances.items())
    )
    return compared.mutate(segment_id=number).drop(*coordinates, *distances, "shortest")


def coordinate(value: ir.NumericValue, scaling: Scaling) -> ir.FloatingValue:
    """A feature's standardised coordinate: `Scaling.transform` as an expression."""
    clipped = value.cast("float64").clip(lower=scaling.lower_cut, upper=scaling.upper_cut)
    return ((clipped + 1).ln() - scaling.mean) / scaling.scale


def _squared_distance(coordinates: Sequence[ir.FloatingValue], centre: Sequence[float]) -> ir.FloatingValue:
    terms = [(coordinate - place) * (coordinate - place) for coordinate, place in zip(coordinates, centre, strict=True)]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _above(value: ir.NumericValue, cuts: Sequence[float]) -> ir.IntegerValue:
    """How many cuts a value is above."""
    number = ibis.literal(0, "int64")
    for cut in cuts:
        number = number + (value.cast("float64") > cut).cast("int64")
    return number


def model_table(model: SegmentationModel, version: int) -> pd.DataFrame:
    """The model as `schema.SEGMENTATION_MODEL`, one row per segment and feature."""
    return schema.SEGMENTATION_MODEL.frame(
        [
            {
                "version": version,
                "segment_id": segment.segment_id,
                "segment": segment.name,
                "color": segment.color,
                "action": segment.action,
                "feature": scaling.feature,
                "centre": place,
                "lower_cut": scaling.lower_cut,
                "upper_cut": scaling.upper_cut,
                "mean": scaling.mean,
                "scale": scaling.scale,
            }
            for segment in model.segments
            for scaling, place in zip(model.scalings, segment.centre, strict=True)
        ]
    )
