"""Errors for people: what happened, where, and what to do.

Belongs here: the base of every error that a user can mend. Each stage raises a subclass of its own.
"""

import signal


class PipelineError(Exception):
    """Something a user can mend; the message is complete and needs no traceback."""

    exit_code = 1


class TransientFault(PipelineError):
    """A fault that may pass by itself, such as a lost connection: worth trying again, unlike bad data."""


class Interrupted(PipelineError):
    """Somebody stopped it, by Ctrl-C or the system's signal to end.

    Args:
        stopped_by: The signal.
    """

    def __init__(self, stopped_by: int = signal.SIGINT) -> None:
        super().__init__("Interrupted. What was finished is kept, and nothing is half-written; run it again to go on.")
        self.exit_code = 128 + stopped_by  # as shells have it
