"""TFTP's packets for the suite: made by hand, read strictly, told in words.

They are no use of `snowowl.wire`, on purpose: a suite that had the codec of one of the servers that
it judges would not see that server's mistakes.  Nothing here raises for what a server sends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

RRQ: Final = 1
WRQ: Final = 2
DATA: Final = 3
ACK: Final = 4
ERROR: Final = 5
OACK: Final = 6

NUMBERS: Final = 65536
"""Block numbers there are: 16 bits (RFC 1350 section 5)."""

_TEXT_MAX: Final = 80
_OPCODES: Final = {RRQ: "RRQ", WRQ: "WRQ", DATA: "DATA", ACK: "ACK", ERROR: "ERROR", OACK: "OACK"}

Option = tuple[str | bytes, str | bytes | int]


def rrq(name: bytes, *options: Option, mode: bytes = b"octet") -> bytes:
    """Return an RRQ (RFC 1350 section 5, options by RFC 2347)."""
    return _request(RRQ, name, mode, options)


def wrq(name: bytes, *options: Option, mode: bytes = b"octet") -> bytes:
    """Return a WRQ."""
    return _request(WRQ, name, mode, options)


def data(block: int, payload: bytes) -> bytes:
    """Return DATA; of the block's index the lower 16 bits are sent."""
    return bytes((0, DATA)) + (block % NUMBERS).to_bytes(2, "big") + payload


def ack(block: int) -> bytes:
    """Return an ACK; of the block's index the lower 16 bits are sent."""
    return bytes((0, ACK)) + (block % NUMBERS).to_bytes(2, "big")


def error(code: int, text: bytes = b"") -> bytes:
    """Return an ERROR."""
    return bytes((0, ERROR)) + code.to_bytes(2, "big") + text + b"\0"


def _request(opcode: int, name: bytes, mode: bytes, options: Sequence[Option]) -> bytes:
    words = [name, mode, *(_octets(word) for option in options for word in option)]
    return bytes((0, opcode)) + b"".join(word + b"\0" for word in words)


def _octets(word: str | bytes | int) -> bytes:
    return word if isinstance(word, bytes) else str(word).encode("ascii")


@attrs.frozen
class Answer:
    """A datagram that came from the server."""

    octets: bytes
    source: bytes
    """The socket address that it came from."""
    at: float

    @property
    def opcode(self) -> int:
        """Return the opcode, or 0 for what is too short to have one."""
        return int.from_bytes(self.octets[:2], "big") if len(self.octets) >= 2 else 0

    @property
    def number(self) -> int:
        """Return the block number, or the code of an ERROR; -1 for what is too short."""
        return int.from_bytes(self.octets[2:4], "big") if len(self.octets) >= 4 else -1

    @property
    def payload(self) -> bytes:
        """Return what follows the first four octets."""
        return self.octets[4:]

    @property
    def is_whole(self) -> bool:
        """Say whether it has the octets that its opcode needs."""
        return self.opcode == OACK or len(self.octets) >= 4

    def is_data(self, number: int | None = None) -> bool:
        """Say whether it is DATA, with that block number if one is given."""
        return self._is(DATA, number)

    def is_ack(self, number: int | None = None) -> bool:
        """Say whether it is an ACK, of that block number if one is given."""
        return self._is(ACK, number)

    def is_error(self, code: int | None = None) -> bool:
        """Say whether it is an ERROR, with that code if one is given."""
        return self._is(ERROR, code)

    @property
    def is_oack(self) -> bool:
        """Say whether it is an OACK, well formed or not."""
        return self.opcode == OACK

    def _is(self, opcode: int, number: int | None) -> bool:
        if self.opcode != opcode or not self.is_whole:
            return False
        return number is None or self.number == number % NUMBERS

    @property
    def granted(self) -> dict[str, str]:
        """Return the options of an OACK, names in lower case; what is malformed is left out."""
        words = self.octets[2:].split(b"\0")
        pairs = zip(words[0::2], words[1::2], strict=False)
        return {_ascii(name).lower(): _ascii(value) for name, value in pairs if name}

    @property
    def names(self) -> list[str]:
        """Return the names in an OACK in their order, in lower case."""
        return [_ascii(name).lower() for name in self.octets[2:].split(b"\0")[:-1][0::2]]

    def __str__(self) -> str:
        return describe(self.octets)


def malformed_oack(octets: bytes) -> str | None:
    """Return what is wrong with the form of an OACK (RFC 2347), None if nothing is."""
    if not octets.endswith(b"\0"):
        return "its last octet is no NUL"
    words = octets[2:-1].split(b"\0")
    if len(words) % 2:
        return "it is not made of pairs of name and value"
    if not all(words):
        return "it holds an empty name or value, or octets after the last value"
    if not all(word.isascii() and word.decode("ascii").isprintable() for word in words):
        return "it holds what is no ASCII"
    return None


def describe(octets: bytes) -> str:
    """Return a datagram in words, printable and of bounded length, whatever it holds."""
    opcode = int.from_bytes(octets[:2], "big") if len(octets) >= 2 else 0
    number = int.from_bytes(octets[2:4], "big") if len(octets) >= 4 else None
    if opcode in (RRQ, WRQ):
        words = octets[2:].split(b"\0")
        ended = "" if words.pop() == b"" else ", no NUL at its end"
        told = " ".join(_quoted(word) for word in words[:12]) + (" ..." if len(words) > 12 else "")
        return f"{_OPCODES[opcode]} {told}{ended}"
    if opcode == DATA and number is not None:
        return f"DATA {number}, {len(octets) - 4} octets"
    if opcode == ACK and number is not None:
        tail = f", and {len(octets) - 4} octets after it" if len(octets) > 4 else ""
        return f"ACK {number}{tail}"
    if opcode == ERROR and number is not None:
        text = octets[4:].partition(b"\0")[0]
        return f"ERROR {number} {_quoted(text)}" if text else f"ERROR {number}"
    if opcode == OACK:
        words = octets[2:].split(b"\0")
        pairs = [
            f"{_shown(name)}={_shown(value)}"
            for name, value in zip(words[0::2], words[1::2], strict=False)
        ]
        return f"OACK {' '.join(pairs[:12]) or '(empty)'}"
    if not octets:
        return "an empty datagram"
    return f"{len(octets)} octets: {octets[:16].hex(' ')}{' ...' if len(octets) > 16 else ''}"


def _quoted(word: bytes) -> str:
    return f'"{_shown(word)}"'


def _shown(word: bytes) -> str:
    text = "".join(
        chr(octet) if 32 <= octet < 127 else f"\\x{octet:02x}" for octet in word[:_TEXT_MAX]
    )
    return text + ("..." if len(word) > _TEXT_MAX else "")


def _ascii(word: bytes) -> str:
    return word.decode("ascii", "backslashreplace")
