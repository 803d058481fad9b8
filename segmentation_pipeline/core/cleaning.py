"""Cleaning: each raw row becomes an accepted, typed line or a quarantined row with every rule it fails.

Belongs here: reading text into types, the rules and their precedence, the kind of a line.
Does not: finding the day a row is filed under (dating.py), matching returns (returns.py), reading files (resources/).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_, or_

import ibis
import ibis.expr.types as ir
from ibis import _

from segmentation_pipeline.core import dating, schema
from segmentation_pipeline.core.text import PLAIN_ID, is_no_word, is_surely_known, meant, meant_customer
from segmentation_pipeline.settings import Cleaning, Settings

LARGEST_DECIMAL = 10**13
LONGEST_CUSTOMER_ID = 200
_BROKEN_ID = r"[\x00-\x1f\x{fffd}]|^#(REF|N/A|VALUE|NAME|DIV/0|NUM|NULL)|"
MANGLED_ID = _BROKEN_ID + r"^[0-9](\.[0-9]+)?[eE]\+[0-9]+$"
# A number with all its digits is still one customer's.
MANGLED_CUSTOMER_ID = _BROKEN_ID + r"^[0-9](\.[0-9]{1,9})?[eE]\+[0-9]+$"
SOUND_CUSTOMER = r"^([A-Za-z]*[0-9][0-9A-Za-z]*(\.0+)?)?$"  # whatever it means: nobody's row is sound too
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
         lambda t, _s: t.invoice_is_plain.ifelse(False, t.parsed_invoice_id.re_search(MANGLED_ID))),
    Rule("unreadable_customer_id", "The customer's id was mangled: control signs, a spreadsheet's error, 1.2E+11, or length.",
         lambda t, _s: (~t.customer_is_plain & t.parsed_customer_id.re_search(MANGLED_CUSTOMER_ID))
         | (t.parsed_customer_id.length() > LONGEST_CUSTOMER_ID)),
    Rule("missing_timestamp", "There is no date and time of sale.",
         lambda t, _s: t.invoiced_at_text.isnull()),
    Rule("unreadable_timestamp", "The date and time of sale cannot be read.",
         lambda t, _s: t.invoiced_at_text.notnull() & t.parsed_at.isnull()),
    Rule("outside_date_range", "The day of sale is before start_date or after end_date.",
         lambda t, _s: t.is_outside_range),
    Rule("in_the_future", "The day of sale is after the day its file was written.",
         lambda t, _s: ~t.is_outside_range & (t.parsed_day != t.date)),
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
    return _judged(_with_copies(raw, copies(raw)), settings)


def _with_copies(raw: ir.Table, copies: ir.Table) -> ir.Table:
    """Raw rows with `is_copy`: whether they are among the copies."""
    repeated = copies.select(copied_file="source_file", copied_row="source_row").distinct()
    same_row = [raw.source_file == repeated.copied_file, raw.source_row == repeated.copied_row]
    return raw.left_join(repeated, same_row).mutate(is_copy=_.copied_row.notnull())


def _judged(rows: ir.Table, settings: Settings) -> ir.Table:
    """Rows with `is_copy`, as `classify` gives them."""
    judged = parsed(rows, settings)
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
    content, place = ["date", *schema.SOURCE_COLUMNS, "broken_line"], ["source_file", "source_row"]
    content_hash = ibis.struct({name: raw[name] for name in content}).hash()
    repeated = raw.select(content_hash=content_hash).group_by("content_hash").agg(rows=_.count()).filter(_.rows > 1)
    compared = raw.mutate(content_hash=content_hash).semi_join(repeated, "content_hash").drop("content_hash")
    in_order = ibis.row_number().over(group_by=content, order_by=place)
    return compared.mutate(copy_number=in_order).filter(_.copy_number > 0).drop("copy_number")


def rejected(raw: ir.Table, settings: Settings) -> ir.Table:
    """The rows of `classify` that fail a rule, as they came, as `schema.QUARANTINED_TRANSACTIONS`.

    Nearly all rows are sound at a glance, so that only the others are read and judged by every rule.
    """
    glanced = _with_copies(raw.mutate(is_sound=is_sound_at_a_glance(raw, settings)), copies(raw))
    doubtful = glanced.filter(~_.is_sound | _.is_copy)
    failing = _judged(doubtful, settings).filter(_.reason.notnull())
    return schema.QUARANTINED_TRANSACTIONS.conform(failing.mutate(amount_at_stake=line_amount(failing)))


def is_sound_at_a_glance(raw: ir.Table, settings: Settings) -> ir.BooleanValue:
    """Whether a row is one of the plain ones that fail no rule, but for being a copy; others may be sound all the same."""
    columns, limits, tokens = settings.source.columns, settings.cleaning, settings.cleaning.null_tokens
    price_text = raw.unit_price if columns.unit_price else raw.amount
    price = _number(price_text, settings.source.decimal, schema.MONEY)
    day = dating.moment(raw.invoiced_at, settings.source.timestamp_format, settings.timezone).date()
    customer = raw.customer_id
    sound = [
        raw.broken_line.isnull(),
        customer.isnull() | (customer.re_search(SOUND_CUSTOMER) & (customer.length() <= LONGEST_CUSTOMER_ID)),
        (price > 0) & (price <= limits.max_abs_unit_price) & is_no_word(price_text, tokens),
        (day == raw.date) & ~dating.is_outside(day, settings) & is_no_word(raw.invoiced_at, tokens),
    ]
    if columns.invoice_id:
        sound.append(raw.invoice_id.re_search(PLAIN_ID) & is_no_word(raw.invoice_id, tokens))
    if columns.quantity:
        quantity, most = raw.quantity.try_cast("int64"), limits.max_abs_quantity
        sound += [raw.quantity.re_search(DIGITS) & is_no_word(raw.quantity, tokens)]
        sound += [quantity != 0, quantity.between(-most, most)]
    return reduce(and_, sound).fill_null(False)


def accepted(raw: ir.Table, quarantined: ir.Table, settings: Settings) -> ir.Table:
    """All other rows, typed, as `schema.CLEAN_TRANSACTIONS`.

    Args:
        raw: As for `rejected`.
        quarantined: What came of it, held by the engine: these rows are few, and so the others stream through.
        settings: Likewise.
    """
    read = parsed(raw, settings).anti_join(quarantined, ["source_file", "source_row"])
    lines = read.mutate(
        customer_id=_.parsed_customer_id,
        product_id=_.product_id_text.nullif(""),
        description=_.description_text.nullif(""),
        country=_.country_text.nullif(""),
        invoiced_at=_.parsed_at,
        amount=line_amount(read),
    )
    lines = lines.mutate(
        invoice_id=_.parsed_invoice_id.coalesce(made_up_invoice(lines, lines.customer_id)), **_signed(lines, settings)
    )
    is_product = _.product_id.isnull() | ~_.is_no_product
    return schema.CLEAN_TRANSACTIONS.conform(
        lines.mutate(line_kind=ibis.cases((~is_product, "adjustment"), (_.quantity < 0, "return"), else_="sale"))
    )


def line_amount(table: ir.Table) -> ir.DecimalValue:
    """Money of a row of `parsed`: the line total or quantity times price, 0 where it cannot be read or is absurd."""
    quantity = table.price_is_per_item.ifelse(table.parsed_quantity, 1)
    size = (quantity.cast("float64") * table.parsed_price.cast("float64")).abs()
    sane = ibis.ifelse(size < LARGEST_DECIMAL, quantity, 0)  # before multiplying: an overflow would end the run
    return (sane * table.parsed_price).cast(schema.MONEY).fill_null(ibis.literal(0).cast(schema.MONEY))


def parsed(raw: ir.Table, settings: Settings) -> ir.Table:
    """Read the text of each column into its type; what cannot be read becomes null beside the text it came from.

    In steps, for the sake of the engine. DuckDB computes a function of one column once for each different text of a column
    that is stored as a dictionary, and so it does with a function of such a function; a choice is made row by row. What is
    only chosen for a few rows is only computed for these, unless a step says it twice: then it is computed for all.
    """
    return _chosen(_meant(_at_a_glance(_trimmed(raw, settings), settings), settings), settings)


def _trimmed(raw: ir.Table, settings: Settings) -> ir.Table:
    """With the text of each column without blanks around it, as `_text`."""
    price = raw.unit_price if settings.source.columns.unit_price else raw.amount
    names = ("invoice_id", "product_id", "description", "quantity", "customer_id", "invoiced_at", "country")
    return raw.mutate(**{f"{name}_text": raw[name].strip() for name in names}, price_text=price.strip())


def _at_a_glance(table: ir.Table, settings: Settings) -> ir.Table:
    """With what each text of a column is read as by a function of it alone, and whether it is as nearly all are."""
    tokens, decimal = settings.cleaning.null_tokens, settings.source.decimal
    pattern = settings.cleaning.non_product_pattern
    return table.mutate(
        invoice_is_plain=is_surely_known(table.invoice_id_text, tokens, PLAIN_ID),
        customer_is_plain=is_surely_known(table.customer_id_text, tokens, PLAIN_ID),
        quantity_is_known=is_surely_known(table.quantity_text, tokens),
        quantity_is_digits=table.quantity_text.re_search(DIGITS),
        quantity_of_digits=table.quantity_text.try_cast("int64"),
        quantity_number=_number(table.quantity_text, decimal, "decimal(36, 18)"),  # 2.00001 must not round to 2
        price_is_known=is_surely_known(table.price_text, tokens),
        price_number=_number(table.price_text, decimal, schema.MONEY),
        invoiced_at_is_known=is_surely_known(table.invoiced_at_text, tokens),
        parsed_at=dating.moment(table.invoiced_at_text, settings.source.timestamp_format, settings.timezone),
        is_no_product=ibis.literal(False) if pattern is None else table.product_id_text.re_search(pattern),
    ).mutate(parsed_day=_.parsed_at.date())


def _meant(table: ir.Table, settings: Settings) -> ir.Table:
    """With null for each text that means "nothing"."""
    tokens = settings.cleaning.null_tokens
    texts = {
        f"{name}_text": table[is_known].ifelse(table[f"{name}_text"], meant(table[f"{name}_text"], tokens))
        for name, is_known in (
            ("invoiced_at", "invoiced_at_is_known"),
            ("quantity", "quantity_is_known"),
            ("price", "price_is_known"),
        )
    }
    invoice, customer = table.invoice_id_text, table.customer_id_text
    return table.mutate(
        **texts,
        parsed_invoice_id=table.invoice_is_plain.ifelse(invoice, _known_id(meant(invoice, tokens), tokens)),
        parsed_customer_id=table.customer_is_plain.ifelse(
            customer, _known_id(meant_customer(customer, tokens), tokens)
        ),
    )


def _chosen(table: ir.Table, settings: Settings) -> ir.Table:
    """With what each text is read as."""
    columns = settings.source.columns
    whole = (_.quantity_number == _.quantity_number.round(0)).ifelse(_.quantity_number, None).cast("int64")
    quantity = _.quantity_is_known.ifelse(_.quantity_is_digits.ifelse(_.quantity_of_digits, whole), None)
    return table.mutate(
        is_outside_range=dating.is_outside(table.parsed_day, settings),
        invoice_is_mapped=ibis.literal(columns.invoice_id is not None),
        quantity_is_mapped=ibis.literal(columns.quantity is not None),
        price_is_per_item=ibis.literal(columns.unit_price is not None),
        parsed_quantity=quantity if columns.quantity else ibis.literal(1, "int64"),
        parsed_price=_.price_is_known.ifelse(_.price_number, None),  # what has no digit is no number
    )


def customer(text: ir.StringValue, null_tokens: Sequence[str]) -> ir.StringValue:
    """Whose row it is, or null for a guest's: one customer has one id, however the source spells it."""
    return _known_id(meant_customer(text.strip(), null_tokens), null_tokens)


