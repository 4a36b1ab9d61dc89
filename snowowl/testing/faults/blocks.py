"""Faults of a single datagram: wrong numbers, wrong lengths, wrong octets, no packet at all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import attrs

from snowowl.observe.events import Direction
from snowowl.protocol.negotiation import Policy, Terms
from snowowl.testing.faults.content import Content, Generated, Octets
from snowowl.testing.faults.model import (
    GAP_SECONDS,
    Delivery,
    Expect,
    Fault,
    Incoming,
    Kind,
    OnceAtBlock,
    Outgoing,
)
from snowowl.testing.faults.parameters import number, word
from snowowl.wire import options as known
from snowowl.wire.constants import BLKSIZE_MAX, HEADER_SIZE
from snowowl.wire.packets import Options

ETHERNET_BLKSIZE_MAX = 1468

_IGNORES = "Ignores it, or ends by ERROR 4; it stores nothing of it and does not acknowledge it."


@attrs.define(eq=False)
class WrongBlock(OnceAtBlock):
    """A wrong block number."""

    name = "wrong-block"
    what = "DATA n or ACK n comes with another number first, and then as it should"
    clause = "RFC 1350 2, 6"
    correct = "Does not take it for the awaited one: ignores it or repeats what it sent last."
    examples: ClassVar[tuple[str, ...]] = (
        "number=next",
        "number=previous",
        "number=zero",
        "number=65535",
        "number=far",
    )

    number: str = word("next", "which", "next", "previous", "zero", "65535", "far")

    def play(self, packet: Outgoing) -> Iterable[Delivery]:
        """Send it with that number, and as it is."""
        right = int.from_bytes(packet.number, "big")
        wrong = {
            "next": right + 1,
            "previous": right - 1,
            "zero": 0,
            "65535": 65535,
            "far": right + 1000,
        }[self.number]
        octets = packet.octets[:2] + (wrong & 0xFFFF).to_bytes(2, "big") + packet.octets[4:]
        return (Delivery(octets), packet.as_is(GAP_SECONDS))


@attrs.define(eq=False)
class LongData(OnceAtBlock):
    """More octets than blksize."""

    name = "long-data"
    what = "DATA n comes with more octets than blksize first, and then as it should"
    clause = "RFC 1350 5, RFC 2348"
    correct = _IGNORES
    direction: ClassVar[Direction | None] = Direction.READ
    expect = Expect.EITHER
    examples: ClassVar[tuple[str, ...]] = ("", "extra=1000")

    extra: int = number(1, "octets beyond blksize", minimum=1, maximum=65000, drawn=(1, 1000))
    _blksize: int = attrs.field(default=512, init=False)
    _right: bool = attrs.field(default=False, init=False)

    def content(self, content: Content, terms: Terms) -> Content:
        """Learn the blksize."""
        self._blksize = terms.blksize
        return content

    def sends(self, packet: Outgoing) -> Iterable[Delivery]:
        """Note that what is right has been sent."""
        self._right |= self.reached and self.is_at(packet)
        return super().sends(packet)

    def play(self, packet: Outgoing) -> Iterable[Delivery]:
        """Send too much; what is right comes when the server's timer goes off."""
        size = min(self._blksize + self.extra, BLKSIZE_MAX + HEADER_SIZE)
        return (Delivery(packet.octets.ljust(HEADER_SIZE + size, b"+"), packet.block),)

    def answers(self, heard: Incoming) -> Iterable[Delivery]:
        """Look whether it was taken."""
        if heard.kind is Kind.ACK and heard.block == self._at and self.reached and not self._right:
            # Cut to the client's buffer it looks right: many cannot know better.
            self.complaint = "took DATA that is longer than blksize"
        return ()


@attrs.define(eq=False)
class ShortData(OnceAtBlock):
    """A short block in mid-file."""

    name = "short-data"
    what = "DATA n is shorter than blksize in mid-file, which ends the transfer early"
    clause = "RFC 1350 6"
    correct = (
        "Takes it for the end: acknowledges it and no block after it; by tsize it may complain."
    )
    direction: ClassVar[Direction | None] = Direction.READ
    expect = Expect.NOTHING

    less: int = number(1, "octets less than blksize", minimum=1, maximum=65464, drawn=(1, 500))

    def sends(self, packet: Outgoing) -> Iterable[Delivery]:
        """Send the block short each time, and go on as if nothing was wrong."""
        if not self.is_at(packet) or packet.last:
            return (packet.as_is(),)
        self.reached = True
        size = max(HEADER_SIZE, len(packet.octets) - self.less)
        return (Delivery(packet.octets[:size], packet.block, last=True),)


