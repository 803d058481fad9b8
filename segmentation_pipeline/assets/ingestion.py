"""Ingestion: the source's rows, filed by day of sale.

Belongs here: `raw_transactions`. Does not: reading them (resources/sources/), judging rows (cleaning.py).
"""

from collections.abc import Sequence
from datetime import date

import dagster as dg

from segmentation_pipeline.assets.gated import gated
from segmentation_pipeline.core import schema
from segmentation_pipeline.resources.annotations import Freshness, Lake, Table, TransactionSource


@gated(group="ingestion", kinds={"parquet", "duckdb", "bronze"})
def raw_transactions(
    days: Sequence[date],
    source: dg.ResourceParam[TransactionSource],
    lake: dg.ResourceParam[Lake],
    freshness: dg.ResourceParam[Freshness],
) -> Table:
    """Source rows of the day, as text, with the file and row each came from.

    Every row of every file is in exactly one day. A row without a usable day of sale is filed under the first day of
    its file, where cleaning quarantines it. Days whose file was tidied away, and that stand in the lake as they would be
    read from it, stay as they are.
    """
    lost = set(source.lost_days()).intersection(days)
    if lost and freshness.standing(schema.RAW_TRANSACTIONS.asset, sorted(lost)).issuperset(days):
        return lake.read(schema.RAW_TRANSACTIONS, days)
    return source.rows(days)
