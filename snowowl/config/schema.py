"""The JSON Schema (draft-07) of the configuration file, made from the model.

For editors: they complete keys, show their documentation and mark mistakes while one types.  What
the schema cannot say (values that cannot stand together) only the loader checks.
"""

from __future__ import annotations

from pathlib import Path
from types import NoneType
from typing import Annotated, Literal, TypeAlias, get_args, get_origin, get_type_hints

import attrs

from snowowl.config.constraints import Check, Items, Range
from snowowl.config.model import Config

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

SCHEMA_FILE = "snowowl.schema.json"
"""The name that the first line of a configuration file gives to editors."""

_SCALARS: dict[object, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
}


def json_schema() -> dict[str, Json]:
    """Return the schema as JSON's own types."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Configuration of snowowl",
        **_table(Config),
    }


def key_schemas(section: type[attrs.AttrsInstance]) -> dict[str, dict[str, Json]]:
    """Return the schema of each key of a table, in the order of the model."""
    annotations = get_type_hints(section, include_extras=True)
    out = {}
    for field in attrs.fields(section):
        schema = _describe(annotations[field.name])
        schema["description"] = str(field.metadata["doc"])
        default = plain(field.default)
        if default is not None and not attrs.has(annotations[field.name]):
            schema["default"] = default
        out[field.name] = schema
    return out


def plain(value: object) -> Json:
    """Return a value of a key as JSON's own types."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case tuple():
            return [plain(element) for element in value]
        case _:
            return str(value)


def _table(section: type[attrs.AttrsInstance]) -> dict[str, Json]:
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": dict(key_schemas(section)),
    }


def _describe(annotation: object) -> dict[str, Json]:
    arguments = get_args(annotation)
    origin = get_origin(annotation)
    if isinstance(annotation, type) and attrs.has(annotation):
        return _table(annotation)
    if annotation is Path:
        return {"type": "string", "minLength": 1}
    if annotation in _SCALARS:
        return {"type": _SCALARS[annotation]}
    if origin is Annotated:
        schema = _describe(arguments[0])
        for mark in arguments[1:]:
            schema |= _mark(mark)
        return schema
    if origin is Literal:
        return {"type": "string", "enum": list(arguments)}
    if origin is tuple:
        schema = {"type": "array", "items": _describe(arguments[0])}
        if arguments[-1] is not Ellipsis:
            schema |= {"minItems": len(arguments), "maxItems": len(arguments)}
        return schema
    # TOML has no null: a key that may be None is one that may be left out.
    kinds = [_describe(argument) for argument in arguments if argument is not NoneType]
    return kinds[0] if len(kinds) == 1 else {"anyOf": list(kinds)}


def _mark(mark: object) -> dict[str, Json]:
    match mark:
        case Range(minimum, maximum, zero=True):
            return {"anyOf": [{"const": 0}, {"minimum": minimum, "maximum": maximum}]}
        case Range(minimum, maximum):
            return {"minimum": minimum, "maximum": maximum}
        case Items(minimum):
            return {"minItems": minimum}
        case Check():
            return {"minLength": 1}
        case _:
            return {}
