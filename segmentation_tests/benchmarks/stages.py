"""Where the seconds of a run go at each gate: making and writing, measuring, and all the rest.

    python segmentation_tests/benchmarks/stages.py CONFIG

Runs `segmentation run` of a configuration from nothing, in a folder of its own, and prints a Markdown table: wall seconds, and in
brackets those of all processors. The rest of a gate is judging (in another process), publishing and Dagster's events.
"""

import atexit
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from segmentation_pipeline.checks.gate import Gate

PARTS = ("making and writing", "measuring", "in all")
SPENT: dict[str, dict[str, tuple[float, float]]] = defaultdict(lambda: dict.fromkeys(PARTS, (0.0, 0.0)))


@contextmanager
def _timed(stage: str, part: str) -> Iterator[None]:
    wall, processors = time.perf_counter(), time.process_time()
    yield
    before = SPENT[stage][part]
    SPENT[stage][part] = (before[0] + time.perf_counter() - wall, before[1] + time.process_time() - processors)


def _wrapped(method: Callable[..., Any], part: str) -> Callable[..., Any]:
    def timed(self: Gate, stage: Any, *arguments: Any) -> Any:
        with _timed(stage.asset, part):
            return method(self, stage, *arguments)

    return timed


def _days(method: Callable[..., Any]) -> Callable[..., Any]:
    def timed(self: Gate, context: Any, stage: Any, *arguments: Any) -> Iterator[Any]:
        with _timed(stage.asset, PARTS[2]):
            yield from method(self, context, stage, *arguments)

    return timed


def _told() -> None:
    print(f"\n| stage | {' | '.join(PARTS)} |\n| --- | ---: | ---: | ---: |")  # noqa: T201
    for stage, parts in SPENT.items():
        cells = (f"{wall:.1f} ({processors:.1f})" for wall, processors in parts.values())
        print(f"| `{stage}` | {' | '.join(cells)} |")  # noqa: T201


def main(config: Path) -> None:
    """Run and print."""
    Gate._staged = _wrapped(Gate._staged, PARTS[0])
    Gate._measured = _wrapped(Gate._measured, PARTS[1])
    Gate.days = _days(Gate.days)
    with tempfile.TemporaryDirectory(dir=config.parent) as folder:
        os.environ |= {
            "SEGMENTATION_LAKE": f"{folder}/lake",
            "SEGMENTATION_REPORTS": f"{folder}/reports",
            "DAGSTER_HOME": f"{folder}/dagster",
        }
        atexit.register(_told)
        from segmentation_pipeline.cli import app

        app(["run", "--config", str(config)], standalone_mode=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
