"""Schedules: when jobs run.

Belongs here: the night's run, with the nights that were missed, and the model's. Does not: what runs (jobs.py), what is
looked for between the nights (sensors/).
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

import dagster as dg

from segmentation_pipeline import jobs
from segmentation_pipeline.partitions import tags_of_days
from segmentation_pipeline.resources.annotations import Lake, ModelStore
from segmentation_pipeline.settings import ConfigurationError, Settings

Clock = Callable[[], datetime]


def _now() -> datetime:
    return datetime.now(UTC)


def nightly(settings: Settings, now: Clock = _now) -> dg.ScheduleDefinition:
    """The day that has just ended, every night at the configured time in the shop's time zone.

    Nights that were missed (the daemon was down, a run failed) are caught up with in one run over their days: of the
    ticks that Dagster makes up for, only the last requests a run, from the day after the last one with segments. The
    day that has just ended is the run key, so that a restarted daemon never runs a night twice.

    Args:
        settings: When, in which zone, and which days the shop has.
        now: Tells the time; tells whether a tick is one of a night that was missed.
    """

    @dg.schedule(
        job=jobs.nightly_refresh,
        name="nightly_refresh_schedule",
        cron_schedule=f"{settings.schedule.minute} {settings.schedule.hour} * * *",
        execution_timezone=settings.timezone,
        default_status=_status(settings.schedule.is_on),
        description="Refreshes every daily asset for the day that has just ended, and for those of nights that were missed.",
    )
    def nightly_refresh_schedule(
        context: dg.ScheduleEvaluationContext, lake: dg.ResourceParam[Lake], models: dg.ResourceParam[ModelStore]
    ) -> dg.RunRequest | dg.SkipReason:
        night = context.scheduled_execution_time.astimezone(settings.zone).date()
        day = night - timedelta(days=1)
        if day < settings.start_date or (settings.end_date is not None and day > settings.end_date):
            return dg.SkipReason(
                f"{day} is not between start_date {settings.start_date} and end_date {settings.end_date}."
            )
        if _begins(settings, night + timedelta(days=1)) <= now():
            return dg.SkipReason(f"This night was missed. The last night's run catches up with {day}.")
        first = _first_missing(lake, day)
        if first is None or not models.digest():
            return dg.SkipReason(
                "There are no segments of an earlier day yet, or no model in force. `segmentation run` makes the first "
                "ones; docs/operations.md tells how to do it here. Every night after that is this schedule's."
            )
        return dg.RunRequest(run_key=day.isoformat(), tags=tags_of_days(first, day))

    return nightly_refresh_schedule


def refit(settings: Settings) -> dg.ScheduleDefinition:
    """A new model now and then, on the last day of features. Off until it is switched on in the UI.

    Raises:
        ConfigurationError: The moments that `schedule.refit_cron` names never come, such as a 30 February.
    """
    cron = settings.schedule.refit_cron
    try:
        return dg.ScheduleDefinition(
            job=jobs.refit_model,
            name="refit_model_schedule",
            cron_schedule=cron,
            execution_timezone=settings.timezone,
            description="Fits a model on the last day of features; it is put in force as model.promote says.",
        )
    except dg.DagsterInvalidDefinitionError as problem:
        raise ConfigurationError(f"schedule.refit_cron: {cron!r} names no moment that ever comes") from problem


def deadline(settings: Settings) -> dg.FreshnessPolicy | None:
    """By when each day's segments must be there; none for a closed data set, which has no next day."""
    if settings.end_date is not None:
        return None
    schedule = settings.schedule
    hour = (schedule.hour + schedule.deadline_hours) % 24
    return dg.FreshnessPolicy.cron(
        deadline_cron=f"{schedule.minute} {hour} * * *",
        lower_bound_delta=timedelta(hours=schedule.deadline_hours),
        timezone=settings.timezone,
    )


def _status(is_on: bool) -> dg.DefaultScheduleStatus:
    return dg.DefaultScheduleStatus.RUNNING if is_on else dg.DefaultScheduleStatus.STOPPED


def _begins(settings: Settings, night: date) -> datetime:
    """When a night's run is due."""
    return datetime.combine(night, time(settings.schedule.hour, settings.schedule.minute), settings.zone)


def _first_missing(lake: Lake, day: date) -> date | None:
    """The first day after the last one before `day` that has segments; None if none has."""
    earlier = [each for each in lake.days("customer_segments") if each < day]
    return earlier[-1] + timedelta(days=1) if earlier else None
