"""Interrupts: a signal to stop ends the run, wherever the interpreter is when it arrives.

Python turns a signal into an exception at whatever line it executes then, and that exception can get lost: raised while an
object is removed (`__del__`) it is only printed; DuckDB, interrupted within a query, raises a RuntimeError of its own in its
place, or does not look for signals for minutes; Dagster drops one that arrives while a run ends. So each stop signal is also
recorded where nothing can lose it (`signal.set_wakeup_fd`), and whoever runs something asks for the record afterwards.
"""

import os
import select
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Protocol

from segmentation_pipeline.errors import Interrupted

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# By then the object whose removal dropped an interrupt is gone.
SECONDS_UNTIL_RESENT = 0.1


class Interruptible(Protocol):
    """A connection that can be told to give up what it is doing, from another thread."""

    def interrupt(self) -> None:
        """End the query that runs, if one does."""


class _Recorder(threading.Thread):
    """Takes note of every stop signal, which the operating system's handler writes into a pipe, and ends queries that run."""

    def __init__(self) -> None:
        super().__init__(name="stop signals", daemon=True)
        self.first: signal.Signals | None = None
        self.connections: weakref.WeakSet[Interruptible] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._read_end, write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        os.set_blocking(write_end, False)
        other = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        if other != -1:  # an event loop runs in this process and needs its own
            signal.set_wakeup_fd(other)

    def run(self) -> None:
        while True:
            select.select([self._read_end], [], [])
            self.take_note()
            if self.first:
                for connection in list(self.connections):
                    connection.interrupt()

    def take_note(self) -> None:
        with self._lock, suppress(BlockingIOError):  # nothing arrived, or the other thread has read it
            numbers = os.read(self._read_end, 1024)
            self.first = self.first or next((each for each in STOP_SIGNALS if each in numbers), None)


class _ResendDropped:
    """An `unraisablehook` that sends an interrupt again where the exception it became was dropped."""

    def __init__(self, report: Callable[["sys.UnraisableHookArgs"], object]) -> None:
        self._report = report

    def __call__(self, dropped: "sys.UnraisableHookArgs") -> None:
        from dagster import DagsterExecutionInterruptedError

        if issubclass(dropped.exc_type, KeyboardInterrupt | DagsterExecutionInterruptedError):
            again = threading.Timer(SECONDS_UNTIL_RESENT, os.kill, (os.getpid(), signal.SIGINT))
            again.daemon = True
            again.start()
        else:
            self._report(dropped)


@cache
def _recorder() -> _Recorder:
    recorder = _Recorder()
    recorder.start()
    return recorder


def install() -> None:
    """Record the stop signals of this process from now on. Only its main thread can; calling it again changes nothing."""
    if threading.current_thread() is threading.main_thread():
        _recorder()
    if not isinstance(sys.unraisablehook, _ResendDropped):
        sys.unraisablehook = _ResendDropped(sys.unraisablehook)


def received() -> signal.Signals | None:
    """The first stop signal since `install`, whatever became of the exception that it raised."""
    if not _recorder.cache_info().currsize:
        return None
    _recorder().take_note()  # its own thread may not have come to it yet
    return _recorder().first


def end_queries_of(connection: Interruptible) -> None:
    """Have a stop signal end the query of a connection, which would see it only when it looks for signals again."""
    if _recorder.cache_info().currsize:
        _recorder().connections.add(connection)


@contextmanager
def ends_in_interrupted() -> Iterator[None]:
    """Raise `Interrupted` at the end of a block in which a stop signal arrived, whatever error that led to, if to any."""
    install()
    try:
        yield
    except BaseException as problem:
        if stopped_by := received():
            raise Interrupted(stopped_by) from problem
        raise
    if stopped_by := received():
        raise Interrupted(stopped_by)
