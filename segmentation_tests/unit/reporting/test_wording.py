"""Numbers as readers see them."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from segmentation_pipeline.reporting import wording


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{MINUS SIGN}", "-")


@pytest.mark.parametrize("absent", [None, np.nan, pd.NA, pd.NaT])
@pytest.mark.parametrize("say", [wording.count, wording.number, wording.share, wording.days_ago, wording.sentence])
def test_a_missing_value_is_a_dash(say, absent):
    assert say(absent) == "\N{EN DASH}"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "GBP 0.00"), (1.5, "GBP 1.50"), (99.99, "GBP 99.99"), (1234.5, "GBP 1,234"), (-8_800_000, "GBP -8,800,000")],
)
def test_amounts_have_pence_only_where_they_matter(value, text):
    assert plain(wording.money(value, "GBP")) == text


@pytest.mark.parametrize(("value", "text"), [(0, "0.0 %"), (1e-5, "< 0.1 %"), (0.1234, "12.3 %"), (-0.25, "-25.0 %")])
def test_a_share_is_in_percent_and_a_trace_is_not_nothing(value, text):
    assert plain(wording.share(value)) == text


def test_a_number_that_rounds_to_zero_has_no_sign():
    assert wording.fixed(-0.001, 2) == "0.00"


def test_one_is_singular_and_every_other_number_plural():
    assert [plain(wording.quantity(value, "order")) for value in (0, 1, 1.5, 2000)] == [
        "0 orders",
        "1 order",
        "1.5 orders",
        "2,000 orders",
    ]


def test_a_range_of_one_value_is_that_value():
    assert (wording.number_range(2, 2), wording.number_range(2, 1900.4)) == ("2", "2 to 1,900")


def test_a_day_is_written_out():
    assert wording.long_date(date(2011, 12, 9)) == "9 December 2011"


def test_features_are_labelled_with_their_units():
    labels = [wording.feature_label(feature, "EUR") for feature in ("recency_days", "frequency", "monetary")]
    assert labels == ["Recency (days)", "Frequency (orders)", "Monetary (EUR)"]


def test_a_list_reads_as_a_sentence():
    assert [wording.listed(parts) for parts in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]


@pytest.mark.parametrize(
    ("value", "text"), [(12, "+12"), (-1_200, "-1,200"), (0, "no change"), (0.2, "no change"), (np.nan, "\N{EN DASH}")]
)
def test_a_change_has_its_sign(value, text):
    assert plain(wording.change(value)) == text


@pytest.mark.parametrize(("value", "text"), [(1.26, "+1.3"), (-3, "-3.0"), (0.01, "0.0"), (np.nan, "\N{EN DASH}")])
def test_a_signed_number_shows_that_it_is_above_zero(value, text):
    assert plain(wording.signed(value, 1)) == text


def test_drift_is_of_a_feature_or_of_the_segments():
    assert wording.drifting("feature", "recency_days") == "Recency"
    assert wording.drifting("segments", "segments") == "Segment sizes"
