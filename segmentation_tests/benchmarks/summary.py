"""What the results come to: medians, ratios pair by pair, and whether each target is met.

Belongs here: figures from result lines. Does not: measuring (bench.py), laying out (page.py, plot.py).

Of every comparison the latest call counts, so that a figure is never mixed from before and after a change.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from segmentation_tests.benchmarks.contenders import PIPELINE

Record = dict[str, Any]
REPORTS = ("segment_report", "quality_report")


@dataclass(frozen=True)
class Target:
    """A promise about speed or memory.

    Attributes:
        what: What is promised.
        limit: The most that it may be.
        unit: What follows the figure.
        found: The figure, or None where nothing was measured.
    """

    what: str
    limit: float
    unit: str
    found: Callable[["Summary"], float | None]


class Summary:
    """Figures from the results.

    Args:
        records: Lines of the results file, oldest first.
    """

    def __init__(self, records: Sequence[Record]) -> None:
        latest = {_comparison(record): record["batch"] for record in records}
        self.records = [record for record in records if latest[_comparison(record)] == record["batch"]]

    def sizes(self) -> list[int]:
        """Millions of lines at which whole runs were measured."""
        return sorted({record["millions"] for record in self.of("whole")})

    def of(self, kind: str, **about: object) -> list[Record]:
        """The lines of a kind with these values."""
        return [
            record
            for record in self.records
            if record["kind"] == kind and all(record[key] == value for key, value in about.items())
        ]

    def typical(self, measure: str, kind: str, **about: object) -> float | None:
        """The median of a measure, or None where nothing was measured."""
        found = [record[measure] for record in self.of(kind, **about)]
        return median(found) if found else None

    def ratio(self, measure: str, millions: int, against: str) -> float | None:
        """The median over pairs of what the pipeline took beside a script."""
        both = [self.of("whole", millions=millions, against=against, contender=each) for each in (PIPELINE, against)]
        return _paired(measure, *both)

    def night_ratio(self, millions: int) -> float | None:
        """The median over pairs of a night's wall time on so many lines beside one on a tenth of them."""
        return _paired("wall_seconds", *(self.of("night", millions=each) for each in (millions, millions // 10)))

    def import_ratio(self) -> float | None:
        """The median over pairs of importing the definitions beside importing Dagster."""
        return _paired("wall_seconds", *(self.of("import", program=each) for each in ("definitions", "dagster")))

    def growth(self) -> float | None:
        """The pipeline's wall time at 100 million lines beside that at 10 million."""
        small, large = (self.typical("wall_seconds", "whole", millions=each, contender=PIPELINE) for each in (10, 100))
        return large / small if small and large else None

    def longest_steps(self, *steps: str) -> float | None:
        """The most seconds that these steps took together in any run of any size."""
        runs = self.of("whole", contender=PIPELINE)
        return max((sum(run["step_seconds"].get(step, 0.0) for step in steps) for run in runs), default=None)

    def orchestration(self) -> float | None:
        """Seconds of a small night outside all steps: interpreter, imports, planning, Dagster between steps, summary."""
        found = [run["wall_seconds"] - sum(run["step_seconds"].values()) for run in self.of("small_night")]
        return median(found) if found else None


def _comparison(record: Record) -> tuple[Any, ...]:
    size = record.get("millions") if record["kind"] == "whole" else None
    return (record["kind"], size, record.get("against"))


def _paired(measure: str, ours: Sequence[Record], theirs: Sequence[Record]) -> float | None:
    """The median ratio of pairs; a pair whose second run is missing is left out."""
    other = {record["pair"]: record[measure] for record in theirs}
    ratios = [record[measure] / other[record["pair"]] for record in ours if record["pair"] in other]
    return median(ratios) if ratios else None


def _ratio(what: str, measure: str, millions: int, against: str, limit: float) -> Target:
    what = f"{what}, pipeline / {against}, {millions} M lines"
    return Target(what, limit, "x", lambda found: found.ratio(measure, millions, against))


TARGETS = (
    _ratio("Wall time", "wall_seconds", 10, "pandas", 0.7),
    _ratio("Wall time", "wall_seconds", 30, "pandas", 0.4),
    _ratio("Peak memory", "peak_mib", 10, "pandas", 0.5),
    _ratio("Peak memory", "peak_mib", 30, "pandas", 0.25),
    _ratio("Wall time", "wall_seconds", 10, "duckdb", 2.5),
    _ratio("Wall time", "wall_seconds", 100, "duckdb", 1.4),
    Target("Peak memory of the pipeline, 100 M lines", 3.0, "GB", lambda found: _highest_gb(found, 100)),
    Target("Growth of wall time, 10 to 100 M lines", 11.0, "x", Summary.growth),
    Target("A night on 100 M lines / one on 10 M", 1.5, "x", lambda found: found.night_ratio(100)),
    Target("Import of the definitions / of Dagster", 1.2, "x", Summary.import_ratio),
    Target("A night on a small shop, start to exit", 12.0, "s",
           lambda found: found.typical("wall_seconds", "small_night")),
    Target("… of that outside the steps", 3.0, "s", Summary.orchestration),
    Target("Choosing k, longest at any size", 15.0, "s", lambda found: found.longest_steps("k_diagnostics")),
    Target("Both reports, longest at any size", 10.0, "s", lambda found: found.longest_steps(*REPORTS)),
)  # fmt: skip


def _highest_gb(found: Summary, millions: int) -> float | None:
    """Of all the pipeline's runs the highest peak, not the median: a limit is one that is never passed."""
    runs = found.of("whole", millions=millions, contender=PIPELINE)
    return max((run["peak_mib"] * 2**20 / 1e9 for run in runs), default=None)
