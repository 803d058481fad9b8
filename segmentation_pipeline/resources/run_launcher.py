"""Dagster's run launcher, which also tells when the process of a run is gone.

The stock launcher leaves that to the server that started the process. Where both end at once, by a power cut, a killed
container or a machine out of memory, the run would count as started for ever, and no other would begin. This one looks for
the process itself: Dagster's daemon then fails the run, and starts it again as `run_retries` says. Switch it on with these
lines in `$DAGSTER_HOME/dagster.yaml`:

    run_launcher:
      module: segmentation_pipeline.resources.run_launcher
      class: WatchfulRunLauncher
"""

import os
import signal
import socket
import uuid
from pathlib import Path

from dagster import DagsterEventType, DagsterRun
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, LaunchRunContext, WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG

# Where the process of a run is: without it, nothing is known of the run's process.
MACHINE_TAG = "segmentation/machine"
BOOT = Path("/proc/sys/kernel/random/boot_id")
PROCESSES = Path("/proc/self/ns/pid")  # containers have numbers of processes of their own


class WatchfulRunLauncher(DefaultRunLauncher):
    """A drop-in for `DefaultRunLauncher` that finds out whether the process of a run is there.

    What this machine or container did before it was last started is gone. Runs are launched by the one daemon of an instance,
    whose machine they share: a launched run of another one is gone too. Of a command on another machine nothing is known.
    """

    @property
    def supports_check_run_worker_health(self) -> bool:
        """It does."""
        return True

    def launch_run(self, context: LaunchRunContext) -> None:
        """As the stock one, with a note of where."""
        self._instance.add_run_tags(context.dagster_run.run_id, {MACHINE_TAG: machine()})
        super().launch_run(context)

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Whether the process of a run is there, as far as that is known."""
        place, here, begun = run.tags.get(MACHINE_TAG), machine(), self._begun(run.run_id)
        if place is None or begun is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        if place == here:
            is_gone, told = not is_alive(begun), f"its process {begun} ended without a word"
        else:
            (name, boot, *_numbers), (own_name, own_boot, *_own_numbers) = place.split(" "), here.split(" ")
            is_gone = GRPC_INFO_TAG in run.tags or (name == own_name and boot != own_boot)
            told = f"the machine it ran on is gone or was started anew ({place})"
        return (
            CheckRunHealthResult(WorkerStatus.FAILED, told) if is_gone else CheckRunHealthResult(WorkerStatus.RUNNING)
        )

    def terminate(self, run_id: str) -> bool:
        """As the stock one; where the server that started the process cannot be reached, the process itself is told."""
        try:
            return super().terminate(run_id)
        except DagsterUserCodeUnreachableError:
            run, begun = self._instance.get_run_by_id(run_id), self._begun(run_id)
            if run is None or begun is None or run.tags.get(MACHINE_TAG) != machine() or not is_alive(begun):
                raise
            os.kill(begun, signal.SIGINT)
            return True

    def _begun(self, run_id: str) -> int | None:
        """The process of a run; None before it has begun."""
        entries = self._instance.all_logs(run_id, of_type=DagsterEventType.RUN_START)
        found = [entry.dagster_event.pid for entry in entries if entry.dagster_event]
        return next((pid for pid in reversed(found) if pid), None)


def machine() -> str:
    """This machine since it was last started, and where its processes have their numbers."""
    if not BOOT.exists():  # a system that tells no more
        return f"{uuid.getnode()} - -"
    return f"{socket.gethostname()} {BOOT.read_text().strip()} {PROCESSES.readlink()}"


def is_alive(pid: int) -> bool:
    """Whether a process of this machine is there, and not one that ended and nobody has asked for."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's, and there
        return True
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] not in "ZX"
