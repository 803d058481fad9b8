"""What the gates cost: whole processes with and without them, in turn.

    python segmentation_tests/benchmarks/gates.py CONFIG [--pairs 3] [--night] [--report]

Times `segmentation run` of a configuration from nothing (or, with --night, its last day after all the others) with every
gate, and with gates that only measure what the report needs and let everything through; neither draws the quality
report, unless --report lets the gated one. Prints medians of wall time and of peak memory, and their differences.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from statistics import median

from segmentation_pipeline.settings import load
from segmentation_tests.benchmarks.processes import measured


def main() -> None:
    """Time pairs of runs and print what the gates add."""
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("config", type=Path)
    arguments.add_argument("--pairs", type=int, default=3)
    arguments.add_argument("--night", action="store_true")
    arguments.add_argument("--report", action="store_true")
    given = arguments.parse_args()
    settings = load(given.config)
    last = settings.end_date
    gated = "reported" if given.report else "with"
    found: dict[str, list[tuple[float, float]]] = {"without": [], gated: []}
    with tempfile.TemporaryDirectory() as folder:
        if given.night:
            for kind in found:
                _run(given.config, Path(folder) / kind, kind, last - timedelta(days=1))
        for number in range(given.pairs):
            for kind, runs in found.items():
                shop = Path(folder) / (f"{kind}-{number}" if given.night else kind)
                if given.night:
                    shutil.copytree(Path(folder) / kind, shop)
                runs.append(_run(given.config, shop, kind, last))
                shutil.rmtree(shop)
    for kind, runs in found.items():
        listed = ", ".join(f"{seconds:.1f}" for seconds, _ in runs)
        wall, peak = (median(values) for values in zip(*runs, strict=True))
        print(f"{kind:>8} gates: {wall:.1f} s median ({listed}), peak {peak:.0f} MiB")  # noqa: T201
    before, after = (median(seconds for seconds, _ in runs) for runs in found.values())
    print(f"gates add {after - before:.1f} s, {after / before - 1:.0%}")  # noqa: T201


def _run(config: Path, shop: Path, kind: str, as_of: date) -> tuple[float, float]:
    """One whole process: its wall seconds and peak MiB."""
    environment = {
        "SEGMENTATION_LAKE": str(shop / "lake"),
        "SEGMENTATION_REPORTS": str(shop / "reports"),
        "DAGSTER_HOME": str(shop / "dagster"),
    }
    command = [sys.executable, __file__, "--child", kind, "run", "--config", str(config), "--as-of", str(as_of)]
    found = measured(command, environment, shop / "log.txt")
    return found.wall_seconds, found.peak_mib


def _child() -> None:
    """`segmentation …` in this process, with its gates or with open ones."""
    kind, *command = sys.argv[2:]
    from segmentation_pipeline import planning

    if kind != "reported":
        planning.QUALITY = ()
    if kind == "without":
        _open_every_gate()
    from segmentation_pipeline.cli import main as segmentation

    sys.argv[1:] = command
    segmentation()


def _open_every_gate() -> None:
    """Gates that judge nothing; cleaning is measured all the same, for the report shows it."""
    from segmentation_pipeline.checks import gate, profiles, suites

    def days(self, context, stage, days, recipe) -> Iterator[object]:
        with gate.ExitStack() as stack:
            staged = self._staged(stage, days, recipe, stack)
            is_shown = stage.asset == "clean_transactions"
            kept = profiles.records(self._measured(stage, days, recipe, staged)) if is_shown else None
            for asset, each in staged.items():
                self._lake.publish(each, self._freshness.made_from(asset, days), kept if asset == stage.asset else None)
        yield from self._materialized(context, list(staged.values()), days, is_whole=True)

    def table(_self, _context, stage, candidate) -> Iterator[object]:
        yield gate.dg.MaterializeResult(asset_key=stage.asset, metadata=candidate.publish())

    gate.Gate.days, gate.Gate.table = days, table
    none_expected = dict.fromkeys(suites.DECLARED, ())
    suites.suites = lambda _settings: none_expected


if __name__ == "__main__":
    _child() if sys.argv[1:2] == ["--child"] else main()
