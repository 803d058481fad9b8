"""A Spark session for one shop: where it runs, what is settled for it, and what is said where it cannot be had.

Belongs here: options, what a terminal is spared, messages about a missing PySpark, Java or server.
Does not: what is settled (settings/engine.py), running expressions (spark.py), the meaning of operations (spark_dialect.py).
"""

import os
import shutil
import socket
import warnings
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from segmentation_pipeline.errors import PipelineError, TransientFault
from segmentation_pipeline.settings import Spark
from segmentation_pipeline.settings.engine import SETTLED_ON_SPARK, TIMEZONE_OF_SPARK

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LOGGING = Path(__file__).with_name("log4j2.properties")
JAVA_OPTIONS = "spark.driver.extraJavaOptions"
CONNECT_PORT = 15002
SECONDS_TO_ANSWER = 10

# Of the Java process of the driver: they count only when it starts.
_AT_START = {"spark.app.name": "segmentation", "spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false"}
# The driver lists files itself rather than start a job for it: a lake's partitions are one file each.
_PREFERRED = {"spark.sql.sources.parallelPartitionDiscovery.threshold": "100000"}


class SparkMissing(PipelineError):
    """What the engine needs on this machine is not there; the message says what to install."""


class SparkUnreachable(TransientFault):
    """The cluster or the Spark Connect server does not answer."""


def open_session(settings: Spark, timezone: str) -> "SparkSession":
    """A session of its own; several in one process share its Java process.

    Raises:
        SparkMissing: PySpark or Java is not installed.
        SparkUnreachable: The cluster or server does not answer.
    """
    warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
    try:
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError as problem:
        raise SparkMissing(
            f"engine.kind is spark, and PySpark cannot be imported ({problem}). Install it with "
            "`pip install 'segmentation-pipeline[spark]'`, or set engine.kind: duckdb."
        ) from problem
    given = {name: _text(value) for name, value in settings.options.items()}
    builder = SparkSession.builder
    try:
        if settings.connect:
            _knock(settings.connect)
            session = builder.remote(settings.connect).create()
        else:
            _check_java()
            master = settings.master or "local[*]"
            for name, value in {**_AT_START, **given, JAVA_OPTIONS: _quiet(given)}.items():
                builder = builder.config(name, value)
            session = builder.master(master).getOrCreate().newSession()
        for name, value in {
            **_PREFERRED,
            **_settable(given),
            **SETTLED_ON_SPARK,
            TIMEZONE_OF_SPARK: timezone,
        }.items():
            session.conf.set(name, value)
    except (PySparkException, OSError, RuntimeError) as problem:
        where = settings.connect or settings.master or "local[*]"
        told = str(problem).strip().split("\n")[0]
        raise SparkUnreachable(
            f"No Spark session could be had at {where} ({told}). See that it runs and that this machine reaches it."
        ) from problem
    return session


def _knock(address: str) -> None:
    """See that there is a server; its client would try again for ten minutes."""
    found = urlsplit(address)
    socket.create_connection((found.hostname or "localhost", found.port or CONNECT_PORT), SECONDS_TO_ANSWER).close()


def _check_java() -> None:
    """PySpark starts Java, and where there is none says so in a traceback."""
    home = os.environ.get("JAVA_HOME")
    if not (Path(home, "bin", "java").exists() if home else shutil.which("java")):
        looked = f"JAVA_HOME is {home}, where there is no bin/java" if home else "there is no `java` on the PATH"
        raise SparkMissing(
            f"engine.kind is spark, which needs Java 17 or 21, and {looked}. Install it, such as Debian's "
            "default-jre-headless, or set engine.kind: duckdb."
        )


def _quiet(given: dict[str, str]) -> str:
    """Options of the driver's Java, with the logging of log4j2.properties unless other logging is asked for."""
    asked = given.get(JAVA_OPTIONS, "")
    return (
        asked
        if "log4j2.configurationFile" in asked
        else f"{asked} -Dlog4j2.configurationFile={LOGGING.as_uri()}".strip()
    )


def _settable(given: dict[str, str]) -> dict[str, str]:
    """The options that a running session takes: those of its queries."""
    return {name: value for name, value in given.items() if name.startswith("spark.sql.")}


def _text(value: str | int | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
