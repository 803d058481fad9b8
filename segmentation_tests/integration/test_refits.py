"""Refits as they are launched from the launchpad: what is chosen, what is put in force, and what keeps serving."""

import json
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from segmentation_pipeline.build import build_definitions
from segmentation_pipeline.core import schema
from segmentation_pipeline.opening import build_resources
from segmentation_pipeline.settings import ConfigurationError, Settings
from segmentation_tests.integration.conftest import EARLIER, LAST, copy_of

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
SNAPSHOT = ["customer_segments", "segment_migration", "segment_drift", "segment_profiles"]


class Shop:
    """A shop with features of two days, whose refits are launched with the launchpad's configuration."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance) -> None:
        self.settings = settings
        self.resources = build_resources(settings)
        self.definitions = build_definitions(settings, self.resources)
        self.instance = instance
        self.lake, self.models = self.resources["lake"], self.resources["models"]

    def run(self, assets: list[str], **when: object) -> dg.ExecuteInProcessResult:
        return self.definitions.resolve_job_def("nightly_refresh").execute_in_process(
            instance=self.instance, run_config=QUIET, asset_selection=[dg.AssetKey(asset) for asset in assets], **when
        )

    def refit(self, promote: str | None = None, **choice: object) -> dg.ExecuteInProcessResult:
        ops = {"k_diagnostics": {"config": choice}, "segmentation_model": {"config": {"promote": promote}}}
        return self.definitions.resolve_job_def("refit_model").execute_in_process(
            instance=self.instance, run_config={**QUIET, "ops": ops}, raise_on_error=False
        )

    def table(self, layout: schema.Table, day: date) -> pd.DataFrame:
        return self.lake.engine.to_pandas(self.lake.read(layout, [day]))

    def configured(self, **changes: object) -> "Shop":
        return Shop(self.settings.model_copy(update=changes), self.instance)


@pytest.fixture(scope="module")
def shop(scored_shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """With a first model in force, of the last day."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield Shop(copy_of(scored_shop, tmp_path_factory.mktemp("refits") / "shop"), instance)


@pytest.fixture(autouse=True)
def first_model_in_force(shop: Shop) -> Iterator[None]:
    yield
    shop.models.put_in_force(1)


def promotion(result: dg.ExecuteInProcessResult) -> str:
    (event,) = [
        each.step_materialization_data.materialization
        for each in result.get_asset_materialization_events()
        if each.asset_key == dg.AssetKey("segmentation_model")
    ]
    return event.metadata["promotion"].value


def failed(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    checks = [each for each in result.get_asset_check_evaluations() if not each.passed]
    return {check.check_name: check.description for check in checks}


def test_the_first_model_is_put_in_force_whatever_it_is_compared_with(shop):
    assert shop.models.in_force() == 1
    assert [segment.segment_id for segment in shop.models.load(1).segments] == list(
        range(1, len(shop.models.load(1).segments) + 1)
    )


def test_the_same_input_gives_the_same_model_with_the_same_ids_and_the_one_in_force_stays(shop):
    again = shop.refit()
    assert again.success
    assert "its segments are not farther apart by more than 0.005" in promotion(again)
    assert shop.models.in_force() == 1
    versions = shop.models.versions()
    assert shop.refit().success
    assert shop.models.versions() == versions  # the same once more is no new version
    first, other = (shop.models.root / f"version={number:04d}" for number in (1, shop.models.versions()[-1]))
    assert (first / "card.json").read_bytes() == (other / "card.json").read_bytes()
    assert shop.models.load(1).segments == shop.models.load(shop.models.versions()[-1]).segments


def test_another_seed_changes_no_id(shop):
    model = shop.settings.model.model_copy(update={"seed": 7})
    assert shop.configured(model=model).refit(promote="always").success
    before, after = shop.models.load(1), shop.models.load(shop.models.in_force())
    assert [each.segment_id for each in after.segments] == [each.segment_id for each in before.segments]
    assert [each.name for each in after.segments] == [each.name for each in before.segments]


def test_the_launchpad_chooses_day_k_algorithm_and_features(shop):
    features = ["recency_days", "frequency", "monetary", "tenure_days"]
    result = shop.refit(promote="always", as_of=str(EARLIER), k=3, algorithm="bisecting_kmeans", features=features)
    assert failed(result).keys() <= {"segments_are_apart", "segments_are_stable", "no_segment_is_tiny"}
    diagnostics = shop.lake.engine.to_pandas(shop.lake.read(schema.K_DIAGNOSTICS))
    chosen = diagnostics[diagnostics["is_chosen"]].iloc[0]
    assert (chosen["k"], chosen["algorithm"], chosen["features"]) == (3, "bisecting_kmeans", ", ".join(features))
    assert pd.Timestamp(chosen["date"]).date() == EARLIER


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"as_of": "yesterday"}, "as_of: is no day"),
        ({"algorithm": "kmean"}, "algorithm"),
        ({"k": 1}, "k: "),
        ({"features": ["recency"]}, "features"),
    ],
)
def test_a_choice_that_cannot_be_is_one_clear_message(shop, choice, message):
    result = shop.refit(**choice)
    assert not result.success
    (event,) = [each for each in result.all_events if each.is_step_failure]
    assert ConfigurationError.__name__ in str(event.step_failure_data.error)
    assert f"The run's configuration cannot be used\n  {message}" in str(event.step_failure_data.error)


