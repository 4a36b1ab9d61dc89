"""The corpus: seeds that are kept, by target, and every datagram in them.

`corpus/<target>/*.txt` hold seeds (see `fuzz.seeds`), `corpus/config/*.toml` a configuration each.
All engines begin with them; where each is from is said in `corpus/README.md` and in the files.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Final

from fuzz.seeds import Arg, Seed, SeedError, call, parse

FOLDER: Final = Path(__file__).with_name("corpus")

ONE_CALL: Final = frozenset({"decode", "options", "netascii", "names", "config", "url", "log"})
"""Targets of which each line is a seed."""

DATAGRAM_TARGETS: Final = ("decode", "read_machine", "write_machine", "server", "client")
"""Those whose octets are datagrams."""


def files(target: str) -> list[Path]:
    """Return the files of a target's corpus."""
    folder = FOLDER / target
    return sorted(path for path in folder.glob("*") if path.suffix in (".txt", ".toml"))


def read(path: Path, target: str) -> list[Seed]:
    """Return the seeds in a file.  Raises SeedError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SeedError(f"{path}: cannot be read: {error}") from None
    if path.suffix == ".toml":
        return [(call("config", text),)]
    return parse(text, str(path), one_call=target in ONE_CALL)


@functools.cache
def seeds(target: str) -> tuple[Seed, ...]:
    """Return the corpus of a target."""
    return tuple(seed for path in files(target) for seed in read(path, target))


@functools.cache
def datagrams() -> tuple[bytes, ...]:
    """Return every datagram in the corpus once."""
    found: dict[bytes, None] = {}
    for target in DATAGRAM_TARGETS:
        for seed in seeds(target):
            for step in seed:
                found.update(dict.fromkeys(_octets(step.args)))
    return tuple(found)


def _octets(value: Arg) -> list[bytes]:
    if isinstance(value, bytes):
        return [value]
    if isinstance(value, tuple):
        return [octets for part in value for octets in _octets(part)]
    return []


@functools.cache
def requests(opcode: int) -> tuple[bytes, ...]:
    """Return the RRQs (1) or WRQs (2) in the corpus."""
    return tuple(octets for octets in datagrams() if octets[:2] == bytes([0, opcode]))
