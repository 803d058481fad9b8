"""What the Dagster UI is given: images as data, tables as Markdown."""

import base64
import subprocess
import sys
from datetime import date
from decimal import Decimal

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from segmentation_pipeline.reporting import metadata


def rows_of(value: dg.MarkdownMetadataValue) -> list[str]:
    return value.md_str.splitlines()


def test_an_image_holds_the_very_bytes():
    png = bytes(range(256))
    text = metadata.image(png).md_str
    assert text.startswith("![") and text.endswith(")")
    assert base64.b64decode(text.partition("base64,")[2].rstrip(")")) == png


def test_a_preview_shows_the_first_rows_and_counts_them_all():
    frame = pd.DataFrame({"customer_id": [f"c{number}" for number in range(1_234)]})
    lines = rows_of(metadata.table_preview(frame, rows=3))
    assert lines == ["| customer_id |", "| --- |", "| c0 |", "| c1 |", "| c2 |", "", "3 of 1,234 rows"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1_234_567, "1,234,567"),
        (np.int64(1_000), "1,000"),
        (0.123456, "0.1235"),
        (8_809_061.25, "8,809,061"),
        (Decimal("12.5000"), "12.5"),
        (Decimal("54321.5"), "54,322"),
        (float("nan"), ""),
        (None, ""),
        (pd.NaT, ""),
        (True, "True"),
        (date(2011, 12, 9), "2011-12-09"),
        (pd.Timestamp("2011-12-09"), "2011-12-09"),
        (pd.Timestamp("2011-12-09 10:30"), "2011-12-09 10:30:00"),
        (["zero_unit_price", "duplicate_line"], r"\['zero_unit_price', 'duplicate_line'\]"),
    ],
)
def test_values_are_formatted_for_people(value, text):
    frame = pd.DataFrame({"value": pd.Series([value], dtype=object)})
    assert rows_of(metadata.table_preview(frame))[2] == f"| {text} |"


def test_numbers_are_set_to_the_right():
    frame = pd.DataFrame({"segment": ["VIP"], "customers": [701]})
    assert rows_of(metadata.table_preview(frame))[1] == "| --- | ---: |"


def test_text_cannot_break_out_of_its_cell():
    frame = pd.DataFrame({"a|b": ["x|y\nz", "<script>", "tick ` \\"]})
    lines = rows_of(metadata.table_preview(frame))
    assert lines[0] == "| a\\|b |"
    assert lines[2:5] == ["| x\\|y z |", "| &lt;script&gt; |", "| tick \\` \\\\ |"]


def test_text_is_neither_a_picture_nor_a_link_nor_emphasis():
    frame = pd.DataFrame(
        {"text": ["![x](https://example.com/p.png)", "[Refund](https://example.com)", "*SALE* __ITEM__ ~~x~~"]}
    )
    assert rows_of(metadata.table_preview(frame))[2:5] == [
        r"| \!\[x\](https://example.com/p.png) |",
        r"| \[Refund\](https://example.com) |",
        r"| \*SALE\* \_\_ITEM\_\_ \~\~x\~\~ |",
    ]


def test_an_empty_frame_is_a_header_and_no_rows():
    assert rows_of(metadata.table_preview(pd.DataFrame({"a": []})))[-1] == "0 of 0 rows"
    assert rows_of(metadata.table_preview(pd.DataFrame())) == ["No columns."]


def test_dagster_accepts_both_as_asset_metadata():
    frame = pd.DataFrame({"share": [np.float64(0.5)]})
    dg.AssetMaterialization("x", metadata={"figure": metadata.image(b"png"), "rows": metadata.table_preview(frame)})


def test_importing_metadata_does_not_import_matplotlib():
    code = "import sys, segmentation_pipeline.reporting.metadata; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
