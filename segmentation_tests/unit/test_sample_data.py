"""The simulated shop: the same bytes every time, the dirt it says it holds, and customers worth segmenting."""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score

from segmentation_pipeline.sample_data import Delivery, Shop, customers_of, simulate
from segmentation_pipeline.sample_data.customers import CUSTOMER_TYPES

COLUMNS = ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"]
NON_PRODUCT_CODES = ["POST", "DOT", "M", "D", "BANK CHARGES", "AMAZONFEE", "C2"]
YEAR = Shop()
FORTNIGHT = Shop(customers=60, lines_per_day=40, start_date=date(2025, 11, 10), end_date=date(2025, 11, 23), seed=3)


def files_of(folder: Path) -> list[Path]:
    return sorted(folder.glob("transactions-*.parquet"))


def read(folder: Path) -> pd.DataFrame:
    """All files as delivered, with the day of the file."""
    tables = [pq.read_table(file) for file in files_of(folder)]
    days = np.repeat(
        [file.stem.removeprefix("transactions-") for file in files_of(folder)], [t.num_rows for t in tables]
    )
    return pa.concat_tables(tables).to_pandas().assign(file_day=pd.to_datetime(days))


@pytest.fixture(scope="module")
def year(tmp_path_factory) -> tuple[Path, Delivery]:
    folder = tmp_path_factory.mktemp("year")
    return folder, simulate(folder, YEAR)


@pytest.fixture(scope="module")
def delivery(year) -> Delivery:
    return year[1]


@pytest.fixture(scope="module")
def lines(year) -> pd.DataFrame:
    return read(year[0])


# --- files ------------------------------------------------------------------------------------------------------------


def test_files_are_dated_the_night_after_their_day_and_others_in_their_place_have_another_time(tmp_path):
    simulate(tmp_path, FORTNIGHT)
    times = {file.name: file.stat().st_mtime for file in files_of(tmp_path)}
    for number, written in enumerate(times.values()):
        day = datetime.combine(FORTNIGHT.start_date + timedelta(days=number), time(), UTC).timestamp()
        assert 24 * 3_600 < written - day < 30 * 3_600
    simulate(tmp_path, FORTNIGHT)
    assert {file.name: file.stat().st_mtime for file in files_of(tmp_path)} == times
    simulate(tmp_path, replace(FORTNIGHT, seed=4))
    open_days = [file for file in files_of(tmp_path) if pq.read_metadata(file).num_rows]
    assert [file.name for file in open_days if file.stat().st_mtime == times[file.name]] == []


def test_the_same_shop_gives_the_same_bytes(tmp_path):
    deliveries = [simulate(tmp_path / name, FORTNIGHT) for name in ("once", "again")]
    once, again = ([file.read_bytes() for file in files_of(tmp_path / name)] for name in ("once", "again"))
    assert once == again
    assert deliveries[0] == deliveries[1]


def test_another_seed_gives_another_shop(tmp_path):
    simulate(tmp_path / "seed_3", FORTNIGHT)
    simulate(tmp_path / "seed_4", replace(FORTNIGHT, seed=4))
    assert not read(tmp_path / "seed_3").equals(read(tmp_path / "seed_4"))


def test_every_day_has_a_file_and_nothing_else_is_left_behind(year):
    folder, delivery = year
    days = pd.date_range(YEAR.start_date, YEAR.end_date)
    assert sorted(path.name for path in folder.iterdir()) == [f"transactions-{day:%Y-%m-%d}.parquet" for day in days]
    assert delivery.files == len(days) == YEAR.days


def test_every_file_has_the_published_columns_also_when_the_shop_is_closed(year):
    expected = pa.schema(
        [
            ("InvoiceNo", pa.string()),
            ("StockCode", pa.string()),
            ("Description", pa.string()),
            ("Quantity", pa.int64()),
            ("InvoiceDate", pa.timestamp("us")),
            ("UnitPrice", pa.float64()),
            ("CustomerID", pa.string()),
            ("Country", pa.string()),
        ]
    )
    assert all(pq.read_schema(file).equals(expected) for file in files_of(year[0]))


def test_delivery_counts_the_lines_of_all_files(year, delivery):
    assert delivery.lines == sum(pq.read_metadata(file).num_rows for file in files_of(year[0]))


def test_an_existing_file_is_replaced_and_files_of_other_days_stay(tmp_path):
    first_day = tmp_path / "transactions-2025-11-10.parquet"
    other_day = tmp_path / "transactions-2020-01-01.parquet"
    first_day.write_text("rubbish")
    other_day.write_text("not ours")
    simulate(tmp_path, FORTNIGHT)
    assert pq.read_table(first_day).num_rows > 0
    assert other_day.read_text() == "not ours"


