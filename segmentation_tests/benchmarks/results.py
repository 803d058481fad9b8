"""The results file: one JSON line for each timed process, so that sizes can be measured in separate calls.

Belongs here: the machine, the versions, appending and reading lines. Does not: what is measured (bench.py), summing it up
(summary.py).
"""

import json
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

LIBRARIES = ("dagster", "duckdb", "ibis-framework", "pandas", "pyarrow", "scikit-learn", "numpy")
FILE = "results.jsonl"

Record = Mapping[str, Any]


def append(file: Path, record: Record) -> None:
    """Add a result, with the machine it was found on."""
    file.parent.mkdir(parents=True, exist_ok=True)
    when = {"date": datetime.now(UTC).isoformat(timespec="seconds")}
    with file.open("a") as opened:
        opened.write(json.dumps({**record, **when, "machine": machine()}) + "\n")


def read(file: Path) -> list[dict[str, Any]]:
    """All results, in the order they were found; none where there is no file."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def machine() -> dict[str, Any]:
    """Processor, cores, memory, Python and the libraries that do the work."""
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(gib, 1),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
