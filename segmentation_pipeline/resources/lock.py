"""The lake's lock: one process at a time makes a stage of it.

Belongs here: waiting for other processes, and telling whom one waits for. Does not: what is done under the lock.

The operating system gives the lock back when a process ends, however it ends, so a killed run leaves none behind.
"""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = ".lock"


@contextmanager
def exclusively(folder: Path, owner: str, tell: Callable[[str], None]) -> Iterator[None]:
    """Hold a folder's lock for the length of a block.

    Args:
        folder: What is locked, for processes that lock it too.
        owner: Who holds it, for those who wait.
        tell: Is told whom one waits for, if one has to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            tell(f"Waiting for {file.read() or 'another process'}, which writes to {folder}.")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(owner)
        file.flush()
        yield
