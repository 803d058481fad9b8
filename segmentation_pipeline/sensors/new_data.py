"""New data: requests what new, changed and late rows of the source make necessary.

Belongs here: when to look, and requests of runs. Does not: what is due (catching_up.py), the source (resources/sources/).
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from segmentation_pipeline import jobs
from segmentation_pipeline.partitions import tags_of_days
from segmentation_pipeline.resources.annotations import Freshness, Lake, TransactionSource
from segmentation_pipeline.settings import Settings

if TYPE_CHECKING:
    from segmentation_pipeline.catching_up import Due

NAME = "new_data_sensor"
BECAUSE_TAG = "segmentation/because"
NAMES_SHOWN = 5
SECONDS_IN_VAIN = 900
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dataclass(frozen=True)
class Seen:
    """What the sensor remembers from one look to the next.

    Attributes:
        state: What the source held when nothing more was to be requested; empty while there may be.
        tried: Keys of what was due at the last look, requested then or before.
        requests: How often runs were requested. It is part of their run keys, so that content that comes back is
            requested again, and a look that was cut short requests nothing twice.
        told: What is in vain, if anything.
    """

    state: str = ""
    tried: tuple[str, ...] = ()
    requests: int = 0
    told: str = ""

    @classmethod
    def read(cls, cursor: str | None) -> "Seen":
        """What was written, or nothing."""
        found = json.loads(cursor) if cursor else {}
        return cls(
            found.get("state", ""), tuple(found.get("tried", ())), found.get("requests", 0), found.get("told", "")
        )

    def written(self) -> str:
        """As the sensor's cursor."""
        return json.dumps(asdict(self))


def new_data(settings: Settings, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> dg.SensorDefinition:
    """Looks at the source every `schedule.check_seconds`, and requests runs for what changed in it.

    One step at a time: the days that new or changed rows touch; when these are done, what looks back on them; then the
    snapshots that are stale, newest first. Each request's key is made from the content it is for, so the same content is
    requested once, however often the sensor looks or restarts.

    Args:
        settings: How often, and which days the shop has.
        now: Tells the time; only days that have ended are requested.
    """

    @dg.sensor(
        job=jobs.nightly_refresh,
        name=NAME,
        minimum_interval_seconds=settings.schedule.check_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING if settings.schedule.is_on else dg.DefaultSensorStatus.STOPPED,
        description="Requests the days that new or changed rows touch, and then the snapshots that are stale.",
    )
    def new_data_sensor(
        context: dg.SensorEvaluationContext,
        source: dg.ResourceParam[TransactionSource],
        freshness: dg.ResourceParam[Freshness],
        lake: dg.ResourceParam[Lake],
    ) -> dg.SensorResult | dg.SkipReason:
        from segmentation_pipeline import catching_up
        from segmentation_pipeline.sensors import run_records

        ours = run_records.ours(context, str(lake.root))
        requested = dg.RunsFilter(tags={"dagster/sensor_name": NAME}, statuses=UNFINISHED)
        under_way = [run for run in context.instance.get_runs(requested) if ours.has(run)]
        if under_way:
            return dg.SkipReason(f"Run {under_way[0].run_id} is under way; what comes after it is looked for then.")
        last = now().astimezone(settings.zone).date() - timedelta(days=1)
        last = min(last, settings.end_date or last)
        days = [settings.start_date + timedelta(days=number) for number in range((last - settings.start_date).days + 1)]
        state = f"{last} {source.state()}"
        seen = Seen.read(context.cursor)
        in_vain = f"{state} {now().timestamp() // SECONDS_IN_VAIN:.0f}"  # it may be mended at any time
        if seen.state in (state, in_vain):
            return dg.SkipReason(seen.told or _nothing_new(source))
        source.refresh()
        due = catching_up.due(freshness, lake, days, seen.tried)
        new = [each for each in due if each.key not in seen.tried]
        vain = [each for each in due if each.key in seen.tried]
        keys = tuple(each.key for each in due)
        told = _in_vain(vain[0]) if vain else ""
        looked = "" if new else in_vain if vain else state
        context.update_cursor(Seen(looked, keys, seen.requests + bool(new), told).written())
        if not new:
            return dg.SkipReason(told or _nothing_new(source))
        for each in new:
            context.log.info(f"{_named(each)}: {each.reason}.")
        return dg.SensorResult(
            run_requests=[_request(each, seen.requests, len(new) - place) for place, each in enumerate(new)]
        )

    return new_data_sensor


def _request(due: "Due", requests: int, priority: int) -> dg.RunRequest:
    first, last = due.run.first_day, due.run.last_day
    assert first and last
    return dg.RunRequest(
        run_key=f"{due.key}:{requests}",
        asset_selection=[dg.AssetKey(asset) for asset in due.run.assets],
        tags={**tags_of_days(first, last), "dagster/priority": str(priority), BECAUSE_TAG: due.reason},
    )


def _named(due: "Due") -> str:
    first, last = due.run.first_day, due.run.last_day
    span = f"{first}" if first == last else f"{first} to {last}"
    return f"{due.run.assets[0]}{' and what follows' if len(due.run.assets) > 1 else ''} of {span}"


def _nothing_new(source: TransactionSource) -> str:
    told = [f"Nothing in {source.place} has changed."]
    if waiting := source.waiting():
        told.append(f"Still growing, and left until they have stopped: {_some(waiting)}.")
    if removed := source.removed():
        told.append(f"No longer there, their rows kept (source.removed_files): {_some(removed)}.")
    return " ".join(told)


def _in_vain(due: "Due") -> str:
    return (
        f"{_named(due)} was requested before and is still out of date ({due.reason}): its run failed or held days back. "
        "Look at its checks, and mend the source or the settings, or run it again in the UI."
    )


def _some(names: list[str]) -> str:
    more = [f"and {len(names) - NAMES_SHOWN} more"] if len(names) > NAMES_SHOWN else []
    return ", ".join(names[:NAMES_SHOWN] + more)
