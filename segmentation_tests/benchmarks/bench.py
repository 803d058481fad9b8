"""`make bench`: the pipeline beside plain pandas and beside one script of SQL, at growing sizes, as whole processes in turn.

    python segmentation_tests/benchmarks/bench.py [--sizes 1,10,30,100] [--pairs 3] [--only pandas …] [--night] [--write]

Every run begins with nothing but the shop's files, which were read once before. Results are added to a file, so that
sizes can be measured in separate calls; --write alone renders both pages of docs/ from it, and measures nothing.
"""

import argparse
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from segmentation_pipeline import sample_data
from segmentation_tests.benchmarks import agree, contenders, nights, page, recorded, results, shops, start_up
from segmentation_tests.benchmarks.contenders import PIPELINE
from segmentation_tests.benchmarks.processes import Measured
from segmentation_tests.benchmarks.shops import TimedShop

PROJECT = Path(__file__).resolve().parents[2]
KINDS = (*contenders.SCRIPTS, "start-up", "small-night")
IMPORTS = 7


class Bench:
    """Measures, prints and keeps.

    Args:
        folder: Holds shops, what runs leave, and the results.
        file: The results.
        pairs: How often each comparison is repeated.
    """

    def __init__(self, folder: Path, file: Path, pairs: int) -> None:
        self._folder = folder
        self._file = file
        self._pairs = pairs
        self._batch = datetime.now(UTC).isoformat(timespec="seconds")

    def whole(self, millions: int, against: str) -> None:
        """The pipeline and a script from nothing, in turn; the first pair must agree to the last digit."""
        longest = contenders.LONGEST_MILLIONS.get(against, millions)
        if millions > longest:
            _say(f"{against} is left out at {millions} M lines: they do not fit in its memory")
            return
        shop = shops.of_millions(self._folder, millions)
        lines = sum(pq.read_metadata(file).num_rows for file in shop.landing.glob("*.parquet"))
        shops.warm(shop)
        for pair in range(self._pairs):
            for contender in (PIPELINE, against):
                out = self._out(contender)
                found = contenders.from_nothing(contender, shop, out)
                about = {"millions": millions, "lines": lines, "against": against, "pair": pair, "contender": contender}
                self._keep("whole", about, found, out)
            if pair == 0:
                both = [contenders.features(each, self._out(each), shop.last) for each in (PIPELINE, against)]
                _say(f"{agree.check(*both):,} customers have the same features in {PIPELINE} and {against}")
        for contender in (PIPELINE, against):
            shutil.rmtree(self._out(contender))

    def nights(self, millions: int) -> None:
        """A night on a long history and on a tenth of it, in turn."""
        long = shops.of_millions(self._folder, millions)
        histories = {shop.lines // 1_000_000: shop for shop in (long, shops.latest_tenth(long))}
        eves = {size: nights.eve(shop) for size, shop in histories.items()}
        for shop in histories.values():
            shops.warm(shop)
        for pair in range(self._pairs):
            for size, shop in histories.items():
                self._night("night", {"millions": size, "pair": pair}, shop, eves[size])

    def small_nights(self) -> None:
        """Nights of the shop that `segmentation simulate` makes unless told otherwise."""
        default = sample_data.Shop()
        shop = TimedShop(self._folder / "small", default.start_date, default.end_date, 0)
        shops.made(shop, default.customers, default.lines_per_day)
        before = nights.eve(shop)
        for number in range(self._pairs):
            self._night("small_night", {"pair": number}, shop, before)

    def imports(self) -> None:
        """The definitions and Dagster alone, in turn; once more before, uncounted, so that byte code is there."""
        default = sample_data.Shop()
        shop = TimedShop(self._folder / "small", default.start_date, default.end_date, 0)
        shops.made(shop, default.customers, default.lines_per_day)
        out = self._out("start-up")
        for number in range(-1, IMPORTS):
            for program in start_up.PROGRAMS:
                found = start_up.imported(program, shop, out)
                if number >= 0:
                    self._keep("import", {"pair": number, "program": program}, found, None)

    def _night(self, kind: str, about: dict[str, Any], shop: TimedShop, before: Path) -> None:
        out = shop.folder / kind  # beside what it is a copy of: seen from elsewhere the source would be indexed anew
        self._keep(kind, about, nights.night(shop, before, out), out)
        shutil.rmtree(out)

    def _keep(self, kind: str, about: dict[str, Any], found: Measured, out: Path | None) -> None:
        told = dict(about)
        if out is not None and about.get("contender", PIPELINE) == PIPELINE:
            told |= asdict(recorded.since(contenders.home(out), found.began))
        results.append(self._file, {"kind": kind, "batch": self._batch, **told, **asdict(found)})
        listed = " ".join(str(value) for value in about.values())
        _say(f"{kind} {listed}: {found.wall_seconds:.1f} s, peak {found.peak_mib:,.0f} MiB")

    def _out(self, name: str) -> Path:
        return self._folder / "out" / name


def main() -> None:
    """Measure what is asked for, and render the page if asked."""
    given = _arguments()
    file = given.results or given.folder / results.FILE
    if given.write:
        page.write(PROJECT / "docs", results.read(file))
        return
    bench = Bench(given.folder.resolve(), file, given.pairs)
    kinds: Sequence[str] = given.only or (() if given.night else KINDS)
    for millions in given.sizes:
        for against in contenders.SCRIPTS:
            if against in kinds:
                bench.whole(millions, against)
    if "start-up" in kinds:
        bench.imports()
    if "small-night" in kinds:
        bench.small_nights()
    if given.night:
        bench.nights(max(given.sizes))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    sizes = {"type": lambda text: [int(size) for size in text.split(",")], "default": [1, 10]}
    parser.add_argument("--sizes", **sizes, help="millions of lines, with commas between; 1,10 if not given")
    parser.add_argument("--pairs", type=int, default=3, help="how often each comparison is repeated")
    parser.add_argument("--only", action="append", choices=KINDS, help="measure only this; may be given more than once")
    parser.add_argument("--night", action="store_true", help="a night on the longest history and on a tenth of it")
    parser.add_argument("--folder", type=Path, default=PROJECT / ".benchmarks", help="of shops, runs and results")
    parser.add_argument("--results", type=Path, help="the results file; results.jsonl in the folder if not given")
    parser.add_argument(
        "--write", action="store_true", help="render docs/performance.md and docs/scaling.md from the results, and stop"
    )
    return parser.parse_args()


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
