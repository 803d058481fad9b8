"""Expectations as plain data: what must hold of a stage's profile, why, and what to do when it does not.

Belongs here: the form of a declaration, so that check names exist without importing Great Expectations.
Does not: which there are (suites.py), judging them (judging.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["critical", "warning", "info"]


@dataclass(frozen=True)
class Expectation:
    """One expectation of Great Expectations about a stage's profile.

    Attributes:
        type: Its name in Great Expectations' registry, such as `expect_column_values_to_be_between`.
        arguments: Its arguments.
        severity: `critical` stops what is downstream in the run; a `warning` is counted and shown.
        why: What goes wrong where it does not hold.
        remedy: What to do then.
        name: Of the asset check, unique within its stage.
    """

    type: str
    arguments: Mapping[str, Any]
    severity: Severity
    why: str
    remedy: str
    name: str
