"""Publishing into PostgreSQL: what stands in the tables after nights, repetitions, corrections and days out of order."""

import itertools
import os
import random
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from decimal import Decimal

import psycopg
import pytest

from segmentation_tests.integration.published import (
    MONDAY,
    NAMES,
    THURSDAY,
    TUESDAY,
    VARIABLE,
    WEDNESDAY,
    content,
    publish,
    publisher,
    rows,
    told,
)

NUMBERS = itertools.count()


@pytest.fixture(autouse=True)
def url(database_url, monkeypatch) -> str:
    monkeypatch.setenv(VARIABLE, database_url)
    return database_url


@pytest.fixture
def schema() -> str:
    """A schema of the test's own; it is not there yet."""
    return f"shop_{next(NUMBERS)}"


def test_what_the_databases_usual_isolation_is_does_not_matter(url, schema):
    with psycopg.connect(url, autocommit=True) as owner:
        name = owner.info.dbname
        owner.execute(f"ALTER DATABASE {name} SET default_transaction_isolation TO 'repeatable read'")
    try:
        assert publish(schema, MONDAY, {"ann": 1}).outcome == "published"
        assert publish(schema, TUESDAY, {"ann": 2}).outcome == "published"
    finally:
        with psycopg.connect(url, autocommit=True) as owner:
            owner.execute(f"ALTER DATABASE {name} RESET default_transaction_isolation")


def test_a_first_day_makes_the_tables_and_tells_everyone_as_new(url, schema):
    done = publish(schema, MONDAY, {"ann": 1, "bob": 0})
    assert (done.outcome, done.latest, done.customers, done.model_version, done.touched_rows) == (
        "published",
        None,
        2,
        1,
        4,
    )
    assert done.counts == {"new": 2, "moved": 0, "renamed": 0, "gone": 0, "returned": 0}
    ann, bob = rows(url, schema, "published_segments")
    assert ann == {
        "customer_id": "ann",
        "segment_id": 1,
        "segment": "Best",
        "recency_score": 5,
        "frequency_score": 5,
        "monetary_score": 5,
        "rfm_group": "Loyal",
        "frequency": 1,
        "monetary": Decimal("10.5000"),
        "last_order_date": date(2025, 7, 1),
        "model_version": 1,
        "changed_on": MONDAY,
    }
    assert (bob["segment"], bob["recency_score"], bob["last_order_date"]) == ("Net zero", None, None)
    assert told(url, schema) == [(MONDAY, "ann", "new", None, "Best"), (MONDAY, "bob", "new", None, "Net zero")]


def test_every_column_says_in_the_database_what_it_holds(url, schema):
    publish(schema, MONDAY, {"ann": 1})
    with psycopg.connect(url) as connection:
        described = connection.execute(
            "SELECT c.relname, a.attname, col_description(c.oid, a.attnum) FROM pg_attribute a JOIN pg_class c ON c.oid = "
            "attrelid WHERE relnamespace = %s::regnamespace AND relkind = 'r' AND attnum > 0",
            [schema],
        ).fetchall()
    assert len(described) == 26
    assert all(text for _, _, text in described), described


def test_each_night_tells_only_who_changed(url, schema):
    publish(schema, MONDAY, {"ann": 1, "bob": 2, "eve": 2})
    done = publish(schema, TUESDAY, {"ann": 1, "bob": 1, "joe": 3}, run="run 2")
    assert done.counts == {"new": 1, "moved": 1, "renamed": 0, "gone": 1, "returned": 0}
    assert [row for row in told(url, schema) if row[0] == TUESDAY] == [
        (TUESDAY, "bob", "moved", "Rest", "Best"),
        (TUESDAY, "eve", "gone", "Rest", None),
        (TUESDAY, "joe", "new", None, "Third"),
    ]
    shown = {row["customer_id"]: (row["segment"], row["changed_on"]) for row in rows(url, schema, "published_segments")}
    assert shown == {"ann": ("Best", MONDAY), "bob": ("Best", TUESDAY), "joe": ("Third", TUESDAY)}
    noted = [
        (row["as_of"], row["customers"], row["changes"], row["run_id"]) for row in rows(url, schema, "publications")
    ]
    assert noted == [(MONDAY, 3, 3, "run 1"), (TUESDAY, 3, 3, "run 2")]


