"""The second process: it gives what this one would, shares work with it, and what becomes of it when either side ends."""

import operator
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from segmentation_pipeline.resources.second_process import ProcessEnded, SecondProcess, loaded

SOON_SECONDS = 30


def slowly() -> int:
    time.sleep(0.3)
    return os.getpid()


def failing() -> None:
    raise IndexError("the last one is missing")


def begun(folder: str, name: str) -> None:
    Path(folder, name).touch()


def unpicklable() -> threading.Lock:
    return threading.Lock()


@pytest.fixture(scope="module")
def second():
    return SecondProcess()


def test_a_call_gives_what_the_function_gives_in_another_process(second):
    assert second.call(partial(operator.add, 1, 2)) == 3
    assert second.call(os.getpid) not in {os.getpid(), second.call(os.getppid)}


@pytest.mark.parametrize("task", [failing, unpicklable], ids=lambda task: task.__name__)
def test_what_goes_wrong_there_is_raised_here_with_a_note_of_where_and_the_next_call_is_answered(second, task):
    with pytest.raises((IndexError, TypeError)) as problem:
        second.call(task)
    assert "In the process beside the run" in problem.value.__notes__[0]
    assert second.call(partial(operator.add, 1, 2)) == 3


def test_shared_work_is_done_in_both_processes_and_given_in_order(second):
    second.call(slowly)  # it is there
    workers = second.share([slowly] * 6)
    assert set(workers) == {os.getpid(), second.call(os.getpid)}
    assert second.share([partial(operator.mul, number, number) for number in range(50)]) == [n * n for n in range(50)]
    assert second.share([]) == []


@pytest.mark.parametrize("place", [0, 1], ids=["here", "there"])
def test_after_a_failure_nothing_more_is_begun(second, tmp_path, place):
    second.call(slowly)
    tasks = [slowly, slowly, *(partial(begun, str(tmp_path), str(number)) for number in range(20))]
    tasks[place] = failing
    with pytest.raises(IndexError, match="the last one is missing"):
        second.share(tasks)
    assert len(list(tmp_path.iterdir())) < 20


def test_a_module_is_imported_there_while_nobody_waits(second):
    module = "this"
    assert not second.call(partial(operator.contains, ImportedThere(), module))
    second.prepare(partial(loaded, module))
    deadline = time.monotonic() + SOON_SECONDS
    while not second.call(partial(operator.contains, ImportedThere(), module)):
        assert time.monotonic() < deadline
    assert module not in sys.modules


def test_a_process_that_ends_while_it_prepares_says_nothing_and_the_next_call_starts_another():
    program = (
        "import os, time; from functools import partial;"
        "from segmentation_pipeline.resources.second_process import SecondProcess; second = SecondProcess();"
        "second.prepare(partial(os.abort)); time.sleep(0.5); print(second.call(os.getpid) > 0);"
        "second.prepare(partial(time.sleep, 60))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=50)
    assert (done.stdout, done.stderr) == ("True\n", "")


class ImportedThere:
    """The modules of the process in which it is asked."""

    def __contains__(self, module: str) -> bool:
        return module in sys.modules


def test_a_process_that_was_killed_is_an_error_that_says_so_and_the_next_call_starts_another(second):
    process_id = second.call(os.getpid)
    with pytest.raises(ProcessEnded, match=r"ended with status -9.*lower `memory_limit`"):
        second.call(partial(os.kill, process_id, signal.SIGKILL))
    assert second.call(os.getpid) != process_id


def test_what_it_prints_is_no_answer(second):
    assert second.call(partial(print, "a warning of some library")) is None
    assert second.call(partial(operator.add, 1, 2)) == 3


def test_it_ends_with_the_process_that_started_it_however_that_one_ends():
    program = (
        "import os, signal; from segmentation_tests.integration.test_second_process import SecondProcess;"
        "print(SecondProcess().call(os.getpid), flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    parent = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert parent.returncode == -signal.SIGKILL
    process_id, deadline = int(parent.stdout), time.monotonic() + SOON_SECONDS
    while runs(process_id):
        assert time.monotonic() < deadline, "it outlives the process that started it"
        time.sleep(0.1)


def runs(process_id: int) -> bool:
    """Whether a process is there and is not merely waiting to be counted as ended."""
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    listed = subprocess.run(["ps", "-o", "stat=", "-p", str(process_id)], capture_output=True, text=True, check=False)
    return bool(listed.stdout.strip()) and not listed.stdout.startswith("Z")
