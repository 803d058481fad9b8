"""Loading: one YAML file and `SEGMENTATION_*` variables become settings, or one message in plain words.

Belongs here: finding the file, filling in variables, relative paths, wording what is wrong.
Does not: what is allowed (shop.py).
"""

import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import SettingsError

from segmentation_pipeline.errors import PipelineError
from segmentation_pipeline.settings.engine import DuckDB, Spark
from segmentation_pipeline.settings.engine import kind_of as kind_of_engine
from segmentation_pipeline.settings.model import Model
from segmentation_pipeline.settings.shop import VARIABLE_PREFIX, Settings
from segmentation_pipeline.settings.source import Files, Postgres, kind_of

CONFIG_VARIABLE = "SEGMENTATION_CONFIG"
DEFAULT_CONFIG = Path("data/shop.yaml")

_KINDS: dict[int | str, type[BaseModel]] = {"files": Files, "postgres": Postgres, "duckdb": DuckDB, "spark": Spark}
_OF_SEVERAL_KINDS = {"source": kind_of, "engine": kind_of_engine}
_USER_OF_ADDRESS = re.compile(r"//.*@")

_COMMENT_OR_VARIABLE = re.compile(r"^[ \t]*#.*$|\$\{(?P<name>[A-Za-z_]\w*)(:-(?P<default>[^}]*))?\}", re.MULTILINE)


class ConfigurationError(PipelineError):
    """The configuration cannot be used; the message names the file, the key and what is allowed."""


def load(file: Path) -> Settings:
    """Read and validate one configuration file; relative paths in it are relative to its folder.

    Raises:
        ConfigurationError: The file is missing, is no YAML, or a key or value, here or in a variable, is not allowed.
    """
    if not file.is_file():
        raise ConfigurationError(
            f"{file}: there is no such configuration file. Name one with --config or ${CONFIG_VARIABLE}."
        )
    try:
        text = file.read_text(encoding="utf-8-sig")
        content = yaml.safe_load(_filled_in(text, file))
    except (yaml.YAMLError, ValueError) as problem:
        raise ConfigurationError(f"{file}: is no YAML: {problem}") from problem
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ConfigurationError(f"{file}: expected keys such as source, start_date and lake, found {content!r:.60}")
    _refuse_stray_variables(text)
    try:
        settings = Settings(**content)
    except ValidationError as problem:
        raise ConfigurationError(_in_plain_words(file, problem)) from None
    except SettingsError as problem:
        raise ConfigurationError(f"An environment variable {VARIABLE_PREFIX}* cannot be used: {problem}") from problem
    return _anchored(settings, file.resolve().parent)


def load_configured() -> Settings:
    """The settings named by `SEGMENTATION_CONFIG`, or else by the example that `make run` uses."""
    return load(Path(os.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG))


def chosen_for_one_run(model: Model, **choices: Any) -> Model:
    """The model section with what one run chooses otherwise; a choice that is None changes nothing.

    Raises:
        ConfigurationError: A choice is not allowed; the message names it and what is.
    """
    given = {name: value for name, value in choices.items() if value is not None}
    try:
        return Model.model_validate(model.model_dump() | given)
    except ValidationError as problem:
        lines = [f"  {_key(error) if error['loc'] else 'model'}: {_wrong(error)}" for error in problem.errors()]
        raise ConfigurationError("\n".join(["The run's configuration cannot be used", *lines])) from problem


def _filled_in(text: str, file: Path) -> str:
    """Replace `${NAME}` and `${NAME:-default}` outside comments, so that no secret stands in a file."""

    def value(match: re.Match[str]) -> str:
        name, default = match.group("name"), match.group("default")
        if name is None:
            return match.group()
        found = os.environ.get(name) or default
        if found is None:
            raise ConfigurationError(
                f"{file}: uses ${{{name}}}, and the environment variable {name} is not set. "
                f"Set it, or write ${{{name}:-default}}."
            )
        return found

    return _COMMENT_OR_VARIABLE.sub(value, text)


