"""Faults of a network that loses and delays.  What was lost is sent again by either side."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

import attrs

from snowowl.observe.events import Direction
from snowowl.testing.faults.model import (
    FOR_EVER,
    AtBlock,
    Delivery,
    Expect,
    Fault,
    Incoming,
    Kind,
    OfOack,
    Outgoing,
)
from snowowl.testing.faults.parameters import number, real

_TIMES = "how often; 0: each time"

TIMES_BORNE: Final = 2
"""What is lost so often, in four seconds, every client must get over; what is lost more often it may
give up."""

SECONDS_BORNE: Final = 5.0
"""So long every client must wait; longer it need not."""

LOSS_BORNE: Final = 0.2


def after(times: int) -> Expect:
    """Return what a correct client makes of a datagram that is lost so often."""
    if times == FOR_EVER:
        return Expect.END
    return Expect.RECOVER if times <= TIMES_BORNE else Expect.EITHER


def waiting(seconds: float) -> Expect:
    """Return what a correct client makes of so long a silence."""
    return Expect.RECOVER if seconds <= SECONDS_BORNE else Expect.EITHER


@attrs.define(eq=False)
class _Lost(AtBlock):
    times: int = number(1, _TIMES, maximum=255, drawn=(0, 3))

    @property
    def expects(self) -> Expect:
        """What is lost for ever cannot be had, what is lost often may be given up."""
        return after(self.times)

    def loses(self, copy: int) -> bool:
        """Say whether a copy is lost."""
        lost = self.times == FOR_EVER or copy < self.times
        self.reached |= lost
        return lost

    def sends(self, packet: Outgoing) -> Iterable[Delivery]:
        """Lose the datagram, and copies of it."""
        lost = self.is_at(packet) and self.loses(packet.copy)
        return () if lost else super().sends(packet)


@attrs.define(eq=False)
class LostData(_Lost):
    """DATA is lost."""

    name = "lost-data"
    what = "DATA n is lost"
    clause = "RFC 1350 2"
    correct = "Repeats its last ACK after a timeout, or waits for the DATA to come again; goes on."
    direction: ClassVar[Direction | None] = Direction.READ
    examples: ClassVar[tuple[str, ...]] = ("", "block=1", "times=2", "times=0")


@attrs.define(eq=False)
class LostAck(_Lost):
    """An ACK is lost."""

    name = "lost-ack"
    what = "the server's ACK n is lost"
    clause = "RFC 1350 2"
    correct = "Sends the DATA again after a timeout, and goes on when the ACK has come."
    direction: ClassVar[Direction | None] = Direction.WRITE
    examples: ClassVar[tuple[str, ...]] = ("", "times=2", "times=0")


@attrs.define(eq=False)
class LostFinalAck(Fault):
    """The last ACK of an upload is lost."""

    name = "lost-final-ack"
    what = "the ACK of an upload's last block is lost"
    clause = "RFC 1350 6"
    correct = "Sends the last DATA again after a timeout; if no ACK ever comes it says so."
    direction: ClassVar[Direction | None] = Direction.WRITE
    examples: ClassVar[tuple[str, ...]] = ("", "times=0")

    times: int = number(1, _TIMES, maximum=255, drawn=(0, 3))

    @property
    def expects(self) -> Expect:
        """That the last ACK never comes does not undo the upload."""
        return Expect.EITHER if self.times == FOR_EVER else after(self.times)

    def sends(self, packet: Outgoing) -> Iterable[Delivery]:
        """Lose it."""
        if packet.last and (self.times == FOR_EVER or packet.copy < self.times):
            self.reached = True
            return ()
        return super().sends(packet)


@attrs.define(eq=False)
class LostOack(OfOack):
    """The OACK is lost."""

    name = "lost-oack"
    what = "the OACK is lost"
    clause = "RFC 2347"
    correct = "Sends its request again, or waits for the OACK to come again; goes on."

    times: int = number(1, _TIMES, maximum=255, drawn=(0, 3))

    @property
    def expects(self) -> Expect:
        """A server that never answers cannot be used."""
        return after(self.times)

    def sends(self, packet: Outgoing) -> Iterable[Delivery]:
        """Lose it."""
        if packet.kind is Kind.OACK and (self.times == FOR_EVER or packet.copy < self.times):
            self.reached = True
            return ()
        return super().sends(packet)


@attrs.define(eq=False)
class LostFirstAnswer(Fault):
    """The first answer is lost, whatever it is."""

    name = "lost-first-answer"
    what = "the server's first answer is lost, whatever it is"
    clause = "RFC 1350 4"
    correct = "Sends its request again, from the same port, or waits; goes on."
    examples: ClassVar[tuple[str, ...]] = ("", "times=2")

    times: int = number(1, _TIMES, maximum=255, drawn=(0, 3))

    @property
    def expects(self) -> Expect:
        """A server that never answers cannot be used."""
        return after(self.times)

    def sends(self, packet: Outgoing) -> Iterable[Delivery]:
        """Lose it."""
        if packet.first and (self.times == FOR_EVER or packet.copy < self.times):
            self.reached = True
            return ()
        return super().sends(packet)


@attrs.define(eq=False)
class LostFromClient(Fault):
    """What the client sent is lost."""

    name = "lost-from-client"
    what = "the client's ACK n (of an upload: its DATA n) is lost"
    clause = "RFC 1350 2"
    correct = "Acknowledges the DATA that comes again, or sends its DATA again after a timeout."

    block: int = number(1, "the block of the ACK or DATA", maximum=1 << 24, drawn=(1, 6))
    times: int = number(1, "how often", minimum=1, maximum=255, drawn=(1, 2))
    _at: int | None = attrs.field(default=None, init=False)
    _lost: int = attrs.field(default=0, init=False)

    def drops(self, heard: Incoming) -> bool:
        """Lose it."""
        if heard.kind not in (Kind.ACK, Kind.DATA) or heard.block is None or heard.last:
            return False
        if self._at is None and heard.block >= self.block:
            self._at = heard.block
        if heard.block != self._at or self._lost >= self.times:
            return False
        self._lost += 1
        self.reached = True
        return True


@attrs.define(eq=False)
class LostLastOfClient(Fault):
    """The client's ACK of the last block is lost."""

    name = "lost-last-ack"
    what = "the client's ACK of the last block is lost, so that the last DATA comes again"
    clause = "RFC 1350 6, RFC 1123 4.2.3.1"
    correct = "Dallies and repeats the ACK, or has closed its port: it has the file either way."
    direction: ClassVar[Direction | None] = Direction.READ

    times: int = number(1, _TIMES, maximum=255, drawn=(1, 2))
    _lost: int = attrs.field(default=0, init=False)

    def drops(self, heard: Incoming) -> bool:
        """Lose it."""
        if heard.kind is not Kind.ACK or not heard.last:
            return False
        if self.times != FOR_EVER and self._lost >= self.times:
            return False
        self._lost += 1
        self.reached = True
        return True


