"""A configuration as TOML text: the commented file to start from, and the one in effect.

Both are written from the model, key by key, so that neither can forget one.  No reading here.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

import attrs

from snowowl.config.keys import Table, TablePath, own_keys, part, tables
from snowowl.config.model import Config
from snowowl.config.schema import SCHEMA_FILE, Json, key_schemas, plain
from snowowl.config.words import dotted, quote

WIDTH = 100
_HEAD = f"""\
#:schema ./{SCHEMA_FILE}
# Configuration of snowowl. Every key is here with its default, commented out: remove the "# " in
# front of a key to change it. "snowowl config check FILE" names every mistake in a file, and
# "snowowl config schema > {SCHEMA_FILE}" writes what the first line gives to editors.
"""


def default_document() -> str:
    """Return a file that changes nothing and shows every key, what it does, its range and default.

    The defaults are commented out: a file that set them would keep them when they get better.
    """
    return _HEAD + "".join(
        _default_table(path, table) for path, table in tables(Config).items() if path
    )


def _default_table(path: TablePath, table: Table) -> str:
    outer = attrs.fields_dict(tables(Config)[path[:-1]])
    lines = ["", f"[{dotted(path)}]", *_comment(str(outer[path[-1]].metadata["doc"]))]
    schemas = key_schemas(table)
    for field in own_keys(table):
        schema = schemas[field.name]
        lines += ["", *_comment(str(schema["description"]))]
        if limits := limits_text(schema):
            lines += _comment(f"{limits}.")
        example = field.metadata["example"]
        value = plain(field.default)
        shown = toml_value(value) if value is not None else str(example)
        if value is None:
            lines += _comment("Default: not set. For example:")
        lines.append(f"# {field.name} = {shown}")
    return "\n".join(lines) + "\n"


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="# ")


def limits_text(schema: dict[str, Json]) -> str:
    """Say which values a key may have, "" if its type says it all."""
    match schema:
        case {"enum": list(choices)}:
            return f"One of {', '.join(toml_value(choice) for choice in choices)}"
        case {"items": dict(items)}:
            inner = limits_text(items)
            return f"Each: {inner[:1].lower()}{inner[1:]}" if inner else ""
        case {"anyOf": [{"const": 0}, {"minimum": minimum, "maximum": maximum}]}:
            return f"0, or from {minimum} to {maximum}"
        case {"anyOf": [dict(number), {"enum": list(choices)}]}:
            return ", or ".join([limits_text(number), *map(toml_value, choices)])
        case {"minimum": minimum, "maximum": maximum}:
            return f"From {minimum} to {maximum}"
        case _:
            return ""


def dump_config(config: Config) -> str:
    """Return the whole configuration as TOML that reads back equal; what is not set is left out."""
    written = []
    for path, table in tables(Config).items():
        assignments = "".join(_assignments(part(config, path), own_keys(table)))
        if assignments:  # a table that only holds tables needs no header
            written.append(f"[{dotted(path)}]\n{assignments}")
    return "\n".join(written)


def _assignments(
    table: attrs.AttrsInstance, keys: Iterable[attrs.Attribute[object]]
) -> Iterator[str]:
    for key in keys:
        value = plain(getattr(table, key.name))
        if value is not None:
            yield f"{key.name} = {toml_value(value)}\n"


def toml_value(value: Json) -> str:
    """Write a string, number, truth value or array of them as TOML."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return quote(value)
        case list():
            return f"[{', '.join(map(toml_value, value))}]"
        case _:
            return repr(value)  # 1.5, 1e-05, inf and nan are written alike in Python and TOML
