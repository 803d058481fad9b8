"""The second process: what only Python can do is done there too, beside the run.

Belongs here: starting the process, calling functions in it, and what happens when it ends too soon. Does not: the functions.

Python works on one core at a time in one process. The second one loads what it will need while the engine works, and takes
its part of what can be done in any order. Processes of `multiprocessing` would do if the program that starts them could
always be imported; that of a run is not ours. It ends at once with the process that started it, however that one ends: its
pipe closes.
"""

import atexit
import gc
import os
import pickle
import queue
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
from typing import IO, Any

from segmentation_pipeline.core.sharing import Task
from segmentation_pipeline.errors import PipelineError

# It finds what its parent finds, and nothing else: `-c` alone would look into the current folder first.
PROGRAM = "import sys; sys.path[:] = {path!r}; from {module} import main; main()"


class ProcessEnded(PipelineError):
    """The second process ended before it answered; the message gives its status, and what to do."""


class SecondProcess:
    """Calls functions in a process of its own, one at a time. It starts when it is first needed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = Lock()
        self._is_over = False
        atexit.register(self.end)

    def call(self, task: Task) -> Any:
        """What a task gives there; it, and what it gives or raises, can be pickled.

        Raises:
            ProcessEnded: The process ended; what it said is in the log. The next call starts another.
            Exception: Whatever the task raised, with a note of where.
        """
        question = pickle.dumps(task)
        with self._lock:
            process = self._running()
            try:
                is_done, answer = _asked(process, question)
            except BaseException:
                process.kill()  # what it would still say is no answer to the next question
                process.wait()
                raise
        if is_done:
            return answer
        raise answer

    def prepare(self, task: Task) -> None:
        """Have a task done while nobody waits for it, such as one that loads what later ones need.

        What goes wrong with it is for a later call to say, which needs the same.
        """

        def done() -> None:
            with suppress(Exception):
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

        def work_there() -> None:
            self.call(int)  # it takes none before it is there and has done what it was asked before
            work(self.call)

        with ThreadPoolExecutor(1) as pool:
            there = pool.submit(work_there)
            work(lambda task: task())
            there.result()
        return [given[place] for place in range(len(tasks))]

    def end(self) -> None:
        """End the process, for good."""
        self._is_over = True
        if self._process:
            self._process.kill()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._is_over:
            raise ProcessEnded("The process that works beside the run was ended, as the run itself ends.")
        if self._process is None or self._process.poll() is not None:
            found = [place for place in sys.path if isinstance(place, str)]  # as Python itself passes over others
            command = [sys.executable, "-P", "-c", PROGRAM.format(path=found, module=__name__)]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
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


def _asked(process: subprocess.Popen[bytes], question: bytes) -> tuple[bool, Any]:
    """Whether a task was done, and what it gave or raised."""
    assert process.stdin and process.stdout
    try:
        _send(process.stdin, question)
        answer = _received(process.stdout)
    except (EOFError, BrokenPipeError) as problem:
        raise ProcessEnded(
            f"The process that works beside the run ended with status {process.wait()}. If the machine ran out of memory, "
            "lower `memory_limit` in the configuration's `engine`; then run again."
        ) from problem
    is_done, given = pickle.loads(answer)
    return is_done, given


def _send(stream: IO[bytes], message: bytes) -> None:
    stream.write(len(message).to_bytes(8))
    stream.write(message)
    stream.flush()


def _received(stream: IO[bytes]) -> bytes:
    """The next message, whole.

    Raises:
        EOFError: There is none, or only a part of one.
    """
    size = int.from_bytes(_exactly(stream, 8))
    return _exactly(stream, size)


def _exactly(stream: IO[bytes], size: int) -> bytes:
    found = stream.read(size)
    if len(found) < size:
        raise EOFError
    return found


def _taken(left: deque[tuple[int, Task]]) -> Iterator[tuple[int, Task]]:
    """One task after another, until none is left; several threads may take from the same ones."""
    while True:
        try:
            yield left.popleft()
        except IndexError:
            return


def _done(question: bytes) -> bytes:
    """What a task gave or raised, pickled."""
    try:
        return pickle.dumps((True, pickle.loads(question)()))
    except Exception as problem:  # noqa: BLE001, it is raised again in the process that asked
        told = f"In the process beside the run:\n{traceback.format_exc()}"
        problem.add_note(told)
        try:
            answer = pickle.dumps((False, problem))
            pickle.loads(answer)
        except Exception:  # noqa: BLE001, an exception that cannot be sent, and is told instead
            plain = RuntimeError(f"{type(problem).__name__}: {problem}")
            plain.add_note(told)
            return pickle.dumps((False, plain))
        return answer


def _listen(stream: IO[bytes], questions: "queue.SimpleQueue[bytes]") -> None:
    """Take in questions; when no more can come, nobody wants the answer to the one that is being worked on either."""
    while True:
        try:
            questions.put(_received(stream))
        except EOFError:
            os._exit(0)


def main() -> None:
    """Be the process: do what comes through standard input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the run; this process ends with it
    questions: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    stream, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is not an answer
    Thread(target=_listen, args=(stream, questions), daemon=True).start()
    while True:
        answer = _done(questions.get())
        with suppress(BrokenPipeError):  # the other side is gone; `_listen` ends this one
            _send(answers, answer)
