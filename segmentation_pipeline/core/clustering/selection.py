"""Selection of k: what each index says for each k, and a declared policy that chooses.

Belongs here: diagnostics of a sweep over k, vetoes, the choice and its reason.
Does not: the algorithms (fitting.py), drawing (reporting/).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from segmentation_pipeline.core import schema
from segmentation_pipeline.core.clustering.fitting import Algorithm, Clusters, Fitter
from segmentation_pipeline.errors import PipelineError

ALGORITHMS: tuple[Algorithm, ...] = ("kmeans", "ward")
SILHOUETTE_CUSTOMERS = 5_000


class NotEnoughCustomers(PipelineError):
    """There are fewer different customers than clusters asked for; the message says how many of each."""


@dataclass(frozen=True)
class Policy:
    """The elbow proposes; the smallest segment and the silhouette veto; a given k overrides.

    Args:
        algorithm: Whose elbow proposes.
        min_k: Smallest k of the sweep.
        max_k: Largest k of the sweep.
        min_segment_share: Floor of the smallest cluster's share of customers, 0 to 1.
        min_silhouette: Floor of the mean silhouette, -1 to 1.
        k: Overrides the choice.
    """

    algorithm: Algorithm
    min_k: int
    max_k: int
    min_segment_share: float
    min_silhouette: float
    k: int | None = None


def diagnose(points: np.ndarray, as_of: date, policy: Policy, seed: int, restarts: int) -> pd.DataFrame:
    """Every algorithm and k side by side, with the policy's choice.

    Args:
        points: (customers, features) standardised sample.
        as_of: Day of the features, for the table.
        policy: How to choose.
        seed: Of the algorithms' starts and of the silhouette's sample.
        restarts: Starts of k-means.

    Returns:
        `schema.K_DIAGNOSTICS`, one row per algorithm and k.

    Raises:
        NotEnoughCustomers: There are fewer different customers than `policy.min_k`, or than `policy.k`.
    """
    distinct = len(np.unique(points, axis=0))
    wanted = sorted({*range(policy.min_k, policy.max_k + 1), *([policy.k] if policy.k else [])})
    possible = [k for k in wanted if k <= distinct]
    if not possible or (policy.k and policy.k not in possible):
        raise NotEnoughCustomers(
            f"{distinct} different customers with net spend on {as_of} cannot form {policy.k or policy.min_k} segments. "
            "Customers with the same recency, frequency and monetary value count once. Give a later as-of day or more files."
        )
    silhouette = Silhouette(points, seed)
    fitters = [Fitter(points, algorithm, seed, restarts) for algorithm in ALGORITHMS]
    rows = [row for fitter in fitters for row in _sweep(fitter, possible, policy, silhouette)]
    chosen, reason = choose([row for row in rows if row["algorithm"] == policy.algorithm], policy)
    for row in rows:
        row |= {"date": as_of, "reason": reason}
        row["is_chosen"] = row["algorithm"] == policy.algorithm and row["k"] == chosen
    return schema.K_DIAGNOSTICS.frame(rows)


def choose(rows: Sequence[dict[str, object]], policy: Policy) -> tuple[int, str]:
    """The policy's k and why, in one sentence.

    A vetoed proposal gives way to the nearest k that nothing speaks against, the smaller first. Where there is no
    elbow, the best silhouette of those proposes. Where every k is vetoed, the one with the best silhouette is taken
    and the sentence says so.
    """
    if policy.k:
        return policy.k, f"k = {policy.k} is set in the configuration (model.k)."
    free = [row for row in rows if not row["vetoes"]]
    by_silhouette = sorted(free or rows, key=lambda row: (-float(str(row["silhouette"])), row["k"]))
    best = int(str(by_silhouette[0]["k"]))
    if not free:
        return (
            best,
            f"Every k from {policy.min_k} to {policy.max_k} is vetoed; k = {best} has the best silhouette of them.",
        )
    elbow = next((row for row in rows if row["is_elbow"]), None)
    if elbow is None:
        return (
            best,
            f"The inertia curve has no knee; k = {best} has the best silhouette of those nothing speaks against.",
        )
    proposal = int(str(elbow["k"]))
    if not elbow["vetoes"]:
        return proposal, (
            f"The elbow of the inertia curve is at k = {proposal} (Kneedle), its smallest segment and its silhouette are "
            f"above their floors; the best silhouette alone would say k = {best}."
        )
    nearest = min((int(str(row["k"])) for row in free), key=lambda k: (abs(k - proposal), k))
    return (
        nearest,
        f"The elbow at k = {proposal} is vetoed ({elbow['vetoes']}); k = {nearest} is the nearest that is not.",
    )


def elbow(ks: Sequence[int], inertia: Sequence[float]) -> int | None:
    """The knee of the inertia curve, or None where there is none.

    Source: Satopää, Albrecht, Irwin & Raghavan (2011), Finding a "Kneedle" in a haystack; as in kneed, sensitivity 1.
    """
    from kneed import KneeLocator

    if len(ks) < 3:
        return None
    knee = KneeLocator(list(ks), list(inertia), curve="convex", direction="decreasing").knee
    return None if knee is None or knee in (ks[0], ks[-1]) else int(knee)


def _sweep(fitter: Fitter, ks: Sequence[int], policy: Policy, silhouette: "Silhouette") -> list[dict[str, object]]:
    fits = {k: fitter.fit(k) for k in ks}
    knee = elbow(ks, [fits[k].inertia for k in ks])
    return [
        {"algorithm": fitter.algorithm, "k": k, "is_elbow": k == knee, **_measured(fits[k], k, policy, silhouette)}
        for k in ks
    ]


def _measured(clusters: Clusters, k: int, policy: Policy, silhouette: "Silhouette") -> dict[str, object]:
    smallest = float(clusters.shares.min())
    score = silhouette.score(clusters.labels)
    vetoes = [] if len(clusters.centres) == k else [f"only {len(clusters.centres)} clusters could be told apart"]
    if smallest < policy.min_segment_share:
        vetoes.append(f"smallest segment {smallest:.1%} is under the {policy.min_segment_share:.1%} floor")
    if score < policy.min_silhouette:
        vetoes.append(f"silhouette {score:.2f} is under the {policy.min_silhouette:.2f} floor")
    return {"inertia": clusters.inertia, "silhouette": score, "smallest_share": smallest, "vetoes": "; ".join(vetoes)}


class Silhouette:
    """Mean silhouette (Rousseeuw 1987) of any labels of one sample; the distances are computed once.

    Args:
        points: (customers, features) standardised coordinates; at most 5,000 of them, drawn with the seed, take part.
        seed: Of the draw.
    """

    def __init__(self, points: np.ndarray, seed: int) -> None:
        from sklearn.metrics import pairwise_distances

        self._chosen = np.arange(len(points))
        if len(points) > SILHOUETTE_CUSTOMERS:
            self._chosen = np.sort(np.random.default_rng(seed).choice(len(points), SILHOUETTE_CUSTOMERS, replace=False))
        self._distances = pairwise_distances(points[self._chosen])

    def score(self, labels: np.ndarray) -> float:
        """The mean silhouette; -1 where fewer than two clusters, or only clusters of one, are left."""
        from sklearn.metrics import silhouette_score

        chosen = labels[self._chosen]
        if not 2 <= len(np.unique(chosen)) < len(chosen):
            return -1.0
        return float(silhouette_score(self._distances, chosen, metric="precomputed"))
