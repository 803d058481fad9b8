"""Inspection: reading what is there, for people at a terminal.

Belongs here: a look at the source before a run, and at the lake after one. Does not: changing either, layout.
"""

import tempfile
from dataclasses import dataclass
from datetime import date, timedelta

import pandas as pd
from ibis import _
from upath import UPath

from segmentation_pipeline.core import cleaning, profiling, schema
from segmentation_pipeline.resources.engine import DuckDBEngine
from segmentation_pipeline.resources.lake import Lake
from segmentation_pipeline.resources.sources.files import FileSource
from segmentation_pipeline.settings import Settings

EXAMPLES = 3


@dataclass(frozen=True)
class SourceInspection:
    """What a source holds: `column_types` by canonical name, rows, days, and `reasons` (reason, description, rows, examples)."""

    path: str
    files: int
    column_types: dict[str, str]
    columns: dict[str, str]
    rows: int
    first_day: date | None
    last_day: date | None
    undated_rows: int
    reasons: pd.DataFrame


@dataclass(frozen=True)
class Results:
    """What a run left for its as-of day: `schema.SEGMENT_PROFILES`, and rows by day and by reason up to it."""

    profiles: pd.DataFrame
    days: pd.DataFrame
    reasons: pd.DataFrame


def inspect(settings: Settings) -> SourceInspection:
    """Read the whole source and judge every row, in a temporary folder of its own.

    Raises:
        SourceError: It cannot be read.
    """
    with tempfile.TemporaryDirectory() as folder:
        engine = DuckDBEngine(settings.engine.model_copy(update={"spill_folder": None}), settings.timezone)
        source = FileSource(settings, engine, UPath(folder))
        files = source.files()
        last = max(source.last_day() or settings.start_date, settings.end_date or settings.start_date)
        days = [settings.start_date + timedelta(days=number) for number in range((last - settings.start_date).days + 1)]
        classified = cleaning.classify(source.rows(days), settings)
        place = _.source_file + " row " + _.source_row.cast("string")
        found = (
            classified.filter(_.reason.notnull())
            .mutate(place=place)
            .group_by("reason")
            .agg(rows=_.count(), examples=_.place.collect(order_by=["source_file", "source_row"])[:EXAMPLES])
            .order_by(_["rows"].desc())
        )
        reasons = engine.to_pandas(found)
        return SourceInspection(
            path=settings.source.path,
            files=len(files),
            column_types=source.column_types(),
            columns=settings.source.columns.mapped(),
            rows=sum(file.rows for file in files),
            first_day=min((file.first_day for file in files if file.first_day), default=None),
            last_day=source.last_day(),
            undated_rows=sum(file.undated_rows for file in files),
            reasons=reasons.assign(description=reasons["reason"].map(cleaning.DESCRIPTIONS)),
        )


def results(lake: Lake, day: date) -> Results:
    """What stands in the lake for a day."""
    profile = lake.read(schema.CLEANING_PROFILE, [each for each in lake.days("cleaning_profile") if each <= day])
    reasons = lake.engine.to_pandas(profiling.rows_by_reason(profile))
    return Results(
        profiles=lake.engine.to_pandas(lake.read(schema.SEGMENT_PROFILES, [day])),
        days=lake.engine.to_pandas(profiling.rows_by_day(profile)),
        reasons=reasons.assign(description=reasons["reason"].map(cleaning.DESCRIPTIONS)),
    )
