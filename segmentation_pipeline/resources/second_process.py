"""The second process: what only Python can do is done there too, beside the run.

Belongs here: starting the process, calling functions in it, and what happens when it ends too soon. Does not: the functions.

Python works on one core at a time in one process. The second one loads what it is there for while the engine works, and
takes half of what can be done in any order. Processes of `multiprocessing` would do if the program that starts them
could always be imported; that of a run is not ours. It ends with the process that started it, however that one ends: its
pipe closes.
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
from functools import partial
from importlib import import_module
from threading import Lock, Thread
from typing import Any, BinaryIO

from segmentation_pipeline.core.sharing import Task
from segmentation_pipeline.errors import PipelineError

# A third of the time it takes to load large packages goes to looking for garbage, of which there is none.
PROGRAM = f"import gc; gc.disable(); from {__name__} import main; main()"


class ProcessEnded(PipelineError):
    """The second process ended before it answered; the message gives its status, and what to do."""


class SecondProcess:
    """Calls functions in a process of its own, one at a time. It starts when it is first needed.

    Args:
        load: What it does first; nobody waits for it before the first call.
    """

    def __init__(self, load: Callable[[], None]) -> None:
        self._load = load
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = Lock()

    def start(self) -> None:
        """Let it load, if it does not run already; what is called next finds it ready."""
        if self._process is None or self._process.poll() is not None:
            process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            atexit.register(process.kill)
            assert process.stdin
            pickle.dump(self._load, process.stdin)
            process.stdin.flush()
            self._process = process

    def call(self, task: Task) -> Any:
        """What a task gives there; it, and what it gives or raises, can be pickled.

        Raises:
            ProcessEnded: The process ended; what it said is in the log. The next call starts another.
            Exception: Whatever the task raised, with a note of where.
        """
        with self._lock:
            self.start()
            assert self._process and self._process.stdin and self._process.stdout
            try:
                pickle.dump(task, self._process.stdin)
                self._process.stdin.flush()
                is_done, answer = pickle.load(self._process.stdout)
            except (EOFError, OSError) as problem:
                status = self._process.wait()
                raise ProcessEnded(
                    f"The process that works beside the run ended with status {status}. If the machine ran out of memory, "
                    "lower `memory_limit` in the configuration's `engine`; then run again."
                ) from problem
        if is_done:
            return answer
        raise answer

    def prepare(self, module: str) -> None:
        """Let it import a module that later calls need, while nobody waits for it."""
        Thread(target=self.call, args=(partial(_import, module),), daemon=True).start()

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


def _taken(left: deque[tuple[int, Task]]) -> Iterator[tuple[int, Task]]:
    """One task after another, until none is left; several threads may take from the same ones."""
    while True:
        try:
            yield left.popleft()
        except IndexError:
            return


def _import(module: str) -> None:
    import_module(module)


def _answer(questions: BinaryIO, answers: BinaryIO) -> None:
    """Load, and then do what comes, until no more can come."""
    load = pickle.load(questions)
    load()
    gc.enable()
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
