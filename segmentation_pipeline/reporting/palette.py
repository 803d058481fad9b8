"""The colours of reports, shared by figures and page.

Belongs here: named colours and the check that a configured colour is one.
Does not: segment colours themselves (they arrive with the profiles), fonts and sizes (figure_theme.py).
"""

import re

INK = "#1f2933"
MUTED = "#5b6776"
GRID = "#e4e8ed"
NEUTRAL = "#9aa5b1"

ACCEPTED = "#0072b2"
GUESTS = "#8cc3e6"
QUARANTINED = "#d55e00"
QUARANTINED_SOFT = "#f4c7a5"
REVENUE = "#009e73"

VOTE = "#d55e00"
WARN = "#b97a00"
ACT = "#9c2f00"
SHADES = "Blues"
"""The colour map of heat maps: one hue, light to dark, so that it survives a black-and-white printer."""

SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
"""Okabe & Ito (2008): told apart with any common colour vision."""

_HEX = re.compile(r"#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})")


def hex_or_neutral(color: object) -> str:
    """The colour when it is a hex code, else a neutral grey.

    Colours come from configuration and end up in a style attribute, where escaping HTML alone does not protect.
    """
    return color if isinstance(color, str) and _HEX.fullmatch(color) else NEUTRAL
