"""Inspection: reading what is there, for people at a terminal.

Belongs here: a look at the source before a run, and at the lake after one. Does not: changing either, layout.
"""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import ibis
import pandas as pd
from ibis import _
from upath import UPath

from segmentation_pipeline.checks.profiles import profile_of_cleaning
from segmentation_pipeline.core import cleaning, schema
from segmentation_pipeline.core.profiling import clean
from segmentation_pipeline.errors import PipelineError
from segmentation_pipeline.resources.engines.opening import open_embedded
from segmentation_pipeline.resources.erasure import Traces
from segmentation_pipeline.resources.forgotten import Named
from segmentation_pipeline.resources.lake import Lake
from segmentation_pipeline.resources.model_store import ModelStore
from segmentation_pipeline.resources.sources.opening import open_source, wait_until_settled
from segmentation_pipeline.settings import Settings

EXAMPLES = 3
MODEL_FACTS = ("as_of", "algorithm", "k", "fitted_on_customers", "silhouette", "stability", "saved_at", "promotion")


class UnknownCustomer(PipelineError):
    """The lake has no row of a customer."""


@dataclass(frozen=True)
class Request:
    """Who is to be forgotten, and where they are named."""

    named: Named
    traces: Traces


@dataclass(frozen=True)
class SourceInspection:
    """What a source holds.

    `files` is None where it is a table; `column_types` go by canonical name; `reasons` has reason, description, rows and
    examples.
    """

    place: str
    files: int | None
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


@dataclass(frozen=True)
class Quarantine:
    """What is quarantined on some days.

    Attributes:
        first_day: First day looked at that is in the lake; None if none is.
        last_day: Last one.
        reasons: One row per reason, most rows first: `reason`, `rows`, `days`, `amount`, `description`.
        days: One row per day and reason, the latest first: `date`, `reason`, `rows`.
        samples: Some rows of each reason, as they came: `reason`, `date`, `place`, `failed_rules` and the source's columns.
    """

    first_day: date | None
    last_day: date | None
    reasons: pd.DataFrame
    days: pd.DataFrame
    samples: pd.DataFrame


def models(store: ModelStore) -> pd.DataFrame:
    """One row per version of the model, the latest first: `version`, `is_in_force`, `segments` and what its card says."""
    in_force = store.in_force() if store.digest() else None
    rows = []
    for version in reversed(store.versions()):
        model = store.load(version)
        facts = {name: model.card[name] for name in MODEL_FACTS}
        segments = [f"{segment.segment_id} {segment.name}" for segment in model.segments]
        rows.append({"version": version, "is_in_force": version == in_force, "segments": segments, **facts})
    return pd.DataFrame(rows, columns=["version", "is_in_force", "segments", *MODEL_FACTS])


def quarantine(lake: Lake, first: date | None, last: date | None, reason: str | None, samples: int) -> Quarantine:
    """Reasons, counts and samples of the quarantined rows of the lake, of some days or all, for one reason or all."""
    stored = [day for day in lake.days("quarantined_transactions") if (first or day) <= day <= (last or day)]
    layout = schema.QUARANTINED_TRANSACTIONS
    if not stored:
        empty = pd.DataFrame(columns=["reason", "rows"])
        return Quarantine(None, None, empty, empty, empty)
    rows = lake.read(layout, stored)
    rows = rows.filter(_.reason == reason) if reason else rows
    by_reason = rows.group_by("reason").agg(rows=_.count(), days=_.date.nunique(), amount=_.amount_at_stake.sum())
    by_day = rows.group_by("date", "reason").agg(rows=_.count()).order_by(_.date.desc(), _["rows"].desc())
    numbered = rows.mutate(
        number=ibis.row_number().over(group_by="reason", order_by=[_.date.desc(), _.source_file, _.source_row]),
        place=_.source_file + " row " + _.source_row.cast("string"),
    )
    chosen = numbered.filter(_.number < samples).order_by("reason", "number")
    reasons = lake.engine.to_pandas(by_reason.order_by(_["rows"].desc(), "reason"))
    return Quarantine(
        first_day=stored[0],
        last_day=stored[-1],
        reasons=reasons.assign(description=reasons["reason"].map(cleaning.DESCRIPTIONS)),
        days=lake.engine.to_pandas(by_day),
        samples=lake.engine.to_pandas(chosen.select("reason", "date", "place", "failed_rules", *schema.SOURCE_COLUMNS)),
    )


def asked_to_forget(resources: Mapping[str, Any], customer: str) -> Request:
    """Where a customer is named who is to be forgotten.

    Raises:
        UnknownCustomer: No row of the lake names them, and they were not forgotten before.
    """
    named = resources["tombstones"].named(customer)
    traces = resources["erasure"].traces(named.digest)
    if not traces.days and resources["tombstones"].forgotten_on(named.digest) is None:
        raise UnknownCustomer(
            f"No line of the lake {resources['lake'].root} has customer {customer}; nothing was done. See that the id is "
            "as the source spells it, and that `segmentation run` has read the days with their lines."
        )
    return Request(named, traces)


def inspect(settings: Settings, tell: Callable[[str], None]) -> SourceInspection:
    """Read the whole source and judge every row, in a temporary folder of its own.

    Args:
        settings: The shop's configuration.
        tell: Takes a line for people who wait, where a file still grows.

    Raises:
        SourceError: It cannot be read.
        TransientFault: It cannot be reached.
    """
    with tempfile.TemporaryDirectory() as folder:
        engine = open_embedded(settings)
        source = open_source(settings, engine, UPath(folder))
        wait_until_settled(source, settings, tell)
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
            place=source.place,
            files=len(files) if settings.source.kind == "files" else None,
            column_types=source.column_types(),
            columns=settings.source.columns.mapped(),
            rows=sum(file.rows for file in files),
            first_day=source.first_day(),
            last_day=source.last_day(),
            undated_rows=sum(file.undated_rows for file in files),
            reasons=reasons.assign(description=reasons["reason"].map(cleaning.DESCRIPTIONS)),
        )


def results(lake: Lake, first_day: date, day: date) -> Results:
    """What stands in the lake for a day, with the rows of all days since the first."""
    days = profile_of_cleaning(lake, first_day, day)
    return Results(
        profiles=lake.engine.to_pandas(lake.read(schema.SEGMENT_PROFILES, [day])),
        days=days,
        reasons=clean.rows_by_reason(days),
    )
