"""What runs over the tables: the sections of the kinds of engine, told apart by `kind`.

Belongs here: their keys and what a wrong value is told. Does not: the engines (resources/engines/), other sections (shop.py).
"""

import re
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import Field, Tag, field_validator, model_validator

from segmentation_pipeline.settings.section import Section, kind_or, told_apart

MEMORY_UNITS = {"KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
MEMORY = rf"(\d+(?:\.\d+)?) ?({'|'.join(MEMORY_UNITS)})"
# Of a raw line while it is cleaned: its text, what was read from it, and its place in the search for copies.
BYTES_PER_ROW = 1_000
LEAST_MEMORY_BYTES = 64e6
# Of the limit, what DuckDB itself is told: the rest is for rows on their way into files, which it does not count.
SHARE_OF_DUCKDB = 7 / 8
# Spark's executors spill by themselves; so many lines are a night of the largest shops, and a backfill's plan stays small.
ROWS_AT_ONCE_ON_SPARK = 200_000_000
TIMEZONE_OF_SPARK = "spark.sql.session.timeZone"
# What results, and what other engines can read, depend on is not for a configuration to change.
SETTLED_ON_SPARK = MappingProxyType(
    {
        "spark.sql.ansi.enabled": "true",  # what overflows is an error, as it is for DuckDB, and never null
        "spark.sql.timestampType": "TIMESTAMP_LTZ",
        "spark.sql.caseSensitive": "false",
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        "spark.sql.parquet.writeLegacyFormat": "false",
        "spark.sql.legacy.parquet.nanosAsLong": "true",  # else a file with nanoseconds, as pandas writes them, is refused
        "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
        "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
        "spark.sql.parquet.compression.codec": "zstd",
        "spark.sql.files.maxRecordsPerFile": "0",  # a day is one file
        "spark.sql.mapKeyDedupPolicy": "LAST_WIN",
    }
)


class DuckDB(Section):
    """The query engine in the process of the run, and what it may use."""

    kind: Literal["duckdb"] = "duckdb"
    """Which engine; may be left out."""
    memory_limit: str = "1GB"
    """Memory the engine may use before it spills, an eighth of it for rows on their way into files."""
    threads: Annotated[int, Field(ge=1)] = 2
    """Threads the engine may use."""
    spill_folder: Path | None = Field(
        None, description="Where the engine puts what does not fit; <lake>/.spill if unset."
    )

    @field_validator("memory_limit")
    @classmethod
    def _enough(cls, value: str) -> str:
        found = re.fullmatch(MEMORY, value)
        if found is None or float(found.group(1)) * MEMORY_UNITS[found.group(2)] < LEAST_MEMORY_BYTES:
            raise ValueError("give a number and a unit, such as 800MB or 2GB, and at least 64MB")
        return value

    @property
    def rows_at_once(self) -> int:
        """Transaction lines that the engine is given to work on at once: what its memory holds, windows and all."""
        return int(self._memory_bytes / BYTES_PER_ROW)

    @property
    def own_limit(self) -> str:
        """What DuckDB is told that it may use."""
        return f"{int(self._memory_bytes * SHARE_OF_DUCKDB / 1e3)}KB"

    @property
    def _memory_bytes(self) -> float:
        number, unit = re.findall(MEMORY, self.memory_limit)[0]
        return float(number) * MEMORY_UNITS[unit]


class Spark(Section):
    """Apache Spark, where one machine is outgrown; see scaling.md."""

    kind: Literal["spark"]
    """Which engine."""
    master: str | None = Field(
        None,
        description="`local[*]`, or a cluster's address, such as spark://host:7077, yarn or k8s://https://host; "
        "local[*] if neither this nor `connect` is given.",
    )
    connect: str | None = Field(
        None, description="Address of a Spark Connect server, sc://host:15002, instead of `master`."
    )
    options: dict[str, str | int | float | bool] = Field(
        {}, description="Spark's own options, such as spark.executor.memory: 8g."
    )

    @field_validator("connect")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith("sc://"):
            raise ValueError("give the address of a Spark Connect server, such as sc://host:15002")
        return value

    @field_validator("options")
    @classmethod
    def _are_sparks(cls, value: dict[str, str | int | float | bool]) -> dict[str, str | int | float | bool]:
        for name in value:
            if not name.startswith("spark."):
                raise ValueError(f"{name} is no option of Spark: their names begin with `spark.`")
            if name in (TIMEZONE_OF_SPARK, *SETTLED_ON_SPARK):
                raise ValueError(f"{name} is settled by the pipeline, because results depend on it; leave it out")
        return value

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.master is not None and self.connect is not None:
            raise ValueError("give master or connect, not both")
        return self

    @property
    def rows_at_once(self) -> int:
        """Transaction lines that the engine is given to work on at once."""
        return ROWS_AT_ONCE_ON_SPARK


kind_of = kind_or("duckdb")

Engine = Annotated[
    Annotated[DuckDB, Tag("duckdb")] | Annotated[Spark, Tag("spark")],
    told_apart("engine", kind_of, "duckdb", "spark"),
]
