"""How reports say things: numbers, dates and the names of features and algorithms.

Belongs here: value -> text, the same in figures, page and UI.
Does not: the sentences about figures (captions.py) or the page's own text (templates/).
"""

from collections.abc import Mapping, Sequence
from datetime import date
from types import MappingProxyType

import pandas as pd

ABSENT = "\N{EN DASH}"
_GAP = "\N{NO-BREAK SPACE}"
_FULL_UNITS_FROM = 100

_FEATURE_NAMES: Mapping[str, str] = MappingProxyType(
    {"recency_days": "Recency", "frequency": "Frequency", "monetary": "Monetary"}
)
_ALGORITHM_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "kmeans": "K-Means",
        "bisecting_kmeans": "Bisecting K-Means",
        "ward": "Ward hierarchical",
        "gaussian_mixture": "Gaussian mixture",
    }
)


def is_absent(value: object) -> bool:
    """Whether a single value is missing: None, NaN or NaT."""
    return value is None or bool(pd.isna(value))  # type: ignore[call-overload]


def fixed(value: float, decimals: int) -> str:
    """A number with thousands separators and a true minus sign, such as "1,234.50"."""
    if is_absent(value):
        return ABSENT
    text = f"{value:,.{decimals}f}"
    is_zero = not text.strip("-0.,")
    return text.lstrip("-") if is_zero else text.replace("-", "\N{MINUS SIGN}")


def count(value: float) -> str:
    """A number of things, such as "530,104"."""
    return fixed(value, 0)


def number(value: float) -> str:
    """A measurement: two decimals where they matter, none where they do not."""
    return fixed(value, 0 if not is_absent(value) and abs(value) >= _FULL_UNITS_FROM else 2)


def number_range(low: float, high: float) -> str:
    """Two measurements as a range, such as "5 to 23"; empty where one is missing."""
    if is_absent(low) or is_absent(high):
        return ""
    ends = [fixed(end, 0 if float(end).is_integer() or abs(end) >= _FULL_UNITS_FROM else 1) for end in (low, high)]
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)


def money(value: float, currency: str) -> str:
    """An amount with its currency, such as "GBP 1,234"."""
    return ABSENT if is_absent(value) else f"{currency}{_GAP}{number(value)}"


def share(value: float) -> str:
    """A share between 0 and 1 as text, such as "12.3 %"; a trace is not rounded down to nothing."""
    if is_absent(value):
        return ABSENT
    if 0 < value < 0.0005:
        return f"<{_GAP}0.1{_GAP}%"
    return f"{fixed(100 * value, 1)}{_GAP}%"


def quantity(value: float, unit: str) -> str:
    """A count with its unit in the right number, such as "1 order" or "4.5 orders"."""
    if is_absent(value):
        return ABSENT
    amount = fixed(value, 0 if float(value).is_integer() else 1)
    return f"{amount}{_GAP}{unit if amount == '1' else unit + 's'}"


def days_ago(value: float) -> str:
    """How long ago something was, such as "12 days ago"."""
    return ABSENT if is_absent(value) else f"{quantity(value, 'day')} ago"


def long_date(day: date) -> str:
    """A day written out, such as "9 December 2011"."""
    return f"{day.day} {day:%B %Y}"


def change(value: float) -> str:
    """A change in a number of things with its sign, such as "+12"; none is "no change"."""
    if is_absent(value):
        return ABSENT
    return "no change" if count(value) == "0" else f"{'+' if value > 0 else ''}{count(value)}"


def signed(value: float, decimals: int) -> str:
    """A number with its sign even where it is above zero, such as "+1.5"."""
    text = fixed(value, decimals)
    return f"+{text}" if not is_absent(value) and value > 0 and text.strip("0.") else text


def sentence(text: object) -> str:
    """Text as given, or a dash where there is none."""
    return ABSENT if is_absent(text) or not str(text).strip() else str(text)


def listed(parts: Sequence[str]) -> str:
    """Parts as a sentence lists them, such as "a, b and c"."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def humanised(identifier: object) -> str:
    """A snake_case identifier as words, such as "Missing customer id"."""
    words = str(identifier).replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def feature_name(feature: object) -> str:
    """A feature without its unit, such as "Recency"."""
    return _FEATURE_NAMES.get(str(feature), humanised(feature))


def feature_label(feature: str, currency: str) -> str:
    """A feature with its unit, such as "Monetary (GBP)"."""
    units = {"recency_days": "days", "frequency": "orders", "monetary": currency, "average_order_value": currency}
    return f"{feature_name(feature)} ({units[feature]})" if feature in units else feature_name(feature)


def algorithm_name(algorithm: object) -> str:
    """An algorithm as its literature calls it, such as "K-Means"."""
    return _ALGORITHM_NAMES.get(str(algorithm), humanised(algorithm))


def feature_value(feature: str, value: float, currency: str) -> str:
    """A feature's value with its unit, such as "12 days", "6 orders", "GBP 1,234" or "4.0 %"."""
    if feature in ("monetary", "average_order_value"):
        return money(value, currency)
    if feature in ("return_rate", "recent_revenue_share"):
        return share(value)
    one = {"recency_days": "day", "tenure_days": "day", "frequency": "order"}.get(feature)
    return quantity(value, one) if one else number(value)


def drifting(kind: object, name: object) -> str:
    """What a drift is measured of, such as "Recency" or "Segment sizes"."""
    return "Segment sizes" if kind == "segments" else feature_name(name)
