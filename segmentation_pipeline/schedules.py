"""Schedules: when jobs run.

Belongs here: the night's run. Does not: what runs (jobs.py).
"""

from datetime import timedelta

import dagster as dg

from segmentation_pipeline import jobs
from segmentation_pipeline.settings import Settings


def nightly(settings: Settings) -> dg.ScheduleDefinition:
    """The day that has just ended, every night at the configured time in the shop's time zone.

    The day is the run key, so that a restarted daemon never runs a day twice. A night outside the shop's calendar (a
    closed data set) is skipped, with the reason in the UI.
    """

    @dg.schedule(
        job=jobs.nightly_refresh,
        name="nightly_refresh_schedule",
        cron_schedule=f"{settings.schedule.minute} {settings.schedule.hour} * * *",
        execution_timezone=settings.timezone,
        description="Refreshes every daily asset for the day that has just ended.",
    )
    def nightly_refresh_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        night = context.scheduled_execution_time.astimezone(settings.zone).date()
        day = night - timedelta(days=1)
        if day < settings.start_date or (settings.end_date is not None and day > settings.end_date):
            return dg.SkipReason(
                f"{day} is not between start_date {settings.start_date} and end_date {settings.end_date}."
            )
        return dg.RunRequest(run_key=day.isoformat(), partition_key=day.isoformat())

    return nightly_refresh_schedule
