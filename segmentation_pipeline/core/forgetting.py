"""Forgetting: what becomes of the rows of customers who are to be forgotten.

Belongs here: telling their rows by a digest of their id, and taking their identity out of rows of every table.
Does not: the list of digests (resources/forgotten.py), rewriting files (resources/erasure.py).

A forgotten customer's transaction lines stay, as a guest's, so that rows and money add up as before. What must not get
lost with the identity is whether two lines are copies of each other: where two people buy the same thing in the same
second, their lines differ in nothing but the customer. So the customer's place in a raw row is taken by a digest of the
whole row, which is equal for copies alone: it links no two other lines.
"""

from collections.abc import Callable
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
from ibis import _

from segmentation_pipeline.core import cleaning, schema
from segmentation_pipeline.core.schema import Table
from segmentation_pipeline.core.text import FORGOTTEN, known
from segmentation_pipeline.settings import Settings

# What can be, or be made from, a customer's id or a number that leads to one: never shown where it would be kept.
IDENTIFYING = ("customer_id", "invoice_id", "order_id", "broken_line")
OUTLIER = "outlier"
DIGITS_KEPT = 32

_SEPARATOR, _NOTHING = "\x1f", "\x1e"
# What parts the cells of a line of text, and what parts its words: an id may be either.
_BETWEEN_CELLS, _BETWEEN_WORDS = r"[,;|\t\"']+", r"[^0-9A-Za-z]+"


@dataclass(frozen=True)
class Forgotten:
    """Customers who are to be forgotten, by what their ids cannot be read from.

    Attributes:
        salt: Goes before whatever is digested.
        digests: Of the ids.
    """

    salt: str
    digests: tuple[str, ...]

    def digest(self, *parts: ir.StringValue | str) -> ir.StringValue:
        """SHA-256 of the salt and some texts, as hexadecimal digits."""
        text: ir.StringValue = ibis.literal(self.salt)
        for part in parts:
            text = text + ibis.literal(_SEPARATOR) + part
        return text.hexdigest("sha256")

    def is_of(self, customer: ir.StringValue) -> ir.BooleanValue:
        """Whether an id, as cleaning reads it, is one of theirs."""
        return self.digest(customer).isin(self.digests).fill_null(False)


def names(text: ir.StringValue, forgotten: Forgotten, settings: Settings) -> ir.BooleanValue:
    """Whether a text is the id of one of them, however the source spells it."""
    return forgotten.is_of(cleaning.customer(text, settings.cleaning.null_tokens))


def is_told_by(line: ir.StringValue, forgotten: Forgotten) -> ir.BooleanValue:
    """Whether the id of one of them is a cell or a word of a line of text that could not be split."""
    found = [
        line.re_split(between).map(lambda part: forgotten.digest(cleaning.identifier(part.strip())))
        for between in (_BETWEEN_CELLS, _BETWEEN_WORDS)
    ]
    theirs = [digests.filter(lambda each: each.isin(forgotten.digests)).length() > 0 for digests in found]
    return ibis.ifelse(line.isnull(), False, theirs[0] | theirs[1])


