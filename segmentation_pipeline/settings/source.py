"""Where transaction lines come from: the sections of the kinds of source, told apart by `kind`.

Belongs here: their keys and what a wrong value is told. Does not: reading lines (resources/sources/), other sections (shop.py).
"""

import re
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, Tag, field_validator, model_validator

from segmentation_pipeline.settings.section import Section, kind_or, told_apart

NUMBERS = ("quantity", "unit_price", "amount")
_IDENTIFIER = r"[^\W\d][\w$]{0,62}"  # as PostgreSQL takes a name without quotes


class Columns(Section):
    """Canonical column name: its name in the source. A column that is not mapped does not exist for the pipeline."""

    customer_id: str
    """Customer; a line without one is a guest's."""
    invoiced_at: str
    """Moment of sale; without a zone, taken in the shop's time zone."""
    unit_price: str | None = None
    """Price of one item; this or `amount`."""
    amount: str | None = None
    """Line total; this or `unit_price`."""
    quantity: str | None = None
    """Items, below zero for a return; without it every line is one item."""
    invoice_id: str | None = None
    """Invoice or credit note; without it, one order per customer and second."""
    product_id: str | None = None
    """Product; returns are matched to sales of the same one."""
    description: str | None = None
    """Product description."""
    country: str | None = None
    """Country of the customer."""

    @model_validator(mode="after")
    def _one_price(self) -> Self:
        if (self.unit_price is None) == (self.amount is None):
            raise ValueError("map exactly one of unit_price (price of one item) and amount (the line total)")
        return self

    def mapped(self) -> dict[str, str]:
        """Canonical name to source name, of the columns that the source has."""
        return {name: source for name, source in self.model_dump().items() if source is not None}


class AnySource(Section):
    """What sources of every kind have."""

    columns: Columns

    @property
    def measure(self) -> Literal["items", "amount"]:
        """What returns are matched by: items, or money where the source has no quantities."""
        return "items" if self.columns.quantity else "amount"


class Files(AnySource):
    """Transaction lines in files, and how to read them."""

    kind: Literal["files"] = "files"
    """What kind of source it is; may be left out."""
    path: Annotated[str, Field(min_length=1)] = Field(
        description="Glob of csv, csv.gz, parquet or xlsx files; %Y, %m and %d stand for digits of a date."
    )
    timestamp_format: str | None = Field(
        None, description="Of %Y %m %d %H %M %S, such as '%d/%m/%Y %H:%M'; without it, ISO 8601."
    )
    decimal: Literal[".", ","] = "."
    """Sign before the decimals, in text."""
    delimiter: str | None = Field(None, description="csv; found if unset.")
    encoding: str = Field("utf-8", description="csv, such as 'latin-1'.")
    settle_seconds: Annotated[float, Field(ge=0, le=86_400)] = Field(
        10,
        description="A file that changed within this many seconds is taken to be still growing and is left for the next look.",
    )
    removed_files: Literal["keep", "drop"] = Field(
        "keep",
        description="Whether the rows of a file that is no longer there still count, as long as `path` stays as it is. `drop` "
        "computes its days again without it.",
    )

    @field_validator("path")
    @classmethod
    def _local(cls, value: str) -> str:
        if "://" in value:
            raise ValueError("is an address; files are read from folders of this machine, so mount or copy them there")
        return value

    @field_validator("delimiter")
    @classmethod
    def _one_sign(cls, value: str | None) -> str | None:
        sign = "\t" if value == "\\t" else value
        if sign is not None and (len(sign) != 1 or not sign.isascii() or sign in '"\r\n'):
            raise ValueError("give one sign, such as ';' or '\\t'")
        return sign

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            "".encode(value)
        except LookupError as problem:
            raise ValueError("is no known encoding, such as utf-8, latin-1 or cp1252") from problem
        return value

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


class Postgres(AnySource):
    """Transaction lines in a table or view of a PostgreSQL database, which is only read from."""

    # Columns have types there, and numbers and moments one way to be written.
    timestamp_format: ClassVar[None] = None
    decimal: ClassVar[str] = "."

    kind: Literal["postgres"]
    """What kind of source it is."""
    table: str
    """Schema and table, such as public.sales."""
    high_water_mark: Annotated[str, Field(min_length=1)] = Field(
        description="A column that grows with each insert or update, such as updated_at, to find new rows by; give it an index."
    )
    url_variable: str = Field(
        "SHOP_DATABASE_URL",
        description="Name of the environment variable that holds the address, postgresql://user:password@host/database.",
    )

    @field_validator("table")
    @classmethod
    def _schema_and_table(cls, value: str) -> str:
        if not re.fullmatch(rf"{_IDENTIFIER}\.{_IDENTIFIER}", value):
            raise ValueError("give schema and table, such as public.sales; a view can give other names")
        return value

    @field_validator("url_variable")
    @classmethod
    def _name_of_a_variable(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
            raise ValueError("give the name of an environment variable; the address itself does not belong in a file")
        return value


kind_of = kind_or("files")

Source = Annotated[
    Annotated[Files, Tag("files")] | Annotated[Postgres, Tag("postgres")],
    told_apart("source", kind_of, "files", "postgres"),
]
