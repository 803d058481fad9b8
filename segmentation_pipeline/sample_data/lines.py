"""The arrays in which a day's lines are held.

Belongs here: the columns of a block of lines, and selecting, joining and sorting whole blocks.
Does not: inventing lines, or turning them into Parquet (simulation.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

SALE, CREDIT_NOTE, ADJUSTMENT = 0, 1, 2
INVOICE_PREFIXES = ("", "C", "A")
MINUTES_PER_DAY = 1_440

_DTYPES = {
    "order": np.int64,
    "minute": np.int64,
    "product": np.int32,
    "description": np.int32,
    "quantity": np.int64,
    "price": np.float64,
    "customer": np.int32,
    "country": np.int16,
    "prefix": np.int8,
    "dirt": np.int32,
}


@dataclass(frozen=True)
class Lines:
    """A block of lines: arrays of one length, one element per line.

    Attributes:
        order: Number of the order, return or other event the line belongs to. All its lines share `minute`.
        minute: Minutes since 1970-01-01 00:00, local time.
        product: Row in `Catalogue.codes`.
        description: Row in `Catalogue.descriptions`, or `NO_DESCRIPTION`.
        quantity: Pieces; negative when given back.
        price: Of one piece, in the shop's currency, with two decimals.
        customer: Index in `CustomerBase`, or `GUEST`.
        country: Index in `COUNTRIES`.
        prefix: Index in `INVOICE_PREFIXES`.
        dirt: `Dirt` flags; 0 for a clean sale.
    """

    order: npt.NDArray[np.int64]
    minute: npt.NDArray[np.int64]
    product: npt.NDArray[np.int32]
    description: npt.NDArray[np.int32]
    quantity: npt.NDArray[np.int64]
    price: npt.NDArray[np.float64]
    customer: npt.NDArray[np.int32]
    country: npt.NDArray[np.int16]
    prefix: npt.NDArray[np.int8]
    dirt: npt.NDArray[np.int32]

    def __len__(self) -> int:
        """Number of lines."""
        return len(self.order)

    def take(self, rows: npt.NDArray[Any]) -> Self:
        """The lines at the given positions, or where a mask is true."""
        return replace(self, **{field.name: getattr(self, field.name)[rows] for field in fields(self)})


def make_lines(size: int, **columns: npt.ArrayLike) -> Lines:
    """A block of `size` lines; a scalar fills its column, and every column must be given."""
    return Lines(**{name: np.broadcast_to(np.asarray(columns[name], dtype), size) for name, dtype in _DTYPES.items()})


def no_lines() -> Lines:
    """A block without lines."""
    return make_lines(0, **dict.fromkeys(_DTYPES, 0))


def join(blocks: Sequence[Lines]) -> Lines:
    """One block with the lines of all, in which equal order numbers mean the same order."""
    return Lines(**{name: np.concatenate([getattr(block, name) for block in blocks]) for name in _DTYPES})


def join_separate(blocks: Sequence[Lines]) -> Lines:
    """One block with the lines of all, sorted by time, in which no two blocks share an order; orders count from 0."""
    numbered, first = [], 0
    for block in blocks:
        numbered.append(replace(block, order=block.order + first))
        first += int(block.order.max(initial=-1)) + 1
    lines = join(numbered)
    lines = lines.take(np.argsort(lines.minute * first + lines.order, kind="stable"))
    return replace(lines, order=np.cumsum(np.diff(lines.order, prepend=lines.order[:1]) != 0))
