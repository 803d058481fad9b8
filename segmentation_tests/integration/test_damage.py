"""Fourteen kinds of damage to Online Retail, each to a day of its own: the check that is meant for it catches it on that day."""

import shutil
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
import yaml

from segmentation_pipeline.build import build_definitions
from segmentation_pipeline.opening import build_resources
from segmentation_pipeline.settings import load
from segmentation_tests.conftest import ONLINE_RETAIL_YAML
from segmentation_tests.integration.damage import DAMAGES
from segmentation_tests.integration.live_shop import QUIET

CLEANED = ["raw_transactions", "clean_transactions", "quarantined_transactions"]
FIRST, LAST = date(2011, 5, 1), date(2011, 9, 9)
UNUSUAL = (date(2011, 8, 29), date(2011, 8, 30))  # a bank holiday, and the day after it with its many guests
WEEKDAYS = [day.date() for day in pd.bdate_range("2011-08-01", LAST) if day.date() not in UNUSUAL]
HARMED = dict(zip(DAMAGES, WEEKDAYS[-len(DAMAGES) :], strict=True))


class Retailer:
    """Four months of Online Retail, delivered as one file a day."""

    def __init__(self, folder: Path, source: Path) -> None:
        rows = pd.read_parquet(source)
        rows = rows[rows["InvoiceDate"].between(pd.Timestamp(FIRST), pd.Timestamp(LAST) + pd.Timedelta(days=1))]
        (folder / "landing").mkdir()
        for day, of_day in rows.groupby(rows["InvoiceDate"].dt.date):
            of_day.to_parquet(folder / "landing" / f"{day}.parquet")
        content = yaml.safe_load(ONLINE_RETAIL_YAML.read_text())
        content["source"] |= {"path": "landing/*.parquet", "settle_seconds": 0}
        content |= {"start_date": FIRST, "end_date": LAST, "lake": "lake", "reports": "reports"}
        self.config = folder / "shop.yaml"
        self.config.write_text(yaml.safe_dump(content))
        self.landing, self.lake = folder / "landing", folder / "lake"

    def run(self, first: date, assets: list[str]) -> bool:
        """Whether a run of these assets from a day to the last one succeeded."""
        settings = load(self.config)
        definitions = build_definitions(settings, build_resources(settings))
        days = {"dagster/asset_partition_range_start": str(first), "dagster/asset_partition_range_end": str(LAST)}
        with dg.DagsterInstance.ephemeral() as instance:
            done = definitions.resolve_job_def("nightly_refresh").execute_in_process(
                instance=instance,
                run_config=QUIET,
                raise_on_error=False,
                asset_selection=[dg.AssetKey(asset) for asset in assets],
                tags=days,
            )
        return done.success

    def run_both_stages(self) -> None:
        """Of the harmed days; cleaning goes on with what stands in the lake of days whose raw rows are held back."""
        first = min(HARMED.values())
        self.run(first, CLEANED[:1])
        self.run(first, CLEANED[1:])

    def failed(self) -> pd.DataFrame:
        """Checks that failed when they were last evaluated, of the days to harm."""
        found = build_resources(load(self.config))["ledger"].failures(min(HARMED.values()), LAST)
        days = found["date"].dt.date
        return found.assign(date=days)[days.isin(HARMED.values())]

    def files(self, day: date) -> dict[str, bytes]:
        return {asset: (self.lake / asset / f"date={day}" / "part-0.parquet").read_bytes() for asset in CLEANED}


@dataclass(frozen=True)
class Harmed:
    """A retailer before and after its days were delivered damaged."""

    retailer: Retailer
    failed_before: pd.DataFrame
    failed: pd.DataFrame
    before: dict[date, dict[str, bytes]]


@pytest.fixture(scope="module")
def harmed(tmp_path_factory: pytest.TempPathFactory, online_retail: Path) -> Harmed:
    """A retailer whose days are all in the lake, undamaged, and were then delivered again, each damaged in its own way."""
    folder = tmp_path_factory.mktemp("retailer")
    retailer = Retailer(folder, online_retail)
    assert retailer.run(FIRST, CLEANED)
    failed_before = retailer.failed()
    before = {day: retailer.files(day) for day in HARMED.values()}
    shutil.copytree(retailer.landing, folder / "whole")
    for kind, day in HARMED.items():
        file = retailer.landing / f"{day}.parquet"
        DAMAGES[kind].harm(pd.read_parquet(file)).to_parquet(file)
    retailer.run_both_stages()
    return Harmed(retailer, failed_before, retailer.failed(), before)


def test_undamaged_days_stay_green(harmed):
    assert harmed.failed_before.empty


@pytest.mark.parametrize("kind", DAMAGES)
def test_damage_is_caught_on_its_day_by_its_own_check_and_by_no_unrelated_critical_one(harmed, kind):
    damage, day = DAMAGES[kind], HARMED[kind]
    of_day = harmed.failed[harmed.failed["date"] == day]
    severities = dict(zip(of_day["stage"] + "." + of_day["expectation"], of_day["severity"], strict=True))
    own = f"{damage.stage}.{damage.check}"
    assert severities[own] == damage.severity
    assert {name for name, severity in severities.items() if severity == "critical"} <= {own}
    stands, stood = harmed.retailer.files(day), harmed.before[day]
    of_stage = CLEANED[:1] if damage.stage == CLEANED[0] else CLEANED[1:]
    for asset in of_stage:
        assert (stands[asset] == stood[asset]) == (damage.severity == "critical"), asset


def test_after_the_source_is_mended_the_next_run_is_green(harmed):
    shutil.rmtree(harmed.retailer.landing)
    shutil.copytree(harmed.retailer.landing.with_name("whole"), harmed.retailer.landing)
    harmed.retailer.run_both_stages()
    assert harmed.retailer.failed().empty
    assert {day: harmed.retailer.files(day) for day in harmed.before} == harmed.before
