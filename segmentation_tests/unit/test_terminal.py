"""What a terminal shows: text of a source as it came, whatever it looks like."""

from datetime import date

import pandas as pd
import pytest

from segmentation_pipeline import terminal
from segmentation_pipeline.inspection import Quarantine, SourceInspection

ODD = "TEA [/2 cups] [red] :cat: C:\\["


@pytest.fixture
def printed(capsys):
    def show(found):
        terminal.console().print(found)
        return capsys.readouterr().out

    return show


def test_rows_are_shown_as_they_came(printed):
    reasons = pd.DataFrame({"reason": ["zero_price"], "rows": [1], "days": [1], "amount": [0], "description": ["-"]})
    days = pd.DataFrame({"date": [date(2025, 7, 1)], "reason": ["zero_price"], "rows": [1]})
    row = dict.fromkeys(terminal.SOURCE_COLUMNS, None) | {"description": ODD}
    samples = pd.DataFrame(
        [{**row, "reason": "zero_price", "failed_rules": ["zero_price"], "place": f"{ODD}.csv row 2"}]
    )
    shown = printed(terminal.quarantined(Quarantine(date(2025, 7, 1), date(2025, 7, 1), reasons, days, samples), "GBP"))
    assert f"description {ODD}" in shown
    assert f"{ODD}.csv row 2" in shown


def test_columns_and_examples_are_shown_as_the_source_has_them(printed):
    reasons = pd.DataFrame({"reason": ["zero_price"], "rows": [1], "description": ["-"], "examples": [[ODD]]})
    found = SourceInspection(
        place=f"{ODD}/*.csv",
        files=1,
        column_types={"unit_price": "text"},
        columns={"unit_price": "Price [gbp]"},
        rows=1,
        first_day=date(2025, 7, 1),
        last_day=date(2025, 7, 1),
        undated_rows=0,
        reasons=reasons,
    )
    shown = printed(terminal.inspected(found))
    assert "Price [gbp]" in shown
    assert shown.count(ODD) == 2
