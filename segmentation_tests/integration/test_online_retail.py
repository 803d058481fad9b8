"""The whole pipeline on UCI Online Retail, through the command line, against independent computations in pandas."""

import json
import os
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import dagster as dg
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import yaml
from ibis import _
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans
from upath import UPath

from segmentation_pipeline.build import build_definitions
from segmentation_pipeline.core import rfm, schema
from segmentation_pipeline.core.clustering import preprocessing, scoring, training
from segmentation_pipeline.core.clustering.scoring import SegmentationModel
from segmentation_pipeline.core.rfm_groups import GROUPS
from segmentation_pipeline.opening import build_resources
from segmentation_pipeline.resources.engines.duckdb import DuckDBEngine
from segmentation_pipeline.resources.model_store import ModelStore
from segmentation_pipeline.settings import Settings, load
from segmentation_tests.conftest import ONLINE_RETAIL_YAML

AS_OF = date(2011, 12, 9)
EARLIER = date(2011, 6, 30)
FOUNDING_SIZES = {
    "At-Risk / Churned": 1_590,
    "Loyal Mid-Spenders": 1_183,
    "Recent Low Spenders": 859,
    "VIP Customers": 701,
}


@dataclass(frozen=True)
class Shop:
    folder: Path
    config: Path
    printed: str

    def table(self, asset: str, day: date | None = None) -> pd.DataFrame:
        folder = self.folder / "lake" / asset / (f"date={day}" if day else "")
        return ds.dataset([str(file) for file in sorted(folder.rglob("*.parquet"))]).to_table().to_pandas()

    def segmentation(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "DAGSTER_HOME": str(self.folder / "dagster")}
        command = [sys.executable, "-m", "segmentation_pipeline.cli", *arguments, "--config", str(self.config)]
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)

    def files(self) -> dict[str, bytes]:
        """The contents of everything a run writes for its users, by path."""
        kept = [
            *(self.folder / "lake").rglob("*.parquet"),
            *(self.folder / "lake").rglob("partition.jsonl"),
            *(self.folder / "reports").rglob("*.*"),
        ]
        apart = {".sources", "quality_results", "record.json"}  # an index, and logs of when
        shown = [file for file in kept if file.is_file() and not apart & set(file.parts)]
        return {str(file.relative_to(self.folder)): file.read_bytes() for file in shown}


@dataclass(frozen=True)
class Month:
    whole: Shop
    again: Shop
    truncated: Shop


def shop_of(folder: Path, config: Path, as_of: date) -> Shop:
    shop = Shop(folder, config, "")
    done = shop.segmentation("run", "--as-of", as_of.isoformat())
    assert done.returncode == 0, done.stderr
    return Shop(folder, config, done.stdout)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, online_retail: Path, configured: Callable[..., Path]) -> Shop:
    folder = tmp_path_factory.mktemp("online_retail")
    source = {**yaml.safe_load(ONLINE_RETAIL_YAML.read_text())["source"], "path": str(online_retail)}
    return shop_of(folder, configured(folder, ONLINE_RETAIL_YAML, source=source), AS_OF)


@dataclass(frozen=True)
class Nights:
    """Features of any night, from the orders and returns known by then."""

    settings: Settings
    engine: DuckDBEngine
    orders: ir.Table
    returns: ir.Table

    def features(self, day: date) -> ir.Table:
        return rfm.rfm_features(self.orders, self.returns, day, "items", self.settings.rfm.recent_days)

    def sampled(self, day: date) -> pd.DataFrame:
        model = self.settings.model
        return self.engine.to_pandas(preprocessing.sample(self.features(day), model.sample_rows, model.seed))

    @staticmethod
    def segments(model: SegmentationModel, customers: pd.DataFrame) -> pd.Series:
        """The id of the nearest centre, by SciPy."""
        places = cdist(preprocessing.transform(customers, model.scalings), model.centres).argmin(axis=1)
        ids = np.array([segment.segment_id for segment in model.segments])
        return pd.Series(ids[places], index=customers["customer_id"])


