"""Generated documentation says what the code says."""

import runpy

import pytest
from PIL import Image

from segmentation_tests.conftest import PROJECT


@pytest.mark.parametrize(
    ("script", "page"), [("configuration.py", "configuration.md"), ("data_quality.py", "data-quality.md")]
)
def test_generated_pages_are_up_to_date(script, page):
    written = runpy.run_path(str(PROJECT / "docs" / script))["page"]()
    assert (PROJECT / "docs" / page).read_text() == written, "run `make docs`"


@pytest.mark.parametrize("name", ["lineage", "failing_check", "report"])
def test_screenshots_are_quick_to_load(name):
    file = PROJECT / "docs" / "screenshots" / f"{name}.webp"
    assert file.stat().st_size < 120_000, "run `make screenshots`"
    with Image.open(file) as picture:
        assert picture.width > 1_000
