"""Cleaning: accepted lines and quarantined rows.

Belongs here: `clean_transactions`, `quarantined_transactions`. Does not: the rules (core/cleaning.py).
"""

from collections.abc import Iterator, Mapping

import dagster as dg

from segmentation_pipeline.assets.gated import gated_together
from segmentation_pipeline.resources.annotations import Engine, Table
from segmentation_pipeline.settings import Settings

CLEAN_DESCRIPTION = """Accepted lines, typed: sales, returns and adjustments.

Guests (lines without a customer) stay here and in the totals; they have no features."""

QUARANTINE_DESCRIPTION = """Rejected rows, untouched, each with one primary reason and the list of all rules it fails.

Correct the source or the settings and materialize the day again: the rows move over and the totals still reconcile."""


@gated_together(
    name="clean_transactions",
    group="cleaning",
    outs={
        "clean_transactions": dg.AssetOut(description=CLEAN_DESCRIPTION, kinds={"parquet", "duckdb", "silver"}),
        "quarantined_transactions": dg.AssetOut(description=QUARANTINE_DESCRIPTION, kinds={"parquet", "duckdb"}),
    },
)
def clean_transactions_and_quarantine(
    raw_transactions: Table, engine: dg.ResourceParam[Engine], settings: dg.ResourceParam[Settings]
) -> Iterator[Mapping[str, Table]]:
    """Judge every raw row once, and part the accepted from the rejected ones."""
    from segmentation_pipeline.core import cleaning

    with engine.held(cleaning.rejected(raw_transactions, settings)) as rejected:
        yield {
            "clean_transactions": cleaning.accepted(raw_transactions, rejected, settings),
            "quarantined_transactions": rejected,
        }