@attrs.define(eq=False)
class MissingLast(Fault):
    """The empty last block is missing."""

    name = "missing-last"
    what = "the file is cut to whole blocks, and the empty DATA that ends it never comes"
    clause = "RFC 1350 6"
    correct = "Waits for it, repeats its last ACK, and then says that the file is not whole."
    direction: ClassVar[Direction | None] = Direction.READ
    expect = Expect.END

    def content(self, content: Content, terms: Terms) -> Content:
        """Cut it to whole blocks."""
        return Octets(content.read(0, content.size // terms.blksize * terms.blksize))

    def sends(self, packet: Outgoing) -> Iterable[Delivery]:
        """Send all but the last."""
        if not packet.last:
            return super().sends(packet)
        self.reached = True
        return ()


@attrs.define(eq=False)
class Truncated(OnceAtBlock):
    """A datagram that is cut off."""

    name = "truncated"
    what = "the first octets of DATA n or ACK n come first, and then all of it"
    clause = "RFC 1350 5"
    correct = "Ignores it, or ends by ERROR 4; it reads no octet that is not there."
    expect = Expect.EITHER
    examples: ClassVar[tuple[str, ...]] = ("octets=0", "octets=1", "octets=2", "octets=3")

    octets: int = number(3, "so many octets, 0 to 3", maximum=3, drawn=(0, 3))

    def play(self, packet: Outgoing) -> Iterable[Delivery]:
        """Send the beginning, and all."""
        return (Delivery(packet.octets[: self.octets]), packet.as_is(GAP_SECONDS))


@attrs.define(eq=False)
class UnknownOpcode(OnceAtBlock):
    """An opcode that is none."""

    name = "unknown-opcode"
    what = "a packet with an opcode that no RFC has comes before DATA n or ACK n"
    clause = "RFC 1350 5"
    correct = "Ignores it, or ends by ERROR 4."
    expect = Expect.EITHER
    examples: ClassVar[tuple[str, ...]] = ("", "opcode=0", "opcode=65535", "opcode=259")

    opcode: int = number(9, "the opcode; 1 to 6 are real ones", drawn=(7, 65535))

    def play(self, packet: Outgoing) -> Iterable[Delivery]:
        """Send it, and what is right."""
        octets = self.opcode.to_bytes(2, "big") + packet.octets[2:]
        return (Delivery(octets), packet.as_is(GAP_SECONDS))


@attrs.define(eq=False)
class RequestBack(OnceAtBlock):
    """The server sends a request."""

    name = "request-back"
    what = "the server itself sends an RRQ before DATA n or ACK n"
    clause = "RFC 1350 5"
    correct = "Ignores it, or ends by ERROR 4; it serves nothing."
    expect = Expect.EITHER

    def play(self, packet: Outgoing) -> Iterable[Delivery]:
        """Send it, and what is right."""
        return (Delivery(b"\0\1/etc/passwd\0octet\0"), packet.as_is(GAP_SECONDS))


@attrs.define(eq=False)
class WrongDirection(OnceAtBlock):
    """The other side's packet."""

    name = "wrong-direction"
    what = "an ACK of block n comes to a reader, DATA n to a writer, before what is right"
    clause = "RFC 1350 6"
    correct = "Ignores it, or ends by ERROR 4."
    expect = Expect.EITHER

    def play(self, packet: Outgoing) -> Iterable[Delivery]:
        """Send it, and what is right."""
        if packet.kind is Kind.DATA:
            return (Delivery(b"\0\4" + packet.number), packet.as_is(GAP_SECONDS))
        return (Delivery(b"\0\3" + packet.number + b"unasked"), packet.as_is(GAP_SECONDS))


@attrs.define(eq=False)
class Garbage(OnceAtBlock):
    """Octets without meaning."""

    name = "garbage"
    what = "octets drawn by chance come before DATA n or ACK n"
    clause = "RFC 1350 5"
    correct = "Ignores them, or ends by ERROR 4; it does not crash."
    expect = Expect.EITHER
    examples: ClassVar[tuple[str, ...]] = ("", "octets=1", "octets=1400")

    octets: int = number(64, "so many", maximum=65000, drawn=(1, 1400))

    def play(self, packet: Outgoing) -> Iterable[Delivery]:
        """Send them, and what is right."""
        noise = bytearray(self.draws.randbytes(self.octets))
        if noise:
            noise[0] = 0xF0 | noise[0]  # none of TFTP's opcodes
        return (Delivery(bytes(noise)), packet.as_is(GAP_SECONDS))


@attrs.define(eq=False)
class Corrupted(OnceAtBlock):
    """A bit is wrong."""

    name = "corrupted"
    what = "one bit of DATA n is wrong, as if no checksum had seen it"
    clause = "none: TFTP has no checksum but UDP's"
    correct = "Cannot know; a digest or a signature of the file must tell it."
    direction: ClassVar[Direction | None] = Direction.READ
    expect = Expect.NOTHING

    def sends(self, packet: Outgoing) -> Iterable[Delivery]:
        """Flip one bit, the same in each copy."""
        if not self.is_at(packet) or len(packet.octets) == HEADER_SIZE:
            return (packet.as_is(),)
        if not self.reached:
            self._bit = self.draws.randrange(HEADER_SIZE * 8, len(packet.octets) * 8)
        self.reached = True
        octets = bytearray(packet.octets)
        octets[self._bit // 8] ^= 1 << self._bit % 8
        return (Delivery(bytes(octets), packet.block, last=packet.last),)

    _bit: int = attrs.field(default=0, init=False)


@attrs.define(eq=False)
class WithoutChecksum(Fault):
    """No UDP checksums."""

    name = "checksum-zero"
    what = "the datagrams leave with UDP checksum 0 (IPv4 on Linux, real sockets only)"
    clause = "RFC 768"
    correct = "Takes them: 0 says that the sender made none."
    without_checksums = True


@attrs.define(eq=False)
class Jumbo(Fault):
    """Blocks that no frame holds."""

    name = "jumbo"
    what = "the server grants any blksize, so that blocks are larger than a frame and come in fragments"
    clause = "RFC 2348"
    correct = "Puts the fragments together, or asks for less."
    expect = Expect.EITHER

    def unreachable(self, direction: Direction, options: Options) -> str:
        """Say whether so much was asked for."""
        del direction
        asked = known.parse_value(known.BLKSIZE, dict(options).get(known.BLKSIZE, b""))
        if asked is None or asked <= ETHERNET_BLKSIZE_MAX:
            return f"the client did not ask for a blksize above {ETHERNET_BLKSIZE_MAX}"
        return ""

    def policy(self, policy: Policy) -> Policy:
        """Grant what is asked."""
        return attrs.evolve(policy, blksize_max=BLKSIZE_MAX)

    def sends(self, packet: Outgoing) -> Iterable[Delivery]:
        """Send as is."""
        self.reached |= packet.kind is Kind.DATA
        return super().sends(packet)


@attrs.define(eq=False)
class Rollover(Fault):
    """More than 65535 blocks."""

    name = "rollover"
    what = (
        "a generated file of more than 65535 blocks comes instead, and block 65536 has this number"
    )
    clause = "none: RFC 1350 does not say what follows 65535"
    correct = (
        "Goes on with 0 as nearly all do; with other numbers it may end, but not mix up blocks."
    )
    direction: ClassVar[Direction | None] = Direction.READ
    costly = True
    examples: ClassVar[tuple[str, ...]] = ("to=0", "to=1", "to=error", "to=silence")

    to: str = word("0", "what follows block 65535", "0", "1", "error", "silence")

    @property
    def expects(self) -> Expect:
        """Nearly every client goes on with 0; 1 is as good; else there is no more."""
        return {"0": Expect.RECOVER, "1": Expect.EITHER}.get(self.to, Expect.END)

    def policy(self, policy: Policy) -> Policy:
        """Roll over to it."""
        return attrs.evolve(policy, rollover=1 if self.to == "1" else 0)

    def content(self, content: Content, terms: Terms) -> Content:
        """Return a file that is long enough."""
        del content
        return Generated(65550 * terms.blksize + terms.blksize // 2)

    def sends(self, packet: Outgoing) -> Iterable[Delivery]:
        """Send as is, or end at 65535."""
        self.reached |= packet.kind is Kind.DATA and packet.block > 65535
        if not self.reached or self.to in ("0", "1"):
            return super().sends(packet)
        if self.to == "silence":
            return ()
        self.over = True
        return (Delivery(b"\0\5\0\0more than 65535 blocks\0"),)


FAULTS = (
    WrongBlock,
    LongData,
    ShortData,
    MissingLast,
    Truncated,
    UnknownOpcode,
    RequestBack,
    WrongDirection,
    Garbage,
    Corrupted,
    WithoutChecksum,
    Jumbo,
    Rollover,
)