def of_raw(rows: ir.Table, forgotten: Forgotten, settings: Settings) -> ir.Table:
    """Raw or quarantined rows: a forgotten customer's are a guest's, and are judged as before by every rule.

    Args:
        rows: Has `broken_line` and those of `schema.SOURCE_COLUMNS` that the source has.
        forgotten: Who is.
        settings: Which words mean "nothing".

    Returns:
        The rows. `customer_id` is a mark that reads as nobody, `invoice_id` a digest that all lines of the order share,
        missing or mangled where it was; a `broken_line` with an id in it is a mark too.
    """
    cells = (*schema.SOURCE_COLUMNS, "broken_line")
    texts = [rows[name].fill_null(_NOTHING) if name in rows.columns else _NOTHING for name in cells]
    mark = ibis.literal(FORGOTTEN) + forgotten.digest(*texts)[:DIGITS_KEPT]
    is_theirs = names(rows.customer_id, forgotten, settings)
    changed = {
        "customer_id": is_theirs.ifelse(mark, rows.customer_id),
        "broken_line": is_told_by(rows.broken_line, forgotten).ifelse(mark, rows.broken_line),
    }
    if "invoice_id" in rows.columns:
        invoice = known(rows.invoice_id, settings.cleaning.null_tokens)
        customer = cleaning.customer(rows.customer_id, settings.cleaning.null_tokens)
        digest = _invoice(cleaning.identifier(invoice), customer, forgotten)
        stays_mangled = invoice.re_search(cleaning.MANGLED_ID).ifelse(ibis.literal("#REF "), "") + digest
        changed["invoice_id"] = (is_theirs & invoice.notnull()).ifelse(stays_mangled, rows.invoice_id)
    return rows.mutate(**changed)


def of_clean(lines: ir.Table, forgotten: Forgotten, settings: Settings) -> ir.Table:
    """Accepted lines as cleaning would make them of what `of_raw` returns."""
    is_theirs = forgotten.is_of(lines.customer_id)
    if settings.source.columns.invoice_id is None:
        invoice = cleaning.made_up_invoice(lines, ibis.null("string"))
    else:
        invoice = _invoice(lines.invoice_id, lines.customer_id, forgotten)
    return lines.mutate(
        customer_id=is_theirs.ifelse(None, lines.customer_id), invoice_id=is_theirs.ifelse(invoice, lines.invoice_id)
    )


def _invoice(invoice: ir.StringValue, customer: ir.StringValue, forgotten: Forgotten) -> ir.StringValue:
    return ibis.literal(FORGOTTEN) + forgotten.digest(customer, invoice)[:DIGITS_KEPT]


@dataclass(frozen=True)
class Erasing:
    """How customers are taken out of one table.

    Attributes:
        named: Which rows name them.
        left: The table without them.
    """

    named: Callable[[ir.Table, Forgotten, Settings], ir.BooleanValue]
    left: Callable[[ir.Table, Forgotten, Settings], ir.Table]


def erasing(layout: Table) -> Erasing | None:
    """How customers are taken out of a table of the lake; None for one that names none."""
    if "broken_line" in layout.names:
        return ERASING_RAW
    if "customer_id" in layout.names:
        return Erasing(_is_in_column, of_clean if "source_row" in layout.names else _rows_of_others)
    return Erasing(_is_outlier, _rows_of_others_among_outliers) if layout is schema.FEATURE_EXPLORATION else None


def shown(rows: ir.Table) -> ir.Table:
    """Rows as they may be shown where they are kept: without what can name a customer."""
    if "measure" in rows.columns:
        return rows.filter(_.measure != OUTLIER)
    return rows.drop(*(name for name in IDENTIFYING if name in rows.columns))


def _is_in_raw(rows: ir.Table, forgotten: Forgotten, settings: Settings) -> ir.BooleanValue:
    return names(rows.customer_id, forgotten, settings) | is_told_by(rows.broken_line, forgotten)


def _is_in_column(rows: ir.Table, forgotten: Forgotten, _settings: Settings) -> ir.BooleanValue:
    return forgotten.is_of(rows.customer_id)


def _is_outlier(rows: ir.Table, forgotten: Forgotten, _settings: Settings) -> ir.BooleanValue:
    return (rows.measure == OUTLIER) & forgotten.is_of(rows["item"])


def _rows_of_others(rows: ir.Table, forgotten: Forgotten, settings: Settings) -> ir.Table:
    return rows.filter(~_is_in_column(rows, forgotten, settings))


def _rows_of_others_among_outliers(rows: ir.Table, forgotten: Forgotten, settings: Settings) -> ir.Table:
    return rows.filter(~_is_outlier(rows, forgotten, settings))


ERASING_RAW = Erasing(_is_in_raw, of_raw)
