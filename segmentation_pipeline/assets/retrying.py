"""What becomes of a step's faults in Dagster: one that may pass by itself is tried again, one of a stop signal cancels the run.

Belongs here: which faults those are. Does not: noticing them (resources/, interrupts.py).
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from segmentation_pipeline import interrupts
from segmentation_pipeline.errors import TransientFault
from segmentation_pipeline.settings import Schedule

# Of file systems that are reached over a network, and of the network itself.
PASSING = {
    errno.EAGAIN,
    errno.EBUSY,
    errno.EHOSTUNREACH,
    errno.ENETUNREACH,
    errno.ESTALE,
    errno.ETIMEDOUT,
}


@contextmanager
def retrying(context: dg.AssetExecutionContext, schedule: Schedule) -> Iterator[None]:
    """Ask Dagster to try the step again, later and later, if the block meets a fault that may pass by itself.

    Raises:
        dagster.RetryRequested: It did, and has not been tried `schedule.max_retries` times again; after that, the fault.
        dagster.DagsterExecutionInterruptedError: A stop signal arrived, and the fault came of it.
    """
    try:
        yield
    except Exception as fault:
        if interrupts.received():
            raise dg.DagsterExecutionInterruptedError from fault
        if not _may_pass(fault) or context.retry_number >= schedule.max_retries:
            raise
        wait = schedule.retry_seconds * 2**context.retry_number
        context.log.warning(f"{fault} This may pass by itself, so the step is tried again.")
        raise dg.RetryRequested(max_retries=schedule.max_retries, seconds_to_wait=wait) from fault


def _may_pass(fault: Exception) -> bool:
    return isinstance(fault, (TransientFault, ConnectionError, TimeoutError)) or (
        isinstance(fault, OSError) and fault.errno in PASSING
    )
