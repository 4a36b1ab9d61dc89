"""Faults of ports: who speaks with the client, and from where (RFC 1350 section 4)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import attrs

from snowowl.testing.faults.model import (
    GAP_SECONDS,
    Delivery,
    Expect,
    Fault,
    Kind,
    OnceAtBlock,
    Outgoing,
    Via,
)
from snowowl.testing.faults.parameters import number
from snowowl.wire.codec import encode, encode_ack, encode_data_header, encode_error
from snowowl.wire.packets import OptionAck

_STRAY = b"This is not of your file. "


@attrs.define(eq=False)
class _Stray(OnceAtBlock):
    clause = "RFC 1350 4"

    def sends(self, packet: Outgoing) -> Iterable[Delivery]:
        """Let the first answer be: before it no port is a stray one."""
        return (packet.as_is(),) if packet.first else super().sends(packet)

    def play(self, packet: Outgoing) -> Iterable[Delivery]:
        """Send something from another port, and then what is right."""
        stray = Delivery(self.stray(packet), via=Via.STRAY)
        return (stray, packet.as_is(GAP_SECONDS))

    def stray(self, packet: Outgoing) -> bytes:
        """Return what comes from the other port."""
        raise NotImplementedError


@attrs.define(eq=False)
class StrayData(_Stray):
    """DATA from another port."""

    name = "stray-data"
    what = "DATA with the awaited number and other octets comes from another port"
    correct = "Answers the other port by ERROR 5, or not at all, and goes on undisturbed."

    def stray(self, packet: Outgoing) -> bytes:
        """Return DATA as long as the right one."""
        size = max(len(packet.octets) - 4, 8)
        filling = (_STRAY * (size // len(_STRAY) + 1))[:size]
        return encode_data_header(int.from_bytes(packet.number, "big")) + filling


@attrs.define(eq=False)
class StrayAck(_Stray):
    """An ACK from another port."""

    name = "stray-ack"
    what = "an ACK with the number of the block comes from another port"
    correct = "Answers the other port by ERROR 5, or not at all, and goes on undisturbed."

    def stray(self, packet: Outgoing) -> bytes:
        """Return an ACK."""
        return encode_ack(int.from_bytes(packet.number, "big"))


@attrs.define(eq=False)
class StrayError(_Stray):
    """An ERROR from another port."""

    name = "stray-error"
    what = "an ERROR comes from another port"
    correct = "Ignores it: it is not from the server that it speaks with, and ends nothing."
    examples: ClassVar[tuple[str, ...]] = ("", "code=5")

    code: int = number(0, "its code")

    def stray(self, packet: Outgoing) -> bytes:
        """Return an ERROR."""
        del packet
        return encode_error(self.code, "not for you")


@attrs.define(eq=False)
class StrayOack(_Stray):
    """An OACK from another port."""

    name = "stray-oack"
    what = "an OACK comes from another port in mid-transfer"
    correct = "Answers the other port by ERROR 5, or not at all, and goes on undisturbed."

    def stray(self, packet: Outgoing) -> bytes:
        """Return an OACK."""
        del packet
        return encode(OptionAck(((b"blksize", b"8"),)))


@attrs.define(eq=False)
class TidChange(OnceAtBlock):
    """The server moves."""

    name = "tid-change"
    what = "from DATA n or ACK n on the server sends from another port"
    clause = "RFC 1350 4"
    correct = "Does not follow: ERROR 5 to the new port, or nothing, and it gives up the old one."
    expect = Expect.END

    def sends(self, packet: Outgoing) -> Iterable[Delivery]:
        """Send from the other port."""
        self.reached = self.reached or self.is_at(packet)
        if not self.reached:
            return (packet.as_is(),)
        return (Delivery(packet.octets, via=Via.STRAY),)


@attrs.define(eq=False)
class ListeningPort(Fault):
    """The server answers from the port that it listens on."""

    name = "listening-port"
    what = "the server answers from the port that was asked, as behind NAT and in containers"
    clause = "RFC 1350 4"
    correct = "Takes it as any other TID."
    single_port = True

    def sends(self, packet: Outgoing) -> Iterable[Delivery]:
        """Send as is."""
        self.reached |= packet.kind is not Kind.ERROR
        return super().sends(packet)


FAULTS = (StrayData, StrayAck, StrayError, StrayOack, TidChange, ListeningPort)
