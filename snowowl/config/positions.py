"""On which line of a TOML text each key stands.

A TOML parser's business, but tomlkit keeps no positions (its issue 55).  Marking its items and
printing the document again works too, and needs its private parts; this scanner needs nothing.  It
knows only where keys and values begin and end, trusts the real parser with what they mean, and
stops without a word where it is lost: what it has found until then stands, and a key that it has
not found is on the line of the table or array that holds it.  No value may be interpreted here.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping
from contextlib import suppress

import attrs

from snowowl.config.words import KeyPath

_BLANK = re.compile(r"[ \t]*")
_SPACE = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_KEY = re.compile(r'"[^"\\\n]*(?:\\.[^"\\\n]*)*"|\'[^\'\n]*\'|[^\s.=\[\]{},"\'#]+')
# A multi-line string may end in up to five quotes, of which the first two are text (TOML 1.0).
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})|\'\'\'.*?\'\'\'(?:\'{0,2})'
    r'|"[^"\\\n]*(?:\\.[^"\\\n]*)*"|\'[^\'\n]*\'',
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}\n#]+")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_LETTERS = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "e": "\x1b"}
_CODE_POINT_MAX = 0x10FFFF
_KEY_DEPTH_MAX = 100  # as in tomlkit; without a limit the paths of one line grow with its square


@attrs.frozen
class Repeat:
    """A key or table that is there a second time; both lines count from 1."""

    path: KeyPath
    first: int
    second: int


@attrs.frozen
class Positions:
    """The lines of the keys, tables and array elements of one text."""

    lines: Mapping[KeyPath, int]
    """The first line that each path appears on, counted from 1."""
    repeats: tuple[Repeat, ...]
    """What TOML forbids to be there twice, in the order of the text."""

    def line(self, path: KeyPath) -> int:
        """Return the line of a path, or of the nearest thing around it, or 0."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 0)


def locate(text: str) -> Positions:
    """Find the lines of everything in a text; total, also on what is no TOML."""
    scanner = _Scanner(text)
    with suppress(_LostError, RecursionError):
        scanner.document()
    return Positions(scanner.lines, tuple(scanner.repeats))


class _LostError(Exception):
    """The text here is not the TOML that the scanner knows."""


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._newlines = [match.start() for match in re.finditer("\n", text)]
        self.lines: dict[KeyPath, int] = {}
        self.repeats: list[Repeat] = []
        self._headers: set[KeyPath] = set()
        self._values: set[KeyPath] = set()
        self._elements: dict[KeyPath, int] = {}  # array of tables -> index of its last element

    def document(self) -> None:
        table: KeyPath = ()
        while self._peek_after(_SPACE):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._assignment(table)

    def _peek_after(self, skipped: re.Pattern[str]) -> str:
        """Skip, and return the character that comes then: empty at the end."""
        match = skipped.match(self._text, self._at)
        self._at = match.end() if match else self._at
        return self._text[self._at : self._at + 1]

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise _LostError
        self._at = match.end()
        return match.group()

    def _expect(self, character: str) -> None:
        if self._peek_after(_BLANK) != character:
            raise _LostError
        self._at += 1

    def _line(self, offset: int) -> int:
        return bisect_right(self._newlines, offset - 1) + 1

    def _keys(self) -> list[str]:
        keys: list[str] = []
        while True:
            self._peek_after(_BLANK)
            keys.append(_key_text(self._take(_KEY)))
            if len(keys) > _KEY_DEPTH_MAX:
                raise _LostError
            if self._peek_after(_BLANK) != ".":
                return keys
            self._at += 1

    def _header(self) -> KeyPath:
        line = self._line(self._at)
        array = self._text.startswith("[[", self._at)
        self._at += 2 if array else 1
        keys = self._keys()
        for _ in range(2 if array else 1):
            self._expect("]")
        path: KeyPath = ()
        for index, key in enumerate(keys):
            path = (*path, key)
            last = index == len(keys) - 1
            if not last or array:
                self.lines.setdefault(path, line)
            if last and array:
                self._elements[path] = self._elements.get(path, -1) + 1
            if path in self._elements:
                path = (*path, self._elements[path])
                self.lines.setdefault(path, line)
        if not array:
            self._define(path, line, again=path in self._headers or path in self._values)
            self._headers.add(path)
        return path

    def _assignment(self, table: KeyPath) -> None:
        line = self._line(self._at)
        keys = self._keys()
        for end in range(1, len(keys)):
            outer = (*table, *keys[:end])
            self._define(outer, line, again=outer in self._values)
        path: KeyPath = (*table, *keys)
        self._define(path, line, again=path in self.lines)
        self._values.add(path)
        self._expect("=")
        self._peek_after(_BLANK)
        self._value(path)

    def _define(self, path: KeyPath, line: int, *, again: bool) -> None:
        if again:
            self.repeats.append(Repeat(path, self.lines[path], line))
        self.lines.setdefault(path, line)

    def _value(self, path: KeyPath) -> None:
        match self._text[self._at : self._at + 1]:
            case "[":
                self._array(path)
            case "{":
                self._inline_table(path)
            case '"' | "'":
                self._take(_STRING)
            case _:
                self._take(_SCALAR)

    def _array(self, path: KeyPath) -> None:
        self._at += 1
        index = 0
        while (character := self._peek_after(_SPACE)) != "]":
            if character == ",":
                self._at += 1
                continue
            element = (*path, index)
            self.lines.setdefault(element, self._line(self._at))
            self._value(element)
            index += 1
        self._at += 1

    def _inline_table(self, path: KeyPath) -> None:
        self._at += 1
        while (character := self._peek_after(_SPACE)) != "}":
            if character == ",":
                self._at += 1
                continue
            self._assignment(path)
        self._at += 1


def _key_text(raw: str) -> str:
    """Return what a key as written in TOML means."""
    if raw[0] == "'":
        return raw[1:-1]
    return _ESCAPE.sub(_unescape, raw[1:-1]) if raw[0] == '"' else raw


def _unescape(match: re.Match[str]) -> str:
    digits = match[1] or match[2] or match[3]
    if digits:
        number = int(digits, 16)
        return chr(number) if number <= _CODE_POINT_MAX else match[0]
    letter = match[4]
    return _LETTERS.get(letter, letter)
