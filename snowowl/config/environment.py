"""Which environment variable sets which key, said in this one place.

`snowowl serve` and `snowowl config show` both read them, and so must agree.  Text is turned into
values here; whether a value is any good is for `override` to say.  Nested keys get no invented
names: what is not in the table is for the file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches

import attrs

from snowowl.config.words import show

CONFIG_VARIABLE = "SNOWOWL_CONFIG"
"""Names the configuration file."""

DIGITS_MAX = 100
"""More than any number that a key takes; int() refuses (ValueError) some thousands of them."""

# The words that click reads as a truth value (click.BOOL), so that a variable and a flag agree.
_TRUE = frozenset({"1", "true", "t", "yes", "y", "on"})
_FALSE = frozenset({"0", "false", "f", "no", "n", "off"})


@attrs.frozen
class Change:
    """A value for one key from outside of the file; `origin` is what messages call it."""

    key_path: str
    value: object
    origin: str
    fault: str = ""
    """Why `value` could not be made from what was given; empty if it could."""


@attrs.frozen
class Variable:
    """An environment variable; `read` raises ValueError for text that makes no value."""

    name: str
    key_path: str
    read: Callable[[str], object]


def parse_truth(text: str) -> bool:
    """Read a truth value as click does; raises ValueError."""
    word = text.strip().lower()
    if word not in _TRUE | _FALSE:
        raise ValueError(f"must be true or false, not {show(text)}")
    return word in _TRUE


def parse_port_range(text: str) -> tuple[int, int]:
    """Read `FIRST:LAST`, as tftpd-hpa and atftpd write it; raises ValueError."""
    first, colon, last = text.partition(":")
    # Five digits hold every port; int() alone would also take signs, spaces and underscores.
    if not colon or not all(
        part.isascii() and part.isdecimal() and len(part) <= 5 for part in (first, last)
    ):
        raise ValueError(f"must be FIRST:LAST, like 49152:50175, not {show(text)}")
    return int(first), int(last)


def parse_integer(text: str) -> int | str:
    """Read digits as a number; other text stays as it is, for the model to take or to refuse."""
    word = text.strip()
    # int() alone would also take signs and underscores.
    digits = word.isascii() and word.isdecimal() and len(word) <= DIGITS_MAX
    return int(word) if digits else word


VARIABLES: tuple[Variable, ...] = (
    Variable("SNOWOWL_ROOT", "server.root", str),
    Variable("SNOWOWL_LISTEN", "server.listen", str.split),
    Variable("SNOWOWL_TID", "server.tid", str),
    Variable("SNOWOWL_PORT_RANGE", "server.port_range", parse_port_range),
    Variable("SNOWOWL_WORKERS", "server.workers", parse_integer),
    Variable("SNOWOWL_USER", "server.user", str),
    Variable("SNOWOWL_WRITABLE", "write.enabled", parse_truth),
    Variable("SNOWOWL_OVERWRITE", "write.overwrite", parse_truth),
    Variable("SNOWOWL_LOG_FORMAT", "log.format", str),
)


def unknown_variables(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return a warning for each variable that looks like one of these and is none."""
    known = [CONFIG_VARIABLE, *(variable.name for variable in VARIABLES)]
    warnings = []
    for name in sorted(environ):
        if name.startswith("SNOWOWL_") and name not in known:
            found = get_close_matches(name, known, n=1)
            hint = f" (did you mean {found[0]}?)" if found else ""
            warnings.append(f"the environment variable {show(name)} has no effect{hint}")
    return tuple(warnings)


def from_environment(environ: Mapping[str, str]) -> tuple[Change, ...]:
    """Return what the environment sets, for `override`; an empty variable is not set (as in click).

    Never raises: text that makes no value becomes a change with a fault.
    """
    changes = []
    for variable in VARIABLES:
        text = environ.get(variable.name, "")
        if not text:
            continue
        try:
            value, fault = variable.read(text), ""
        except ValueError as error:
            value, fault = None, str(error)
        changes.append(Change(variable.key_path, value, variable.name, fault))
    return tuple(changes)
