"""What Dagster recorded of a pipeline's runs: seconds of each step, and the bytes each asset read.

Belongs here: reading the instance's event log. Does not: running (contenders.py), laying out (page.py).
"""

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from segmentation_pipeline.instance import INSTANCE_VARIABLE

BYTES_READ = "bytes_read"


@dataclass(frozen=True)
class Recorded:
    """Of the runs that one process made.

    Attributes:
        step_seconds: By step.
        bytes_read: By asset; empty where nothing was recorded.
    """

    step_seconds: dict[str, float]
    bytes_read: dict[str, int]


def since(home: Path, began: float) -> Recorded:
    """What the runs that began at a moment or later recorded in an instance's folder."""
    os.environ[INSTANCE_VARIABLE] = str(home)  # the shipped event log finds its files by it
    seconds: Counter[str] = Counter()
    read: Counter[str] = Counter()
    with dg.DagsterInstance.from_config(str(home)) as instance:
        records = [record for record in instance.get_run_records() if record.create_timestamp.timestamp() >= began]
        for record in reversed(records):
            run_id = record.dagster_run.run_id
            for step in instance.get_run_step_stats(run_id):
                if step.start_time is not None and step.end_time is not None:
                    seconds[step.step_key] += step.end_time - step.start_time
            by_run: dict[str, int] = {}  # every day of a range tells what the whole run read
            for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
                made = entry.asset_materialization
                if made is not None and BYTES_READ in made.metadata:
                    by_run[made.asset_key.to_user_string()] = int(made.metadata[BYTES_READ].value)
            read.update(by_run)
    return Recorded(dict(seconds), dict(read))
