"""The Dagster instance: where runs are recorded, for the command line and the UI alike.

Belongs here: finding, making and opening it. Does not: running anything (running.py).
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from segmentation_pipeline.errors import PipelineError

if TYPE_CHECKING:
    from dagster import DagsterInstance

INSTANCE_VARIABLE = "DAGSTER_HOME"
BATCH_VARIABLE = "DAGSTER_EVENT_BATCH_SIZE"
EVENTS_PER_BATCH = "1000"

DAGSTER_YAML = """\
# Written by `segmentation`; yours to change, see docs/operations.md.
telemetry:
  enabled: false
nux:
  enabled: false
# One run at a time writes to the lake; the others wait in the queue, where the UI shows them.
concurrency:
  pools:
    granularity: run
    default_limit: 1
  runs:
    max_concurrent_runs: 1
# Whether customer_segments is there in time is watched, and a run whose process has died is noticed and tried again;
# a run that failed for a reason of its own is not.
freshness:
  enabled: true
run_monitoring:
  enabled: true
run_retries:
  enabled: true
  max_retries: 2
  retry_on_asset_or_op_failure: false
run_launcher:
  module: segmentation_pipeline.resources.run_launcher
  class: WatchfulRunLauncher
# Dagster's own SQLite event log with one pooled connection and one transaction per batch: a run over a year of days
# writes thousands of events. Remove these lines for the stock storage; the rows are the same.
event_log_storage:
  module: segmentation_pipeline.resources.event_log
  class: BatchedSqliteEventLogStorage
"""


class InstanceClosed(PipelineError):
    """The Dagster instance cannot be opened; the message says which, and why."""


def prepare() -> Path:
    """Make sure that there is an instance folder with a dagster.yaml, name it in the environment, and return it.

    It is `DAGSTER_HOME` if set, else `.dagster` in the checkout (or in the current folder, for an installed package).
    A dagster.yaml that is there already is left alone.
    """
    checkout = Path(__file__).resolve().parent.parent
    default = (checkout if (checkout / "pyproject.toml").exists() else Path.cwd()) / ".dagster"
    home = Path(os.environ.get(INSTANCE_VARIABLE) or default).resolve()
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists():
        (home / "dagster.yaml").write_text(DAGSTER_YAML)
    os.environ[INSTANCE_VARIABLE] = str(home)
    os.environ.setdefault(BATCH_VARIABLE, EVENTS_PER_BATCH)
    return home


def opened(home: Path) -> "DagsterInstance":
    """The instance of a folder, to be closed by whoever asks for it.

    Raises:
        InstanceClosed: It cannot be opened; the message says where it is, and why.
    """
    import dagster as dg

    try:
        return dg.DagsterInstance.from_config(str(home))
    except Exception as problem:
        told = str(problem).strip().split("\n")[0]
        raise InstanceClosed(
            f"The Dagster instance of {home} cannot be opened ({type(problem).__name__}: {told}). Look at its dagster.yaml, "
            "and whether the database that it names answers."
        ) from problem
