"""Damage to one day of Online Retail, as real shops have delivered it: each a function of the day's rows.

Belongs here: what goes wrong with a delivery. Does not: what catches it (test_damage.py).
"""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Damage:
    """One kind: what it does to a day's rows, and which check of which stage is meant to catch it."""

    harm: Callable[[pd.DataFrame], pd.DataFrame]
    stage: str
    check: str
    severity: str


def _with(**columns: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda rows: rows.assign(**columns)


def _for_some(share: float, **columns: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def harm(rows: pd.DataFrame) -> pd.DataFrame:
        some = rows.index[: int(len(rows) * share)]
        harmed = rows.copy()
        for column, value in columns.items():
            harmed.loc[some, column] = value
        return harmed

    return harm


def _shifted(hours: int) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda rows: rows.assign(InvoiceDate=rows["InvoiceDate"] + pd.Timedelta(hours=hours))


DAMAGES = {
    "most of the delivery is missing": Damage(
        lambda rows: rows.iloc[: len(rows) // 6], "raw_transactions", "volume_is_usual", "warning"
    ),
    "the whole file is delivered twice": Damage(
        lambda rows: pd.concat([rows, rows]), "raw_transactions", "duplicates_are_few", "critical"
    ),
    "customer ids are lost": Damage(
        _with(CustomerID=None), "raw_transactions", "customers_are_given", "critical"
    ),
    "every customer has the same id": Damage(
        _with(CustomerID="99999"), "raw_transactions", "customers_have_their_own_ids", "critical"
    ),
    "every order has the same number": Damage(
        _with(InvoiceNo="500000"), "raw_transactions", "orders_have_their_own_numbers", "critical"
    ),
    "half the rows are another shop's": Damage(
        _for_some(0.5, Country="Brasil"), "raw_transactions", "countries_are_known", "warning"
    ),
    "product ids get a prefix": Damage(
        lambda rows: rows.assign(StockCode="UK-" + rows["StockCode"]), "raw_transactions", "product_ids_look_as_usual", "warning"
    ),
    "prices are lost": Damage(
        _with(UnitPrice=None), "raw_transactions", "price_is_given", "critical"
    ),
    "prices are in pence": Damage(
        lambda rows: rows.assign(UnitPrice=rows["UnitPrice"] * 100), "clean_transactions", "price_level_is_usual", "critical"
    ),
    "times are in another zone": Damage(
        _shifted(-5), "clean_transactions", "day_begins_as_usual", "critical"
    ),
    "the day has only returns": Damage(
        lambda rows: rows.assign(Quantity=-rows["Quantity"].abs()), "clean_transactions", "returns_are_few", "critical"
    ),
    "quantities cannot be read": Damage(
        lambda rows: rows.assign(Quantity=rows["Quantity"].astype(str) + " pcs"),
        "clean_transactions", "most_rows_are_accepted", "critical"
    ),
    "times of day are lost": Damage(
        lambda rows: rows.assign(InvoiceDate=rows["InvoiceDate"].dt.normalize()),
        "clean_transactions", "times_are_given", "warning"
    ),
    "the delivery was cut at noon": Damage(
        lambda rows: rows[rows["InvoiceDate"].dt.hour < 12], "clean_transactions", "day_ends_as_usual", "warning"
    ),
}  # fmt: skip
