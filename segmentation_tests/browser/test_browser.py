"""What a data engineer and a marketer see: the real UI and the report, in Chromium, by clicking.

The webserver, its daemon and its code server are those of `segmentation ui`. All tests share one shop; each has days of
its own, so they may come in any order. The backfill is launched first and looked at last: the daemon needs a minute.
"""

import re
from collections.abc import Iterator, Mapping

import dagster as dg
import pandas as pd
import pytest
from PIL import Image
from playwright.sync_api import Browser, FloatRect, Locator, Page, expect

from segmentation_pipeline.build import build_definitions
from segmentation_pipeline.checks.suites import suites
from segmentation_pipeline.reporting.captions import CAPTIONS
from segmentation_tests.browser.conftest import BACKFILLED, BY_HAND, COMPUTED, TWICE, Shop, keep, window
from segmentation_tests.browser.server import until

# A run waits in the queue for the one before it, and two tests at a time share a small machine.
LONGEST_RUN_MS, LONGEST_BACKFILL_MS = 240_000, 300_000
JOB = "/locations/segmentation_pipeline/jobs/nightly_refresh"

# The graph draws a group's frame and an asset's box as foreign objects; all are read at once, for the graph may be moving.
BOXES = """
() => [...document.querySelectorAll('svg foreignObject')].filter(each => each.textContent.trim()).map(each => {
  const {x, y, width, height} = each.getBoundingClientRect()
  return {name: each.textContent.trim(), is_group: each.classList.contains('group'), x, y, width, height}
})"""
PALE = "[style*='--minimal-bg: var(--color-background-light)']"  # boxes whose state has not come yet
MARGIN, COLOURS_SECONDS = 20, 10


@pytest.fixture(scope="module")
def definitions(shop: Shop) -> dg.Definitions:
    return build_definitions(shop.settings)


@pytest.fixture(scope="module")
def backfill(browser: Browser, shop: Shop) -> Iterator[str]:
    """Where the UI shows the backfill that was launched in it."""
    with window(browser, shop) as page:
        page.goto(JOB)
        dialog = choose(page, f"[{BACKFILLED[0]}...{BACKFILLED[-1]}]")
        expect(dialog.get_by_text(f"{len(BACKFILLED)} partitions", exact=True)).to_be_visible()
        keep(page, "backfill_dialog")
        dialog.get_by_role("button", name="Launch backfill").click()
        told = page.get_by_text(re.compile(r"^Created backfill \w+$"))
        yield f"/runs/b/{told.inner_text().split()[-1]}"


def choose(page: Page, days: str) -> Locator:
    """Click Materialize, and choose days in the dialog that opens."""
    page.get_by_role("button", name=re.compile("Materialize")).first.click()
    dialog = page.get_by_role("dialog")
    asked = dialog.get_by_placeholder("ex: ")
    asked.fill(days)
    asked.press("Enter")
    return dialog


def materialize(page: Page, asset: str, day: str) -> None:
    """Materialize one day of an asset by clicking, and follow the link to its run: it is gone after some seconds."""
    page.goto(f"/assets/{asset}")
    choose(page, day).get_by_role("button", name="Launch 1 run").click()
    page.goto(page.get_by_role("link", name="View", exact=True).get_attribute("href") or "")


def partition(page: Page, asset: str, day: str) -> None:
    """The details of one day of an asset."""
    page.goto(f"/assets/{asset}")
    page.get_by_role("tab", name="Partitions").click()
    page.get_by_text(day, exact=True).first.click()
    expect(page.get_by_text("Latest materialization")).to_be_visible()


def metadata(page: Page, label: str) -> Locator:
    """The row of a metadata entry."""
    return page.get_by_role("row").filter(has=page.get_by_text(label, exact=True))


def is_drawn(image: Locator) -> bool:
    """Whether an image has loaded and is of a size that can be read."""
    return bool(image.evaluate("each => each.complete && each.naturalWidth > 200 && each.naturalHeight > 100"))


