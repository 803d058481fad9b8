"""Run records: what Dagster wrote down of failed runs and of refits, in plain words.

Belongs here: which runs are this code location's, which failures are final, and what went wrong.
Does not: what people are told of it (core/alerting.py), when it is looked for (alerts.py).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module

import dagster as dg
from dagster._core.definitions.assets.job.asset_job import IMPLICIT_ASSET_JOB_NAME
from dagster._core.events import JobFailureData
from dagster._core.execution.plan.objects import StepFailureData
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, WILL_RETRY_TAG
from dagster._utils.error import SerializableErrorInfo

from segmentation_pipeline.core.alerting import FailedRun, Failure, KeptModel
from segmentation_pipeline.errors import PipelineError
from segmentation_pipeline.jobs import LAKE_TAG
from segmentation_pipeline.partitions import days_of_run

# A failed run that Dagster says it will retry, and has not after this time, is not retried any more.
RETRY_PATIENCE = timedelta(hours=1)
MOST_REFITS = 1_000
LONGEST_FOREIGN_TEXT = 300
PACKAGE = PipelineError.__module__.partition(".")[0]


@dataclass(frozen=True)
class Ours:
    """Which runs are of one shop, where several share an instance.

    Attributes:
        location: Name of the code location; None outside of a code server.
        repository: Its repository; None outside of a code server.
        lake: The folder of its lake, with which `segmentation run` tags its runs.
    """

    location: str | None
    repository: str | None
    lake: str

    def has(self, run: dg.DagsterRun) -> bool:
        """Whether a run was launched from the code location, or wrote to the lake."""
        if LAKE_TAG in run.tags:
            return run.tags[LAKE_TAG] == self.lake
        origin = run.remote_job_origin.repository_origin if run.remote_job_origin else None
        if origin is None:
            return self.location is None and self.repository is None
        return (origin.code_location_origin.location_name, origin.repository_name) == (self.location, self.repository)


def ours(context: dg.SensorEvaluationContext, lake: str) -> Ours:
    """The runs of the shop that a sensor looks for."""
    location = context.code_location_origin.location_name if context.code_location_origin else None
    return Ours(location, context.repository_name, lake)


@dataclass(frozen=True)
class Failed:
    """The failed runs of a stretch of time.

    Attributes:
        final: Those that stay failed.
        undecided_since: When the first one failed that Dagster may still retry, if there is one.
    """

    final: Sequence[FailedRun]
    undecided_since: datetime | None


def failed_runs(instance: dg.DagsterInstance, ours: Ours, since: datetime, now: datetime) -> Failed:
    """Runs that failed since a moment, without those that Dagster has retried: of them the last attempt counts."""
    wanted = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=since.astimezone(UTC))
    final, undecided = [], []
    for record in instance.get_run_records(wanted):
        run, at = record.dagster_run, _ended(record)
        if not ours.has(run) or at < since or AUTO_RETRY_RUN_ID_TAG in run.tags:
            continue
        if _may_be_retried(instance, run) and now - at < RETRY_PATIENCE:
            undecided.append(at)
        else:
            final.append(_failed_run(instance, run, at))
    return Failed(final, min(undecided, default=None))


def kept_models(instance: dg.DagsterInstance, ours: Ours, since: datetime) -> Iterator[KeptModel]:
    """Models that were kept and not put in force since a moment."""
    wanted = dg.AssetRecordsFilter(dg.AssetKey("segmentation_model"), after_timestamp=since.timestamp())
    for record in instance.fetch_materializations(wanted, limit=MOST_REFITS).records:
        materialization, run = record.asset_materialization, instance.get_run_by_id(record.run_id)
        if materialization is None or run is None or not ours.has(run):
            continue
        told = {name: value.value for name, value in materialization.metadata.items()}
        if told.get("is_put_in_force") is False:
            at = datetime.fromtimestamp(record.timestamp, UTC)
            yield KeptModel(run.run_id, str(told["version"]), str(told["as_of"]), str(told["promotion"]), at)


def _ended(record: dg.RunRecord) -> datetime:
    return datetime.fromtimestamp(record.end_time, UTC) if record.end_time else record.update_timestamp


def _may_be_retried(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """By its tag; where retries are switched on, the tag is written a moment after the failure."""
    return run.tags.get(WILL_RETRY_TAG, str(instance.run_retries_enabled)).lower() == "true"


def _failed_run(instance: dg.DagsterInstance, run: dg.DagsterRun, at: datetime) -> FailedRun:
    from segmentation_pipeline.resources.lake import in_ranges

    is_of_assets = run.job_name.startswith(IMPLICIT_ASSET_JOB_NAME)
    return FailedRun(
        run_id=run.run_id,
        what="A materialization" if is_of_assets else f"The run of {run.job_name}",
        days=in_ranges(days_of_run(run.tags)) or None,
        at=at,
        failures=list(_failed_steps(instance, run)) or [_failure_of_the_whole(instance, run)],
    )


def _failed_steps(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Iterator[Failure]:
    for event in _events(instance, run, dg.DagsterEventType.STEP_FAILURE):
        failure = event.event_specific_data
        if isinstance(failure, StepFailureData):
            said = failure.user_failure_data
            if said and said.description:
                held_back = said.metadata.get("held_back")
                yield Failure(said.description, event.step_key, str(held_back.value) if held_back else None)
            else:
                yield Failure(in_plain_words(failure.error), event.step_key)


def _failure_of_the_whole(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Failure:
    """No step failed: the process of the run died, or never began."""
    for event in _events(instance, run, dg.DagsterEventType.RUN_FAILURE):
        data = event.event_specific_data
        if isinstance(data, JobFailureData) and data.error:
            return Failure(in_plain_words(data.error))
        if event.message:
            return Failure(f"No step failed. Dagster says: {event.message.splitlines()[0]}")
    return Failure("No step failed, and Dagster does not say why.")


def _events(instance: dg.DagsterInstance, run: dg.DagsterRun, kind: dg.DagsterEventType) -> Iterator[dg.DagsterEvent]:
    for record in instance.get_records_for_run(run.run_id, of_type=kind).records:
        if record.event_log_entry.dagster_event:
            yield record.event_log_entry.dagster_event


def in_plain_words(error: SerializableErrorInfo | None) -> str:
    """The pipeline's own message if there is one, else the kind of the first cause and its first line, masked.

    A database's or a library's message may quote a row, and thus a customer: quoted text, addresses and words with
    digits are left out.
    """
    if error is None:
        return "The error was not recorded."
    chain = list(_chain(error))
    for each in chain:
        if _is_own(each):
            return _message(each)
    cause = next((each for each in reversed(chain) if not (each.cls_name or "Dagster").startswith("Dagster")), error)
    return f"{cause.cls_name}: {_masked(_message(cause))}".rstrip(": ")


def _chain(error: SerializableErrorInfo | None) -> Iterator[SerializableErrorInfo]:
    while error is not None:
        yield error
        error = error.cause or error.context


def _is_own(error: SerializableErrorInfo) -> bool:
    """Whether the pipeline worded it for people. Its module, which stands before its name, may not be loaded yet."""
    place, _, name = error.message.strip().partition(":")[0].rpartition(".")
    if name != error.cls_name or not place.startswith(f"{PACKAGE}."):
        return False
    try:
        kind = getattr(import_module(place), name, None)
    except ImportError:  # a release before this one had it
        return False
    return isinstance(kind, type) and issubclass(kind, PipelineError)


def _message(error: SerializableErrorInfo) -> str:
    """Without the name of the class, which Python puts before it."""
    name, _, text = error.message.strip().partition(": ")
    return text if name.endswith(error.cls_name or "") else error.message.strip()


def _masked(text: str) -> str:
    lines = text.strip().splitlines() or [""]
    return re.sub(r"""(?<!\w)'[^']*'|"[^"]*"|\S+@\S+|\b\w*\d\w*\b""", "…", lines[0])[:LONGEST_FOREIGN_TEXT]
