"""Planning: which assets are out of date on which days, as runs of the jobs that the UI knows.

Belongs here: comparing the lake with the source and the settings. Does not: running anything (running.py).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from segmentation_pipeline.errors import PipelineError
from segmentation_pipeline.resources.freshness import Freshness
from segmentation_pipeline.resources.model_store import ModelStore
from segmentation_pipeline.resources.sources.source import TransactionSource
from segmentation_pipeline.settings import Settings

TRANSACTIONS = (
    "raw_transactions",
    "clean_transactions",
    "quarantined_transactions",
    "customer_orders",
)
RETURNS = ("customer_returns",)
FEATURES = ("rfm_features", "feature_exploration")
SEGMENTS = ("customer_segments", "segment_migration", "segment_drift", "segment_profiles", "segment_report")
QUALITY = ("quality_report",)
PUBLISHING = ("published_segments", "segment_export")  # of these, those that are configured
MODEL = ("k_diagnostics", "segmentation_model")

# Stretches of stale days with fewer days between them are run as one: doing a few days again is cheaper than a run.
GAP_DAYS = 14


class AsOfError(PipelineError):
    """The as-of day cannot be computed; the message says which days can."""


@dataclass(frozen=True)
class PlannedRun:
    """One run: a job, some or all of its assets, and the first and last day (None for assets without days)."""

    job: str
    assets: tuple[str, ...]
    first_day: date | None = None
    last_day: date | None = None


def as_of_day(settings: Settings, source: TransactionSource, wished: date | None, now: datetime) -> date:
    """The day to compute: the one wished for, or else the last day of sale that has ended and is in the source.

    Raises:
        AsOfError: It is before the first sale, after end_date, not over yet, or there is no sale at all.
    """
    first, last = source.first_day(), source.last_day()
    if first is None or last is None:
        raise AsOfError(
            f"No row of {source.place} has a day of sale between start_date {settings.start_date} and end_date "
            f"{settings.end_date or '(open)'}. `segmentation check-source` shows what the rows look like."
        )
    yesterday = now.astimezone(settings.zone).date() - timedelta(days=1)
    end = min(yesterday, settings.end_date or yesterday)
    day = wished or min(last, end)
    if not first <= day <= end:
        raise AsOfError(
            f"There are no segments as of {day}: the first sale is on {first}, and the last day to be had is {end}."
        )
    return day


def plan(settings: Settings, freshness: Freshness, models: ModelStore, as_of: date) -> list[PlannedRun]:
    """The runs that bring everything up to date to a day, in order; none if nothing is new.

    Earlier days whose segments never reached the database are published with the day, in order, once the rest is done.
    """
    days = [settings.start_date + timedelta(days=number) for number in range((as_of - settings.start_date).days + 1)]
    expected = freshness.expected(days)

    def stale(assets: Sequence[str], of: Sequence[date]) -> list[date]:
        return sorted({day for asset in assets for day in freshness.stale(asset, of, expected)})

    touched, returned = stale(TRANSACTIONS, days), stale(RETURNS, days)
    has_model = bool(models.digest())
    snapshot = bool(touched or returned or not has_model or stale((*FEATURES, *SEGMENTS), [as_of]))
    missed = freshness.unpublished(as_of)
    publishing = [asset for asset in PUBLISHING if asset in freshness.assets]
    segments = (*SEGMENTS, *QUALITY, *([] if missed else publishing))
    is_published_alone = missed or (not snapshot and stale(publishing, [as_of]))
    published = _publications(publishing, [*missed, as_of]) if is_published_alone else []
    if touched == returned == [as_of] and has_model:
        night = (*TRANSACTIONS, *RETURNS, *FEATURES, *segments)
        return [PlannedRun("nightly_refresh", night, as_of, as_of), *published]
    lost = freshness.lost_days()
    if touched == returned:
        runs = by_stretch((*TRANSACTIONS, *RETURNS), touched, apart_at=lost)
    else:
        runs = [*by_stretch(TRANSACTIONS, touched, apart_at=lost), *by_stretch(RETURNS, returned)]
    if snapshot and has_model:
        runs.append(PlannedRun("nightly_refresh", (*FEATURES, *segments), as_of, as_of))
    elif snapshot:
        runs.append(PlannedRun("nightly_refresh", FEATURES, as_of, as_of))
        runs.append(PlannedRun("refit_model", MODEL))
        runs.append(PlannedRun("nightly_refresh", segments, as_of, as_of))
    return [*runs, *published]


def quality_run(day: date) -> PlannedRun:
    """The run that draws what the gates found up to a day."""
    return PlannedRun("nightly_refresh", QUALITY, day, day)


def _publications(assets: Sequence[str], days: Sequence[date]) -> list[PlannedRun]:
    return [replace(run, job="publish") for run in by_stretch(tuple(assets), days, gap_days=1)]


def by_stretch(
    assets: tuple[str, ...], days: Sequence[date], gap_days: int = GAP_DAYS, apart_at: Collection[date] = ()
) -> list[PlannedRun]:
    """One run for days that are at most `gap_days` apart, with those between them, unless one cannot be computed again."""
    stretches: list[tuple[date, date]] = []
    for day in days:
        last = stretches[-1][1] if stretches else None
        if last and (day - last).days <= gap_days and not any(last < each < day for each in apart_at):
            stretches[-1] = (stretches[-1][0], day)
        else:
            stretches.append((day, day))
    return [PlannedRun("nightly_refresh", assets, first, last) for first, last in stretches]
