"""The rows and sentences of the page, from the report's frames.

Belongs here: picking, ordering and wording what the templates show; sums that the page states.
Does not: statistics (core/), text and layout (templates/), number formats (wording.py), the model card (model_card.py).
"""

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import pairwise
from math import floor

import pandas as pd

from segmentation_pipeline.reporting import wording
from segmentation_pipeline.reporting.data import (
    FEATURES,
    GONE_SEGMENT_ID,
    NET_ZERO_SEGMENT_ID,
    NEW_SEGMENT_ID,
    SCALES,
    SCORES,
    ReportData,
)
from segmentation_pipeline.reporting.indices import INDICES, algorithms, names_of_votes, numbers, voice, votes_of

LARGEST_FLOWS = 10
_WHOLE_NUMBERS = ("recency_days", "frequency")
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
_LEVELS: Mapping[str, tuple[str, str, str]] = {
    "stable": ("stable", "stable", "Much as when the model was fitted."),
    "few": ("few", "too few", "Too few customers to judge: the index is above zero by chance."),
    "warn": ("warning", "warn", "The customers have begun to shift: watch the next days."),
    "act": (
        "critical",
        "act",
        "These are other customers than the model was fitted on: find out why, then fit it anew.",
    ),
}


def records(frame: pd.DataFrame) -> list[dict[str, object]]:
    """A frame as one mapping per row."""
    return [{str(column): value for column, value in row.items()} for row in frame.to_dict("records")]


def totals(data: ReportData) -> dict[str, float]:
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


def choice(diagnostics: pd.DataFrame) -> str:
    """Why this number of segments: the sentence that every row of the diagnostics carries."""
    return wording.sentence(diagnostics["reason"].iloc[0]) if len(diagnostics) else "No diagnostics were recorded."


def candidates(diagnostics: pd.DataFrame) -> list[dict[str, object]]:
    """One block per algorithm, the chosen one first, with one row per k; each cell says whether its index votes for it."""
    return [
        {
            "algorithm": wording.algorithm_name(algorithm),
            "rows": [
                _candidate(row) for row in records(diagnostics[diagnostics["algorithm"] == algorithm].sort_values("k"))
            ],
        }
        for algorithm in algorithms(diagnostics)
    ]


def _candidate(row: Mapping[str, object]) -> dict[str, object]:
    votes = names_of_votes(row["votes"])
    cells = []
    for index in INDICES:
        text = wording.fixed(float(str(row[index.column])), index.decimals)
        if index.column == "gap" and text != wording.ABSENT:
            text += f" \N{PLUS-MINUS SIGN}{wording.fixed(float(str(row['gap_standard_error'])), index.decimals)}"
        cells.append({"text": text, "is_vote": bool(index.vote) and index.vote in votes})
    vetoes = row["vetoes"]
    return {
        "k": row["k"],
        "cells": cells,
        "smallest_share": row["smallest_share"],
        "is_chosen": bool(row["is_chosen"]),
        "vetoes": "" if wording.is_absent(vetoes) else str(vetoes).strip(),
    }


def votes_by_algorithm(diagnostics: pd.DataFrame) -> dict[str, object]:
    """Which k each index says: a row per index, a column per algorithm, the chosen one first."""
    names = algorithms(diagnostics)
    by_algorithm = {name: votes_of(diagnostics, name) for name in names}
    voters = {vote for votes in by_algorithm.values() for vote in votes}
    order = [index.vote for index in INDICES if index.vote in voters]
    return {
        "algorithms": [wording.algorithm_name(name) for name in names],
        "rows": [
            {
                "voice": voice(vote),
                "cells": [
                    numbers(by_algorithm[name][vote]) if vote in by_algorithm[name] else wording.ABSENT
                    for name in names
                ],
            }
            for vote in [*order, *sorted(voters - set(order))]
        ],
    }


def disagreement(diagnostics: pd.DataFrame) -> str:
    """What the indices of the chosen algorithm say, in one sentence, such as "Silhouette says 2, Gap says 5"."""
    chosen = diagnostics[diagnostics["is_chosen"].astype(bool)]
    votes = votes_of(diagnostics, chosen["algorithm"].iloc[0]) if len(chosen) else {}
    if not votes:
        return ""
    name = wording.algorithm_name(chosen["algorithm"].iloc[0])
    says = wording.listed([f"{voice(vote)} says {numbers(ks)}" for vote, ks in votes.items()])
    agree = len({tuple(ks) for ks in votes.values()}) == 1
    verdict = "agree" if agree else "disagree"
    return f"For {name}, the indices {verdict}: {says}. Chosen: {wording.count(chosen['k'].iloc[0])}."


def feature_rows(exploration: pd.DataFrame, features: Sequence[str]) -> list[dict[str, object]]:
    """One row per feature and scale: its statistics as text, in the order of `_STATISTICS`."""
    stated = exploration[exploration["measure"].isin(["quantile", "moment"])]
    keys = stated[["feature", "scale", "measure", "item"]].itertuples(index=False, name=None)
    values = dict(zip(keys, stated["value"], strict=True))
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
        for feature in features
        for scale in SCALES
    ]


