"""The judge: the same verdicts from the second process as here, and what its end means."""

import os
import subprocess
import sys

import pandas as pd
import pytest

from segmentation_pipeline.checks.expectations import Advice, between
from segmentation_pipeline.checks.judge_process import Judge, NotJudged
from segmentation_pipeline.checks.judging import CheckCrashed, judge
from segmentation_pipeline.errors import PipelineError
from segmentation_pipeline.resources.second_process import SecondProcess

ADVICE = Advice("a reason that is long enough", "a remedy that is long enough")
FRAME = pd.DataFrame({"date": pd.to_datetime(["2025-07-01", "2025-07-02"]), "rows": [1, 9]})
FEW_ROWS = between("few_rows", "rows", 0, 5, "critical", ADVICE)


@pytest.fixture(scope="module")
def process():
    second = SecondProcess()
    yield Judge(second)
    second.end()


def test_verdicts_are_those_of_this_process(process):
    (there,), (here,) = process.judge("rfm_features", [FEW_ROWS], FRAME), judge("rfm_features", [FEW_ROWS], FRAME)
    assert (there.expectation, there.passed, there.failing_days) == (here.expectation, False, here.failing_days)
    pd.testing.assert_frame_equal(there.observed, here.observed)


def test_what_cannot_be_evaluated_is_a_crash_here_too_and_the_next_question_is_answered(process):
    with pytest.raises(CheckCrashed, match="absent could not be evaluated"):
        process.judge("rfm_features", [between("absent", "nowhere", 0, 1, "critical", ADVICE)], FRAME)
    assert len(process.judge("rfm_features", [FEW_ROWS], FRAME)) == 1


class EndsWhileItJudges(SecondProcess):
    """A second process that is out of memory whenever it is asked something."""

    def call(self, task):
        return super().call(os.abort)


def test_a_process_that_ended_is_told_with_the_stage_that_was_not_judged():
    with pytest.raises(NotJudged, match=r"rfm_features could not be judged.*ended with status -6") as problem:
        Judge(EndsWhileItJudges()).judge("rfm_features", [FEW_ROWS], FRAME)
    assert isinstance(problem.value, PipelineError)  # so that a run tells it instead of what led to it


def test_it_loads_great_expectations_without_the_engines_that_are_installed_and_statistics_when_they_are_used():
    program = (
        "import sys; from importlib.util import find_spec; engines = ('pyspark', 'sqlalchemy'); "
        "assert all(map(find_spec, engines)); "
        "from segmentation_pipeline.checks.loading import load_great_expectations as load; load(); "
        "loaded = [name for name, module in sys.modules.items() if module]; "
        "print('great_expectations' in loaded, any(name.startswith(engines) for name in loaded));"
        "from scipy import stats; unused = 'scipy.stats._stats_py' not in sys.modules;"
        "print(unused, stats.norm.cdf(0) == 0.5, 'scipy.stats._stats_py' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-2:] == ["True False", "True True True"]
