r"""Octets as text and back: `b"\\x00\\x01" + b"a" * 500`, as Python would read it, and nothing more.

A text is read by its own small grammar: it never runs anything, and its length is bounded before it
is made.
"""

from __future__ import annotations

import re
from typing import Final

_PIECE: Final = re.compile(r'\s*b"((?:[^"\\]|\\.)*)"\s*(?:\*\s*(\d{1,6})\s*)?')
_ESCAPE: Final = re.compile(r"\\(x[0-9a-fA-F]{2}|.)", re.DOTALL)
_SIMPLE: Final = {"n": "\n", "r": "\r", "t": "\t", "0": "\0", "\\": "\\", '"': '"', "'": "'"}

_RUN: Final = re.compile(rb"(.{1,4}?)\1{11,}", re.DOTALL)
"""What is written as a product: fewer are as short as they are."""


def quoted(octets: bytes) -> str:
    """Return octets as text that `read` reads and Python too."""
    pieces: list[str] = []
    start = 0
    for match in _RUN.finditer(octets):
        if start < match.start():
            pieces.append(_quoted(octets[start : match.start()]))
        unit = match[1]
        pieces.append(f"{_quoted(unit)} * {len(match[0]) // len(unit)}")
        start = match.end()
    if start < len(octets) or not pieces:
        pieces.append(_quoted(octets[start:]))
    return " + ".join(pieces)


def _quoted(octets: bytes) -> str:
    shown = "".join(_shown(octet) for octet in octets)
    return f'b"{shown}"'


def _shown(octet: int) -> str:
    char = chr(octet)
    if char in '"\\':
        return "\\" + char
    return char if " " <= char <= "~" else f"\\x{octet:02x}"


def read(text: str, octets_max: int) -> tuple[bytes, str]:
    """Read octets at the beginning of a text; return them and the rest of it.

    Raises ValueError, in words that say what is wrong.
    """
    octets = b""
    while True:
        match = _PIECE.match(text)
        if match is None:
            raise ValueError(
                f'octets are written as b"...", not as {text.strip()[:30] or "nothing"}'
            )
        piece = _ESCAPE.sub(_unescaped, match[1])
        if not all(ord(char) < 256 for char in piece):
            raise ValueError("a character above \\xff is no octet")
        count = int(match[2] or 1)
        if len(octets) + len(piece) * count > octets_max:
            raise ValueError(f"more than {octets_max} octets")
        octets += piece.encode("latin-1") * count
        text = text[match.end() :]
        if not text.startswith("+"):
            return octets, text
        text = text[1:]


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    if len(code) == 3:
        return chr(int(code[1:], 16))
    if code not in _SIMPLE:
        raise ValueError(
            f'\\{code} is no escape: use \\x00 to \\xff, \\n, \\r, \\t, \\0, \\\\ or \\"'
        )
    return _SIMPLE[code]
