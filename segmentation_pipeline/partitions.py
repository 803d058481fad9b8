"""Days: the calendar every daily asset shares, and which earlier days each one needs.

Belongs here: the partitions definition, the mappings between days. Does not: the assets themselves (assets/).
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from itertools import groupby

import dagster as dg

from segmentation_pipeline.core.dependencies import WITHOUT_DAYS, Dependency
from segmentation_pipeline.settings import Settings

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


def mapping(asset: str, *read: Dependency) -> dg.PartitionMapping | None:
    """The days of one upstream asset that an asset reads, as Dagster has it; None where Dagster's default says so."""
    if read[0].asset in WITHOUT_DAYS:
        return None
    if asset in WITHOUT_DAYS:
        return dg.AllPartitionMapping()
    if all(each.is_same_day for each in read):
        return None
    return dg.TimeWindowPartitionMapping(
        start_offset=-max(each.earliest for each in read),
        end_offset=-min(each.latest for each in read),
        allow_nonexistent_upstream_partitions=True,
    )


def asset_deps(asset: str, read: Sequence[Dependency]) -> list[dg.AssetDep]:
    """What an asset reads otherwise than as a table that it is handed, as Dagster has it."""
    by_upstream = groupby(sorted(read, key=lambda each: each.asset), key=lambda each: each.asset)
    return [dg.AssetDep(upstream, partition_mapping=mapping(asset, *parts)) for upstream, parts in by_upstream]


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
