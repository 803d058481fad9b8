"""Preprocessing: from RFM features to the space in which distances between customers mean something.

Belongs here: the bounded sample, winsorising, log1p, standardising, and RFM score cuts.
Does not: clusters (fitting.py), applying a stored model to every customer (scoring.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis import _

from segmentation_pipeline.core.rfm import has_net_spend
from segmentation_pipeline.errors import PipelineError

SCORE_LEVELS = 5


@dataclass(frozen=True)
class Scaling:
    """What turns one feature into a standardised coordinate; all in the feature's unit but mean and scale."""

    feature: str
    lower_cut: float
    upper_cut: float
    mean: float
    scale: float

    def transform(self, values: np.ndarray) -> np.ndarray:
        """Winsorise at the cuts, take log1p, standardise. NaN stays NaN."""
        return (np.log1p(np.clip(values, self.lower_cut, self.upper_cut)) - self.mean) / self.scale


class UnusableFeature(PipelineError):
    """A feature has values that cannot be put on a log scale; the message names it and counts them."""


def sample(features: ir.Table, rows: int, seed: int) -> ir.Table:
    """At most `rows` customers with net spend, spread evenly over frequency and monetary; all of them if that is enough.

    Systematic sampling along the sorted customers: every n-th is taken, so each stretch of frequency and monetary is
    represented by its share. Equal customers are ordered by a hash of the seed and their id, the same on every engine.

    Source: Madow & Madow (1944), On the theory of systematic sampling.
    """
    salted = (_.customer_id + f":{seed}").hexdigest("md5")
    wanted = features.filter(has_net_spend(features))
    ranked = wanted.mutate(
        rank=ibis.row_number().over(order_by=["frequency", "monetary", salted]),
        customers=wanted.count().as_scalar(),  # counted apart: beside the rank, all rows would be held for it
    )
    among = ibis.greatest(ranked.customers, rows)
    taken = ((ranked.rank + 1) * rows) // among > (ranked.rank * rows) // among
    return ranked.filter(taken).drop("rank", "customers").order_by("customer_id")


def fit_scaling(sampled: pd.DataFrame, features: Sequence[str], winsor_share: float) -> list[Scaling]:
    """Cuts, mean and standard deviation of each feature in the sample.

    A feature that is the same for every customer gets scale 1, so that it adds nothing to any distance.

    Args:
        sampled: One row per customer, with a column for each feature.
        features: Which columns to scale.
        winsor_share: Share cut at each end.

    Raises:
        UnusableFeature: A value is missing, infinite or below 0.
    """
    fitted = []
    for feature in features:
        values = sampled[feature].to_numpy(dtype=float)
        if not np.isfinite(values).all() or values.min() < 0:
            raise UnusableFeature(
                f"{feature} is missing, infinite or below 0 for {int((~(values >= 0) | np.isinf(values)).sum())} of "
                f"{len(values)} customers, so customers cannot be told apart by it. Leave it out of model.features."
            )
        lower, upper = np.quantile(values, [winsor_share, 1 - winsor_share])
        logs = np.log1p(np.clip(values, lower, upper))
        spread = float(logs.std())
        fitted.append(
            Scaling(feature, float(lower), float(upper), float(logs.mean()), spread if spread > 1e-12 else 1.0)
        )
    return fitted


def transform(frame: pd.DataFrame, scalings: Sequence[Scaling]) -> np.ndarray:
    """The (customers, features) matrix of standardised coordinates."""
    return np.column_stack([each.transform(frame[each.feature].to_numpy(dtype=float)) for each in scalings])


def score_cuts(sampled: pd.DataFrame, feature: str) -> list[float]:
    """The four values that divide a feature's scores 1 to 5: a value above the i-th cut scores more than i.

    Cuts are values, not ranks, so equal values get equal scores in any order of rows. Where one value fills several
    fifths (most customers buy once), the scores between are left out rather than dealt out at random.
    """
    shares = np.arange(1, SCORE_LEVELS) / SCORE_LEVELS
    return [float(cut) for cut in np.quantile(sampled[feature].to_numpy(dtype=float), shares, method="inverted_cdf")]
