"""What every part of the configuration has in common.

Belongs here: the base of sections and types that several share. Does not: the sections (shop.py, quality.py).
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field

Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A part of the configuration: unknown keys and infinite numbers are refused, values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def kind_or(default: str) -> Callable[[Any], str]:
    """Tells the kind of a section, as read or as made; where it names none, the default."""

    def kind_of(section: Any) -> str:
        kind = section.get("kind", default) if isinstance(section, Mapping) else getattr(section, "kind", default)
        return str(kind)

    return kind_of


def told_apart(name: str, kind_of: Callable[[Any], str], *kinds: str) -> Discriminator:
    """Parts the kinds of a section, and says which there are where another is named."""
    listed = " or ".join(f"'{kind}'" for kind in kinds)
    return Discriminator(kind_of, custom_error_type=f"{name}_kind", custom_error_message=f"Input should be {listed}")
