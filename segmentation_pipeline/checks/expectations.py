"""Expectations as plain data: what must hold of a stage's profile, why, and what to do when it does not.

Belongs here: the form of a declaration, so that check names exist without importing Great Expectations.
Does not: which there are (suites.py), judging them (judging.py).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
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
        name: Of the asset check; made from the type and the columns if not given.
    """

    type: str
    arguments: Mapping[str, Any]
    severity: Severity
    why: str
    remedy: str
    name: str = field(default="")

    def __post_init__(self) -> None:
        """Give a check without a name one that says what it is about."""
        if not self.name:
            about = [
                value for key, value in self.arguments.items() if key.startswith("column") and isinstance(value, str)
            ]
            plain = re.sub(r"^expect_(column_(pair_|values_)?)?(values_)?(to_)?", "", self.type)
            object.__setattr__(self, "name", "_".join([*about, plain]).lower())
