"""Profile of the raw rows: how many, from where, what is missing, what comes twice.

Belongs here: what text alone can say, before any rule judges it. Does not: reading numbers and moments (clean.py).
"""

from collections.abc import Callable, Sequence
from datetime import date

import ibis
import ibis.expr.types as ir
from ibis import _

from segmentation_pipeline.core import cleaning
from segmentation_pipeline.core.profiling.measures import Measure, by_day, by_file, by_value, count, counted_by, number
from segmentation_pipeline.core.schema import Column
from segmentation_pipeline.core.text import known, known_customer
from segmentation_pipeline.settings import Settings

VALUES_KEPT = 50


def _missing(name: str, share: Callable[[ir.Table], ir.Scalar]) -> Measure:
    return number(f"missing_{name}_share", f"Share of rows without {name}", share)


def _without_value(table: ir.Table) -> ir.Scalar:
    """Share of rows without the value that `counted_by` counts."""
    return table["rows"].sum(where=table.value.isnull()).fill_null(0) / table["rows"].sum()


ROWS = (
    count("rows", "Rows", lambda t: t["rows"].sum()),
    count("broken_rows", "Lines of text that could not be split", lambda t: t.broken.sum()),
    _missing("quantity", lambda t: t.without_quantity.sum() / t["rows"].sum()),
    _missing("price", lambda t: t.without_price.sum() / t["rows"].sum()),
    _missing("invoiced_at", lambda t: t.without_invoiced_at.sum() / t["rows"].sum()),
    count("files", "Files that the rows come from", lambda t: t.source_file.count()),
    count("repeated_keys", "Rows whose file and row number another row has", lambda t: t.repeated.sum()),
)
ORDERS = (
    count("orders", "Different invoice numbers", lambda t: t.value.count()),
    count(
        "orders_of_customers",
        "Different invoice numbers of rows with a customer",
        lambda t: t.value.count(where=t.rows_with_customer > 0),
    ),
    _missing("invoice_id", _without_value),
)
CUSTOMERS = (
    count("customers", "Different customers", lambda t: t.value.count()),
    number("guest_share", "Share of rows without a customer", _without_value),
)
PRODUCTS = (count("products", "Different products", lambda t: t.value.count()), _missing("product_id", _without_value))
COPIES = (count("copies", "Rows that equal an earlier row of the day in every mapped column", lambda t: t.count()),)
COUNTRIES = (
    _missing("country", _without_value),
    Measure("countries", "array<string>", f"Countries, the {VALUES_KEPT} with most rows", lambda t: _most(t, t.value)),
    Measure("country_rows", "array<int64>", "Rows of each of `countries`", lambda t: _most(t, t["rows"])),
)
PATTERNS = (
    Measure("product_patterns", "array<string>",
            f"Patterns of product ids (A a letter, 9 a digit), the {VALUES_KEPT} with most rows", lambda t: _most(t, t.value)),
    Measure("product_pattern_rows", "array<int64>", "Rows of each of `product_patterns`", lambda t: _most(t, t["rows"])),
)  # fmt: skip

DERIVED = (
    Column("lines_per_order", "float64", "Rows per different invoice number"),
    Column(
        "orders_per_customer", "float64", "Different invoice numbers of rows with a customer, per different customer"
    ),
    Column("duplicate_share", "float64", "Share of rows that equal an earlier row of the day in every mapped column"),
)

COLUMNS: tuple[Column, ...] = (
    *(measure.column for measure in (*ROWS, *ORDERS, *CUSTOMERS, *PRODUCTS, *COPIES, *COUNTRIES, *PATTERNS)),
    *DERIVED,
)


def measured(raw: ir.Table, days: Sequence[date], settings: Settings) -> ir.Table:
    """One row per day of `schema.RAW_TRANSACTIONS`, with `COLUMNS`.

    Args:
        raw: The rows, whole days.
        days: The days to measure, without a gap.
        settings: Which words mean "nothing", and which column holds the price.
    """
    tokens = settings.cleaning.null_tokens
    read = readable(raw, settings)
    without = {f"without_{name}": read[f"known_{name}"].isnull() for name in ("quantity", "price", "invoiced_at")}
    of_orders = by_value(raw, invoice=raw.invoice_id, customer=raw.customer_id, country=raw.country)
    customer = known_customer(of_orders.customer, tokens)
    orders = of_orders.group_by("date", value=known(of_orders.invoice, tokens)).agg(
        rows=_["rows"].sum(), rows_with_customer=_["rows"].sum(where=customer.notnull()).fill_null(0)
    )
    of_products = by_value(raw, product=raw.product_id)
    products = counted_by(of_products, known(of_products["product"], tokens))
    profile = by_day(
        days,
        [
            (by_file(read, broken=read.broken_line.notnull(), **without), ROWS),
            (orders, ORDERS),
            (counted_by(of_orders, customer), CUSTOMERS),
            (products, PRODUCTS),
            (cleaning.copies(raw), COPIES),
            (counted_by(of_orders, known(of_orders.country, tokens)), COUNTRIES),
            (counted_by(products, pattern(products.value)), PATTERNS),
        ],
    )
    return profile.mutate(
        lines_per_order=_["rows"] / _.orders.nullif(0),
        orders_per_customer=_.orders_of_customers / _.customers.nullif(0),
        duplicate_share=_.copies / _["rows"].nullif(0),
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


def _most(table: ir.Table, column: ir.Column) -> ir.ArrayScalar:
    order = [ibis.desc(table["rows"]), table.value]
    return column.collect(where=table.value.notnull(), order_by=order)[:VALUES_KEPT]
