"""Cleaning: what is accepted and how it is typed, what is rejected and why."""

from datetime import date
from decimal import Decimal
from itertools import product

import ibis
import pandas as pd
import pytest

from segmentation_pipeline.core import cleaning, schema
from segmentation_pipeline.core.text import known
from segmentation_pipeline.settings import Cleaning

REASONS = [rule.reason for rule in cleaning.RULES]

ALONE = [
    ("broken_line", {"broken_line": "536365;85123A;6"}),
    ("missing_invoice_id", {"invoice_id": None}),
    ("missing_invoice_id", {"invoice_id": "  "}),
    ("unreadable_invoice_id", {"invoice_id": "5.36E+05"}),
    ("unreadable_customer_id", {"customer_id": "12\x0034"}),
    ("unreadable_customer_id", {"customer_id": "C" * 201}),
    ("unreadable_customer_id", {"customer_id": "1.23457E+11"}),
    ("unreadable_customer_id", {"customer_id": "#REF!"}),
    ("missing_timestamp", {"invoiced_at": None}),
    ("missing_timestamp", {"invoiced_at": "NULL"}),
    ("unreadable_timestamp", {"invoiced_at": "yesterday"}),
    ("unreadable_timestamp", {"invoiced_at": "2011-02-30 10:00"}),
    ("outside_date_range", {"invoiced_at": "2010-12-31 23:59:59"}),
    ("outside_date_range", {"invoiced_at": "2012-01-01 00:00:00"}),
    ("in_the_future", {"invoiced_at": "2011-06-02 08:26:00"}),
    ("missing_quantity", {"quantity": None}),
    ("missing_quantity", {"quantity": "N/A"}),
    ("unreadable_quantity", {"quantity": "six"}),
    ("unreadable_quantity", {"quantity": "1.5"}),
    ("unreadable_quantity", {"quantity": "2.00001"}),
    ("impossible_quantity", {"quantity": "0"}),
    ("impossible_quantity", {"quantity": "1000001"}),
    ("impossible_quantity", {"quantity": "-1000001"}),
    ("missing_price", {"unit_price": None}),
    ("missing_price", {"unit_price": " nan "}),
    ("unreadable_price", {"unit_price": "2,55"}),
    ("unreadable_price", {"unit_price": "£2.55"}),
    ("zero_price", {"unit_price": "0.00"}),
    ("negative_price", {"unit_price": "-0.01"}),
    ("impossible_price", {"unit_price": "1000000.01"}),
]

GOOD = [
    {"quantity": "1000000"},
    {"quantity": "-1000000"},
    {"quantity": "6.0"},
    {"unit_price": "1000000"},
    {"unit_price": "0.0001"},
    {"invoiced_at": "2011-06-01 00:00:00"},
    {"invoiced_at": "2011-06-01 23:59:59"},
    {"customer_id": None},
    {"customer_id": "C" * 200},
    {"customer_id": "1.2345678901234568e+16"},
    {"customer_id": "Ärger & Söhne, 7"},
    {"product_id": None},
    {"description": None},
    {"country": None},
]


@pytest.fixture(scope="session")
def judge(engine, raw_rows, shop):
    """The accepted and the rejected rows, by number of the row."""

    def run(*changes, settings=None) -> tuple[pd.DataFrame, pd.DataFrame]:
        settings = settings or shop()
        raw = raw_rows(*changes)
        with engine.held(cleaning.rejected(raw, settings)) as failing:
            parts = (cleaning.accepted(raw, failing, settings), failing)
            accepted, rejected = (engine.to_pandas(part.order_by("source_file", "source_row")) for part in parts)
        return accepted.set_index("source_row", drop=False), rejected.set_index("source_row", drop=False)

    return run


@pytest.fixture(scope="module")
def judged_alone(judge):
    """Every bad row of `ALONE`, then every good one, each with a description of its own."""
    changes = [{"description": f"row {number}"} | change for number, (_, change) in enumerate(ALONE)]
    return judge(*changes, *({"invoice_id": f"good {number}"} | change for number, change in enumerate(GOOD)))


