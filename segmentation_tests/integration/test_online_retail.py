"""The whole pipeline on UCI Online Retail, through the command line, against independent computations in pandas."""

import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import yaml
from sklearn.cluster import KMeans

from segmentation_pipeline.resources.model_store import ModelStore
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


def test_a_snapshot_never_sees_a_later_row(shop, online_retail, tmp_path, configured):
    source = pq.read_table(online_retail)
    truncated = tmp_path / "source" / online_retail.name
    truncated.parent.mkdir()
    until = pa.scalar(pd.Timestamp(EARLIER + timedelta(days=1)), source["InvoiceDate"].type)
    pq.write_table(source.filter(pc.less(source["InvoiceDate"], until)), truncated)
    described = {**yaml.safe_load(ONLINE_RETAIL_YAML.read_text())["source"], "path": str(truncated)}
    then = shop_of(tmp_path, configured(tmp_path, ONLINE_RETAIL_YAML, source=described), EARLIER)

    assert shop.segmentation("run", "--as-of", EARLIER.isoformat()).returncode == 0
    for asset in ("customer_orders", "customer_returns", "rfm_features"):
        path = f"lake/{asset}/date={EARLIER}/part-0.parquet"
        assert (shop.folder / path).read_bytes() == (then.folder / path).read_bytes(), asset


def test_a_second_run_from_nothing_writes_the_same_bytes(shop, tmp_path, configured):
    before = shop.files()
    source = yaml.safe_load(shop.config.read_text())["source"]
    again = shop_of(tmp_path, configured(tmp_path, ONLINE_RETAIL_YAML, source=source), AS_OF).files()
    assert {path: content == before[path] for path, content in again.items()} == dict.fromkeys(again, True)


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
    for (customer, _), history in events.groupby(["customer_id", "product_id"]):
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
