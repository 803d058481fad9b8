"""Cleaning: each raw row becomes an accepted, typed line or a quarantined row with every rule it fails.

Belongs here: reading text into types, the rules and their precedence, the kind of a line.
Does not: finding the day a row is filed under (dating.py), matching returns (returns.py), reading files (resources/).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

import ibis
import ibis.expr.types as ir
from ibis import _

from segmentation_pipeline.core import dating, schema
from segmentation_pipeline.core.text import known, known_customer
from segmentation_pipeline.settings import Cleaning, Settings

LARGEST_DECIMAL = 10**13
MANGLED_ID = r"[\x00-\x1f\x{fffd}]|^#(REF|N/A|VALUE|NAME|DIV/0|NUM|NULL)|^[0-9](\.[0-9]+)?[eE]\+[0-9]+$"
DIGITS = r"^[+-]?[0-9]{1,15}$"
COMMA_NUMBER = r"^[+-]?([0-9]+|[0-9]{1,3}(\.[0-9]{3})+)(,[0-9]+)?([eE][+-]?[0-9]+)?$"


@dataclass(frozen=True)
class Rule:
    """A condition that no accepted line meets; `fails` is evaluated on the table of `parsed`."""

    reason: str
    description: str
    fails: Callable[[ir.Table, Cleaning], ir.BooleanValue]


RULES = (
    Rule("broken_line", "The line of text could not be split into the file's columns.",
         lambda t, _s: t.broken_line.notnull()),
    Rule("missing_invoice_id", "There is no invoice number.",
         lambda t, _s: t.invoice_is_mapped & t.parsed_invoice_id.isnull()),
    Rule("unreadable_invoice_id", "The invoice number was mangled: control signs, a spreadsheet's error, or 5.36E+05.",
         lambda t, _s: t.parsed_invoice_id.re_search(MANGLED_ID)),
    Rule("missing_timestamp", "There is no date and time of sale.",
         lambda t, _s: t.invoiced_at_text.isnull()),
    Rule("unreadable_timestamp", "The date and time of sale cannot be read.",
         lambda t, _s: t.invoiced_at_text.notnull() & t.parsed_at.isnull()),
    Rule("outside_date_range", "The day of sale is before start_date or after end_date.",
         lambda t, _s: t.is_outside_range),
    Rule("in_the_future", "The day of sale is after the day its file was written.",
         lambda t, _s: ~t.is_outside_range & (t.parsed_at.date() != t.date)),
    Rule("missing_quantity", "There is no quantity.",
         lambda t, _s: t.quantity_is_mapped & t.quantity_text.isnull()),
    Rule("unreadable_quantity", "The quantity is no whole number.",
         lambda t, _s: t.quantity_text.notnull() & t.parsed_quantity.isnull()),
    Rule("impossible_quantity", "The quantity is 0, or beyond cleaning.max_abs_quantity.",
         lambda t, s: (t.parsed_quantity == 0) | (t.parsed_quantity.abs() > s.max_abs_quantity)),
    Rule("missing_price", "There is no price.",
         lambda t, _s: t.price_text.isnull()),
    Rule("unreadable_price", "The price is no number.",
         lambda t, _s: t.price_text.notnull() & t.parsed_price.isnull()),
    Rule("zero_price", "The price is 0: nothing was sold.",
         lambda t, _s: t.parsed_price == 0),
    Rule("negative_price", "The price is below 0: a correction in the books, not a sale.",
         lambda t, _s: t.price_is_per_item & (t.parsed_price < 0)),
    Rule("impossible_price", "The price is beyond cleaning.max_abs_unit_price.",
         lambda t, s: t.parsed_price.abs() > s.max_abs_unit_price * ibis.ifelse(t.price_is_per_item, 1, t.parsed_quantity.abs())),
    Rule("exact_duplicate", "Another row is the same in every mapped column; the first one is kept.",
         lambda t, s: t.is_copy if s.reject_duplicates else ibis.literal(False)),
)  # fmt: skip

DESCRIPTIONS = {rule.reason: rule.description for rule in RULES}


def classify(raw: ir.Table, settings: Settings) -> ir.Table:
    """Judge every raw row by every rule.

    Args:
        raw: `schema.RAW_TRANSACTIONS`, whole days.
        settings: The mapping of columns, the rules' limits, and the range of days.

    Returns:
        The rows of `raw` with what was read from them (`parsed_`), `failed_rules` and `reason`, null for an accepted row.
    """
    repeated = copies(raw).select(copied_file="source_file", copied_row="source_row").distinct()
    same_row = [raw.source_file == repeated.copied_file, raw.source_row == repeated.copied_row]
    judged = parsed(raw.left_join(repeated, same_row), settings).mutate(is_copy=_.copied_row.notnull())
    fails = [rule.fails(judged, settings.cleaning).fill_null(False) for rule in RULES]
    reasons = [failed.ifelse(rule.reason, ibis.null("string")) for failed, rule in zip(fails, RULES, strict=True)]
    failed_rules = ibis.array(reasons).filter(lambda reason: reason.notnull())
    return judged.mutate(  # only for the few rows that fail at all are the rules listed
        failed_rules=reduce(or_, fails).ifelse(failed_rules, ibis.null("array<string>"))
    ).mutate(reason=_.failed_rules[0])


def copies(raw: ir.Table) -> ir.Table:
    """Each row that equals an earlier row of its day in every mapped column.

    Rows are compared column by column only where their hashes agree, which is far cheaper than comparing all.
    """
    content, place = [*schema.SOURCE_COLUMNS, "broken_line"], ["source_file", "source_row"]
    hashed = raw.select("date", *place, content_hash=ibis.struct({name: raw[name] for name in content}).hash())
    repeated = hashed.group_by("date", "content_hash").agg(rows=_.count()).filter(_.rows > 1)
    compared = raw.semi_join(hashed.semi_join(repeated, ["date", "content_hash"]), place)
    in_order = ibis.row_number().over(group_by=["date", *content], order_by=place)
    return compared.mutate(copy_number=in_order).filter(_.copy_number > 0).drop("copy_number")


def rejected(raw: ir.Table, settings: Settings) -> ir.Table:
    """The rows of `classify` that fail a rule, as they came, as `schema.QUARANTINED_TRANSACTIONS`."""
    failing = classify(raw, settings).filter(_.reason.notnull())
    return schema.QUARANTINED_TRANSACTIONS.conform(failing.mutate(amount_at_stake=line_amount(failing)))


def accepted(raw: ir.Table, quarantined: ir.Table, settings: Settings) -> ir.Table:
    """All other rows, typed, as `schema.CLEAN_TRANSACTIONS`.

    Args:
        raw: As for `rejected`.
        quarantined: What came of it, held by the engine: these rows are few, and so the others stream through.
        settings: Likewise.
    """
    read = parsed(raw.anti_join(quarantined, ["source_file", "source_row"]), settings)
    pattern = settings.cleaning.non_product_pattern
    lines = read.mutate(
        customer_id=_.parsed_customer_id,
        product_id=_.product_id.strip().nullif(""),
        description=_.description.strip().nullif(""),
        country=_.country.strip().nullif(""),
        invoiced_at=_.parsed_at,
        **_signed(read),
    )
    is_product = ibis.literal(True) if pattern is None else ~_.product_id.re_search(pattern).fill_null(False)
    return schema.CLEAN_TRANSACTIONS.conform(
        lines.mutate(
            invoice_id=_.parsed_invoice_id.coalesce(made_up_invoice(lines, lines.customer_id)),
            line_kind=ibis.cases((~is_product, "adjustment"), (_.quantity < 0, "return"), else_="sale"),
        )
    )


def line_amount(table: ir.Table) -> ir.DecimalValue:
    """Money of a row of `parsed`: the line total or quantity times price, 0 where it cannot be read or is absurd."""
    quantity = table.price_is_per_item.ifelse(table.parsed_quantity, 1)
    size = (quantity.cast("float64") * table.parsed_price.cast("float64")).abs()
    sane = ibis.ifelse(size < LARGEST_DECIMAL, quantity, 0)  # before multiplying: an overflow would end the run
    return (sane * table.parsed_price).cast(schema.MONEY).fill_null(ibis.literal(0).cast(schema.MONEY))


def parsed(raw: ir.Table, settings: Settings) -> ir.Table:
    """Read the text of each column into its type; what cannot be read becomes null beside the text it came from."""
    tokens, columns = settings.cleaning.null_tokens, settings.source.columns
    price = _.unit_price if columns.unit_price else _.amount
    table = raw.mutate(
        invoiced_at_text=known(raw.invoiced_at, tokens),
        parsed_at=dating.moment(raw.invoiced_at, settings.source.timestamp_format, settings.timezone),
    )
    table = table.mutate(
        is_outside_range=dating.is_outside(table.parsed_at.date(), settings),
        invoice_is_mapped=ibis.literal(columns.invoice_id is not None),
        quantity_is_mapped=ibis.literal(columns.quantity is not None),
        price_is_per_item=ibis.literal(columns.unit_price is not None),
        parsed_invoice_id=identifier(known(_.invoice_id, tokens)),
        parsed_customer_id=customer(_.customer_id, tokens),
        quantity_text=known(_.quantity, tokens),
        price_text=known(price, tokens),
    )
    return table.mutate(
        parsed_quantity=_whole(_.quantity_text, settings.source.decimal)
        if columns.quantity
        else ibis.literal(1, "int64"),
        parsed_price=_number(_.price_text, settings.source.decimal, schema.MONEY),
    )


def customer(text: ir.StringValue, null_tokens: Sequence[str]) -> ir.StringValue:
    """Whose row it is, or null for a guest's: one customer has one id, however the source spells it."""
    return identifier(known_customer(text, null_tokens))