def test_every_rule_has_an_example_here_and_a_description():
    assert {reason for reason, _ in ALONE} | {"exact_duplicate"} == set(REASONS)
    assert list(cleaning.DESCRIPTIONS) == REASONS
    assert all(text.endswith(".") for text in cleaning.DESCRIPTIONS.values())


@pytest.mark.parametrize("number", range(len(ALONE)), ids=[f"{reason}-{change}" for reason, change in ALONE])
def test_a_row_that_breaks_one_rule_is_rejected_for_it_alone(judged_alone, number):
    row = judged_alone[1].loc[number + 1]
    assert row["reason"] == ALONE[number][0]
    assert list(row["failed_rules"]) == [ALONE[number][0]]


@pytest.mark.parametrize("number", range(len(GOOD)), ids=[str(change) for change in GOOD])
def test_a_row_at_the_limit_or_without_an_optional_value_is_accepted(judged_alone, number):
    accepted, rejected = judged_alone
    place = len(ALONE) + number + 1
    assert place in accepted.index
    assert place not in rejected.index


def test_every_combination_lists_all_its_rules_and_takes_the_first_as_reason(judge):
    choices = {
        "broken_line": {None: [], "x": ["broken_line"]},
        "invoice_id": {"1": [], None: ["missing_invoice_id"]},
        "invoiced_at": {
            "2011-06-01 10:00": [],
            None: ["missing_timestamp"],
            "?": ["unreadable_timestamp"],
            "2001-06-01 10:00": ["outside_date_range"],
            "2011-06-02 10:00": ["in_the_future"],
        },
        "quantity": {"3": [], None: ["missing_quantity"], "?": ["unreadable_quantity"], "0": ["impossible_quantity"]},
        "unit_price": {
            "3": [],
            None: ["missing_price"],
            "?": ["unreadable_price"],
            "0": ["zero_price"],
            "-3": ["negative_price"],
            "-3000000": ["negative_price", "impossible_price"],
        },
    }
    combinations = list(product(*choices.values()))
    rows = [dict(zip(choices, values, strict=True)) for values in combinations]
    expected = {
        number: [reason for column, value in row.items() for reason in choices[column][value]]
        for number, row in enumerate(rows, start=1)
    }

    accepted, rejected = judge(*({"description": str(number)} | row for number, row in enumerate(rows)))

    assert list(accepted.index) == [number for number, reasons in expected.items() if not reasons]
    assert {number: list(found) for number, found in rejected["failed_rules"].items()} == {
        number: reasons for number, reasons in expected.items() if reasons
    }
    assert rejected["reason"].to_dict() == {number: reasons[0] for number, reasons in expected.items() if reasons}


def test_of_equal_rows_the_first_by_file_and_row_is_kept(judge):
    accepted, rejected = judge(
        {"source_file": "b.csv", "source_row": 1},
        {"source_file": "a.csv", "source_row": 10},
        {"source_file": "a.csv", "source_row": 9},
    )
    assert accepted[["source_file", "source_row"]].to_numpy().tolist() == [["a.csv", 9]]
    assert rejected[["source_file", "source_row"]].to_numpy().tolist() == [["a.csv", 10], ["b.csv", 1]]
    assert set(rejected["reason"]) == {"exact_duplicate"}


def test_rows_that_differ_in_one_column_are_no_duplicates(judge):
    columns = [name for name in schema.SOURCE_COLUMNS if name not in {"amount", "invoiced_at"}]
    accepted, rejected = judge({}, {"invoiced_at": "2011-06-01 08:26:01"}, *({column: "7"} for column in columns))
    assert (len(accepted), len(rejected)) == (len(columns) + 2, 0)


def test_rows_that_lack_the_same_values_are_duplicates(judge):
    nothing = {"customer_id": None, "description": None, "country": None}
    accepted, rejected = judge(nothing, nothing)
    assert (list(accepted.index), list(rejected.index)) == ([1], [2])


