"""Sharing: work in Python that can be done in any order, and how it is dealt out.

Belongs here: the shape of such work, and doing it here and now. Does not: other processes (resources/second_process.py).
"""

from collections.abc import Callable, Sequence
from typing import Any

Task = Callable[[], Any]
Share = Callable[[Sequence[Task]], list[Any]]
"""Does every task, somewhere, and returns what each gave, in their order. Tasks and what they give can be pickled."""


def in_turn(tasks: Sequence[Task]) -> list[Any]:
    """One after the other, in this process."""
    return [task() for task in tasks]
