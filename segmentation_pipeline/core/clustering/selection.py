"""Selection of k: what each index says, and a declared policy that chooses.

Belongs here: votes, vetoes, the choice and its reason. Does not: the sweep and its indices (diagnostics.py), drawing
(reporting/).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from segmentation_pipeline.core import schema
from segmentation_pipeline.core.clustering.diagnostics import ALGORITHMS, sweep
from segmentation_pipeline.core.clustering.fitting import Algorithm
from segmentation_pipeline.core.sharing import Share, in_turn
from segmentation_pipeline.errors import PipelineError


class NotEnoughCustomers(PipelineError):
    """There are fewer different customers than clusters asked for; the message says how many of each."""


@dataclass(frozen=True)
class Policy:
    """The elbow proposes; the smallest segment, the silhouette and the stability veto; a given k overrides.

    Args:
        algorithm: Whose elbow proposes.
        min_k: Smallest k of the sweep.
        max_k: Largest k of the sweep.
        min_segment_share: Floor of the smallest cluster's share of customers, 0 to 1.
        min_silhouette: Floor of the mean silhouette, -1 to 1.
        min_stability: Floor of the mean adjusted Rand index with clusters of bootstrap samples.
        k: Overrides the choice.
    """

    algorithm: Algorithm
    min_k: int
    max_k: int
    min_segment_share: float
    min_silhouette: float
    min_stability: float
    k: int | None = None


def diagnose(
    points: np.ndarray,
    as_of: date,
    policy: Policy,
    features: Sequence[str],
    seed: int,
    restarts: int,
    share: Share = in_turn,
) -> pd.DataFrame:
    """Every algorithm and k side by side, with each index's vote and the policy's choice.

    Args:
        points: (customers, features) standardised sample.
        as_of: Day of the features, for the table.
        policy: How to choose.
        features: Names of the features, for the table.
        seed: Of the algorithms' starts and of smaller samples.
        restarts: Starts of k-means.
        share: Deals out the fitting.

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
            "Customers with the same features count once. Give a later as-of day or more files."
        )
    measured = sweep(points, possible, policy.algorithm, seed, restarts, share)
    rows = [
        row
        for algorithm in ALGORITHMS
        for row in _weighed([each for each in measured if each["algorithm"] == algorithm], policy)
    ]
    of_algorithm = [row for row in rows if row["algorithm"] == policy.algorithm]
    chosen, reason = choose(of_algorithm, policy)
    reason += _doubt(of_algorithm)
    for row in rows:
        row |= {"date": as_of, "features": ", ".join(features), "reason": reason}
        row["is_chosen"] = row["algorithm"] == policy.algorithm and row["k"] == chosen
    return schema.K_DIAGNOSTICS.frame(rows)


def choose(rows: Sequence[dict[str, object]], policy: Policy) -> tuple[int, str]:
    """The policy's k and why, in one sentence.

    A vetoed proposal gives way to the nearest k that nothing speaks against, the smaller first. Where there is no
    elbow, the best silhouette of those proposes. Where every k is vetoed, the one with the best silhouette is taken
    and the sentence says so.
    """
    if policy.k:
        return policy.k, f"k = {policy.k} was given, by model.k or by the run's own configuration."
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
            f"The elbow of the inertia curve is at k = {proposal} (Kneedle); its smallest segment, silhouette and "
            f"stability are above their floors; the best silhouette alone would say k = {best}."
        )
    nearest = min((int(str(row["k"])) for row in free), key=lambda k: (abs(k - proposal), k))
    return (
        nearest,
        f"The elbow at k = {proposal} is vetoed ({elbow['vetoes']}); k = {nearest} is the nearest that is not.",
    )


def _doubt(rows: Sequence[Mapping[str, Any]]) -> str:
    """What the gap statistic says where it was computed and votes for none of the rows."""
    if rows[0]["gap"] is None:
        return ""
    found = rows[0]["sufficient_by_gap"]
    if found == 1:
        return " The gap statistic alone finds no groups at all (k = 1)."
    return "" if found else f" The gap statistic finds no k up to {rows[-1]['k']} sufficient."


def elbow(ks: Sequence[int], inertia: Sequence[float]) -> int | None:
    """The knee of the inertia curve, or None where there is none.

    Source: Satopää, Albrecht, Irwin & Raghavan (2011), Finding a "Kneedle" in a haystack; as in kneed, sensitivity 1.
    """
    from kneed import KneeLocator

    if len(ks) < 3:
        return None
    knee = KneeLocator(list(ks), list(inertia), curve="convex", direction="decreasing").knee
    return None if knee is None or knee in (ks[0], ks[-1]) else int(knee)


def votes(rows: Sequence[Mapping[str, Any]]) -> dict[str, int | None]:
    """The k that each index chooses by itself, None where it says none.

    Args:
        rows: One algorithm's records of a sweep, in order of k.
    """
    return {
        "elbow": elbow([row["k"] for row in rows], [row["inertia"] for row in rows]),
        "silhouette": _best(rows, "silhouette", max),
        "calinski_harabasz": _best(rows, "calinski_harabasz", max),
        "davies_bouldin": _best(rows, "davies_bouldin", min),
        "gap": rows[0]["sufficient_by_gap"],
        "bic": _best(rows, "bic", min),
        "stability": _best(rows, "stability", max),
    }


def _best(rows: Sequence[Mapping[str, Any]], index: str, best: Callable[..., Any]) -> int | None:
    """The k with the best value of an index, the smaller of equal ones."""
    known = [row for row in rows if row[index] is not None]
    return int(best(known, key=lambda row: row[index])["k"]) if known else None


def _weighed(rows: Sequence[dict[str, Any]], policy: Policy) -> list[dict[str, Any]]:
    """One algorithm's records with votes and vetoes."""
    chosen = votes(rows)
    return [
        row
        | {
            "is_elbow": row["k"] == chosen["elbow"],
            "votes": ", ".join(index for index, k in chosen.items() if k == row["k"]),
            "vetoes": "; ".join(_vetoes(row, policy)),
        }
        for row in rows
    ]


def _vetoes(row: Mapping[str, Any], policy: Policy) -> list[str]:
    found = len(row["cluster_shares"])
    vetoes = [] if found == row["k"] else [f"only {found} clusters could be told apart"]
    if row["smallest_share"] < policy.min_segment_share:
        vetoes.append(f"smallest segment {row['smallest_share']:.1%} is under the {policy.min_segment_share:.1%} floor")
    if row["silhouette"] < policy.min_silhouette:
        vetoes.append(f"silhouette {row['silhouette']:.2f} is under the {policy.min_silhouette:.2f} floor")
    if row["stability"] < policy.min_stability:
        vetoes.append(f"stability {row['stability']:.2f} is under the {policy.min_stability:.2f} floor")
    return vetoes
