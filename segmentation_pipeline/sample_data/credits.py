"""Lines that take back: cancelled orders, returned goods, discounts, stock write-offs and bad debts.

Belongs here: what stands on credit notes and adjustments, and the goods promised to come back on a later day.
Does not: ordinary sales (sales.py), spoiled fields (dirt.py).
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from segmentation_pipeline.sample_data.catalogue import (
    BAD_DEBT,
    DISCOUNT,
    NO_DESCRIPTION,
    PRODUCTS,
    UNITED_KINGDOM,
    WRITE_OFF_WORDS,
    Catalogue,
)
from segmentation_pipeline.sample_data.customers import GUEST
from segmentation_pipeline.sample_data.dirt import Dirt
from segmentation_pipeline.sample_data.lines import ADJUSTMENT, CREDIT_NOTE, SALE, Lines, join, make_lines, no_lines
from segmentation_pipeline.sample_data.sales import opening_minutes

CANCELLED_ORDER_SHARE = 0.003  # of customers' orders
DISCOUNTED_ORDER_SHARE = 0.002  # of customers' orders
RETURNED_SHARE = 0.029  # of customers' clean lines; makes about 2 % of all lines
WRITE_OFF_SHARE = 0.003  # of lines sold
BAD_DEBTS_PER_YEAR = 8
LONGEST_RETURN_DAYS = 60

_CANCELLED_AFTER_MINUTES = (2, 20)
_MEAN_RETURN_DAYS = 15.0
# Returns due on a closed day wait for the next open one; at most four closed days follow each other.
_LONGEST_PROMISE_DAYS = LONGEST_RETURN_DAYS - 4
_RETURNED_IN_FULL_SHARE = 0.6
_MEDIAN_DISCOUNT = 20.0
_MEDIAN_WRITE_OFF_PIECES = 12.0
_WRITE_OFF_WITHOUT_DESCRIPTION_SHARE = 0.4
_MEDIAN_BAD_DEBT = 8_000.0
_SPREAD_LOG = 0.8


def cancel_orders(sales: Lines, rng: np.random.Generator) -> tuple[Lines, Lines]:
    """Take some customers' orders back in full, minutes later.

    Returns:
        The sales, in which the lines taken back are flagged, and the credit notes.
    """
    orders = int(sales.order.max(initial=-1)) + 1
    after_minutes = rng.integers(*_CANCELLED_AFTER_MINUTES, orders, endpoint=True)
    is_cancelled = (rng.random(orders) < CANCELLED_ORDER_SHARE)[sales.order] & (sales.customer != GUEST)
    cancelled = sales.take(is_cancelled)
    credit_notes = replace(
        cancelled,
        minute=cancelled.minute + after_minutes[cancelled.order],
        quantity=-cancelled.quantity,
        prefix=np.full(len(cancelled), CREDIT_NOTE, np.int8),
        dirt=cancelled.dirt | Dirt.CANCELLATION,
    )
    return replace(sales, dirt=sales.dirt | is_cancelled.astype(np.int32) * Dirt.CANCELLED_SALE), credit_notes


def discounts(sales: Lines, rng: np.random.Generator) -> Lines:
    """Amounts given back on some customers' orders, each on a credit note of its own."""
    first_lines = sales.take(np.flatnonzero(np.diff(sales.order, prepend=-1) > 0))
    discounted = first_lines.take(
        (rng.random(len(first_lines)) < DISCOUNTED_ORDER_SHARE) & (first_lines.customer != GUEST)
    )
    return make_lines(
        len(discounted),
        order=np.arange(len(discounted)),
        minute=discounted.minute,
        product=DISCOUNT,
        description=DISCOUNT,
        quantity=-1,
        price=_amounts(_MEDIAN_DISCOUNT, len(discounted), rng),
        customer=discounted.customer,
        country=discounted.country,
        prefix=CREDIT_NOTE,
        dirt=Dirt.NON_PRODUCT_CODE,
    )


