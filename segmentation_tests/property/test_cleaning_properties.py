"""Cleaning, whatever the source sends: nothing is lost, nothing counted twice, nothing depends on order."""

from datetime import date, datetime
from decimal import Decimal, InvalidOperation

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ibis import _

from segmentation_pipeline.core import cleaning, schema
from segmentation_pipeline.core.profiling import clean
from segmentation_pipeline.settings import Cleaning, Columns, Files, Settings

DAY = date(2011, 6, 1)
SHOP = Settings(
    source=Files(path="*.csv", columns=Columns(**{each: each for each in schema.SOURCE_COLUMNS if each != "amount"})),
    timezone="Europe/London",
    start_date=date(2011, 1, 1),
)
KEEPS_COPIES = Cleaning(reject_duplicates=False)
SHOWN = ["source_file", "source_row", "reason", "failed_rules"]
LARGEST = Decimal(10) ** 13

NOTHING = st.sampled_from([None, "", "  ", "NULL", "nan", "N/A"])
JUNK = st.sampled_from(["x", "1,5", "--1", "1.2.3", "infinity", "1e", "£2", "0x1F", "99999999999999999999", "1.5.0"])
WORDS = st.text(max_size=5).filter(lambda text: "\0" not in text)
GOOD = {
    "invoice_id": st.sampled_from(["536365", "C536366", "17850.0", " 17850 "]),
    "product_id": st.sampled_from(["85123A", "22423", " 22423", "POST", "gift_1"]),
    "description": st.sampled_from(["CAKE STAND", " CAKE STAND ", None]),
    "quantity": st.integers(-20, 20).filter(bool).map(str),
    "unit_price": st.decimals(Decimal("0.01"), 50, places=2).map(str),
    "customer_id": st.sampled_from(["17850", "17850.0", "12346", None, " "]),
    "invoiced_at": st.datetimes(min_value=datetime(2011, 6, 1), max_value=datetime(2011, 6, 1, 23, 59, 59)).map(str),
    "country": st.sampled_from(["EIRE", "France ", None]),
    "broken_line": st.none(),
}
MESSY = {
    "invoice_id": NOTHING | WORDS,
    "product_id": NOTHING | WORDS,
    "description": NOTHING | WORDS,
    "quantity": st.sampled_from(["0", " 3 ", "2.0", "1e2", "2.5", "1000000", "-1000001"])
    | JUNK
    | NOTHING
    | st.integers(-(10**13), 10**13).map(str),
    "unit_price": st.sampled_from(["0", "-1.50", "0.00", "1000000", "1000000.01", "0.0001"])
    | JUNK
    | NOTHING
    | st.decimals(-(10**12), 10**13, places=4).map(str),
    "customer_id": NOTHING | WORDS,
    "invoiced_at": NOTHING
    | st.sampled_from(
        ["2011-06-01", "2011-05-31T23:30:00Z", "2011-06-01T23:30:00Z", "2001-01-01", "2999-01-01", "soon", "infinity"]
    ),
    "country": NOTHING | WORDS,
    "broken_line": st.just("1;2;3"),
}


@st.composite
def transaction_lines(draw):
    """Messy raw rows of one day, numbered: most columns good, some not, and some rows copies of others."""
    size = draw(st.sampled_from([0, 1, 2, 10, 30]))
    lines: list[dict[str, object]] = []
    for number in range(1, size + 1):
        if lines and draw(st.integers(0, 4)) == 4:
            line = draw(st.sampled_from(lines))
        else:
            bad = draw(st.sampled_from([None, None, "quantity", "unit_price", "unit_price", *GOOD]))
            faults = {bad, draw(st.sampled_from(list(GOOD)))} if bad and draw(st.booleans()) else {bad}
            line = {column: draw((MESSY if column in faults else GOOD)[column]) for column in GOOD}
        place = {"date": DAY, "source_file": draw(st.sampled_from(["a.csv", "b.csv"])), "source_row": number}
        lines.append({**line, **place})
    return lines


def money_in(line) -> Decimal:
    """Quantity times price as Python reads them; nothing where it cannot, or where no shop turns over as much."""
    try:
        quantity, price = Decimal(line["quantity"].strip()), Decimal(line["unit_price"].strip())
    except (AttributeError, InvalidOperation):
        return Decimal(0)
    readable = quantity.is_finite() and price.is_finite() and quantity == int(quantity)
    readable = readable and abs(quantity) < 10**18 and abs(price) < 10**14
    return quantity * price if readable and abs(quantity * price) < LARGEST else Decimal(0)


many = settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def results_for(shop):
    def results(raw):
        rejected = cleaning.rejected(raw, shop)
        accepted = cleaning.accepted(raw, rejected, shop)
        profile = clean.measured(raw, accepted, rejected, [DAY], shop)
        failing = cleaning.classify(raw, shop).filter(_.reason.notnull())
        return {
            "accepted": accepted.order_by("source_row"),
            "rejected": rejected.order_by("source_row"),
            "profile": profile,
            "failing": failing.select(SHOWN).order_by("source_row"),
        }

    return results


@pytest.fixture(scope="session")
def judge(prepared):
    return prepared(schema.RAW_TRANSACTIONS, results_for(SHOP))


@pytest.fixture(scope="session")
def judge_with_copies(prepared):
    return prepared(schema.RAW_TRANSACTIONS, results_for(SHOP.model_copy(update={"cleaning": KEEPS_COPIES})))


@pytest.fixture(scope="session")
def judge_with_words(prepared):
    shop = Cleaning(null_tokens=[*Cleaning().null_tokens, "3", "2.0", "17850", "536365", "0.0001", "2011-06-01"])
    return prepared(schema.RAW_TRANSACTIONS, results_for(SHOP.model_copy(update={"cleaning": shop})))


@many
@given(lines=transaction_lines())
def test_every_row_is_accepted_or_quarantined_once(judge, lines):
    accepted, rejected = judge(lines, "accepted", "rejected")
    numbers = [*accepted["source_row"], *rejected["source_row"]]
    assert sorted(numbers) == [line["source_row"] for line in lines]


@many
@given(lines=transaction_lines())
def test_money_and_rows_of_the_source_are_those_accepted_and_quarantined(judge, lines):
    (profile,) = judge(lines, "profile")
    (day,) = profile.to_dict("records")
    assert day["raw_rows"] == day["accepted_rows"] + day["quarantined_rows"] == day["placed_rows"] == len(lines)
    assert day["raw_amount"] == day["revenue"] + day["quarantined_amount"] == day["placed_amount"]
    assert day["raw_amount"] == sum(money_in(line) for line in lines)
    assert day["repeated_keys"] == 0


@many
@given(lines=transaction_lines())
def test_every_rejected_row_has_the_first_of_its_rules_as_reason_and_stays_as_it_came(judge, lines):
    (rejected,) = judge(lines, "rejected")
    precedence = {rule.reason: place for place, rule in enumerate(cleaning.RULES)}
    came = {line["source_row"]: line for line in lines}
    for row in rejected.to_dict("records"):
        places = [precedence[reason] for reason in row["failed_rules"]]
        assert places == sorted(set(places))
        assert row["reason"] == row["failed_rules"][0]
        for column in (*schema.SOURCE_COLUMNS, "broken_line"):
            expected = came[row["source_row"]].get(column)
            assert row[column] == expected or (expected is None and pd.isna(row[column]))


@many
@given(lines=transaction_lines())
def test_the_rows_that_are_rejected_are_those_that_fail_a_rule(judge_with_words, lines):
    rejected, failing = judge_with_words(lines, "rejected", "failing")
    pd.testing.assert_frame_equal(rejected[SHOWN], failing)


@many
@given(lines=transaction_lines())
def test_accepted_lines_written_out_again_are_accepted_unchanged(judge_with_copies, lines):
    (accepted,) = judge_with_copies(lines, "accepted")
    written = [
        {
            column: None if pd.isna(value) else value if column in {"date", "source_row"} else str(value)
            for column, value in row.items()
        }
        for row in accepted.drop(columns=["amount", "line_kind"]).to_dict("records")
    ]
    again, rejected = judge_with_copies(written, "accepted", "rejected")
    assert rejected.empty
    pd.testing.assert_frame_equal(again, accepted)


@many
@given(lines=transaction_lines(), random=st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(judge, lines, random):
    shuffled = list(lines)
    random.shuffle(shuffled)
    parts = ("accepted", "rejected")
    for first, second in zip(judge(lines, *parts), judge(shuffled, *parts), strict=True):
        pd.testing.assert_frame_equal(first, second)


@many
@given(lines=transaction_lines())
def test_of_rows_with_the_same_text_only_the_first_can_be_accepted(judge, lines):
    columns = (*schema.SOURCE_COLUMNS, "broken_line")
    first: dict[tuple[object, ...], tuple[str, int]] = {}
    for line in lines:
        text, place = tuple(line.get(column) for column in columns), (line["source_file"], line["source_row"])
        first[text] = min(first.get(text, place), place)
    accepted, rejected = judge(lines, "accepted", "rejected")
    kept = set(zip(accepted["source_file"], accepted["source_row"], strict=True))
    assert kept <= set(first.values())
    copies = rejected[["exact_duplicate" in rules for rules in rejected["failed_rules"]]]
    assert len(copies) == len(lines) - len(first)
