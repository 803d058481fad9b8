"""Opening: the engine that a shop's settings ask for.

Belongs here: choosing. Does not: the engines (duckdb.py).
"""

from segmentation_pipeline.resources.engines.duckdb import DuckDBEngine
from segmentation_pipeline.resources.engines.engine import Engine
from segmentation_pipeline.settings import Settings


def open_engine(settings: Settings) -> Engine:
    """The engine of a shop; it connects when first used."""
    return DuckDBEngine(settings.engine, settings.timezone)


def open_embedded(settings: Settings) -> Engine:
    """An engine in this process that leaves nothing beside the lake, for a look at a source."""
    return DuckDBEngine(settings.engine.model_copy(update={"spill_folder": None}), settings.timezone)
