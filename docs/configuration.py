"""Writes configuration.md from the settings themselves; run by `make docs`.

Belongs here: laying out names, types, defaults and descriptions. Does not: any of them (segmentation_pipeline/settings).
"""

import ast
import inspect
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from segmentation_pipeline.settings import Settings

HEAD = """\
# Configuration

One YAML file describes a shop; `data/shop.yaml` is a complete example. Only `source` and `start_date` are required. An unknown
key or a bad value is one message that names the file, the key and what is allowed.

- Relative paths are relative to the file's folder.
- `${NAME}` and `${NAME:-default}` are replaced by environment variables, so that no secret stands in a file.
- `SEGMENTATION_<KEY>` overrides a key, with two underscores between levels: `SEGMENTATION_ENGINE__THREADS=8`.

This page is written by `make docs`.
"""


def tables(model: type[BaseModel], path: str) -> list[str]:
    """A table of a section's own keys, and after it those of the sections below."""
    own, below = [], []
    told = _docstrings(model)
    for name, field in model.model_fields.items():
        key = f"{path}{field.alias or name}"
        kind = field.annotation
        sections = _sections(kind)
        if len(sections) > 1:
            below += _kinds(sections, key)
        elif sections and not isinstance(field.default, tuple):
            below += tables(sections[0], f"{key}.")
        if not sections or isinstance(field.default, tuple) or field.default is None:
            default = _default(field.get_default(call_default_factory=True))
            own.append(f"| `{key}` | {default} | {_words(model, name, field.description or told.get(name))} |")
    title = f"## {path.rstrip('.')}\n\n{_first_line(model)}\n" if path else "## The shop\n"
    return [title, "| key | default | meaning |", "|---|---|---|", *own, "", *below]


def _kinds(sections: list[type[BaseModel]], key: str) -> list[str]:
    """A table for each kind of a section, and after them those of the sections that all kinds have below them."""
    own: list[str] = []
    below: dict[str, None] = {}
    for section in sections:
        default = section.model_fields["kind"]
        kind = str(default.get_default() if not default.is_required() else get_args(default.annotation)[0])
        title, *rest = tables(section, f"{key}.")
        end = rest.index("") + 1
        own += [title.replace(f"## {key}", f"## {key} of kind {kind}", 1), *rest[:end]]
        below |= dict.fromkeys(["\n".join(rest[end:])])
    return [*own, *below]


def _sections(annotation: Any) -> list[type[BaseModel]]:
    """The sections that a key can hold, looked for in the parts of its type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for part in get_args(annotation) for section in _sections(part)]


def _docstrings(model: type[BaseModel]) -> dict[str, str]:
    """The text below each key of a section. Pydantic can look it up too, but would do so at the start of every process."""
    (section,) = ast.parse(inspect.getsource(model)).body
    assert isinstance(section, ast.ClassDef)
    return {
        key.target.id: inspect.cleandoc(str(text.value.value))
        for key, text in pairwise(section.body)
        if isinstance(key, ast.AnnAssign) and isinstance(key.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
    }


def _words(model: type[BaseModel], name: str, description: str | None) -> str:
    if description is None:
        raise SystemExit(f"{model.__name__}.{name} has no description")
    return description.replace("|", "\\|")


def _default(value: Any) -> str:
    if value is PydanticUndefined:
        return "required"
    if value is None:
        return "none"
    if value in ((), {}):
        return "empty"
    if isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
        return f"{len(value)} archetypes"
    shown = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return f"`{shown}`".replace("|", "\\|")


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().split("\n")[0]


def page() -> str:
    """The whole page."""
    return HEAD + "\n" + "\n".join(tables(Settings, "")).rstrip() + "\n"


if __name__ == "__main__":
    Path(__file__).with_suffix(".md").write_text(page())
