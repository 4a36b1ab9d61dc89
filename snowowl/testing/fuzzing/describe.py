"""A datagram in words, for comments and for tables.  Total: whatever the octets, one short line."""

from __future__ import annotations

from typing import Final

from snowowl.testing.fuzzing.literal import quoted
from snowowl.wire.codec import block_number_of, opcode_of
from snowowl.wire.constants import HEADER_SIZE, Opcode

_SHOWN_MAX: Final = 48


def described(octets: bytes) -> str:
    """Return what a datagram is, as far as it is something."""
    opcode = opcode_of(octets)
    known = opcode in Opcode.__members__.values()
    if len(octets) < 2 or not known:
        kind = f"opcode {opcode}" if len(octets) >= 2 else "no opcode"
        return f"{kind}, {_count(len(octets))}"
    name = Opcode(opcode).name
    if opcode in (Opcode.DATA, Opcode.ACK, Opcode.ERROR):
        if len(octets) < HEADER_SIZE:
            return f"{name}, cut to {_count(len(octets))}"
        number = block_number_of(octets)
        rest = octets[HEADER_SIZE:]
        if opcode == Opcode.ERROR:
            return f"ERROR {number} {shown(rest.partition(bytes(1))[0])}"
        return f"{name} {number}" + (f", {_count(len(rest))}" if rest else "")
    words = octets[2:].split(b"\0")
    unended = words.pop()
    text = " ".join(shown(word) for word in words[:12])
    if unended:
        text += f" and {shown(unended)} without a NUL"
    return f"{name} {text}".strip()


def shown(octets: bytes) -> str:
    """Return octets as a literal of bounded length."""
    if len(octets) <= _SHOWN_MAX:
        return quoted(octets)[1:]
    return quoted(octets[:_SHOWN_MAX])[1:] + f"... ({_count(len(octets))})"


def _count(octets: int) -> str:
    return f"{octets} octet{'' if octets == 1 else 's'}"
