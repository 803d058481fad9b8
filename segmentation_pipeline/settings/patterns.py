"""Patterns: regular expressions that Python, DuckDB and Spark read alike.

Belongs here: what a pattern in the configuration may not contain. Does not: which settings are patterns (shop.py).
"""

import re
import warnings

# Escaped signs, and classes of characters, in which signs have no meaning of their own.
ESCAPE_OR_CLASS = re.compile(r"\\.|\[\^?\]?((?:\\.|[^\]\\])*)\]")
UNLIKE = (
    (re.compile(r"\\[^\W\d_ABbDdSsWwfnrtx]"), "is no escape that query engines know"),
    (re.compile(r"\\\d"), "looks back, which query engines do not do; name what it should match instead"),
)
UNLIKE_OUTSIDE_CLASSES = (
    (re.compile(r"\(\?<?[=!]"), "looks around, which query engines do not do; name what it should match instead"),
    (re.compile(r"\(\?(?![ims]*(-[ims]+)?[:)]).?"), "is no group that query engines know; use (...) or (?:...)"),
    (re.compile(r"[*+?}]\+"), "never gives back what it took, which query engines do not do; leave the + out"),
    (re.compile(r"\{[^}]*(?!1000\b)\d{4}[^}]*\}"), "repeats more than 1,000 times, which query engines do not do"),
    (
        re.compile(r"\{(?!\d+(,\d*)?\}).{0,4}"),
        "is no repetition that query engines know; write {n}, {n,} or {n,m}, or \\{",
    ),
)
UNLIKE_IN_CLASSES = ((re.compile(r"\[|&&"), r"means another thing to each engine in a class; write \[ or \&"),)


def checked(pattern: str) -> str:
    """The pattern.

    Raises:
        ValueError: It is no regular expression, or one that engines would refuse or read otherwise.
    """
    try:
        with warnings.catch_warnings(action="ignore", category=FutureWarning):  # of what is refused below
            re.compile(pattern)
    except re.error as problem:
        raise ValueError(f"is no regular expression: {problem}") from problem
    classes = " ".join(re.sub(r"\\.", "", found) for found in ESCAPE_OR_CLASS.findall(pattern))
    outside = ESCAPE_OR_CLASS.sub("x", pattern)
    for text, unlike in (
        (pattern.replace("\\\\", ""), UNLIKE),
        (outside, UNLIKE_OUTSIDE_CLASSES),
        (classes, UNLIKE_IN_CLASSES),
    ):
        for sign, why in unlike:
            if found := sign.search(text):
                raise ValueError(f"{found.group()!r} {why}")
    return pattern
