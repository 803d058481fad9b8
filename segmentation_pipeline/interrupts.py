"""Interrupts: a run that is told to stop does so, wherever the interpreter happens to be just then.

Belongs here: what Python would drop. Does not: what is said of a stopped run (running.py), stopping one (run_launcher.py).
"""

import os
import signal
import sys
import threading
from collections.abc import Callable

from dagster import DagsterExecutionInterruptedError

# After these an object whose removal dropped an interrupt is gone.
SECONDS_TO_GET_ON = 0.1


class _SendAnew:
    """Takes what Python drops; an interrupt is sent anew, the rest told as before."""

    def __init__(self, told_so_far: Callable[["sys.UnraisableHookArgs"], object]) -> None:
        self._told_so_far = told_so_far

    def __call__(self, dropped: "sys.UnraisableHookArgs") -> None:
        if issubclass(dropped.exc_type, KeyboardInterrupt | DagsterExecutionInterruptedError):
            again = threading.Timer(SECONDS_TO_GET_ON, os.kill, (os.getpid(), signal.SIGINT))
            again.daemon = True
            again.start()
        else:
            self._told_so_far(dropped)


def come_through() -> None:
    """See that no interrupt of this process is lost from now on; calling it again changes nothing.

    A signal becomes an exception wherever the interpreter is, and it drops one that is raised while an object is removed
    (`__del__`). The run would go on as if nobody had asked.
    """
    if not isinstance(sys.unraisablehook, _SendAnew):
        sys.unraisablehook = _SendAnew(sys.unraisablehook)
