"""The pass over the days of a shop, and the files it leaves.

Belongs here: the order in which a day is put together, and its way from arrays to Parquet.
Does not: anything that is drawn (the other modules of this package).
"""

import os
import zlib
from collections import Counter as Tally
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from segmentation_pipeline.sample_data.catalogue import COUNTRIES, NO_DESCRIPTION, Catalogue, make_catalogue
from segmentation_pipeline.sample_data.credits import ReturnsAgenda, bad_debts, cancel_orders, discounts, write_offs
from segmentation_pipeline.sample_data.customers import GUEST, CustomerBase, make_customers
from segmentation_pipeline.sample_data.dirt import Dirt, copy_lines, count_dirt, delay_orders, spoil_lines
from segmentation_pipeline.sample_data.lines import INVOICE_PREFIXES, MINUTES_PER_DAY, Lines, join_separate, no_lines
from segmentation_pipeline.sample_data.sales import open_counter, sales_of_day
from segmentation_pipeline.sample_data.season import next_open_days, volumes_of
from segmentation_pipeline.sample_data.shop import Delivery, Shop

SCHEMA = pa.schema(
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
"""Columns of every file, named as in Online Retail. `InvoiceDate` is the shop's local time, Europe/London, without a
zone; `UnitPrice` is in pounds; `CustomerID` is null for guests."""

FIRST_INVOICE = 500_001
DELIVERY_TIME = time(2, 30, tzinfo=UTC)
_DEFAULT_SHOP = Shop()
_MICROSECONDS_PER_MINUTE = 60_000_000


def simulate(folder: Path, shop: Shop = _DEFAULT_SHOP) -> Delivery:
    """Write `transactions-YYYY-MM-DD.parquet` for every day of a shop's period, closed days included.

    A file appears whole or not at all, dated the night after its day, and replaces one of the same name. Files of other
    days are left alone.

    Args:
        folder: Where to write; made if missing.
        shop: What to simulate.

    Returns:
        How much was written, and how much dirt is in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    catalogue = make_catalogue(_rng_of(shop, 0))
    customers = customers_of(shop)
    delivered, dirt = 0, Tally(count_dirt(no_lines()))
    for day, lines, first_invoice in _days(shop, customers, catalogue):
        file = folder / f"transactions-{day.isoformat()}.parquet"
        _write(_table(lines, first_invoice, customers, catalogue), file, day)
        delivered += len(lines)
        dirt.update(count_dirt(lines))
    return Delivery(files=shop.days, lines=delivered, dirt=dict(dirt))


def customers_of(shop: Shop) -> CustomerBase:
    """The customers behind a shop's files, with their latent types: the truth against which segments can be held."""
    return make_customers(shop, _rng_of(shop, 1))


def _days(shop: Shop, customers: CustomerBase, catalogue: Catalogue) -> Iterator[tuple[date, Lines, int]]:
    """Every day's lines and the invoice number of its first order."""
    volumes = volumes_of(shop)
    counter = open_counter(customers, catalogue, shop.lines_per_day, shop.days)
    agenda = ReturnsAgenda(next_open_days(volumes))
    first_invoice = FIRST_INVOICE
    for day in range(shop.days):
        today = shop.start_date + timedelta(days=day)
        if volumes[day] == 0:
            yield today, no_lines(), first_invoice
            continue
        rng = _rng_of(shop, 2 + day)
        midnight = (today - date(1970, 1, 1)).days * MINUTES_PER_DAY
        sales, cancellations = cancel_orders(sales_of_day(counter, day, midnight, volumes[day], rng), rng)
        taken_back = [cancellations, discounts(sales, rng), agenda.come_back(day, midnight, rng)]
        written_off = [write_offs(len(sales), catalogue, midnight, rng), bad_debts(midnight, rng)]
        booked = join_separate([sales, *taken_back, *written_off])
        spoiled = spoil_lines(delay_orders(booked, day, rng), catalogue, rng)
        agenda.promise(spoiled, day, first_invoice, rng)
        yield today, copy_lines(spoiled, rng), first_invoice
        first_invoice += int(booked.order.max(initial=-1)) + 1


def _rng_of(shop: Shop, stream: int) -> np.random.Generator:
    """One of the shop's independent streams: the catalogue's, the customers', then one for each day."""
    return np.random.default_rng(np.random.SeedSequence(shop.seed, spawn_key=(stream,)))


def _table(lines: Lines, first_invoice: int, customers: CustomerBase, catalogue: Catalogue) -> pa.Table:
    """A day's lines in the published columns; `lines` must have the lines of an order together."""
    is_undated = (lines.dirt & Dirt.MISSING_TIMESTAMP) != 0
    timestamp = (lines.minute * _MICROSECONDS_PER_MINUTE).view("datetime64[us]")
    columns = [
        _invoices(lines, first_invoice),
        _look_up(catalogue.codes, lines.product),
        _look_up(catalogue.descriptions, lines.description, lines.description == NO_DESCRIPTION),
        pa.array(lines.quantity),
        pa.array(timestamp, mask=is_undated),
        pa.array(lines.price),
        _look_up(customers.ids, lines.customer, lines.customer == GUEST),
        _look_up(pa.array([name for name, _ in COUNTRIES]), lines.country),
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def _invoices(lines: Lines, first_invoice: int) -> pa.StringArray:
    """The invoice number of every line, with its prefix, or null."""
    is_first = np.diff(lines.order, prepend=-1) != 0
    numbers = pa.array(first_invoice + lines.order[is_first]).cast(pa.string())
    prefixes = _look_up(pa.array(INVOICE_PREFIXES), lines.prefix[is_first])
    invoices = pc.binary_join_element_wise(prefixes, numbers, "")
    return _look_up(invoices, np.cumsum(is_first) - 1, (lines.dirt & Dirt.MISSING_INVOICE) != 0)


def _look_up(
    values: pa.StringArray, rows: npt.NDArray[np.integer], is_null: npt.NDArray[np.bool_] | None = None
) -> pa.StringArray:
    """The value at each row, or null."""
    return values.take(pa.array(rows, mask=is_null))


def _write(table: pa.Table, path: Path, day: date) -> None:
    """Write a file under another name and rename it when it is whole.

    It is dated as if delivered in the night after its day. The second's fraction stands for its content, so that other
    content always has another time.
    """
    unfinished = path.with_name(f".{path.name}.unfinished")
    pq.write_table(table, unfinished, compression="zstd")
    night = datetime.combine(day + timedelta(days=1), DELIVERY_TIME)
    delivered = int(night.timestamp()) * 10**9 + zlib.crc32(unfinished.read_bytes()) % 10**9
    os.utime(unfinished, ns=(delivered, delivered))
    unfinished.replace(path)
