"""The orders of a day.

Belongs here: who orders when, how many products, pieces and charges.
Does not: anything that takes back or spoils what was sold (credits.py, dirt.py).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segmentation_pipeline.sample_data.catalogue import (
    BULK_FROM_QUANTITY,
    CHARGES,
    FIRST_CHARGE,
    PRODUCTS,
    UNITED_KINGDOM,
    Catalogue,
)
from segmentation_pipeline.sample_data.customers import GUEST, CustomerBase, choose_buyers
from segmentation_pipeline.sample_data.dirt import Dirt
from segmentation_pipeline.sample_data.lines import SALE, Lines, join, make_lines

GUEST_LINE_SHARE = 0.20
# What is left of `Shop.lines_per_day` for goods once charges, returns, write-offs and copies have come on top.
_GOODS_SHARE = 0.96
_GUEST_MEAN_LINES = 12.0
_GUEST_SPEND_LOG = -0.5
_DAY_NOISE_LOG = 0.12
_ORDER_SIZE_SPREAD_LOG = 0.7
_QUANTITY_LOG = 1.6  # of a piece at price 1, before the customer's own shift
_QUANTITY_SPREAD_LOG = 0.85
_QUANTITY_PRICE_ELASTICITY = 0.5
_PACK = 6
_PACKED_FROM_QUANTITY = 9
_CHARGE_SPREAD_LOG = 0.4
_FIRST_MINUTE, _BUSIEST_MINUTE, _LAST_MINUTE = 8 * 60, 12 * 60 + 30, 18 * 60

_DOMESTIC_CHARGES = np.cumsum([charge.domestic_share for charge in CHARGES])
_FOREIGN_CHARGES = np.cumsum([charge.foreign_share for charge in CHARGES])
_CHARGE_PRICES = np.array([charge.median_price for charge in CHARGES])


@dataclass(frozen=True)
class Orders:
    """A day's orders by time, one element each; `size` is the intended number of products."""

    minute: npt.NDArray[np.int64]
    customer: npt.NDArray[np.int32]
    country: npt.NDArray[np.int16]
    size: npt.NDArray[np.int64]
    spend_log: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Counter:
    """Where orders are taken: the customers, the catalogue, and how many orders an ordinary day brings.

    Attributes:
        orders_per_rate: Customers' orders on an ordinary day per unit of their relative order rates.
        guest_orders: Guests' orders on an ordinary day.
    """

    customers: CustomerBase
    catalogue: Catalogue
    orders_per_rate: float
    guest_orders: float


def open_counter(customers: CustomerBase, catalogue: Catalogue, lines_per_day: int, days: int) -> Counter:
    """Scale the customers' relative order rates so that an ordinary day has about `lines_per_day` lines."""
    goods_lines = lines_per_day * _GOODS_SHARE
    return Counter(
        customers,
        catalogue,
        orders_per_rate=goods_lines * (1 - GUEST_LINE_SHARE) / customers.mean_daily_lines(days),
        guest_orders=goods_lines * GUEST_LINE_SHARE / _GUEST_MEAN_LINES,
    )


def sales_of_day(counter: Counter, day: int, midnight: int, volume: float, rng: np.random.Generator) -> Lines:
    """Every line sold on one day, charges included; orders count from 0 by time.

    Args:
        counter: Who buys what, and how much of it.
        day: Counted from the start of the period.
        midnight: Start of the day in minutes since 1970-01-01.
        volume: Expected volume of the day, 1 on an ordinary day.
        rng: The day's own.
    """
    orders = _orders(counter, day, midnight, volume * rng.lognormal(0.0, _DAY_NOISE_LOG), rng)
    return join([_goods(orders, counter.catalogue, rng), _charges(orders, rng)])


