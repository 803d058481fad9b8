"""The judge's process: Great Expectations loads beside the engine's work, and never in the process of the run.

Belongs here: starting the process, asking it, and what happens when it ends too soon. Does not: judging (judging.py).

Loading Great Expectations takes seconds and one core, which a run that has just begun to write does not miss. A thread
would do if imports were safe in two threads at once; some of its dependencies are not. The process ends with the one
that started it, however that one ends: its pipe closes.
"""

import atexit
import gc
import pickle
import signal
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from threading import Lock
from types import ModuleType
from typing import BinaryIO, cast

import pandas as pd

from segmentation_pipeline.checks.expectations import Expectation
from segmentation_pipeline.checks.judging import CheckCrashed, Verdict, judge

# A third of the time it takes to load Great Expectations goes to looking for garbage, of which there is none.
PROGRAM = f"import gc; gc.disable(); from {__name__} import main; main()"


class JudgeProcess:
    """Judges as `judging.judge` does, in a process of its own that starts when it is first needed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = Lock()

    def start(self) -> None:
        """Let it load, if it does not run already; what is asked next finds it ready."""
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            atexit.register(self._process.kill)

    def judge(self, stage: str, expectations: Sequence[Expectation], frame: pd.DataFrame) -> list[Verdict]:
        """As `judging.judge`.

        Raises:
            CheckCrashed: An expectation could not be evaluated, or the process ended; what it said is in the log.
        """
        with self._lock:
            self.start()
            assert self._process and self._process.stdin and self._process.stdout
            try:
                pickle.dump((stage, expectations, frame), self._process.stdin)
                self._process.stdin.flush()
                answer = pickle.load(self._process.stdout)
            except (EOFError, OSError) as problem:
                status = self._process.wait()
                raise CheckCrashed(
                    f"{stage} could not be judged: the process that runs Great Expectations ended with status {status}. "
                    "If the machine ran out of memory, lower `memory_limit` in the configuration's `engine`; the rows "
                    "are not let through, and the next run tries again."
                ) from problem
        if isinstance(answer, CheckCrashed):
            raise answer
        return answer


@cache
def judge_process() -> JudgeProcess:
    """The one judge of this process."""
    return JudgeProcess()


def _answer(questions: BinaryIO, answers: BinaryIO) -> None:
    """Judge what comes until no more can come."""
    _hide("pyspark", "sqlalchemy")
    import great_expectations  # noqa: F401, what all the waiting is for

    gc.enable()
    while True:
        try:
            question = pickle.load(questions)
        except EOFError:
            return
        try:
            answer: list[Verdict] | CheckCrashed = judge(*question)
        except CheckCrashed as problem:
            answer = problem
        except Exception as problem:  # noqa: BLE001, it is raised again in the process that asked
            answer = CheckCrashed(f"{question[0]} could not be judged: {type(problem).__name__}: {problem}")
        pickle.dump(answer, answers)
        answers.flush()


def _hide(*packages: str) -> None:
    """Let packages seem not to be installed: Great Expectations loads every engine that it finds, and needs none."""
    modules = cast("dict[str, ModuleType | None]", sys.modules)
    modules.update(dict.fromkeys(packages))


def main() -> None:
    """Be the process: judge what comes through standard input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the run; this process ends with it
    questions, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # whatever a library prints is not an answer
    _answer(questions, answers)
