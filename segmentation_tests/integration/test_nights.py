"""Nights: what the schedules request, by Dagster's own evaluation, on ordinary nights, missed ones and those of clock changes."""

import logging
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import dagster._daemon  # before the scheduler, which it imports in a ring
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, ScheduleInstigatorData
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget
from dagster._scheduler.scheduler import launch_scheduled_runs
from dagster._utils.schedules import schedule_execution_time_iterator

from segmentation_pipeline import instance, schedules
from segmentation_pipeline.settings import CONFIG_VARIABLE
from segmentation_tests.integration.live_shop import LiveShop, configure

LONDON = ZoneInfo("Europe/London")
SCHEDULE = "nightly_refresh_schedule"
DONE_UNTIL = 4  # days ago


@pytest.fixture(scope="module")
def yesterday() -> date:
    return datetime.now(LONDON).date() - timedelta(days=1)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, yesterday: date) -> Iterator[LiveShop]:
    """Eleven days up to yesterday, with segments of the one four days ago: three nights were missed."""
    file = configure(
        tmp_path_factory.mktemp("nights"), yesterday - timedelta(days=10), yesterday, schedule={"is_on": True}
    )
    with dg.DagsterInstance.ephemeral() as recorded:
        shop = LiveShop(file, recorded)
        last = yesterday - timedelta(days=DONE_UNTIL - 1)
        shop.ingested(shop.settings.start_date, last)
        shop.with_model(last)
        shop.snapshots([last])
        yield shop


def tick(shop: LiveShop, night: datetime, now: datetime | None = None) -> dg.RunRequest | str:
    """The evaluation of the tick that was due at `night`, taking place `now`."""
    schedule = schedules.nightly(shop.settings, now=lambda: now or night + timedelta(minutes=1))
    context = dg.build_schedule_context(
        shop.instance,
        scheduled_execution_time=night,
        resources={name: shop.resources[name] for name in ("lake", "models")},
    )
    found = schedule.evaluate_tick(context)
    return found.run_requests[0] if found.run_requests else found.skip_message


def night_after(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 3, tzinfo=LONDON) + timedelta(days=1)


def test_the_night_requests_the_day_that_has_ended_with_the_day_as_run_key(shop, yesterday):
    day = yesterday - timedelta(days=DONE_UNTIL - 2)
    request = tick(shop, night_after(day))
    assert (request.run_key, request.tags["dagster/partition"]) == (str(day), str(day))


def test_missed_nights_are_caught_up_with_in_one_range_run_of_the_last_one(shop, yesterday):
    now = night_after(yesterday) + timedelta(hours=2)
    missed = [yesterday - timedelta(days=back) for back in (2, 1)]
    assert [tick(shop, night_after(day), now) for day in missed] == [
        f"This night was missed. The last night's run catches up with {day}." for day in missed
    ]
    request = tick(shop, night_after(yesterday), now)
    first = yesterday - timedelta(days=DONE_UNTIL - 2)
    assert request.run_key == str(yesterday)
    assert request.tags["dagster/asset_partition_range_start"] == str(first)
    assert request.tags["dagster/asset_partition_range_end"] == str(yesterday)


