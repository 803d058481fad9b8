"""Profile of cleaning: rows and money in and out, by kind, reason and rule, and what a day's sales look like.

Belongs here: the counts that prove that no row was lost, and the day's prices, quantities and hours.
Does not: the rules (core/cleaning.py), judging (checks/).
"""

from collections.abc import Sequence
from datetime import date, timedelta

import ibis
import ibis.expr.types as ir
import pandas as pd
from ibis import _

from segmentation_pipeline.core import cleaning, dating, schema
from segmentation_pipeline.core.profiling.measures import (
    Measure,
    by_day,
    by_file,
    by_value,
    count,
    counted_by,
    money,
    number,
)
from segmentation_pipeline.core.schema import Column
from segmentation_pipeline.settings import Settings

LEFT_OUT_YEARS = 20


def _with_reason(rule: cleaning.Rule) -> Measure:
    meaning = f"Rows quarantined because: {rule.description}"
    return count(f"reason_{rule.reason}", meaning, lambda t: (t.reason == rule.reason).sum())


def _failing(rule: cleaning.Rule) -> Measure:
    meaning = f"Quarantined rows of which this is true, whatever else is: {rule.description}"
    return count(f"failed_{rule.reason}", meaning, lambda t: t.failed_rules.contains(rule.reason).sum())


RAW = (
    count("raw_rows", "Rows of the source", lambda t: t["rows"].sum()),
    money(
        "raw_amount",
        "Money of the source's rows, 0 where it cannot be read",
        lambda t: (cleaning.line_amount(t) * t["rows"]).sum(),
    ),
)
LEFT_OUT = (
    count(
        "left_out_rows",
        f"Rows of days before start_date or after end_date, by {LEFT_OUT_YEARS} years at most: history that the "
        "configuration leaves out, rather than dates that are wrong",
        lambda t: t["rows"].sum(where=t.is_left_out),
    ),
)
ACCEPTED = (
    count("accepted_rows", "Accepted lines", lambda t: t.count()),
    count("sale_rows", "Accepted lines that are sales", lambda t: (t.line_kind == "sale").sum()),
    count("return_rows", "Accepted lines that are returns", lambda t: (t.line_kind == "return").sum()),
    count("adjustment_rows", "Accepted lines that are no goods", lambda t: (t.line_kind == "adjustment").sum()),
    count("guest_rows", "Accepted lines without a customer", lambda t: t.customer_id.isnull().sum()),
    money("revenue", "Money of the accepted lines: sales less returns, with adjustments", lambda t: t.amount.sum()),
    money("guest_revenue", "Money of the accepted lines without a customer",
          lambda t: t.amount.sum(where=t.customer_id.isnull())),
    number("return_share", "Share of goods lines that are returns",
           lambda t: (t.line_kind == "return").sum() / (t.line_kind != "adjustment").sum().nullif(0)),
    number("least_price", "Lowest price of an item", lambda t: t.unit_price.min()),
    number("price_p05", "5 % of the lines cost less per item", lambda t: t.price.quantile(0.05)),
    number("median_price", "Median price of an item", lambda t: t.price.median()),
    number("price_p95", "5 % of the lines cost more per item", lambda t: t.price.quantile(0.95)),
    number("quantity_p05", "5 % of the lines have fewer items", lambda t: t.quantity.abs().quantile(0.05)),
    number("median_quantity", "Median number of items of a line", lambda t: t.quantity.abs().median()),
    number("quantity_p95", "5 % of the lines have more items", lambda t: t.quantity.abs().quantile(0.95)),
    Measure("first_line_at", "timestamp('UTC')", "Moment of the first line", lambda t: t.invoiced_at.min()),
    Measure("last_line_at", "timestamp('UTC')", "Moment of the last line", lambda t: t.invoiced_at.max()),
    number("early_hour", "Hour of the day, local, before which 5 % of the lines were sold", lambda t: t.hour.quantile(0.05)),
    number("last_hour", "Hour of the day, local, of the last line", lambda t: t.hour.max()),
    number("midnight_share", "Share of lines at exactly midnight, local", lambda t: (t.hour == 0).mean()),
)  # fmt: skip
INVOICES = (count("orders", "Different invoices", lambda t: t.value.count()),)
CUSTOMERS = (count("customers", "Different customers", lambda t: t.value.count()),)
ACCEPTED_KEYS = (
    count(
        "repeated_accepted_keys",
        "Accepted lines whose file and row number another one has",
        lambda t: t.repeated.sum(),
    ),
)
QUARANTINED = (
    count("quarantined_rows", "Quarantined rows", lambda t: t.count()),
    money("quarantined_amount", "Money of the quarantined rows, 0 where it cannot be read", lambda t: t.amount_at_stake.sum()),
    *(_with_reason(rule) for rule in cleaning.RULES),
    *(_failing(rule) for rule in cleaning.RULES),
)  # fmt: skip
QUARANTINED_KEYS = (
    count(
        "repeated_quarantined_keys",
        "Quarantined rows whose file and row number another one has",
        lambda t: t.repeated.sum(),
    ),
)
DERIVED = (
    Column("placed_rows", "int64", "Accepted and quarantined rows"),
    Column("placed_amount", "decimal(38, 4)", "Money of the accepted and the quarantined rows"),
    Column("judged_rows", "int64", "Rows of the source, but for `left_out_rows`"),
    Column("quarantined_share", "float64", "Share of `judged_rows` that is quarantined"),
    Column("repeated_keys", "int64", "Rows, accepted or quarantined, whose file and row number another one of these has"),
)  # fmt: skip