@attrs.define(eq=False)
class RandomLoss(Fault):
    """Each datagram is lost with some probability."""

    name = "random-loss"
    what = "each datagram of either side is lost with probability p"
    clause = "RFC 1350 2"
    correct = "Sends again what was not answered, and has the whole file in the end."
    examples: ClassVar[tuple[str, ...]] = ("", "p=0.3")

    p: float = real(0.1, "the probability, 0 to 0.9", maximum=0.9, drawn=(0.02, 0.3))

    @property
    def expects(self) -> Expect:
        """Who loses too much may give up."""
        return Expect.RECOVER if self.p <= LOSS_BORNE else Expect.EITHER

    def sends(self, packet: Outgoing) -> Iterable[Delivery]:
        """Lose some."""
        if packet.kind is not Kind.ERROR and self._loses():
            return ()
        return super().sends(packet)

    def drops(self, heard: Incoming) -> bool:
        """Lose some."""
        # The last ACK of a download is the client's last word: it need not say it again.
        return not heard.last and heard.kind is not Kind.ERROR and self._loses()

    def _loses(self) -> bool:
        lost = self.draws.random() < self.p
        self.reached |= lost
        return lost


@attrs.define(eq=False)
class Delayed(AtBlock):
    """A datagram is late."""

    name = "delayed"
    what = "DATA n (of an upload: ACK n), and each copy of it, is late"
    clause = "RFC 1350 2, RFC 1123 4.2.3.1"
    correct = "May repeat itself after a timeout, takes the first copy, and does not multiply."

    seconds: float = real(3.0, "how late; let it be longer than the client's timeout", maximum=25)

    @property
    def expects(self) -> Expect:
        """Who waits too long may give up."""
        return waiting(self.seconds)

    def sends(self, packet: Outgoing) -> Iterable[Delivery]:
        """Send it late."""
        if not self.is_at(packet):
            return super().sends(packet)
        self.reached = True
        return (packet.as_is(self.seconds),)


