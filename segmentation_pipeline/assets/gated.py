"""Gated assets: the one way an asset with a table is declared, so that none can be without its gate.

Belongs here: what an asset's declaration and its stage's checks become in Dagster. Does not: the assets themselves, the
gate (checks/gate.py).

An asset's function returns what it made: an expression, a small frame, or a function that gives each day's expression.
One that holds something open while its rows are written yields it instead, once, as a context manager does. It is
called for one stretch of the run's days after another: `days` tells which, and of the tables that it reads day by day it
is handed those days alone.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any

import dagster as dg

from segmentation_pipeline.assets.retrying import retrying
from segmentation_pipeline.checks.expectations import Expectation
from segmentation_pipeline.checks.suites import Suites
from segmentation_pipeline.core.dependencies import WITHOUT_DAYS, Dependency, dependencies
from segmentation_pipeline.partitions import DAYS, POOL, asset_deps, days_of, mapping
from segmentation_pipeline.resources.annotations import Table
from segmentation_pipeline.settings import Schedule, Settings

if TYPE_CHECKING:
    from segmentation_pipeline.checks.stages import Tables
    from segmentation_pipeline.resources.lake import Rows

INPUTS = "lake_inputs"


@dataclass(frozen=True)
class GatedAsset:
    """An asset as declared; `build` makes it Dagster's.

    Attributes:
        function: Makes the rows.
        name: Of the asset, and of its stage.
        group: In the lineage graph.
        outs: Tables it makes, with their descriptions and kinds.
    """

    function: Callable[..., Any]
    name: str
    group: str
    outs: Mapping[str, dg.AssetOut]

    def build(self, settings: Settings, suites: Suites) -> dg.AssetsDefinition:
        """The asset with its stage's checks."""
        read = dependencies(settings)[self.name]
        handed = {each.asset: each for each in read if each.asset in self._tables}
        return dg.multi_asset(
            name=self.name,
            description=inspect.getdoc(self.function),
            outs=dict(self.outs),
            ins={
                name: dg.AssetIn(partition_mapping=mapping(self.name, each), input_manager_key=INPUTS)
                for name, each in handed.items()
            },
            deps=asset_deps(self.name, [each for each in read if each.asset not in handed]),
            group_name=self.group,
            pool=POOL,
            partitions_def=DAYS if self._is_daily else None,
            backfill_policy=dg.BackfillPolicy.single_run() if self._is_daily else None,
            check_specs=[_check_spec(self.name, each) for each in suites[self.name]],
        )(self._compute(settings.schedule, read))

    @property
    def _is_daily(self) -> bool:
        return self.name not in WITHOUT_DAYS

    @property
    def _parameters(self) -> Mapping[str, inspect.Parameter]:
        return inspect.signature(self.function).parameters

    @property
    def _tables(self) -> list[str]:
        return [name for name, each in self._parameters.items() if each.annotation is Table]

    def _compute(self, schedule: Schedule, read: Sequence[Dependency]) -> Callable[..., Any]:
        same_day = [each.asset for each in read if each.is_same_day and each.asset in self._tables]
        for_checks = [each.asset for each in read if each.use == "checks"]
        function = contextmanager(self.function) if inspect.isgeneratorfunction(self.function) else self._returned

        @contextmanager
        def make(given: Mapping[str, Any], days: Sequence[date], read: "Tables") -> Iterator[Mapping[str, "Rows"]]:
            with function(**{**given, **read, **({"days": days} if "days" in self._parameters else {})}) as made:
                yield made if len(self.outs) > 1 else {self.name: made}

        def compute(context: dg.AssetExecutionContext, gate: dg.ResourceParam[Any], **given: Any) -> Iterator[Any]:
            from segmentation_pipeline.checks.gate import Recipe
            from segmentation_pipeline.checks.stages import STAGES

            stage = STAGES[self.name]
            with retrying(context, schedule):
                if self._is_daily:
                    inputs = {name: given[name] for name in self._tables}
                    recipe = Recipe(inputs, same_day, for_checks, partial(make, given))
                    yield from gate.days(context, stage, days_of(context), recipe)
                else:
                    yield from gate.table(context, stage, partial(self.function, **given))

        own = [each for name, each in self._parameters.items() if name != "days"]
        first = list(inspect.signature(compute).parameters.values())[:2]
        parameters = [
            each.replace(kind=inspect.Parameter.POSITIONAL_OR_KEYWORD, default=each.empty) for each in first + own
        ]
        compute.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        compute.__annotations__ = {each.name: each.annotation for each in parameters}
        return compute

    def _returned(self, **given: Any) -> Any:
        return nullcontext(self.function(**given))


def gated(*, group: str, kinds: set[str]) -> Callable[[Callable[..., Any]], GatedAsset]:
    """Declare an asset with one table; see `GatedAsset`."""

    def declare(function: Callable[..., Any]) -> GatedAsset:
        out = dg.AssetOut(description=inspect.getdoc(function), kinds=kinds)
        return GatedAsset(function, function.__name__, group, {function.__name__: out})

    return declare


def gated_together(
    *, name: str, group: str, outs: Mapping[str, dg.AssetOut]
) -> Callable[[Callable[..., Any]], GatedAsset]:
    """Declare assets that are made together and let through or held back together, by the checks of `name`."""
    return lambda function: GatedAsset(function, name, group, outs)


def _check_spec(stage: str, expectation: Expectation) -> dg.AssetCheckSpec:
    """The expectation as the UI lists it, before it was ever judged."""
    return dg.AssetCheckSpec(
        expectation.name,
        asset=stage,
        description=f"{expectation.severity.capitalize()}: {expectation.threshold}. {expectation.why}",
        blocking=expectation.severity == "critical",
        metadata={"severity": expectation.severity, "threshold": expectation.threshold, "remedy": expectation.remedy},
    )
