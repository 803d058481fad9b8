"""Nights: `segmentation run` of one more day, on a lake that has all the days before it.

Belongs here: bringing a lake up to the day before, and giving each run a copy of it.
Does not: measuring (processes.py), which nights are compared (bench.py).
"""

import os
import shutil
from datetime import timedelta
from pathlib import Path

from segmentation_pipeline.settings.model import Migration
from segmentation_tests.benchmarks import contenders
from segmentation_tests.benchmarks.processes import Measured
from segmentation_tests.benchmarks.shops import TimedShop

DONE = ".up_to_date"


def eve(shop: TimedShop) -> Path:
    """The lake, reports and instance of a shop up to the day before its last; made once and kept beside its files.

    As nights for a month would have left them: with the features of the day that the last one is compared with.
    """
    folder = shop.folder / "eve"
    mark = folder / DONE
    if not mark.exists() or mark.read_text() != str(shop.before_last):
        shutil.rmtree(folder, ignore_errors=True)
        contenders.pipeline(shop, folder, shop.before_last)
        contenders.pipeline(shop, folder, shop.last - timedelta(days=Migration().days))
        mark.write_text(str(shop.before_last))
    return folder


def night(shop: TimedShop, before: Path, out: Path) -> Measured:
    """The last day's run on a copy of what the day before left."""
    shutil.rmtree(out, ignore_errors=True)
    linked_copy(before, out)
    return contenders.pipeline(shop, out, shop.last)


def linked_copy(before: Path, out: Path) -> None:
    """A copy of a lake without copying its data.

    The lake never writes into a file that it has: what changes is written beside it and renamed, or removed first. So its
    files can be linked. Dagster's databases are changed in place, and are copied.
    """
    shutil.copytree(before / "lake", out / "lake", copy_function=os.link)
    shutil.copytree(contenders.home(before), contenders.home(out))
    if (before / "reports").exists():
        shutil.copytree(before / "reports", out / "reports")
