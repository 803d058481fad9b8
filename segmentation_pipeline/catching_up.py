"""Catching up: what the source brought since the lake was made, as runs of the nightly job.

Belongs here: which days are touched, and what is stale after them, in the order in which it is to be mended.
Does not: looking at the source (resources/sources/), requesting runs (sensors/), bringing one day fully up to date (planning.py).

Late data changes its own day and what looks back on it, and nothing else: first the touched days' transactions, then the
returns that look back on them, then the snapshots that stand in the lake, newest first, and at last the newest report, which
shows earlier days too. Each step begins when the one before it is done, since what is stale is read from the lake.
"""

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from segmentation_pipeline.planning import FEATURES, PUBLISHING, RETURNS, SEGMENTS, TRANSACTIONS, PlannedRun, by_stretch
from segmentation_pipeline.resources.freshness import REPORT, SNAPSHOT, Freshness
from segmentation_pipeline.resources.lake import Lake

RAW, CLEANED, ORDERS = TRANSACTIONS[0], TRANSACTIONS[1:], TRANSACTIONS[-1]


@dataclass(frozen=True)
class Due:
    """A run that is due, why, and a key that changes only when what it would be made from does."""

    run: PlannedRun
    reason: str
    key: str


def due(freshness: Freshness, lake: Lake, days: Sequence[date], tried: Collection[str] = ()) -> list[Due]:
    """The runs that are due now, in the order in which they should be carried out; none if the lake is up to date.

    Args:
        freshness: Tells what partitions are made from; its source has just been looked at.
        lake: Tells which days there are.
        days: The days that have ended, without a gap.
        tried: Keys of runs that were requested before. What follows from them is not waited for.

    Returns:
        The runs of the first step that has one not yet tried, and before them those that were tried in vain.
    """
    steps: tuple[Callable[[], list[Due]], ...] = (
        lambda: _runs(freshness, TRANSACTIONS, freshness.touched(days), "the source has other rows than the lake"),
        lambda: _runs(freshness, CLEANED, _behind(freshness, lake, days, CLEANED, RAW), "raw rows are not cleaned yet"),
        lambda: _runs(
            freshness,
            RETURNS,
            _behind(freshness, lake, days, RETURNS, ORDERS),
            "lines changed in the days that returns look back on",
        ),
        lambda: _snapshots(freshness, _stale_snapshots(freshness, lake, days)),
        lambda: _runs(freshness, (REPORT,), _stale_report(freshness, lake, days), "earlier days that it shows changed"),
    )
    found: list[Due] = []
    for step in steps:
        here = step()
        found += here
        if any(each.key not in tried for each in here):
            break
    return found


def _snapshots(freshness: Freshness, days: Sequence[date]) -> list[Due]:
    """The newest one by itself, with its report and where it is published, and then the older ones."""
    reason = "orders or returns of earlier days changed"
    published = tuple(asset for asset in PUBLISHING if asset in freshness.assets)
    older = _runs(freshness, (*FEATURES, *SEGMENTS), days[:-1], reason)
    newest = _runs(freshness, (*FEATURES, *SEGMENTS, *published), days[-1:], reason)
    return [*newest, *reversed(older)]


def _stale_snapshots(freshness: Freshness, lake: Lake, days: Sequence[date]) -> list[date]:
    """Days whose features are stale, or whose segments are of other features, as a run that stopped between them leaves them.

    Segments are those of the model that was in force on their night: another one does not make them stale.
    """
    both = set(lake.days(SNAPSHOT)) & set(lake.days(FEATURES[0]))  # features of old days may have been tidied away
    known = sorted(day for day in both if days and days[0] <= day <= days[-1])
    unscored = set(known) - freshness.scored(known)
    return sorted(unscored.union(_behind(freshness, lake, days, FEATURES[:1], FEATURES[0])))


def _stale_report(freshness: Freshness, lake: Lake, days: Sequence[date]) -> list[date]:
    """The newest snapshot's day, if its report shows earlier days as they were before they were done again, after it."""
    newest = [day for day in lake.days(SNAPSHOT) if days and days[0] <= day <= days[-1]][-1:]
    is_due = newest and not _stale_snapshots(freshness, lake, days)
    drawn = [day for day in newest if is_due and freshness.is_drawn(day)]
    return sorted(set(drawn) - freshness.standing(REPORT, drawn))


def _behind(freshness: Freshness, lake: Lake, days: Sequence[date], assets: Sequence[str], among: str) -> list[date]:
    """Days that the lake has, on which one of the assets was made from something else than what stands there now."""
    known = [day for day in lake.days(among) if days and days[0] <= day <= days[-1]]
    return sorted({day for asset in assets for day in set(known) - freshness.standing(asset, known)})


def _runs(freshness: Freshness, assets: tuple[str, ...], days: Sequence[date], reason: str) -> list[Due]:
    found = []
    for run in by_stretch(assets, days, gap_days=1):
        assert run.first_day and run.last_day
        span = [run.first_day + timedelta(days=number) for number in range((run.last_day - run.first_day).days + 1)]
        made_from = freshness.made_from(assets[0], span)
        digest = hashlib.sha256("".join(made_from[day] for day in span).encode()).hexdigest()[:16]
        found.append(Due(run, reason, f"{assets[0]}:{run.first_day}:{run.last_day}:{digest}"))
    return found
