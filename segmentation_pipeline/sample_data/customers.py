"""Who buys: four latent types of customer, who arrive, stay for a while, and lapse.

Belongs here: the customer base, drawn once; who orders on a day.
Does not: what is in an order (sales.py). The types are never written: a pipeline has to find them again.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from segmentation_pipeline.sample_data.catalogue import COUNTRIES
from segmentation_pipeline.sample_data.shop import Shop

GUEST = -1
_FIRST_CUSTOMER_ID = 12_346
_SHORTEST_STAY_DAYS = 7.0
_RATE_SHAPE = 6.0  # of the gamma distribution of order rates within a type; its coefficient of variation is 0.4


@dataclass(frozen=True)
class CustomerType:
    """A latent type of customer.

    Attributes:
        name: For readers and tests; never written.
        share: Share of all customers.
        there_at_start_share: Share of the type that is there on the first day. The others arrive in a window.
        arrival_from: Start of the window, as a share of the period.
        arrival_until: End of the window, as a share of the period.
        mean_stay_days: Mean of the exponential time from arrival to lapsing.
        relative_order_rate: Orders per active day; only ratios between types count, the shop's volume does the rest.
        mean_lines: Lines per order.
        spend_log: Shift of the logarithm of quantities; its spread within the type is `spend_spread_log`.
        spend_spread_log: Standard deviation of that shift between customers.
    """

    name: str
    share: float
    there_at_start_share: float
    arrival_from: float
    arrival_until: float
    mean_stay_days: float
    relative_order_rate: float
    mean_lines: float
    spend_log: float
    spend_spread_log: float


CUSTOMER_TYPES = (
    CustomerType("vip", 0.12, 0.75, 0.0, 0.60, 3_000.0, 20.0, 12.0, 1.0, 0.45),
    CustomerType("loyal", 0.30, 0.60, 0.0, 0.60, 2_000.0, 7.0, 10.0, 0.3, 0.35),
    CustomerType("newcomer", 0.24, 0.0, 0.83, 0.98, 400.0, 24.0, 6.0, -0.5, 0.35),
    CustomerType("lapsed", 0.34, 0.10, 0.0, 0.50, 45.0, 16.0, 7.0, -0.2, 0.40),
)


@dataclass(frozen=True)
class CustomerBase:
    """All customers, one element each, shape `(customers,)`.

    Attributes:
        ids: `CustomerID`, distinct strings of digits.
        kind: Index in `CUSTOMER_TYPES`.
        arrives: First day on which the customer may order, counted from the start of the period.
        lapses: First day on which the customer orders no more.
        order_rate: Relative expected orders per active day.
        spend_log: Shift of the logarithm of quantities.
        country: Index in `COUNTRIES`.
    """

    ids: pa.StringArray
    kind: npt.NDArray[np.int8]
    arrives: npt.NDArray[np.int32]
    lapses: npt.NDArray[np.int32]
    order_rate: npt.NDArray[np.float64]
    spend_log: npt.NDArray[np.float32]
    country: npt.NDArray[np.int16]

    def mean_lines(self, customers: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
        """Expected lines per order of the given customers."""
        return _of_type("mean_lines")[self.kind[customers]]

    def cumulative_rates(self, day: int) -> npt.NDArray[np.float64]:
        """Running total of the order rates on one day, in which those not active count nothing."""
        active = (self.arrives <= day) & (day < self.lapses)
        return np.cumsum(np.where(active, self.order_rate, 0.0))

    def mean_daily_lines(self, days: int) -> float:
        """Relative lines that all customers together order on an average day of the period."""
        active_days = self.lapses - self.arrives
        mean_lines = _of_type("mean_lines")[self.kind]
        return float(np.sum(self.order_rate * mean_lines * active_days)) / days


def make_customers(shop: Shop, rng: np.random.Generator) -> CustomerBase:
    """Draw the customer base of a shop."""
    size = shop.customers
    kind = rng.choice(len(CUSTOMER_TYPES), size, p=_of_type("share")).astype(np.int8)
    arrives = _arrival_days(kind, shop.days, rng)
    stay = np.ceil(_SHORTEST_STAY_DAYS + rng.exponential(_of_type("mean_stay_days")[kind]))
    rate = _of_type("relative_order_rate")[kind] * rng.gamma(_RATE_SHAPE, 1 / _RATE_SHAPE, size)
    spend = _of_type("spend_log")[kind] + _of_type("spend_spread_log")[kind] * rng.standard_normal(size)
    return CustomerBase(
        ids=pa.array(np.arange(_FIRST_CUSTOMER_ID, _FIRST_CUSTOMER_ID + size)).cast(pa.string()),
        kind=kind,
        arrives=arrives,
        lapses=np.minimum(arrives + stay, shop.days).astype(np.int32),
        order_rate=rate,
        spend_log=spend.astype(np.float32),
        country=rng.choice(len(COUNTRIES), size, p=[share for _, share in COUNTRIES]).astype(np.int16),
    )


def choose_buyers(
    cumulative_rates: npt.NDArray[np.float64], orders: int, rng: np.random.Generator
) -> npt.NDArray[np.int32]:
    """Who places each of a day's orders, shape `(orders,)`: in proportion to their rates, perhaps several times."""
    total = cumulative_rates[-1]
    points = np.minimum(rng.random(orders) * total, np.nextafter(total, 0.0))  # rounding must not reach past the last
    buyers: npt.NDArray[np.int32] = np.searchsorted(cumulative_rates, points, side="right").astype(np.int32)
    return buyers


def _arrival_days(kind: npt.NDArray[np.int8], days: int, rng: np.random.Generator) -> npt.NDArray[np.int32]:
    """Day of arrival, 0 to `days - 1`."""
    start, end = _of_type("arrival_from")[kind], _of_type("arrival_until")[kind]
    arrival = np.floor((start + (end - start) * rng.random(len(kind))) * days)
    arrival[rng.random(len(kind)) < _of_type("there_at_start_share")[kind]] = 0
    days_of_arrival: npt.NDArray[np.int32] = arrival.astype(np.int32)
    return days_of_arrival


def _of_type(attribute: str) -> npt.NDArray[np.float64]:
    """One attribute of every customer type, to be indexed by `kind`."""
    return np.array([getattr(customer_type, attribute) for customer_type in CUSTOMER_TYPES])