def _refuse_stray_variables(text: str) -> None:
    """A misspelt variable would otherwise be ignored in silence; a misspelt key below a section is refused like a file's.

    Args:
        text: Of the configuration. A variable that it names, or another variable does, holds an address, say.
    """
    told = [text, *(value for name, value in os.environ.items() if name.upper().startswith(VARIABLE_PREFIX))]
    named = {variable for variable in os.environ if any(variable in each for each in told)}
    known = list(Settings.model_fields)
    sections = {name: _sections(field.annotation) for name, field in Settings.model_fields.items()}
    for variable in os.environ:
        if not variable.upper().startswith(VARIABLE_PREFIX) or variable in (*named, CONFIG_VARIABLE):
            continue
        key = variable.upper().removeprefix(VARIABLE_PREFIX).lower()
        section, separator, _key = key.partition("__")
        single = next((name for name in sections if _names_key_below(key, name, sections[name])), None)
        close = get_close_matches(key, [name for name in known if not sections[name]], n=1, cutoff=0.85)
        stray = f"The environment variable {variable} sets nothing:"
        if separator and section not in known:
            raise ConfigurationError(f"{stray} {section} is no known key; allowed: {', '.join(known)}")
        if single and key not in known:
            meant = f"{VARIABLE_PREFIX}{single.upper()}__{key.removeprefix(f'{single}_').upper()}"
            raise ConfigurationError(f"{stray} a key of a section follows two underscores, as in {meant}")
        if close and not separator and key not in known:
            raise ConfigurationError(
                f"{stray} {key} is no known key; did you mean {VARIABLE_PREFIX}{close[0].upper()}?"
            )


def _names_key_below(variable: str, name: str, sections: list[type[BaseModel]]) -> bool:
    """Whether a name is that of a section and, after one underscore, of a key in it."""
    first, _, key = variable.partition(f"{name}_")
    return not first and any(key in section.model_fields for section in sections)


def _anchored(settings: Settings, folder: Path) -> Settings:
    """Paths as they are from anywhere: relative ones start at the configuration's folder, `~` is the user's."""

    def anchored(path: Path | str) -> Path:
        return Path(os.path.normpath(folder / Path(path).expanduser()))

    lake = anchored(settings.lake)
    engine, source, publish = settings.engine, settings.source, settings.publish
    if isinstance(engine, DuckDB):
        spill = anchored(engine.spill_folder) if engine.spill_folder else lake / ".spill"
        engine = engine.model_copy(update={"spill_folder": spill})
    if publish and publish.exports:
        publish = publish.model_copy(update={"exports": anchored(publish.exports)})
    return settings.model_copy(
        update={
            "source": source.model_copy(update={"path": str(anchored(source.path))})
            if isinstance(source, Files)
            else source,
            "engine": engine,
            "lake": lake,
            "reports": anchored(settings.reports),
            "publish": publish,
        }
    )


def _in_plain_words(file: Path, problem: ValidationError) -> str:
    lines = [f"  {_key(error)}: {_wrong(error)}{_origin(error)}" for error in problem.errors()]
    return "\n".join([f"{file}: the configuration cannot be used", *lines])


def _key(error: ErrorDetails) -> str:
    return ".".join(_written(error)) or "(the whole file)"


def _written(error: ErrorDetails) -> list[str]:
    """Where a mistake is, as it is written in the file: which kind of a section was read is not part of it."""
    place = [str(part) for part in error["loc"]]
    if error["type"].endswith("_kind"):
        return [*place, "kind"]
    return [
        part
        for number, part in enumerate(place)
        if number != 1 or place[0] not in _OF_SEVERAL_KINDS or part not in _KINDS
    ]


def _wrong(error: ErrorDetails) -> str:
    """What is wrong with one key, and what is allowed."""
    kind = error["type"]
    given = _OF_SEVERAL_KINDS[str(error["loc"][0])](error["input"]) if kind.endswith("_kind") else error["input"]
    if kind == "extra_forbidden":
        allowed = _allowed_keys(error["loc"][:-1])
        close = get_close_matches(str(error["loc"][-1]), allowed, n=1)
        return f"is no known key; {f'did you mean {close[0]}? ' if close else ''}allowed here: {', '.join(allowed)}"
    if kind == "missing":
        return "is required"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return f"expected keys below it: {', '.join(_allowed_keys(error['loc']))} {_given(given)}"
    told = "is no day, such as 2025-07-31" if kind.startswith("date_") else error["msg"].removeprefix("Value error, ")
    return told if isinstance(given, (Mapping, BaseModel)) else f"{told} {_given(given)}"


def _given(value: Any) -> str:
    """A value as it was given, without what may be a password in it."""
    return f"(given: {_USER_OF_ADDRESS.sub('//', repr(value)):.80})"


def _origin(error: ErrorDetails) -> str:
    """The environment variable that a value comes from, where it does not come from the file."""
    name = VARIABLE_PREFIX + "__".join(_written(error)).upper()
    return f", from the environment variable {name}" if name in map(str.upper, os.environ) else ""


def _allowed_keys(path: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = Settings
    for part in path:
        field = model.model_fields.get(str(part))
        below = _sections(field.annotation) if field else [_KINDS[part]] if part in _KINDS else []
        model = below[0] if below else model
    return [field.alias or name for name, field in model.model_fields.items()]


def _sections(annotation: Any) -> list[type[BaseModel]]:
    """The sections that a key can hold, looked for in the parts of its type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for part in get_args(annotation) for section in _sections(part)]
