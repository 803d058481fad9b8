"""What several rooms of tests share: the real data set, small shops, and configurations that write to a folder of the test."""

import gc
import os
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import NoReturn

import pytest
import yaml
from pytest_postgresql.executors import PostgreSQLExecutor

from segmentation_pipeline import sample_data
from segmentation_pipeline.instance import BATCH_VARIABLE, EVENTS_PER_BATCH
from segmentation_pipeline.resources.engines.spark import SparkEngine
from segmentation_pipeline.settings import Settings, Spark, load
from segmentation_tests.database import empty_database, installed_server, running_server

# As the command does: Python seldom looks for garbage among a million objects of what was imported, and Dagster writes the
# events of a step together.
gc.set_threshold(100_000, 20, 100)
os.environ.setdefault(BATCH_VARIABLE, EVENTS_PER_BATCH)

PROJECT = Path(__file__).resolve().parent.parent
# Small tables are quicker in few tasks, and short lives with Java's quick compiler alone.
SPARK = Spark(
    kind="spark",
    master="local[2]",
    options={
        "spark.sql.shuffle.partitions": 2,
        "spark.default.parallelism": 2,
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m -XX:+UseSerialGC",
    },
)
# Choosing among few models takes a fraction of the time of choosing among all.
FEW_FITS = {"max_k": 4, "restarts": 3}
ONLINE_RETAIL_YAML = PROJECT / "data" / "online_retail.yaml"


def lacking(what: str) -> NoReturn:
    """Skip a test for something that this machine has not; in CI, where everything must be tested, fail it."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="session")
def online_retail() -> Path:
    """The Online Retail file; without it, tests that need it are skipped, but in CI they fail."""
    named = os.environ.get("SEGMENTATION_ONLINE_RETAIL")
    file = Path(named) if named else PROJECT.parent / "shared" / "data" / "online_retail.parquet"
    if not file.exists():
        message = f"{file} is missing: get UCI 'Online Retail' (doi 10.24432/C5BW33) and name it in SEGMENTATION_ONLINE_RETAIL"
        lacking(message)
    return file.resolve()


@pytest.fixture(scope="session")
def configured() -> Callable[..., Path]:
    """Writes a shipped configuration, with changes, into a folder, and returns the file."""

    def write(folder: Path, shipped: Path, **changes: object) -> Path:
        described = {"lake": "lake", "reports": "reports", **changes}
        content = {**yaml.safe_load(shipped.read_text()), **described}
        content["source"] = {"settle_seconds": 0, **content["source"]}
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "shop.yaml"
        file.write_text(yaml.safe_dump(content, allow_unicode=True))
        return file

    return write


@pytest.fixture(scope="module")
def small_shop(tmp_path_factory: pytest.TempPathFactory, configured: Callable[..., Path]) -> Settings:
    """Twenty days of a simulated shop of 300 customers, nothing of it ingested yet."""
    folder = tmp_path_factory.mktemp("shop")
    shop = sample_data.Shop(300, 200, date(2025, 7, 1), date(2025, 7, 20), seed=11)
    sample_data.simulate(folder / "landing", shop)
    days = {"start_date": shop.start_date, "end_date": shop.end_date}
    return load(configured(folder, PROJECT / "data" / "shop.yaml", model=FEW_FITS, **days))


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> SparkEngine:
    """Spark in this test process, two threads; without Java, tests that need it are skipped, but in CI they fail."""
    if shutil.which("java") is None:
        message = "no Java is installed: install your system's package, such as Debian's default-jre-headless"
        lacking(message)
    return SparkEngine(SPARK, "Europe/London", tmp_path_factory.mktemp("spark"))


@pytest.fixture(scope="session")
def database_server() -> Iterator[PostgreSQLExecutor]:
    """A PostgreSQL server of this test process; without one installed, tests that need it are skipped, but in CI they fail."""
    pg_ctl = installed_server()
    if pg_ctl is None:
        message = "no PostgreSQL server is installed: install your system's package, such as Debian's postgresql"
        lacking(message)
    with running_server(pg_ctl) as server:
        yield server


@pytest.fixture(scope="module")
def database_url(database_server: PostgreSQLExecutor, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a fresh, empty database of the test's module, with its owner's rights."""
    name = re.sub(r"\W", "_", request.module.__name__.rsplit(".", 1)[-1])
    with empty_database(database_server, name) as url:
        yield url
