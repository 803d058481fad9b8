"""Alerts: what people who do not look at the UI are told, and what they can do about it.

Belongs here: the four kinds, their words and their ids, and which days' segments are overdue.
Does not: finding out what happened (sensors/), sending (resources/webhook.py), remembering what was sent
(resources/sent_alerts.py).

An id is the same whenever the same thing is found again, and can be the name of a file.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from segmentation_pipeline.settings import Settings

Kind = Literal["failed_gate", "failed_run", "stale_segments", "held_back_model"]

MODEL_STEPS = ("k_diagnostics", "segmentation_model")
LONGEST_TEXT = 3_000


@dataclass(frozen=True)
class Alert:
    """Something that happened once.

    Attributes:
        kind: Of the four.
        id: Tells it from every other alert of the shop.
        title: What happened, in a few words.
        text: What happened, why, and what to do.
        at: When, with a time zone.
        asset: Which table or step it is about, if one.
        days: Which days of sale or as-of days, such as `2025-07-01 to 2025-07-05, 2025-07-09`; None if it is about none.
        run_id: The run that failed, if one did.
    """

    kind: Kind
    id: str
    title: str
    text: str
    at: datetime
    asset: str | None = None
    days: str | None = None
    run_id: str | None = None

    def payload(self, shop: str, ui_url: str | None) -> dict[str, str | None]:
        """What the webhook is sent, as docs/alerts.md describes it; `text` alone is a whole message for a chat."""
        url = f"{ui_url.rstrip('/')}/runs/{self.run_id}" if ui_url and self.run_id else None
        told = self.text if len(self.text) <= LONGEST_TEXT else f"{self.text[:LONGEST_TEXT]} …"
        return {
            "id": self.id,
            "kind": self.kind,
            "shop": shop,
            "title": self.title,
            "text": "\n".join([f"{shop}: {self.title}", told, *([url] if url else [])]),
            "asset": self.asset,
            "days": self.days,
            "run_id": self.run_id,
            "url": url,
            "at": self.at.astimezone(UTC).isoformat(timespec="seconds"),
        }


@dataclass(frozen=True)
class Failure:
    """A step that failed, or the whole run where no step did.

    Attributes:
        told: Why, in plain words.
        step: Which step.
        held_back: The days that a closed gate held back, or `the table`; None if it was no gate.
    """

    told: str
    step: str | None = None
    held_back: str | None = None


@dataclass(frozen=True)
class FailedRun:
    """A run that failed and is not tried again.

    Attributes:
        run_id: Of the run.
        what: What ran, such as `The run of nightly_refresh`.
        days: The days it was for, if any.
        at: When it failed.
        failures: What failed, in the order it did.
    """

    run_id: str
    what: str
    days: str | None
    at: datetime
    failures: Sequence[Failure]


@dataclass(frozen=True)
class KeptModel:
    """A refitted model that passed its gate and was not put in force.

    Attributes:
        run_id: Of the refit.
        version: In the model store.
        as_of: The day whose customers it was fitted on.
        why: From its card.
        at: When it was kept.
    """

    run_id: str
    version: str
    as_of: str
    why: str
    at: datetime


def of_failed_run(run: FailedRun) -> Iterator[Alert]:
    """One alert for each gate that was closed, and one for everything else that failed."""
    others = []
    for failure in run.failures:
        if failure.held_back is None or failure.step is None:
            others.append(failure)
        else:
            yield _of_gate(run, failure.step, failure.told, failure.held_back)
    if others:
        yield _of_run(run, others)


def of_kept_model(model: KeptModel) -> Alert:
    """A model that waits for somebody to decide."""
    return Alert(
        kind="held_back_model",
        id=f"held_back_model-{model.run_id}-segmentation_model",
        title=f"Model version {model.version} was not put in force",
        text=f"{model.why} The model in force keeps serving. `segmentation model list` shows both; "
        f"`segmentation model use {model.version}` puts this one in force.",
        at=model.at,
        asset="segmentation_model",
        days=model.as_of,
        run_id=model.run_id,
    )


def of_stale_day(settings: Settings, day: date, due: datetime) -> Alert:
    """A day whose segments did not come."""
    hours = settings.schedule.deadline_hours
    return Alert(
        kind="stale_segments",
        id=f"stale_segments-{day}",
        title=f"No segments of {day}",
        text=f"customer_segments of {day} were still not there {hours} hours after the night's run was due. Whoever reads "
        "segments sees those of an earlier day. See in the Dagster UI whether the run of that night was started (is the "
        "daemon running, the schedule switched on?), failed, or was held back by a gate. When the cause is mended, "
        "`segmentation run` brings everything up to date.",
        at=due,
        asset="customer_segments",
        days=day.isoformat(),
    )


def days_due(settings: Settings, after: datetime, until: datetime) -> Iterator[tuple[date, datetime]]:
    """Days of a live feed whose segments were due after one moment and until another, each with the moment.

    A closed data set has none: nothing is to come every night.
    """
    if settings.end_date is not None:
        return
    patience = timedelta(hours=settings.schedule.deadline_hours)
    day = max(settings.start_date, (after - patience).astimezone(settings.zone).date() - timedelta(days=2))
    while day < until.astimezone(settings.zone).date():
        night = day + timedelta(days=1)
        at = datetime(
            night.year, night.month, night.day, settings.schedule.hour, settings.schedule.minute, tzinfo=settings.zone
        )
        due = at.astimezone(UTC) + patience  # hours that pass, also in a night when the clocks change
        if after < due <= until:
            yield day, due
        day = night


def _of_gate(run: FailedRun, step: str, told: str, held_back: str) -> Alert:
    kind: Kind = "held_back_model" if step in MODEL_STEPS else "failed_gate"
    days = None if held_back == "the table" else held_back
    return Alert(
        kind=kind,
        id=f"{kind}-{run.run_id}-{step}",
        title=f"A refit did not pass the gate of {step}"
        if kind == "held_back_model"
        else f"Gate closed: {step}{_of(days)}",
        text=told,
        at=run.at,
        asset=step,
        days=days,
        run_id=run.run_id,
    )


def _of_run(run: FailedRun, failures: Sequence[Failure]) -> Alert:
    first = failures[0]
    more = [failure.step for failure in failures[1:] if failure.step]
    told = [first.told]
    if more:
        told.append(f"Other steps failed too: {', '.join(more)}.")
    told.append(
        f"The log is in the Dagster UI, run {run.run_id}. When the cause is mended, `segmentation run` does what is missing."
    )
    return Alert(
        kind="failed_run",
        id=f"failed_run-{run.run_id}",
        title=f"{run.what}{_of(run.days)} failed{f' at {first.step}' if first.step else ''}",
        text="\n".join(told),
        at=run.at,
        asset=first.step,
        days=run.days,
        run_id=run.run_id,
    )


def _of(days: str | None) -> str:
    return f" of {days}" if days else ""
