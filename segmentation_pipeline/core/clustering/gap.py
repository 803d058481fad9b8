"""Gap statistic: whether k clusters hold customers together better than they would hold points without clusters.

Belongs here: the statistic, its standard error, the rule that reads a k from them. Does not: fitting (fitting.py),
weighing the gap against other indices (selection.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from segmentation_pipeline.core.clustering.fitting import Fitter, one_thread_each

REFERENCES = 10
NO_SPREAD = np.finfo(float).eps


@dataclass(frozen=True)
class Gap:
    """How far log dispersion in k clusters falls below that of points without clusters.

    `standard_error` is the standard deviation over the reference samples, widened for how few they are (s of the paper).
    Both are differences of natural logarithms.
    """

    k: int
    gap: float
    standard_error: float


def gap_statistic(
    points: np.ndarray,
    ks: Sequence[int],
    fitter: Callable[[np.ndarray], Fitter],
    seed: int,
    references: int = REFERENCES,
) -> list[Gap]:
    """The gap of every k: the mean of log W over reference samples less log W of the points.

    W is the sum of squared distances to the nearest centre. References are uniform over the box that encloses the
    points along their features (variant a of the paper: winsorised features end where the box does; along the principal
    axes, variant b, a few extreme customers stretch it, and the answer wavers with them). Points that k clusters hold
    without any spread have a large gap, not an infinite one.

    Args:
        points: (customers, features) standardised coordinates.
        ks: Numbers of clusters, each at least 1 and at most the number of different points. One cluster is not fitted.
        fitter: Gives the fitter of any (customers, features) points; it should use the same seed for all of them.
        seed: Of the reference samples.
        references: How many of them, at least 1; with one, the standard error is 0 and says nothing.

    Returns:
        One gap for each of `ks`, in their order. The same input and seed give the same bits.

    Raises:
        ValueError: There are no points, `ks` has a number below 1, or `references` is below 1.

    Source: Tibshirani, Walther & Hastie (2001), Estimating the number of clusters in a data set via the gap statistic,
        J. R. Statist. Soc. B 63, 411-423.
    """
    if not len(points) or min(ks, default=1) < 1 or references < 1:
        raise ValueError(
            f"The gap needs points, k >= 1 and a reference: {len(points)} points, k {list(ks)}, {references} references."
        )
    with one_thread_each():  # sums in one order, so that the last bit does not depend on the machine's load
        observed = _log_dispersions(points, ks, fitter)
        by_chance = np.array(
            [_log_dispersions(each, ks, fitter) for each in _without_clusters(points, seed, references)]
        )
    gaps = by_chance.mean(axis=0) - observed
    errors = by_chance.std(axis=0) * np.sqrt(1 + 1 / references)
    return [Gap(k, float(gap), float(error)) for k, gap, error in zip(ks, gaps, errors, strict=True)]


def first_sufficient(gaps: Sequence[Gap]) -> int | None:
    """The smallest k whose gap the next k does not beat by more than its standard error; None where there is none.

    A k counts only where the gap of k + 1 is known too, so the largest is never found.

    Source: Tibshirani, Walther & Hastie (2001), section 3: Gap(k) >= Gap(k + 1) - s(k + 1).
    """
    by_k = {each.k: each for each in gaps}
    pairs = ((by_k[k], by_k[k + 1]) for k in sorted(by_k) if k + 1 in by_k)
    return next((this.k for this, after in pairs if this.gap >= after.gap - after.standard_error), None)


def _log_dispersions(points: np.ndarray, ks: Sequence[int], fitter: Callable[[np.ndarray], Fitter]) -> np.ndarray:
    """(ks,) log W, from one fitter, so that what does not depend on k is computed once."""
    total = float(((points - points.mean(axis=0)) ** 2).sum())
    fitted = fitter(points)
    dispersions = [total if k == 1 else fitted.fit(k).inertia for k in ks]
    # What is below rounding error is none; its logarithm would be minus infinity, or noise.
    return np.log(np.maximum(dispersions, max(NO_SPREAD * total, float(np.finfo(float).tiny))))


def _without_clusters(points: np.ndarray, seed: int, references: int) -> list[np.ndarray]:
    """Uniform samples of as many points, over the box along the features that just encloses the points."""
    draw = np.random.default_rng(seed)
    return [draw.uniform(points.min(axis=0), points.max(axis=0), points.shape) for _ in range(references)]