@settings(max_examples=20, deadline=None)
@given(
    shop=st.builds(
        lambda start, days, **rest: Shop(start_date=start, end_date=start + timedelta(days=days), **rest),
        start=st.dates(date(2000, 1, 1), date(2080, 12, 31)),
        days=st.integers(0, 9),
        customers=st.integers(1, 50),
        lines_per_day=st.integers(1, 50),
        seed=st.integers(0, 2**32),
    )
)
def test_shops_of_any_small_size_are_delivered_whole(shop):
    with tempfile.TemporaryDirectory() as name:
        delivery = simulate(Path(name), shop)
        lines = read(Path(name))
    assert delivery.files == shop.days
    assert delivery.lines == len(lines)
    assert delivery.dirt["duplicate"] == lines.duplicated(COLUMNS).sum()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"customers": 0}, "customers must be at least 1"),
        ({"lines_per_day": 0}, "lines_per_day must be at least 1"),
        ({"seed": -1}, "seed must not be negative"),
        ({"end_date": date(2025, 6, 30)}, "end_date 2025-06-30 lies before start_date 2025-07-01"),
    ],
)
def test_a_shop_that_cannot_be_simulated_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Shop(**wrong)


# --- dirt -------------------------------------------------------------------------------------------------------------


def is_credit_note(lines: pd.DataFrame) -> pd.Series:
    return lines.InvoiceNo.str.startswith("C").fillna(False).astype(bool)


def cancelled_pairs(lines: pd.DataFrame) -> pd.DataFrame:
    """Credit note lines beside the sale of the same things on the same day, 2 to 20 minutes earlier."""
    keyed = lines.assign(pieces=lines.Quantity.abs(), row=lines.index)
    keys = ["file_day", "CustomerID", "StockCode", "UnitPrice", "pieces"]
    credits_, sales = keyed[is_credit_note(lines)], keyed[(lines.Quantity > 0) & lines.CustomerID.notna()]
    pairs = credits_.merge(sales, on=keys, suffixes=("_credit", "_sale"))
    minutes = (pairs.InvoiceDate_credit - pairs.InvoiceDate_sale).dt.total_seconds() / 60
    return pairs[minutes.between(2, 20)]


def returned_lines(lines: pd.DataFrame) -> pd.DataFrame:
    credit_notes = lines[is_credit_note(lines) & ~lines.StockCode.isin(["D"])]
    return credit_notes[~credit_notes.index.isin(cancelled_pairs(lines).row_credit)]


def is_outside_period(lines: pd.DataFrame) -> pd.Series:
    period = lines.InvoiceDate.between(pd.Timestamp(YEAR.start_date), pd.Timestamp(YEAR.end_date + timedelta(days=1)))
    return lines.InvoiceDate.notna() & ~period


COUNTED_BY_PANDAS: dict[str, Callable[[pd.DataFrame], float]] = {
    "duplicate": lambda lines: lines.duplicated(COLUMNS).sum(),
    "return": lambda lines: len(returned_lines(lines)),
    "cancellation": lambda lines: cancelled_pairs(lines).row_credit.nunique(),
    "cancelled_sale": lambda lines: cancelled_pairs(lines).row_sale.nunique(),
    "zero_price": lambda lines: (lines.UnitPrice == 0).sum(),
    "write_off": lambda lines: ((lines.Quantity < 0) & (lines.UnitPrice == 0) & lines.CustomerID.isna()).sum(),
    "bad_debt": lambda lines: ((lines.UnitPrice < 0) & lines.InvoiceNo.str.startswith("A")).sum(),
    "non_product_code": lambda lines: lines.StockCode.isin(NON_PRODUCT_CODES).sum(),
    "padded_description": lambda lines: (lines.Description.str.strip() != lines.Description)[
        lines.Description.notna()
    ].sum(),
    "missing_description": lambda lines: lines.Description.isna().sum(),
    "missing_invoice": lambda lines: lines.InvoiceNo.isna().sum(),
    "missing_timestamp": lambda lines: lines.InvoiceDate.isna().sum(),
    "absurd_quantity": lambda lines: (lines.Quantity > 1_000_000).sum(),
    "outside_period": lambda lines: is_outside_period(lines).sum(),
    "late": lambda lines: ((lines.InvoiceDate < lines.file_day) & ~is_outside_period(lines)).sum(),
}


@pytest.mark.parametrize("kind", COUNTED_BY_PANDAS)
def test_each_kind_of_dirt_is_there_as_often_as_delivery_says(kind, lines, delivery):
    assert delivery.dirt[kind] == COUNTED_BY_PANDAS[kind](lines) > 0


def test_delivery_counts_every_kind_and_no_other(delivery):
    assert set(delivery.dirt) == set(COUNTED_BY_PANDAS)


@pytest.mark.parametrize(
    ("kind", "share"), [("duplicate", 0.01), ("return", 0.02), ("zero_price", 0.005), ("padded_description", 0.02)]
)
def test_common_dirt_comes_at_its_stated_rate(kind, share, delivery):
    assert delivery.dirt[kind] / delivery.lines == pytest.approx(share, rel=0.2)


def test_late_lines_are_at_most_three_days_old(lines):
    days_late = (lines.file_day - lines.InvoiceDate.dt.normalize()).dt.days[~is_outside_period(lines)].dropna()
    assert set(days_late) == {0, 1, 2, 3}


