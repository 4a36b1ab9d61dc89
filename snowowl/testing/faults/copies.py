"""Faults of a network that doubles and reorders: bait for the Sorcerer's Apprentice."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import attrs

from snowowl.observe.events import Direction
from snowowl.testing.faults.model import (
    Delivery,
    Expect,
    Fault,
    Incoming,
    Kind,
    OfOack,
    OnceAtBlock,
    Outgoing,
    Via,
)
from snowowl.testing.faults.parameters import number, real
from snowowl.wire.codec import encode_error
from snowowl.wire.constants import ErrorCode

_COPIES = "so many copies beside the first"
SOON = 0.01
"""Seconds between a datagram and its copy: a client that answers the first one has done so."""


@attrs.define(eq=False)
class DoubleData(OnceAtBlock):
    """DATA comes twice."""

    name = "double-data"
    what = "DATA n comes more than once"
    clause = "RFC 1123 4.2.3.1"
    correct = "Stores it once, answers each copy by at most one ACK, and goes on."
    direction: ClassVar[Direction | None] = Direction.READ
    examples: ClassVar[tuple[str, ...]] = ("", "copies=20")

    copies: int = number(1, _COPIES, minimum=1, maximum=1000, drawn=(1, 5))

    def play(self, packet: Outgoing) -> Iterable[Delivery]:
        """Send it so often."""
        return (packet.as_is(),) * (1 + self.copies)


@attrs.define(eq=False)
class DoubleAck(DoubleData):
    """An ACK comes twice."""

    name = "double-ack"
    what = "the server's ACK n comes more than once"
    clause = "RFC 1123 4.2.3.1"
    correct = "Sends the next DATA once: a duplicate ACK must not cause any."
    direction: ClassVar[Direction | None] = Direction.WRITE


@attrs.define(eq=False)
class DoubleOack(OfOack):
    """The OACK comes twice."""

    name = "double-oack"
    what = "the OACK comes more than once"
    clause = "RFC 2347"
    correct = "Answers it once or each time, and goes on: it is a duplicate as any other."

    copies: int = number(1, _COPIES, minimum=1, maximum=1000, drawn=(1, 5))

    def sends(self, packet: Outgoing) -> Iterable[Delivery]:
        """Send it so often."""
        if packet.kind is not Kind.OACK or self.reached:
            return super().sends(packet)
        self.reached = True
        return (packet.as_is(),) * (1 + self.copies)


@attrs.define(eq=False)
class DoubleAll(Fault):
    """Everything comes twice."""

    name = "double-all"
    what = "every datagram of the server comes twice"
    clause = "RFC 1123 4.2.3.1"
    correct = "Does not multiply: for each datagram at most one, and no DATA for a duplicate ACK."

    def sends(self, packet: Outgoing) -> Iterable[Delivery]:
        """Send it twice."""
        self.reached = True
        return (packet.as_is(), packet.as_is())


@attrs.define(eq=False)
class DoubleError(OnceAtBlock):
    """An ERROR comes twice."""

    name = "double-error"
    what = "an ERROR instead of DATA n or ACK n, and a copy of it"
    clause = "RFC 1350 7"
    correct = "Ends at the first; an ERROR is never answered, and so neither is its copy."
    expect = Expect.END

    def play(self, packet: Outgoing) -> Iterable[Delivery]:
        """Send it."""
        del packet
        self.over = True
        octets = encode_error(ErrorCode.NOT_DEFINED, "server is going down")
        return (Delivery(octets), Delivery(octets, after=SOON))


@attrs.define(eq=False)
class LateDouble(OnceAtBlock):
    """A copy comes late."""

    name = "late-double"
    what = "a copy of DATA n or ACK n comes late, in the midst of others or after the end"
    clause = "RFC 1123 4.2.3.1"
    correct = "Ignores it, or acknowledges it once more; it changes nothing."

    seconds: float = real(0.5, "how late", maximum=25, drawn=(0.01, 2))

    def play(self, packet: Outgoing) -> Iterable[Delivery]:
        """Send it, and again."""
        return (packet.as_is(), packet.as_is(self.seconds))


@attrs.define(eq=False)
class LateAfterEnd(Fault):
    """A copy of the last datagram comes after the end."""

    name = "late-after-end"
    what = "a copy of the server's last datagram comes when all is over"
    clause = "RFC 1350 6"
    correct = "Repeats its last ACK if it dallies, or answers by ERROR 5, or has closed its port."

    seconds: float = real(0.5, "how late", maximum=25, drawn=(0.1, 3))

    def sends(self, packet: Outgoing) -> Iterable[Delivery]:
        """Send it, and again."""
        if not packet.last or self.reached:
            return super().sends(packet)
        self.reached = True
        return (packet.as_is(), packet.as_is(self.seconds))


@attrs.define(eq=False)
class OldData(OnceAtBlock):
    """An old block comes again."""

    name = "old-data"
    what = "right after DATA n (of an upload: ACK n) the one before it comes again"
    clause = "RFC 1123 4.2.3.1"
    correct = "Knows it by its number: it may acknowledge it, and stores or sends nothing for it."

    _before: Outgoing | None = attrs.field(default=None, init=False)

    def sends(self, packet: Outgoing) -> Iterable[Delivery]:
        """Remember what was sent."""
        if packet.kind is Kind.OACK:
            return (packet.as_is(),)
        sent = (packet.as_is(),) if self._before is None else OnceAtBlock.sends(self, packet)
        self._before = packet
        return sent

    def play(self, packet: Outgoing) -> Iterable[Delivery]:
        """Send it, and the one before."""
        assert self._before is not None
        return (packet.as_is(), self._before.as_is())


@attrs.define(eq=False)
class ExtraData(Fault):
    """DATA comes after the last block."""

    name = "extra-data"
    what = "after the ACK of the last block the server sends one more, which is empty"
    clause = "RFC 1350 6"
    correct = "Has the file and wants no more: ERROR 5, silence or a closed port, but no ACK of it."
    direction: ClassVar[Direction | None] = Direction.READ

    def answers(self, heard: Incoming) -> Iterable[Delivery]:
        """Send it."""
        if not heard.last or heard.kind is not Kind.ACK or self.reached:
            return ()
        self.reached = True
        number_after = (int.from_bytes(heard.octets[2:4], "big") + 1) & 0xFFFF
        return (Delivery(b"\0\3" + number_after.to_bytes(2, "big"), after=SOON),)


@attrs.define(eq=False)
class TwoAnswers(Fault):
    """Two ports answer one request."""

    name = "two-answers"
    what = "the request arrives twice: another port of the server answers it too"
    clause = "RFC 1350 4"
    correct = "Keeps to the port that answered first, answers the other by ERROR 5, or ignores it."

    def sends(self, packet: Outgoing) -> Iterable[Delivery]:
        """Send the first answer from both."""
        if not packet.first or self.reached:
            return super().sends(packet)
        self.reached = True
        return (packet.as_is(), Delivery(packet.octets, after=SOON / 10, via=Via.STRAY))


FAULTS = (
    DoubleData,
    DoubleAck,
    DoubleOack,
    DoubleAll,
    DoubleError,
    LateDouble,
    LateAfterEnd,
    OldData,
    ExtraData,
    TwoAnswers,
)
