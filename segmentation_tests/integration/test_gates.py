"""Gates: what a failed expectation stops and what it does not, in one day's run, in a range, and across runs."""

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import ibis
import pandas as pd
import pytest

from segmentation_pipeline.build import build_definitions
from segmentation_pipeline.checks.judge_process import Judge
from segmentation_pipeline.checks.judging import CheckCrashed
from segmentation_pipeline.checks.stages import STAGES
from segmentation_pipeline.checks.suites import suites
from segmentation_pipeline.core import schema
from segmentation_pipeline.core.rfm import rfm_features
from segmentation_pipeline.opening import build_resources
from segmentation_pipeline.resources.lake import MissingPartitions
from segmentation_pipeline.resources.model_store import ModelStore
from segmentation_pipeline.settings import Model, Quality, Settings
from segmentation_pipeline.settings import engine as engine_settings
from segmentation_tests.integration.conftest import CHECKS, copy_of

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
CLEANED = ["raw_transactions", "clean_transactions", "quarantined_transactions"]
TRANSACTIONS = [*CLEANED, "customer_orders", "customer_returns"]
FIRST, LAST, BAD = date(2025, 7, 1), date(2025, 7, 20), date(2025, 7, 16)
DAYS = [FIRST + timedelta(days=number) for number in range(20)]


class Shop:
    """A shop whose deliveries can be damaged, and whose jobs are run as the UI runs them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.resources = build_resources(settings)
        self.definitions = build_definitions(settings, self.resources)
        self.lake = self.resources["lake"]
        self.instance = dg.DagsterInstance.ephemeral()

    def configured(self, **changes: object) -> "Shop":
        """The same lake and history, with other settings."""
        other = Shop(self.settings.model_copy(update=changes))
        other.instance = self.instance
        return other

    def delivered_again(self) -> "Shop":
        """The same shop in a new process, which looks at its files again."""
        return self.configured()

    def run(
        self, assets: list[str] | None = None, job: str = "nightly_refresh", **when: object
    ) -> dg.ExecuteInProcessResult:
        return self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            run_config=QUIET,
            raise_on_error=False,
            asset_selection=[dg.AssetKey(asset) for asset in assets] if assets else None,
            **when,
        )

    def night(self, day: date, assets: list[str]) -> dg.ExecuteInProcessResult:
        return self.run(assets, partition_key=day.isoformat())

    def range(self, assets: list[str], first: date = FIRST, last: date = LAST) -> dg.ExecuteInProcessResult:
        tags = {"dagster/asset_partition_range_start": str(first), "dagster/asset_partition_range_end": str(last)}
        return self.run(assets, tags=tags)

    def harm(self, day: date, harm: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[], None]:
        """Damage the day's file; returns what mends it."""
        (file,) = Path(self.settings.source.path).parent.glob(f"*{day}*")
        whole = file.read_bytes()
        harm(pd.read_parquet(file)).to_parquet(file)
        return lambda: file.write_bytes(whole) and None

    def days(self, asset: str) -> list[date]:
        return self.lake.days(asset)

    def until(self, last: date) -> "Shop":
        """The same shop with no later days in its lake."""
        for asset in TRANSACTIONS:
            for day in self.days(asset):
                if day > last:
                    shutil.rmtree(self.lake.file(asset, day).parent)
        return self


def moved(settings: Settings, folder: Path) -> Settings:
    """A copy of the shop's deliveries, with the moments they were written at, beside a new lake."""
    landing = Path(settings.source.path)
    shutil.copytree(landing.parent, folder / "landing")
    source = settings.source.model_copy(update={"path": str(folder / "landing" / landing.name)})
    return settings.model_copy(update={"source": source, "lake": folder / "lake", "reports": folder / "reports"})


@pytest.fixture
def shop(small_shop: Settings, tmp_path: Path) -> Shop:
    """The same shop with an empty lake, and deliveries of its own to damage."""
    return Shop(moved(small_shop, tmp_path))