def write_offs(lines_sold: int, catalogue: Catalogue, midnight: int, rng: np.random.Generator) -> Lines:
    """Goods found damaged or missing: negative pieces at price 0, without customer, each on an invoice of its own."""
    size = rng.poisson(WRITE_OFF_SHARE * lines_sold)
    word = catalogue.first_write_off_word + rng.integers(len(WRITE_OFF_WORDS), size=size)
    is_silent = rng.random(size) < _WRITE_OFF_WITHOUT_DESCRIPTION_SHARE
    return make_lines(
        size,
        order=np.arange(size),
        minute=opening_minutes(size, midnight, rng),
        product=rng.integers(PRODUCTS, size=size),
        description=np.where(is_silent, NO_DESCRIPTION, word),
        quantity=-np.ceil(_amounts(_MEDIAN_WRITE_OFF_PIECES, size, rng)),
        price=0.0,
        customer=GUEST,
        country=UNITED_KINGDOM,
        prefix=SALE,
        dirt=np.where(is_silent, Dirt.MISSING_DESCRIPTION, 0) | Dirt.ZERO_PRICE | Dirt.WRITE_OFF,
    )


def bad_debts(midnight: int, rng: np.random.Generator) -> Lines:
    """Now and then a claim that nobody will pay, however large the shop."""
    size = rng.poisson(BAD_DEBTS_PER_YEAR / 365)
    return make_lines(
        size,
        order=np.arange(size),
        minute=opening_minutes(size, midnight, rng),
        product=BAD_DEBT,
        description=BAD_DEBT,
        quantity=1,
        price=-_amounts(_MEDIAN_BAD_DEBT, size, rng),
        customer=GUEST,
        country=UNITED_KINGDOM,
        prefix=ADJUSTMENT,
        dirt=Dirt.BAD_DEBT,
    )


class ReturnsAgenda:
    """Goods sold that will be given back on a later day.

    Whether and when a line comes back is decided when it is sold, so nothing comes back twice, and memory holds only
    what is still to come.
    """

    def __init__(self, next_open_day: npt.NDArray[np.int64]) -> None:
        """Start empty.

        Args:
            next_open_day: For each day of the period the first open day on or after it, or the number of days.
        """
        self._next_open_day = next_open_day
        self._due = np.zeros(0, np.int64)
        self._lines = no_lines()

    def promise(self, lines: Lines, day: int, first_invoice: int, rng: np.random.Generator) -> None:
        """Choose which of a day's customers' clean lines come back; those due after the period are forgotten."""
        returnable = np.flatnonzero((lines.dirt == 0) & (lines.customer != GUEST))
        chosen = lines.take(returnable[rng.random(len(returnable)) < RETURNED_SHARE])
        wait_days = 1 + np.floor(rng.exponential(_MEAN_RETURN_DAYS, len(chosen))).astype(np.int64)
        days = len(self._next_open_day)
        due = day + np.minimum(wait_days, _LONGEST_PROMISE_DAYS)
        due = np.where(due < days, self._next_open_day[np.minimum(due, days - 1)], days)
        pieces = np.ceil(chosen.quantity * rng.random(len(chosen))).astype(np.int64)
        in_full = rng.random(len(chosen)) < _RETURNED_IN_FULL_SHARE
        promised = replace(
            chosen,
            order=chosen.order + first_invoice,
            quantity=-np.where(in_full, chosen.quantity, np.maximum(pieces, 1)),
            prefix=np.full(len(chosen), CREDIT_NOTE, np.int8),
            dirt=np.full(len(chosen), Dirt.RETURN, np.int32),
        )
        self._lines = join([self._lines, promised.take(due < days)])
        self._due = np.concatenate([self._due, due[due < days]])

    def come_back(self, day: int, midnight: int, rng: np.random.Generator) -> Lines:
        """Hand out the returns of a day; those of one order share a credit note."""
        is_due = self._due == day
        lines = self._lines.take(is_due)
        self._lines, self._due = self._lines.take(~is_due), self._due[~is_due]
        invoices, note = np.unique(lines.order, return_inverse=True)
        return replace(lines, order=note, minute=opening_minutes(len(invoices), midnight, rng)[note])


def _amounts(median: float, size: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Positive lognormal amounts with two decimals."""
    return np.maximum(np.round(median * rng.lognormal(0.0, _SPREAD_LOG, size), 2), 0.01)