def test_a_copy_of_a_bad_row_is_a_duplicate_too_but_for_its_other_reason_first(judge):
    _, rejected = judge({"quantity": "0"}, {"quantity": "0"})
    assert [list(rules) for rules in rejected["failed_rules"]] == [
        ["impossible_quantity"],
        ["impossible_quantity", "exact_duplicate"],
    ]
    assert set(rejected["reason"]) == {"impossible_quantity"}


def test_duplicates_are_accepted_where_the_shop_says_so(judge, shop):
    accepted, rejected = judge({}, {}, settings=shop(cleaning=Cleaning(reject_duplicates=False)))
    assert (len(accepted), len(rejected)) == (2, 0)


def test_limits_come_from_the_settings(judge, shop):
    strict = shop(cleaning=Cleaning(max_abs_quantity=5, max_abs_unit_price=2.0))
    _, rejected = judge({}, {"quantity": "5"}, {"unit_price": "2"}, settings=strict)
    assert [list(rules) for rules in rejected["failed_rules"]] == [
        ["impossible_quantity", "impossible_price"],
        ["impossible_price"],
        ["impossible_quantity"],
    ]


def test_accepted_lines_are_typed_and_trimmed(judge):
    accepted, _ = judge(
        {
            "product_id": " 22423 ",
            "description": "  CAKE STAND ",
            "country": " EIRE",
            "quantity": " 3 ",
            "unit_price": " 12.75",
        }
    )
    line = accepted.loc[1]
    assert line["product_id"] == "22423"
    assert line["description"] == "CAKE STAND"
    assert line["country"] == "EIRE"
    assert line["quantity"] == 3
    assert line["unit_price"] == Decimal("12.75")
    assert line["amount"] == Decimal("38.25")
    assert line["line_kind"] == "sale"
    assert line["invoiced_at"] == pd.Timestamp("2011-06-01 07:26", tz="UTC")
    assert line["date"] == pd.Timestamp("2011-06-01")


def test_accepted_and_rejected_rows_have_the_columns_of_their_tables(raw_rows, shop):
    raw = raw_rows({})
    rejected = cleaning.rejected(raw, shop())
    assert cleaning.accepted(raw, rejected, shop()).schema() == schema.CLEAN_TRANSACTIONS.ibis_schema
    assert rejected.schema() == schema.QUARANTINED_TRANSACTIONS.ibis_schema


def test_rejected_rows_stay_as_they_came(judge):
    came = {
        "invoice_id": " 1.0 ",
        "quantity": " six ",
        "unit_price": "NULL",
        "description": "  A  ",
        "customer_id": "7.0",
    }
    _, rejected = judge(came)
    assert {column: rejected.loc[1, column] for column in came} == came


def test_a_customer_that_is_a_word_for_nothing_is_a_guest(judge):
    nothing = ["", "   ", "NULL", "null", "NaN", "nan", "None", "N/A", "NA", "\\N", " NULL "]
    accepted, _ = judge(*({"customer_id": word} for word in nothing), {"customer_id": "NULLA"})
    assert accepted["customer_id"].isna().tolist() == [True] * len(nothing) + [False]


def test_words_for_nothing_come_from_the_settings(judge, shop):
    accepted, _ = judge(
        {"customer_id": "-"}, {"customer_id": "NULL"}, settings=shop(cleaning=Cleaning(null_tokens=("-",)))
    )
    assert accepted["customer_id"].isna().tolist() == [True, False]


def test_ids_lose_the_point_zero_of_a_float_column_and_nothing_else(judge):
    ids = ["17850.0", " 17850.0 ", "17850.5", "17850.00", "A17850.0", "17850.00.0", "017850", "C536365"]
    accepted, _ = judge(*({"customer_id": each, "invoice_id": each} for each in ids))
    expected = ["17850", "17850", "17850.5", "17850", "A17850.0", "17850.00.0", "017850", "C536365"]
    assert accepted["customer_id"].tolist() == expected
    assert accepted["invoice_id"].tolist() == expected