MEASURES = (*RAW, *LEFT_OUT, *ACCEPTED, *INVOICES, *CUSTOMERS, *ACCEPTED_KEYS, *QUARANTINED, *QUARANTINED_KEYS)
COLUMNS = (*(measure.column for measure in MEASURES), *DERIVED)


def measured(
    raw: ir.Table, clean: ir.Table, quarantined: ir.Table, days: Sequence[date], settings: Settings
) -> ir.Table:
    """One row per day, with `COLUMNS`.

    Args:
        raw: `schema.RAW_TRANSACTIONS`, whole days.
        clean: `schema.CLEAN_TRANSACTIONS` made of them.
        quarantined: `schema.QUARANTINED_TRANSACTIONS` made of them.
        days: The days to measure, without a gap.
        settings: How the money of a raw row is read.
    """
    amounts = by_value(raw, quantity=raw.quantity, unit_price=raw.unit_price, amount=raw.amount)
    moments = by_value(raw, invoiced_at=raw.invoiced_at)
    local = _.invoiced_at.cast("timestamp")  # the engine's session runs in the shop's zone
    minute = local.hour() * 60 + local.minute() + local.second() / 60
    accepted = clean.mutate(price=_.unit_price.cast("float64"), hour=minute / 60)
    of_orders = by_value(clean, invoice=clean.invoice_id, customer=clean.customer_id)
    profile = by_day(
        days,
        [
            (_read(amounts, settings), RAW),
            (moments.mutate(is_left_out=_is_left_out(moments.invoiced_at, settings)), LEFT_OUT),
            (accepted, ACCEPTED),
            (counted_by(of_orders, of_orders.invoice), INVOICES),
            (counted_by(of_orders, of_orders.customer), CUSTOMERS),
            (by_file(clean), ACCEPTED_KEYS),
            (quarantined, QUARANTINED),
            (by_file(quarantined), QUARANTINED_KEYS),
        ],
    )
    return profile.mutate(
        placed_rows=_.accepted_rows + _.quarantined_rows,
        placed_amount=(_.revenue + _.quarantined_amount).cast("decimal(38, 4)"),
        judged_rows=_.raw_rows - _.left_out_rows,
        quarantined_share=(_.quarantined_rows - _.left_out_rows) / (_.raw_rows - _.left_out_rows).nullif(0),
        repeated_keys=_.repeated_accepted_keys + _.repeated_quarantined_keys,
    )


def _read(values: ir.Table, settings: Settings) -> ir.Table:
    """What `by_value` counts, read as cleaning reads it: far fewer texts than there are rows."""
    others = {name: ibis.null("string") for name in schema.SOURCE_COLUMNS if name not in values.columns}
    return cleaning.parsed(values.mutate(**others), settings)


def _is_left_out(invoiced_at: ir.StringValue, settings: Settings) -> ir.BooleanValue:
    day = dating.moment(invoiced_at.strip(), settings.source.timestamp_format, settings.timezone).date()
    reach = timedelta(days=LEFT_OUT_YEARS * 365)
    last = settings.end_date or settings.start_date
    near = day.between(ibis.literal(settings.start_date - reach), ibis.literal(last + reach))
    return dating.is_outside(day, settings) & near


def rows_by_reason(profile: pd.DataFrame) -> pd.DataFrame:
    """One row per reason that occurs: rows with it as primary reason, rows of which it is true, and its description.

    Args:
        profile: Days of `measured`.

    Returns:
        Columns `reason`, `rows`, `failed_rows`, `description`.
    """
    reasons = pd.DataFrame(
        {
            "reason": [rule.reason for rule in cleaning.RULES],
            "rows": [int(profile[f"reason_{rule.reason}"].sum()) for rule in cleaning.RULES],
            "failed_rows": [int(profile[f"failed_{rule.reason}"].sum()) for rule in cleaning.RULES],
            "description": [rule.description for rule in cleaning.RULES],
        }
    )
    return reasons[reasons["failed_rows"] > 0].sort_values("reason", ignore_index=True)
