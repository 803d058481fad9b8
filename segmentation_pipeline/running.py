"""Running: planned runs as runs of Dagster's jobs in this process, recorded like those of the UI.

Belongs here: launching, progress, what went wrong in plain words. Does not: what to run (planning.py).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import dagster as dg
from dagster._core.storage.dagster_run import make_new_run_id
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from segmentation_pipeline import interrupts
from segmentation_pipeline.errors import PipelineError
from segmentation_pipeline.jobs import LAKE_TAG
from segmentation_pipeline.partitions import FIRST_DAY_TAG, LAST_DAY_TAG
from segmentation_pipeline.planning import PlannedRun
from segmentation_pipeline.resources.run_launcher import MACHINE_TAG, machine

STEP_NAMES = {
    "raw_transactions": "reading the source",
    "clean_transactions": "cleaning",
    "customer_orders": "grouping orders",
    "customer_returns": "matching returns",
    "rfm_features": "computing features",
    "feature_exploration": "exploring features",
    "k_diagnostics": "choosing k",
    "segmentation_model": "fitting the model",
    "customer_segments": "scoring customers",
    "segment_migration": "comparing with before",
    "segment_drift": "measuring drift",
    "segment_profiles": "profiling segments",
    "segment_report": "drawing the report",
    "quality_report": "drawing data quality",
    "published_segments": "publishing segments",
    "segment_export": "exporting changes",
}

# Whoever typed the command sees that it failed; the daemon of the same instance leaves its runs alone.
MAX_RETRIES_TAG = "dagster/max_retries"


class RunFailed(PipelineError):
    """A run failed for a reason the pipeline does not know; the message says where to look."""


@dataclass
class Stages:
    """Seconds each step took, in the order they ran, and the checks that stopped a run, each with its remedy."""

    seconds: dict[str, float] = field(default_factory=dict)
    failed_checks: list[str] = field(default_factory=list)
    _started: dict[str, float] = field(default_factory=dict)

    def observe(self, entry: dg.EventLogEntry) -> None:
        """Take note of a step's start or end, or of a check that failed."""
        event = entry.dagster_event
        if event is None or event.step_key is None:
            return
        if event.is_step_start:
            self._started[event.step_key] = entry.timestamp
        elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data
            if not check.passed and check.severity == dg.AssetCheckSeverity.ERROR:
                self.failed_checks.append(
                    f"{check.asset_key.to_user_string()}: {check.check_name}: {check.description}"
                )
        elif event.is_step_success:
            spent = entry.timestamp - self._started[event.step_key]
            self.seconds[event.step_key] = self.seconds.get(event.step_key, 0.0) + spent


def execute(
    definitions: dg.Definitions, instance: dg.DagsterInstance, runs: Sequence[PlannedRun], as_of: date, verbose: bool
) -> Stages:
    """Run every planned run in turn, with a progress bar or, if verbose, Dagster's own log lines.

    Raises:
        PipelineError: A run failed or was interrupted; those after it were not started.
    """
    stages = Stages()
    lake = str((definitions.resources or {})["lake"].root)
    with _progress(verbose, total=sum(_steps(run) for run in runs)) as show:
        for run in runs:
            run_id = make_new_run_id()

            def watch(entry: dg.EventLogEntry) -> None:
                stages.observe(entry)
                show(entry)

            instance.add_event_listener(run_id, watch)
            with interrupts.ends_in_interrupted():
                try:
                    _execute_one(definitions.resolve_job_def(run.job), instance, run, run_id, as_of, verbose, lake)
                except Exception as problem:
                    raise _in_plain_words(problem, run_id, stages.failed_checks) from problem
    return stages


