"""Returns and RFM of any history agree with a queue replayed line by line in plain Python."""

from collections import defaultdict
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segmentation_pipeline.core import orders, returns, rfm, schema

LONDON = ZoneInfo("Europe/London")
FIRST_DAY = date(2011, 6, 1)
WINDOW_DAYS = 3
DAYS = [FIRST_DAY + timedelta(days=number) for number in range(8)]
EARLIER, AS_OF = DAYS[2], DAYS[5]
PRICES = {"mug": Decimal("1.37"), "cup": Decimal("2.20"), None: Decimal("0.05")}

many = settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@st.composite
def histories(draw, money=None):
    """Clean lines of a few customers; the money of each line by its product's price, or as `money` draws it."""
    line = st.tuples(
        st.sampled_from(["ann", "ann", "bob", "bob", None]),
        st.sampled_from(list(PRICES)),
        st.sampled_from(DAYS),
        st.integers(9, 11),
        st.integers(1, 4),
        st.sampled_from(["sale", "sale", "sale", "return", "return", "adjustment"]),
        st.integers(1, 6),
        st.none() if money is None else money,
    )
    rows = []
    size = draw(st.sampled_from([0, 1, 5, 20, 50]))
    drawn = draw(st.lists(line, min_size=size, max_size=size))
    for number, (customer, product, day, hour, invoice, kind, quantity, amount) in enumerate(drawn, start=1):
        sign = -1 if kind == "return" else 1
        rows.append(
            {
                "date": day,
                "invoice_id": f"{'C' if kind == 'return' else ''}{invoice}",
                "customer_id": customer,
                "product_id": product,
                "invoiced_at": datetime.combine(day, time(hour), LONDON),
                "quantity": sign * quantity,
                "unit_price": PRICES[product],
                "amount": sign * (amount or quantity * PRICES[product]),
                "line_kind": kind,
                "source_file": "a.csv",
                "source_row": number,
            }
        )
    return rows


ANY_MONEY = histories(money=st.decimals(Decimal("0.01"), 1000, places=2))


def replayed(lines, window_days=WINDOW_DAYS):
    """Each return beside what a queue of its window's events gives back: {(day, customer, product, order): (items, money)}."""
    queues = defaultdict(list)
    for line in lines:
        if line["customer_id"] is not None and line["line_kind"] != "adjustment":
            queues[line["customer_id"], line["product_id"]].append(line)
    found = defaultdict(lambda: (0, Decimal(0)))
    for (customer, product), events in queues.items():
        events.sort(key=lambda line: (line["invoiced_at"], line["line_kind"] != "sale", line["invoice_id"]))
        for place, event in enumerate(events):
            if event["line_kind"] != "return":
                continue
            earliest = event["date"] - timedelta(days=window_days)
            waiting = []
            for earlier in events[: place + 1]:
                if earlier["date"] < earliest:
                    continue
                if earlier["line_kind"] == "sale":
                    waiting.append([earlier["invoice_id"], earlier["quantity"]])
                    continue
                wanted, taken = -earlier["quantity"], []
                while wanted and waiting:
                    part = min(wanted, waiting[0][1])
                    taken.append((waiting[0][0], part))
                    wanted -= part
                    waiting[0][1] -= part
                    if not waiting[0][1]:
                        waiting.pop(0)
                if wanted:
                    taken.append((None, wanted))
            for order, items in taken:  # the last return replayed is the event itself
                items_before, money_before = found[event["date"], customer, product, order]
                found[event["date"], customer, product, order] = (
                    items_before + items,
                    money_before + items * PRICES[product],
                )
    return dict(found)


def by_order(matches):
    """The replay's matches summed over products, as `customer_returns` reports them."""
    summed = defaultdict(lambda: (0, Decimal(0)))
    for (day, customer, _, order), (items, money) in matches.items():
        before = summed[day, customer, order]
        summed[day, customer, order] = (before[0] + items, before[1] + money)
    return dict(summed)


def as_matches(frame):
    return {
        (row.date, row.customer_id, None if pd.isna(row.order_id) else row.order_id): (row.items_, row.amount)
        for row in frame.rename(columns={"items": "items_"}).itertuples()
    }


def carried_on(bought, given_back, measure, recent_days):
    """Features on `AS_OF`, computed anew of those alone who bought or gave back since `EARLIER`."""
    active = rfm.active_since(bought, given_back, EARLIER)
    theirs = [table.semi_join(active, "customer_id") for table in (bought, given_back)]
    others = rfm.rfm_features(bought, given_back, EARLIER, measure, recent_days).anti_join(active, "customer_id")
    anew = rfm.rfm_features(*theirs, AS_OF, measure, recent_days)
    return anew.union(rfm.aged(others, bought, AS_OF, recent_days))


@pytest.fixture(scope="session")
def history(prepared):
    """Returns (by items, by amount, and with each customer's products apart), and features on `AS_OF`."""

    def returned(clean, measure="items"):
        return returns.customer_returns(clean, WINDOW_DAYS, measure, FIRST_DAY, DAYS[-1])

    def results(clean):
        apart = clean.mutate(customer_id=clean.customer_id + "|" + clean.product_id.coalesce("-"))
        told = (orders.customer_orders(clean), returned(clean))
        return {
            "returns": returned(clean).order_by("date", "customer_id", "order_id"),
            "by_amount": returned(clean, "amount"),
            "apart": returned(apart),
            "orders_apart": orders.customer_orders(apart),
            "features": rfm.rfm_features(*told, AS_OF, "items", 5).order_by("customer_id"),
            "features_since": carried_on(*told, "items", 5).order_by("customer_id"),
        }

    return prepared(schema.CLEAN_TRANSACTIONS, results)


