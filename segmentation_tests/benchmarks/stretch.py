"""What a stretch of days costs, expression by expression, on a lake that is there; nothing in it is changed.

    python segmentation_tests/benchmarks/stretch.py CONFIG [--days 130]

Prints a Markdown table: wall seconds and those of all processors, the least of three runs each.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import ibis.expr.types as ir
from upath import UPath

from segmentation_pipeline.core import cleaning, orders, schema
from segmentation_pipeline.core.profiling import clean, raw
from segmentation_pipeline.resources.engines.opening import open_engine
from segmentation_pipeline.resources.lake import Lake
from segmentation_pipeline.settings import Settings
from segmentation_pipeline.settings.loading import load

RUNS = 3


class Stretch:
    """The last days of a lake.

    Args:
        settings: Of the shop.
        days: How many.
    """

    def __init__(self, settings: Settings, days: int) -> None:
        self._settings = settings
        self._engine = open_engine(settings)
        self._lake = Lake(UPath(settings.lake), self._engine)
        self._days = self._lake.days(schema.CLEAN_TRANSACTIONS.asset)[-days:]

    def measure(self) -> None:
        """Run everything, and print the table."""
        rows, lines, quarantined = (
            self._lake.read(layout, self._days)
            for layout in (schema.RAW_TRANSACTIONS, schema.CLEAN_TRANSACTIONS, schema.QUARANTINED_TRANSACTIONS)
        )
        count = self._engine.to_pandas(rows.count().as_table()).iloc[0, 0]
        _say(f"| {count:,} raw rows of {len(self._days)} days | wall | processors |\n| --- | ---: | ---: |")
        self._row("reading raw rows, nothing else", rows)
        self._row("the search for copies", cleaning.copies(rows))
        rejected = cleaning.rejected(rows, self._settings)
        self._row("rejected rows, that search included", rejected)
        with self._engine.held(rejected) as held:
            accepted = cleaning.accepted(rows, held, self._settings)
            self._row("accepted rows, read and typed", accepted)
            self._row("… and sorted", accepted.order_by("date", *schema.CLEAN_TRANSACTIONS.key))
            self._row("… and written", lambda: self._write(accepted, schema.CLEAN_TRANSACTIONS))
        made = orders.customer_orders(lines)
        self._row("orders, made and written", lambda: self._write(made, schema.CUSTOMER_ORDERS))
        measured = {
            "raw rows, measured": raw.measured(rows, self._days, self._settings),
            "clean rows, measured": clean.measured(rows, lines, quarantined, self._days, self._settings),
        }
        for what, profile in measured.items():
            self._row(what, profile)

    def _write(self, table: ir.Table, layout: schema.Table) -> None:
        with tempfile.TemporaryDirectory() as folder:
            self._engine.write_days(table, layout, {day: UPath(folder) / f"{day}.parquet" for day in self._days})

    def _read(self, table: ir.Table) -> None:
        with self._engine.batches(table) as batches:
            for _batch in batches:
                pass

    def _row(self, what: str, work: ir.Table | Callable[[], None]) -> None:
        least = [float("inf"), float("inf")]
        for _run in range(RUNS):
            wall, processors = time.perf_counter(), time.process_time()
            if isinstance(work, ir.Table):
                self._read(work)
            else:
                work()
            spent = time.perf_counter() - wall, time.process_time() - processors
            least = [min(both) for both in zip(least, spent, strict=True)]
        _say(f"| {what} | {least[0]:.1f} | {least[1]:.1f} |")


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("--days", type=int, default=130)
    given = parser.parse_args()
    Stretch(load(given.config.resolve()), given.days).measure()
