"""Every knob of the pipeline: typed, validated and documented, read from one YAML file and `SEGMENTATION_*` variables.

Belongs here: names, types, defaults, limits, and the one message a wrong value gives.
Does not: acting on a setting. A unit is part of the name (`_days`, `_share`, `_rows`).
"""

import os
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from segmentation_pipeline.core.naming import DEFAULT_ARCHETYPES, Archetype
from segmentation_pipeline.errors import PipelineError

CONFIG_VARIABLE = "SEGMENTATION_CONFIG"
DEFAULT_CONFIG = Path("data/shop.yaml")

Feature = Literal["recency_days", "frequency", "monetary"]
Share = Annotated[float, Field(ge=0, le=1)]


class ConfigurationError(PipelineError):
    """The configuration cannot be used; the message names the file, the key and what is allowed."""


class Section(BaseModel):
    """A part of the configuration: unknown keys are refused, values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Columns(Section):
    """Canonical column name: its name in the source. A column that is not mapped does not exist for the pipeline."""

    customer_id: str
    invoiced_at: str
    unit_price: str | None = None
    amount: str | None = None
    quantity: str | None = None
    invoice_id: str | None = None
    product_id: str | None = None
    description: str | None = None
    country: str | None = None

    @model_validator(mode="after")
    def _one_price(self) -> Self:
        if (self.unit_price is None) == (self.amount is None):
            raise ValueError("map exactly one of unit_price (price of one item) and amount (the line total)")
        return self

    def mapped(self) -> dict[str, str]:
        """Canonical name to source name, of the columns that the source has."""
        return {name: source for name, source in self.model_dump().items() if source is not None}


class Source(Section):
    """Where transaction lines come from and how to read them."""

    kind: Literal["files"] = "files"
    path: str = Field(
        description="Glob of csv, csv.gz, parquet or xlsx files; %Y, %m and %d stand for digits of a date."
    )
    columns: Columns
    timestamp_format: str | None = Field(
        None, description="Of %Y %m %d %H %M %S, such as '%d/%m/%Y %H:%M'; without it, ISO 8601."
    )
    decimal: Literal[".", ","] = "."
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = Field(
        None, description="csv; found if unset."
    )
    encoding: str = Field("utf-8", description="csv, such as 'latin-1'.")

    @field_validator("timestamp_format")
    @classmethod
    def _known_directives(cls, value: str | None) -> str | None:
        if value is None:
            return value
        directives = re.findall(r"%.", value)
        unknown = sorted(set(directives) - {"%Y", "%m", "%d", "%H", "%M", "%S"})
        if unknown or not {"%Y", "%m", "%d"} <= set(directives) or len(set(directives)) != len(directives):
            raise ValueError("give %Y, %m and %d once each, and of %H, %M and %S what there is")
        return value

    @property
    def measure(self) -> Literal["items", "amount"]:
        """What returns are matched by: items, or money where the source has no quantities."""
        return "items" if self.columns.quantity else "amount"


class Engine(Section):
    """The embedded query engine and what it may use."""

    kind: Literal["duckdb"] = "duckdb"
    memory_limit: Annotated[str, Field(pattern=r"^\d+(\.\d+)? ?(KB|MB|GB|TB|KiB|MiB|GiB|TiB)$")] = "1GB"
    threads: Annotated[int, Field(ge=1)] = 2
    spill_folder: Path | None = Field(
        None, description="Where the engine puts what does not fit; <lake>/.spill if unset."
    )


class Cleaning(Section):
    """Which lines are accepted, and what kind of line each is."""

    non_product_pattern: str | None = Field(
        r"(?i)^(POST|POSTAGE|SHIPPING|DELIVERY|CARRIAGE|DISCOUNT|ADJUST\d*|BANK CHARGES|GIFT[ _].*)$",
        description="Product ids that are no goods (whole id); their lines become adjustments.",
    )
    null_tokens: tuple[str, ...] = ("NULL", "null", "NaN", "nan", "None", "N/A", "NA", "\\N")
    max_abs_quantity: Annotated[int, Field(gt=0)] = Field(1_000_000, description="A line beyond it is a typing error.")
    max_abs_unit_price: Annotated[float, Field(gt=0, lt=1e13)] = 1_000_000.0
    reject_duplicates: bool = Field(
        True, description="Whether a line equal to another in every mapped column is rejected."
    )

    @field_validator("non_product_pattern")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                re.compile(value)
            except re.error as problem:
                raise ValueError(f"is no regular expression: {problem}") from problem
        return value


class Rfm(Section):
    """How recency, frequency and monetary value are computed."""

    return_window_days: Annotated[int, Field(ge=1, le=3650)] = Field(
        90, description="How many days a return looks back for the sale it gives back."
    )


class Model(Section):
    """How clusters are found, how many, and what the segments are called."""

    features: tuple[Feature, ...] = ("recency_days", "frequency", "monetary")
    algorithm: Literal["kmeans", "ward"] = "kmeans"
    min_k: Annotated[int, Field(ge=2)] = 2
    max_k: Annotated[int, Field(le=12)] = 8
    k: Annotated[int, Field(ge=2, le=12)] | None = Field(None, description="Overrides the policy's choice.")
    sample_rows: Annotated[int, Field(ge=100)] = Field(20_000, description="Customers scikit-learn sees at most.")
    seed: int = 42
    restarts: Annotated[int, Field(ge=1)] = 10
    winsor_share: Annotated[float, Field(ge=0, lt=0.25)] = Field(0.005, description="Cut at each end before scaling.")
    min_segment_share: Share = Field(0.02, description="A k with a smaller segment is vetoed.")
    min_silhouette: Annotated[float, Field(ge=-1, le=1)] = Field(0.25, description="A k below it is vetoed.")
    archetypes: tuple[Archetype, ...] = DEFAULT_ARCHETYPES

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.min_k > self.max_k:
            raise ValueError(f"min_k ({self.min_k}) is above max_k ({self.max_k})")
        if len({archetype.name for archetype in self.archetypes}) != len(self.archetypes):
            raise ValueError("archetypes: every name may be given once")
        if len(self.archetypes) < max(self.max_k, self.k or 0):
            raise ValueError(f"archetypes: {len(self.archetypes)} names do not cover max_k = {self.max_k} segments")
        if not self.features or len(set(self.features)) != len(self.features):
            raise ValueError("features: give each at most once, and at least one")
        return self


class Schedule(Section):
    """When the night's run starts, in the shop's time zone."""

    hour: Annotated[int, Field(ge=0, le=23)] = 3
    minute: Annotated[int, Field(ge=0, le=59)] = 0


class Settings(BaseSettings):
    """The whole configuration of one shop."""

    model_config = SettingsConfigDict(
        env_prefix="SEGMENTATION_", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    source: Source
    shop: str = Field("Shop", description="The name in the report's title.")
    timezone: str = "UTC"
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "EUR"
    start_date: date
    end_date: date | None = Field(None, description="The last day of a closed data set; leave out for a live feed.")
    lake: Path = Path("lake")
    reports: Path = Path("reports")
    engine: Engine = Engine()
    cleaning: Cleaning = Cleaning()
    rfm: Rfm = Rfm()
    model: Model = Model()
    schedule: Schedule = Schedule()

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"{value!r} is no IANA time zone, such as Europe/London")
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


def load(file: Path) -> Settings:
    """Read and validate one configuration file; relative paths in it are relative to its folder.

    Raises:
        ConfigurationError: The file is missing, is no YAML, or a key or value is not allowed.
    """
    if not file.is_file():
        raise ConfigurationError(
            f"{file}: there is no such configuration file. Name one with --config or ${CONFIG_VARIABLE}."
        )
    try:
        content = yaml.safe_load(_with_environment(file.read_text(encoding="utf-8"), file))
    except (yaml.YAMLError, ValueError) as problem:
        raise ConfigurationError(f"{file}: is no YAML: {problem}") from problem
    if not isinstance(content, dict):
        raise ConfigurationError(f"{file}: expected keys such as source, start_date and lake, found {content!r:.60}")
    try:
        settings = Settings(**content)
    except ValidationError as problem:
        raise ConfigurationError(_in_plain_words(file, problem)) from None
    return _anchored(settings, file.resolve().parent)


def load_configured() -> Settings:
    """The settings named by `SEGMENTATION_CONFIG`, or else by the example that `make run` uses."""
    return load(Path(os.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG))


def _with_environment(text: str, file: Path) -> str:
    """Replace `${NAME}` and `${NAME:-default}` by environment variables, so that no secret stands in a file."""

    def value(match: re.Match[str]) -> str:
        name, default = match.group("name"), match.group("default")
        found = os.environ.get(name) or default
        if found is None:
            raise ConfigurationError(f"{file}: uses ${{{name}}}, and the environment variable {name} is not set")
        return found

    return re.sub(r"\$\{(?P<name>[A-Za-z_]\w*)(:-(?P<default>[^}]*))?\}", value, text)


def _anchored(settings: Settings, folder: Path) -> Settings:
    source = settings.source
    if "://" not in source.path:
        source = source.model_copy(update={"path": os.path.normpath(folder / source.path)})
    spill = settings.engine.spill_folder
    engine = settings.engine.model_copy(
        update={"spill_folder": folder / spill if spill else folder / settings.lake / ".spill"}
    )
    return settings.model_copy(
        update={
            "source": source,
            "engine": engine,
            "lake": Path(os.path.normpath(folder / settings.lake)),
            "reports": Path(os.path.normpath(folder / settings.reports)),
        }
    )


def _in_plain_words(file: Path, problem: ValidationError) -> str:
    lines = []
    for error in problem.errors():
        key = ".".join(str(part) for part in error["loc"]) or "(the whole file)"
        if error["type"] == "extra_forbidden":
            allowed = ", ".join(_allowed_keys(error["loc"][:-1]))
            lines.append(f"{key}: is no known key; allowed here: {allowed}")
        elif error["type"] == "missing":
            lines.append(f"{key}: is required")
        else:
            message = error["msg"].removeprefix("Value error, ")
            lines.append(f"{key}: {message}" + _given(error["input"]))
    return f"{file}: the configuration cannot be used\n" + "\n".join(f"  {line}" for line in lines)


def _given(value: Any) -> str:
    return "" if isinstance(value, (Mapping, BaseModel)) else f" (given: {value!r:.80})"


def _allowed_keys(path: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = Settings
    for part in path:
        field = model.model_fields.get(str(part))
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, BaseModel):
            break
        model = field.annotation
    return list(model.model_fields)
