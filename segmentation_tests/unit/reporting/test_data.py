"""The contract of report data: what is refused, and the order in which segments are shown."""

from dataclasses import replace

import pandas as pd
import pytest

from segmentation_pipeline.reporting.data import COLUMNS, in_display_order


@pytest.mark.parametrize("frame", COLUMNS)
def test_a_frame_that_lacks_a_column_is_refused_by_name(report, frame):
    column = COLUMNS[frame][-1]
    with pytest.raises(ValueError, match=rf"ReportData\.{frame} lacks the columns {column}"):
        replace(report, **{frame: getattr(report, frame).drop(columns=column)})


def test_segments_are_shown_by_revenue_with_net_zero_last():
    profiles = pd.DataFrame({"segment_id": [0, 1, 2, 3], "revenue_share": [0.9, 0.02, 0.05, 0.03]})
    assert in_display_order(profiles)["segment_id"].tolist() == [2, 3, 1, 0]


def test_segments_of_equal_or_unknown_revenue_keep_the_order_of_their_ids():
    profiles = pd.DataFrame({"segment_id": [3, 2, 4, 1], "revenue_share": [0.5, 0.5, float("nan"), float("nan")]})
    assert in_display_order(profiles)["segment_id"].tolist() == [2, 3, 1, 4]
