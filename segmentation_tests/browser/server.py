"""The UI as users start it: `segmentation ui` in a process group of its own, and its end with everything it started.

Belongs here: the processes. Does not: the shop they serve, the browser (conftest.py).
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

START_SECONDS, STOP_SECONDS, POLL_SECONDS = 90, 15, 0.1
COMMAND = (sys.executable, "-m", "segmentation_pipeline.cli")


def segmentation(*arguments: str, environment: Mapping[str, str], folder: Path) -> None:
    """Run a command to its end, and show what it said if it failed."""
    done = subprocess.run(
        [*COMMAND, *arguments], env=dict(environment), cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


@contextmanager
def served(config: Path, environment: Mapping[str, str], folder: Path) -> Iterator[str]:
    """Webserver, daemon and code server on a free port, gone when the block ends, however it ends.

    Yields:
        The address of the UI.
    """
    port = _free_port()
    log = folder / "ui.log"
    with log.open("w") as written:
        process = subprocess.Popen(
            [*COMMAND, "ui", "--config", str(config), "--port", str(port)],
            env=dict(environment),
            cwd=folder,
            stdout=written,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        until(lambda: _answers(address) or process.poll() is not None, START_SECONDS)
        assert process.poll() is None, log.read_text()
        yield address
    finally:
        _stop(process)


def until(is_so: Callable[[], object], seconds: float) -> bool:
    """Wait until something is so, and say whether it came to be."""
    deadline = time.monotonic() + seconds
    while not (found := bool(is_so())) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return found


def members(group: int) -> list[str]:
    """Processes of a group that are still running, each with its command; the dead that nobody buried do not count."""
    running = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state, _parent, its_group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
            command = (entry / "cmdline").read_text().replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(its_group) == group and state not in "ZX":
            running.append(f"{entry.name} {command[:200]}")
    return running


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the command and wait for what it started; what does not go by itself is killed."""
    process.terminate()
    until(lambda: process.poll() is not None and not members(process.pid), STOP_SECONDS)
    if members(process.pid):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert until(lambda: not members(process.pid), STOP_SECONDS), members(process.pid)


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/server_info").is_success
    except httpx.TransportError:
        return False


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
