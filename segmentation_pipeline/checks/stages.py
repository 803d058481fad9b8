"""Stages: what is measured of each asset before its rows are let through, and which rows show what is wrong.

Belongs here: the bridge from an asset's tables to the frame its suite judges. Does not: expectations (suites/),
measuring (core/profiling/), when a gate opens (gate.py).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import ibis.expr.types as ir
from ibis import _

from segmentation_pipeline.checks.written import tables_of
from segmentation_pipeline.core import cleaning
from segmentation_pipeline.core.profiling import baselines, clean, features, raw, segments
from segmentation_pipeline.core.schema import Column, Table
from segmentation_pipeline.settings import Settings

Tables = Mapping[str, ir.Table]
Measured = Callable[[Tables, Sequence[date], Settings], ir.Table]
Rows = Callable[[Tables, Settings], ir.Table]


@dataclass(frozen=True)
class Stage:
    """What is known about an asset, or two that are made together, before they are let through.

    Attributes:
        asset: The asset its checks belong to.
        measured: Columns that the engine measures, besides `date`.
        measure: From the tables written and read, by asset, to a frame of `measured`. None for a table without days,
            which is judged as it is.
        is_by_day: Whether the frame has one row per day, which is then kept beside the day's rows.
        compared: Comparisons with the days before.
        unseen: Values compared with those of the days before.
        shares: Columns that are not judged on days with few rows.
        samples: Name to rows that show what is wrong, the worst first.
    """

    asset: str
    measured: tuple[Column, ...]
    measure: Measured | None = None
    is_by_day: bool = True
    compared: tuple[baselines.Baseline, ...] = ()
    unseen: tuple[baselines.Unseen, ...] = ()
    shares: baselines.Shares | None = None
    samples: Mapping[str, Rows] = field(default_factory=dict)

    @property
    def writes(self) -> tuple[Table, ...]:
        """The tables that are let through or held back together."""
        return tables_of(self.asset)

    @property
    def columns(self) -> tuple[Column, ...]:
        """Every column that an expectation can name, besides `date`."""
        written = Column("columns", "string", "Columns and types of the tables as written")
        return (*self.measured, *baselines.columns(self.compared, self.unseen), written)


def _copies(tables: Tables, _settings: Settings) -> ir.Table:
    raw = tables["raw_transactions"]
    return raw.semi_join(cleaning.copies(raw), ["source_file", "source_row"])


def _without(column: str) -> Rows:
    return lambda tables, settings: raw.readable(tables["raw_transactions"], settings).filter(
        lambda t: t[f"known_{column}"].isnull()
    )


def _sorted(asset: str, *order: ir.Value) -> Rows:
    return lambda tables, _settings: tables[asset].order_by(*order)


def _where(asset: str, *conditions: ir.BooleanValue) -> Rows:
    return lambda tables, _settings: tables[asset].filter(*conditions)


STAGES: dict[str, Stage] = {
    stage.asset: stage
    for stage in (
        Stage(
            "raw_transactions",
            raw.COLUMNS,
            lambda tables, days, settings: raw.measured(tables["raw_transactions"], days, settings),
            compared=baselines.RAW,
            unseen=baselines.RAW_UNSEEN,
            shares=baselines.RAW_SHARES,
            samples={
                "copies": _copies,
                "guests": _without("customer_id"),
                **{
                    f"missing_{column}": _without(column)
                    for column in ("invoice_id", "product_id", "quantity", "price", "invoiced_at", "country")
                },
            },
        ),
        Stage(
            "clean_transactions",
            clean.COLUMNS,
            lambda tables, days, settings: clean.measured(
                tables["raw_transactions"],
                tables["clean_transactions"],
                tables["quarantined_transactions"],
                days,
                settings,
            ),
            compared=baselines.CLEAN,
            shares=baselines.CLEAN_SHARES,
            samples={
                "quarantined": _sorted("quarantined_transactions", _.source_file, _.source_row),
                "dearest": _sorted("clean_transactions", _.unit_price.desc()),
                "earliest": _sorted("clean_transactions", _.invoiced_at),
                "latest": _sorted("clean_transactions", _.invoiced_at.desc()),
                "returns": _where("clean_transactions", _.line_kind == "return"),
            },
        ),
        Stage(
            "customer_orders",
            features.ORDERS_COLUMNS,
            lambda tables, days, _settings: features.orders_measured(
                tables["clean_transactions"], tables["customer_orders"], days
            ),
        ),
        Stage(
            "customer_returns",
            features.RETURNS_COLUMNS,
            lambda tables, days, _settings: features.returns_measured(
                tables["clean_transactions"], tables["customer_orders"], tables["customer_returns"], days
            ),
            shares=baselines.RETURNS_SHARES,
            samples={"unmatched": _where("customer_returns", _.order_id.isnull())},
        ),
        Stage(
            "rfm_features",
            features.FEATURES_COLUMNS,
            lambda tables, days, _settings: features.features_measured(
                tables["customer_orders"], tables["customer_returns"], tables["rfm_features"], days
            ),
            samples={"impossible": _where("rfm_features", _.recency_days.isnull() != (_.frequency == 0))},
        ),
        Stage(
            "feature_exploration",
            segments.EXPLORATION_COLUMNS,
            lambda tables, _days, _settings: tables["feature_exploration"],
            is_by_day=False,
        ),
        Stage("k_diagnostics", segments.DIAGNOSTICS_COLUMNS),
        Stage("segmentation_model", segments.MODEL_COLUMNS),
        Stage(
            "customer_segments",
            segments.SEGMENTS_COLUMNS,
            lambda tables, days, _settings: segments.segments_measured(
                tables["rfm_features"], tables["customer_segments"], days
            ),
            samples={"unnamed": _where("customer_segments", _.segment.isnull())},
        ),
        Stage(
            "segment_migration",
            segments.MIGRATION_COLUMNS,
            lambda tables, days, _settings: segments.migration_measured(
                tables["customer_segments"], tables["segment_migration"], days
            ),
        ),
        Stage(
            "segment_drift",
            segments.DRIFT_COLUMNS,
            lambda tables, _days, _settings: segments.drift_measured(tables["segment_drift"]),
            is_by_day=False,
        ),
        Stage(
            "segment_profiles",
            segments.PROFILES_COLUMNS,
            lambda tables, _days, _settings: segments.profiles_measured(
                tables["customer_segments"], tables["segment_profiles"]
            ),
            is_by_day=False,
        ),
    )
}
