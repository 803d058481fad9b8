"""The drift sensor: a refit is requested when customers are no longer those that the model was fitted on."""

import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from segmentation_pipeline.planning import FEATURES
from segmentation_pipeline.sensors.drift import drift
from segmentation_tests.integration.live_shop import QUIET, LiveShop, configure

FIRST, FITTED, LAST = date(2025, 7, 1), date(2025, 7, 10), date(2025, 7, 24)
MEASURED = [*FEATURES, "customer_segments", "segment_drift"]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop with a model of the tenth day, and the drift of that day."""
    file = configure(tmp_path_factory.mktemp("drifting"), FIRST, LAST, drift={"min_customers": 10})
    with dg.DagsterInstance.ephemeral() as instance:
        shop = LiveShop(file, instance)
        shop.ingested(FIRST, LAST)
        shop.with_model(FITTED)
        shop.run(MEASURED, FITTED, FITTED)
    return file


@pytest.fixture
def shop(fitted: Path, tmp_path: Path) -> Iterator[LiveShop]:
    folder = shutil.copytree(fitted.parent, tmp_path / "shop")
    with dg.DagsterInstance.ephemeral() as instance:
        yield LiveShop(folder / "shop.yaml", instance)


def tick(shop: LiveShop) -> dg.RunRequest | str:
    context = dg.build_sensor_context(
        shop.instance, resources={name: shop.resources[name] for name in ("lake", "models")}
    )
    found = drift(shop.settings).evaluate_tick(context)
    return found.run_requests[0] if found.run_requests else found.skip_message


def psi(shop: LiveShop, day: date) -> pd.DataFrame:
    return pd.read_parquet(str(shop.lake.file("segment_drift", day)))


def test_customers_like_those_of_the_model_request_nothing(shop):
    assert psi(shop, FITTED)["psi"].max() < shop.settings.drift.act
    assert tick(shop) == f"On {FITTED} nothing has drifted beyond 0.25 from model version 1."


def test_drift_beyond_the_act_threshold_requests_a_refit_on_that_day_once_a_week(shop):
    later = [LAST - timedelta(days=1), LAST]
    for day in later:
        shop.run(MEASURED, day, day)
    found = psi(shop, LAST)
    drifted = sorted(found[found["psi"] > shop.settings.drift.act]["name"])
    assert drifted  # two more weeks of a young shop: tenure and recency are not what they were
    request = tick(shop)
    assert request.run_key == "version 1, week 2025-30"
    assert request.run_config == {"ops": {"k_diagnostics": {"config": {"as_of": str(LAST)}}}}
    assert request.tags["segmentation/because"] == f"drifted by {LAST}: {', '.join(drifted)}"

    refit = shop.definitions.resolve_job_def("refit_model")
    config = (
        request.run_config
        | QUIET
        | {"ops": {**request.run_config["ops"], "segmentation_model": {"config": {"promote": "always"}}}}
    )
    assert refit.execute_in_process(instance=shop.instance, run_config=config).success
    shop.run(MEASURED, LAST, LAST)
    assert tick(shop) == f"On {LAST} nothing has drifted beyond 0.25 from model version 2."


def test_the_sensor_is_off_unless_the_setting_says_otherwise(shop):
    assert drift(shop.settings).default_status == dg.DefaultSensorStatus.STOPPED
    schedule = shop.settings.schedule.model_copy(update={"refit_on_drift": True})
    switched_on = drift(shop.settings.model_copy(update={"schedule": schedule}))
    assert switched_on.default_status == dg.DefaultSensorStatus.RUNNING


def test_a_lake_without_drift_says_so(tmp_path):
    with dg.DagsterInstance.ephemeral() as instance:
        shop = LiveShop(configure(tmp_path, FIRST, FIRST + timedelta(days=2)), instance)
        assert tick(shop) == "Drift has not been measured on any day yet."
