"""Days: the calendar every daily asset shares, and which earlier days each one needs.

Belongs here: the partitions definition, the mappings between days. Does not: the assets themselves (assets/).
"""

from collections.abc import Mapping
from datetime import date, timedelta

import dagster as dg

from segmentation_pipeline.settings import Settings

LONGEST_HISTORY_DAYS = 36_500

DAY_TAG = "dagster/partition"
FIRST_DAY_TAG = "dagster/asset_partition_range_start"
LAST_DAY_TAG = "dagster/asset_partition_range_end"

# Whatever writes to the lake or the reports; instance.py limits it to one run at a time.
POOL = "lake"

# Assets are declared on this open calendar; build.py puts the shop's own in its place.
DAYS = dg.DailyPartitionsDefinition(start_date="1970-01-01")


def calendar(settings: Settings) -> dg.DailyPartitionsDefinition:
    """The shop's days, from start_date to end_date, or for a live feed to the day that ended last."""
    end = settings.end_date + timedelta(days=1) if settings.end_date else None
    return dg.DailyPartitionsDefinition(
        start_date=settings.start_date.isoformat(),
        end_date=end.isoformat() if end else None,
        timezone=settings.timezone,
    )


def window(days_back: int) -> dg.TimeWindowPartitionMapping:
    """The day itself and the days before it, as far as there are any."""
    return dg.TimeWindowPartitionMapping(start_offset=-days_back, allow_nonexistent_upstream_partitions=True)


def history() -> dg.TimeWindowPartitionMapping:
    """Every day up to the day itself: what was known by then."""
    return window(LONGEST_HISTORY_DAYS)


def days_of_run(tags: Mapping[str, str]) -> list[date]:
    """The days a run covers, by its tags: a check has no partitions of its own, so its context does not say."""
    if DAY_TAG in tags:
        return [date.fromisoformat(tags[DAY_TAG])]
    if FIRST_DAY_TAG not in tags:
        return []
    first, last = (date.fromisoformat(tags[tag]) for tag in (FIRST_DAY_TAG, LAST_DAY_TAG))
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def tags_of_days(first: date, last: date) -> dict[str, str]:
    """The tags of a run that covers these days."""
    if first == last:
        return {DAY_TAG: first.isoformat()}
    return {FIRST_DAY_TAG: first.isoformat(), LAST_DAY_TAG: last.isoformat()}


def days_of(context: dg.AssetExecutionContext) -> list[date]:
    """The days a run writes."""
    return [date.fromisoformat(key) for key in context.partition_keys]