@attrs.define(eq=False)
class SlowStart(Fault):
    """The first answer is late."""

    name = "slow-start"
    what = "the server thinks before its first answer"
    clause = "RFC 1350 4"
    correct = "Repeats its request from the same port, or waits; goes on with the answer."

    seconds: float = real(3.0, "how long", maximum=25, drawn=(0.5, 5))

    @property
    def expects(self) -> Expect:
        """Who waits too long may give up."""
        return waiting(self.seconds)

    def sends(self, packet: Outgoing) -> Iterable[Delivery]:
        """Send it late."""
        if not packet.first or self.reached:
            # What is sent again meanwhile would only come in front of the next block.
            return () if packet.first else super().sends(packet)
        self.reached = True
        return (packet.as_is(self.seconds),)


@attrs.define(eq=False)
class Slow(Fault):
    """Everything is late."""

    name = "slow"
    what = "every datagram of the server is late"
    clause = "RFC 1350 2"
    correct = "Is patient; the transfer takes longer, no more."

    seconds: float = real(0.1, "how late", maximum=10, drawn=(0.02, 0.3))

    @property
    def expects(self) -> Expect:
        """Who waits too long may give up."""
        return waiting(self.seconds)

    def sends(self, packet: Outgoing) -> Iterable[Delivery]:
        """Send it late."""
        self.reached = True
        return (packet.as_is(self.seconds),)


@attrs.define(eq=False)
class Silence(Fault):
    """The server falls silent."""

    name = "silence"
    what = "the server falls silent with DATA n (of an upload: ACK n); with block=0 from the start"
    clause = "RFC 1350 2, 7"
    correct = "Repeats itself a few times, then gives up and says so; it does not hang."
    expect = Expect.END
    examples: ClassVar[tuple[str, ...]] = ("", "block=0")

    block: int = number(2, "the first block that is not answered", maximum=1 << 24, drawn=(0, 6))

    def sends(self, packet: Outgoing) -> Iterable[Delivery]:
        """Send nothing any more."""
        self.reached |= packet.block >= self.block
        return () if self.reached else super().sends(packet)


@attrs.define(eq=False)
class PortClosed(AtBlock):
    """The server's port is closed in mid-transfer."""

    name = "port-closed"
    what = "the server's socket is closed instead of sending DATA n or ACK n"
    clause = "RFC 1122 4.1.3.3 (ICMP port unreachable)"
    correct = "Gives up: at once when told by ICMP, or after its retries."
    expect = Expect.END

    def sends(self, packet: Outgoing) -> Iterable[Delivery]:
        """Close."""
        if not self.closes and not self.is_at(packet):
            return super().sends(packet)
        self.reached = self.closes = self.over = True
        return ()


FAULTS = (
    LostData,
    LostAck,
    LostFinalAck,
    LostOack,
    LostFirstAnswer,
    LostFromClient,
    LostLastOfClient,
    RandomLoss,
    Delayed,
    SlowStart,
    Slow,
    Silence,
    PortClosed,
)