def _number(text: ir.StringValue, decimal: str, type_: str) -> ir.DecimalValue:
    if decimal == ",":  # a dot may only part thousands: 2.55 is then no number, rather than 255
        text = text.re_search(COMMA_NUMBER).ifelse(text.replace(".", "").replace(",", "."), None)
    return text.try_cast(type_)


def _whole(text: ir.StringValue, decimal: str) -> ir.IntegerValue:
    """A whole number, however it is written: digits alone, as nearly all are, are not read as a decimal first."""
    number = _number(text, decimal, "decimal(36, 18)")  # 2.00001 must not round to 2
    written_otherwise = ibis.ifelse(number == number.round(0), number, None).cast("int64")
    return text.re_search(DIGITS).ifelse(text.try_cast("int64"), written_otherwise)


def identifier(text: ir.StringValue) -> ir.StringValue:
    """An id without the `.0` that a spreadsheet or a float column adds to a whole number."""
    return ibis.ifelse(text.re_search(r"^[0-9]+\.0+$"), text.re_extract(r"^([0-9]+)\.0+$", 1), text)


def _signed(table: ir.Table) -> dict[str, ir.Value]:
    """Quantity, price and total of an accepted line; a line total decides the sign where the source gives totals."""
    money = line_amount(table)
    quantity = table.price_is_per_item.ifelse(
        table.parsed_quantity, table.parsed_quantity.abs() * money.sign().cast("int64")
    )
    per_item = ibis.ifelse(
        table.price_is_per_item,
        table.parsed_price,
        (money.abs().cast("float64") / table.parsed_quantity.abs()).cast(schema.MONEY),
    )
    return {"quantity": quantity, "unit_price": per_item, "amount": money}


def made_up_invoice(lines: ir.Table, customer: ir.StringValue) -> ir.StringValue:
    """One order per customer and second; a guest's line is an order of its own."""
    epoch = ibis.literal("1970-01-01 00:00:00+00").cast("timestamp('UTC')")
    moment = lines.invoiced_at.delta(epoch, unit="second").cast("string")  # not local time: an hour comes twice a year
    who = customer.coalesce(lines.source_file + ibis.literal("#") + lines.source_row.cast("string"))
    return who + ibis.literal("@") + moment