def opening_minutes(size: int, midnight: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Random minutes of a day within the opening hours, unsorted."""
    return midnight + rng.triangular(_FIRST_MINUTE, _BUSIEST_MINUTE, _LAST_MINUTE, size).astype(np.int64)


def _orders(counter: Counter, day: int, midnight: int, volume: float, rng: np.random.Generator) -> Orders:
    customers = counter.customers
    rates = customers.cumulative_rates(day)
    buyers = choose_buyers(rates, rng.poisson(volume * counter.orders_per_rate * rates[-1]), rng)
    guests = np.full(rng.poisson(volume * counter.guest_orders), GUEST, dtype=np.int32)
    customer = rng.permutation(np.concatenate([buyers, guests]))
    is_guest = customer == GUEST
    mean_lines = np.where(is_guest, _GUEST_MEAN_LINES, customers.mean_lines(customer))
    size = np.rint(mean_lines * rng.lognormal(-(_ORDER_SIZE_SPREAD_LOG**2) / 2, _ORDER_SIZE_SPREAD_LOG, len(customer)))
    return Orders(
        minute=np.sort(opening_minutes(len(customer), midnight, rng)),
        customer=customer,
        country=np.where(is_guest, np.int16(UNITED_KINGDOM), customers.country[customer]),
        size=np.clip(size, 1, PRODUCTS // 10).astype(np.int64),
        spend_log=np.where(is_guest, _GUEST_SPEND_LOG, customers.spend_log[customer]),
    )


def _goods(orders: Orders, catalogue: Catalogue, rng: np.random.Generator) -> Lines:
    """The lines about products. No product stands twice in an order, so an equal line is always a copy."""
    wanted = np.repeat(np.arange(len(orders.size)), orders.size)
    keys = np.sort(wanted * PRODUCTS + np.searchsorted(catalogue.popularity, rng.random(len(wanted)), side="right"))
    order, product = np.divmod(keys[np.diff(keys, prepend=-1) != 0], PRODUCTS)
    retail = catalogue.price[product]
    quantity = _quantities(orders.spend_log[order], retail, rng)
    return make_lines(
        len(order),
        order=order,
        minute=orders.minute[order],
        product=product,
        description=product,
        quantity=quantity,
        price=np.where(quantity >= BULK_FROM_QUANTITY, catalogue.bulk_price[product], retail),
        customer=orders.customer[order],
        country=orders.country[order],
        prefix=SALE,
        dirt=0,
    )


def _quantities(
    spend_log: npt.NDArray[np.float64], price: npt.NDArray[np.float64], rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Lognormal pieces, fewer of what is dear, in full packs from `_PACKED_FROM_QUANTITY`."""
    centre = _QUANTITY_LOG + spend_log - _QUANTITY_PRICE_ELASTICITY * np.log(price)
    pieces = np.maximum(np.rint(np.exp(centre + _QUANTITY_SPREAD_LOG * rng.standard_normal(len(price)))), 1)
    return np.where(pieces >= _PACKED_FROM_QUANTITY, np.rint(pieces / _PACK) * _PACK, pieces).astype(np.int64)


def _charges(orders: Orders, rng: np.random.Generator) -> Lines:
    """At most one non-product line per order: mostly postage, and mostly abroad."""
    chance = rng.random(len(orders.minute))
    domestic = np.searchsorted(_DOMESTIC_CHARGES, chance, side="right")
    foreign = np.searchsorted(_FOREIGN_CHARGES, chance, side="right")
    charge = np.where(orders.country == UNITED_KINGDOM, domestic, foreign)
    order = np.flatnonzero(charge < len(CHARGES))
    charge = charge[order]
    return make_lines(
        len(order),
        order=order,
        minute=orders.minute[order],
        product=FIRST_CHARGE + charge,
        description=FIRST_CHARGE + charge,
        quantity=1,
        price=np.round(_CHARGE_PRICES[charge] * rng.lognormal(0.0, _CHARGE_SPREAD_LOG, len(order)), 2),
        customer=orders.customer[order],
        country=orders.country[order],
        prefix=SALE,
        dirt=Dirt.NON_PRODUCT_CODE,
    )
