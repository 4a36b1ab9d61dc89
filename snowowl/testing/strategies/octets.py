"""Octets that show themselves briefly, so that the largest datagram can be read, and pasted.

Hypothesis warns of an example whose repr is large, and a report with 65,000 times the same octet
helps nobody.
"""

from __future__ import annotations

import re
from typing import Final

SHOWN_MAX: Final = 200
"""Octets that are written out: some lines of a terminal."""

_RUNS: Final = re.compile(rb"(.{1,4}?)\1{15,}", re.DOTALL)


class Octets(bytes):
    """Bytes whose repr is an expression in which what repeats is multiplied.

    >>> Octets(b"head" + b"A" * 1000 + b"tail")
    b'head' + b'A' * 1000 + b'tail'
    """

    __slots__ = ()

    def __repr__(self) -> str:
        plain, parts, end = bytes(self), [], 0
        for run in _RUNS.finditer(plain):
            if run.start() > end:
                parts.append(repr(plain[end : run.start()]))
            unit = run[1]
            parts.append(f"{unit!r} * {len(run[0]) // len(unit)}")
            end = run.end()
        if end < len(plain) or not parts:
            parts.append(repr(plain[end:]))
        return " + ".join(parts)


def brief(octets: bytes) -> bytes:
    """Return the same octets, with a brief repr if they are many."""
    return Octets(octets) if len(octets) > SHOWN_MAX else octets
