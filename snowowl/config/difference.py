"""What differs between two configurations: for the log of a reload, and for keys that must stay.

Made from the model, key by key, so that no key can be forgotten.  Which keys must stay is said by
who cannot change them, not here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final

import attrs

from snowowl.config.document import toml_value
from snowowl.config.keys import own_keys, part, tables
from snowowl.config.model import Config
from snowowl.config.schema import plain

VALUE_MAX: Final = 120
"""Characters of a value that are shown: a list of networks may hold hundreds."""


def differing(new: Config, old: Config) -> Iterator[str]:
    """Yield the dotted path of each key that has another value, in the order of the model."""
    for path, table in tables(Config).items():
        mine, its = part(new, path), part(old, path)
        for key in own_keys(table):
            if getattr(mine, key.name) != getattr(its, key.name):
                yield ".".join((*path, key.name))


def difference(new: Config, old: Config) -> tuple[str, ...]:
    """Tell each key that differs, like ``limits.transfers_max: 100, was 200``."""
    return tuple(
        f"{key}: {_shown(_value_of(new, key))}, was {_shown(_value_of(old, key))}"
        for key in differing(new, old)
    )


def keeping(new: Config, old: Config, keys: Collection[str]) -> Config:
    """Return the new configuration with some keys, by their dotted paths, as they were."""
    made: attrs.AttrsInstance = new
    for key in keys:
        made = _with(made, key.split("."), _value_of(old, key))
    assert isinstance(made, Config)
    return made


def _value_of(config: Config, key: str) -> object:
    """Return the value of a key by its dotted path."""
    found: object = config
    for name in key.split("."):
        found = getattr(found, name)
    return found


def _with(table: attrs.AttrsInstance, path: Sequence[str], value: object) -> attrs.AttrsInstance:
    """Return a table with another value at a path beneath it."""
    name, *beneath = path
    if beneath:
        value = _with(getattr(table, name), beneath, value)
    return attrs.evolve(table, **{name: value})  # type: ignore[misc]  # every table is a class of attrs


def _shown(value: object) -> str:
    if value is None:
        return "not set"
    text = toml_value(plain(value))
    return text if len(text) <= VALUE_MAX else f"{text[:VALUE_MAX]}..."
