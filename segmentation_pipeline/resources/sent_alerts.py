"""Sent alerts: which were delivered, so that none is sent twice.

Belongs here: the marks, and one sender at a time. Does not: what is sent (core/alerting.py), sending (webhook.py).

    <lake>/.alerts/<id>      an empty file for each alert that was delivered, as old as the delivery
    <lake>/.alerts/.began    an empty file, as old as the first look for any
    <lake>/.alerts/.lock     held by whoever sends

The marks are in the lake and not in Dagster's cursor: a restart, a reset cursor or a new instance sends nothing again.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from upath import UPath

from segmentation_pipeline.errors import TransientFault


class AlreadySending(TransientFault):
    """Another process sends alerts of this lake right now."""


class SentAlerts:
    """Marks below one folder.

    Args:
        root: The folder, on this machine; made when first written to.
    """

    def __init__(self, root: UPath) -> None:
        self._root = Path(str(root))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep others from sending until the end of the block, or of this process.

        Raises:
            AlreadySending: Another does.
        """
        self._root.mkdir(parents=True, exist_ok=True)
        with (self._root / ".lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as problem:
                raise AlreadySending(f"Another process sends alerts of {self._root.parent} right now.") from problem
            yield

    def began(self, now: datetime) -> datetime:
        """When alerts of this lake were first looked for: now, if that was never before."""
        mark = self._root / ".began"
        if not mark.exists():
            self._root.mkdir(parents=True, exist_ok=True)
            mark.touch()
            os.utime(mark, (now.timestamp(), now.timestamp()))
        return datetime.fromtimestamp(mark.stat().st_mtime, UTC)

    def has(self, alert: str) -> bool:
        """Whether an alert, by its id, was delivered."""
        return (self._root / alert).exists()

    def mark(self, alert: str) -> None:
        """Remember that an alert was delivered just now."""
        (self._root / alert).touch()

    def forget(self, before: datetime) -> None:
        """Remove the marks of deliveries before a moment."""
        for mark in self._root.glob("[!.]*"):
            if mark.stat().st_mtime < before.timestamp():
                mark.unlink()
