"""Days: reading a moment of sale from text, and finding the day a row is filed under.

Belongs here: timestamps, the range of days, what counts as the future.
Does not: any other rule of cleaning (cleaning.py).

The engine's session runs in the shop's time zone (resources/engines/), so a text without a zone is local time and
the date of a moment is the shop's day, on every engine alike.
"""

import re

import ibis
import ibis.expr.types as ir

from segmentation_pipeline.settings import Settings

_DIGITS = {
    "%Y": r"(\d{4})",
    "%m": r"(\d{1,2})",
    "%d": r"(\d{1,2})",
    "%H": r"(\d{1,2})",
    "%M": r"(\d{1,2})",
    "%S": r"(\d{1,2})",
}


def filed(rows: ir.Table, settings: Settings) -> ir.Table:
    """Find the partition of each row: its day of sale if that can be true, else the day its file's other rows are under.

    Args:
        rows: Has `day_of_sale` (null if it cannot be read), `written_on` (the day the row's file was last written, after
            which nothing in it can have been sold) and `filing_day` (where rows without a usable day go).
        settings: The shop's first and last day.

    Returns:
        `rows` with `is_usable` and `date`.
    """
    last = (
        rows.written_on if settings.end_date is None else ibis.least(rows.written_on, ibis.literal(settings.end_date))
    )
    dated = rows.mutate(last_possible=last)
    usable = dated.day_of_sale.between(ibis.literal(settings.start_date), dated.last_possible).fill_null(False)
    return dated.mutate(is_usable=usable, date=usable.ifelse(dated.day_of_sale, dated.filing_day))


def day_of_sale(column: ir.Value, settings: Settings) -> ir.DateValue:
    """The shop's day of each moment in a source's column, text or typed; null where it cannot be read.

    A timestamp without a zone is local time, so its date needs no reading of its text.
    """
    kind = column.type()
    if kind.is_timestamp() and kind.timezone is None:
        return column.date()
    return moment(column.cast("string").strip(), settings.source.timestamp_format, settings.timezone).date()


def is_outside(day: ir.DateValue, settings: Settings) -> ir.BooleanValue:
    """Whether a day is before the shop's first day or after its last."""
    before = day < ibis.literal(settings.start_date)
    return before if settings.end_date is None else before | (day > ibis.literal(settings.end_date))


def moment(trimmed: ir.StringValue, timestamp_format: str | None, timezone: str) -> ir.TimestampValue:
    """A moment read from text without blanks around it: ISO 8601, or `timestamp_format` rewritten to it; null if unreadable.

    A text without a zone is taken in the session's zone, which is `timezone`. Typed columns arrive as ISO 8601 whatever
    the format of text columns is, so that is tried too.
    """
    iso = trimmed if timestamp_format is None else _iso(trimmed, timestamp_format).coalesce(trimmed)
    return iso.try_cast(f"timestamp('{timezone}')")


def _iso(text: ir.StringValue, timestamp_format: str) -> ir.StringValue:
    """Rewrite text by a strptime format to ISO 8601, with expressions that every engine has."""
    pattern = "^" + re.sub(r"%[YmdHMS]", lambda match: _DIGITS[match.group()], _escaped(timestamp_format)) + "$"
    place = {directive: number for number, directive in enumerate(re.findall(r"%.", timestamp_format), start=1)}

    def part(directive: str) -> ir.StringValue:
        if directive not in place:
            return ibis.literal("00")
        return text.re_extract(pattern, place[directive]).lpad(2, "0")

    day = part("%Y") + ibis.literal("-") + part("%m") + ibis.literal("-") + part("%d")
    time = part("%H") + ibis.literal(":") + part("%M") + ibis.literal(":") + part("%S")
    return text.re_search(pattern).ifelse(day + ibis.literal(" ") + time, None)


def _escaped(timestamp_format: str) -> str:
    return "".join(character if character in "%YmdHMS" else re.escape(character) for character in timestamp_format)
