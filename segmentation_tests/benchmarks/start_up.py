"""Start-up: how long the definitions take to import, beside Dagster alone.

Belongs here: timing imports in processes of their own. Does not: anything with data.
"""

import sys
from pathlib import Path

from segmentation_tests.benchmarks.processes import Measured, measured
from segmentation_tests.benchmarks.shops import TimedShop

PROGRAMS = {"definitions": "import segmentation_pipeline.definitions", "dagster": "import dagster"}


def imported(program: str, shop: TimedShop, out: Path) -> Measured:
    """Import one of `PROGRAMS` with a shop's configuration."""
    environment = {"SEGMENTATION_CONFIG": str(shop.config), "DAGSTER_HOME": str(out)}
    out.mkdir(parents=True, exist_ok=True)
    return measured([sys.executable, "-c", PROGRAMS[program]], environment, out / "log.txt")
