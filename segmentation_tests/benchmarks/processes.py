"""Whole processes: how long one takes, and the most memory that it and its children hold.

Belongs here: starting, sampling and ending a process. Does not: which one (contenders.py, nights.py, start_up.py).

Memory is resident memory. Every process of the session that the started one leads is added up ten times a second; pages
that two of them share count twice, so the sum is never too low. A peak of the main process's own between two looks is
known to the system (`VmHWM`), and the higher of the two counts. It is not `ru_maxrss`, which for a child begins at what the
process that started it held.
"""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

SAMPLED_EVERY_SECONDS = 0.1
# Python keeps what it has compiled of the package, as of those that pip installs.
AS_INSTALLED = {"PYTHONDONTWRITEBYTECODE": ""}
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_MIB = 2**20


class ProcessFailed(Exception):
    """A timed process failed, so its time means nothing."""


@dataclass(frozen=True)
class Measured:
    """What one process took.

    Attributes:
        wall_seconds: From its start to its end.
        peak_mib: The most that it and its children held at once, in MiB.
        peak_of_main_mib: The most that it held itself, as the system counts (`VmHWM`).
        began: Seconds since 1970 at its start.
    """

    wall_seconds: float
    peak_mib: float
    peak_of_main_mib: float
    began: float


def measured(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Measured:
    """Run a command to its end.

    Args:
        command: What to run.
        environment: On top of this process's own.
        log: Where its output goes.

    Raises:
        ProcessFailed: Its exit code is not 0; the message has the end of what it said.
    """
    os.sync()  # what an earlier process left unwritten is not this one's to wait for
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        began, started = time.time(), time.perf_counter()
        child = subprocess.Popen(
            command,
            env={**os.environ, **AS_INSTALLED, **environment},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        memory = _Memory(child.pid)
        try:
            status = child.wait()
            seconds = time.perf_counter() - started
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)
            raise
        finally:
            memory.stop()
    if status:
        said = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        raise ProcessFailed(f"{' '.join(command)} ended with {status}:\n{said}")
    peak = max(memory.peak_bytes, memory.peak_of_main_bytes)
    return Measured(seconds, peak / _MIB, memory.peak_of_main_bytes / _MIB, began)


class _Memory:
    """Looks at the processes of a session until it is stopped."""

    def __init__(self, session: int) -> None:
        self.peak_bytes = 0
        self.peak_of_main_bytes = 0
        self._session = session
        self._ended = Event()
        self._thread = Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(SAMPLED_EVERY_SECONDS):
            self.peak_bytes = max(self.peak_bytes, held_bytes(self._session))
            self.peak_of_main_bytes = max(self.peak_of_main_bytes, highest_bytes(Path(f"/proc/{self._session}")))


def held_bytes(session: int) -> int:
    """What all processes of a session hold in memory.

    One that has begun no program of its own yet has the memory of the one that starts it, and counts with that.
    """
    found = {process.pid: process for process in map(_seen, Path("/proc").glob("[0-9]*")) if process}
    ours = [process for process in found.values() if process.session == session]
    begun = [each for each in ours if each.parent not in found or found[each.parent].memory != each.memory]
    return sum(process.resident_bytes for process in begun)


@dataclass(frozen=True)
class _Process:
    pid: int
    parent: int
    session: int
    memory: tuple[bytes, int]  # the command and the size of the address space, which a process starts with its parent's
    resident_bytes: int


def _seen(process: Path) -> _Process | None:
    """A process by its folder in /proc; None once it has ended."""
    try:
        after_name = (process / "stat").read_text().rpartition(")")[2].split()
        size, resident = map(int, (process / "statm").read_text().split()[:2])
        memory = (process / "cmdline").read_bytes(), size
    except OSError:
        return None
    parent, session = int(after_name[1]), int(after_name[3])
    return _Process(int(process.name), parent, session, memory, resident * _PAGE_BYTES)


def highest_bytes(process: Path) -> int:
    """The most that a process has held since it began; 0 once it has ended."""
    try:
        lines = (process / "status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)
