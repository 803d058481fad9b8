"""Shops that many modules begin with: each is made once in a run of the tests, and copied.

Belongs here: making them. Does not: what is tested on them.
"""

import io
import json
import shutil
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pytest
from filelock import FileLock
from PIL import Image

from segmentation_pipeline import sample_data
from segmentation_pipeline.planning import FEATURES, RETURNS, SEGMENTS, TRANSACTIONS
from segmentation_pipeline.reporting import figure_theme
from segmentation_pipeline.settings import Settings, load
from segmentation_tests.conftest import FEW_FITS, PROJECT
from segmentation_tests.integration.live_shop import LiveShop

CHECKS = "checks.json"
FIRST, EARLIER, LAST = date(2025, 7, 1), date(2025, 7, 16), date(2025, 7, 20)


@pytest.fixture(scope="session", autouse=True)
def blank_figures() -> Iterator[None]:
    """Pages of this process have blank figures: to draw those of one takes as long as to compute all that they show.

    Figures are tested in unit/reporting and seen in browser; commands in a process of their own draw them.
    """
    picture = io.BytesIO()
    Image.new("RGB", (2, 2), "white").save(picture, format="png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figure_theme, "images", lambda draws, *_given, **_named: dict.fromkeys(draws, picture.getvalue()))
        yield


@pytest.fixture(scope="session")
def made_once(
    tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Callable[[str, Callable[[Path], None]], Path]:
    """Makes a folder by a name; of all test processes the first that asks for it does, and the others wait."""
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent

    def made(name: str, make: Callable[[Path], None]) -> Path:
        folder = shared / name
        with FileLock(shared / f"{name}.lock"):
            if not folder.exists():
                begun = shared / f"{name}.begun"
                shutil.rmtree(begun, ignore_errors=True)
                begun.mkdir()
                make(begun)
                begun.rename(folder)
        return folder

    return made


@pytest.fixture(scope="session")
def ingested_shop(made_once: Callable, configured: Callable[..., Path]) -> Path:
    """The folder of a shop of 300 customers: the lines, orders and returns of 20 days are in its lake."""

    def make(folder: Path) -> None:
        shop = sample_data.Shop(300, 200, FIRST, LAST, seed=11)
        sample_data.simulate(folder / "landing", shop)
        days = {"start_date": shop.start_date, "end_date": shop.end_date}
        file = configured(folder, PROJECT / "data" / "shop.yaml", model=FEW_FITS, **days)
        with dg.DagsterInstance.ephemeral() as instance:
            LiveShop(file, instance).ingested(FIRST, LAST)
            note_checks(instance, folder)

    return made_once("ingested_shop", make)


@pytest.fixture(scope="session")
def scored_shop(made_once: Callable, ingested_shop: Path) -> Path:
    """The same shop with a model, features of an earlier day, and features and segments of the last one."""

    def make(folder: Path) -> None:
        copied = shutil.copytree(ingested_shop, folder, dirs_exist_ok=True)
        with dg.DagsterInstance.ephemeral() as instance:
            shop = LiveShop(copied / "shop.yaml", instance)
            shop.run(FEATURES, EARLIER, EARLIER)
            shop.with_model(LAST)
            shop.run(SEGMENTS, LAST, LAST)
            note_checks(instance, folder)

    return made_once("scored_shop", make)


def note_checks(instance: dg.DagsterInstance, folder: Path) -> None:
    """Keep which checks Dagster has of an instance, and whether each passed, beside those of instances before it."""
    file = folder / CHECKS
    known = json.loads(file.read_text()) if file.exists() else {}
    for run in instance.get_runs():
        for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
            check = entry.dagster_event.asset_check_evaluation_data
            known[f"{check.asset_key.to_user_string()}.{check.check_name}"] = check.passed
    file.write_text(json.dumps(known))


def copy_of(shop: Path, folder: Path) -> Settings:
    """A copy of a shop in a folder that is not there yet."""
    return load(shutil.copytree(shop, folder) / "shop.yaml")


DAYS = [FIRST + timedelta(days=number) for number in range((LAST - FIRST).days + 1)]
ORDERS = (*TRANSACTIONS, *RETURNS)
