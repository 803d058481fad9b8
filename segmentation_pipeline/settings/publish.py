"""The shape of the configuration's `publish` section: where segments go besides the lake.

Belongs here: names and what is allowed. Does not: publishing (resources/publishing/), the database's address, which is a
secret and stays in the environment.
"""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from segmentation_pipeline.settings.section import Section

RESERVED_SCHEMAS = ("pg_", "information_schema")


class Database(Section):
    """The PostgreSQL database that segments are published into."""

    url_variable: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")] = Field(
        "SEGMENTS_DATABASE_URL",
        description="NAME of the environment variable that holds the postgresql:// URL; the URL itself never stands in a file.",
    )
    schema_name: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,62}$")] = Field(
        "segmentation", alias="schema", description="Schema of the tables; made if missing."
    )

    @field_validator("schema_name")
    @classmethod
    def _free(cls, value: str) -> str:
        if value.startswith(RESERVED_SCHEMAS):
            raise ValueError("belongs to PostgreSQL itself; give another, such as segmentation")
        return value


class Publish(Section):
    """Where segments go besides the lake: a database, a folder of delta files, or both."""

    database: Database | None = Field(None, description="See publish.database; without it nothing is published there.")
    exports: Path | None = Field(
        None, description="Folder of delta files for marketing tools; without it none are written."
    )

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if self.database is None and self.exports is None:
            raise ValueError("name a database, a folder of exports, or both; or leave the section out")
        return self
