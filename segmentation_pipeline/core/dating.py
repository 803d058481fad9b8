"""Days: reading a moment of sale from text, and finding the day a row is filed under.

Belongs here: timestamps, the range of days, what counts as the future.
Does not: any other rule of cleaning (cleaning.py).

The engine's session runs in the shop's time zone (resources/engine.py), so a text without a zone is local time and
the date of a moment is the shop's day, on every engine alike.
"""

import re

import ibis
import ibis.expr.types as ir
from ibis import _

from segmentation_pipeline.core.text import known
from segmentation_pipeline.settings import Settings

_DIGITS = {"%Y": r"(\d{4})", "%m": r"(\d{1,2})", "%d": r"(\d{1,2})", "%H": r"(\d{1,2})", "%M": r"(\d{1,2})", "%S": r"(\d{1,2})"}


def dated(table: ir.Table, settings: Settings) -> ir.Table:
    """Add the moment and day of sale of each row, and whether that day can be true.

    Args:
        table: Has `invoiced_at` (text) and `written_on` (the day the row's file was last written) or, once filed,
            `date`: a row that is filed under another day than its own was found to be in the future then.
        settings: How the text is written, the shop's zone, and its first and last day.

    Returns:
        `table` with `invoiced_at_text`, `parsed_at`, `day_of_sale`, `is_outside_range` and `is_future`.
    """
    read = table.mutate(invoiced_at_text=known(_.invoiced_at, settings.cleaning.null_tokens))
    read = read.mutate(parsed_at=moment(_.invoiced_at_text, settings.source.timestamp_format, settings.timezone))
    read = read.mutate(day_of_sale=_.parsed_at.date())
    outside = _.day_of_sale < ibis.literal(settings.start_date)
    if settings.end_date is not None:
        outside = outside | (_.day_of_sale > ibis.literal(settings.end_date))
    late = (_.day_of_sale != _.date) if "date" in table.columns else (_.day_of_sale > _.written_on)
    return read.mutate(is_outside_range=outside).mutate(is_future=late & ~_.is_outside_range)


def moment(text: ir.StringValue, timestamp_format: str | None, timezone: str) -> ir.TimestampValue:
    """A moment read from text: ISO 8601, or `timestamp_format` rewritten to it; null where it cannot be read.

    A text without a zone is taken in the session's zone, which is `timezone`.
    """
    iso = text if timestamp_format is None else _iso(text, timestamp_format)
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
