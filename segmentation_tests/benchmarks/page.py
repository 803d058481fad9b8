"""The measured parts of docs/performance.md and docs/scaling.md, each between two marks; what is around them is hand-written.

Belongs here: laying out. Does not: figures (summary.py), sizing (sizing.py), drawing (plot.py).
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from segmentation_pipeline.reporting.figure_theme import png_bytes
from segmentation_tests.benchmarks import plot, sizing
from segmentation_tests.benchmarks.contenders import CONTENDERS, PIPELINE
from segmentation_tests.benchmarks.plot import NAMES
from segmentation_tests.benchmarks.results import Record
from segmentation_tests.benchmarks.summary import TARGETS, Summary, Target

PAGE, FIGURE, SIZING = "performance.md", "performance.png", "scaling.md"
BEGIN, END = "<!-- measured: begin, written by bench.py --write -->", "<!-- measured: end -->"


class NothingMeasured(Exception):
    """There are no results to write about."""


def write(docs: Path, records: Sequence[Record]) -> None:
    """Render the measured parts of both pages, and the figure.

    Raises:
        NothingMeasured: There are no results of whole runs.
    """
    found = Summary([dict(record) for record in records])
    if not found.sizes():
        raise NothingMeasured("There are no results of whole runs. Measure first: make bench.")
    (docs / FIGURE).write_bytes(png_bytes(plot.growth(found)))
    _put(docs / PAGE, measured(found))
    _put(docs / SIZING, f"{_machine(found)}\n\n{sizing.tables(found)}")


def _put(page: Path, part: str) -> None:
    before, _, rest = page.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n\n{part}\n{END}{after}")


def measured(found: Summary) -> str:
    """The measured part of the page."""
    figure = f"![Wall time and peak memory against lines]({FIGURE})"
    parts = [_machine(found), _targets(found), figure, _runs(found), _steps(found), _night(found)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _machine(found: Summary) -> str:
    days = sorted(record["date"][:10] for record in found.records)
    on = found.records[-1]["machine"]
    libraries = ", ".join(f"{name} {version}" for name, version in on["libraries"].items())
    between = days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"
    return (
        f"Measured {between} on {on['cores']} cores ({on['processor']}) with {on['memory_gib']:g} GiB of memory; "
        f"Python {on['python']}, {libraries}."
    )


def _targets(found: Summary) -> str:
    return _table(("Target", "At most", "Measured", ""), [_target(target, found) for target in TARGETS])


def _target(target: Target, found: Summary) -> tuple[str, ...]:
    value, limit = target.found(found), f"{target.limit:g} {target.unit}"
    if value is None:
        return target.what, limit, "not measured", ""
    return target.what, limit, f"{value:.2f} {target.unit}", "met" if value <= target.limit else "**not met**"


def _runs(found: Summary) -> str:
    """Medians of whole runs, from nothing to the last day's segments."""
    rows = []
    for size in found.sizes():
        for contender in CONTENDERS:
            runs = found.of("whole", millions=size, contender=contender)
            if runs:
                figures = [
                    found.typical(measure, "whole", millions=size, contender=contender) or 0.0
                    for measure in ("wall_seconds", "peak_mib", "peak_of_main_mib")
                ]
                seconds, peak, of_main = figures
                wall = f"{seconds:,.1f}"
                rows.append(
                    (f"{runs[0]['lines']:,}", NAMES[contender], str(len(runs)), wall, f"{peak:,.0f}", f"{of_main:,.0f}")
                )
    columns = ("Lines", "", "Runs", "Wall s", "Peak MiB, all processes", "Peak MiB, main process")
    return "### Whole runs\n\nMedians.\n\n" + _table(columns, rows)


def _steps(found: Summary) -> str:
    """Where the pipeline's seconds go, by step and size."""
    runs = {size: found.of("whole", millions=size, contender=PIPELINE) for size in found.sizes()}
    steps = list(dict.fromkeys(step for of_size in runs.values() for run in of_size for step in run["step_seconds"]))
    rows = [(step, *(_median_step(of_size, step) for of_size in runs.values())) for step in steps]
    return "### Steps of the pipeline\n\nSeconds, medians.\n\n" + _table(
        ("Step", *(f"{size} M" for size in runs)), rows
    )


def _median_step(runs: Sequence[Record], step: str) -> str:
    return f"{median(run['step_seconds'].get(step, 0.0) for run in runs):.1f}"


def _night(found: Summary) -> str:
    """A night at each length of history: wall time, memory, and what its assets read, if that was recorded."""
    sizes = sorted({record["millions"] for record in found.of("night")})
    if not sizes:
        return ""
    nights = {size: found.of("night", millions=size) for size in sizes}
    rows = [
        ("Wall s", *(f"{found.typical('wall_seconds', 'night', millions=size):.1f}" for size in sizes)),
        ("Peak MiB", *(f"{found.typical('peak_mib', 'night', millions=size):,.0f}" for size in sizes)),
    ]
    assets = dict.fromkeys(asset for runs in nights.values() for asset in runs[-1]["bytes_read"])
    for asset in assets:
        read = [median(run["bytes_read"].get(asset, 0) for run in runs) / 1e6 for runs in nights.values()]
        rows.append((f"MB read by `{asset}`", *(f"{each:,.1f}" for each in read)))
    return "### Nights\n\nMedians.\n\n" + _table(("History", *(f"{size} M lines" for size in sizes)), rows)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