def test_a_line_is_a_sale_a_return_or_an_adjustment(judge):
    kinds = {
        ("85123A", "1"): "sale",
        (None, "1"): "sale",
        ("85123A", "-1"): "return",
        (None, "-1"): "return",
        ("POST", "1"): "adjustment",
        (" post ", "-1"): "adjustment",
        ("GIFT_0001_20", "1"): "adjustment",
        ("BANK CHARGES", "1"): "adjustment",
        ("POSTER", "1"): "sale",
    }
    accepted, _ = judge(*({"product_id": product_id, "quantity": quantity} for product_id, quantity in kinds))
    assert accepted["line_kind"].tolist() == list(kinds.values())


def test_without_a_pattern_every_product_is_goods(judge, shop):
    accepted, _ = judge({"product_id": "POST"}, settings=shop(cleaning=Cleaning(non_product_pattern=None)))
    assert accepted["line_kind"].tolist() == ["sale"]


def test_a_point_that_parts_no_thousands_is_not_read_as_if_it_did(judge, shop):
    rows = [{"unit_price": text} for text in ("2.55", "12.3456,7", "1.234", "1.234,5", "2,55")]
    accepted, rejected = judge(*rows, settings=shop(source={"decimal": ","}))
    assert accepted["unit_price"].tolist() == [Decimal("1234"), Decimal("1234.5"), Decimal("2.55")]
    assert rejected["reason"].tolist() == ["unreadable_price"] * 2


def test_a_decimal_comma_is_read_with_points_between_thousands(judge, shop):
    accepted, rejected = judge(
        {"quantity": "1.000", "unit_price": "1.234,50"},
        {"quantity": "2", "unit_price": "0,0625"},
        {"quantity": "2,5", "unit_price": "1"},
        settings=shop(source={"decimal": ","}),
    )
    assert accepted["quantity"].tolist() == [1000, 2]
    assert accepted["unit_price"].tolist() == [Decimal("1234.5000"), Decimal("0.0625")]
    assert rejected["reason"].tolist() == ["unreadable_quantity"]


LINE_TOTALS = {"amount": "amount", "customer_id": "customer_id", "invoiced_at": "invoiced_at"}
NO_DETAILS = {"invoice_id": None, "quantity": None, "unit_price": None}


def test_a_line_total_without_quantities_is_one_item_and_a_return_below_zero(judge, shop):
    totals = [NO_DETAILS | {"amount": amount} for amount in ("12.50", "-12.50", "0", "x", None, "-1000000.01")]
    accepted, rejected = judge(*totals, settings=shop(columns=LINE_TOTALS))
    assert accepted["quantity"].tolist() == [1, -1]
    assert accepted["unit_price"].tolist() == [Decimal("12.5"), Decimal("12.5")]
    assert accepted["amount"].tolist() == [Decimal("12.5"), Decimal("-12.5")]
    assert accepted["line_kind"].tolist() == ["sale", "return"]
    assert rejected["reason"].tolist() == ["zero_price", "unreadable_price", "missing_price", "impossible_price"]


def test_a_line_total_decides_the_sign_and_divides_by_the_quantity(judge, shop):
    columns = LINE_TOTALS | {"quantity": "quantity"}
    lines = [("4", "10.00"), ("4", "-10.00"), ("-4", "-10.00"), ("-4", "10.00"), ("3", "10.00")]
    accepted, _ = judge(
        *(NO_DETAILS | {"quantity": quantity, "amount": amount} for quantity, amount in lines),
        settings=shop(columns=columns),
    )
    assert accepted["quantity"].tolist() == [4, -4, -4, 4, 3]
    assert accepted["unit_price"].tolist() == [Decimal("2.5")] * 4 + [Decimal("3.3333")]
    assert accepted["amount"].tolist() == [Decimal(amount) for _, amount in lines]