def test_a_model_that_is_never_to_be_put_in_force_is_kept(shop):
    result = shop.refit(promote="never", k=2)
    assert result.success, failed(result)
    assert shop.models.in_force() == 1
    record = json.loads((shop.models.root / f"version={shop.models.versions()[-1]:04d}" / "record.json").read_text())
    assert record["promotion"] == "Kept and not put in force, as asked (promote: never)."
    assert record["saved_at"].startswith("20")


def test_a_model_that_parts_the_customers_otherwise_is_held_back_and_the_one_in_force_serves(shop):
    versions = shop.models.versions()
    held_back = shop.configured(model=shop.settings.model.model_copy(update={"min_agreement": 0.9})).refit(k=4)
    assert not held_back.success
    assert list(failed(held_back)) == ["agrees_with_model_in_force"]
    told = failed(held_back)["agrees_with_model_in_force"]
    assert re.search(
        r"agreement at least 0.9 does not hold on 2025-07-20 \(agreement: 0\.\d+\). The model in force stays", told
    )
    assert (shop.models.in_force(), shop.models.versions()) == (1, versions)
    assert shop.run(["customer_segments"], partition_key=str(LAST)).success
    assert set(shop.table(schema.CUSTOMER_SEGMENTS, LAST)["model_version"]) == {1}


def test_a_forced_model_is_put_in_force_though_it_parts_them_otherwise(shop):
    strict = shop.configured(model=shop.settings.model.model_copy(update={"min_agreement": 0.9}))
    forced = strict.refit(promote="always", k=4)
    assert forced.success, failed(forced)
    assert shop.models.in_force() == shop.models.versions()[-1]
    new = {segment.segment_id for segment in shop.models.load(shop.models.in_force()).segments}
    every = [segment.segment_id for version in shop.models.versions() for segment in shop.models.load(version).segments]
    assert shop.models.next_segment_id() == max(every) + 1
    assert new <= set(every)


def test_migration_compares_with_the_earlier_day_by_the_model_of_the_day_and_adds_up(shop):
    short = shop.configured(migration=shop.settings.migration.model_copy(update={"days": 4}))
    assert short.run(SNAPSHOT, partition_key=str(LAST)).success
    assert short.run(SNAPSHOT[:1], partition_key=str(EARLIER)).success
    flows = short.table(schema.SEGMENT_MIGRATION, LAST)
    assert set(flows["compared_with"]) == {pd.Timestamp(EARLIER)}
    before, after = (short.table(schema.CUSTOMER_SEGMENTS, day) for day in (EARLIER, LAST))
    for side, snapshot, revenue in (("from", before, "revenue_before"), ("to", after, "revenue_after")):
        of_segments = flows[flows[f"{side}_segment_id"] >= 0].groupby(f"{side}_segment_id")
        sizes = snapshot.groupby("segment_id")
        assert of_segments["customers"].sum().to_dict() == sizes.size().to_dict()
        assert of_segments[revenue].sum().to_dict() == sizes["monetary"].sum().to_dict()
    profiles = short.table(schema.SEGMENT_PROFILES, LAST).set_index("segment_id")
    assert profiles["customers_before"].to_dict() == {
        number: int((before["segment_id"] == number).sum()) for number in profiles.index
    }
    assert profiles["recommendation"].str.contains("16 July 2025").all()


def test_a_day_without_an_earlier_one_has_no_flows_and_says_nothing_of_change(shop):
    assert shop.run(SNAPSHOT, partition_key=str(LAST)).success
    assert shop.table(schema.SEGMENT_MIGRATION, LAST).empty
    profiles = shop.table(schema.SEGMENT_PROFILES, LAST)
    assert profiles["customers_before"].isna().all()
    assert profiles["compared_with"].isna().all()
    assert not profiles["recommendation"].str.contains("more|fewer|As many").any()


def test_drift_is_nothing_on_the_day_the_model_was_fitted_on(shop):
    assert shop.run(SNAPSHOT, partition_key=str(LAST)).success
    drift = shop.table(schema.SEGMENT_DRIFT, LAST).set_index("name")
    assert set(drift.index) == {"recency_days", "frequency", "monetary", "segments"}
    assert drift["psi"].max() == pytest.approx(0, abs=1e-12)


def test_names_follow_recency_frequency_and_monetary_whatever_is_clustered_by(shop):
    loose = shop.settings.model.model_copy(
        update={"min_segment_share": 0.0, "min_silhouette": -1, "min_stability": 0.0}
    )
    fitted = shop.configured(model=loose).refit(promote="always", k=3, features=["tenure_days", "distinct_products"])
    assert fitted.success, failed(fitted)
    assert shop.run(SNAPSHOT, partition_key=str(LAST)).success
    profiles = shop.table(schema.SEGMENT_PROFILES, LAST).set_index("segment")
    medians = profiles.loc[profiles["segment_id"] > 0, "monetary_median"]
    assert medians.idxmax() in ("VIP Customers", "Loyal Mid-Spenders")
    assert medians.idxmin() in ("At-Risk / Churned", "Recent Low Spenders")
    assert (
        profiles.loc[medians.index, ["recency_days_centre", "frequency_centre", "monetary_centre"]]
        .notna()
        .all(axis=None)
    )


def test_a_page_drawn_later_is_of_the_model_that_scored_its_day(shop):
    assert shop.run([*SNAPSHOT, "feature_exploration"], partition_key=str(LAST)).success
    assert shop.refit(promote="always", k=2).success
    assert shop.models.in_force() != 1
    assert shop.run(["segment_report"], partition_key=str(LAST)).success
    page = shop.resources["reports"].page(LAST).read_text()
    assert "<span>model version 1</span>" in page
    assert f"model version {shop.models.in_force()}</" not in page
