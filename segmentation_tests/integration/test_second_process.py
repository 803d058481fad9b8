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


class TwoArguments(Exception):
    """Pickles like many libraries' exceptions: it is made of two arguments, and says it was made of one."""

    def __init__(self, what: str, where: str) -> None:
        super().__init__(f"{what} at {where}")


class ImportedThere:
    """The modules of the process in which it is asked."""

    def __contains__(self, module: str) -> bool:
        return module in sys.modules


def slowly() -> int:
    time.sleep(0.3)
    return os.getpid()


def failing() -> None:
    raise IndexError("the last one is missing")


def failing_oddly() -> None:
    raise TwoArguments("the last one is missing", "the end")


def giving_a_lock() -> threading.Lock:
    return threading.Lock()


def failing_in(process_id: int, folder: str) -> None:
    """Fails in one process; in the other it lasts until after that, and leaves a file."""
    failed, deadline = Path(folder, "failed"), time.monotonic() + SOON_SECONDS
    if os.getpid() == process_id:
        failed.touch()
        failing()
    while not failed.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.5)
    Path(folder, f"done-{time.monotonic_ns()}").touch()


@pytest.fixture(scope="module")
def second():
    process = SecondProcess()
    yield process
    process.end()


def test_a_call_gives_what_the_function_gives_in_another_process(second):
    assert second.call(partial(operator.add, 1, 2)) == 3
    assert second.call(os.getpid) not in {os.getpid(), second.call(os.getppid)}


@pytest.mark.parametrize(
    ("task", "kind", "said"),
    [
        (failing, IndexError, "the last one is missing"),
        (failing_oddly, RuntimeError, "TwoArguments: the last one is missing at the end"),
        (giving_a_lock, TypeError, "cannot pickle"),
    ],
    ids=["raised", "raised what cannot be sent", "given what cannot be sent"],
)
def test_what_goes_wrong_there_is_raised_here_with_a_note_of_where_and_the_next_call_is_answered(
    second, task, kind, said
):
    process_id = second.call(os.getpid)
    with pytest.raises(kind, match=said) as problem:
        second.call(task)
    assert "In the process beside the run" in problem.value.__notes__[0]
    assert second.call(os.getpid) == process_id


def test_a_task_that_cannot_be_sent_is_refused_here_and_the_next_call_is_answered(second):
    with pytest.raises(TypeError, match="cannot pickle"):
        second.call(partial(bytes.join, b"," * 10**6, giving_a_lock()))
    assert second.call(partial(operator.add, 1, 2)) == 3


def test_shared_work_is_done_in_both_processes_and_given_in_order(second):
    workers = second.share([slowly] * 6)
    assert set(workers) == {os.getpid(), second.call(os.getpid)}
    assert second.share([partial(operator.mul, number, number) for number in range(50)]) == [n * n for n in range(50)]
    assert second.share([]) == []


def test_one_that_is_busy_takes_nothing_of_what_is_shared(second):
    second.prepare(partial(time.sleep, 1))
    while not second._lock.locked():
        time.sleep(0.01)
    assert second.share([os.getpid] * 5) == [os.getpid()] * 5


@pytest.mark.parametrize("fails_here", [True, False], ids=["here", "there"])
def test_after_a_failure_only_what_was_begun_is_done(second, tmp_path, fails_here):
    where = os.getpid() if fails_here else second.call(os.getpid)
    with pytest.raises(IndexError, match="the last one is missing"):
        second.share([partial(failing_in, where, str(tmp_path))] * 20)
    assert len(list(tmp_path.glob("done-*"))) <= 1


def test_what_is_prepared_is_there_later_and_nobody_waits_for_it(second):
    module = "this"
    assert not second.call(partial(operator.contains, ImportedThere(), module))
    began = time.monotonic()
    second.prepare(partial(time.sleep, 1))
    second.prepare(partial(loaded, module))
    assert time.monotonic() - began < 0.5
    deadline = time.monotonic() + SOON_SECONDS
    while not second.call(partial(operator.contains, ImportedThere(), module)):
        assert time.monotonic() < deadline
    assert module not in sys.modules


def test_a_process_that_was_killed_is_an_error_that_says_so_and_the_next_call_starts_another(second):
    process_id = second.call(os.getpid)
    with pytest.raises(ProcessEnded, match=r"ended with status -9.*lower `memory_limit`"):
        second.call(partial(os.kill, process_id, signal.SIGKILL))
    assert second.call(os.getpid) != process_id


def test_after_an_interruption_no_answer_is_taken_for_that_of_another_question(second, monkeypatch):
    def interrupted(_stream: object) -> bytes:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("segmentation_pipeline.resources.second_process._received", interrupted)
        with pytest.raises(KeyboardInterrupt):
            second.call(partial(operator.add, 1, 2))
    assert second.call(partial(operator.add, 3, 4)) == 7


@pytest.mark.parametrize("print_", [partial(print, "a warning"), partial(os.write, 1, b"of native code")])
def test_what_it_prints_is_no_answer(second, print_):
    second.call(print_)
    assert second.call(partial(operator.add, 1, 2)) == 3


def test_one_that_was_ended_does_not_start_again():
    ended = SecondProcess()
    assert ended.call(partial(operator.add, 1, 2)) == 3
    ended.end()
    with pytest.raises(ProcessEnded, match="as the run itself ends"):
        ended.call(partial(operator.add, 1, 2))


def test_it_finds_what_its_parent_finds_and_nothing_of_the_folder_one_is_in(tmp_path):
    (tmp_path / "queue.py").write_text("raise RuntimeError('of the folder')")
    found = [path for path in sys.path if path]
    program = f"import sys, pathlib; sys.path[:] = [*{found!r}, pathlib.Path('elsewhere')];" + PREAMBLE
    done = subprocess.run(
        [sys.executable, "-P", "-c", program + "print(second.call(os.getpid) > 0)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("True\n", "")


PREAMBLE = (
    "import os, signal, time; from functools import partial;"
    "from segmentation_pipeline.resources.second_process import SecondProcess; second = SecondProcess();"
)


def test_a_process_that_ends_while_it_prepares_says_nothing_and_the_next_call_starts_another():
    program = (
        "second.prepare(os.abort); time.sleep(1); print(second.call(os.getpid) > 0);"
        "[second.prepare(partial(time.sleep, 60)) for _ in range(3)]"
    )
    done = subprocess.run(
        [sys.executable, "-c", PREAMBLE + program], capture_output=True, text=True, check=False, timeout=SOON_SECONDS
    )
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_it_ends_with_the_process_that_started_it_however_that_one_ends_and_whatever_it_does():
    program = (
        "print(second.call(os.getpid), flush=True); second.prepare(partial(time.sleep, 600)); time.sleep(0.5);"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    parent = subprocess.run([sys.executable, "-c", PREAMBLE + program], capture_output=True, text=True, check=False)
    assert (parent.returncode, parent.stderr) == (-signal.SIGKILL, "")
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