@pytest.fixture(scope="module")
def nights(shop: Shop) -> Iterator[Nights]:
    settings = load(shop.config)
    lake = build_resources(settings)["lake"]
    days = lake.days("customer_orders")
    tables = (lake.read(layout, days) for layout in (schema.CUSTOMER_ORDERS, schema.CUSTOMER_RETURNS))
    held = [lake.engine.held(table) for table in tables]
    with held[0] as orders, held[1] as returns:
        yield Nights(settings, lake.engine, orders, returns)


@pytest.fixture(scope="module")
def source_rows(online_retail: Path) -> pd.DataFrame:
    return pd.read_parquet(online_retail)


def test_every_source_row_is_accepted_or_quarantined_once(shop, source_rows):
    clean = shop.table("clean_transactions")[["source_row"]]
    quarantined = shop.table("quarantined_transactions")[["source_row"]]
    rows = pd.concat([clean, quarantined])["source_row"]
    assert len(source_rows) == 541_909
    assert sorted(rows) == list(range(1, len(source_rows) + 1))


def test_money_reconciles_to_the_penny(shop, source_rows):
    prices = [Decimal(str(price)) for price in source_rows["UnitPrice"]]
    total = sum(quantity * price for quantity, price in zip(source_rows["Quantity"].tolist(), prices, strict=True))
    accepted = shop.table("clean_transactions")["amount"].sum()
    at_stake = shop.table("quarantined_transactions")["amount_at_stake"].sum()
    assert accepted + at_stake == total


def test_rules_fail_as_often_as_the_published_figures_say(shop, source_rows):
    quarantined = shop.table("quarantined_transactions")
    failed = quarantined["failed_rules"].explode().value_counts()
    assert failed.to_dict() == {"exact_duplicate": 5_268, "zero_price": 2_515, "negative_price": 2}
    assert quarantined["reason"].value_counts().sum() == len(quarantined)
    assert int(source_rows.duplicated().sum()) == 5_268


def test_the_profiles_of_cleaning_add_up_to_the_source_by_day(shop, source_rows):
    by_day = source_rows.groupby(source_rows["InvoiceDate"].dt.date).size()
    notes = {
        date.fromisoformat(note.parent.name.removeprefix("date=")): json.loads(note.read_text().splitlines()[1])
        for note in (shop.folder / "lake" / "clean_transactions").rglob("partition.jsonl")
    }
    assert {day: profile["raw_rows"] for day, profile in notes.items() if profile["raw_rows"]} == by_day.to_dict()
    for profile in notes.values():
        assert profile["raw_rows"] == profile["accepted_rows"] + profile["quarantined_rows"]


def test_rfm_agrees_with_a_replay_in_python_for_every_customer(shop):
    clean = shop.table("clean_transactions")
    found = shop.table("rfm_features", AS_OF).set_index("customer_id")
    expected = replayed_rfm(clean, AS_OF, window=timedelta(days=90))
    assert found["frequency"].to_dict() == expected["frequency"].to_dict()
    assert found["monetary"].to_dict() == expected["monetary"].to_dict()
    pd.testing.assert_series_equal(
        found["recency_days"].astype(float), expected["recency_days"].astype(float), check_names=False
    )


def test_customers_and_the_order_returned_in_full(shop):
    features = shop.table("rfm_features", AS_OF).set_index("customer_id")
    segments = shop.table("customer_segments", AS_OF).set_index("customer_id")
    assert 4_300 <= len(features) <= 4_340
    assert features.loc["12346", ["frequency", "monetary"]].tolist() == [0, Decimal("0.0000")]
    assert segments.loc["12346", "segment"] == "Net zero"


def test_the_policy_chooses_the_four_founding_segments(shop):
    diagnostics = shop.table("k_diagnostics")
    profiles = shop.table("segment_profiles", AS_OF).set_index("segment")
    chosen = diagnostics[diagnostics["is_chosen"]]
    assert chosen[["algorithm", "k"]].values.tolist() == [["kmeans", 4]]
    assert bool(chosen["is_elbow"].item())
    for name, size in FOUNDING_SIZES.items():
        assert profiles.loc[name, "customers"] == pytest.approx(size, rel=0.08), name
    assert set(profiles.index) == {*FOUNDING_SIZES, "Net zero"}
    assert profiles.loc["VIP Customers", "revenue_share"] > 0.55
    order = ["VIP Customers", "Recent Low Spenders", "Loyal Mid-Spenders", "At-Risk / Churned"]
    assert profiles.loc[order, "recency_days_median"].is_monotonic_increasing