def outliers(exploration: pd.DataFrame, features: Sequence[str], currency: str) -> list[dict[str, object]]:
    """One row per customer far from the average, the farthest first: each feature as measured and as transformed.

    Pages are passed on, so they name no customer; the lake's `feature_exploration` does.
    """
    stated = exploration[exploration["measure"] == "outlier"]
    by_scale = {
        scale: stated[stated["scale"] == scale].pivot_table(index="item", columns="feature", values="value")
        for scale in SCALES
    }
    places = by_scale["transformed"]
    farthest = (places**2).sum(axis=1).sort_values(ascending=False, kind="stable").index
    return [
        {
            "place": place,
            "cells": [
                {
                    "measured": wording.feature_value(
                        feature, _cell(by_scale["original"], customer, feature), currency
                    ),
                    "transformed": wording.signed(_cell(places, customer, feature), 1),
                }
                for feature in features
            ],
        }
        for place, customer in enumerate(farthest, start=1)
    ]


def _cell(table: pd.DataFrame, row: object, column: str) -> float:
    return float(table.reindex(index=[row], columns=[column]).to_numpy(dtype=float)[0, 0])


def score_table(scores: pd.DataFrame) -> list[dict[str, object]]:
    """Customers by recency score, the best first, and by frequency score from 1 to 5; no rows where nobody has any."""
    if scores.empty:
        return []
    customers = scores.set_index(["recency_score", "frequency_score"])["customers"]
    return [
        {
            "recency": recency,
            "cells": [wording.count(float(customers.get((recency, frequency), 0))) for frequency in SCORES],
        }
        for recency in reversed(SCORES)
    ]


def score_thresholds(score_cuts: Mapping[str, Sequence[float]], currency: str) -> list[dict[str, object]]:
    """For each feature, the values that get each score from 1 to 5, as text."""
    rows: list[dict[str, object]] = []
    for feature in FEATURES:
        if feature in score_cuts:
            ranges = _ranges(feature, score_cuts[feature])
            ordered = ranges[::-1] if feature == "recency_days" else ranges
            rows.append({"feature": wording.feature_label(feature, currency), "cells": ordered})
    return rows


def _ranges(feature: str, cuts: Sequence[float]) -> list[str]:
    """The values up to the first cut, between each two, and above the last; a dash where no value can lie."""
    if feature in _WHOLE_NUMBERS:
        whole = [floor(cut) for cut in cuts]
        between = [
            wording.number_range(low + 1, high) if low < high else wording.ABSENT for low, high in pairwise(whole)
        ]
        return [f"up to {wording.count(whole[0])}", *between, f"{wording.count(whole[-1] + 1)} or more"]
    texts = [wording.number(cut) for cut in cuts]
    between = [
        f"over {texts[place]} to {texts[place + 1]}" if low < high else wording.ABSENT
        for place, (low, high) in enumerate(pairwise(cuts))
    ]
    return [f"up to {texts[0]}", *between, f"over {texts[-1]}"]


def migration_summary(migration: pd.DataFrame) -> list[tuple[str, str, str]]:
    """What became of the customers since the earlier day: label, number and explanation of each."""
    customers = migration["customers"]
    came, went = migration["from_segment_id"], migration["to_segment_id"]
    is_new, is_gone = came == NEW_SEGMENT_ID, went == GONE_SEGMENT_ID
    known = ~is_new & ~is_gone
    stayed = customers[known & (came == went)].sum()
    moved = customers[known & (came != went)].sum()
    moved_share = wording.share(moved / (moved + stayed)) if moved + stayed else wording.ABSENT
    return [
        ("Stayed", wording.count(stayed), "in the same segment"),
        ("Moved", wording.count(moved), f"to another segment, {moved_share} of those known before"),
        ("New", wording.count(customers[is_new].sum()), "had not bought before"),
        ("Lost", wording.count(migration["lost_customers"].sum()), "active then, inactive now"),
        ("Reactivated", wording.count(migration["reactivated_customers"].sum()), "inactive then, buying again"),
        ("Gone", wording.count(customers[is_gone].sum()), "no longer in the data"),
    ]


def largest_flows(migration: pd.DataFrame) -> list[dict[str, object]]:
    """The flows between different segments that carry most revenue; who is new or gone comes from no segment."""
    ids = migration[["from_segment_id", "to_segment_id"]]
    between = migration[(ids >= 0).all(axis=1) & (ids["from_segment_id"] != ids["to_segment_id"])]
    amounts = between.assign(
        revenue_before=between["revenue_before"].astype(float), revenue_after=between["revenue_after"].astype(float)
    )
    keys = ["revenue_after", "revenue_before", "from_segment_id", "to_segment_id"]
    return records(amounts.sort_values(keys, ascending=[False, False, True, True]).head(LARGEST_FLOWS))


def drift_rows(drift: pd.DataFrame, as_of: date) -> list[dict[str, object]]:
    """The drift of a day, the largest first: what, PSI, level and what to make of it; no rows where it was not measured."""
    rows = []
    of_day = drift[pd.to_datetime(drift["date"]) == pd.Timestamp(as_of)]
    if len(of_day):
        for row in records(of_day.sort_values(["psi", "kind", "name"], ascending=[False, True, True])):
            style, word, meaning = _LEVELS.get(str(row["level"]), ("", str(row["level"]), ""))
            what = wording.drifting(row["kind"], row["name"])
            rows.append({"what": what, "psi": row["psi"], "style": style, "level": word, "meaning": meaning})
    return rows
