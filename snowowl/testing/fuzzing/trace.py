"""What was sent and heard while a script was played: the only evidence that `rules` has.

A life is one port of a peer, from its opening to its closing.  Values and questions about them only.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

import attrs

from snowowl.wire.codec import MalformedPacket, decode_option_ack, opcode_of
from snowowl.wire.constants import BLKSIZE_DEFAULT, HEADER_SIZE, Opcode


class What(Enum):
    """What happened to a datagram."""

    SENT = "sent"
    HEARD = "heard"


@attrs.frozen
class Entry:
    """A datagram that was sent or heard."""

    what: What
    at: float
    octets: bytes
    address: bytes
    """Where it went to, or came from."""
    step: int
    """The index of the step that sent it, or during which it was heard."""
    copy: bool = False
    """A duplicate, sent on purpose, of what was sent before."""

    @property
    def opcode(self) -> int:
        """Return the opcode, 0 if there is none."""
        return opcode_of(self.octets)

    @property
    def is_sent(self) -> bool:
        """Say whether we sent it."""
        return self.what is What.SENT


@attrs.define
class Life:
    """One port of a peer, and all that it sent and heard."""

    peer: str
    listening: bytes
    entries: list[Entry] = attrs.field(factory=list)
    ended_at: float = 0.0

    def sent(self) -> Iterator[Entry]:
        """Yield what was sent."""
        return (entry for entry in self.entries if entry.is_sent)

    def heard(self) -> Iterator[Entry]:
        """Yield what was heard."""
        return (entry for entry in self.entries if not entry.is_sent)

    def requests(self) -> Iterator[Entry]:
        """Yield what was sent to the listening port and may be a request."""
        return (
            entry
            for entry in self.sent()
            if entry.address == self.listening and entry.opcode in (Opcode.RRQ, Opcode.WRQ)
        )


@attrs.define
class Trace:
    """All lives of a script."""

    lives: list[Life] = attrs.field(factory=list)
    listening_closed: bool = False
    """ICMP said that nobody has the listening port."""

    def payloads(self) -> Iterator[bytes]:
        """Yield what came in DATA, one after another."""
        for life in self.lives:
            for entry in life.heard():
                if entry.opcode == Opcode.DATA and len(entry.octets) > HEADER_SIZE:
                    yield entry.octets[HEADER_SIZE:]


def granted(octets: bytes) -> dict[bytes, bytes]:
    """Return what an OACK grants, as far as it can be read."""
    try:
        return dict(decode_option_ack(octets).options)
    except MalformedPacket:
        return {}


def blksize_of(octets: bytes) -> int:
    """Return the blksize that an OACK grants; the default if it grants none that can be."""
    value = granted(octets).get(b"blksize", b"")
    return int(value) if value.isdigit() and len(value) < 8 else BLKSIZE_DEFAULT