def test_the_requested_range_leaves_segments_of_every_missed_day(shop, yesterday):
    request = tick(shop, night_after(yesterday), night_after(yesterday) + timedelta(hours=2))
    before = shop.lake.days("customer_segments")
    shop.started()
    done = shop.definitions.resolve_job_def("nightly_refresh").execute_in_process(
        instance=shop.instance,
        tags=request.tags,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    assert done.success
    expected = [yesterday - timedelta(days=back) for back in (2, 1, 0)]
    assert shop.lake.days("customer_segments") == [*before, *expected]
    assert tick(shop, night_after(yesterday + timedelta(days=1))).run_key == str(yesterday + timedelta(days=1))


def test_without_segments_of_an_earlier_day_the_night_says_what_to_do_first(tmp_path, yesterday):
    file = configure(tmp_path, yesterday - timedelta(days=2), yesterday)
    with dg.DagsterInstance.ephemeral() as recorded:
        told = tick(LiveShop(file, recorded), night_after(yesterday))
    assert told.startswith("There are no segments of an earlier day yet, or no model in force. `segmentation run`")


def test_a_night_outside_the_calendar_of_a_closed_data_set_is_passed_over_with_the_reason(shop, yesterday):
    end = yesterday - timedelta(days=5)
    closed = schedules.nightly(shop.settings.model_copy(update={"end_date": end}))
    told = tick_of(closed, shop, night_after(yesterday))
    assert told == f"{yesterday} is not between start_date {shop.settings.start_date} and end_date {end}."


@pytest.mark.parametrize(
    ("change", "hour", "expected"),
    [
        # The clock jumps from 1:00 to 2:00 on 30 March 2025, and back from 2:00 to 1:00 on 26 October.
        (date(2025, 3, 30), 3, ["2025-03-28", "2025-03-29", "2025-03-30"]),
        (date(2025, 3, 30), 1, ["2025-03-28", "2025-03-29", "2025-03-30"]),
        (date(2025, 10, 26), 1, ["2025-10-24", "2025-10-25", "2025-10-26"]),
        (date(2025, 10, 26), 3, ["2025-10-24", "2025-10-25", "2025-10-26"]),
    ],
)
def test_every_day_has_one_night_when_the_clocks_change(shop, change, hour, expected):
    schedule = shop.settings.schedule.model_copy(update={"hour": hour, "minute": 30})
    changed = shop.settings.model_copy(update={"schedule": schedule, "start_date": date(2025, 1, 1)})
    nightly = schedules.nightly(changed)
    start = datetime.combine(change - timedelta(days=1), datetime.min.time(), LONDON)
    times = schedule_execution_time_iterator(
        start.timestamp(), nightly.cron_schedule, nightly.execution_timezone, ascending=True
    )
    nights = [night for night, _number in zip(times, range(3), strict=False)]
    assert [str(night.astimezone(LONDON).date() - timedelta(days=1)) for night in nights] == expected
    passed_over = [tick_of(nightly, shop, night) for night in nights]  # long ago: each is a missed night of its own day
    assert passed_over == [f"This night was missed. The last night's run catches up with {day}." for day in expected]


def tick_of(schedule: dg.ScheduleDefinition, shop: LiveShop, night: datetime) -> str | None:
    context = dg.build_schedule_context(
        shop.instance,
        scheduled_execution_time=night,
        resources={name: shop.resources[name] for name in ("lake", "models")},
    )
    return schedule.evaluate_tick(context).skip_message


def test_the_segments_deadline_is_a_freshness_policy_of_a_live_feed_only(shop):
    policy = shop.definitions.resolve_asset_graph().get(dg.AssetKey("customer_segments")).freshness_policy
    assert (policy.deadline_cron, policy.timezone) == ("0 6 * * *", "Europe/London")
    closed = shop.settings.model_copy(update={"end_date": date(2025, 12, 31)})
    assert schedules.deadline(closed) is None


def test_the_refit_has_a_schedule_of_its_own_in_the_shops_zone(shop):
    refit = shop.definitions.resolve_schedule_def("refit_model_schedule")
    assert (refit.cron_schedule, refit.execution_timezone, refit.job_name) == (
        "30 5 1 * *",
        "Europe/London",
        "refit_model",
    )
    assert refit.default_status == dg.DefaultScheduleStatus.STOPPED


@pytest.fixture
def workspace(shop: LiveShop, tmp_path: Path) -> Iterator[WorkspaceProcessContext]:
    """An instance whose daemon was off since four nights ago, and a code server of its own."""
    (tmp_path / "dagster.yaml").write_text(instance.DAGSTER_YAML)
    target = ModuleTarget("segmentation_pipeline.definitions", None, None, "shop")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(CONFIG_VARIABLE, str(shop.file))
        environment.setenv(instance.INSTANCE_VARIABLE, str(tmp_path))
        with dg.DagsterInstance.get() as recorded, WorkspaceProcessContext(recorded, target) as opened:
            yield opened


def test_a_daemon_that_comes_back_after_three_nights_launches_one_run_and_coming_back_again_none(
    workspace, shop, yesterday
):
    (location,) = workspace.create_request_context().code_locations
    (repository,) = location.get_repositories().values()
    schedule = repository.get_schedule(SCHEDULE)
    now = datetime.now(UTC)
    off_since = (now - timedelta(days=3, hours=12)).timestamp()
    data = ScheduleInstigatorData(schedule.cron_schedule, start_timestamp=off_since)
    workspace.instance.add_instigator_state(
        InstigatorState(schedule.get_remote_origin(), InstigatorType.SCHEDULE, InstigatorStatus.RUNNING, data)
    )
    for _daemon in range(2):
        errors = [
            each
            for each in launch_scheduled_runs(workspace, logging.getLogger("daemon"), now, iteration_times={})
            if each
        ]
        assert not [error for error in errors if hasattr(error, "message")], errors
    (run,) = workspace.instance.get_runs()
    (tick,) = workspace.instance.get_ticks(schedule.get_remote_origin_id(), schedule.selector_id)
    night = datetime.fromtimestamp(tick.timestamp, LONDON)
    assert night_after(night.date() - timedelta(days=1)) == night
    assert run.tags["dagster/run_key"] == str(night.date() - timedelta(days=1))
    assert run.status == dg.DagsterRunStatus.QUEUED