def test_a_night_touches_no_row_that_stays_the_same(url, schema):
    publish(schema, MONDAY, {"ann": 1, "bob": 2})
    before = content(url, schema)
    publish(schema, TUESDAY, {"ann": 1, "bob": 3})
    after = content(url, schema)
    assert after["published_segments"][0] == before["published_segments"][0]
    assert after["segment_changes"][:2] == before["segment_changes"]
    assert after["publications"][:1] == before["publications"]


def test_who_was_gone_returns_and_keeps_a_history(url, schema):
    publish(schema, MONDAY, {"ann": 1, "bob": 2})
    publish(schema, TUESDAY, {"bob": 2})
    publish(schema, WEDNESDAY, {"bob": 2})
    publish(schema, THURSDAY, {"ann": 3, "bob": 2})
    assert [row for row in told(url, schema) if row[1] == "ann"] == [
        (MONDAY, "ann", "new", None, "Best"),
        (TUESDAY, "ann", "gone", "Best", None),
        (THURSDAY, "ann", "returned", None, "Third"),
    ]
    history = [
        (row["customer_id"], row["segment"], row["valid_from"], row["valid_to"])
        for row in rows(url, schema, "segment_history")
    ]
    assert sorted(history, key=str) == sorted(
        [
            ("ann", "Best", MONDAY, TUESDAY),
            ("ann", "Third", THURSDAY, None),
            ("bob", "Rest", MONDAY, None),
        ],
        key=str,
    )


def test_current_segments_tells_the_day_and_the_days_since_the_last_order(url, schema):
    publish(schema, MONDAY, {"ann": 1, "bob": 0})
    publish(schema, TUESDAY, {"ann": 1, "bob": 0})
    ann, bob = rows(url, schema, "current_segments")
    assert (ann["as_of"], ann["customer_id"], ann["recency_days"], ann["changed_on"]) == (TUESDAY, "ann", 7, MONDAY)
    assert bob["recency_days"] is None


def test_a_segment_with_another_name_is_told_as_renamed(url, schema):
    publish(schema, MONDAY, {"ann": 1, "bob": 2})
    publish(schema, TUESDAY, {"ann": 1, "bob": 2}, version=2, names=NAMES | {1: "Champions"})
    assert told(url, schema)[2:] == [(TUESDAY, "ann", "renamed", "Best", "Champions")]
    assert {row["model_version"] for row in rows(url, schema, "published_segments")} == {2}


def test_the_same_snapshot_again_changes_nothing_at_all(url, schema):
    publish(schema, MONDAY, {"ann": 1, "bob": 2})
    publish(schema, TUESDAY, {"ann": 2, "joe": 3})
    before = content(url, schema)
    again = publish(schema, TUESDAY, {"ann": 2, "joe": 3}, run="another run")
    assert content(url, schema) == before
    assert again.touched_rows == 0
    assert again.counts == {"new": 1, "moved": 1, "renamed": 0, "gone": 1, "returned": 0}


def test_the_latest_day_computed_anew_corrects_what_was_said_of_it(url, schema):
    publish(schema, MONDAY, {"ann": 1, "bob": 2, "eve": 3, "joe": 1, "kim": 1})
    publish(schema, TUESDAY, {"ann": 2, "bob": 2, "joe": 1, "tom": 3}, run="wrong")
    done = publish(schema, TUESDAY, {"ann": 1, "bob": 3, "eve": 3, "joe": 1, "kim": 2}, run="right")
    assert done.counts == {"new": 0, "moved": 2, "renamed": 0, "gone": 0, "returned": 0}
    assert [row for row in told(url, schema) if row[0] == TUESDAY] == [
        (TUESDAY, "bob", "moved", "Rest", "Third"),
        (TUESDAY, "kim", "moved", "Best", "Rest"),
    ]
    latest = rows(url, schema, "publications")[-1]
    assert (latest["customers"], latest["changes"], latest["run_id"]) == (5, 2, "right")
    assert [row["segment"] for row in rows(url, schema, "published_segments")] == [
        "Best",
        "Third",
        "Third",
        "Best",
        "Rest",
    ]


def test_an_earlier_day_than_the_latest_changes_nothing_and_says_so(url, schema):
    publish(schema, TUESDAY, {"ann": 1, "bob": 2})
    before = content(url, schema)
    done = publish(schema, MONDAY, {"ann": 3, "joe": 3})
    assert (done.outcome, done.latest, done.touched_rows) == ("superseded", TUESDAY, 0)
    assert content(url, schema) == before


def test_a_day_without_customers_is_published_too(url, schema):
    done = publish(schema, MONDAY, {})
    assert (done.customers, done.model_version) == (0, None)
    assert len(rows(url, schema, "publications")) == 1
    assert [row["as_of"] for row in rows(url, schema, "current_segments")] == []


