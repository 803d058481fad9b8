"""Forgetting a customer of a PostgreSQL table: what was fetched loses them, still counts as whole, and stays without."""

from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from upath import UPath

from segmentation_pipeline.resources.engines.duckdb import DuckDBEngine
from segmentation_pipeline.resources.forgotten import Tombstones
from segmentation_pipeline.resources.sources.postgres import PostgresSource
from segmentation_pipeline.settings import Settings, load
from segmentation_tests.integration.postgres_shop import as_reader, changed, configure, digests, make_table, raw, sell

CUSTOMER = "90441773"


@pytest.fixture
def database(database_server, database_url):
    with as_reader(database_server, database_url) as owner:
        make_table(owner)
        sell(owner, [f"2025-03-{day:02d} 10:00" for day in range(1, 6)])
        sell(owner, ["2025-03-02 11:00", "2025-03-04 11:00"], CustomerID=CUSTOMER)
        yield owner


def opened(settings: Settings) -> tuple[PostgresSource, Tombstones]:
    engine = DuckDBEngine(settings.engine, settings.timezone)
    tombstones = Tombstones(settings, engine, UPath(settings.lake / "forgotten"))
    return PostgresSource(settings, engine, UPath(settings.lake / ".sources"), tombstones), tombstones


def copies(settings: Settings) -> dict[str, int]:
    return {file.name: file.stat().st_mtime_ns for file in (settings.lake / ".sources").glob("*-*.parquet")}


def naming(folder: Path) -> list[str]:
    return [file.name for file in folder.rglob("*.parquet") if CUSTOMER in pq.read_table(file).to_pandas().to_csv()]


def test_what_was_fetched_loses_the_customer_and_is_not_fetched_again(database, tmp_path):
    settings = load(configure(tmp_path))
    source, tombstones = opened(settings)
    before, frame = digests(source), raw(source)
    assert len(naming(settings.lake)) == 2
    digest = tombstones.named(f"{CUSTOMER}.0").digest
    tombstones.add(digest)
    unnamed = raw(source)
    untouched = copies(settings)
    assert source.forget(tombstones.one(digest)) == 2
    assert not naming(settings.lake)
    rewritten = copies(settings)
    assert len({name for name in untouched if untouched[name] != rewritten[name]}) == 2
    again, _tombstones = opened(settings)
    found = raw(again)
    assert found.equals(unnamed) and found["quantity"].equals(frame["quantity"])
    assert (changed(before, digests(again)), copies(settings)) == (set(), rewritten)


def test_a_day_that_is_fetched_later_comes_without_the_customer(database, tmp_path):
    settings = load(configure(tmp_path))
    source, tombstones = opened(settings)
    raw(source)
    digest = tombstones.named(CUSTOMER).digest
    tombstones.add(digest)
    source.forget(tombstones.one(digest))
    sell(database, ["2025-03-04 12:00", "2025-03-20 12:00"], CustomerID=CUSTOMER)
    source.refresh()
    assert len(raw(source)) == 9
    assert not naming(settings.lake)
    late = raw(source, date(2025, 3, 20))
    assert late["customer_id"].str.startswith("forgotten:").all()