@many
@given(lines=histories())
def test_returns_agree_with_a_queue_replayed_line_by_line(history, lines):
    (found,) = history(lines, "returns")
    assert as_matches(found) == by_order(replayed(lines))


@many
@given(lines=ANY_MONEY, measure=st.sampled_from(["returns", "by_amount"]))
def test_items_and_money_given_back_are_those_of_the_returns(history, lines, measure):
    (found,) = history(lines, measure)
    assert (found["items"] >= 0).all()
    assert not found.duplicated(["date", "customer_id", "order_id"]).any()
    expected = defaultdict(lambda: [0, Decimal(0)])
    for line in lines:
        if line["line_kind"] == "return" and line["customer_id"] is not None:
            expected[line["date"], line["customer_id"]][0] -= line["quantity"]
            expected[line["date"], line["customer_id"]][1] -= line["amount"]
    sums = found.groupby(["date", "customer_id"])[["items", "amount"]].sum()
    assert {place: list(row) for place, row in zip(sums.index, sums.to_numpy(), strict=True)} == dict(expected)


@many
@given(lines=ANY_MONEY)
def test_no_order_gives_back_more_of_a_product_than_was_sold(history, lines):
    found, sold = history(lines, "apart", "orders_apart")
    order = ["customer_id", "order_id"]
    back = found.dropna(subset="order_id").groupby(order)["items"].sum()
    assert (back <= sold.groupby(order)["items"].sum().reindex(back.index, fill_value=0)).all()


@many
@given(lines=ANY_MONEY)
def test_no_order_gives_back_more_money_than_was_paid_where_money_is_matched(history, lines):
    (found,) = history(lines, "by_amount")
    paid = defaultdict(Decimal)
    for line in lines:
        if line["line_kind"] == "sale" and line["customer_id"] is not None:
            paid[line["customer_id"], line["invoice_id"]] += line["amount"]
    back = found.dropna(subset="order_id").groupby(["customer_id", "order_id"])["amount"].sum()
    assert all(money <= paid[place] for place, money in back.items())


@many
@given(lines=ANY_MONEY, random=st.randoms(use_true_random=False))
def test_the_order_of_lines_changes_nothing(history, lines, random):
    shuffled = list(lines)
    random.shuffle(shuffled)
    parts = ("returns", "features")
    for first, second in zip(history(lines, *parts), history(shuffled, *parts), strict=True):
        pd.testing.assert_frame_equal(first, second)


@settings(many, max_examples=15)
@given(lines=ANY_MONEY)
def test_nights_one_by_one_give_what_a_range_of_days_gives(history, lines):
    (together,) = history(lines, "returns")
    matches = {}
    for day in DAYS:
        window = [line for line in lines if day - timedelta(days=WINDOW_DAYS) <= line["date"] <= day]
        (night,) = history(window, "returns")
        matches |= as_matches(night[night["date"] == day])
    assert matches == as_matches(together)


@many
@given(lines=histories(), rubbish=histories())
def test_features_never_change_by_what_happens_after_the_as_of_day(history, lines, rubbish):
    known = [line for line in lines if line["date"] <= AS_OF]
    later = [line for line in rubbish if line["date"] > AS_OF]
    for first, second in zip(history(known, "features"), history(known + later, "features"), strict=True):
        pd.testing.assert_frame_equal(first, second)


@many
@given(lines=histories())
def test_features_carried_on_from_an_earlier_day_are_those_computed_from_nothing(history, lines):
    pd.testing.assert_frame_equal(*history(lines, "features", "features_since"))


@many
@given(lines=histories())
def test_features_agree_with_a_replay_in_plain_python(history, lines):
    (found,) = history(lines, "features")
    known = [line for line in lines if line["date"] <= AS_OF and line["customer_id"] is not None]
    sold, days, spent = defaultdict(int), {}, defaultdict(Decimal)
    for line in known:
        if line["line_kind"] == "sale":
            order = line["customer_id"], line["invoice_id"]
            sold[order] += line["quantity"]
            days[order] = max(days.get(order, line["date"]), line["date"])
            spent[line["customer_id"]] += line["amount"]
    back, given_back = defaultdict(int), defaultdict(Decimal)
    for (_, customer, _, order), (items, money) in replayed(known).items():
        given_back[customer] += money
        back[customer, order] += items
    expected = {}
    for customer in spent:
        kept = [days[order] for order in sold if order[0] == customer and back[order] < sold[order]]
        expected[customer] = (
            (AS_OF - max(kept)).days if kept else None,
            len(kept),
            spent[customer] - given_back[customer],
            given_back[customer],
            max(kept) if kept else None,
        )
    columns = ["recency_days", "frequency", "monetary", "amount_returned", "last_order_date"]
    assert {
        row["customer_id"]: tuple(None if pd.isna(row[name]) else row[name] for name in columns)
        for row in found.to_dict("records")
    } == expected
