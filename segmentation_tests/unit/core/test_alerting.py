"""What alerts say, and which days' segments are due when."""

import json
import re
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import get_args
from zoneinfo import ZoneInfo

import pytest

from segmentation_pipeline.core.alerting import LONGEST_TEXT, Alert, FailedRun, Failure, Kind, days_due, of_failed_run
from segmentation_pipeline.settings import Settings
from segmentation_tests.conftest import PROJECT

LONDON = ZoneInfo("Europe/London")
NOON = datetime(2025, 7, 17, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def live() -> Settings:
    columns = {"customer_id": "Customer", "invoiced_at": "When", "amount": "Total"}
    source = {"path": "landing/*.csv", "columns": columns}
    schedule = {"deadline_hours": 6}
    return Settings(source=source, start_date="2025-03-01", timezone="Europe/London", schedule=schedule)


def test_each_day_is_due_once_however_the_looks_are_spaced(live):
    start = datetime(2025, 3, 20, tzinfo=UTC)
    looks = [start + timedelta(hours=7 * number) for number in range(60)]
    in_steps = [each for after, until in pairwise(looks) for each in days_due(live, after, until)]
    assert in_steps == list(days_due(live, looks[0], looks[-1]))
    days = [day for day, _due in in_steps]
    assert days == [days[0] + timedelta(days=number) for number in range(len(days))]
    assert len(days) == 17


def test_segments_are_due_hours_that_pass_after_the_night_even_when_the_clocks_change(live):
    """London goes forward at 01:00 UTC on 30 March 2025 and back at 01:00 UTC on 26 October."""
    due = dict(days_due(live, datetime(2025, 3, 28, 12, tzinfo=UTC), datetime(2025, 3, 31, 12, tzinfo=UTC)))
    assert due == {
        date(2025, 3, 28): datetime(2025, 3, 29, 9, tzinfo=UTC),
        date(2025, 3, 29): datetime(2025, 3, 30, 8, tzinfo=UTC),
        date(2025, 3, 30): datetime(2025, 3, 31, 8, tzinfo=UTC),
    }


def test_no_day_before_the_first_is_due(live):
    until = datetime(2025, 3, 3, 12, tzinfo=LONDON)
    assert [day for day, _due in days_due(live, until - timedelta(days=30), until)] == [
        date(2025, 3, 1),
        date(2025, 3, 2),
    ]


def test_a_run_with_closed_gates_and_other_failures_is_one_alert_for_each_gate_and_one_for_the_rest():
    failures = [
        Failure("of gate a", "clean_transactions", "2025-07-16"),
        Failure("of load", "customer_orders"),
        Failure("of gate b", "rfm_features", "2025-07-16"),
        Failure("of another", "customer_returns"),
    ]
    alerts = list(of_failed_run(FailedRun("r1", "The run of nightly_refresh", "2025-07-16", NOON, failures)))
    assert [(each.kind, each.asset) for each in alerts] == [
        ("failed_gate", "clean_transactions"),
        ("failed_gate", "rfm_features"),
        ("failed_run", "customer_orders"),
    ]
    assert "Other steps failed too: customer_returns." in alerts[-1].text
    assert len({each.id for each in alerts}) == 3


def test_a_long_text_is_cut_and_what_cannot_be_linked_has_no_link():
    message = Alert("failed_run", "failed_run-r1", "It failed", "x" * 10_000, NOON).payload("Shop", "http://ui")
    assert len(message["text"]) < LONGEST_TEXT + 100
    assert message["url"] is None


def test_the_documentation_shows_every_kind_with_the_keys_and_ids_that_are_sent():
    page = (PROJECT / "docs" / "alerts.md").read_text()
    shown = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]
    assert [each["kind"] for each in shown] == list(get_args(Kind))
    sent = Alert("failed_run", "failed_run-r1", "It failed", "Why", NOON).payload("Shop", None)
    for each in shown:
        assert list(each) == list(sent)
        assert each["id"].startswith(f"{each['kind']}-")
        assert each["text"].startswith(f"{each['shop']}: {each['title']}\n")
    described = re.findall(r"^\| `(\w+)` \| ", page.split("## The message")[1], re.MULTILINE)
    assert described == list(sent)