def test_the_indices_disagree_and_the_report_says_so(shop):
    diagnostics = shop.table("k_diagnostics")
    votes = diagnostics[diagnostics["algorithm"] == "kmeans"].set_index("k")["votes"]
    assert votes[4] == "elbow"
    assert votes[5] == "gap"
    assert votes[2] == "silhouette, calinski_harabasz, davies_bouldin, stability"
    page = (shop.folder / "reports" / f"date={AS_OF}" / "segment_report.html").read_text()
    assert "the indices disagree: Elbow of the inertia says 4, Silhouette says 2" in page
    assert "Gap says 5" in page


def test_every_customer_is_in_one_rfm_group_and_equal_values_have_equal_scores(shop):
    segments = shop.table("customer_segments", AS_OF)
    scored = segments[segments["segment_id"] > 0]
    assert scored["rfm_group"].isin([group.name for group in GROUPS]).all()
    assert segments.loc[segments["segment_id"] == 0, "rfm_group"].isna().all()
    for feature, score in (("recency_days", "recency_score"), ("frequency", "frequency_score")):
        assert (scored.groupby(feature)[score].nunique() == 1).all()


def test_flows_since_the_earlier_day_add_up_to_both_snapshots(shop, nights):
    flows = shop.table("segment_migration", AS_OF)
    earlier = AS_OF - timedelta(days=30)
    model = ModelStore(UPath(shop.folder / "lake" / "segmentation_model")).load(1)
    expression = scoring.customer_segments(nights.features(earlier), model, 1)
    before, after = nights.engine.to_pandas(expression), shop.table("customer_segments", AS_OF)
    for side, snapshot, revenue in (("from", before, "revenue_before"), ("to", after, "revenue_after")):
        known = flows[flows[f"{side}_segment_id"] >= 0].groupby(f"{side}_segment_id")
        by_segment = snapshot.groupby("segment_id")
        assert known["customers"].sum().to_dict() == by_segment.size().to_dict()
        assert known[revenue].sum().to_dict() == by_segment["monetary"].sum().to_dict()


def test_thirty_nightly_refits_keep_identities_and_a_model_in_force_keeps_customers(nights):
    """Shares of the customers known on both nights whose segment id differs; policy: k = 4 of k-means every night."""
    in_force: SegmentationModel | None = None
    next_id, refitted, served = 1, [], []
    before: tuple[pd.Series, pd.Series] | None = None
    first: SegmentationModel | None = None
    for day in (date(2011, 11, 9) + timedelta(days=number) for number in range(31)):
        customers = nights.sampled(day)
        choice = training.Choice(day, nights.settings.model.features, "kmeans", 4, "")
        in_force = training.train(customers, choice, nights.settings.model, in_force, next_id)
        first = first or in_force
        next_id = max(next_id, *(segment.segment_id + 1 for segment in in_force.segments))
        now = (nights.segments(in_force, customers), nights.segments(first, customers))
        if before is not None:
            for found, ids, earlier in zip((refitted, served), now, before, strict=True):
                both = ids.index.intersection(earlier.index)
                found.append(float((ids[both] != earlier[both]).mean()))
        before = now
    assert len(refitted) == 30
    assert np.mean(refitted) < 0.05
    assert np.mean(served) < 0.02
    assert next_id == 5  # nobody's segment was ever called a new one


