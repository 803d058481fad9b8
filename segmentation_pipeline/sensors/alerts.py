"""Alerts: what went wrong since the last look is sent to the webhook, each alert once.

Belongs here: the sensor, which stretch of time it looks at, and the order of sending and marking.
Does not: reading Dagster's records (run_records.py), words (core/alerting.py), HTTP (resources/webhook.py).

A tick looks a little farther back than the one before it got, and leaves out what is marked as sent. The cursor moves on
only when everything found was delivered, so a webhook that is down for days loses nothing.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from segmentation_pipeline.core import alerting
from segmentation_pipeline.core.alerting import Alert
from segmentation_pipeline.resources.annotations import Lake
from segmentation_pipeline.resources.sent_alerts import AlreadySending, SentAlerts
from segmentation_pipeline.resources.webhook import NotDelivered, Webhook
from segmentation_pipeline.sensors import run_records
from segmentation_pipeline.settings import Settings

SECONDS_BETWEEN_LOOKS = 60
FIRST_LOOK_BACK = timedelta(days=1)
# Records are stored a moment after what they tell, and clocks of several machines differ.
OVERLAP = timedelta(hours=1)
# What is looked at is never older than the marks that are kept, so a mark that is gone is not missed.
FARTHEST_LOOK_BACK = timedelta(days=60)
MARKS_KEPT = timedelta(days=90)
# Dagster gives a tick a minute; what is left over is sent by the next one.
SECONDS_TO_SEND = 30

Clock = Callable[[], datetime]


def sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """The sensor where a webhook is configured, and none otherwise."""
    variable = settings.alerts.webhook_variable
    return [alert_sensor(settings, Webhook(variable))] if variable else []


def alert_sensor(settings: Settings, webhook: Webhook, clock: Clock = lambda: datetime.now(UTC)) -> dg.SensorDefinition:
    """Sends failed gates, failed runs, stale segments and held-back models to a webhook.

    Args:
        settings: The shop's.
        webhook: Takes the alerts.
        clock: Tells the time.
    """

    @dg.sensor(
        name="alert_sensor",
        minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Sends failed gates, failed runs, stale segments and held-back models to the webhook, once each.",
    )
    def look(context: dg.SensorEvaluationContext, lake: dg.ResourceParam[Lake]) -> dg.SensorResult:
        now = clock()
        sent = SentAlerts(lake.root / ".alerts")
        since = _since(context.cursor, sent.began(now), now)
        webhook.require()
        try:
            with sent.alone():
                found, looked_until = _found(context, settings, lake, since, now)
                waiting = [alert for alert in found if not sent.has(alert.id)]
                left = _send(waiting, webhook, sent, settings)
                sent.forget(now - MARKS_KEPT)
        except AlreadySending as problem:
            return dg.SensorResult(skip_reason=str(problem))
        cursor = context.cursor if left else looked_until.isoformat()
        return dg.SensorResult(skip_reason=_told(waiting, left), cursor=cursor)

    return look


def _since(cursor: str | None, began: datetime, now: datetime) -> datetime:
    """From where to look: until something was sent, from a day before the first look, however often that was in vain."""
    looked_until = min(began, now) - FIRST_LOOK_BACK if cursor is None else datetime.fromisoformat(cursor) - OVERLAP
    return max(looked_until, now - FARTHEST_LOOK_BACK)


def _found(
    context: dg.SensorEvaluationContext, settings: Settings, lake: Lake, since: datetime, now: datetime
) -> tuple[list[Alert], datetime]:
    """Everything since a moment, oldest first, and until when nothing is left to be decided."""
    ours = run_records.ours(context, str(lake.root))
    failed = run_records.failed_runs(context.instance, ours, since, now)
    found = [alert for run in failed.final for alert in alerting.of_failed_run(run)]
    found += [alerting.of_kept_model(model) for model in run_records.kept_models(context.instance, ours, since)]
    made = lake.days("customer_segments")
    oldest = made[0] if made else settings.start_date  # older ones were deleted since, or never asked for
    found += [
        alerting.of_stale_day(settings, day, due)
        for day, due in alerting.days_due(settings, since, now)
        if day >= oldest and day not in made
    ]
    return sorted(found, key=lambda alert: (alert.at, alert.id)), failed.undecided_since or now


def _send(waiting: Sequence[Alert], webhook: Webhook, sent: SentAlerts, settings: Settings) -> int:
    """Send alerts and mark those that were taken; one that is refused does not keep back those after it.

    Returns:
        How many there was no time for.

    Raises:
        NotDelivered: Some were refused; the others are marked.
    """
    refusals: list[str] = []
    end = time.monotonic() + SECONDS_TO_SEND
    left = len(waiting)
    for alert in waiting:
        if time.monotonic() > end:
            break
        left -= 1
        try:
            webhook.post(alert.payload(settings.shop, settings.alerts.ui_url))
        except NotDelivered as problem:
            refusals.append(str(problem))
        else:
            sent.mark(alert.id)
    if refusals:
        raise NotDelivered(
            f"{len(refusals)} of {len(waiting)} alerts were not delivered: {'; '.join(dict.fromkeys(refusals))}. They are "
            f"sent again by the next tick. The webhook's address is in the environment variable {webhook.variable}."
        )
    return left


def _told(waiting: Sequence[Alert], left: int) -> str:
    if not waiting:
        return "Nothing to report."
    titles = "; ".join(alert.title for alert in waiting[: len(waiting) - left])
    return f"Sent: {titles}.{f' {left} more are sent by the next tick.' if left else ''}"
