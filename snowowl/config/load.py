"""TOML text or a file into a `Config`, or into every problem with its line.

The only door for files: whatever a file holds, the one exception is ConfigError.  What keys may be
is not said here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import attrs
import tomlkit
from tomlkit.exceptions import InvalidControlChar, KeyAlreadyPresent, ParseError

from snowowl.config.model import Config
from snowowl.config.positions import Positions, locate
from snowowl.config.problems import ConfigError, Problem
from snowowl.config.structure import Fault, StructureError, structure
from snowowl.config.words import dotted, quote

SIZE_MAX = 1 << 20
"""Octets of a file: a disk image named by mistake is refused at once; every key takes a few KiB."""

_UTF8_MARK = b"\xef\xbb\xbf"  # Windows editors put it first
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_PLACE = re.compile(r" at line \d+ col \d+$")  # how tomlkit ends its messages
_BARE_TEXT = re.compile(r"\s*([\w.-]+)\s*=\s*([^\s\"'\[{#][^\"'#]*)")
_TRUTH = {"true": "true", "yes": "true", "on": "true", "false": "false", "no": "false"}


def load_config(path: str | os.PathLike[str]) -> Config:
    """Read a file; relative paths in it become relative to the file's folder.

    Blocks on the disk.  Raises ConfigError with every problem, and nothing else.
    """
    file = os.fspath(path)
    data = _read(file)
    if data.startswith(_UTF16_MARKS):
        raise ConfigError([Problem(file, 0, "", "is UTF-16: save it as UTF-8")])
    data = data.removeprefix(_UTF8_MARK)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"octet 0x{data[error.start]:02X} is not UTF-8: save the file as UTF-8"
        raise ConfigError([Problem(file, line, "", message)]) from None
    plain = _parse(text, file)
    config = _config(plain, text, file)
    folder = Path(file).parent
    if _has(plain, "server", "root"):
        server = attrs.evolve(config.server, root=folder / config.server.root)
        config = attrs.evolve(config, server=server)
    if config.audit.file is not None:
        config = attrs.evolve(
            config, audit=attrs.evolve(config.audit, file=folder / config.audit.file)
        )
    return config


def parse_config(text: str, *, file: str = "<config>") -> Config:
    """Read TOML text; `file` is what problems call it.  Relative paths stay as they are.

    Raises ConfigError with every problem, and nothing else.
    """
    if len(text) > SIZE_MAX:
        raise ConfigError([Problem(file, 0, "", _too_large(len(text)))])
    text = text.removeprefix("\ufeff")
    return _config(_parse(text, file), text, file)


def _too_large(size: int) -> str:
    return f"is too large for a configuration: more than {SIZE_MAX} octets (at least {size})"


def _read(file: str) -> bytes:
    try:
        with Path(file).open("rb") as stream:
            data = stream.read(SIZE_MAX + 1)
    except FileNotFoundError:
        message = "there is no such file; `snowowl config init FILE` writes one with every key"
    except IsADirectoryError:
        message = "is a folder: name the file in it"
    except PermissionError:
        message = "may not be read by this user: look at its mode, and at that of its folders"
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the name
        message = f"cannot be read: {getattr(error, 'strerror', None) or error}"
    else:
        if len(data) <= SIZE_MAX:
            return data
        message = _too_large(len(data))
    raise ConfigError([Problem(file, 0, "", message)])


def _parse(text: str, file: str) -> dict[str, object]:
    try:
        plain: dict[str, object] = tomlkit.parse(text).unwrap()
    except Exception as error:  # noqa: BLE001 - on odd text tomlkit raises more than its own
        raise ConfigError([_syntax_problem(error, text, file)]) from None
    return plain


def _syntax_problem(error: Exception, text: str, file: str) -> Problem:
    line = _line(error, text)
    for repeat in locate(text).repeats:
        # tomlkit says neither where nor which, if it is in a table.
        if isinstance(error, KeyAlreadyPresent) or repeat.second == line:
            message = f"is there twice; the first is on line {repeat.first}"
            return Problem(file, repeat.second, dotted(repeat.path), message)
    if isinstance(error, RecursionError):
        return Problem(file, line, "", "is nested too deeply")
    message = _PLACE.sub("", str(error))
    message = message[:1].lower() + message[1:] or type(error).__name__
    if "'\\x00'" in message and "\0" not in text:
        message = "the text ends inside of a value or a table's name"
    elif "'\\n'" in message or "'\\r'" in message:
        message = "the line ends where a value or a bracket is missing"
    elif isinstance(error, InvalidControlChar) and "\\u000a" in message:
        message = "a string is not closed on its line"
    elif line:
        message += _quote_hint(text.split("\n")[line - 1])
    return Problem(file, line, "", message)


def _line(error: Exception, text: str) -> int:
    """Return the line of a syntax error, or 0; TOML ends lines at newlines only, tomlkit at more.

    str.splitlines, which tomlkit counts with, also knows U+2028, a form feed and others.
    """
    if not isinstance(error, ParseError):
        return 0
    before = text.splitlines(keepends=True)[: error.line - 1]
    return sum(line.endswith("\n") for line in before) + 1


def _quote_hint(line: str) -> str:
    """Recognise the usual slip: text without quotes, or a truth value of another language."""
    found = _BARE_TEXT.match(line)
    if found is None:
        return ""
    key, value = found[1], found[2].strip()
    if value.lower() in _TRUTH:
        return f" (write {key} = {_TRUTH[value.lower()]})"
    if re.search(r"[A-Za-z:/*]", value):
        return f" (text goes in quotes: {key} = {quote(value)})"
    return ""


def _config(plain: Mapping[str, object], text: str, file: str) -> Config:
    try:
        return structure(plain)
    except StructureError as error:
        positions = locate(text)
        raise ConfigError(_problem(fault, positions, file) for fault in error.faults) from None


def _problem(fault: Fault, positions: Positions, file: str) -> Problem:
    # A conflict is reported at the first of its keys that the file sets: the others are defaults.
    present = (path for path in (fault.path, *fault.related) if path in positions.lines)
    path = next(present, fault.path)
    return Problem(file, positions.line(path), dotted(path), fault.message)


def _has(plain: Mapping[str, object], table: str, key: str) -> bool:
    found = plain.get(table)
    return isinstance(found, dict) and key in found
