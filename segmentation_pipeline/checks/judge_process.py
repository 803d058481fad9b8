"""The judge: Great Expectations loads in the second process, beside the engine's work, and never in that of the run.

Belongs here: asking it, and what its end means for a gate. Does not: what it loads (loading.py), judging (judging.py),
the process (resources/second_process.py).

Loading Great Expectations takes seconds and one core, which a run that has just begun to write does not miss. A thread
would do if imports were safe in two threads at once; some of its dependencies are not.
"""

from collections.abc import Sequence
from functools import partial

import pandas as pd

from segmentation_pipeline.checks.expectations import Expectation
from segmentation_pipeline.checks.judging import CheckCrashed, Verdict, judge
from segmentation_pipeline.checks.loading import load_great_expectations
from segmentation_pipeline.errors import PipelineError
from segmentation_pipeline.resources.second_process import ProcessEnded, SecondProcess


class NotJudged(CheckCrashed, PipelineError):
    """The process that judges ended before it had judged a stage, which the message names."""


class Judge:
    """Judges as `judging.judge` does, in the second process."""

    def __init__(self, second: SecondProcess) -> None:
        self._second = second

    def start(self) -> None:
        """Let Great Expectations load, if it is not there already."""
        self._second.prepare(load_great_expectations)

    def judge(self, stage: str, expectations: Sequence[Expectation], frame: pd.DataFrame) -> list[Verdict]:
        """As `judging.judge`.

        Raises:
            CheckCrashed: An expectation could not be evaluated.
            NotJudged: The process ended; what it said is in the log.
        """
        try:
            verdicts: list[Verdict] = self._second.call(partial(_judged, stage, expectations, frame))
        except ProcessEnded as problem:
            raise NotJudged(f"{stage} could not be judged, so its rows are not let through. {problem}") from problem
        return verdicts


def _judged(stage: str, expectations: Sequence[Expectation], frame: pd.DataFrame) -> list[Verdict]:
    """Judge here, in the second process. What Great Expectations raises stays here: elsewhere it would have to be loaded."""
    load_great_expectations()
    try:
        return judge(stage, expectations, frame)
    except CheckCrashed:
        raise
    except Exception as problem:
        raise CheckCrashed(f"{stage} could not be judged: {type(problem).__name__}: {problem}") from problem