def test_the_limit_of_a_line_total_is_that_of_its_items(judge, shop):
    columns = LINE_TOTALS | {"quantity": "quantity"}
    lines = [("2", "2000000"), ("2", "2000000.01"), ("-2", "-2000000.01")]
    _, rejected = judge(
        *(NO_DETAILS | {"quantity": quantity, "amount": amount} for quantity, amount in lines),
        settings=shop(columns=columns),
    )
    assert rejected["reason"].to_dict() == {2: "impossible_price", 3: "impossible_price"}


def test_without_invoices_lines_of_one_customer_and_second_are_one_order(judge, shop):
    moments = {
        1: "2011-06-01 10:00:00.25",
        2: "2011-06-01 10:00:00.75",
        3: "2011-06-01T09:00:00Z",
        4: "2011-06-01 10:00:01",
    }
    accepted, _ = judge(
        *(NO_DETAILS | {"amount": "5", "invoiced_at": moment} for moment in moments.values()),
        NO_DETAILS | {"amount": "5", "invoiced_at": moments[1], "customer_id": "other"},
        settings=shop(columns=LINE_TOTALS),
    )
    order = accepted["invoice_id"]
    assert order[1] == order[2] == order[3]
    assert len({order[1], order[4], order[5]}) == 3


def test_without_invoices_the_hour_that_comes_twice_in_autumn_holds_two_orders(judge, shop):
    twice = ["2011-10-30T00:30:00Z", "2011-10-30T01:30:00Z"]
    accepted, _ = judge(
        *(NO_DETAILS | {"amount": "5", "invoiced_at": moment, "date": date(2011, 10, 30)} for moment in twice),
        settings=shop(columns=LINE_TOTALS),
    )
    assert accepted["invoice_id"].nunique() == 2


def test_without_invoices_every_line_of_a_guest_is_an_order_of_its_own(judge, shop):
    guest = NO_DETAILS | {"amount": "5", "customer_id": None}
    accepted, _ = judge(
        guest,
        guest,
        guest | {"source_file": "b.csv", "source_row": 1},
        settings=shop(columns=LINE_TOTALS, cleaning=Cleaning(reject_duplicates=False)),
    )
    assert accepted["invoice_id"].nunique() == 3


def test_money_at_stake_is_quantity_times_price_where_both_can_be_read(judge):
    lines = {
        ("0", "3"): 0,
        ("-2000000", "3"): -6_000_000,
        ("3", "-2.5"): Decimal("-7.5"),
        ("six", "3"): 0,
        ("6", "three"): 0,
        (None, "3"): 0,
    }
    _, rejected = judge(*({"quantity": quantity, "unit_price": price} for quantity, price in lines))
    assert rejected["amount_at_stake"].tolist() == list(lines.values())


def test_an_absurd_product_is_rejected_and_counts_for_nothing(judge):
    _, rejected = judge(
        {"quantity": "99999999999999", "unit_price": "99999999999999"},
        {"quantity": "99999999999999999", "unit_price": "-99999999999999"},
        {"quantity": "9" * 40, "unit_price": "9" * 40},
    )
    assert rejected["reason"].tolist() == ["impossible_quantity", "impossible_quantity", "unreadable_quantity"]
    assert rejected["amount_at_stake"].tolist() == [0, 0, 0]


def test_money_of_a_line_is_exact_to_a_hundredth_of_a_penny(engine, raw_rows, shop):
    numbers = [("3", "0.1"), ("7", "0.0001"), ("999999", "999999.9999"), ("-81995", "2.08"), ("1", "0.00005")]
    rows = raw_rows(*({"quantity": quantity, "unit_price": price} for quantity, price in numbers))
    readable = cleaning.parsed(rows, shop())
    found = engine.to_pandas(readable.mutate(money=cleaning.line_amount(readable)).order_by("source_row"))
    penny = Decimal("0.0001")
    assert found["money"].tolist() == [int(q) * Decimal(p).quantize(penny, "ROUND_HALF_UP") for q, p in numbers]


