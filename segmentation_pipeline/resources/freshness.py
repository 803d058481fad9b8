"""Freshness: what each partition is made from, so that a run does what is new and nothing else.

Belongs here: the digest of a partition's inputs, and comparing it with what stands in the lake.
Does not: reading sources (sources/), deciding what to run (cli.py, sensors).

A digest is taken over the settings that shape the asset and the digests of the partitions it is computed from, down to
the contents of the source files. It is written beside the partition, so the lake alone tells what is stale, after a
crash or a move to another machine too.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from datetime import date, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from segmentation_pipeline.core.dependencies import (
    SNAPSHOTS,
    WHOLE_HISTORY,
    WITHOUT_DAYS,
    Dependency,
    dependencies,
)
from segmentation_pipeline.settings import Settings

if TYPE_CHECKING:
    from segmentation_pipeline.resources.lake import Lake
    from segmentation_pipeline.resources.model_store import ModelStore
    from segmentation_pipeline.resources.publishing.exports import ExportFolder
    from segmentation_pipeline.resources.reports import ReportFolder
    from segmentation_pipeline.resources.sources.source import TransactionSource

# Raised whenever the same input would give other rows than before: lakes of earlier versions are then brought up to date.
LOGIC_VERSION = "4"
MODEL_IN_FORCE = "model in force"
REPORT = "segment_report"
RAW = "raw_transactions"
SNAPSHOT = "customer_segments"
PUBLICATION = "published_segments"
EXPORT = "segment_export"


class Freshness:
    """Digests of the partitions of one lake.

    Args:
        settings: The shop's configuration.
        source: Tells what raw rows are made from.
        lake: Holds the partitions.
        models: Holds the model in force.
        reports: Holds the reports.
        exports: Holds the exports, if there are to be any.
    """

    def __init__(
        self,
        settings: Settings,
        source: "TransactionSource",
        lake: "Lake",
        models: "ModelStore",
        reports: "ReportFolder",
        exports: "ExportFolder | None" = None,
    ) -> None:
        self._settings = settings
        self._source = source
        self._lake = lake
        self._models = models
        self._reports = reports
        self._exports = exports

    @cached_property
    def assets(self) -> dict[str, tuple[Dependency, ...]]:
        """Every daily asset whose digest is kept, with what shapes its rows, in the order the data flows."""
        publish = self._settings.publish
        places = {PUBLICATION: publish and publish.database, EXPORT: publish and publish.exports}
        return {
            asset: tuple(each for each in read if each.use == "rows" and each.asset not in WITHOUT_DAYS)
            for asset, read in dependencies(self._settings).items()
            if asset not in WITHOUT_DAYS and places.get(asset, True)
        }

    @cached_property
    def _shaped_by(self) -> dict[str, str]:
        """The settings that shape each asset's rows; of the active model, its digest does."""
        settings = self._settings
        how = {
            name: getattr(settings, name).model_dump_json()
            for name in ("cleaning", "rfm", "model", "migration", "drift")
        }
        returned = settings.source.measure + how["rfm"]
        mapping = settings.source.columns.model_dump_json() + settings.timezone
        publish = settings.publish
        return {
            RAW: mapping,
            "clean_transactions": mapping + how["cleaning"],
            "quarantined_transactions": mapping + how["cleaning"],
            "customer_orders": "",
            "customer_returns": returned,
            "rfm_features": returned,
            "feature_exploration": how["model"],
            SNAPSHOT: MODEL_IN_FORCE,
            "segment_migration": how["migration"],
            "segment_drift": how["drift"],
            "segment_profiles": settings.currency,
            REPORT: f"{settings.shop}:{settings.currency}",
            PUBLICATION: publish.database.model_dump_json() if publish and publish.database else "",
            EXPORT: "",
        }

    def made_from(self, asset: str, days: Sequence[date]) -> dict[date, str]:
        """The digest to write with each day, from what stands in the lake now.

        Days before the shop's first one are none of its days: they stay where they are if it was moved, and are not read.
        """
        if not days:
            return {}
        first, last, start = min(days), max(days), self._settings.start_date

        stored = {
            read.asset: {
                day: self._lake.inputs(read.asset, day) or ""
                for day in self._lake.days(read.asset)
                if max(start, first - timedelta(days=read.earliest)) <= day <= last
            }
            for read in self.assets[asset]
        }
        return self._digests(asset, days, stored)

    def stale(self, asset: str, days: Sequence[date], expected: Mapping[str, Mapping[date, str]]) -> list[date]:
        """Days of an asset that are not in the lake, or were made from something else; see `expected`."""
        return [day for day in days if self._stored(asset, day) != expected[asset][day]]

    def touched(self, days: Sequence[date]) -> list[date]:
        """Days whose raw rows are not those that the source has now, up to the last day it has.

        A day without rows counts too: what looks back on it needs to know that it has none.
        """
        expected, last = self.made_from(RAW, days), self._source.last_day()
        delivered = set(self._lake.days(RAW)) | {day for day in days if last and day <= last}
        return [day for day in days if day in delivered and self._lake.inputs(RAW, day) != expected[day]]

    def standing(self, asset: str, days: Sequence[date]) -> set[date]:
        """Days of an asset that are in the lake, made from what stands there now."""
        made_from = self.made_from(asset, days)
        return {day for day in days if self._stored(asset, day) == made_from[day]}

    def scored(self, days: Sequence[date]) -> set[date]:
        """Days whose segments were made from the features that stand now, by whichever version of the model."""
        features = {"rfm_features": {day: self._lake.inputs("rfm_features", day) or "" for day in days}}
        by_version = [self._digests(SNAPSHOT, days, features, model) for model in self._models.digests()]
        stored = {day: self._stored(SNAPSHOT, day) for day in days}
        return {day for day in days if any(stored[day] == made[day] for made in by_version)}

    def is_drawn(self, day: date) -> bool:
        """Whether there is a report of a day."""
        return self._reports.inputs(day) is not None

    def lost_days(self) -> Collection[date]:
        """Days whose raw rows are not to be had any more: they stay as they are and cannot be computed again."""
        return self._source.lost_days()

    def unpublished(self, until: date) -> list[date]:
        """Earlier days whose segments never reached the database since the last one that did: those nights failed."""
        published = self._lake.days(PUBLICATION) if PUBLICATION in self.assets else []
        return [day for day in self._lake.days(SNAPSHOT) if published and published[-1] < day < until]

    def _stored(self, asset: str, day: date) -> str | None:
        if asset == EXPORT and self._exports:
            return self._exports.inputs(day)
        return self._reports.inputs(day) if asset == REPORT else self._lake.inputs(asset, day)

    def expected(self, days: Sequence[date]) -> dict[str, dict[date, str]]:
        """The digests that every asset would have if all of `days`, without a gap, were brought up to date.

        Of snapshots only the last day's is: those of earlier days count as they stand in the lake, where they do.
        """
        found: dict[str, dict[date, str]] = {}
        upstream: dict[str, dict[date, str]] = {}
        for asset in self.assets:
            found[asset] = upstream[asset] = self._digests(asset, days, upstream)
            if asset in SNAPSHOTS:
                earlier = {day: self._stored(asset, day) or "" for day in self._lake.days(asset) if day < days[-1]}
                upstream[asset] = {**earlier, days[-1]: found[asset][days[-1]]}
        return found

    def _digests(
        self, asset: str, days: Sequence[date], upstream: Mapping[str, Mapping[date, str]], model: str | None = None
    ) -> dict[date, str]:
        """What days are made from; `model` is the digest of the one that scores, if not of the one in force."""
        shaped_by = self._shaped_by[asset]
        if shaped_by == MODEL_IN_FORCE:
            shaped_by = self._models.digest() if model is None else model
        own = f"{asset}:{LOGIC_VERSION}:{shaped_by}"
        if asset == RAW:
            return {day: _digest([own, self._source.digest(day)]) for day in days}
        histories = {
            read.asset: _running(upstream[read.asset], days)
            for read in self.assets[asset]
            if read.earliest == WHOLE_HISTORY
        }
        return {
            day: _digest(
                [own]
                + [
                    histories[read.asset][day]
                    if read.asset in histories
                    else _stretch(upstream[read.asset], day, read.earliest)
                    for read in self.assets[asset]
                ]
            )
            for day in days
        }


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _stretch(digests: Mapping[date, str], day: date, days_back: int) -> str:
    earlier = (day - timedelta(days=back) for back in range(days_back, -1, -1))
    return "".join(digests[each] for each in earlier if each in digests)


def _running(digests: Mapping[date, str], days: Sequence[date]) -> dict[date, str]:
    """For each of `days`, one digest of all digests up to it."""
    sums: dict[date, str] = {}
    wanted, running = sorted(days), hashlib.sha256()
    history = sorted(digests)
    place = 0
    for day in wanted:
        while place < len(history) and history[place] <= day:
            running.update(digests[history[place]].encode())
            place += 1
        sums[day] = running.hexdigest()
    return sums
