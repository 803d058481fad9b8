"""Recommendations: what to do about a segment, with the numbers that say how much it matters.

Belongs here: the sentences. Does not: the actions (settings/archetypes.py), the numbers (profiles.py, migration.py).
"""

from datetime import date

import pandas as pd


def sentences(profile: pd.Series, currency: str, recent_days: int) -> str:
    """The action of one segment, its size, the revenue at stake and how the segment has changed.

    Args:
        profile: One row of `schema.SEGMENT_PROFILES`, with `recent_share`: the share of the recent sales of all.
        currency: ISO 4217 code of the amounts.
        recent_days: How many days are recent.
    """
    size = f"{_customers(profile['customers'])} ({profile['customer_share']:.0%})"
    stake = (
        f"{size} brought {currency} {float(profile['revenue_recent']):,.0f} in the last {recent_days} days, "
        f"{profile['recent_share']:.0%} of the sales to known customers in that time, "
        f"and {currency} {float(profile['revenue']):,.0f} net in all."
    )
    return " ".join(filter(None, [profile["action"], stake, _change(profile)]))


def _change(profile: pd.Series) -> str:
    if pd.isna(profile["compared_with"]):
        return ""
    day = _named(pd.Timestamp(profile["compared_with"]).date())
    more = int(profile["customers"] - profile["customers_before"])
    if not more:
        return f"As many customers as on {day}."
    return f"{_customers(abs(more))} {'more' if more > 0 else 'fewer'} than on {day}."


def _customers(number: int) -> str:
    return f"{number:,} customer{'' if number == 1 else 's'}"


def _named(day: date) -> str:
    return f"{day.day} {day:%B %Y}"
