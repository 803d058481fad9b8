"""Exploration: how each feature is distributed and how features go together, before and after the transform.

Belongs here: statistics of a bounded sample of customers. Does not: drawing them (reporting/).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
import pandas as pd

from segmentation_pipeline.core import schema
from segmentation_pipeline.core.clustering.preprocessing import SCORE_LEVELS, Scaling, score_cuts

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
HISTOGRAM_BINS = 40
OUTLIERS = 10


NOTHING = schema.FEATURE_EXPLORATION.frame([])


def explore(sampled: pd.DataFrame, scalings: Sequence[Scaling], as_of: date) -> pd.DataFrame:
    """Quantiles, moments, histograms and correlations of every feature, outliers, and the table of RFM scores.

    Args:
        sampled: One row per customer with net spend.
        scalings: The transform, one for each feature to describe.
        as_of: Day of the features.

    Returns:
        `schema.FEATURE_EXPLORATION`.
    """
    original = pd.DataFrame({each.feature: sampled[each.feature].to_numpy(dtype=float) for each in scalings})
    transformed = pd.DataFrame({each.feature: each.transform(original[each.feature].to_numpy()) for each in scalings})
    rows = []
    for scale, frame in (("original", original), ("transformed", transformed)):
        correlations = {method: frame.corr(method=method) for method in ("pearson", "spearman")}
        for scaling in scalings:
            values = frame[scaling.feature].to_numpy()
            edge = np.mean(
                ~original[scaling.feature].between(scaling.lower_cut, scaling.upper_cut, inclusive="neither")
            )
            for row in (
                *_quantiles(values),
                *_moments(values, float(edge)),
                *_histogram(values),
                *_pairs(scaling.feature, correlations),
            ):
                rows.append({"date": as_of, "feature": scaling.feature, "scale": scale} | row)
    common = {"date": as_of}
    rows += [
        common | row for row in _outliers(sampled["customer_id"], {"original": original, "transformed": transformed})
    ]
    rows += [common | row for row in _score_table(sampled)]
    return schema.FEATURE_EXPLORATION.frame(rows)


def _quantiles(values: np.ndarray) -> list[dict[str, object]]:
    found = np.quantile(values, QUANTILES)
    return [
        {"measure": "quantile", "item": f"{share:g}", "value": float(value)}
        for share, value in zip(QUANTILES, found, strict=True)
    ]


def _moments(values: np.ndarray, share_at_edge: float) -> list[dict[str, object]]:
    """Mean, deviation, Fisher's skewness and excess kurtosis, and the share of customers at the winsorised edges."""
    skewness, kurtosis = skewness_and_kurtosis(values)
    moments = {
        "mean": values.mean(),
        "standard_deviation": values.std(),
        "skewness": skewness,
        "kurtosis": kurtosis,
        "share_at_edge": share_at_edge,
    }
    return [{"measure": "moment", "item": name, "value": float(value)} for name, value in moments.items()]


def skewness_and_kurtosis(values: np.ndarray) -> tuple[float, float]:
    """Fisher's skewness and excess kurtosis of a sample, as SciPy computes them, bit for bit.

    To load `scipy.stats` takes longer than everything that is done here.

    Returns:
        Both 0 where all values are equal, and NaN where they differ by no more than rounding.
    """
    mean = values.mean()
    centred = values - mean
    squared = centred**2
    variance = squared.mean()
    if variance == 0:
        return 0.0, 0.0
    if variance <= (np.finfo(float).eps * mean) ** 2:
        return np.nan, np.nan
    return float((squared * centred).mean() / variance**1.5), float((squared**2).mean() / variance**2 - 3)


def _histogram(values: np.ndarray) -> list[dict[str, object]]:
    counts, edges = np.histogram(values, bins=HISTOGRAM_BINS)
    return [
        {
            "measure": "histogram",
            "item": str(place),
            "lower": float(edges[place]),
            "upper": float(edges[place + 1]),
            "value": float(count),
        }
        for place, count in enumerate(counts)
    ]


def _outliers(customers: pd.Series, scales: Mapping[str, pd.DataFrame]) -> list[dict[str, object]]:
    """Features of the customers farthest from the average, by Euclidean distance after the transform, farthest first."""
    far = (scales["transformed"] ** 2).sum(axis=1).to_numpy().argsort(kind="stable")[::-1][:OUTLIERS]
    ids = customers.iloc[far].to_numpy()
    values = {scale: frame.iloc[far].to_numpy() for scale, frame in scales.items()}
    return [
        {"measure": "outlier", "feature": feature, "scale": scale, "item": str(ids[rank])}
        | {"value": float(values[scale][rank, place])}
        for rank in range(len(far))
        for scale, frame in scales.items()
        for place, feature in enumerate(frame.columns)
    ]


def _score_table(sampled: pd.DataFrame) -> list[dict[str, object]]:
    """Sampled customers by recency score and frequency score, each by the fifths of the day itself."""
    scores = {
        feature: np.searchsorted(score_cuts(sampled, feature), sampled[feature].to_numpy(dtype=float), side="left")
        for feature in ("recency_days", "frequency")
    }
    cells = Counter(zip(SCORE_LEVELS - scores["recency_days"], 1 + scores["frequency"], strict=True))
    return [
        {"measure": "score_table", "feature": "rfm", "scale": "original", "item": f"{recency}:{frequency}"}
        | {"value": float(customers)}
        for (recency, frequency), customers in sorted(cells.items())
    ]


def _pairs(feature: str, correlations: Mapping[str, pd.DataFrame]) -> list[dict[str, object]]:
    """Correlations with every feature; 0 where a feature is the same for all customers."""
    return [
        {
            "measure": "correlation",
            "item": f"{method}:{other}",
            "value": float(np.nan_to_num(value)),
        }
        for method, matrix in correlations.items()
        for other, value in zip(matrix.columns, matrix.loc[feature].to_numpy(), strict=True)
    ]
