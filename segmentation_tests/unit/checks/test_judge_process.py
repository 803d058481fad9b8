"""The judge's process: the same verdicts as here, and what becomes of it when either side ends."""

import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from segmentation_pipeline.checks.expectations import Advice, between
from segmentation_pipeline.checks.judge_process import JudgeProcess
from segmentation_pipeline.checks.judging import CheckCrashed, judge

ADVICE = Advice("a reason that is long enough", "a remedy that is long enough")
FRAME = pd.DataFrame({"date": pd.to_datetime(["2025-07-01", "2025-07-02"]), "rows": [1, 9]})
FEW_ROWS = between("few_rows", "rows", 0, 5, "critical", ADVICE)


@pytest.fixture(scope="module")
def process():
    return JudgeProcess()


def test_verdicts_are_those_of_this_process(process):
    (there,), (here,) = process.judge("rfm_features", [FEW_ROWS], FRAME), judge("rfm_features", [FEW_ROWS], FRAME)
    assert (there.expectation, there.passed, there.failing_days) == (here.expectation, False, here.failing_days)
    pd.testing.assert_frame_equal(there.observed, here.observed)


def test_what_cannot_be_evaluated_is_a_crash_here_too_and_the_next_question_is_answered(process):
    with pytest.raises(CheckCrashed, match="absent could not be evaluated"):
        process.judge("rfm_features", [between("absent", "nowhere", 0, 1, "critical", ADVICE)], FRAME)
    assert len(process.judge("rfm_features", [FEW_ROWS], FRAME)) == 1


def test_a_process_that_was_killed_is_a_crash_that_says_so_and_the_next_question_starts_another(process):
    process.start()
    process._process.send_signal(signal.SIGKILL)
    with pytest.raises(CheckCrashed, match=r"rfm_features could not be judged.*ended with status -9"):
        process.judge("rfm_features", [FEW_ROWS], FRAME)
    assert len(process.judge("rfm_features", [FEW_ROWS], FRAME)) == 1


def test_it_loads_great_expectations_without_the_engines_that_are_installed():
    program = (
        "import sys; from importlib.util import find_spec; engines = ('pyspark', 'sqlalchemy'); "
        "assert all(map(find_spec, engines)); "
        "from segmentation_pipeline.checks.judge_process import main; main(); "
        "loaded = [name for name, module in sys.modules.items() if module]; "
        "print('great_expectations' in loaded, any(name.startswith(engines) for name in loaded))"
    )
    done = subprocess.run([sys.executable, "-c", program], input="", capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "True False"


def test_it_ends_with_the_process_that_started_it_however_that_one_ends():
    program = (
        "import os, signal; from segmentation_pipeline.checks.judge_process import JudgeProcess; judge = JudgeProcess();"
        "judge.start(); print(judge._process.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    parent = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert parent.returncode == -signal.SIGKILL
    judge_id, deadline = int(parent.stdout), time.monotonic() + 30
    while _runs(judge_id):
        assert time.monotonic() < deadline, "the judge outlives its run"
        time.sleep(0.1)


def _runs(process_id: int) -> bool:
    """Whether a process is there and is not merely waiting to be counted as ended."""
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    listed = subprocess.run(["ps", "-o", "stat=", "-p", str(process_id)], capture_output=True, text=True, check=False)
    return bool(listed.stdout.strip()) and not listed.stdout.startswith("Z")
