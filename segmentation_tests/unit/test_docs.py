"""Generated documentation says what the code says."""

import runpy

from segmentation_tests.conftest import PROJECT


def test_the_configuration_page_is_up_to_date():
    written = runpy.run_path(str(PROJECT / "docs" / "configuration.py"))["page"]()
    assert (PROJECT / "docs" / "configuration.md").read_text() == written, "run `make docs`"