def _known_id(text: ir.StringValue, null_tokens: Sequence[str]) -> ir.StringValue:
    """An id as it counts; a word for "nothing" is one in either spelling, as 0 of a float column is 0.0."""
    return meant(identifier(text), null_tokens)


def _number(text: ir.StringValue, decimal: str, type_: str) -> ir.DecimalValue:
    if decimal == ",":  # a dot may only part thousands: 2.55 is then no number, rather than 255
        text = text.re_search(COMMA_NUMBER).ifelse(text.replace(".", "").replace(",", "."), None)
    return text.try_cast(type_)


def identifier(text: ir.StringValue) -> ir.StringValue:
    """An id without the `.0` that a spreadsheet or a float column adds to a whole number."""
    return ibis.ifelse(text.re_search(r"^[0-9]+\.0+$"), text.re_extract(r"^([0-9]+)\.0+$", 1), text)


def _signed(lines: ir.Table, settings: Settings) -> dict[str, ir.Value]:
    """Quantity and price of an accepted line; a line total decides the sign where the source gives totals."""
    if settings.source.columns.unit_price:
        return {"quantity": lines.parsed_quantity, "unit_price": lines.parsed_price}
    per_item = lines.amount.abs().cast("float64") / lines.parsed_quantity.abs()
    return {
        "quantity": lines.parsed_quantity.abs() * lines.amount.sign().cast("int64"),
        "unit_price": per_item.cast(schema.MONEY),
    }


def made_up_invoice(lines: ir.Table, customer: ir.StringValue) -> ir.StringValue:
    """One order per customer and second; a guest's line is an order of its own."""
    epoch = ibis.literal("1970-01-01 00:00:00+00").cast("timestamp('UTC')")
    moment = lines.invoiced_at.delta(epoch, unit="second").cast("string")  # not local time: an hour comes twice a year
    who = customer.coalesce(lines.source_file + ibis.literal("#") + lines.source_row.cast("string"))
    return who + ibis.literal("@") + moment