def inside(inner: Mapping[str, float], outer: Mapping[str, float]) -> bool:
    x, y = inner["x"] + inner["width"] / 2, inner["y"] + inner["height"] / 2
    return outer["x"] < x < outer["x"] + outer["width"] and outer["y"] < y < outer["y"] + outer["height"]


def is_shortened(shown: str, name: str) -> bool:
    """Whether a label of the graph stands for a name: the whole of it, or both ends of it around an ellipsis."""
    return re.fullmatch(".+".join(map(re.escape, shown.split("…"))), name) is not None


def around(boxes: list[Mapping[str, float]]) -> FloatRect:
    """The part of a page that holds the boxes."""
    left, top = (min(box[side] for box in boxes) - MARGIN for side in ("x", "y"))
    right = max(box["x"] + box["width"] for box in boxes) + MARGIN
    bottom = max(box["y"] + box["height"] for box in boxes) + MARGIN
    return {"x": left, "y": top, "width": right - left, "height": bottom - top}


def test_a_backfill_of_several_days_is_launched_by_clicking(backfill, page):
    page.goto(backfill)
    expect(page.get_by_text("nightly_refresh", exact=True)).to_be_visible()
    expect(page.get_by_text(f"{len(BACKFILLED)} partitions")).to_be_visible()


def test_the_lineage_graph_shows_every_asset_in_its_group(page, definitions):
    groups = {spec.key.to_user_string(): spec.group_name for spec in definitions.resolve_all_asset_specs()}
    page.set_viewport_size({"width": 3000, "height": 2000})
    page.goto("/asset-groups")
    drawn = page.locator("svg foreignObject").filter(has_text=re.compile(r"\w"))
    expect(drawn).to_have_count(len(set(groups.values())))
    page.keyboard.press("Alt+E")  # expand all groups
    expect(drawn).to_have_count(len(set(groups.values())) + len(groups))
    boxes = page.evaluate(BOXES)
    frames = {box["name"]: box for box in boxes if box["is_group"]}
    assets = [box for box in boxes if not box["is_group"]]
    assert set(frames) == set(groups.values())
    for asset, group in groups.items():
        (found,) = [box for box in assets if is_shortened(box["name"], asset)]
        assert [name for name, frame in frames.items() if inside(found, frame)] == [group], asset
    until(lambda: page.locator(PALE).count() == 0, COLOURS_SECONDS)  # for the picture alone
    keep(page, "lineage", clip=around(page.evaluate(BOXES)))


def test_a_day_materialized_by_clicking_turns_green(page):
    materialize(page, "raw_transactions", BY_HAND)
    expect(page.get_by_text("Success", exact=True).first).to_be_visible(timeout=LONGEST_RUN_MS)
    keep(page, "run_of_one_day")
    run = page.url.rpartition("/")[2]
    partition(page, "raw_transactions", BY_HAND)
    expect(page.get_by_text("Materialized", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name=run[:8])).to_be_visible()


def test_a_figure_is_seen_in_the_metadata_of_the_report(page, shop):
    partition(page, "segment_report", COMPUTED)
    for slug in CAPTIONS:
        expect(metadata(page, slug).get_by_text("Show Markdown")).to_be_visible()
    metadata(page, "segment_sizes").get_by_text("Show Markdown").click()
    image = page.get_by_role("dialog").get_by_role("img").and_(page.locator("img"))
    expect(image).to_be_visible()
    assert is_drawn(image)
    with Image.open(shop.report.with_name("segment_sizes.png")) as whole:
        proportions = image.evaluate("each => each.naturalWidth / each.naturalHeight")
        assert proportions == pytest.approx(whole.width / whole.height, rel=0.02)


