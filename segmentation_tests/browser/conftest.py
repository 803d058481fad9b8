"""A shop in the real UI, and Chromium to look at it.

Belongs here: the shop, what is computed before the first look, the browser and its pictures. Does not: starting and
ending the UI (server.py), what the pages must show (test_browser.py).
"""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Browser, FloatRect, Page, expect, sync_playwright

from segmentation_pipeline import sample_data
from segmentation_pipeline.instance import INSTANCE_VARIABLE
from segmentation_pipeline.settings import Settings, load
from segmentation_tests.browser.server import segmentation, served
from segmentation_tests.conftest import PROJECT, lacking

# Four weeks from a Tuesday; the shop is closed on Saturdays, the 19th is one.
FIRST, LAST = date(2025, 7, 1), date(2025, 7, 27)
COMPUTED = "2025-07-18"  # everything up to this day is there before the first look
BACKFILLED = ("2025-07-19", "2025-07-20", "2025-07-21", "2025-07-22")
BY_HAND = "2025-07-24"
TWICE = "2025-07-25"  # every row of this day was delivered twice

PICTURES = Path(__file__).parent / "screenshots"
WIDTH, HEIGHT = 1500, 950
PATIENCE_MS = 20_000

NAMES_OF_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
# Root needs --no-sandbox; the others keep Chromium off the network and the graphics card.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass(frozen=True)
class Shop:
    """A shop and the address of its UI."""

    settings: Settings
    url: str

    @property
    def lake(self) -> Path:
        return Path(self.settings.lake)

    @property
    def report(self) -> Path:
        """The page of the last computed day."""
        return Path(self.settings.reports) / f"date={COMPUTED}" / "segment_report.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium; without it, tests that need it are skipped, but in CI they fail."""
    chromium = next(filter(None, map(shutil.which, NAMES_OF_CHROMIUM)), None)
    if chromium is None:
        message = "Chromium is missing: on Debian and Ubuntu, `apt-get install chromium` brings it"
        lacking(message)
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def shop(browser: Browser, tmp_path_factory: pytest.TempPathFactory, configured: Callable[..., Path]) -> Iterator[Shop]:
    """A simulated shop with one bad day, computed up to `COMPUTED` on the command line, and its UI."""
    folder = tmp_path_factory.mktemp("browser")
    sample_data.simulate(folder / "landing", sample_data.Shop(400, 250, FIRST, LAST, seed=7))
    (file,) = (folder / "landing").glob(f"*{TWICE}*")
    rows = pd.read_parquet(file)
    pd.concat([rows, rows]).to_parquet(file)
    config = configured(folder, PROJECT / "data" / "shop.yaml", start_date=FIRST, end_date=LAST)
    environment = {**os.environ, INSTANCE_VARIABLE: str(folder / "home"), "PYTHONPATH": str(PROJECT)}
    segmentation("run", "--config", str(config), "--as-of", COMPUTED, environment=environment, folder=folder)
    with served(config, environment, folder) as url:
        yield Shop(load(config), url)


@pytest.fixture
def page(browser: Browser, shop: Shop, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A fresh window on the shop's UI; what it showed at the end of the test is kept as a picture, pass or fail."""
    with window(browser, shop) as opened:
        yield opened
        keep(opened, request.node.name.removeprefix("test_"))


def window(browser: Browser, shop: Shop) -> Page:
    """A window with a profile of its own, where addresses are relative to the UI; it closes as a context manager."""
    opened = browser.new_page(base_url=shop.url, viewport={"width": WIDTH, "height": HEIGHT}, reduced_motion="reduce")
    opened.set_default_timeout(PATIENCE_MS)
    return opened


def keep(page: Page, name: str, clip: FloatRect | None = None) -> None:
    """Keep what a page, or a part of it, shows."""
    page.screenshot(path=PICTURES / f"{name}.png", clip=clip, animations="disabled")