def test_a_month_of_prices_times_ten_is_held_back_and_yesterdays_model_serves(shop, nights, tmp_path):
    """Past the gates of the days, which catch it by its prices: as if they had been told to let it through."""
    shutil.copytree(shop.folder / "lake", tmp_path / "lake")
    settings = nights.settings.model_copy(update={"lake": tmp_path / "lake", "reports": tmp_path / "reports"})
    resources = build_resources(settings)
    lake, models = resources["lake"], resources["models"]
    for layout in (schema.CUSTOMER_ORDERS, schema.CUSTOMER_RETURNS):
        for day in (date(2011, 11, 1) + timedelta(days=number) for number in range(30)):
            dearer = layout.conform(lake.read(layout, [day]).mutate(amount=_.amount * 10))
            lake.write(layout, dearer, {day: "damaged"})
    jobs = build_definitions(settings, resources)
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    with dg.DagsterInstance.ephemeral() as instance:
        launch = {"instance": instance, "run_config": quiet, "raise_on_error": False}
        snapshot = [dg.AssetKey("rfm_features")]
        night = jobs.resolve_job_def("nightly_refresh").execute_in_process(
            partition_key=AS_OF.isoformat(), asset_selection=snapshot, **launch
        )
        assert night.success
        refit = jobs.resolve_job_def("refit_model").execute_in_process(**launch)
        failed = {each.check_name: each.description for each in refit.get_asset_check_evaluations() if not each.passed}
        assert not refit.success
        assert list(failed) == ["agrees_with_model_in_force"]
        assert "(agreement: 0.6" in failed["agrees_with_model_in_force"]
        assert (models.in_force(), models.versions()) == (1, [1])
        served = jobs.resolve_job_def("nightly_refresh").execute_in_process(
            partition_key=AS_OF.isoformat(), asset_selection=[dg.AssetKey("customer_segments")], **launch
        )
        assert served.success


def test_every_customer_is_scored_as_scikit_learn_predicts(shop):
    model = ModelStore(shop.folder / "lake" / "segmentation_model").load(1)
    segments = shop.table("customer_segments", AS_OF)
    scored = segments[segments["segment_id"] > 0]
    logs = np.column_stack(
        [
            (np.log1p(np.clip(scored[each.feature].astype(float), each.lower_cut, each.upper_cut)) - each.mean)
            / each.scale
            for each in model.scalings
        ]
    )
    witness = KMeans(n_clusters=4, init=model.centres, n_init=1, max_iter=1).fit(logs)
    witness.cluster_centers_ = model.centres
    assert (witness.predict(logs) + 1 == scored["segment_id"].to_numpy()).all()


