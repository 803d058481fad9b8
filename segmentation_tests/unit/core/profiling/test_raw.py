"""Profile of the raw rows: counts, shares and copies agree with pandas, and values that mean nothing are nothing."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from segmentation_pipeline.core import schema
from segmentation_pipeline.core.profiling import raw
from segmentation_pipeline.settings import Cleaning

DAYS = [date(2011, 6, day) for day in (1, 2, 3, 4)]
EMPTY = DAYS[2]
NOTHING = [None, "", "  ", "NULL", " nan ", "N/A"]
SAMPLED = {
    "date": [DAYS[0], DAYS[1], DAYS[3], date(2011, 5, 31), date(2011, 6, 5)],
    "invoice_id": ["536365", " 536365", "536366", "C536367", *NOTHING],
    "product_id": ["85123A", "85123a", "22423", "POST", "gift_1", *NOTHING],
    "quantity": ["6", "-1", "six", *NOTHING],
    "unit_price": ["2.55", "0", *NOTHING],
    "customer_id": ["17850", "17850.0", "12346", *NOTHING],
    "invoiced_at": ["2011-06-01 08:26:00", "soon", *NOTHING],
    "country": ["EIRE", "France", "France ", "Germany", *NOTHING],
    "broken_line": [None, None, None, "536365;85123A;6"],
    "source_file": ["a.csv", "b.csv"],
    "source_row": range(1, 40),
}
TEXT = ["invoice_id", "product_id", "quantity", "unit_price", "customer_id", "invoiced_at", "country"]


@pytest.fixture(scope="module")
def profile(engine, raw_rows, shop):
    """The profile of raw rows, by day."""

    def run(*rows, days=DAYS[:1], **settings):
        found = engine.to_pandas(raw.measured(raw_rows(*rows), days, shop(**settings)))
        return found.set_index(found["date"].dt.date).sort_index()

    return run


@pytest.fixture(scope="module")
def lines() -> pd.DataFrame:
    """Four hundred messy rows of three days and of the days around them, among them copies."""
    random = np.random.default_rng(3)
    drawn = pd.DataFrame({name: random.choice(np.array(values, object), 300) for name, values in SAMPLED.items()})
    return pd.concat([drawn, drawn.sample(100, random_state=3)], ignore_index=True).astype(object)


@pytest.fixture(scope="module")
def found(profile, lines):
    return profile(*lines.where(lines.notna(), None).to_dict("records"), days=DAYS)


@pytest.fixture(scope="module")
def known(lines) -> pd.DataFrame:
    """The rows as a reader takes them: text without blanks, nothing where it says nothing."""
    stripped = lines[TEXT].apply(lambda column: column.str.strip())
    return lines.assign(**stripped.mask(stripped.isin(["", "NULL", "nan", "N/A"])))


WITNESSES = {
    "rows": len,
    "files": lambda day: day["source_file"].nunique(),
    "orders": lambda day: day["invoice_id"].nunique(),
    "customers": lambda day: day["customer_id"].nunique(),
    "products": lambda day: day["product_id"].nunique(),
    "broken_rows": lambda day: day["broken_line"].notna().sum(),
    "guest_share": lambda day: day["customer_id"].isna().sum() / len(day),
    "lines_per_order": lambda day: len(day) / day["invoice_id"].nunique(),
    "orders_per_customer": lambda day: (
        day.dropna(subset="customer_id")["invoice_id"].nunique() / day["customer_id"].nunique()
    ),
    "missing_price_share": lambda day: day["unit_price"].isna().sum() / len(day),
    **{
        f"missing_{name}_share": lambda day, name=name: day[name].isna().sum() / len(day)
        for name in ("invoice_id", "product_id", "quantity", "invoiced_at", "country")
    },
    "repeated_keys": lambda day: day.duplicated(["source_file", "source_row"]).sum(),
}


@pytest.mark.parametrize("measure", WITNESSES)
def test_a_measure_agrees_with_pandas_on_every_day_that_has_rows(found, known, measure):
    witness = WITNESSES[measure]
    expected = {day: witness(rows) for day, rows in known.groupby("date") if day in DAYS}
    assert found.drop(EMPTY)[measure].to_dict() == pytest.approx(expected, rel=1e-12)


def test_copies_are_rows_with_the_same_text_in_every_mapped_column_that_day(found, lines):
    text = [name for name in lines.columns if name not in {"source_file", "source_row"}]
    expected = lines.duplicated(text).groupby(lines["date"]).mean()
    assert found.drop(EMPTY)["duplicate_share"].tolist() == pytest.approx(
        expected[[DAYS[0], DAYS[1], DAYS[3]]].tolist()
    )
    assert found["duplicate_share"].max() > 0.1


@pytest.mark.parametrize(
    ("values", "counts", "witness"),
    [
        ("countries", "country_rows", lambda day: day["country"]),
        ("product_patterns", "product_pattern_rows", lambda day: day["product_id"].map(pattern, na_action="ignore")),
    ],
)
def test_values_and_their_rows_are_those_of_pandas_the_most_frequent_first(found, known, values, counts, witness):
    for day in (DAYS[0], DAYS[1], DAYS[3]):
        expected = witness(known[known["date"] == day]).value_counts()
        listed = dict(zip(found.loc[day, values], found.loc[day, counts], strict=True))
        assert listed == expected.to_dict()
        assert {type(rows) for rows in listed.values()} == {int}  # a decimal would be text in the note of the day
        assert list(listed.items()) == sorted(listed.items(), key=lambda each: (-each[1], each[0]))


def pattern(product_id: str) -> str:
    return "".join("9" if sign.isdigit() else "A" if sign.isalpha() else sign for sign in product_id)


def test_there_is_one_row_for_each_day_asked_for(found):
    assert found.index.tolist() == DAYS


def test_a_day_without_rows_has_zeros_and_nothing_to_divide(found):
    day = found.loc[EMPTY].drop("date")
    counts = [
        "rows",
        "files",
        "orders",
        "orders_of_customers",
        "customers",
        "products",
        "broken_rows",
        "copies",
        "repeated_keys",
    ]
    assert day[counts].tolist() == [0] * len(counts)
    assert day.drop(counts).isna().all()


def test_a_profile_has_its_declared_columns_in_their_types(raw_rows, shop):
    found = raw.measured(raw_rows({}), DAYS, shop()).schema()
    expected = {"date": "date"} | {column.name: column.type for column in raw.COLUMNS}
    assert (
        found == schema.Table("profile", tuple(schema.Column(*each, "") for each in expected.items()), ()).ibis_schema
    )


# --- hand-made --------------------------------------------------------------------------------------------------------


def test_three_equal_rows_are_two_copies_wherever_they_come_from(profile):
    day = profile({}, {"source_file": "b.csv"}, {"source_row": 90}, {"description": "WHITE HEART"}).iloc[0]
    assert day["duplicate_share"] == 2 / 4


def test_rows_that_differ_in_a_blank_the_broken_line_or_the_day_are_no_copies(profile):
    found = profile(
        {}, {"country": "United Kingdom "}, {"broken_line": "1;2"}, {"country": None}, {"date": DAYS[1]}, days=DAYS
    )
    assert found["duplicate_share"].dropna().tolist() == [0, 0]


def test_one_row_number_in_two_files_is_no_repeated_key(profile):
    rows = ({"source_row": 1}, {"source_row": 1, "source_file": "b.csv"}, {"source_row": 2})
    assert profile(*rows).iloc[0]["repeated_keys"] == 0
    assert profile(*rows, {"source_row": 2}, {"source_row": 2}).iloc[0]["repeated_keys"] == 2


def test_the_shop_says_which_words_mean_nothing(profile):
    found = profile({"customer_id": "-"}, {"customer_id": " - "}, {"customer_id": "NULL"}, {"customer_id": None},
                    cleaning=Cleaning(null_tokens=("-",))).iloc[0]  # fmt: skip
    assert found["guest_share"] == 3 / 4
    assert found["customers"] == 1


def test_orders_of_guests_are_not_counted_per_customer(profile):
    found = profile({"invoice_id": "1"}, {"invoice_id": "2"}, {"invoice_id": "3", "customer_id": None}).iloc[0]
    assert found["orders_per_customer"] == 2
    assert profile({"customer_id": None}).iloc[0].isna()["orders_per_customer"]


def test_columns_that_the_source_does_not_have_are_missing_throughout(profile):
    unmapped = dict.fromkeys(("country", "product_id", "invoice_id", "quantity", "description"))
    mapped = {name: name for name in ("customer_id", "invoiced_at", "unit_price")}
    day = profile(unmapped, unmapped | {"customer_id": "1"}, columns=mapped).iloc[0]
    missing = [f"missing_{name}_share" for name in ("country", "product_id", "invoice_id", "quantity")]
    assert day[missing].tolist() == [1] * 4
    assert day[["rows", "customers", "orders", "products"]].tolist() == [2, 2, 0, 0]
    assert (
        day[["lines_per_order", "countries", "country_rows", "product_patterns", "product_pattern_rows"]].isna().all()
    )


def test_a_price_is_missing_where_the_mapped_column_has_none(profile):
    rows = ({"amount": "5", "unit_price": None}, {"amount": "NULL", "unit_price": "5"}, {"amount": None})
    totals = {name: name for name in ("customer_id", "invoiced_at", "amount")}
    assert profile(*rows, columns=totals).iloc[0]["missing_price_share"] == pytest.approx(2 / 3)
    assert profile(*rows).iloc[0]["missing_price_share"] == pytest.approx(1 / 3)


def test_the_fifty_values_with_most_rows_are_kept(profile):
    rows = [{"country": f"land {number:02}"} for number in range(52)] + [{"country": "land 51"}] * 2
    day = profile(*rows).iloc[0]
    assert list(day["countries"]) == ["land 51", *(f"land {number:02}" for number in range(49))]
    assert list(day["country_rows"]) == [3, *[1] * 49]