def forget(definitions: dg.Definitions, instance: dg.DagsterInstance, digest: str) -> dict[str, Any]:
    """Run the job that forgets a customer, and return rows and partitions by table.

    Raises:
        PipelineError: The run failed; it can be done again.
    """
    run_id = make_new_run_id()
    config = {"ops": {"erase": {"config": {"digest": digest}}}, "loggers": _quiet("CRITICAL")}
    lake = str((definitions.resources or {})["lake"].root)
    with interrupts.ends_in_interrupted():
        try:
            done = definitions.resolve_job_def("forget_customer").execute_in_process(
                instance=instance,
                run_id=run_id,
                run_config=config,
                tags={LAKE_TAG: lake, MACHINE_TAG: machine(), MAX_RETRIES_TAG: "0"},
            )
        except Exception as problem:
            raise _in_plain_words(problem, run_id, []) from problem
    (output,) = done.filter_events(lambda event: event.is_successful_output)
    return {name: each.value for name, each in output.step_output_data.metadata.items()}


def _quiet(level: str) -> dict[str, object]:
    """What is shown of Dagster's own log lines."""
    return {"console": {"config": {"log_level": level}}}


def _execute_one(
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    run: PlannedRun,
    run_id: str,
    as_of: date,
    verbose: bool,
    lake: str,
) -> None:
    days = {}
    if run.first_day and run.last_day and run.first_day != run.last_day:
        days = {FIRST_DAY_TAG: run.first_day.isoformat(), LAST_DAY_TAG: run.last_day.isoformat()}
    level = "INFO" if verbose else "CRITICAL"
    config: dict[str, object] = {"loggers": _quiet(level)}
    if run.job == "refit_model":
        config["ops"] = {"k_diagnostics": {"config": {"as_of": as_of.isoformat()}}}
    job.execute_in_process(
        instance=instance,
        run_id=run_id,
        run_config=config,
        tags={**days, LAKE_TAG: lake, MACHINE_TAG: machine(), MAX_RETRIES_TAG: "0"},
        partition_key=run.first_day.isoformat() if run.first_day and not days else None,
        asset_selection=[dg.AssetKey(asset) for asset in run.assets],
    )


def _in_plain_words(problem: BaseException, run_id: str, failed_checks: Sequence[str]) -> PipelineError:
    causes = _causes(problem)
    for cause in causes:
        if isinstance(cause, PipelineError):
            return cause
    if failed_checks:
        listed = "\n".join(f"  {check}" for check in failed_checks)
        return RunFailed(
            f"Checks that must hold failed, so nothing after them was computed:\n{listed}\n"
            f"Their details are in the Dagster UI (make ui), run {run_id}."
        )
    cause = next((each for each in reversed(causes) if not isinstance(each, dg.DagsterError)), problem)
    return RunFailed(
        f"The run {run_id} failed: {type(cause).__name__}: {cause}\n"
        "Its log is in the Dagster UI (make ui); --verbose shows it here."
    )


def _causes(problem: BaseException) -> list[BaseException]:
    """An exception and what led to it, outermost first; Dagster re-raises across generators, so the chain may be a ring."""
    found: list[BaseException] = []
    cause: BaseException | None = problem
    while cause is not None and not any(cause is each for each in found):
        found.append(cause)
        cause = cause.__cause__ or cause.__context__
    return found


def _steps(run: PlannedRun) -> int:
    return len(run.assets) - ("quarantined_transactions" in run.assets)


@contextmanager
def _progress(verbose: bool, total: int) -> Iterator[Callable[[dg.EventLogEntry], None]]:
    """A bar that follows the steps of the runs; nothing where Dagster's own lines are shown."""
    console = Console(stderr=True)
    if verbose:
        yield lambda _entry: None
        return
    columns = [
        SpinnerColumn(),
        TextColumn("{task.description:<20}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    ]
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=total)

        def follow(entry: dg.EventLogEntry) -> None:
            event = entry.dagster_event
            if event is None or event.step_key is None:
                return
            if event.is_step_start:
                bar.update(task, description=STEP_NAMES.get(event.step_key, "checking"))
            elif event.is_step_success and event.step_key in STEP_NAMES:
                bar.advance(task)

        yield follow