def days_of_a_shop(seed: int, days: int) -> list[dict[str, int]]:
    """Segments of customers who come, move, go and come back."""
    pick = random.Random(seed)
    customers: dict[str, int] = {}
    found = []
    for _ in range(days):
        for number in range(40):
            draw = pick.random()
            if draw < 0.1:
                customers[f"c{number}"] = pick.randrange(4)
            elif draw < 0.13:
                customers.pop(f"c{number}", None)
        found.append(dict(customers))
    return found


def test_changes_played_back_in_order_give_the_segments_of_each_day(url, schema):
    days = days_of_a_shop(seed=3, days=12)
    for number, customers in enumerate(days):
        publish(schema, MONDAY + timedelta(days=number), customers)
    state: dict[str, str] = {}
    changes = told(url, schema)
    for number, customers in enumerate(days):
        for day, customer, change, before, after in changes:
            if day == MONDAY + timedelta(days=number):
                assert state.get(customer) == before, (day, customer, change)
                state[customer] = after
                if change == "gone":
                    del state[customer]
        assert state == {customer: NAMES[segment] for customer, segment in customers.items()}
    assert {change for _, _, change, _, _ in changes} == {"new", "moved", "gone", "returned"}


def test_repeated_and_late_publications_leave_what_one_pass_leaves(url, schema):
    days = days_of_a_shop(seed=4, days=8)
    for number, customers in enumerate(days):
        publish(schema, MONDAY + timedelta(days=number), customers)
    other = f"{schema}_again"
    for number, customers in enumerate(days):
        publish(other, MONDAY + timedelta(days=number), dict.fromkeys(customers, 1))  # put right by the next line
        publish(other, MONDAY + timedelta(days=number), customers)
        publish(other, MONDAY, days[0])
    assert told(url, other) == told(url, schema)
    columns = "customer_id, segment_id, segment, frequency, monetary, last_order_date, model_version"
    assert rows(url, other, "published_segments", columns) == rows(url, schema, "published_segments", columns)


def test_two_publishers_at_once_take_turns(url, schema):
    publish(schema, MONDAY, {"ann": 1, "bob": 2})
    customers = [f"c{number}" for number in range(2_000)]

    def work(segment: int) -> None:
        for _ in range(3):
            publish(schema, TUESDAY, dict.fromkeys(customers, segment), f"run {segment}")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, (1, 2)))
    shown = rows(url, schema, "published_segments")
    changes = [row for row in told(url, schema) if row[0] == TUESDAY]
    assert (len(shown), len(changes)) == (2_000, 2_002)
    (segment,) = {row["segment"] for row in shown}
    assert {row[4] for row in changes} == {None, segment}


def test_two_first_publishers_at_once_make_the_tables_once(url, schema):
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda day: publish(schema, day, {"ann": 1}), (MONDAY, MONDAY, TUESDAY)))
    assert [row["segment"] for row in rows(url, schema, "published_segments")] == ["Best"]


def test_ids_that_look_like_sql_are_only_ids(url, schema):
    ids = ["'; DROP TABLE published_segments; --", '"', "$1", "%s", "é€🙂", " "]
    publish(schema, MONDAY, dict.fromkeys(ids, 1))
    assert {row["customer_id"] for row in rows(url, schema, "published_segments")} == set(ids)
    assert publisher(schema).forget([ids[0]]) == {"published_segments": 1, "segment_changes": 1}


def test_forgetting_deletes_every_row_about_a_customer(url, schema):
    publish(schema, MONDAY, {"ann": 1, "bob": 2, "eve": 3})
    publish(schema, TUESDAY, {"ann": 2, "bob": 2, "eve": 3})
    publish(schema, WEDNESDAY, {"ann": 2, "bob": 2})
    assert publisher(schema).forget(["ann", "eve", "nobody"]) == {"published_segments": 1, "segment_changes": 4}
    for table in ("published_segments", "segment_changes", "segment_history", "current_segments"):
        assert {row["customer_id"] for row in rows(url, schema, table)} == {"bob"}
    assert publish(schema, THURSDAY, {"bob": 2}).touched_rows == 0


def test_forgetting_where_nothing_was_published_finds_nobody(schema):
    assert publisher(schema).forget(["ann"]) == {"published_segments": 0, "segment_changes": 0}


def test_the_address_stands_in_the_environment_alone(schema):
    assert os.environ[VARIABLE] not in repr(vars(publisher(schema)))
