"""RFM groups: every triple of scores has exactly one, the same in the engine, in Python and in the tutorials."""

import re
from datetime import date
from decimal import Decimal
from itertools import product
from math import floor

import ibis
import numpy as np
import pandas as pd
import pytest

from segmentation_pipeline.core import rfm_groups, schema
from segmentation_pipeline.core.rfm_groups import GRID, GROUPS, group_of

SCORES = range(1, 6)
TRIPLES = pd.DataFrame(
    list(product(SCORES, repeat=3)), columns=["recency_score", "frequency_score", "monetary_score"], dtype="Int64"
)
ORDER = {group.name: place for place, group in enumerate(GROUPS)}

# The widely used patterns of recency and value score, as a witness that the grid is the conventional one.
PATTERNS = {
    r"5[45]": "Champions",
    r"[34][45]": "Loyal Customers",
    r"[45][23]": "Potential Loyalists",
    r"51": "New Customers",
    r"41": "Promising",
    r"33": "Need Attention",
    r"3[12]": "About to Sleep",
    r"[12]5": "Can't Lose Them",
    r"[12][34]": "At Risk",
    r"[12][12]": "Hibernating",
}


@pytest.fixture(scope="module")
def grouped(engine):
    """The scores beside `value` and `rfm_group`, in the order of the scores."""

    def run(scores):
        table = ibis.memtable(scores, schema=dict.fromkeys(scores.columns, "int64"))
        found = table.mutate(
            value=rfm_groups.value_score(table.frequency_score, table.monetary_score),
            rfm_group=rfm_groups.rfm_group(table.recency_score, table.frequency_score, table.monetary_score),
        )
        return engine.to_pandas(found.order_by(list(scores.columns)))

    return run


def test_every_triple_of_scores_is_in_the_group_that_python_finds(grouped):
    found = grouped(TRIPLES)
    assert len(found) == 125
    assert found["value"].tolist() == [
        floor((frequency + monetary) / 2 + 0.5)
        for frequency, monetary in zip(found["frequency_score"], found["monetary_score"], strict=True)
    ]
    assert found["rfm_group"].tolist() == [
        group_of(recency, value) for recency, value in zip(found["recency_score"], found["value"], strict=True)
    ]
    assert set(found["rfm_group"]) == set(ORDER)


def test_eleven_groups_have_a_name_and_a_sentence_each():
    assert len(ORDER) == len(GROUPS) == 11
    assert {name for row in GRID for name in row} == set(ORDER)
    assert [len(row) for row in GRID] == [5] * 5
    assert (GROUPS[0].name, GROUPS[-1].name) == ("Champions", "Lost")
    assert all(re.fullmatch(r"[A-Z][^.]+\.", group.meaning) for group in GROUPS)


@pytest.mark.parametrize(("recency", "value"), list(product(SCORES, SCORES)))
def test_the_grid_is_the_conventional_one_but_for_lost(recency, value):
    (expected,) = [name for pattern, name in PATTERNS.items() if re.fullmatch(pattern, f"{recency}{value}")]
    assert group_of(recency, value) == ("Lost" if (recency, value) == (1, 1) else expected)


def test_a_better_score_never_gives_a_worse_group():
    places = [[ORDER[group_of(recency, value)] for value in SCORES] for recency in SCORES]
    for one_way in (places, list(zip(*places, strict=True))):
        assert all(list(line) == sorted(line, reverse=True) for line in one_way)


def test_frequency_and_monetary_count_alike(grouped):
    swapped = {"frequency_score": "monetary_score", "monetary_score": "frequency_score"}
    found = grouped(TRIPLES).set_index(list(TRIPLES))["rfm_group"]
    other_way = grouped(TRIPLES.rename(columns=swapped)[list(TRIPLES)]).set_index(list(TRIPLES))["rfm_group"]
    assert all(
        other_way[recency, monetary, frequency] == name for (recency, frequency, monetary), name in found.items()
    )


def test_half_a_score_is_rounded_up(grouped):
    one = pd.DataFrame({"recency_score": [1], "frequency_score": [1], "monetary_score": [2]})
    assert grouped(one)[["value", "rfm_group"]].to_numpy().tolist() == [[2, "Hibernating"]]


def test_without_a_score_there_is_no_group(grouped):
    for name in TRIPLES:
        missing = TRIPLES.assign(**{name: pd.array([None] * len(TRIPLES), dtype="Int64")})
        assert grouped(missing)["rfm_group"].isna().all()


def test_the_order_of_rows_does_not_matter(grouped):
    shuffled = TRIPLES.sample(frac=1, random_state=2)
    pd.testing.assert_frame_equal(grouped(shuffled), grouped(TRIPLES))


