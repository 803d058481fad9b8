"""Features: orders, returns, and what each customer was worth at the end of a day.

Belongs here: `customer_orders`, `customer_returns`, `rfm_features`. Does not: how they are computed (core/).
"""

from collections.abc import Iterator, Sequence
from datetime import date

import dagster as dg

from segmentation_pipeline.assets.gated import gated
from segmentation_pipeline.core import schema
from segmentation_pipeline.resources.annotations import Freshness, Lake, OfDay, Table
from segmentation_pipeline.settings import Settings


@gated(group="features", kinds={"parquet", "duckdb"})
def customer_orders(clean_transactions: Table) -> Table:
    """One row per customer and order of the day: items, amount and products, so old lines are never read again."""
    from segmentation_pipeline.core import orders

    return orders.customer_orders(clean_transactions)


@gated(group="features", kinds={"parquet", "duckdb"})
def customer_returns(
    days: Sequence[date],
    clean_transactions: Table,
    settings: dg.ResourceParam[Settings],
) -> Table:
    """One row per customer and order given back on the day: items and money, matched first in, first out.

    A return that finds no sale of the same customer and product in its look-back window has no order.
    """
    from segmentation_pipeline.core import returns

    return returns.customer_returns(
        clean_transactions, settings.rfm.return_window_days, settings.source.measure, min(days), max(days)
    )


@gated(group="features", kinds={"parquet", "duckdb", "gold"})
def rfm_features(
    days: Sequence[date],
    customer_orders: Table,
    customer_returns: Table,
    lake: dg.ResourceParam[Lake],
    freshness: dg.ResourceParam[Freshness],
    settings: dg.ResourceParam[Settings],
) -> Iterator[OfDay]:
    """Recency, frequency and monetary value per customer, as known at the end of the day.

    Backfilling an old day gives exactly what the night of that day would have given. Where the day before stands in the lake
    as it would be computed now, a night computes anew only the customers who bought or gave back since.
    """
    from segmentation_pipeline.core import rfm
    from segmentation_pipeline.resources.engines.engine import hold_for

    measure, recent_days = settings.source.measure, settings.rfm.recent_days
    before = _latest_before(days[0], lake, freshness) if len(days) == 1 else None
    if before is None:
        held = hold_for(lake.engine, days)
        with held(customer_orders) as orders, held(customer_returns) as returns:
            yield lambda day: rfm.rfm_features(orders, returns, day, measure, recent_days)
        return
    held = lake.engine.held
    with (
        held(rfm.active_since(customer_orders, customer_returns, before)) as active,
        held(customer_orders.semi_join(active, "customer_id")) as orders,
        held(customer_returns.semi_join(active, "customer_id")) as returns,
    ):
        others = lake.read(schema.RFM_FEATURES, [before]).anti_join(active, "customer_id")
        yield lambda day: rfm.rfm_features(orders, returns, day, measure, recent_days).union(
            rfm.aged(others, customer_orders, day, recent_days)
        )


def _latest_before(day: date, lake: Lake, freshness: Freshness) -> date | None:
    """The last day before, if its features were made from what stands in the lake now."""
    earlier = [each for each in lake.days(schema.RFM_FEATURES.asset) if each < day][-1:]
    return next(iter(freshness.standing(schema.RFM_FEATURES.asset, earlier)), None)
