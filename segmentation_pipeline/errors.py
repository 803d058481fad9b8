"""Errors for people: what happened, where, and what to do.

Belongs here: the base of every error that a user can mend. Each stage raises a subclass of its own.
"""


class PipelineError(Exception):
    """Something a user can mend; the message is complete and needs no traceback."""


class TransientFault(PipelineError):
    """A fault that may pass by itself, such as a lost connection: worth trying again, unlike bad data."""
