"""The kinds of dirt, how often they occur, and what spoils single lines of a day.

Belongs here: the flags that lines carry until they are counted; late orders, spoiled fields and copies.
Does not: dirt that consists of lines of its own, such as returns and write-offs (credits.py) and postage (sales.py).
"""

import enum
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from segmentation_pipeline.sample_data.catalogue import NO_DESCRIPTION, Catalogue
from segmentation_pipeline.sample_data.lines import MINUTES_PER_DAY, SALE, Lines


class Dirt(enum.IntFlag):
    """What can be wrong with, or special about, a line. A line without any flag is a clean sale.

    DUPLICATE: a copy, equal in every column to the line before it.
    RETURN: some or all pieces of an earlier line, given back on a `C` invoice 1 to 60 days later by the same customer
        at the same price.
    CANCELLATION: a line of a `C` invoice that takes back a whole order minutes later.
    CANCELLED_SALE: a line of an order so taken back.
    ZERO_PRICE: price 0, free of charge or a write-off.
    WRITE_OFF: negative quantity at price 0, on an invoice of its own without `C` and without customer.
    BAD_DEBT: negative price on an `A` invoice, code `B`.
    NON_PRODUCT_CODE: postage, carriage, fees, manual entries and discounts.
    PADDED_DESCRIPTION: blanks around the description.
    MISSING_DESCRIPTION, MISSING_INVOICE, MISSING_TIMESTAMP: null. The line still rides in the file of its day.
    ABSURD_QUANTITY: `ABSURD_QUANTITY_PIECES` pieces, a slip of the keyboard.
    OUTSIDE_PERIOD: a timestamp decades before or after the period.
    LATE: dated one to three days before the day of the file.
    """

    DUPLICATE = enum.auto()
    RETURN = enum.auto()
    CANCELLATION = enum.auto()
    CANCELLED_SALE = enum.auto()
    ZERO_PRICE = enum.auto()
    WRITE_OFF = enum.auto()
    BAD_DEBT = enum.auto()
    NON_PRODUCT_CODE = enum.auto()
    PADDED_DESCRIPTION = enum.auto()
    MISSING_DESCRIPTION = enum.auto()
    MISSING_INVOICE = enum.auto()
    MISSING_TIMESTAMP = enum.auto()
    ABSURD_QUANTITY = enum.auto()
    OUTSIDE_PERIOD = enum.auto()
    LATE = enum.auto()


ABSURD_QUANTITY_PIECES = 10_000_000
DUPLICATE_SHARE = 0.01  # of all lines
LATE_ORDER_SHARE = 0.002  # of all orders not taken back
LATEST_DAYS = 3
# Shares of the clean lines of a day; no line suffers two of these.
SPOILED_SHARES = {
    Dirt.PADDED_DESCRIPTION: 0.02,
    Dirt.MISSING_DESCRIPTION: 0.002,
    Dirt.ZERO_PRICE: 0.0025,
    Dirt.MISSING_INVOICE: 0.0003,
    Dirt.MISSING_TIMESTAMP: 0.0003,
    Dirt.ABSURD_QUANTITY: 0.00005,
    Dirt.OUTSIDE_PERIOD: 0.00005,
}
_FAR_AWAY_MINUTES = np.array(["1970-01-01T00:00", "2099-12-31T23:59"], dtype="datetime64[m]").astype(np.int64)


def delay_orders(lines: Lines, day: int, rng: np.random.Generator) -> Lines:
    """Date a few whole orders one to three days earlier, never before the first day of the period."""
    orders = int(lines.order.max(initial=-1)) + 1
    days_early = rng.integers(1, LATEST_DAYS + 1, orders) * (rng.random(orders) < LATE_ORDER_SHARE)
    shift = np.minimum(days_early, day)[lines.order]
    shift[(lines.prefix != SALE) | (lines.dirt & Dirt.CANCELLED_SALE != 0)] = 0
    return replace(
        lines,
        minute=lines.minute - shift * MINUTES_PER_DAY,
        dirt=lines.dirt | np.where(shift > 0, Dirt.LATE, 0).astype(np.int32),
    )


def spoil_lines(lines: Lines, catalogue: Catalogue, rng: np.random.Generator) -> Lines:
    """Spoil one field of some clean lines. What is to be null is only flagged where the arrays cannot hold a null."""
    spoiled = _choose_spoiled(lines, rng)
    dirt = lines.dirt.copy()
    for kind, rows in spoiled.items():
        dirt[rows] |= kind
    padded = spoiled[Dirt.PADDED_DESCRIPTION]
    astray = spoiled[Dirt.OUTSIDE_PERIOD]
    description = _with(lines.description, padded, catalogue.first_padded_description + lines.product[padded])
    return replace(
        lines,
        description=_with(description, spoiled[Dirt.MISSING_DESCRIPTION], NO_DESCRIPTION),
        price=_with(lines.price, spoiled[Dirt.ZERO_PRICE], 0.0),
        quantity=_with(lines.quantity, spoiled[Dirt.ABSURD_QUANTITY], ABSURD_QUANTITY_PIECES),
        minute=_with(lines.minute, astray, rng.choice(_FAR_AWAY_MINUTES, len(astray))),
        dirt=dirt,
    )


def copy_lines(lines: Lines, rng: np.random.Generator) -> Lines:
    """Put copies of some lines, whatever is wrong with them, right after them."""
    is_copied = rng.random(len(lines)) < DUPLICATE_SHARE
    copied = lines.take(np.repeat(np.arange(len(lines)), 1 + is_copied))
    copies = np.flatnonzero(is_copied) + np.arange(1, np.count_nonzero(is_copied) + 1)
    copied.dirt[copies] |= Dirt.DUPLICATE
    return copied


def count_dirt(lines: Lines) -> dict[str, int]:
    """Number of lines that carry each kind of dirt, by its name in lower case."""
    return {str(kind.name).lower(): int(np.count_nonzero(lines.dirt & kind)) for kind in Dirt}


def _choose_spoiled(lines: Lines, rng: np.random.Generator) -> dict[Dirt, npt.NDArray[np.int64]]:
    """Positions of the lines to spoil, by kind. One draw per line decides, so the kinds exclude each other."""
    limits = np.cumsum(list(SPOILED_SHARES.values()))
    draw = rng.random(len(lines))
    unlucky = np.flatnonzero((draw < limits[-1]) & (lines.dirt == 0))
    fate = np.searchsorted(limits, draw[unlucky], side="right")
    return {kind: unlucky[fate == number] for number, kind in enumerate(SPOILED_SHARES)}


def _with(column: npt.NDArray[Any], rows: npt.NDArray[np.int64], values: npt.ArrayLike) -> npt.NDArray[Any]:
    """A copy of a column with other values in some rows."""
    changed = column.copy()
    changed[rows] = values
    return changed
