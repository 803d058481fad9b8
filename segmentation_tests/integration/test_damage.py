"""Fourteen kinds of damage to a day of Online Retail: each is caught on its day, by the check that is meant for it."""

from collections.abc import Iterator
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

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
CLEANED = ["raw_transactions", "clean_transactions", "quarantined_transactions"]
FIRST, LAST, HARMED = date(2011, 5, 1), date(2011, 9, 9), date(2011, 9, 6)


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
        self.file = folder / "landing" / f"{HARMED}.parquet"
        self.lake = folder / "lake"

    def run(self, **when: object) -> dg.ExecuteInProcessResult:
        settings = load(self.config)
        definitions = build_definitions(settings, build_resources(settings))
        with dg.DagsterInstance.ephemeral() as instance:
            return definitions.resolve_job_def("nightly_refresh").execute_in_process(
                instance=instance,
                run_config=QUIET,
                raise_on_error=False,
                asset_selection=[dg.AssetKey(asset) for asset in CLEANED],
                **when,
            )


@pytest.fixture(scope="module")
def retailer(tmp_path_factory: pytest.TempPathFactory, online_retail: Path) -> Iterator[Retailer]:
    """A retailer whose days are all in the lake, undamaged."""
    retailer = Retailer(tmp_path_factory.mktemp("retailer"), online_retail)
    tags = {"dagster/asset_partition_range_start": str(FIRST), "dagster/asset_partition_range_end": str(LAST)}
    assert retailer.run(tags=tags).success
    return retailer


def failed(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str], dg.AssetCheckEvaluation]:
    return {
        (each.asset_key.path[-1], each.check_name): each
        for each in result.get_asset_check_evaluations()
        if not each.passed
    }


def test_an_undamaged_day_stays_green(retailer):
    result = retailer.run(partition_key=str(HARMED))
    assert result.success
    assert failed(result) == {}


@pytest.mark.parametrize("kind", DAMAGES)
def test_damage_is_caught_on_its_day_by_its_own_check_and_by_no_unrelated_critical_one(retailer, kind):
    damage = DAMAGES[kind]
    whole = retailer.file.read_bytes()
    kept = {file: file.read_bytes() for file in retailer.lake.rglob(f"date={HARMED}/part-0.parquet")}
    damage.harm(pd.read_parquet(retailer.file)).to_parquet(retailer.file)
    try:
        result = retailer.run(partition_key=str(HARMED))
    finally:
        retailer.file.write_bytes(whole)
    found = failed(result)
    caught = found[damage.stage, damage.check]
    assert str(HARMED) in caught.description
    assert str(HARMED) in caught.metadata["failing_days"].value
    critical = {name for name, each in found.items() if each.severity == dg.AssetCheckSeverity.ERROR}
    if damage.severity == "critical":
        assert critical == {(damage.stage, damage.check)}
        assert not result.success
        of_stage = [file for file in kept if damage.stage in file.parts]
        assert all(file.read_bytes() == kept[file] for file in of_stage)
    else:
        assert critical == set()
        assert result.success


def test_after_the_source_is_mended_the_next_run_is_green(retailer):
    assert retailer.run(partition_key=str(HARMED)).success
