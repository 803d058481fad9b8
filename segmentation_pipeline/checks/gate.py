"""Gates: what an asset made is written where nobody looks, measured, judged, and only then let through.

Belongs here: the order of write, audit, publish, and what follows from a failed expectation.
Does not: expectations (suites/), measuring (stages.py, core/profiling/), judging (judging.py), files (resources/lake.py).

A day that fails a critical expectation is not published: the lake keeps what it had, and nothing downstream runs on it,
in this run or another. The other days of a range are. A warning lets its day through.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache, reduce
from operator import or_
from typing import Any

import dagster as dg
import pandas as pd

from segmentation_pipeline.checks import profiles, results
from segmentation_pipeline.checks.judge_process import Judge
from segmentation_pipeline.checks.judging import Verdict
from segmentation_pipeline.checks.stages import Stage, Tables
from segmentation_pipeline.checks.suites import Suites
from segmentation_pipeline.checks.written import written_columns
from segmentation_pipeline.core import forgetting, schema
from segmentation_pipeline.core.profiling import baselines
from segmentation_pipeline.errors import PipelineError
from segmentation_pipeline.reporting import metadata
from segmentation_pipeline.resources.freshness import Freshness
from segmentation_pipeline.resources.lake import Lake, Rows, Staged, in_ranges
from segmentation_pipeline.resources.ledger import QualityLedger
from segmentation_pipeline.resources.stretches import Stretches
from segmentation_pipeline.settings import Settings

PREVIEW_ROWS = 10
DAYS_SAMPLED = 5
ROWS_SAMPLED = 3

Events = Iterator[dg.AssetCheckResult | dg.MaterializeResult]


class GateClosed(dg.Failure, PipelineError):
    """Days failed a critical expectation and were not let through; the message names both, and what to do.

    Args:
        message: What was held back, why, and what to do.
        days: The days held back, in order; none for a table without days.
    """

    def __init__(self, message: str, days: Sequence[date] = ()) -> None:
        super().__init__(
            description=message, metadata={"held_back": in_ranges(days) or "the table"}, allow_retries=False
        )
        self.days = tuple(days)

    def __str__(self) -> str:
        """The message."""
        return str(self.description)


@dataclass(frozen=True)
class Recipe:
    """How an asset's days are made.

    Attributes:
        inputs: The tables it reads, of all days of the run, by asset.
        same_day: Those of `inputs` of which each day needs only its own day.
        for_checks: Assets whose rows of the same day the gate alone reads, to check against them.
        make: From a stretch of the days, and the tables it reads, to the rows of each table it writes.
    """

    inputs: Tables
    same_day: Sequence[str]
    for_checks: Sequence[str]
    make: Callable[[Sequence[date], Tables], AbstractContextManager[Mapping[str, Rows]]]


@dataclass(frozen=True)
class Candidate:
    """A table without days that waits at its gate.

    Attributes:
        frame: What is judged.
        publish: Puts it in place; returns what the UI shows.
    """

    frame: pd.DataFrame
    publish: Callable[[], Mapping[str, Any]]


class Gate:
    """Lets through what its stage's suite has nothing critical against.

    Args:
        settings: Thresholds of the comparisons.
        suites: Expectations by stage.
        lake: Where tables go.
        freshness: Tells what each partition is made from.
        ledger: Keeps every verdict.
        judge: Reaches the verdicts.
        stretches: Cuts long ranges of days.
    """

    def __init__(
        self,
        settings: Settings,
        suites: Suites,
        lake: Lake,
        freshness: Freshness,
        ledger: QualityLedger,
        judge: Judge,
        stretches: Stretches,
    ) -> None:
        self._settings = settings
        self._suites = suites
        self._lake = lake
        self._freshness = freshness
        self._ledger = ledger
        self._judge = judge
        self._stretches = stretches

    def days(self, context: dg.AssetExecutionContext, stage: Stage, days: Sequence[date], recipe: Recipe) -> Events:
        """Let through the good days of what an asset made.

        Args:
            context: Of the asset.
            stage: Which gate.
            days: The days of the run, without a gap.
            recipe: Makes them.

        Yields:
            What was materialized, and the result of every check.

        Raises:
            GateClosed: Some days were held back; the others are in the lake.
            CheckCrashed: An expectation could not be evaluated; nothing is let through.
        """
        self._judge.start()
        read_before = self._lake.engine.bytes_read
        with ExitStack() as stack:
            stack.enter_context(self._lake.exclusively(f"run {context.run.run_id}", context.log.info))
            staged, made_from = self._staged(stage, days, recipe, stack)
            measured = self._measured(stage, days, recipe, staged)
            verdicts = self._judged(stage, _with_columns(measured, staged))
            self._ledger.append(context.run.run_id, results.ledger_rows(stage.asset, verdicts))
            samples = [self._samples(stage, verdict, staged) for verdict in verdicts]
            held_back = _held_back(verdicts, days)
            good = [day for day in days if day not in held_back]
            kept = profiles.records(measured) if stage.is_by_day else {}
            for asset, each in staged.items():
                inputs = {day: made_from[asset][day] for day in good}
                self._lake.publish(each, inputs, kept if asset == stage.asset else None)
        read = {} if read_before is None else {"bytes_read": (self._lake.engine.bytes_read or 0) - read_before}
        yield from self._materialized(context, list(staged.values()), good, read, is_whole=not held_back)
        for verdict, rows in zip(verdicts, samples, strict=True):
            yield results.check_result(stage.asset, verdict, rows)
        if held_back:
            raise _closed(stage, verdicts, sorted(held_back))

    def table(self, context: dg.AssetExecutionContext, stage: Stage, make: Callable[[], Candidate]) -> Events:
        """Let through a table without days, or keep the one before it; as `days` does."""
        with self._lake.exclusively(f"run {context.run.run_id}", context.log.info):
            candidate = make()
            columns = ", ".join(name for name in stage.writes[0].names if name in candidate.frame)
            found = candidate.frame.assign(columns=columns)
            verdicts = self._judge.judge(stage.asset, self._suites[stage.asset], found)
            self._ledger.append(context.run.run_id, results.ledger_rows(stage.asset, verdicts))
            is_let_through = not any(verdict.is_critical for verdict in verdicts)
            shown = candidate.publish() if is_let_through else {}
        if is_let_through:
            yield dg.MaterializeResult(asset_key=stage.asset, metadata=shown)
        for verdict in verdicts:
            yield results.check_result(stage.asset, verdict, {})
        if not is_let_through:
            raise _closed(stage, verdicts, [])

    def _staged(
        self, stage: Stage, days: Sequence[date], recipe: Recipe, stack: ExitStack
    ) -> tuple[dict[str, Staged], dict[str, dict[date, str]]]:
        """Write the days, a stretch at a time; the files are there until the stack closes.

        What each day is made from is told before its rows are read, of a source for each stretch: one that changes meanwhile
        leaves a day that counts as out of date, and never one that counts as made from rows it has not.
        """
        parts: dict[str, list[Staged]] = {layout.asset: [] for layout in stage.writes}
        told = days if recipe.inputs else ()  # nobody else writes to the lake meanwhile
        made_from = {asset: self._freshness.made_from(asset, told) for asset in parts}
        earlier = [asset for asset in recipe.inputs if asset not in recipe.same_day]
        for stretch in self._stretches.of_inputs(days, recipe.same_day, earlier):
            with recipe.make(stretch, self._read(recipe, days, stretch)) as made:
                if not recipe.inputs:
                    for asset, digests in made_from.items():
                        digests.update(self._freshness.made_from(asset, stretch))
                for layout in stage.writes:
                    written = self._lake.staged(layout, made[layout.asset], stretch)
                    parts[layout.asset].append(stack.enter_context(written))
        return {asset: reduce(or_, each) for asset, each in parts.items()}, made_from

    def _measured(
        self, stage: Stage, days: Sequence[date], recipe: Recipe, staged: Mapping[str, Staged]
    ) -> pd.DataFrame:
        """Measure the written days, a stretch at a time."""
        assert stage.measure
        frames = []
        rows = {day: sum(each.rows(day) for each in staged.values()) for day in days}
        for stretch in self._stretches.cut(days, rows):
            written = {asset: self._lake.read_staged(each, stretch) for asset, each in staged.items()}
            beside = {asset: self._lake.read(schema.TABLES[asset], stretch) for asset in recipe.for_checks}
            tables = {**self._read(recipe, days, stretch), **beside, **written}
            profile = stage.measure(tables, stretch, self._settings)
            frames.append(self._lake.engine.to_pandas(profile).sort_values("date", ignore_index=True))
        return pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]

    def _read(self, recipe: Recipe, days: Sequence[date], stretch: Sequence[date]) -> Tables:
        """What a stretch reads: of some assets its own days alone."""
        if len(stretch) == len(days):
            return recipe.inputs
        own = {asset: self._lake.read(schema.TABLES[asset], stretch) for asset in recipe.same_day}
        return {**recipe.inputs, **own}

    def _judged(self, stage: Stage, frame: pd.DataFrame) -> list[Verdict]:
        """Judge a profile against what is usual, without the days that are held back themselves.

        Nights one by one would not have those days to compare with either. Each round settles at least the first day
        that is still in question, where each day is judged by itself. An expectation of the shop's own may judge all of
        them as one, and let through what it held back a round before, over and over: then its strictest round counts.
        """
        suite, quality = self._suites[stage.asset], self._settings.quality
        if not (stage.compared or stage.unseen):
            return self._judge.judge(stage.asset, suite, baselines.judgeable(frame, stage.shares, quality))
        stored = self._history(stage, frame)
        rounds: dict[frozenset[date], list[Verdict]] = {}
        left_out: frozenset[date] = frozenset()
        while left_out not in rounds:
            new = frame[~frame["date"].isin(pd.to_datetime(sorted(left_out)))]
            old = stored[~stored["date"].isin(new["date"])]
            known = pd.concat([old, new]) if len(old) else new
            compared = baselines.compared(frame, known, stage.compared, stage.unseen, quality)
            verdicts = self._judge.judge(stage.asset, suite, baselines.judgeable(compared, stage.shares, quality))
            rounds[left_out] = verdicts
            left_out = frozenset(day for verdict in verdicts for day in verdict.holds_back)
        circle = list(rounds)[list(rounds).index(left_out) :]  # of one round, but for such expectations
        return max((rounds[each] for each in circle), key=lambda verdicts: len(_held_back(verdicts, ())))

    def _history(self, stage: Stage, frame: pd.DataFrame) -> pd.DataFrame:
        """Profiles that stand in the lake, as far back as comparisons look."""
        first, last = (pd.Timestamp(day).date() for day in (frame["date"].min(), frame["date"].max()))
        reach = first - baselines.reach_back(self._settings.quality)
        return profiles.stored(self._lake, stage, [reach + timedelta(days=n) for n in range((last - reach).days + 1)])

    def _samples(self, stage: Stage, verdict: Verdict, staged: Mapping[str, Staged]) -> dict[date, str]:
        """Keys of some rows of the first failing days, but for what names a customer."""
        found = {}
        for day in verdict.failing_days[:DAYS_SAMPLED]:
            tables = {asset: self._lake.read_staged(each, [day]) for asset, each in staged.items()}
            choose = stage.samples.get(verdict.expectation.rows or "")
            rows = choose(tables, self._settings) if choose else tables[stage.asset]
            rows = forgetting.shown(rows)
            key = [column for layout in stage.writes for column in layout.key if column in rows.columns]
            if key:
                chosen = self._lake.engine.to_pandas(rows.select(*dict.fromkeys(key)).limit(ROWS_SAMPLED))
                found[day] = "; ".join(_named(row) for row in chosen.to_dict("records"))
        return found

    def _preview(self, staged: Staged, days: Sequence[date]) -> dict[str, Any]:
        """What the UI shows of published rows: some of the last day that has any, naming no customer, and where they are."""
        filled = [day for day in days if staged.rows(day)]
        file = self._lake.file(staged.layout.asset, (filled or list(days))[-1])
        shown = forgetting.shown(self._lake.engine.read_parquet([file]))
        rows = self._lake.engine.to_pandas(shown.limit(PREVIEW_ROWS))
        return {"preview": metadata.table_preview(rows, PREVIEW_ROWS), "file": dg.MetadataValue.path(str(file))}

    def _materialized(
        self,
        context: dg.AssetExecutionContext,
        staged: Sequence[Staged],
        good: Sequence[date],
        read: Mapping[str, int],
        is_whole: bool,
    ) -> Iterator[dg.MaterializeResult]:
        """Record the published days: as results of the asset, or, where some are held back, one by one.

        What was read to make and to measure tables that are made together is told with the first.
        """
        for place, each in enumerate(staged if good else ()):
            key = dg.AssetKey(each.layout.asset)
            shown = {**self._preview(each, good), **(read if place == 0 else {})}
            counts = {day: {"dagster/partition_row_count": each.rows(day)} for day in good}
            if is_whole:
                for day, count in counts.items():
                    context.add_asset_metadata(count, key, day.isoformat())
                yield dg.MaterializeResult(asset_key=key, metadata=shown)
            else:
                for day, count in counts.items():
                    context.log_event(dg.AssetMaterialization(key, partition=day.isoformat(), metadata=count))


def _with_columns(frame: pd.DataFrame, staged: Mapping[str, Staged]) -> pd.DataFrame:
    """A profile with the columns of the files it was measured on."""
    described = lru_cache(written_columns)  # nearly always the same for every day
    days = [pd.Timestamp(day).date() for day in frame["date"]]
    return frame.assign(
        columns=[described(*((name, each.columns(day)) for name, each in staged.items())) for day in days]
    )


def _held_back(verdicts: Sequence[Verdict], days: Sequence[date]) -> set[date]:
    """The days to hold back: those that fail, or all of them where a profile without rows fails as a whole."""
    found = {day for verdict in verdicts for day in verdict.holds_back}
    without_a_day = any(verdict.is_critical and not verdict.failing_days for verdict in verdicts)
    return set(days) if without_a_day else found


def _named(row: Mapping[Any, Any]) -> str:
    return ", ".join(f"{column} {value}" for column, value in row.items())


def _closed(stage: Stage, verdicts: Sequence[Verdict], days: Sequence[date]) -> GateClosed:
    critical = [verdict for verdict in verdicts if verdict.is_critical]
    listed = "\n".join(f"  {verdict.expectation.name}: {results.in_short(verdict)}" for verdict in critical)
    what = f"{stage.asset} of {in_ranges(days)} was" if days else f"{stage.asset} was"
    return GateClosed(f"{what} held back; what stood there before stays, and nothing runs on it.\n{listed}", days)
