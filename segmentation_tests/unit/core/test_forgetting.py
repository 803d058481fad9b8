"""Forgetting: rows lose the customer, and every rule and every total judges them as before."""

import hashlib

import ibis
import pandas as pd
import pytest

from segmentation_pipeline.core import cleaning, forgetting, schema
from segmentation_pipeline.core.forgetting import Forgotten
from segmentation_tests.unit.core.conftest import A_GOOD_ROW, EVERY_COLUMN

SALT = "salt"


def digest_in_python(*parts: str) -> str:
    return hashlib.sha256("\x1f".join([SALT, *parts]).encode()).hexdigest()


FORGOTTEN = Forgotten(SALT, (digest_in_python("17850"), digest_in_python("ann@example.org")))
SPELLINGS = ["17850", "17850.0", " 17850 ", "ann@example.org"]
OTHERS = ["178500", "7850", "17851", "ann@example.com", "NULL", "", None]
ODD = [
    {},
    {"invoice_id": None},
    {"invoice_id": " 536365.0"},
    {"invoice_id": "5.36E+05"},
    {"invoice_id": "#REF!"},
    {"quantity": "0"},
    {"quantity": "-2"},
    {"unit_price": "0"},
    {"invoiced_at": None},
    {"product_id": None},
]
WITHOUT_INVOICE = {name: column for name, column in EVERY_COLUMN.items() if name != "invoice_id"}


def rows_of_all_kinds(columns: dict[str, str]) -> list[dict[str, object]]:
    found = [A_GOOD_ROW | odd | {"customer_id": who} for who in [*SPELLINGS, *OTHERS] for odd in [*ODD, {}]]
    found += [
        {"date": A_GOOD_ROW["date"], "source_file": "a.csv", "broken_line": text} for text in ("1;17850;2", "1;2")
    ]
    kept = {*columns, "date", "source_file", "broken_line"}
    return [{name: row[name] for name in row if name in kept} | {"source_row": n} for n, row in enumerate(found)]


@pytest.mark.parametrize("columns", [EVERY_COLUMN, WITHOUT_INVOICE])
def test_lines_cleaned_and_then_forgotten_are_those_forgotten_and_then_cleaned(engine, table_of, shop, columns):
    settings = shop(columns)
    raw = table_of(schema.RAW_TRANSACTIONS, rows_of_all_kinds(columns))
    unnamed = forgetting.of_raw(raw, FORGOTTEN, settings)
    rejected, rejected_unnamed = (cleaning.rejected(rows, settings) for rows in (raw, unnamed))
    pairs = [
        (cleaning.accepted(unnamed, rejected_unnamed, settings),
         forgetting.of_clean(cleaning.accepted(raw, rejected, settings), FORGOTTEN, settings)),
        (rejected_unnamed, forgetting.of_raw(rejected, FORGOTTEN, settings)),
    ]  # fmt: skip
    for found, expected in pairs:
        frames = [engine.to_pandas(table.order_by("source_row")) for table in (found, expected)]
        assert len(frames[0]) > 5
        pd.testing.assert_frame_equal(*frames)
    accepted = engine.to_pandas(pairs[0][0])
    assert set(accepted["customer_id"].dropna()) == {"178500", "7850", "17851", "ann@example.com"}
    assert not accepted["invoice_id"].str.contains("17850@|ann@example.org").any()


def test_no_raw_row_names_a_forgotten_customer_and_all_others_are_untouched(engine, table_of, shop):
    raw = table_of(schema.RAW_TRANSACTIONS, rows_of_all_kinds(EVERY_COLUMN))
    before = engine.to_pandas(raw).sort_values("source_row", ignore_index=True)
    after = engine.to_pandas(forgetting.of_raw(raw, FORGOTTEN, shop()).order_by("source_row"))
    theirs = before["customer_id"].isin(SPELLINGS) | before["broken_line"].eq("1;17850;2")
    pd.testing.assert_frame_equal(before[~theirs], after[~theirs])
    assert not after[theirs].drop(columns="invoiced_at").astype(str).isin([*SPELLINGS, "1;17850;2"]).any().any()
    again = forgetting.of_raw(forgetting.of_raw(raw, FORGOTTEN, shop()), FORGOTTEN, shop())
    pd.testing.assert_frame_equal(after, engine.to_pandas(again.order_by("source_row")))


def test_lines_of_one_order_share_an_invoice_number_and_nothing_else_links_a_customers_lines(engine, table_of, shop):
    lines = [{"product_id": "a"}, {"product_id": "b"}, {"invoice_id": "536365.0"}, {"invoice_id": "536366"}]
    raw = table_of(schema.RAW_TRANSACTIONS, [A_GOOD_ROW | line | {"source_row": n} for n, line in enumerate(lines)])
    found = engine.to_pandas(forgetting.of_raw(raw, FORGOTTEN, shop()).order_by("source_row"))
    first, second, third, other = found["invoice_id"]
    assert first == second == third == f"forgotten:{digest_in_python('17850', '536365')[:32]}"
    assert other != first
    assert found["customer_id"].is_unique


@pytest.mark.parametrize(
    ("line", "is_told"),
    [
        ("536365,85123A,17850,2011", True),
        ('536365;"17850.0";x', True),
        ("a|b| 17850 |c", True),
        ("a customer called 17850 came", True),
        ("1,ann@example.org,3", True),
        ("536365,178501,x", False),
        ("ann@example.com", False),
        ("", False),
        (None, False),
    ],
)
def test_an_id_is_found_in_a_broken_line_as_a_cell_or_a_word(engine, line, is_told):
    text = ibis.memtable([{"line": line}], schema={"line": "string"}).line
    found = engine.to_pandas(forgetting.is_told_by(text, FORGOTTEN).name("told").as_table())
    assert found["told"].tolist() == [is_told]


def test_every_table_with_a_customer_is_erased_and_no_other():
    named = {layout.asset for layout in schema.TABLES.values() if forgetting.erasing(layout)}
    assert named == {asset for asset, each in schema.TABLES.items() if "customer_id" in each.names} | {
        "feature_exploration"
    }


def test_what_is_shown_has_no_column_that_can_name_a_customer():
    for layout in schema.TABLES.values():
        shown = forgetting.shown(ibis.table(layout.ibis_schema, name=layout.asset))
        assert not set(shown.columns) & {"customer_id", "invoice_id", "order_id", "broken_line"}
