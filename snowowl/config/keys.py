"""What is said of a key beside its type, and how the tables of the model lie in each other.

A table is an attrs class, and a table in a table is a field of that class: what walks the
configuration asks here, so that nothing else has to know how deep it goes.  No key may be known
here by its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import get_type_hints

import attrs

Table = type[attrs.AttrsInstance]
TablePath = tuple[str, ...]


def doc(text: str, *, example: str | None = None) -> dict[str, str | None]:
    """Make a key's metadata: what it does, and a value in TOML to show where the default is not."""
    return {"doc": text, "example": example}


@attrs.frozen
class Conflict:
    """Values that are fine alone and cannot stand together; `keys` are relative to the section."""

    keys: tuple[str, ...]
    message: str


@cache
def tables(top: Table) -> Mapping[TablePath, Table]:
    """Return every table from `top` (whose path is empty) down, each before those in it."""
    found: dict[TablePath, Table] = {(): top}
    for name, annotation in get_type_hints(top).items():
        if isinstance(annotation, type) and attrs.has(annotation):
            found |= {(name, *path): table for path, table in tables(annotation).items()}
    return found


def own_keys(table: Table) -> tuple[attrs.Attribute[object], ...]:
    """Return the keys of a table that are no tables themselves, in the order of the model."""
    inner = {path[0] for path in tables(table) if path}
    return tuple(field for field in attrs.fields(table) if field.name not in inner)


def part(top: attrs.AttrsInstance, path: TablePath) -> attrs.AttrsInstance:
    """Return the table at a path beneath `top`."""
    found = top
    for name in path:
        found = getattr(found, name)
    return found


def changed(top: attrs.AttrsInstance) -> Iterator[str]:
    """Yield the dotted path beneath `top` of each key that has not its default."""
    for path, table in tables(type(top)).items():
        found = part(top, path)
        for key in own_keys(table):
            if getattr(found, key.name) != key.default:
                yield ".".join((*path, key.name))
