"""Opening: the engine that a shop's settings ask for.

Belongs here: choosing. Does not: the engines (duckdb.py, spark.py).
"""

from pathlib import Path

from segmentation_pipeline.resources.engines.duckdb import DuckDBEngine
from segmentation_pipeline.resources.engines.engine import Engine
from segmentation_pipeline.settings import DuckDB, Settings, Spark


def open_engine(settings: Settings) -> Engine:
    """The engine of a shop; it connects when first used, and what that takes is imported then."""
    if isinstance(settings.engine, Spark):
        from segmentation_pipeline.resources.engines.spark import SparkEngine

        return SparkEngine(settings.engine, settings.timezone, Path(settings.lake) / ".staging")
    return DuckDBEngine(settings.engine, settings.timezone)


def open_embedded(settings: Settings) -> Engine:
    """An engine in this process that leaves nothing beside the lake, for a look at a source, whatever the shop's is."""
    own = settings.engine if isinstance(settings.engine, DuckDB) else DuckDB()
    return DuckDBEngine(own.model_copy(update={"spill_folder": None}), settings.timezone)
