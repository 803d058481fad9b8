"""Recommendations: sentences that a marketer can read aloud, with the right numbers in them."""

from datetime import date
from decimal import Decimal

import pandas as pd
import pytest

from segmentation_pipeline.core import recommendations

PROFILE = {
    "action": "Win back: one offer.",
    "customers": 1_234,
    "customer_share": 0.284,
    "revenue_recent": Decimal("56789.5001"),
    "recent_share": 0.0449,
    "revenue": Decimal("98765.4"),
    "compared_with": pd.Timestamp(2011, 11, 9),
    "customers_before": 1_200,
}
STAKE = (
    "Win back: one offer. 1,234 customers (28%) brought GBP 56,790 in the last 90 days, 4% of the sales to known customers "
    "in that time, and GBP 98,765 net in all."
)


def sentences(**changes):
    return recommendations.sentences(pd.Series(PROFILE | changes), "GBP", 90)


@pytest.mark.parametrize(
    ("before", "change"),
    [
        (1_200, "34 customers more than on 9 November 2011."),
        (1_233, "1 customer more than on 9 November 2011."),
        (0, "1,234 customers more than on 9 November 2011."),
        (1_234, "As many customers as on 9 November 2011."),
        (1_235, "1 customer fewer than on 9 November 2011."),
        (2_500, "1,266 customers fewer than on 9 November 2011."),
    ],
)
def test_how_a_segment_has_changed_is_told_in_customers(before, change):
    assert sentences(customers_before=before) == f"{STAKE} {change}"


@pytest.mark.parametrize("missing", [pd.NaT, None])
def test_without_an_earlier_day_nothing_is_said_about_change(missing):
    assert sentences(compared_with=missing, customers_before=pd.NA) == STAKE


def test_a_day_may_be_one_of_python():
    assert sentences(compared_with=date(2012, 2, 29)).endswith(" 34 customers more than on 29 February 2012.")


def test_one_customer_is_one_customer():
    assert sentences(
        customers=1, customer_share=1.0, revenue_recent=Decimal("0.49"), recent_share=1.0, customers_before=1
    ) == (
        "Win back: one offer. 1 customer (100%) brought GBP 0 in the last 90 days, 100% of the sales to known customers "
        "in that time, and GBP 98,765 net in all. "
        "As many customers as on 9 November 2011."
    )


def test_currency_and_recent_days_are_those_of_the_shop():
    told = recommendations.sentences(pd.Series(PROFILE), "EUR", 30)
    assert "brought EUR 56,790 in the last 30 days" in told
    assert "GBP" not in told


def test_a_shop_that_leaves_an_action_empty_gets_the_numbers():
    assert sentences(action="", compared_with=pd.NaT) == STAKE.removeprefix("Win back: one offer. ")