@pytest.fixture
def ingested(ingested_shop: Path, tmp_path: Path) -> Shop:
    """The same shop with all its days in its lake."""
    return Shop(copy_of(ingested_shop, tmp_path / "ingested"))


@pytest.fixture(scope="module")
def complete(scored_shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop that ran through every gate, model and all."""
    shop = Shop(copy_of(scored_shop, tmp_path_factory.mktemp("complete") / "shop"))
    yield shop
    shop.instance.dispose()


def twice(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([rows, rows])


def different(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    """So many rows, none a copy of another."""
    return rows.sample(count, replace=True, random_state=1).assign(Quantity=range(1, count + 1))


def evaluations(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {f"{each.asset_key.path[-1]}.{each.check_name}": each for each in result.get_asset_check_evaluations()}


def failed(result: dg.ExecuteInProcessResult) -> set[str]:
    return {name for name, each in evaluations(result).items() if not each.passed}


def test_every_expectation_is_a_check_that_holds_on_a_simulated_shop(scored_shop, complete):
    expected = suites(complete.settings)
    found = json.loads((scored_shop / CHECKS).read_text())
    assert set(found) == {f"{stage}.{each.name}" for stage in expected for each in expected[stage]}
    failing = {name for name, has_passed in found.items() if not has_passed}
    assert failing <= {
        "raw_transactions.countries_are_known"
    }  # a small shop: one large order from a new country is a tenth of a day


def test_a_failed_day_writes_nothing_and_names_its_rows_and_the_remedy(ingested):
    shop = ingested.until(BAD - timedelta(days=1))
    shop.harm(BAD, twice)
    result = shop.night(BAD, TRANSACTIONS)
    assert not result.success
    assert BAD not in shop.days("raw_transactions")
    assert [event.step_key for event in result.get_step_failure_events()] == ["raw_transactions"]
    started = [event.step_key for event in result.all_events if event.event_type_value == "STEP_START"]
    assert started == ["raw_transactions"]
    check = evaluations(result)["raw_transactions.duplicates_are_few"]
    assert check.severity == dg.AssetCheckSeverity.ERROR
    assert str(BAD) in check.description
    shown = {key: value.value for key, value in check.metadata.items()}
    assert shown["severity"] == "critical"
    assert shown["threshold"] == "duplicate_share at most 0.25"
    assert shown["observed"].startswith("duplicate_share: 0.5")
    assert f"| {BAD} | 0.5" in shown["failing_days"]
    assert "source_row" in shown["failing_days"]
    assert "remove the second delivery" in shown["remedy"]
    assert failed(result) == {"raw_transactions.duplicates_are_few"}
    assert not list((shop.lake.root / ".staging").iterdir())


def test_nothing_downstream_runs_on_a_day_that_was_held_back_in_another_run(shop):
    shop.harm(BAD, twice)
    shop.range(CLEANED)
    assert BAD not in shop.days("clean_transactions")
    with pytest.raises(MissingPartitions, match=str(BAD)):
        shop.definitions.resolve_job_def("nightly_refresh").execute_in_process(
            instance=shop.instance,
            run_config=QUIET,
            partition_key=str(BAD),
            asset_selection=[dg.AssetKey(asset) for asset in CLEANED[1:]],
        )


def test_the_good_days_of_a_range_land_and_the_run_is_red_and_names_the_bad_ones(shop):
    mend = shop.harm(BAD, twice)
    result = shop.range(CLEANED)
    assert not result.success
    assert shop.days("raw_transactions") == [day for day in DAYS if day != BAD]
    materialized = shop.instance.get_materialized_partitions(dg.AssetKey("raw_transactions"))
    assert materialized == {str(day) for day in DAYS if day != BAD}
    (failure,) = result.get_step_failure_events()
    assert f"raw_transactions of {BAD} was held back" in failure.step_failure_data.user_failure_data.description
    mend()

    healed = shop.delivered_again()
    assert healed.night(BAD, ["raw_transactions"]).success
    assert healed.range(CLEANED[1:]).success
    assert healed.days("clean_transactions") == DAYS


def test_what_stood_in_the_lake_stays_when_a_new_delivery_of_the_day_is_held_back(ingested):
    shop = ingested
    kept = [shop.lake.file(asset, BAD) for asset in CLEANED]
    before = [file.read_bytes() for file in kept]
    profile = shop.lake.profiles("raw_transactions", [BAD])
    shop.harm(BAD, twice)
    again = shop.delivered_again()
    assert not again.night(BAD, CLEANED).success
    assert [file.read_bytes() for file in kept] == before
    assert shop.lake.profiles("raw_transactions", [BAD]) == profile


def test_clean_lines_and_their_quarantine_are_held_back_together(ingested):
    shop = ingested.until(BAD - timedelta(days=1))
    shop.harm(BAD, lambda rows: rows.assign(quantity="a few") if "quantity" in rows else rows.assign(Quantity="a few"))
    result = shop.night(BAD, TRANSACTIONS)
    assert "clean_transactions.most_rows_are_accepted" in failed(result)
    assert BAD in shop.days("raw_transactions")
    assert BAD not in shop.days("clean_transactions")
    assert BAD not in shop.days("quarantined_transactions")


def test_a_warning_lets_its_day_through_and_is_counted(ingested):
    strict = ingested.configured(quality=Quality(warn_quarantined_share=0.0))
    result = strict.range(CLEANED[1:])
    assert result.success
    check = evaluations(result)["clean_transactions.quarantined_share_is_small"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert strict.days("clean_transactions") == DAYS
    warned = strict.resources["ledger"].failures(FIRST, LAST)
    assert "quarantined_share_is_small" in set(warned["expectation"])
    assert set(warned["severity"]) == {"warning"}


def test_nights_one_by_one_reach_the_verdicts_of_one_range_with_bad_days_in_it(shop, tmp_path):
    """A day that is held back is nobody's usual day, in a range as in nights."""
    for day in DAYS[8:10]:
        shop.harm(day, lambda rows: rows.iloc[:30])
    quality = Quality(
        severities={"raw_transactions.volume_is_usual": "critical"},
        baseline_weeks=2,
        min_baseline_weeks=1,
        min_volume_ratio=0.6,
        min_rows=20,
    )
    in_range = shop.configured(quality=quality)
    nights = shop.configured(quality=quality, lake=tmp_path / "nights")
    last = DAYS[16]  # a week after the bad days, which would be compared with them
    in_range.range(["raw_transactions"], last=last)
    nights.range(["raw_transactions"], last=DAYS[7])
    for day in DAYS[8:17]:
        nights.night(day, ["raw_transactions"])
    assert in_range.days("raw_transactions") == nights.days("raw_transactions")
    assert set(DAYS[8:10]).isdisjoint(nights.days("raw_transactions"))
    columns = ["stage", "expectation", "date", "passed", "observed"]
    one, other = (each.resources["ledger"].latest(FIRST, last)[columns] for each in (in_range, nights))
    pd.testing.assert_frame_equal(one, other)


def test_a_suite_that_crashes_is_a_failed_run_without_verdicts_and_without_rows(shop, monkeypatch):
    def crash(*_arguments: object) -> None:
        raise CheckCrashed("one could not be evaluated")

    monkeypatch.setattr(Judge, "judge", crash)
    result = shop.range(["raw_transactions"])
    assert not result.success
    assert result.get_asset_check_evaluations() == []
    assert shop.days("raw_transactions") == []
    assert not (shop.lake.root / "quality_results").exists()


def test_a_model_that_does_not_pass_is_not_kept_and_the_model_in_force_stays(complete, tmp_path):
    models = ModelStore(complete.lake.root / "segmentation_model")
    before, digest = models.in_force(), models.digest()
    demanding = complete.configured(model=Model(min_segment_share=0.9, k=3, promote="always"))
    result = demanding.run(job="refit_model")
    assert not result.success
    assert failed(result) == {"k_diagnostics.choice_is_not_vetoed", "segmentation_model.no_segment_is_tiny"}
    check = evaluations(result)["segmentation_model.no_segment_is_tiny"]
    assert "The model in force stays" in check.metadata["remedy"].value
    assert (models.in_force(), models.digest()) == (before, digest)


def test_an_own_critical_expectation_holds_a_day_back(shop):
    own = {
        "stage": "clean_transactions",
        "type": "expect_column_values_to_be_between",
        "arguments": {"column": "revenue", "min_value": 10**9},
        "severity": "critical",
        "name": "revenue_is_a_fortune",
    }
    ambitious = shop.configured(quality=Quality(expectations=[own]))
    result = ambitious.night(FIRST, CLEANED)
    assert failed(result) == {"clean_transactions.revenue_is_a_fortune"}
    assert ambitious.days("clean_transactions") == []


@pytest.mark.parametrize("number", [4, 7], ids=["a day on which the shop was closed", "a day of sales"])
def test_files_of_days_before_the_first_one_hold_nothing_back_and_are_counted(shop, number):
    first = DAYS[number]
    shop.harm(FIRST, lambda rows: rows.assign(InvoiceDate=rows["InvoiceDate"].mask(rows.index == 0)))
    later = shop.configured(start_date=first)
    assert later.range(CLEANED, first).success
    profile = later.lake.profiles("clean_transactions", [first])[first]
    files = sorted(Path(shop.settings.source.path).parent.glob("*"))[:number]
    early = sum(len(pd.read_parquet(file)) for file in files)
    assert profile["left_out_rows"] >= early - 5  # but for a few whose date is missing, or wrong by far
    assert profile["placed_rows"] == profile["raw_rows"] >= early


def test_a_file_of_dates_that_are_wrong_is_held_back(shop):
    shop.harm(BAD, lambda rows: rows.assign(InvoiceDate=rows["InvoiceDate"] - pd.DateOffset(years=100)))
    assert "clean_transactions.most_rows_are_accepted" in failed(shop.night(FIRST, CLEANED))
    assert shop.days("clean_transactions") == []


def test_an_own_expectation_that_judges_all_days_as_one_and_changes_its_mind_holds_back_its_strictest_round(shop):
    """Held against two short days, as many days fail as are too many; without these two, as many as may."""
    short, closed = DAYS[7:9], (DAYS[4], DAYS[11], DAYS[18])
    for day in set(DAYS) - {*closed}:
        shop.harm(day, lambda rows, count=30 if day in short else 100: different(rows, count))
    own = {
        "stage": "raw_transactions",
        "type": "expect_column_values_to_be_between",
        "arguments": {"column": "volume_ratio", "min_value": 0.5, "max_value": 1.4, "mostly": 0.8},
        "severity": "critical",
        "name": "volume_is_mostly_usual",
    }
    quality = Quality(expectations=[own], baseline_weeks=2, min_baseline_weeks=1, min_rows=20)
    ambitious = shop.configured(quality=quality)
    assert not ambitious.range(["raw_transactions"]).success
    compared_with_them = [day + timedelta(days=7) for day in short]
    assert ambitious.days("raw_transactions") == sorted(set(DAYS) - {*short, *compared_with_them})


def test_a_day_that_is_delivered_again_while_a_range_is_made_counts_as_out_of_date(shop, monkeypatch):
    monkeypatch.setattr(engine_settings, "BYTES_PER_ROW", 1e9 / 400)  # a day or two at once
    slow = shop.configured()
    source = slow.resources["source"]
    read, delivered = source.rows, []

    def rows(days):
        if days[0] > BAD and not delivered:
            for day in (FIRST, days[0]):
                shop.harm(day, lambda rows: rows.iloc[:-1])
            delivered.append(days[0])
        return read(days)

    monkeypatch.setattr(source, "rows", rows)
    assert slow.range(["raw_transactions"]).success
    assert len(delivered) == 1
    later = shop.delivered_again()
    assert later.resources["freshness"].touched(DAYS) == [FIRST]  # the other day was read as it is now
    before = later.lake.rows("raw_transactions", FIRST)
    assert later.night(FIRST, ["raw_transactions"]).success
    assert later.lake.rows("raw_transactions", FIRST) == before - 1
    assert later.resources["freshness"].touched(DAYS) == []


def test_a_day_whose_file_was_tidied_away_since_it_was_ingested_is_done_again_from_the_lake(shop):
    assert shop.night(BAD, CLEANED).success
    file = shop.lake.file("raw_transactions", BAD)
    before = file.read_bytes()
    (delivered,) = Path(shop.settings.source.path).parent.glob(f"*{BAD}*")
    delivered.unlink()
    later = shop.delivered_again()
    assert later.night(BAD, CLEANED).success
    assert file.read_bytes() == before
    assert later.resources["freshness"].touched(DAYS) == sorted(set(DAYS) - {BAD})
    assert not later.range(["raw_transactions"], BAD, BAD + timedelta(days=1)).success  # a range is told what it lacks


def test_a_table_without_rows_that_must_have_some_is_held_back(shop):
    own = {
        "stage": "feature_exploration",
        "type": "expect_table_row_count_to_be_between",
        "arguments": {"min_value": 1},
        "severity": "critical",
        "name": "there_are_statistics",
    }
    strict = shop.configured(quality=Quality(expectations=[own]))
    strict.harm(FIRST, lambda rows: rows.iloc[:0])
    assert strict.night(FIRST, [*TRANSACTIONS, "rfm_features"]).success
    result = strict.night(FIRST, ["feature_exploration"])
    assert failed(result) == {"feature_exploration.there_are_statistics"}
    assert not result.success
    assert strict.days("feature_exploration") == []


def test_rows_that_a_setting_quarantined_move_over_when_it_is_mended_and_everything_still_adds_up(ingested):
    shop = ingested.until(DAYS[6])
    strict = shop.configured(cleaning=shop.settings.cleaning.model_copy(update={"max_abs_unit_price": 5.0}))
    strict.range(CLEANED[1:], last=DAYS[6])

    def counted(of: Shop) -> dict[str, int]:
        days = of.days("clean_transactions")
        layouts = {layout.asset: layout for layout in (schema.RAW_TRANSACTIONS, *STAGES["clean_transactions"].writes)}
        return {
            asset: int(of.lake.engine.to_pandas(of.lake.read(layout, days).count()))
            for asset, layout in layouts.items()
        }

    before = counted(strict)
    days = strict.days("clean_transactions")
    mended = shop.configured()
    assert mended.range(CLEANED[1:], days[0], days[-1]).success
    after = counted(mended)
    assert after["quarantined_transactions"] < before["quarantined_transactions"]
    for rows in (before, after):
        assert rows["raw_transactions"] == rows["clean_transactions"] + rows["quarantined_transactions"]


@pytest.mark.parametrize("stage", [name for name, stage in STAGES.items() if stage.samples])
def test_the_rows_that_are_shown_can_be_found_in_every_stage(complete, stage):
    tables = {layout.asset: complete.lake.read(layout, [LAST]) for layout in STAGES[stage].writes}
    for name, choose in STAGES[stage].samples.items():
        rows = complete.lake.engine.to_pandas(choose(tables, complete.settings))
        assert "date" in rows.columns, name


def test_a_snapshot_that_saw_the_future_does_not_pass_though_every_customer_has_a_row(complete):
    engine, lake, early = complete.lake.engine, complete.lake, DAYS[9]
    orders, returns = (lake.read(each, DAYS) for each in (schema.CUSTOMER_ORDERS, schema.CUSTOMER_RETURNS))
    known = orders.filter(orders.date <= ibis.literal(early))
    honest = rfm_features(orders, returns, early, "items", 90)
    seen_too_much = rfm_features(orders, returns, LAST, "items", 90).mutate(date=ibis.literal(early))
    for features, holds in ((honest, True), (seen_too_much, False)):
        tables = {"customer_orders": known, "customer_returns": returns, "rfm_features": features}
        row = engine.to_pandas(STAGES["rfm_features"].measure(tables, [early], complete.settings)).iloc[0]
        assert (row["orders_after_the_day"] == 0) == holds
        assert (row["monetary"] == row["net_sales"]) == holds
