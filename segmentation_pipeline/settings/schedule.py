"""The schedule's part of the configuration: when jobs run, and what is tried again.

Belongs here: `schedule`. Does not: the schedules and sensors that go by it.
"""

from typing import Annotated

from pydantic import Field, field_validator

from segmentation_pipeline.settings.section import Section

_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


class Schedule(Section):
    """When jobs run, in the shop's time zone, and what is tried again."""

    hour: Annotated[int, Field(ge=0, le=23)] = 3
    """Hour of the night's run."""
    minute: Annotated[int, Field(ge=0, le=59)] = 0
    """Minute of the night's run."""
    deadline_hours: Annotated[int, Field(ge=1, le=23)] = Field(
        3, description="Hours after the night's run began by which its segments must be there; later they are stale."
    )
    refit_cron: str = Field(
        "30 5 1 * *", description="When refit_model_schedule runs, as minute, hour, day of month, month, day of week."
    )
    refit_on_drift: bool = Field(
        False, description="Whether drift beyond drift.act requests a refit, at most one a week for a model."
    )
    is_on: bool = Field(
        False,
        description="Whether nightly_refresh_schedule and new_data_sensor are on without being switched on in the UI.",
    )
    check_seconds: Annotated[int, Field(ge=5)] = Field(
        60, description="Seconds between two looks of new_data_sensor at the source."
    )
    max_retries: Annotated[int, Field(ge=0, le=10)] = Field(
        3,
        description="How often a step is tried again after a fault that may pass by itself, such as a lost connection.",
    )
    retry_seconds: Annotated[float, Field(ge=0)] = Field(
        15.0, description="Seconds before the first of these; each wait is twice as long as the one before."
    )

    @field_validator("refit_cron")
    @classmethod
    def _five_parts(cls, value: str) -> str:
        parts = value.split()
        if len(parts) != len(_RANGES) or not all(map(_is_allowed, parts, _RANGES)):
            raise ValueError("give minute, hour, day of month, month and day of week, such as '30 5 1 * *'")
        return value


def _is_allowed(part: str, limits: tuple[int, int]) -> bool:
    """Whether a part of a cron schedule is `*`, `*/n`, or numbers, ranges and lists of them within limits."""
    least, most = limits
    for each in part.split(","):
        span, _, step = each.partition("/")
        numbers = [] if span == "*" else span.split("-")
        if "/" in each and not (step.isdigit() and int(step) > 0):
            return False
        if len(numbers) > 2 or not all(number.isdigit() and least <= int(number) <= most for number in numbers):
            return False
    return True
