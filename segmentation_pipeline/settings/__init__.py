"""Every knob of the pipeline: typed, validated and documented, read from one YAML file and `SEGMENTATION_*` variables.

Belongs here: the shape of the configuration (shop.py), reading it and the one message a wrong value gives (loading.py).
Does not: acting on a setting. A unit is part of the name (`_days`, `_share`, `_rows`).
"""

from segmentation_pipeline.settings.alerts import Alerts
from segmentation_pipeline.settings.archetypes import DEFAULT_ARCHETYPES, Archetype
from segmentation_pipeline.settings.engine import DuckDB, Engine, Spark
from segmentation_pipeline.settings.loading import (
    CONFIG_VARIABLE,
    DEFAULT_CONFIG,
    ConfigurationError,
    chosen_for_one_run,
    load,
    load_configured,
)
from segmentation_pipeline.settings.model import Drift, Feature, Migration, Model
from segmentation_pipeline.settings.publish import Database, Publish
from segmentation_pipeline.settings.quality import OwnExpectation, Quality, Severity
from segmentation_pipeline.settings.schedule import Schedule
from segmentation_pipeline.settings.section import Section
from segmentation_pipeline.settings.shop import Cleaning, Rfm, Settings
from segmentation_pipeline.settings.source import NUMBERS, Columns, Files, Postgres, Source

__all__ = [
    "CONFIG_VARIABLE",
    "DEFAULT_ARCHETYPES",
    "DEFAULT_CONFIG",
    "NUMBERS",
    "Alerts",
    "Archetype",
    "Cleaning",
    "Columns",
    "ConfigurationError",
    "Database",
    "Drift",
    "DuckDB",
    "Engine",
    "Feature",
    "Files",
    "Migration",
    "Model",
    "OwnExpectation",
    "Postgres",
    "Publish",
    "Quality",
    "Rfm",
    "Schedule",
    "Section",
    "Settings",
    "Severity",
    "Source",
    "Spark",
    "chosen_for_one_run",
    "load",
    "load_configured",
]