@pytest.mark.parametrize(("recency", "value"), [(0, 1), (1, 0), (6, 5), (5, 6), (-1, 3)])
def test_scores_outside_the_grid_are_refused(recency, value):
    with pytest.raises(ValueError, match="Scores are 1 to 5"):
        group_of(recency, value)


# Customers and revenue of the groups


@pytest.fixture(scope="module")
def customers() -> pd.DataFrame:
    """Scored customers, a tenth of whom are Net zero; nobody is in the top row of the grid."""
    random = np.random.default_rng(6)
    scores = pd.DataFrame(random.integers(1, [5, 6, 6], (500, 3)), columns=list(TRIPLES)).astype(object)
    groups = [group_of(r, floor((f + m) / 2 + 0.5)) for r, f, m in scores.itertuples(index=False)]
    found = scores.assign(
        date=date(2011, 6, 1),
        customer_id=[str(number) for number in range(500)],
        segment_id=1,
        rfm_group=groups,
        monetary=[Decimal(int(pennies)) / 100 for pennies in random.integers(1, 900_000, 500)],
    )
    found.loc[random.random(500) < 0.1, [*TRIPLES, "rfm_group", "segment_id", "monetary"]] = [
        *[None] * 4,
        0,
        Decimal(-5),
    ]
    return found


@pytest.fixture(scope="module")
def cells(engine, table_of):
    def run(customers):
        return engine.to_pandas(rfm_groups.counted(table_of(schema.CUSTOMER_SEGMENTS, customers.to_dict("records"))))

    return run


def test_cells_of_the_grid_agree_with_pandas_and_leave_net_zero_out(cells, customers):
    scored = customers[customers["rfm_group"].notna()]
    value = [floor((f + m) / 2 + 0.5) for f, m in zip(scored["frequency_score"], scored["monetary_score"], strict=True)]
    groups = scored.assign(value_score=value).groupby(["recency_score", "value_score", "rfm_group"])["monetary"]
    found = cells(customers)
    assert found.columns.tolist() == ["recency_score", "value_score", "rfm_group", "customers", "revenue"]
    assert list(found.iloc[:, :3].itertuples(index=False, name=None)) == list(groups.groups)
    assert found["customers"].tolist() == groups.size().tolist()
    assert found["revenue"].tolist() == groups.sum().tolist()
    assert found["customers"].sum() == len(scored) < len(customers)


def test_the_groups_are_all_eleven_in_order_and_add_up_to_everybody(cells, customers):
    found = rfm_groups.summed(cells(customers))
    assert list(zip(found["rfm_group"], found["meaning"], strict=True)) == [
        (each.name, each.meaning) for each in GROUPS
    ]
    by_name = customers.astype({"monetary": float}).groupby("rfm_group")["monetary"]
    found = found.set_index("rfm_group")
    assert found["customers"].to_dict() == dict.fromkeys(ORDER, 0) | by_name.size().to_dict()
    assert found["revenue"].to_dict() == pytest.approx(dict.fromkeys(ORDER, 0.0) | by_name.sum().to_dict())
    assert found["customers"]["New Customers"] == 0  # the top row of the grid
    sums = found[["customer_share", "revenue_share"]].sum()
    assert sums.to_dict() == pytest.approx({"customer_share": 1, "revenue_share": 1}, abs=1e-12)
    assert found["customer_share"]["Lost"] == pytest.approx(
        by_name.size()["Lost"] / customers["rfm_group"].notna().sum()
    )
    assert found["revenue_share"]["Lost"] == pytest.approx(by_name.sum()["Lost"] / by_name.sum().sum())


def test_without_scored_customers_there_are_eleven_empty_groups(cells, customers):
    found = rfm_groups.summed(cells(customers[customers["rfm_group"].isna()]))
    assert found["rfm_group"].tolist() == list(ORDER)
    assert not found[["customers", "revenue", "customer_share", "revenue_share"]].to_numpy(dtype=float).any()


def test_customers_are_counted_by_recency_and_frequency_as_pandas_counts_them(engine):
    random = np.random.default_rng(5)
    scores = {name: random.integers(1, 6, 400) for name in ("recency_score", "frequency_score")}
    segments = pd.DataFrame({**scores, "rfm_group": np.where(random.random(400) < 0.1, None, "Lost")})
    types = {**dict.fromkeys(scores, "int64"), "rfm_group": "string"}
    found = engine.to_pandas(rfm_groups.by_scores(ibis.memtable(segments, schema=types)))
    expected = segments.dropna().groupby(list(scores)).size().reset_index(name="customers")
    pd.testing.assert_frame_equal(found, expected)
