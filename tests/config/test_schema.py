"""The schema says what the loader checks."""

from __future__ import annotations

import json
from typing import cast

import attrs
import pytest

from snowowl.config import Config
from snowowl.config.keys import own_keys, tables
from snowowl.config.load import parse_config
from snowowl.config.problems import ConfigError
from snowowl.config.schema import Json, _mark, json_schema

Object = dict[str, Json]


def at(*path: str) -> Object:
    node: Json = json_schema()
    for part in path:
        node = cast("Object", node)["properties"]
        node = cast("Object", node)[part]
    return cast("Object", node)


def test_the_schema_is_json() -> None:
    schema = json_schema()
    assert json.loads(json.dumps(schema)) == schema
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"


def test_every_key_is_there_and_no_other_is_allowed() -> None:
    for path, section in tables(Config).items():
        table = at(*path)
        assert table["type"] == "object"
        assert table["additionalProperties"] is False
        assert "default" not in table
        assert not path or table["description"]
        keys = [field.name for field in attrs.fields(section)]
        assert list(cast("Object", table["properties"])) == keys
        assert all(at(*path, key)["description"] for key in keys)


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        (("server", "root"), {"type": "string", "minLength": 1, "default": "."}),
        (
            ("server", "listen"),
            {
                "type": "array",
                "items": {"type": "string", "minLength": 1},
                "minItems": 1,
                "default": ["*:69"],
            },
        ),
        (
            ("server", "tid"),
            {"type": "string", "enum": ["shared", "own", "listen"], "default": "shared"},
        ),
        (
            ("server", "port_range"),
            {
                "type": "array",
                "items": {"type": "integer", "minimum": 1, "maximum": 65535},
                "minItems": 2,
                "maxItems": 2,
            },
        ),
        (
            ("server", "drain_seconds"),
            {"type": "number", "minimum": 0, "maximum": 3600, "default": 10.0},
        ),
        (
            ("protocol", "mtu"),
            {
                "type": "integer",
                "anyOf": [{"const": 0}, {"minimum": 68, "maximum": 65535}],
                "default": 0,
            },
        ),
        (
            ("server", "workers"),
            {
                "anyOf": [
                    {"type": "integer", "minimum": 1, "maximum": 256},
                    {"type": "string", "enum": ["auto"]},
                ],
                "default": 1,
            },
        ),
        (
            ("performance", "platform", "batch", "max_batch_size"),
            {"type": "integer", "minimum": 1, "maximum": 1024, "default": 32},
        ),
        (("write", "enabled"), {"type": "boolean", "default": False}),
    ],
)
def test_what_a_key_may_be(path: tuple[str, ...], schema: Object) -> None:
    found = at(*path)
    assert found.pop("description")
    assert found == schema


def kinds(schema: Object) -> list[Object]:
    """Return a key's schema, and those that it may match any of."""
    return [schema, *cast("list[Object]", schema.get("anyOf", []))]


def test_the_limits_of_the_schema_are_those_of_the_loader() -> None:
    checked = 0
    for path, table in tables(Config).items():
        for key in own_keys(table):
            for kind in kinds(at(*path, key.name)):
                for limit in {"minimum", "maximum"} & set(kind):
                    edge = cast("float", kind[limit])
                    beyond = edge - 1 if limit == "minimum" else edge + 1
                    with pytest.raises(ConfigError, match=f"from .*not {beyond}"):
                        parse_config(f"{'.'.join(path)}.{key.name} = {beyond}")
                    checked += 1
    assert checked > 40


def test_a_mark_that_the_schema_does_not_know_adds_nothing() -> None:
    assert _mark(object()) == {}
