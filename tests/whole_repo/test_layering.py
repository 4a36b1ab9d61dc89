"""The rings, as a test: what each may import, from snowowl and from outside.

The table is that of the design: `wire` <- `protocol` <- `content`, `datagram` <- `server`, `client` <-
`cli`.  Imports count wherever they stand: in functions and for the type checker too.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs
import pytest

PACKAGE: Final = Path(__file__).parents[2] / "snowowl"

PURE: Final = frozenset(
    {"__future__", "abc", "attrs", "collections", "enum", "itertools", "struct", "types", "typing"}
)
"""For the rings that can be reasoned about: no socket, clock, randomness, logging, file."""


@attrs.frozen
class Ring:
    """What one package may import besides itself."""

    below: frozenset[str] = frozenset()
    outside: frozenset[str] = frozenset()
    pure: bool = False
    """Only `PURE`, instead of all of the standard library."""


def ring(below: str, outside: str = "", *, pure: bool = False) -> Ring:
    """Return a ring by names in a row."""
    return Ring(frozenset(below.split()), frozenset(outside.split()), pure)


RINGS: Final = {
    "wire": ring("", pure=True),
    "protocol": ring("wire", pure=True),
    "content": ring("wire", "attrs trio"),
    "datagram": ring("", "attrs trio"),
    "host": ring("", "attrs trio"),
    "observe": ring("wire protocol content", "attrs prometheus_client structlog trio"),
    "config": ring("wire protocol content datagram", "attrs cattrs tomlkit"),
    "server": ring("wire protocol content datagram host observe config", "attrs h11 trio"),
    "client": ring("wire protocol content datagram observe config", "attrs trio"),
    "testing": ring(
        "wire protocol content datagram observe config server client",
        "attrs trio hypothesis pytest",
    ),
    "cli": ring(
        "wire protocol content datagram host observe config server client testing",
        "attrs click rich trio tomlkit",
    ),
    # The public names, imported when they are used.
    "__init__": ring("client config server"),
    "__main__": ring("cli"),
}


def ring_of(path: Path) -> str:
    """Return the ring that a module belongs to."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(source: str, package: str) -> Iterator[tuple[int, str]]:
    """Yield (line, dotted name) of what a module imports; relative ones resolved by its package."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            stem = node.module or ""
            if node.level:
                parts = package.split(".")
                base = parts[: len(parts) - node.level + 1]
                stem = ".".join([*base, stem] if stem else base)
            yield from ((node.lineno, f"{stem}.{alias.name}") for alias in node.names)


def is_allowed(home: str, name: str) -> bool:
    """Say whether a ring may import a dotted name."""
    rules = RINGS[home]
    head, *rest = name.split(".")
    if head != "snowowl":
        if rules.pure:
            return head in PURE
        return head in sys.stdlib_module_names or head in rules.outside
    if not rest:
        return home == "cli"
    if rest[0] in RINGS:
        return rest[0] == home or rest[0] in rules.below
    # A public name of the package itself: those come from everywhere, so only the top may ask.
    return home == "cli"


def problems(source: str, home: str, package: str) -> list[str]:
    """Return what a module imports and may not, as `line: what`."""
    return [
        f"{line}: {home} may not import {name}"
        for line, name in imports(source, package)
        if not is_allowed(home, name)
    ]


def test_every_ring_has_a_rule() -> None:
    assert {ring_of(path) for path in PACKAGE.rglob("*.py")} <= set(RINGS)


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_imports_go_one_way(path: Path) -> None:
    package = ".".join(["snowowl", *path.relative_to(PACKAGE).parent.parts])
    found = problems(path.read_text(encoding="utf-8"), ring_of(path), package)
    assert not found, "\n".join(f"{path}:{problem}" for problem in found)


def test_the_rings_have_no_cycle() -> None:
    done: set[str] = set()
    while True:
        free = {name for name, rules in RINGS.items() if rules.below <= done} - done
        if not free:
            break
        done |= free
    assert done == set(RINGS)


@pytest.mark.parametrize(
    ("home", "line"),
    [
        ("protocol", "import socket"),
        ("protocol", "import time"),
        ("protocol", "from random import Random"),
        ("protocol", "import trio"),
        ("protocol", "def late():\n    from snowowl.content import store"),
        ("wire", "from snowowl.protocol.blocks import number_of"),
        ("wire", "from ..protocol import blocks"),
        ("wire", "import logging"),
        ("datagram", "from snowowl.wire import codec"),
        ("datagram", "from snowowl import server"),
        ("content", "import snowowl.protocol"),
        ("content", "from .. import protocol"),
        ("server", "from snowowl.client import get"),
        ("server", "import structlog"),
        ("client", "from snowowl import serve"),
        ("config", "if TYPE_CHECKING:\n    from snowowl.server import serve"),
        ("testing", "from snowowl.cli import main"),
    ],
)
def test_a_planted_violation_is_found(home: str, line: str) -> None:
    source = f'"""A module."""\n\nfrom __future__ import annotations\n\n{line}\n'
    found = problems(source, home, f"snowowl.{home}")
    assert len(found) == 1
    assert f"{home} may not import" in found[0]


def test_what_is_allowed_is_not_found() -> None:
    allowed = "import struct\nfrom . import options\nfrom .codec import encode\nimport attrs\n"
    assert not problems(allowed, "wire", "snowowl.wire")
    assert not problems(
        "import socket, trio\nfrom ..wire import codec", "content", "snowowl.content"
    )
