"""The shape of the configuration: every knob with its type, default, limits and unit.

Belongs here: names, what is allowed, and what a wrong value is told. Does not: reading files and variables (loading.py).
"""

import re
from datetime import date
from pathlib import Path
from typing import Annotated, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from segmentation_pipeline.settings.alerts import Alerts
from segmentation_pipeline.settings.engine import DuckDB, Engine
from segmentation_pipeline.settings.model import Drift, Migration, Model
from segmentation_pipeline.settings.patterns import checked
from segmentation_pipeline.settings.publish import Publish
from segmentation_pipeline.settings.quality import Quality
from segmentation_pipeline.settings.schedule import Schedule
from segmentation_pipeline.settings.section import Section
from segmentation_pipeline.settings.source import Source

VARIABLE_PREFIX = "SEGMENTATION_"
# Beside the files of the zones lie these, which DuckDB and Spark do not know.
NOT_ZONES = ("posix", "right", "posixrules", "localtime")

# Comparisons look years beyond both ends, and a calendar of thousands of years is longer than any tool can draw.
Day = Annotated[date, Field(ge=date(1900, 1, 1), le=date(2199, 12, 31))]


class Cleaning(Section):
    """Which lines are accepted, and what kind of line each is."""

    non_product_pattern: str | None = Field(
        r"(?i)^(POST|POSTAGE|SHIPPING|DELIVERY|CARRIAGE|DISCOUNT|ADJUST\d*|BANK CHARGES|GIFT[ _].*)$",
        description="Product ids that are no goods, as a regular expression found anywhere in the id: begin it with ^ and end it "
        "with $ for whole ids. Their lines become adjustments.",
    )
    null_tokens: tuple[str, ...] = ("NULL", "null", "NaN", "nan", "None", "N/A", "NA", "\\N")
    """Words that mean "nothing", besides empty text."""
    max_abs_quantity: Annotated[int, Field(gt=0)] = Field(1_000_000, description="A line beyond it is a typing error.")
    max_abs_unit_price: Annotated[float, Field(gt=0, lt=1e13)] = 1_000_000.0
    """A price beyond it is a typing error."""
    reject_duplicates: bool = Field(
        True, description="Whether a line equal to another in every mapped column is rejected."
    )

    @field_validator("non_product_pattern")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        return None if value is None else checked(value)


class Rfm(Section):
    """How recency, frequency and monetary value are computed."""

    return_window_days: Annotated[int, Field(ge=1, le=3650)] = Field(
        90, description="How many days a return looks back for the sale it gives back."
    )
    recent_days: Annotated[int, Field(ge=1, le=3650)] = Field(
        90, description="How many days up to the as-of day count as recent, in recent_revenue and its share."
    )


class Settings(BaseSettings):
    """The whole configuration of one shop."""

    model_config = SettingsConfigDict(
        env_prefix=VARIABLE_PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
    )

    source: Source
    shop: str = Field("Shop", description="The name in the report's title.")
    timezone: str = "UTC"
    """IANA name, such as Europe/London; days begin and end in it."""
    currency: str = Field("EUR", description="ISO 4217 code.")
    start_date: Day
    """First day of the data set."""
    end_date: Day | None = Field(None, description="The last day of a closed data set; leave out for a live feed.")
    lake: Path = Path("lake")
    """Folder of the tables."""
    reports: Path = Path("reports")
    """Folder of the reports."""
    engine: Engine = DuckDB()
    cleaning: Cleaning = Cleaning()
    rfm: Rfm = Rfm()
    model: Model = Model()
    migration: Migration = Migration()
    drift: Drift = Drift()
    quality: Quality = Quality()
    schedule: Schedule = Schedule()
    alerts: Alerts = Alerts()
    publish: Publish | None = Field(None, description="See publish; without it segments stay in the lake.")

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        refusal = f"{value!r} is no IANA time zone, such as Europe/London"
        if value.split("/", maxsplit=1)[0] in NOT_ZONES:
            raise ValueError(refusal)
        try:
            ZoneInfo(value)  # quicker than looking through a list of all zones
        except (ZoneInfoNotFoundError, ValueError, OSError) as problem:
            raise ValueError(refusal) from problem
        return value

    @field_validator("currency")
    @classmethod
    def _three_letters(cls, value: str) -> str:
        if not re.fullmatch("[A-Z]{3}", value):
            raise ValueError("give the currency's three capital letters, such as EUR")
        return value

    @model_validator(mode="after")
    def _ordered_dates(self) -> Self:
        if self.end_date is not None and self.end_date < self.start_date:
            raise ValueError(f"end_date {self.end_date} is before start_date {self.start_date}")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment variables win over the file's values, which arrive as init arguments."""
        return env_settings, init_settings

    @property
    def zone(self) -> ZoneInfo:
        """The shop's time zone."""
        return ZoneInfo(self.timezone)
