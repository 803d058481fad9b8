"""Cleaning: accepted lines, quarantined rows, and the counts that prove that nothing was lost.

Belongs here: `clean_transactions`, `quarantined_transactions`, `cleaning_profile`. Does not: the rules (core/cleaning.py).
"""

from collections.abc import Iterator

import dagster as dg
import ibis.expr.types as ir

from segmentation_pipeline.core import cleaning, profiling
from segmentation_pipeline.partitions import DAYS
from segmentation_pipeline.resources.engine import DuckDBEngine
from segmentation_pipeline.settings import Settings

CLEAN_DESCRIPTION = """Accepted lines, typed: sales, returns and adjustments.

Guests (lines without a customer) stay here and in the totals; they have no features."""

QUARANTINE_DESCRIPTION = """Rejected rows, untouched, each with one primary reason and the list of all rules it fails.

Correct the source or the settings and materialize the day again: the rows move over and the totals still reconcile."""


@dg.multi_asset(
    outs={
        "clean_transactions": dg.AssetOut(description=CLEAN_DESCRIPTION, kinds={"parquet", "duckdb", "silver"}),
        "quarantined_transactions": dg.AssetOut(description=QUARANTINE_DESCRIPTION, kinds={"parquet", "duckdb"}),
    },
    group_name="cleaning",
    partitions_def=DAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def clean_transactions_and_quarantine(
    raw_transactions: ir.Table, engine: dg.ResourceParam[DuckDBEngine], settings: dg.ResourceParam[Settings]
) -> Iterator[dg.Output[ir.Table]]:
    """Judge every raw row once, and write the accepted and the rejected ones."""
    with engine.held(cleaning.classify(raw_transactions, settings)) as classified:
        yield dg.Output(cleaning.accepted(classified, settings), "clean_transactions")
        yield dg.Output(cleaning.rejected(classified), "quarantined_transactions")


@dg.asset(
    group_name="cleaning",
    partitions_def=DAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    kinds={"parquet", "duckdb"},
)
def cleaning_profile(
    raw_transactions: ir.Table,
    clean_transactions: ir.Table,
    quarantined_transactions: ir.Table,
    settings: dg.ResourceParam[Settings],
) -> ir.Table:
    """Rows and money per day, by kind of line, reason and rule, counted from what was written."""
    return profiling.cleaning_profile(raw_transactions, clean_transactions, quarantined_transactions, settings)
