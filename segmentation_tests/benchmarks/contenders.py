"""The contenders: the pipeline and the two scripts, each from nothing to the last day's segments.

Belongs here: how each is started and where it leaves its features. Does not: measuring (processes.py).
"""

import shutil
import sys
from datetime import date
from pathlib import Path

from segmentation_tests.benchmarks.processes import Measured, measured
from segmentation_tests.benchmarks.shops import TimedShop

HERE = Path(__file__).resolve().parent
SCRIPTS = {"pandas": HERE / "pandas_script.py", "duckdb": HERE / "duckdb_script.py"}
PIPELINE = "pipeline"
CONTENDERS = (PIPELINE, *SCRIPTS)
LONGEST_MILLIONS = {"pandas": 30}
"""Beyond it the contender is left out: its lines do not fit in memory."""


def from_nothing(contender: str, shop: TimedShop, out: Path) -> Measured:
    """Run a contender once, with nothing but the shop's files to begin with."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    if contender == PIPELINE:
        return pipeline(shop, out, shop.last)
    command = [sys.executable, str(SCRIPTS[contender]), str(shop.landing), str(out)]
    return measured(command, {}, out / "log.txt")


def pipeline(shop: TimedShop, out: Path, as_of: date) -> Measured:
    """`segmentation run` up to a day, on what the folder holds."""
    environment = {
        "SEGMENTATION_LAKE": str(out / "lake"),
        "SEGMENTATION_REPORTS": str(out / "reports"),
        "DAGSTER_HOME": str(home(out)),
    }
    command = [sys.executable, "-m", "segmentation_pipeline.cli", "run"]
    return measured([*command, "--config", str(shop.config), "--as-of", str(as_of)], environment, out / "log.txt")


def home(out: Path) -> Path:
    """Where the pipeline's runs are recorded."""
    return out / "dagster"


def features(contender: str, out: Path, day: date) -> str:
    """The features that a contender left, as what the engine reads."""
    if contender == PIPELINE:
        return str(out / "lake" / "rfm_features" / f"date={day}" / "*.parquet")
    return str(out / "features.parquet")
