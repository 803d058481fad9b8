"""Both engines, whatever the source sends: the same rows, cell by cell.

A query takes Spark about a second, so that many generated tables are put beside each other in one, each on a day or of
customers of its own.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import ibis
import pandas as pd
import pyarrow as pa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from ibis import _

from segmentation_pipeline.core import cleaning, dating, orders, returns, rfm, schema
from segmentation_pipeline.core.profiling import clean, raw
from segmentation_pipeline.core.text import known
from segmentation_pipeline.resources.engines.engine import Engine
from segmentation_pipeline.settings import Settings
from segmentation_tests.agreement import assert_same, assert_same_rows
from segmentation_tests.property.test_cleaning_properties import DAY, SHOP, transaction_lines
from segmentation_tests.property.test_history_properties import AS_OF, DAYS, WINDOW_DAYS, carried_on, histories

TABLES = 250
SIGNS = st.sampled_from("0123456789+-.,eE_ \t\n\xa0x\uff11\u0663")
ALMOST_NUMBERS = (
    st.text(SIGNS, max_size=10) | st.decimals(allow_nan=False, allow_infinity=False).map(str) | st.floats().map(str)
)
CLOCK = st.from_regex(r"[0-2]?[0-9]:[0-5][0-9](:[0-5][0-9](\.[0-9]{0,7})?)?", fullmatch=True)
DATES = st.dates().map(str) | st.from_regex(r"20[01][0-9][-/ ][0-1]?[0-9][-/ ][0-3]?[0-9]", fullmatch=True)
ZONES = st.sampled_from(["", "", "", "Z", "+01", "-05:00", "+0530", " Europe/Paris", " UTC", " +01", "z"])
ALMOST_MOMENTS = (
    st.builds(lambda day, sign, time, zone: f"{day}{sign}{time}{zone}", DATES, st.sampled_from(" T"), CLOCK, ZONES)
    | DATES
    | st.sampled_from(
        ["infinity", "-infinity", "epoch", "2011", "2011-12", "12:30", "2011-10-30 01:30:00", "2011-03-27 01:30:00"]
    )
    | st.text("0123456789-: TZ+", max_size=20)
)


def many(strategy: st.SearchStrategy, examples: int = TABLES) -> list:
    """Examples of a strategy, the same ones in every run."""
    found: list = []

    @settings(
        deadline=None,
        derandomize=True,
        max_examples=examples,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(example):
        found.append(example)

    collect()
    return found


def table_of(layout: schema.Table, rows: list[dict[str, object]]) -> ibis.Table:
    frame = pd.DataFrame(rows, columns=layout.names, dtype=object)
    types = layout.ibis_schema.to_pyarrow()
    return ibis.memtable(pa.Table.from_pandas(frame, schema=types, preserve_index=False))


def raw_tables() -> tuple[ibis.Table, list]:
    """Many raw tables in one, each of its own files and on its own day, which its moments of sale are moved to."""
    rows, days = [], []
    for number, lines in enumerate(many(transaction_lines())):
        day = DAY + timedelta(days=number)
        days.append(day)
        for line in lines:
            at = line["invoiced_at"] and line["invoiced_at"].replace(str(DAY), str(day))
            file = f"{number}/{line['source_file']}"
            rows.append({**line, "date": day, "invoiced_at": at, "source_file": file})
    return table_of(schema.RAW_TRANSACTIONS, rows), days


def test_what_cleaning_makes_of_messy_rows_and_what_is_measured_of_it(engine, spark):
    rows, days = raw_tables()

    def made(by: Engine) -> list[pd.DataFrame]:
        with (
            by.held(rows) as came,
            by.held(cleaning.rejected(came, SHOP)) as rejected,
            by.held(cleaning.accepted(came, rejected, SHOP)) as accepted,
        ):
            measured = raw.measured(came, days, SHOP), clean.measured(came, accepted, rejected, days, SHOP)
            return [by.to_pandas(table) for table in (accepted, rejected, *measured)]

    key = ["date", "source_file", "source_row"]
    for one, other, order in zip(made(engine), made(spark), (key, key, ["date"], ["date"]), strict=True):
        assert len(one)
        assert_same(one, other, order)


def test_what_becomes_of_sales_and_returns(engine, spark):
    lines = [
        {
            **line,
            "customer_id": line["customer_id"] and f"{line['customer_id']}{number}",
            "source_file": f"{number}.csv",
        }
        for number, history in enumerate(many(histories(money=st.decimals("0.01", 1000, places=2)), 120))
        for line in history
    ]
    rows = table_of(schema.CLEAN_TRANSACTIONS, lines)

    def made(by: Engine, measure: str) -> list[pd.DataFrame]:
        sold = orders.customer_orders(rows)
        back = returns.customer_returns(rows, WINDOW_DAYS, measure, DAYS[2], DAYS[-1])
        with by.held(sold) as bought, by.held(back) as given_back:
            features = rfm.rfm_features(bought, given_back, AS_OF, measure, recent_days=4)
            later = carried_on(bought, given_back, measure, recent_days=4)
            return [by.to_pandas(table) for table in (bought, given_back, features, later)]

    order = ["date", "customer_id", "order_id"]
    for measure in ("items", "amount"):
        here, there = made(engine, measure), made(spark, measure)
        for one, other, key in zip(here, there, (order, order, ["customer_id"], ["customer_id"]), strict=True):
            assert len(one)
            assert_same(one, other, key)
        assert_same(here[2], here[3], ["customer_id"])


def read_alike(engine, spark, texts: list[str], reading: Callable[[Any], dict[str, Any]]) -> None:
    rows = pa.table({"text": pa.array(sorted(set(texts)), pa.string())})
    assert_same_rows(lambda _engine: ibis.memtable(rows).mutate(**reading(_.text)), engine, spark, ["text"])


def test_numbers_are_read_alike(engine, spark):
    read_alike(
        engine,
        spark,
        many(ALMOST_NUMBERS, 3_000),
        lambda text: {
            "price": text.try_cast(schema.MONEY),
            "quantity": text.strip().try_cast("decimal(36, 18)"),
            "with_comma": cleaning._number(text, ",", schema.MONEY),
        },
    )


def test_moments_are_read_alike(engine, spark):
    texts = many(ALMOST_MOMENTS, 3_000)
    usable = Settings(**{**SHOP.model_dump(), "start_date": "1971-01-01", "end_date": "2035-01-01"})

    def reading(text):
        at = dating.moment(known(text, ()), None, "Europe/London")
        is_usable = ~dating.is_outside(at.date(), usable)
        return {"is_read": at.notnull(), "at": is_usable.ifelse(at.cast("timestamp('UTC')"), None)}

    read_alike(engine, spark, [text for text in texts if not text.startswith(("0", "9"))], reading)


def test_texts_are_told_alike(engine, spark):
    texts = many(st.text(max_size=8).filter(lambda text: "\0" not in text), 1_500)
    texts += many(st.from_regex(r"[0-9A-Za-z.]{1,6}[\s\x85\u2028]?", fullmatch=True), 500)

    def reading(text):
        product = text.strip()
        return {
            "known": known(text, SHOP.cleaning.null_tokens),
            "identifier": cleaning.identifier(text),
            "is_mangled": text.re_search(cleaning.MANGLED_ID),
            "is_no_product": product.re_search(SHOP.cleaning.non_product_pattern),
            "pattern": product.re_replace("[0-9]", "9").re_replace("[A-Za-z]", "A"),
            "digest": text.hexdigest("md5"),
            "number": ibis.row_number().over(order_by=text),
        }

    read_alike(engine, spark, texts, reading)
