"""Profile of the raw rows: how many, from where, what is missing, what comes twice.

Belongs here: what text alone can say, before any rule judges it. Does not: reading numbers and moments (clean.py).
"""

from collections.abc import Sequence
from datetime import date

import ibis
import ibis.expr.types as ir
from ibis import _

from segmentation_pipeline.core import schema
from segmentation_pipeline.core.profiling.measures import Measure, by_day, count, number
from segmentation_pipeline.core.schema import Column
from segmentation_pipeline.core.text import known, known_customer
from segmentation_pipeline.settings import Settings

VALUES_KEPT = 50


def _missing(name: str) -> Measure:
    return number(
        f"missing_{name}_share", f"Share of rows without {name}", lambda t: t[f"known_{name}"].isnull().mean()
    )


MEASURES = (
    count("rows", "Rows", lambda t: t.count()),
    count("files", "Files that the rows come from", lambda t: t.source_file.nunique()),
    count("orders", "Different invoice numbers", lambda t: t.known_invoice_id.nunique()),
    count("customers", "Different customers", lambda t: t.known_customer_id.nunique()),
    count("products", "Different products", lambda t: t.known_product_id.nunique()),
    count("broken_rows", "Lines of text that could not be split", lambda t: t.broken_line.count()),
    number("guest_share", "Share of rows without a customer", lambda t: t.known_customer_id.isnull().mean()),
    number("lines_per_order", "Rows per different invoice number", lambda t: t.count() / t.known_invoice_id.nunique().nullif(0)),
    number("orders_per_customer", "Different invoice numbers of rows with a customer, per different customer",
           lambda t: t.known_invoice_id.nunique(where=t.known_customer_id.notnull()) / t.known_customer_id.nunique().nullif(0)),
    *(_missing(name) for name in ("invoice_id", "product_id", "quantity", "price", "invoiced_at", "country")),
)  # fmt: skip
COPIES = (
    number("duplicate_share", "Share of rows that equal an earlier row of the day in every mapped column",
           lambda t: t.copies.sum() / t["rows"].sum()),
)  # fmt: skip
KEYS = (count("repeated_keys", "Rows whose file and row number another row has", lambda t: t.repeated.sum()),)

COUNTRIES = (
    Measure("countries", "array<string>", f"Countries, the {VALUES_KEPT} with most rows", lambda t: _most(t, t.value)),
    Measure("country_rows", "array<int64>", "Rows of each of `countries`", lambda t: _most(t, t["rows"])),
)
PATTERNS = (
    Measure("product_patterns", "array<string>",
            f"Patterns of product ids (A a letter, 9 a digit), the {VALUES_KEPT} with most rows", lambda t: _most(t, t.value)),
    Measure("product_pattern_rows", "array<int64>", "Rows of each of `product_patterns`", lambda t: _most(t, t["rows"])),
)  # fmt: skip

COLUMNS: tuple[Column, ...] = tuple(measure.column for measure in (*MEASURES, *COPIES, *KEYS, *COUNTRIES, *PATTERNS))


def measured(raw: ir.Table, days: Sequence[date], settings: Settings) -> ir.Table:
    """One row per day of `schema.RAW_TRANSACTIONS`, with `COLUMNS`.

    Args:
        raw: The rows, whole days.
        days: The days to measure, without a gap.
        settings: Which words mean "nothing", and which column holds the price.
    """
    rows = readable(raw, settings)
    same = raw.group_by("date", *schema.SOURCE_COLUMNS, "broken_line").agg(rows=_.count())
    numbered = raw.group_by("date", "source_file").agg(repeated=_.count() - _.source_row.nunique())
    return by_day(
        days,
        [
            (rows, MEASURES),
            (same.mutate(copies=_["rows"] - 1), COPIES),
            (numbered, KEYS),
            (_counted(rows, rows.known_country), COUNTRIES),
            (_patterns(rows), PATTERNS),
        ],
    )


def readable(raw: ir.Table, settings: Settings) -> ir.Table:
    """The raw rows with `known_` columns: the text without blanks, null where it means "nothing"."""
    tokens = settings.cleaning.null_tokens
    names = ("invoice_id", "product_id", "quantity", "invoiced_at", "country")
    price = raw.unit_price if settings.source.columns.unit_price else raw.amount
    return raw.mutate(
        **{f"known_{name}": known(raw[name], tokens) for name in names},
        known_customer_id=known_customer(raw.customer_id, tokens),
        known_price=known(price, tokens),
    )


def pattern(product_id: ir.StringValue) -> ir.StringValue:
    """The shape of an id: each digit becomes 9, each letter A, so that 85123a is 99999A."""
    replaced = product_id.re_replace("[0-9]", "9").re_replace("[A-Za-z]", "A")
    only_digits = product_id.re_search("^[0-9]+$")  # most shops' ids, and four times as fast
    return only_digits.ifelse(ibis.literal("9").repeat(product_id.length()), replaced)


def _counted(rows: ir.Table, value: ir.StringValue) -> ir.Table:
    return rows.mutate(value=value).filter(_.value.notnull()).group_by("date", "value").agg(rows=_.count())


def _patterns(rows: ir.Table) -> ir.Table:
    """Rows of each pattern of product ids. Ids are counted first: there are far fewer than rows."""
    products = _counted(rows, rows.known_product_id)
    return products.group_by("date", value=pattern(products.value)).agg(rows=_["rows"].sum())


def _most(table: ir.Table, column: ir.Column) -> ir.ArrayScalar:
    return column.collect(order_by=[ibis.desc(table["rows"]), table.value])[:VALUES_KEPT]
