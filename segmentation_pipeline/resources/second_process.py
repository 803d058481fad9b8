"""The second process: what only Python can do is done there too, beside the run.

Belongs here: starting the process, calling functions in it, and what happens when it ends too soon. Does not: the functions.

Python works on one core at a time in one process. The second one loads what it will need while the engine works, and takes
half of what can be done in any order. Processes of `multiprocessing` would do if the program that starts them could always
be imported; that of a run is not ours. It ends with the process that started it, however that one ends: its pipe closes.
"""

import atexit
import gc
import pickle
import signal
import subprocess
import sys
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from importlib import import_module
from threading import Lock, Thread
from typing import Any, BinaryIO

from segmentation_pipeline.core.sharing import Task
from segmentation_pipeline.errors import PipelineError

PROGRAM = f"from {__name__} import main; main()"


class ProcessEnded(PipelineError):
    """The second process ended before it answered; the message gives its status, and what to do."""


class SecondProcess:
    """Calls functions in a process of its own, one at a time. It starts when it is first needed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = Lock()

    def call(self, task: Task) -> Any:
        """What a task gives there; it, and what it gives or raises, can be pickled.

        Raises:
            ProcessEnded: The process ended; what it said is in the log. The next call starts another.
            Exception: Whatever the task raised, with a note of where.
        """
        with self._lock:
            process = self._running()
            assert process.stdin and process.stdout
            try:
                pickle.dump(task, process.stdin)
                process.stdin.flush()
                is_done, answer = pickle.load(process.stdout)
            except (EOFError, OSError) as problem:
                status = process.wait()
                raise ProcessEnded(
                    f"The process that works beside the run ended with status {status}. If the machine ran out of memory, "
                    "lower `memory_limit` in the configuration's `engine`; then run again."
                ) from problem
        if is_done:
            return answer
        raise answer

    def prepare(self, task: Task) -> None:
        """Have a task done while nobody waits for it, such as one that loads what later ones need.

        Should the process end meanwhile, as it does when this one does, that is for a later call to say.
        """

        def done() -> None:
            with suppress(ProcessEnded):
                self.call(task)

        Thread(target=done, daemon=True).start()

    def share(self, tasks: Sequence[Task]) -> list[Any]:
        """Do tasks here and there, each wherever there is time first, and return what they gave, in their order.

        Raises:
            Exception: As `call`. What was not begun by then is not done.
        """
        left = deque(enumerate(tasks))
        given: dict[int, Any] = {}

        def work(do: Callable[[Task], Any]) -> None:
            try:
                for place, task in _taken(left):
                    given[place] = do(task)
            finally:
                left.clear()

        with ThreadPoolExecutor(1) as pool:
            there = pool.submit(work, self.call)
            work(lambda task: task())
            there.result()
        return [given[place] for place in range(len(tasks))]

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            command = [sys.executable, "-c", PROGRAM]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            atexit.register(self._process.kill)
        return self._process


@cache
def second_process() -> SecondProcess:
    """The one second process of this one."""
    return SecondProcess()


def loaded(module: str) -> None:
    """Import a module. A third of the time it takes to load a large one goes to looking for garbage, of which there is none."""
    gc.disable()
    try:
        import_module(module)
    finally:
        gc.enable()


def _taken(left: deque[tuple[int, Task]]) -> Iterator[tuple[int, Task]]:
    """One task after another, until none is left; several threads may take from the same ones."""
    while True:
        try:
            yield left.popleft()
        except IndexError:
            return


def _answer(questions: BinaryIO, answers: BinaryIO) -> None:
    """Do what comes, until no more can come."""
    while True:
        try:
            task = pickle.load(questions)
        except EOFError:
            return
        answers.write(_done(task))
        answers.flush()


def _done(task: Task) -> bytes:
    """What a task gave or raised, pickled."""
    try:
        return pickle.dumps((True, task()))
    except Exception as problem:  # noqa: BLE001, it is raised again in the process that asked
        problem.add_note(f"In the process beside the run:\n{traceback.format_exc()}")
        return pickle.dumps((False, problem))


def main() -> None:
    """Be the process: do what comes through standard input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the run; this process ends with it
    questions, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # whatever a library prints is not an answer
    _answer(questions, answers)
