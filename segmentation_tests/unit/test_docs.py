"""Generated documentation says what the code says."""

import runpy

import pytest

from segmentation_tests.conftest import PROJECT


@pytest.mark.parametrize(
    ("script", "page"), [("configuration.py", "configuration.md"), ("data_quality.py", "data-quality.md")]
)
def test_generated_pages_are_up_to_date(script, page):
    written = runpy.run_path(str(PROJECT / "docs" / script))["page"]()
    assert (PROJECT / "docs" / page).read_text() == written, "run `make docs`"
