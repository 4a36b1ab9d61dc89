"""snowowl.toml(5): every key of the configuration, what it does, its range and its default."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from snowowl.cli.manual import roff
from snowowl.cli.manual.pages import MANUAL, SOURCE
from snowowl.config import VARIABLES, Config
from snowowl.config.document import limits_text, toml_value
from snowowl.config.keys import Table, TablePath, own_keys, tables
from snowowl.config.schema import key_schemas, plain
from snowowl.config.words import dotted

_TYPES = {
    "boolean": "truth value",
    "integer": "integer",
    "number": "number",
    "string": "string",
    "array": "array",
}


def config_page() -> str:
    """Return the text of the page."""

    def lines() -> Iterator[str]:
        yield '.\\" Written by python -m snowowl.cli.manual: change the model, not this.'
        yield roff.title("SNOWOWL.TOML", 5, SOURCE, MANUAL)
        yield from (".SH NAME", "snowowl.toml \\- configuration of the TFTP server snowowl")
        yield ".SH DESCRIPTION"
        yield from roff.paragraphs(
            "A file in TOML, named by the flag --config of snowowl serve or by the environment"
            " variable SNOWOWL_CONFIG; there is no other place where one is looked for. Every key"
            " may be left out. Flags go before the environment, and that before the file."
            "\n\n\b\n"
            "snowowl config init snowowl.toml     write one with every key, commented out\n"
            "snowowl config check snowowl.toml    name every mistake, with its line\n"
            "snowowl doctor -c snowowl.toml       see whether it works on this machine\n"
        )
        for path, table in tables(Config).items():
            if path:
                yield from _table(path, table)
        yield from (".SH EXAMPLE",)
        yield from roff.example(
            [
                "[server]",
                'root = "/srv/tftp"',
                'listen = ["192.0.2.1:69"]',
                "port_range = [49152, 50175]",
                "",
                "[write]",
                "enabled = true",
                'patterns = ["uploads/*"]',
            ]
        )
        yield from (".SH SEE ALSO", "\\fBsnowowl\\-serve\\fR(1),\n\\fBsnowowl\\-config\\fR(1)")

    return roff.page(lines())


def _table(path: TablePath, table: Table) -> Iterator[str]:
    outer = attrs.fields_dict(tables(Config)[path[:-1]])
    yield f".SH {roff.quoted(f'[{dotted(path)}]')}"
    yield from roff.paragraphs(str(outer[path[-1]].metadata["doc"]))
    schemas = key_schemas(table)
    for field in own_keys(table):
        schema = schemas[field.name]
        kind = _TYPES.get(str(schema.get("type")), "value")
        value = plain(field.default)
        default = "not set" if value is None else toml_value(value)
        known = [f"Default: {default}.", f"{limits}." if (limits := limits_text(schema)) else ""]
        key = ".".join((*path, field.name))
        known += [f"Environment: {v.name}." for v in VARIABLES if v.key_path == key]
        tag = f"{roff.bold(field.name)} ({kind})"
        yield from roff.item(tag, str(schema["description"]), " ".join(filter(None, known)))
