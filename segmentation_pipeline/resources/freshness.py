"""Freshness: what each partition is made from, so that a run does what is new and nothing else.

Belongs here: the digest of a partition's inputs, and comparing it with what stands in the lake.
Does not: reading sources (sources/), deciding what to run (cli.py, sensors).

A digest is taken over the settings that shape the asset and the digests of the partitions it is computed from, down to
the contents of the source files. It is written beside the partition, so the lake alone tells what is stale, after a
crash or a move to another machine too.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from segmentation_pipeline.settings import Settings

if TYPE_CHECKING:
    from segmentation_pipeline.resources.lake import Lake
    from segmentation_pipeline.resources.model_store import ModelStore
    from segmentation_pipeline.resources.publishing.exports import ExportFolder
    from segmentation_pipeline.resources.reports import ReportFolder
    from segmentation_pipeline.resources.sources.source import TransactionSource

# Raised whenever the same input would give other rows than before: lakes of earlier versions are then brought up to date.
LOGIC_VERSION = "4"
WHOLE_HISTORY = -1
MODEL_IN_FORCE = "model in force"
REPORT = "segment_report"
RAW = "raw_transactions"
SNAPSHOT = "customer_segments"
PUBLICATION = "published_segments"
EXPORT = "segment_export"


@dataclass(frozen=True)
class Made:
    """What an asset is made from: upstream assets with how many days back each is read, and settings."""

    upstream: Mapping[str, int]
    settings: str = ""


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
    def recipes(self) -> dict[str, Made]:
        """Every daily asset and what it is made from."""
        settings = self._settings
        how = {
            name: getattr(settings, name).model_dump_json()
            for name in ("cleaning", "rfm", "model", "migration", "drift")
        }
        returned = settings.source.measure + how["rfm"]
        mapping = settings.source.columns.model_dump_json() + settings.timezone
        reporting = f"{settings.shop}:{settings.currency}"
        return {
            "raw_transactions": Made({}, mapping),
            "clean_transactions": Made({"raw_transactions": 0}, mapping + how["cleaning"]),
            "quarantined_transactions": Made({"raw_transactions": 0}, mapping + how["cleaning"]),
            "customer_orders": Made({"clean_transactions": 0}),
            "customer_returns": Made({"clean_transactions": settings.rfm.return_window_days}, returned),
            "rfm_features": Made({"customer_orders": WHOLE_HISTORY, "customer_returns": WHOLE_HISTORY}, returned),
            "feature_exploration": Made({"rfm_features": 0}, how["model"]),
            "customer_segments": Made({"rfm_features": 0}, MODEL_IN_FORCE),
            "segment_migration": Made(
                {"customer_segments": 0, "customer_orders": WHOLE_HISTORY, "customer_returns": WHOLE_HISTORY},
                how["migration"],
            ),
            "segment_drift": Made({"rfm_features": 0, "customer_segments": 0}, how["drift"]),
            "segment_profiles": Made(
                {"rfm_features": 0, "customer_segments": 0, "segment_migration": 0}, settings.currency
            ),
            REPORT: Made(
                {
                    "segment_profiles": 0,
                    "segment_migration": 0,
                    "segment_drift": 0,
                    "feature_exploration": 0,
                    "clean_transactions": WHOLE_HISTORY,
                    "quarantined_transactions": WHOLE_HISTORY,
                },
                reporting,
            ),
            **self._publishing,
        }

    @property
    def _publishing(self) -> dict[str, Made]:
        """Of the assets that publish, those that are configured."""
        publish = self._settings.publish
        found = {}
        if publish and publish.database:
            found[PUBLICATION] = Made({"customer_segments": 0}, publish.database.model_dump_json())
        if publish and publish.exports:
            found[EXPORT] = Made({"customer_segments": 0})
        return found

    def made_from(self, asset: str, days: Sequence[date]) -> dict[date, str]:
        """The digest to write with each day, from what stands in the lake now.

        Days before the shop's first one are none of its days: they stay where they are if it was moved, and are not read.
        """
        if not days:
            return {}
        first, last, start = min(days), max(days), self._settings.start_date

        def reaches(day: date, back: int) -> bool:
            return start <= day <= last and (back == WHOLE_HISTORY or day >= first - timedelta(days=back))

        stored = {
            upstream: {
                day: self._lake.inputs(upstream, day) or "" for day in self._lake.days(upstream) if reaches(day, back)
            }
            for upstream, back in self.recipes[asset].upstream.items()
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

    def lost_days(self) -> Collection[date]:
        """Days whose raw rows are not to be had any more: they stay as they are and cannot be computed again."""
        return self._source.lost_days()

    def unpublished(self, until: date) -> list[date]:
        """Earlier days whose segments never reached the database since the last one that did: those nights failed."""
        published = self._lake.days(PUBLICATION) if PUBLICATION in self.recipes else []
        return [day for day in self._lake.days(SNAPSHOT) if published and published[-1] < day < until]

    def _stored(self, asset: str, day: date) -> str | None:
        if asset == EXPORT and self._exports:
            return self._exports.inputs(day)
        return self._reports.inputs(day) if asset == REPORT else self._lake.inputs(asset, day)

    def expected(self, days: Sequence[date]) -> dict[str, dict[date, str]]:
        """The digests that every asset would have if all of `days`, without a gap, were brought up to date."""
        found: dict[str, dict[date, str]] = {}
        for asset in self.recipes:
            found[asset] = self._digests(asset, days, found)
        return found

    def _digests(
        self, asset: str, days: Sequence[date], upstream: Mapping[str, Mapping[date, str]], model: str | None = None
    ) -> dict[date, str]:
        """What days are made from; `model` is the digest of the one that scores, if not of the one in force."""
        recipe = self.recipes[asset]
        in_force = self._models.digest() if model is None else model
        shaped_by = in_force if recipe.settings == MODEL_IN_FORCE else recipe.settings
        own = f"{asset}:{LOGIC_VERSION}:{shaped_by}"
        if not recipe.upstream:
            return {day: _digest([own, self._source.digest(day)]) for day in days}
        histories = {
            name: _running(upstream[name], days) for name, back in recipe.upstream.items() if back == WHOLE_HISTORY
        }
        return {
            day: _digest(
                [own]
                + [
                    histories[name][day] if back == WHOLE_HISTORY else _stretch(upstream[name], day, back)
                    for name, back in recipe.upstream.items()
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
