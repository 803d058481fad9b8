"""What to simulate, and what was delivered.

Belongs here: the two records at the simulator's door, and their limits.
Does not: rates of dirt (dirt.py), the mix of customers (customers.py).
"""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class Shop:
    """A shop to simulate. Equal shops give equal files.

    Attributes:
        customers: People who know the shop and may buy. With the default volume about four in five do within the
            period; in a small or short shop fewer do. Each has a `CustomerID`; guests come on top.
        lines_per_day: Average number of lines on an ordinary open day, guests and dirt included. Saturdays have none;
            the weeks before Christmas have up to twice as many.
        start_date: First day with a file.
        end_date: Last day with a file. Customers arrive and lapse relative to the period, so another end is another
            shop.
        seed: Start of every random draw, not negative.

    Raises:
        ValueError: If a number is out of range or the period is empty.
    """

    customers: int = 2_000
    lines_per_day: int = 300
    start_date: date = date(2025, 7, 1)
    end_date: date = date(2026, 6, 30)
    seed: int = 7

    def __post_init__(self) -> None:
        """Refuse what cannot be simulated."""
        if self.customers < 1:
            raise ValueError(f"customers must be at least 1, not {self.customers}")
        if self.lines_per_day < 1:
            raise ValueError(f"lines_per_day must be at least 1, not {self.lines_per_day}")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, but is {self.seed}")
        if self.end_date < self.start_date:
            raise ValueError(f"end_date {self.end_date} lies before start_date {self.start_date}")

    @property
    def days(self) -> int:
        """Number of days in the period, both ends included."""
        return (self.end_date - self.start_date).days + 1


@dataclass(frozen=True)
class Delivery:
    """What `simulate` wrote.

    Attributes:
        files: Number of files, one for every day of the period.
        lines: Number of lines in all files.
        dirt: Number of lines in the files that carry each kind of dirt, by the kind's name in lower case (see `Dirt`).
            Every kind is listed, also at 0. A line may carry several kinds: a copy of a return counts as return and as
            duplicate.
    """

    files: int
    lines: int
    dirt: dict[str, int]
