"""RFM: recency, frequency and monetary value, as known at the end of a day."""

from datetime import date
from decimal import Decimal

import ibis
import pandas as pd
import pytest

from segmentation_pipeline.core import rfm, schema

JUNE = {day: date(2011, 6, day) for day in range(1, 31)}


@pytest.fixture(scope="module")
def features(engine, table_of):
    """Features by customer, from orders and returns `(day of June, customer, order, items, amount)`."""

    def run(orders, returns=(), as_of=10, measure="items", compute=rfm.rfm_features):
        def rows(given):
            names = ("date", "customer_id", "order_id", "items", "amount")
            return [
                dict(zip(names, (JUNE[each[0]], *each[1:4], Decimal(each[4])), strict=True))
                | {"products": 1, "product_ids": list(each[5]) if len(each) > 5 else ["mug"]}
                for each in given
            ]

        tables = (
            table_of(layout, rows(given))
            for layout, given in ((schema.CUSTOMER_ORDERS, orders), (schema.CUSTOMER_RETURNS, returns))
        )
        found = engine.to_pandas(compute(*tables, as_of=JUNE[as_of], measure=measure, recent_days=5))
        return found.set_index("customer_id")

    return run


ORDERS = [(1, "ann", "1", 5, 50), (4, "ann", "2", 3, 30), (4, "ann", "3", 1, 10), (2, "bob", "4", 1, 7)]


def test_recency_frequency_and_monetary_of_plain_orders(features):
    found = features(ORDERS)
    assert found.loc["ann", ["recency_days", "frequency", "monetary"]].tolist() == [6, 3, 90]
    assert found.loc["bob", ["recency_days", "frequency", "monetary"]].tolist() == [8, 1, 7]
    assert found.loc["ann", "first_order_date"] == pd.Timestamp(JUNE[1])
    assert found.loc["ann", "last_order_date"] == pd.Timestamp(JUNE[4])
    assert (found["date"] == pd.Timestamp(JUNE[10])).all()


def test_an_order_on_the_as_of_day_counts_with_recency_zero(features):
    assert features(ORDERS, as_of=4).loc["ann", ["recency_days", "frequency"]].tolist() == [0, 3]


def test_later_orders_and_returns_are_not_seen(features):
    later = [(11, "ann", "9", 1, 100), (11, "eve", "10", 1, 100)]
    returned_later = [(11, "ann", "1", 5, 50)]
    pd.testing.assert_frame_equal(features(ORDERS + later, returned_later).sort_index(), features(ORDERS).sort_index())


def test_an_order_given_back_in_full_counts_before_the_return_and_not_after(features):
    returns = [(6, "ann", "2", 3, 30), (6, "ann", "3", 1, 10)]
    before, after = (features(ORDERS, returns, as_of).loc["ann"] for as_of in (5, 6))
    assert before[["recency_days", "frequency", "monetary", "amount_returned"]].tolist() == [1, 3, 90, 0]
    assert after[["recency_days", "frequency", "monetary", "amount_returned"]].tolist() == [5, 1, 50, 40]
    assert after["last_order_date"] == pd.Timestamp(JUNE[1])


def test_an_order_given_back_in_part_still_counts(features):
    found = features(ORDERS, [(6, "ann", "2", 2, 20)]).loc["ann"]
    assert found[["recency_days", "frequency", "monetary"]].tolist() == [6, 3, 70]


def test_parts_given_back_on_different_days_add_up_to_a_whole(features):
    returns = [(5, "bob", "4", 1, 3), (7, "ann", "1", 2, 20), (8, "ann", "1", 3, 30)]
    assert [features(ORDERS, returns, as_of).loc["ann", "frequency"] for as_of in (7, 8)] == [3, 2]


def test_who_gave_everything_back_has_no_recency_and_frequency_zero(features):
    found = features(ORDERS, [(5, "bob", "4", 1, 7)]).loc["bob"]
    assert pd.isna(found["recency_days"])
    assert pd.isna(found["last_order_date"])
    assert (found["frequency"], found["monetary"]) == (0, 0)
    assert found["first_order_date"] == pd.Timestamp(JUNE[2])


def test_a_return_without_an_order_lowers_monetary_alone(features):
    found = features(ORDERS, [(5, "bob", None, 4, 9)]).loc["bob"]
    assert found[["recency_days", "frequency", "monetary", "amount_returned"]].tolist() == [8, 1, -2, 9]


def test_who_only_returned_has_no_features(features):
    assert "eve" not in features(ORDERS, [(5, "eve", None, 1, 5)]).index


def test_an_order_of_another_customer_with_the_same_number_is_another_order(features):
    orders = [(1, "ann", "1", 5, 50), (1, "bob", "1", 5, 50)]
    assert features(orders, [(2, "ann", "1", 5, 50)])["frequency"].to_dict() == {"ann": 0, "bob": 1}


def test_an_order_over_midnight_is_one_order_of_its_last_day(features):
    found = features([(1, "ann", "1", 1, 5), (2, "ann", "1", 1, 5)]).loc["ann"]
    assert found[["recency_days", "frequency", "monetary"]].tolist() == [8, 1, 10]