@pytest.fixture(scope="module")
def month(online_retail: Path, configured: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Month:
    """A month of the shop, from the whole file and from one that ends with the month."""
    folder = tmp_path_factory.mktemp("month")
    source = pq.read_table(online_retail)
    truncated = folder / "source" / online_retail.name
    truncated.parent.mkdir()
    until = pa.scalar(pd.Timestamp(EARLIER + timedelta(days=1)), source["InvoiceDate"].type)
    pq.write_table(source.filter(pc.less(source["InvoiceDate"], until)), truncated)
    described = yaml.safe_load(ONLINE_RETAIL_YAML.read_text())["source"]

    def run(name: str, file: Path) -> Shop:
        of_file = {"source": {**described, "path": str(file)}, "start_date": EARLIER.replace(day=1)}
        return shop_of(folder / name, configured(folder / name, ONLINE_RETAIL_YAML, **of_file), EARLIER)

    return Month(run("whole", online_retail), run("again", online_retail), run("truncated", truncated))


def test_a_snapshot_never_sees_a_later_row(month):
    tables = [file for file in month.whole.files() if file.startswith("lake/") and file.endswith(".parquet")]
    assert any(file.startswith("lake/rfm_features/") for file in tables)
    assert any(file.startswith("lake/segmentation_model/") for file in tables)
    whole, truncated = month.whole.files(), month.truncated.files()
    assert {file: truncated[file] == whole[file] for file in tables} == dict.fromkeys(tables, True)


def test_a_second_run_from_nothing_writes_the_same_bytes(month):
    before, again = month.whole.files(), month.again.files()
    assert {path: content == before[path] for path, content in again.items()} == dict.fromkeys(before, True)
    assert len(again) > 5 * 30


def test_a_second_call_says_that_nothing_is_new_and_changes_nothing(shop):
    before = shop.files()
    done = shop.segmentation("run")
    assert done.returncode == 0
    assert "Nothing new" in done.stdout
    assert shop.files() == before


def test_the_summary_shows_segments_rows_and_the_report(shop):
    for expected in ("VIP Customers", "541,909 source rows = 534,129 accepted + 7,780 quarantined", "exact_duplicate"):
        assert expected in shop.printed
    page = shop.folder / "reports" / f"date={AS_OF}" / "segment_report.html"
    assert str(page) in shop.printed
    assert "Loyal Mid-Spenders" in page.read_text()


def test_every_materialization_is_in_the_instance_of_the_ui(shop, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(shop.folder / "dagster"))
    with dg.DagsterInstance.get() as instance:
        for asset in ("raw_transactions", "clean_transactions", "quarantined_transactions", "customer_returns"):
            assert len(instance.get_materialized_partitions(dg.AssetKey(asset))) == 374
        assert AS_OF.isoformat() in instance.get_materialized_partitions(dg.AssetKey("segment_report"))
        assert instance.get_latest_materialization_event(dg.AssetKey("segmentation_model")) is not None


def replayed_rfm(clean: pd.DataFrame, as_of: date, window: timedelta) -> pd.DataFrame:
    """RFM by walking through every customer's lines, with a queue of unreturned items for each product and return."""
    lines = clean[clean["customer_id"].notna() & clean["line_kind"].isin(["sale", "return"]) & (clean["date"] <= as_of)]
    sales = lines[lines["line_kind"] == "sale"]
    sold = sales.groupby(["customer_id", "invoice_id"]).agg(items=("quantity", "sum"), date=("date", "max"))
    back: dict[tuple[str, str], int] = {}
    returned = set(
        map(tuple, lines.loc[lines["line_kind"] == "return", ["customer_id", "product_id"]].drop_duplicates().values)
    )
    keys = pd.MultiIndex.from_frame(lines[["customer_id", "product_id"]])
    events = (
        lines[keys.isin(list(returned))]
        .groupby(["customer_id", "product_id", "invoiced_at", "line_kind", "invoice_id", "date"], as_index=False)[
            "quantity"
        ]
        .sum()
    )
    events["comes_second"] = events["line_kind"] == "return"
    events = events.sort_values(["customer_id", "product_id", "invoiced_at", "comes_second", "invoice_id"])
    for (customer, _product), history in events.groupby(["customer_id", "product_id"]):
        seen = list(history[["date", "line_kind", "invoice_id", "quantity"]].itertuples(index=False))
        for place, event in enumerate(seen):
            if event.line_kind == "return":
                for order, items in given_back(
                    [each for each in seen[: place + 1] if each.date >= event.date - window]
                ):
                    back[customer, order] = back.get((customer, order), 0) + items
    sold["kept"] = [items > back.get(key, 0) for key, items in sold["items"].items()]
    kept = sold[sold["kept"]].reset_index().groupby("customer_id")
    customers = sorted(sales["customer_id"].unique())
    last = kept["date"].max().reindex(customers)
    return pd.DataFrame(
        {
            "recency_days": [(as_of - day).days if isinstance(day, date) else np.nan for day in last],
            "frequency": kept.size().reindex(customers, fill_value=0),
            "monetary": lines.groupby("customer_id")["amount"].sum().reindex(customers),
        },
        index=pd.Index(customers, name="customer_id"),
    )


def given_back(events: list) -> list[tuple[str, int]]:
    """What the last of these events, a return, takes from the queue that the others leave."""
    queue: deque[list] = deque()
    taken: list[tuple[str, int]] = []
    for event in events:
        if event.line_kind == "sale":
            queue.append([event.invoice_id, event.quantity])
            continue
        wanted, taken = -event.quantity, []
        while wanted and queue:
            items = min(wanted, queue[0][1])
            taken.append((queue[0][0], items))
            queue[0][1] -= items
            wanted -= items
            if not queue[0][1]:
                queue.popleft()
    return taken
