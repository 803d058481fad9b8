"""The indices that judge a number of segments: what each is called, what it means, and what each votes for.

Belongs here: words about the indices, and reading `votes` of the diagnostics.
Does not: computing an index or its vote (core/clustering/), drawing (model_figures.py), typesetting (templates/).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from segmentation_pipeline.reporting import wording

HIGHER, LOWER = "higher is better", "lower is better"


@dataclass(frozen=True)
class Index:
    """One index of `ReportData.k_diagnostics`.

    Attributes:
        column: Its column.
        vote: What `votes` calls it; empty where it has no vote of its own.
        head: Short column head.
        title: Its name in full.
        meaning: What it measures, in one plain sentence or two.
        better: Which way is better, `HIGHER` or `LOWER`.
        decimals: How many decimals of it matter.
    """

    column: str
    vote: str
    head: str
    title: str
    meaning: str
    better: str
    decimals: int


INDICES = (
    Index(
        "inertia", "elbow", "Inertia", "Elbow of the inertia",
        "How loosely customers lie around their segment's centre. It always falls as segments are added, so its vote is the "
        "elbow: the last split that pays.",
        LOWER, 0,
    ),
    Index(
        "silhouette", "silhouette", "Silh.", "Silhouette",
        "From \N{MINUS SIGN}1 to 1, how much closer customers lie to their own segment than to the next one.",
        HIGHER, 3,
    ),
    Index(
        "least_silhouette", "least_silhouette", "Least silh.", "Least silhouette",
        "The silhouette of the segment that is told apart worst: near 0, or below, it blurs into its neighbour.",
        HIGHER, 3,
    ),
    Index(
        "calinski_harabasz", "calinski_harabasz", "C\N{EN DASH}H", "Calinski\N{EN DASH}Harabasz",
        "How far the segments' centres lie apart, against how far customers lie from their own centre.",
        HIGHER, 0,
    ),
    Index(
        "davies_bouldin", "davies_bouldin", "D\N{EN DASH}B", "Davies\N{EN DASH}Bouldin",
        "How much each segment resembles the one most like it, on average.",
        LOWER, 3,
    ),
    Index(
        "gap", "gap", "Gap", "Gap",
        "How much tighter the segments are than they would be if customers had no groups at all, \N{PLUS-MINUS SIGN} its "
        "standard error. Its vote is the fewest segments that do as well as one more, within that error.",
        HIGHER, 3,
    ),
    Index(
        "bic", "bic", "BIC", "BIC",
        "The Bayesian information criterion: how badly a mixture of bell curves fits the customers, with a penalty for each "
        "further curve. Only the Gaussian mixture has one.",
        LOWER, 0,
    ),
    Index(
        "stability", "stability", "Stable", "Stability",
        "Whether the same segments come back when customers are drawn anew: the adjusted Rand index of both results, where 1 "
        "is always the same and 0 no more than chance.",
        HIGHER, 2,
    ),
    Index(
        "least_jaccard", "least_jaccard", "Least Jaccard", "Least Jaccard",
        "The share of its customers that the least stable segment keeps when customers are drawn anew (Jaccard); below 0.6 "
        "its customers are doubtful.",
        HIGHER, 2,
    ),
    Index(
        "agreement", "", "Agree", "Agreement",
        "How far an algorithm finds the same segments as the chosen algorithm does with as many: 1 is the same, 0 no more "
        "than chance (adjusted Rand index).",
        HIGHER, 2,
    ),
)  # fmt: skip
"""Every index, in the order to show."""

_TITLES = {index.vote: index.title for index in INDICES if index.vote}


def names_of_votes(votes: object) -> list[str]:
    """The names in one cell of `votes`, such as "elbow, gap"."""
    if wording.is_absent(votes):
        return []
    return [name.strip() for name in str(votes).split(",") if name.strip()]


def voice(vote: str) -> str:
    """Who speaks in a vote, such as "Calinski-Harabasz"; an index that is not in `INDICES` by its own name."""
    return _TITLES.get(vote, wording.humanised(vote))


def votes_of(diagnostics: pd.DataFrame, algorithm: object) -> dict[str, list[int]]:
    """Which numbers of segments each index votes for, among the rows of one algorithm.

    Returns:
        By the name of the vote, in the order of `INDICES`, unknown ones last; an index without a vote is left out.
    """
    found: dict[str, list[int]] = {}
    for row in diagnostics[diagnostics["algorithm"] == algorithm].sort_values("k").itertuples():
        for name in names_of_votes(row.votes):
            found.setdefault(name, []).append(int(str(row.k)))
    order = [*_TITLES, *sorted(set(found) - set(_TITLES))]
    return {name: found[name] for name in order if name in found}


def algorithms(diagnostics: pd.DataFrame) -> list[str]:
    """Every algorithm once, the chosen one first."""
    chosen = diagnostics.loc[diagnostics["is_chosen"].astype(bool), "algorithm"]
    return list(dict.fromkeys([*chosen, *diagnostics["algorithm"]]))


def numbers(ks: Sequence[int]) -> str:
    """Numbers of segments in a row, such as "2" or "2 and 3"."""
    return wording.listed([wording.count(k) for k in ks])