def test_what_cannot_be_read_is_null_beside_its_text(engine, raw_rows, shop):
    rows = raw_rows({"quantity": "six", "unit_price": "free", "invoiced_at": "noon"})
    found = engine.to_pandas(cleaning.parsed(rows, shop())).iloc[0]
    assert found[["quantity_text", "price_text", "invoiced_at_text"]].tolist() == ["six", "free", "noon"]
    assert found[["parsed_quantity", "parsed_price", "parsed_at"]].isna().all()


def test_a_column_that_is_not_mapped_cannot_be_missing(judge, shop):
    columns = {"customer_id": "c", "invoiced_at": "t", "unit_price": "p"}
    accepted, rejected = judge(NO_DETAILS | {"unit_price": "2.50"}, settings=shop(columns=columns))
    assert rejected.empty
    assert (accepted.loc[1, "quantity"], accepted.loc[1, "amount"]) == (1, Decimal("2.5"))


def test_the_day_of_sale_is_the_shops_day(judge):
    accepted, rejected = judge({"invoiced_at": "2011-05-31T23:30:00Z"}, {"invoiced_at": "2011-06-01T23:30:00Z"})
    assert accepted["invoiced_at"].tolist() == [pd.Timestamp("2011-05-31 23:30", tz="UTC")]
    assert rejected["reason"].to_dict() == {2: "in_the_future"}


def test_known_text_is_trimmed_and_words_for_nothing_are_null(engine):
    texts = [" a ", "\ta\n", "", " ", "NULL", "NULLS", None, "null"]
    table = ibis.memtable(
        {"place": list(range(len(texts))), "text": texts}, schema={"place": "int64", "text": "string"}
    )
    found = engine.to_pandas(table.mutate(known=known(table.text, ["NULL"])).order_by("place"))["known"]
    assert [None if pd.isna(text) else text for text in found] == ["a", "a", None, None, None, "NULLS", None, "null"]


def test_an_invoice_number_that_was_mangled_is_quarantined_and_an_odd_one_is_not(judge):
    mangled = ["5.36E+05", "5E+05", "#REF!", "#N/A!", "53\x0065", "5363�5"]
    odd = ["C536365", "536-365/A", "E+05", "5.36", "#1001", "Ärger 7"]
    accepted, rejected = judge(*({"invoice_id": each} for each in mangled + odd))
    assert accepted["invoice_id"].tolist() == odd
    assert set(rejected["reason"]) == {"unreadable_invoice_id"}


def test_a_number_that_means_nothing_does_so_as_a_float_too(judge, shop):
    settings = shop(cleaning=Cleaning(null_tokens=["0", "99999", "7.00"]))
    given = ["0", "0.0", " 99999 ", "99999.00", "7.00", "7.0", "9.0"]
    accepted, rejected = judge(*({"customer_id": each} for each in given), settings=settings)
    assert [None if pd.isna(each) else each for each in accepted["customer_id"]] == [None] * 5 + ["7", "9"]
    _accepted, rejected = judge({"invoice_id": "0"}, {"invoice_id": "0.0"}, settings=settings)
    assert set(rejected["reason"]) == {"missing_invoice_id"}
    assert len(rejected) == 2


def test_a_number_can_be_a_word_for_nothing_in_every_column(judge, shop):
    settings = shop(cleaning=Cleaning(null_tokens=["-999", "ZZ9", "2011-06-01 09:00"]))
    texts = ("invoice_id", "invoiced_at", "quantity", "unit_price")
    accepted, rejected = judge(
        *({name: "-999"} for name in texts),
        {"invoice_id": "ZZ9"},
        {"invoiced_at": " 2011-06-01 09:00 "},
        *({"customer_id": each} for each in ("-999", " ZZ9", "ZZ90", "-9990")),
        settings=settings,
    )
    missing = ("missing_invoice_id", "missing_timestamp", "missing_quantity", "missing_price")
    assert rejected["reason"].tolist() == [*missing, "missing_invoice_id", "missing_timestamp"]
    found = [None if pd.isna(each) else each for each in accepted["customer_id"]]
    assert found == [None, None, "ZZ90", "-9990"]