def test_an_order_over_midnight_is_as_recent_as_its_last_day_also_after_a_quiet_night(features):
    orders = [*ORDERS, (5, "eve", "5", 1, 10), (6, "eve", "5", 2, 20)]

    def aged(orders, returns, as_of, measure, recent_days):
        before = rfm.rfm_features(orders, returns, JUNE[8], measure, recent_days)
        return rfm.aged(before, orders, as_of, recent_days)

    for as_of, recent in ((9, 30), (10, 30), (11, 0)):
        at_once, later = features(orders, as_of=as_of), features(orders, as_of=as_of, compute=aged)
        assert at_once.loc["eve", "recent_revenue"] == recent
        pd.testing.assert_frame_equal(at_once.sort_index(), later.sort_index())


def test_by_amount_an_order_is_given_back_once_all_its_money_is(features):
    orders = [(1, "ann", "1", 3, 30), (1, "bob", "2", 3, 30)]
    returns = [(2, "ann", "1", 1, 30), (2, "bob", "2", 3, 29)]
    assert features(orders, returns, measure="amount")["frequency"].to_dict() == {"ann": 0, "bob": 1}
    assert features(orders, returns, measure="items")["frequency"].to_dict() == {"ann": 1, "bob": 0}


def test_orders_are_kept_until_nothing_of_them_is_left(engine, table_of):
    orders = [
        {"date": JUNE[1], "customer_id": "ann", "order_id": str(number), "items": 4, "amount": 4} for number in range(4)
    ]
    returns = [
        {"date": JUNE[2], "customer_id": "ann", "order_id": str(number), "items": items, "amount": 1}
        for number, items in enumerate([3, 4, 5])
    ]
    kept = rfm.orders_kept(
        table_of(schema.CUSTOMER_ORDERS, orders), table_of(schema.CUSTOMER_RETURNS, returns), "items"
    )
    assert engine.to_pandas(kept.order_by("order_id"))["is_kept"].tolist() == [True, False, False, True]


BEHAVIOUR = [
    (1, "ann", "1", 6, 60, ["cup", "mug"]),
    (5, "ann", "2", 2, 20, ["mug"]),
    (9, "ann", "3", 4, 40, ["jug", "mug"]),
    (7, "bob", "4", 1, 7, []),
]


def test_secondary_features_of_orders_by_hand(features):
    found = features(BEHAVIOUR).loc["ann"]
    assert found[["tenure_days", "mean_days_between_orders", "average_order_value"]].tolist() == [9, 4, 40]
    assert found[["items_per_order", "distinct_products", "return_rate"]].tolist() == [4, 3, 0]
    assert found[["recent_revenue", "recent_revenue_share"]].tolist() == [40, 40 / 120]  # days 6 to 10


def test_secondary_features_leave_out_what_was_given_back(features):
    found = features(BEHAVIOUR, [(9, "ann", "3", 4, 40), (9, "ann", "1", 1, 10)]).loc["ann"]
    assert found[["frequency", "mean_days_between_orders", "average_order_value"]].tolist() == [2, 4, 35]
    assert found[["items_per_order", "distinct_products", "return_rate"]].tolist() == [3.5, 2, 50 / 120]
    assert found[["recent_revenue", "tenure_days"]].tolist() == [40, 9]


def test_after_a_single_order_the_days_since_it_stand_for_the_days_between_orders(features):
    found = features(BEHAVIOUR).loc["bob"]
    assert found[["mean_days_between_orders", "distinct_products"]].tolist() == [3, 0]


def test_without_a_kept_order_there_is_no_behaviour(features):
    found = features(BEHAVIOUR, [(8, "bob", "4", 1, 7)]).loc["bob"]
    assert found[["mean_days_between_orders", "average_order_value", "items_per_order"]].isna().all()
    assert found[["distinct_products", "return_rate"]].tolist() == [0, 1]


def test_net_spend_needs_a_kept_order_and_money_left(engine):
    cases = {"frequency": [1, 0, 1, 1, 0], "monetary": [0.01, 5.0, 0.0, -1.0, 0.0], "place": [0, 1, 2, 3, 4]}
    table = ibis.memtable(cases)
    found = engine.to_pandas(table.mutate(net=rfm.has_net_spend(table)).order_by("place"))["net"]
    assert found.tolist() == [True, False, False, False, False]


def test_features_have_the_columns_of_their_table(table_of):
    found = rfm.rfm_features(
        table_of(schema.CUSTOMER_ORDERS, []), table_of(schema.CUSTOMER_RETURNS, []), JUNE[1], "items", 90
    )
    assert found.schema() == schema.RFM_FEATURES.ibis_schema


def test_spending_is_all_of_the_features_but_products(features):
    returns = [(5, "ann", "1", 5, 50), (6, "bob", None, 2, 3)]
    whole, spending = (
        features(ORDERS, returns, compute=each).sort_index() for each in (rfm.rfm_features, rfm.spending)
    )
    assert spending["distinct_products"].isna().all()
    assert whole["distinct_products"].tolist() == [1, 1]
    without = [frame.drop(columns="distinct_products") for frame in (whole, spending)]
    pd.testing.assert_frame_equal(*without)
