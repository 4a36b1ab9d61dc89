"""What a fault is: a few hooks between a right server and the network, and what it asks of a client.

A fault sees every datagram that the server would send (`Fault.sends`) and says what goes out instead;
it sees what the client sent (`drops`, `answers`); it may change what the server believes it was asked
(`request`, `policy`) and what the file is (`content`).  One object is one play of one fault in one
transfer.  Nothing here waits, reads a clock or touches a socket: the stage does (`stage`).
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from enum import Enum
from typing import ClassVar, Final

import attrs

from snowowl.observe.events import Direction
from snowowl.protocol.negotiation import Policy, Terms
from snowowl.testing.faults.content import Content
from snowowl.testing.faults.parameters import number
from snowowl.wire import options as known
from snowowl.wire.packets import Options, Request

FOR_EVER: Final = 0
"""As a number of times: each time."""


GAP_SECONDS: Final = 0.2
"""From what is wrong to what is right: whoever takes the wrong one has shown it by then, slow boards
too."""


class Kind(Enum):
    """What a datagram is."""

    OACK = "OACK"
    DATA = "DATA"
    ACK = "ACK"
    ERROR = "ERROR"
    OTHER = "what is no packet that belongs here"


class Via(Enum):
    """Which of the server's ports a datagram leaves, or comes to."""

    OWN = "the TID of the transfer"
    STRAY = "a port of no transfer"
    LISTENING = "the port that listens"


class Expect(Enum):
    """What a correct client makes of a fault."""

    RECOVER = "the transfer completes"
    END = "the transfer ends without success"
    EITHER = "both are right"
    NOTHING = "no RFC says"


@attrs.frozen
class Delivery:
    """A datagram that goes out, and what a correct client may take it for."""

    octets: bytes
    block: int | None = None
    """Of DATA and ACK that are right: their absolute index; of an OACK that is right: 0."""
    after: float = 0.0
    """Seconds from now."""
    via: Via = Via.OWN
    last: bool = False
    """A client that has all before it has the whole file with it."""


@attrs.frozen
class Outgoing:
    """A datagram that a right server would send now."""

    kind: Kind
    block: int
    """Absolute index of DATA and ACK; 0 for an OACK, -1 for an ERROR."""
    octets: bytes
    copy: int = 0
    """How often it was sent before."""
    last: bool = False
    """DATA that ends the file, or its ACK."""
    first: bool = False
    """The server's answer to the request."""

    def as_is(self, after: float = 0.0) -> Delivery:
        """Return the delivery of it as it is."""
        return Delivery(self.octets, self.block, after, last=self.last)

    @property
    def number(self) -> bytes:
        """Return the two octets of its block number."""
        return self.octets[2:4]


@attrs.frozen
class Incoming:
    """A datagram of the client."""

    kind: Kind
    octets: bytes
    block: int | None = None
    """The absolute index that DATA or an ACK can stand for, if any."""
    last: bool = False
    """It says that the whole file is there, or brings the end of it."""


@attrs.define(eq=False)
class Fault:
    """One play of a fault.  Subclasses say what it is; by itself it changes nothing."""

    name: ClassVar[str] = ""
    what: ClassVar[str] = ""
    """What the server does, for `--list`."""
    clause: ClassVar[str] = ""
    correct: ClassVar[str] = ""
    """What a correct client does, in one sentence."""
    direction: ClassVar[Direction | None] = None
    """Which requests it is for; None: both."""
    needs: ClassVar[frozenset[bytes]] = frozenset()
    """Options without any one of which in the request it cannot be played."""
    expect: ClassVar[Expect] = Expect.RECOVER
    single_port: ClassVar[bool] = False
    """The answers come from the listening port."""
    without_checksums: ClassVar[bool] = False
    """Its datagrams leave without UDP checksums, where that can be had."""
    costly: ClassVar[bool] = False
    """It takes minutes or many megabytes: played only if it is named."""
    lenient: ClassVar[bool] = False
    """To complete where the client should have ended is lenient, no more."""
    examples: ClassVar[tuple[str, ...]] = ("",)
    """The parameters with which a plan of all faults plays it."""

    reached: bool = attrs.field(default=False, init=False)
    """It was played."""
    over: bool = attrs.field(default=False, init=False)
    """The server has done with this transfer: it answers nothing any more."""
    closes: bool = attrs.field(default=False, init=False)
    """The server's port is to be closed."""
    complaint: str = attrs.field(default="", init=False)
    """What the client should not have done, if it has."""
    draws: random.Random = attrs.field(factory=random.Random, init=False)
    """What chance decides, from the seed."""

    @property
    def expects(self) -> Expect:
        """What a correct client makes of it, with these parameters."""
        return self.expect

    def unreachable(self, direction: Direction, options: Options) -> str:
        """Say why it cannot be played in the transfer of a request; nothing if it can."""
        if self.direction is not None and self.direction is not direction:
            return f"it is for a {self.direction.value}"
        named = {name for name, _ in options}
        if self.needs and not self.needs & named:
            wanted = " or ".join(sorted(name.decode() for name in self.needs))
            return f"the client did not ask for {wanted}"
        return ""

    def request(self, request: Request) -> Request:
        """Return what the server shall believe that it was asked."""
        return request

    def policy(self, policy: Policy) -> Policy:
        """Return what the server shall grant."""
        return policy

    def content(self, content: Content, terms: Terms) -> Content:
        """Return what shall be sent instead of a file."""
        del terms
        return content

    def sends(self, packet: Outgoing) -> Iterable[Delivery]:
        """Return what goes out instead of a datagram."""
        return (packet.as_is(),)

    def drops(self, heard: Incoming) -> bool:
        """Say whether the server shall not hear a datagram of the client."""
        del heard
        return False

    def answers(self, heard: Incoming) -> Iterable[Delivery]:
        """Return what goes out for a datagram of the client, beside what the server sends."""
        del heard
        return ()


@attrs.define(eq=False)
class OfOack(Fault):
    """Happens to the OACK, and so needs a client that asks for options."""

    def unreachable(self, direction: Direction, options: Options) -> str:
        """Say that there is no OACK without options."""
        why = super().unreachable(direction, options)
        if not why and not any(name in known.RANGES for name, _ in options):
            return "the client asked for no option"
        return why


@attrs.define(eq=False)
class AtBlock(Fault):
    """Happens at one block: DATA of a download, an ACK of an upload.

    In the window of an upload only the last block has an ACK: then it is the first one from there.
    """

    block: int = number(2, "the block at which it happens", maximum=1 << 24, drawn=(1, 6))
    _at: int | None = attrs.field(default=None, init=False)

    def is_at(self, packet: Outgoing, *kinds: Kind) -> bool:
        """Say whether a datagram is the one, a copy of it included."""
        if packet.kind not in (kinds or (Kind.DATA, Kind.ACK)):
            return False
        if self._at is None and packet.block >= self.block:
            self._at = packet.block
        return packet.block == self._at


@attrs.define(eq=False)
class OnceAtBlock(AtBlock):
    """Happens when the datagram of one block is sent for the first time."""

    def sends(self, packet: Outgoing) -> Iterable[Delivery]:
        """Play the fault with that datagram."""
        if not self.reached and self.is_at(packet):
            self.reached = True
            return self.play(packet)
        return super().sends(packet)

    def play(self, packet: Outgoing) -> Iterable[Delivery]:
        """Return what goes out instead of it."""
        raise NotImplementedError
