"""How values and key paths are written in messages and in TOML.

Everything here is total: it takes whatever a file, an environment variable or a flag held, and
returns one printable line.  No knowledge of any particular key may be here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, time
from difflib import get_close_matches
from os import PathLike, fspath

KeyPath = tuple[str | int, ...]
"""Keys from the top of the document down; an integer is an index into an array."""

SHOWN_MAX = 60
"""Characters of a value that a message repeats: enough to know it, too few to fill a screen."""

_INTEGER_BITS_MAX = 128  # Python refuses to write integers of more than 4300 digits (ValueError)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")  # TOML 1.0: unquoted-key
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _escape(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    number = ord(character)
    return f"\\u{number:04X}" if number <= 0xFFFF else f"\\U{number:08X}"


def quote(text: str) -> str:
    """Write text as a TOML basic string on one line, everything unprintable escaped."""
    return f'"{"".join(map(_escape, text))}"'


def printable(text: str) -> str:
    """Escape what would break a line or move a terminal's cursor, and nothing else."""
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def show(value: object) -> str:
    """Write a value as its author would in TOML, shortened; containers only by their kind."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case int() if value.bit_length() > _INTEGER_BITS_MAX:
            return f"an integer of {value.bit_length()} bits"
        case int() | float():
            return repr(value)
        case str() if len(value) > SHOWN_MAX:
            return quote(value[:SHOWN_MAX]) + "..."
        case str():
            return quote(value)
        case PathLike():
            return show(str(fspath(value)))
        case dict():
            return "a table"
        case list() | tuple():
            return "an array"
        case date() | time():
            return "a date or time"
        case _:
            return type(value).__name__


def dotted(path: KeyPath) -> str:
    """Write a key path as `server.listen[1]`; keys that are not bare are quoted and shortened."""
    out = ""
    for part in path:
        if isinstance(part, int):
            out += f"[{part}]"
            continue
        plain = len(part) <= SHOWN_MAX and _BARE_KEY.fullmatch(part)
        out += ("." if out else "") + (part if plain else show(part))
    return out


def closest(word: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that was probably meant, if one is near enough.

    Dashes and capitals are forgiven first: `Port-Range` is an honest way to write `port_range`.
    """
    plain = word[:SHOWN_MAX].lower().replace("-", "_")
    found = get_close_matches(plain, list(candidates), n=1)
    return found[0] if found else None
