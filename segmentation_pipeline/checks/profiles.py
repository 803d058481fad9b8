"""Profiles that are kept: what was measured of the days that stand in the lake.

Belongs here: profiles as records beside their partitions, and back. Does not: measuring (core/profiling/), judging.
"""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import pandas as pd

from segmentation_pipeline.checks.stages import STAGES, Stage
from segmentation_pipeline.resources.lake import Lake, Profile


def records(profile: pd.DataFrame) -> dict[date, Profile]:
    """Each day of a profile as plain values, null as None."""
    return {
        pd.Timestamp(row["date"]).date(): {str(name): _plain(value) for name, value in row.items()}
        for row in profile.to_dict("records")
    }


def stored(lake: Lake, stage: Stage, days: Sequence[date]) -> pd.DataFrame:
    """The profiles of days that stand in the lake, as they were measured.

    Returns:
        One row per day that is there: `date` and the columns of `stage.measured`.
    """
    found = lake.profiles(stage.asset, days)
    frame = pd.DataFrame(
        {column.name: [profile.get(column.name) for profile in found.values()] for column in stage.measured}
    )
    for column in stage.measured:
        if column.type.startswith("decimal"):
            frame[column.name] = frame[column.name].map(Decimal)
        elif column.type.startswith("timestamp"):
            frame[column.name] = pd.to_datetime(frame[column.name], utc=True)
        elif column.type == "float64":
            frame[column.name] = frame[column.name].astype("float64")
    frame.insert(0, "date", pd.to_datetime(list(found)))
    return frame


def profile_of_cleaning(lake: Lake, first_day: date, last_day: date) -> pd.DataFrame:
    """One row per day from one day to another, with the columns of `profiling.clean`; money as floats."""
    days = [day for day in lake.days("clean_transactions") if first_day <= day <= last_day]
    return stored(lake, STAGES["clean_transactions"], days).astype({"revenue": float, "guest_revenue": float})


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist") and not isinstance(value, pd.Timestamp):  # of numpy: a list or a number
        value = value.tolist()
    if isinstance(value, list):
        return value
    return None if pd.isna(value) else value
