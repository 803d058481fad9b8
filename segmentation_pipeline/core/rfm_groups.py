"""RFM groups: the eleven conventional names for what a customer's three scores say.

Belongs here: the grid of recency and value, and the expression that reads it. Every pair of scores has one group.
Does not: the scores (clustering/scoring.py), segments found by clustering and their names (naming.py).

RFM itself is from Hughes (1994), Strategic Database Marketing. The grid is the one that Putler and the pandas tutorials
made popular; its axes are Putler's, recency against the mean of frequency and monetary, where many tutorials take
frequency alone. They call its whole lower corner Hibernating; here the customers with the lowest scores of all are Lost.
"""

from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import pandas as pd


@dataclass(frozen=True)
class Group:
    """One of the eleven groups, and what its customers have in common."""

    name: str
    meaning: str


GROUPS = (
    Group("Champions", "Bought just now, and are among those who buy most often and for most."),
    Group("Loyal Customers", "Buy often or for much, and were here not long ago."),
    Group("Potential Loyalists", "Bought lately, and not least often or for least."),
    Group("New Customers", "Bought just now, but few times and for little so far."),
    Group("Promising", "Bought lately, but few times and for little so far."),
    Group("Need Attention", "Middling in everything, and their last order is a while ago."),
    Group("About to Sleep", "Bought few times or for little, and have not been here for a while."),
    Group("Can't Lose Them", "Were among the best customers, and have stayed away for long."),
    Group("At Risk", "Bought fairly often or for fairly much, and have stayed away for long."),
    Group("Hibernating", "Bought few times or for little, long ago."),
    Group("Lost", "The lowest scores in everything."),
)

# One row for each recency score, 5 (lately) at the top; one column for each value score, from 1 on the left to 5.
GRID = (
    ("New Customers", "Potential Loyalists", "Potential Loyalists", "Champions", "Champions"),
    ("Promising", "Potential Loyalists", "Potential Loyalists", "Loyal Customers", "Loyal Customers"),
    ("About to Sleep", "About to Sleep", "Need Attention", "Loyal Customers", "Loyal Customers"),
    ("Hibernating", "Hibernating", "At Risk", "At Risk", "Can't Lose Them"),
    ("Lost", "Hibernating", "At Risk", "At Risk", "Can't Lose Them"),
)
LEVELS = len(GRID)


def counted(segments: ir.Table) -> ir.Table:
    """Customers and revenue of each cell of the grid, in one engine pass: scores, `rfm_group`, `customers`, `revenue`.

    Args:
        segments: `schema.CUSTOMER_SEGMENTS` of one day; Net zero customers, who have no scores, are left out.
    """
    scored = segments.filter(segments.rfm_group.notnull())
    scored = scored.mutate(value_score=value_score(scored.frequency_score, scored.monetary_score))
    by = ["recency_score", "value_score", "rfm_group"]
    return scored.group_by(by).agg(customers=scored.count(), revenue=scored.monetary.sum()).order_by(by)


def by_scores(segments: ir.Table) -> ir.Table:
    """Customers by recency score and frequency score: `recency_score`, `frequency_score`, `customers`.

    Args:
        segments: As for `counted`.
    """
    by = ["recency_score", "frequency_score"]
    scored = segments.filter(segments.rfm_group.notnull())
    return scored.group_by(by).agg(customers=scored.count()).order_by(by)


def summed(cells: pd.DataFrame) -> pd.DataFrame:
    """One row for each of the eleven groups, in their order: `rfm_group`, `meaning`, customers and revenue with shares.

    Args:
        cells: As from `counted`.
    """
    names = [group.name for group in GROUPS]
    sums = cells.astype({"revenue": float}).groupby("rfm_group")[["customers", "revenue"]].sum()
    found = sums.reindex(names, fill_value=0).reset_index(names="rfm_group")
    found["meaning"] = [group.meaning for group in GROUPS]
    for name, share in (("customers", "customer_share"), ("revenue", "revenue_share")):
        found[share] = found[name] / (found[name].sum() or 1)
    return found


def group_of(recency: int, value: int) -> str:
    """The group of a recency score and a value score.

    Raises:
        ValueError: A score is not 1 to 5.
    """
    if not (1 <= recency <= LEVELS and 1 <= value <= LEVELS):
        raise ValueError(f"Scores are 1 to {LEVELS}, not {recency} and {value}")
    return GRID[LEVELS - recency][value - 1]


def value_score(frequency_score: ir.IntegerValue, monetary_score: ir.IntegerValue) -> ir.IntegerValue:
    """The mean of the frequency and the monetary score, rounded half up: 1 to 5; null where either is."""
    return (frequency_score + monetary_score + 1) // 2


def rfm_group(
    recency_score: ir.IntegerValue, frequency_score: ir.IntegerValue, monetary_score: ir.IntegerValue
) -> ir.StringValue:
    """The name of each customer's group; null where a score is, as for Net zero."""
    cell = recency_score * 10 + value_score(frequency_score, monetary_score)
    scores = range(1, LEVELS + 1)
    cells = {
        group.name: [
            10 * recency + value for recency in scores for value in scores if group_of(recency, value) == group.name
        ]
        for group in GROUPS
    }
    return ibis.cases(*((cell.isin(numbers), name) for name, numbers in cells.items()))
