"""The shops that are timed: two years of simulated lines, made once for each size and kept.

Belongs here: sizes, landing files and the configuration beside them, reading them into the page cache.
Does not: running anything on them (contenders.py, nights.py).
"""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import yaml

from segmentation_pipeline import sample_data

SHIPPED = Path(__file__).resolve().parents[2] / "data" / "shop.yaml"
FIRST, LAST = date(2024, 1, 1), date(2025, 12, 30)
DAYS = (LAST - FIRST).days + 1
MEMORY_LIMIT = "2GB"
THREADS = 2
NIGHT_DAYS = 73
"""A tenth of the days: the history of a night that is compared with one of the whole period, with days of the same size."""


@dataclass(frozen=True)
class TimedShop:
    """Files to run on.

    Attributes:
        folder: Holds `landing/` and `shop.yaml`.
        first: First day with a file.
        last: Last day with a file.
        lines: Nominal number of lines; there are a few more.
    """

    folder: Path
    first: date
    last: date
    lines: int

    @property
    def landing(self) -> Path:
        """The folder of the daily files."""
        return self.folder / "landing"

    @property
    def config(self) -> Path:
        """The configuration of the pipeline."""
        return self.folder / "shop.yaml"

    @property
    def before_last(self) -> date:
        """The day before the last, up to which a night's history goes."""
        return self.last - timedelta(days=1)


def of_millions(folder: Path, millions: int) -> TimedShop:
    """The shop with so many million lines over two years; simulated unless its files are there."""
    shop = TimedShop(folder / f"{millions}m", FIRST, LAST, millions * 1_000_000)
    return made(shop, customers=10_000 * millions, lines_per_day=1_440 * millions)


def made(shop: TimedShop, customers: int, lines_per_day: int) -> TimedShop:
    """Simulate a shop's files, unless they are there, and write its configuration beside them."""
    days = (shop.last - shop.first).days + 1
    if len(list(shop.landing.glob("*.parquet"))) < days:
        sample_data.simulate(shop.landing, sample_data.Shop(customers, lines_per_day, shop.first, shop.last))
    _configure(shop)
    return shop


def latest_tenth(shop: TimedShop) -> TimedShop:
    """The last tenth of a shop's days as a shop of its own; its files are the same ones, linked."""
    first = shop.last - timedelta(days=NIGHT_DAYS - 1)
    tenth = TimedShop(shop.folder.with_name(f"{shop.folder.name}-tenth"), first, shop.last, shop.lines // 10)
    tenth.landing.mkdir(parents=True, exist_ok=True)
    for file in shop.landing.glob("*.parquet"):
        linked = tenth.landing / file.name
        if file.stem[-10:] >= str(first) and not linked.exists():
            linked.hardlink_to(file)
    _configure(tenth)
    return tenth


def warm(shop: TimedShop) -> None:
    """Read every file once, so that the first of several runs does not wait for the disk alone."""
    for file in shop.landing.glob("*.parquet"):
        file.read_bytes()


def _configure(shop: TimedShop) -> None:
    if shop.config.exists():
        return
    content = yaml.safe_load(SHIPPED.read_text())
    content |= {"start_date": shop.first, "end_date": shop.last}
    content["engine"] = {"kind": "duckdb", "memory_limit": MEMORY_LIMIT, "threads": THREADS}
    content["source"]["path"] = str(shop.landing.resolve() / "*.parquet")
    shop.config.write_text(yaml.safe_dump(content))
