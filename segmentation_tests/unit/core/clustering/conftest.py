"""Shoppers to cluster: seeded, of four kinds, skewed as real ones are."""

from collections.abc import Iterator
from decimal import Decimal

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from segmentation_pipeline.core.clustering.preprocessing import fit_scaling, transform
from segmentation_pipeline.core.clustering.scoring import RFM
from segmentation_pipeline.core.schema import MONEY

KINDS = ((15, 14.0, 6_000.0), (50, 5.0, 1_500.0), (20, 2.0, 300.0), (220, 1.5, 250.0))


def shoppers_of(customers: int, seed: int) -> pd.DataFrame:
    """RFM features of four kinds of customers at the end of 2011-12-09: recency in days, orders, money to the penny."""
    random = np.random.default_rng(seed)
    recency, orders, money = np.array(KINDS)[random.integers(0, len(KINDS), customers)].T
    frame = pd.DataFrame(
        {
            "customer_id": [f"{number:05}" for number in range(customers)],
            "recency_days": (recency * random.lognormal(0, 0.4, customers)).astype("int64"),
            "frequency": 1 + random.poisson(orders - 1),
            "monetary": (money * random.lognormal(0, 0.4, customers)).round(2),
        }
    )
    days = frame["recency_days"] + (frame["frequency"] - 1) * random.integers(1, 60, customers)
    return frame.assign(first_order_date=pd.Timestamp("2011-12-09") - pd.to_timedelta(days, unit="D"))


def features_of(frame: pd.DataFrame) -> ir.Table:
    """The frame as a table of the engine, its money exact."""
    types = {
        "customer_id": "string",
        "recency_days": "int64",
        "frequency": "int64",
        "monetary": MONEY,
        "first_order_date": "date",
    }
    exact = [Decimal(str(money)).quantize(Decimal("0.0001")) for money in frame["monetary"]]
    return ibis.memtable(frame.assign(monetary=exact), schema=types)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """For witnesses that call scikit-learn directly, whose threads wait for one another on a busy machine."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def shoppers() -> pd.DataFrame:
    return shoppers_of(500, seed=7)


@pytest.fixture(scope="session")
def everyone() -> pd.DataFrame:
    """The whole base, of which `shoppers` could be a sample; ten customers have no net spend."""
    frame = shoppers_of(3_000, seed=8).astype({"recency_days": "Int64"})
    frame.loc[:4, ["recency_days", "frequency"]] = [pd.NA, 0]
    frame.loc[5:9, "monetary"] = [0.0, -0.01, -5, -1e6, 0.0]
    return frame


@pytest.fixture(scope="session")
def features():
    return features_of


@pytest.fixture(scope="session")
def points(shoppers) -> np.ndarray:
    return transform(shoppers, fit_scaling(shoppers, RFM, 0.005))