def test_nothing_is_given_back_that_was_not_sold_before_to_the_same_customer_at_the_same_price(lines):
    dated = lines.drop_duplicates(COLUMNS).dropna(subset=["InvoiceDate", "CustomerID"])
    products = dated[~dated.StockCode.isin(NON_PRODUCT_CODES)].sort_values("InvoiceDate", kind="stable")
    still_held = products.groupby(["CustomerID", "StockCode", "UnitPrice"]).Quantity.cumsum()
    assert still_held.min() >= 0


def test_every_return_follows_a_sale_by_1_to_60_days(lines):
    returned = returned_lines(lines).assign(row=lambda frame: frame.index)
    pairs = returned.merge(
        lines[lines.Quantity > 0], on=["CustomerID", "StockCode", "UnitPrice"], suffixes=("", "_sold")
    )
    days = (pairs.InvoiceDate.dt.normalize() - pairs.InvoiceDate_sold.dt.normalize()).dt.days
    assert set(pairs.row[days.between(1, 60) & (pairs.Quantity_sold >= -pairs.Quantity)]) == set(returned.row)


# --- a shop -----------------------------------------------------------------------------------------------------------


def test_the_shop_is_closed_on_saturdays_and_busy_before_christmas(lines):
    per_day = lines.groupby("file_day").size().reindex(pd.date_range(YEAR.start_date, YEAR.end_date), fill_value=0)
    assert (per_day[per_day.index.day_of_week == 5] == 0).all()
    assert per_day["2025-12-25"] == 0
    assert per_day["2025-11"].sum() > 1.5 * per_day["2026-02"].sum()


def test_an_ordinary_day_has_about_the_lines_asked_for(lines):
    ordinary = lines[~lines.file_day.dt.month.isin([10, 11, 12, 1])].groupby("file_day").size()
    assert ordinary.mean() == pytest.approx(YEAR.lines_per_day, rel=0.1)


def test_lines_grow_with_lines_per_day(tmp_path):
    small = simulate(tmp_path / "small", FORTNIGHT)
    large = simulate(tmp_path / "large", replace(FORTNIGHT, lines_per_day=10 * FORTNIGHT.lines_per_day))
    assert large.lines / small.lines == pytest.approx(10, rel=0.2)


def test_guests_and_foreign_customers_have_their_share(lines):
    assert lines.CustomerID.isna().mean() == pytest.approx(0.20, abs=0.02)
    assert (lines.Country == "United Kingdom").mean() == pytest.approx(0.88, abs=0.02)


def test_prices_have_two_decimals(lines):
    assert (lines.UnitPrice == lines.UnitPrice.round(2)).all()


def rfm_in_pandas(lines: pd.DataFrame) -> pd.DataFrame:
    """Recency, frequency and monetary value on the day after the period, from clean sales only."""
    sales = lines.drop_duplicates(COLUMNS).dropna(subset=["CustomerID", "InvoiceNo", "InvoiceDate"])
    sales = sales[sales.Quantity.between(1, 100_000) & (sales.UnitPrice > 0) & ~is_outside_period(sales)]
    per_customer = sales.assign(amount=sales.Quantity * sales.UnitPrice).groupby("CustomerID")
    rfm = per_customer.agg(last=("InvoiceDate", "max"), frequency=("InvoiceNo", "nunique"), monetary=("amount", "sum"))
    as_of = pd.Timestamp(YEAR.end_date) + pd.Timedelta(days=1)
    return rfm.assign(recency_days=(as_of - rfm["last"]).dt.days)[["recency_days", "frequency", "monetary"]]


def test_k_means_finds_the_four_latent_types_of_customer(lines):
    rfm = rfm_in_pandas(lines)
    scaled = np.log1p(rfm)
    scaled = (scaled - scaled.mean()) / scaled.std()
    cluster = KMeans(4, n_init=5, random_state=0).fit_predict(scaled)
    customers = customers_of(YEAR)
    names = pd.Series([CUSTOMER_TYPES[kind].name for kind in customers.kind], index=customers.ids.to_pylist())
    type_of_cluster = names[rfm.index].groupby(cluster).agg(lambda types: types.mode()[0])
    centre = rfm.groupby(cluster).median().set_index(type_of_cluster)

    assert silhouette_score(scaled, cluster) > 0.25
    assert np.bincount(cluster).min() > 0.05 * len(rfm)
    assert set(type_of_cluster) == {"vip", "loyal", "newcomer", "lapsed"}
    assert list(centre.monetary.nlargest(2).index) == ["vip", "loyal"]
    assert list(centre.frequency.nlargest(2).index) == ["vip", "loyal"]
    assert list(centre.recency_days.nlargest(2).index) == ["lapsed", "loyal"]


def test_spend_is_concentrated_on_few_customers(lines):
    monetary = rfm_in_pandas(lines).monetary
    assert monetary.nlargest(len(monetary) // 10).sum() > 0.4 * monetary.sum()
