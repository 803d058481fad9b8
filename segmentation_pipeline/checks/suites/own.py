"""A shop's own expectations: checked against Great Expectations' own schemas when the pipeline starts.

Belongs here: one clear message for a wrong stage, type, column or argument. Does not: judging (judging.py).

The schemas are files in Great Expectations' package. Reading one takes a millisecond; importing the package, seconds.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from segmentation_pipeline.checks.expectations import Expectation
from segmentation_pipeline.settings import ConfigurationError, OwnExpectation

# Arguments that the pipeline sets itself, or that GX Cloud uses.
NOT_FOR_USERS = {"id", "meta", "notes", "result_format", "description", "catch_exceptions", "rendered_content", "severity",
                 "windows", "batch_id", "row_condition", "condition_parser", "metadata"}  # fmt: skip

# Expectations that query a database, and a profile is none.
NOT_ON_PROFILES = {"unexpected_rows_expectation", "expect_query_results_to_match_comparison",
                   "expect_table_row_count_to_equal_other_table"}  # fmt: skip


def stage_of(own: OwnExpectation) -> str:
    """The stage it judges.

    Raises:
        ConfigurationError: There is no such stage.
    """
    from segmentation_pipeline.checks.stages import STAGES

    if own.stage not in STAGES:
        raise _refused(own, f"there is no stage {own.stage!r}{_close(own.stage, list(STAGES))}", list(STAGES))
    return own.stage


def expectation(own: OwnExpectation, existing: Sequence[Expectation]) -> Expectation:
    """The declaration as an expectation.

    Args:
        own: As configured.
        existing: Those of its stage so far, whose names are taken.

    Raises:
        ConfigurationError: The type, an argument or a column does not exist, a value is not allowed, or the name is taken.
    """
    from segmentation_pipeline.checks.stages import STAGES

    _check_arguments(own)
    made = Expectation(_name(own), own.type, own.arguments, own.severity, own.why, own.remedy)
    types = {"date": "date", **{column.name: column.type for column in STAGES[own.stage].columns}}
    for column in made.columns:
        if column not in types:
            raise _refused(own, f"{own.stage} has no column {column!r}{_close(column, list(types))}", list(types))
    if any(types[column].startswith("timestamp") for column in made.columns):
        made = replace(made, arguments={name: _moments(value) for name, value in made.arguments.items()})
    if made.name in {each.name for each in existing}:
        raise _refused(own, f"there is a check {made.name!r} already; give this one another `name`")
    return made


def _check_arguments(own: OwnExpectation) -> None:
    import jsonschema

    schemas = _schema_files()
    if own.type not in schemas:
        raise _refused(own, f"Great Expectations has no {own.type!r} for a table{_close(own.type, list(schemas))}")
    schema = json.loads(schemas[own.type].read_text())
    allowed = [name for name in schema["properties"] if name not in NOT_FOR_USERS and name != "expectation_type"]
    for argument in own.arguments:
        if argument not in allowed:
            raise _refused(own, f"has no argument {argument!r}{_close(argument, allowed)}", allowed)
    formats = jsonschema.FormatChecker(["date"])
    formats.checks("date-time", raises=ValueError)(_is_moment)
    arguments = json.loads(json.dumps(own.arguments, default=str))  # a day in YAML is a date
    problems = sorted(jsonschema.Draft7Validator(schema, format_checker=formats).iter_errors(arguments), key=str)
    if problems:
        problem = problems[0]
        where = ".".join(map(str, problem.absolute_path)) or "arguments"
        raise _refused(own, f"{where}: {_said(problem)}", allowed)


def _is_moment(value: object) -> bool:
    if isinstance(value, str):
        datetime.fromisoformat(value)
    return True


def _moments(value: Any) -> Any:
    """Days and moments in an argument as moments, in UTC unless they say otherwise, as the column has them."""
    if isinstance(value, list):
        return [_moments(each) for each in value]
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return value
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value


def _said(problem: Any) -> str:
    return "is not of a kind that is allowed" if problem.validator == "anyOf" else str(problem.message)


def _schema_files() -> dict[str, Path]:
    """Expectation types, as Great Expectations' registry spells them, and the files of their schemas."""
    found = find_spec("great_expectations")
    if found is None or found.origin is None:
        raise ConfigurationError("great_expectations is not installed; install the pipeline with its dependencies.")
    folder = Path(found.origin).parent / "expectations" / "core" / "schemas"
    files = {}
    for file in sorted(folder.glob("Expect*.json")):
        kind = json.loads(file.read_text())["properties"]["metadata"]["properties"]["expectation_type"]["const"]
        files[kind] = file
    return {kind: file for kind, file in files.items() if kind not in NOT_ON_PROFILES}


def _name(own: OwnExpectation) -> str:
    if own.name:
        return own.name
    column = own.arguments.get("column") or own.arguments.get("column_A") or ""
    return "_".join(part for part in (str(column), own.type.removeprefix("expect_")) if part)


def _close(word: str, known: Sequence[str]) -> str:
    found = get_close_matches(word, known, n=1)
    return f"; did you mean {found[0]}?" if found else ""


def _refused(own: OwnExpectation, problem: str, allowed: Sequence[str] = ()) -> ConfigurationError:
    listed = f" Allowed: {', '.join(allowed)}." if allowed else ""
    return ConfigurationError(f"quality.expectations ({own.stage}, {own.type}): {problem}.{listed}")