def test_a_failed_check_shows_its_day_and_its_remedy(page, shop):
    (expected,) = [each for each in suites(shop.settings)["raw_transactions"] if each.name == "duplicates_are_few"]
    materialize(page, "raw_transactions", TWICE)
    expect(page.get_by_text("Failure", exact=True).first).to_be_visible(timeout=LONGEST_RUN_MS)
    keep(page, "run_of_a_bad_day")
    page.goto("/assets/raw_transactions")
    page.get_by_role("tab", name="Checks").click()
    page.get_by_text("duplicates_are_few", exact=True).first.click()
    expect(page.get_by_text("Failed", exact=True).last).to_be_visible()
    expect(page.get_by_text(re.compile(f"does not hold on {TWICE}.*{re.escape(expected.remedy)}"))).to_be_visible()
    expect(page.get_by_text("This is a blocking asset check")).to_be_visible()
    expect(metadata(page, "remedy")).to_contain_text(expected.remedy)
    keep(page, "failing_check")
    metadata(page, "failing_days").get_by_text("Show Markdown").click()
    expect(page.get_by_role("dialog").get_by_role("row").filter(has_text=TWICE)).to_contain_text("source_row")


def test_the_report_has_its_figures_and_the_segments_of_the_lake(page, shop):
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.goto(shop.report.as_uri())
    keep(page, "report")
    for figure in page.locator("figure").all():
        figure.scroll_into_view_if_needed()
        assert is_drawn(figure.locator("img")), figure.get_attribute("id")
    assert [figure.get_attribute("id") for figure in page.locator("figure").all()] == list(CAPTIONS)
    profiles = pd.read_parquet(shop.lake / "segment_profiles" / f"date={COMPUTED}" / "part-0.parquet")
    rows = page.locator("table.segments tbody tr")
    shown = {
        row.get_by_role("rowheader").inner_text(): row.get_by_role("cell").first.inner_text() for row in rows.all()
    }
    assert {name: text.split()[0] for name, text in shown.items()} == {
        name: f"{customers:,}" for name, customers in zip(profiles["segment"], profiles["customers"], strict=True)
    }
    assert not problems
    page.locator("#segment_scatter").scroll_into_view_if_needed()


def test_the_backfill_of_several_days_is_one_run_and_completes(backfill, page, shop, definitions):
    page.goto(backfill)
    succeeded = page.get_by_text("Succeeded", exact=True)  # the backfill, and the head of a column
    expect(succeeded).to_have_count(2, timeout=LONGEST_BACKFILL_MS)
    expect(page.get_by_text("100% completed")).to_be_visible()
    keep(page, "backfill")
    page.get_by_role("tab", name="Runs").click()
    expect(page.locator("a[href^='/runs/']").filter(has_text=re.compile("^[0-9a-f]{8}$"))).to_have_count(1)
    expect(page.get_by_text("Success", exact=True)).to_be_visible()
    for asset in ("raw_transactions", "rfm_features", "customer_segments", "segment_profiles"):
        assert {day for day in BACKFILLED if (shop.lake / asset / f"date={day}").exists()} == set(BACKFILLED)


def test_schedules_and_sensors_are_on_or_can_be_turned_on(page, definitions):
    repository = definitions.get_repository_def()
    automations = [*repository.schedule_defs, *repository.sensor_defs]
    page.goto("/automation")
    listed = page.locator("[data-index]").filter(has=page.get_by_role("link"))
    expect(listed).to_have_count(len(automations))
    for automation in automations:
        turn_on(listed.filter(has=page.get_by_text(automation.name, exact=True)))
    page.reload()
    for automation in automations:
        expect(switch(listed.filter(has=page.get_by_text(automation.name, exact=True)))).to_be_checked()


def switch(automation: Locator) -> Locator:
    """What turns a schedule or a sensor on and off; the checkbox before it selects the line."""
    return automation.get_by_role("checkbox").nth(1)


def turn_on(automation: Locator) -> None:
    if not switch(automation).is_checked():
        switch(automation).locator("xpath=..").click()
    expect(switch(automation)).to_be_checked()
