"""Play of the arrays that `recvmmsg` and `sendmmsg` work on, with a kernel made of Python.

The arrays are used again and again, by sockets of both families: so one play has many batches, and
nothing of one may be seen in the next.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from typing import Final

from snowowl.datagram import cmsg
from snowowl.datagram.address import pack
from snowowl.datagram.interface import (
    LocalAddress,
    Packet,
    Received,
    Region,
    Train,
    Transmit,
    word_of,
)
from snowowl.datagram.layouts import FREEBSD, LINUX, MessageLayout, to_bsd
from snowowl.datagram.limits import SEGMENTS_MAX, Limits
from snowowl.datagram.messages import SCRATCH_SIZE, Messages
from snowowl.datagram.slots import CONTROL_SIZE, DATAGRAM_MAX, Slots
from tests.datagram.kernel import Message, arrive, peer_of, read

LAYOUTS: Final = (LINUX, FREEBSD)
COUNT: Final = 8
"""Messages in a batch, at most."""

PEERS: Final = tuple(
    (pack((f"10.0.0.{host}", 1000 + host)), pack((f"2001:db8::{host}", 1000 + host, 0, 0)))
    for host in range(1, 6)
)
LOCALS: Final = (
    None,
    LocalAddress(b"\x0a\0\0\xfe", 2),
    LocalAddress(b"\x0a\0\0\xfd", 3),
    LocalAddress(b"\xfe\x80" + bytes(13) + b"\1", 4),
)

_RANDOM: Final = random.Random(7)
HEADERS: Final = Region(_RANDOM.randbytes(1024))
BODY: Final = Region(_RANDOM.randbytes(70_000))

OCTETS_MAX: Final = 60_000
"""Octets of a train's body."""

Arriving = tuple[int, bytes, int, int]
"""Peer, octets, stride as the kernel tells it (0: nothing), local address as it is told."""

Sending = tuple[int, int, int, int, int]
"""Peer, octets in a piece, pieces, octets that the last one lacks, source."""


class Arrays:
    """Both kinds of arrays, of both layouts."""

    def __init__(self) -> None:
        self.datagrams = 0
        self._slots = [Slots(layout, COUNT) for layout in LAYOUTS]
        self._messages = [Messages(layout, COUNT) for layout in LAYOUTS]

    def receive(self, bsd: int, ipv6: int, batch: tuple[Arriving, ...]) -> None:
        """Have the kernel write a batch, and read it."""
        layout, slots = LAYOUTS[bsd % 2], self._slots[bsd % 2]
        batch = batch[:COUNT]
        if not batch:
            return
        self.datagrams += len(batch)
        arriving = []
        for peer, octets, stride, local in batch:
            name = PEERS[peer % len(PEERS)][ipv6 % 2]
            name = to_bsd(name) if layout.bsd_names else name
            arriving.append((name, octets[: DATAGRAM_MAX - 1], _ancillary(stride, local)))
        found = slots.take(arrive(slots, layout, arriving), 28 if ipv6 % 2 else 16)
        assert len(found) == len(batch)
        joined = 0
        for received, (peer, octets, stride, local) in zip(found, batch, strict=True):
            assert received.peer == PEERS[peer % len(PEERS)][ipv6 % 2], "another one's datagram"
            assert bytes(received.data) == octets[: DATAGRAM_MAX - 1], "other octets"
            assert received.local == _told(local)
            joined += self._check_stride(received, stride)
        assert slots.joined == joined
        slots.joined = 0

    @staticmethod
    def _check_stride(received: Received, stride: int) -> int:
        size = len(received.data)
        is_joined = 0 < stride < size
        assert received.stride == (stride if is_joined else size or 1)
        assert received.word == (-1 if is_joined else word_of(received.data))
        return (size - 1) // stride if is_joined else 0

    def ancillary(self, control: bytes, size: int) -> None:
        """Have any octets as ancillary data."""
        self.datagrams += 1
        size = abs(size) % DATAGRAM_MAX
        slots = self._slots[0]
        arrive(slots, LINUX, [(PEERS[0][0], bytes(size), [])])
        control = control[:CONTROL_SIZE]
        slots._controls[: len(control)] = control
        slots._control_lengths[0] = len(control)
        (received,) = slots.take(1, 16)
        slots.joined = 0
        assert 1 <= received.stride <= max(size, 1), "a stride that cannot be"
        assert len(received.data) == size
        cmsg.read_error([(0, cmsg.IP_RECVERR, control), (41, cmsg.IPV6_RECVERR, control)])

    def send(
        self, bsd: int, ipv6: int, tells_source: int, stride_max: int, sends: tuple[Sending, ...]
    ) -> None:
        """Write what is to be sent, and have the kernel read it."""
        layout, messages = LAYOUTS[bsd % 2], self._messages[bsd % 2]
        transmits = [_transmit(each, ipv6 % 2) for each in sends]
        limits = Limits(stride_max=abs(stride_max) % 32768)
        tells, position = bool(tells_source % 2), (0, 0)
        written: list[Message] = []
        while position[0] < len(transmits):
            count = messages.fill(
                transmits, position, 28 if ipv6 % 2 else 16, limits, tells_source=tells
            )
            assert 0 < count <= COUNT, "it makes no progress"
            batch = [read(layout, messages.address + at * layout.size) for at in range(count)]
            assert messages.after > position
            assert messages.sizes(count) == [len(message.datagrams()) for message in batch]
            assert messages.datagrams(count) == sum(messages.sizes(count))
            position = messages.after
            written += batch
        self._check_written(layout, written, transmits, tells=tells)

    def _check_written(
        self,
        layout: MessageLayout,
        written: Sequence[Message],
        transmits: Sequence[Transmit],
        *,
        tells: bool,
    ) -> None:
        wanted = [
            (transmit.peer, b"".join(pieces), transmit.source)
            for transmit in transmits
            for pieces in transmit.datagrams()
        ]
        found = [
            (_name(layout, message), octets, message.source)
            for message in written
            for octets in message.datagrams()
        ]
        self.datagrams += len(found)
        assert len(found) == len(wanted), "datagrams were lost or invented"
        for one, (peer, octets, source) in zip(found, wanted, strict=True):
            assert one[:2] == (peer, octets), "something else is sent, or to somebody else"
            assert one[2] == (source.packed if tells and source is not None else b"")
        for message in written:
            assert len(b"".join(message.pieces)) <= SCRATCH_SIZE
            assert len(message.datagrams()) <= SEGMENTS_MAX

    def close(self) -> None:
        """There is nothing to end."""


def _ancillary(stride: int, local: int) -> cmsg.Ancillary:
    found: cmsg.Ancillary = []
    address = _told(local)
    if address is not None and len(address.packed) == 4:
        octets = struct.pack("=i4s4s", address.interface, address.packed, address.packed)
        found.append((0, cmsg.IP_PKTINFO, octets))
    elif address is not None:
        octets = struct.pack("=16si", address.packed, address.interface)
        found.append((41, cmsg.IPV6_PKTINFO, octets))
    if stride:
        found.append((cmsg.SOL_UDP, cmsg.UDP_GRO, struct.pack("=i", max(-1, min(stride, 1 << 30)))))
    return found


def _told(local: int) -> LocalAddress | None:
    return LOCALS[local % len(LOCALS)]


def _transmit(each: Sending, ipv6: int) -> Transmit:
    """Return a train of so many pieces, or a packet if it is one piece of even size."""
    peer, step, count, lacks, source = each
    name = PEERS[peer % len(PEERS)][ipv6]
    local = _told(source)
    if local is not None and not ipv6 and len(local.packed) != 4:
        local = None
    step, count = 1 + abs(step) % 9000, 1 + abs(count) % 200
    count = min(count, OCTETS_MAX // step, len(HEADERS.view) // 4)
    if count == 1 and step % 2 == 0:
        return Packet(name, bytes(BODY.view[:step]), local)
    size = count * step - abs(lacks) % (step + 1)
    return Train(name, HEADERS, 0, BODY, step % 100, size, 4 + step, count, local)


def _name(layout: MessageLayout, message: Message) -> bytes:
    if layout.bsd_names:
        return message.name[1:2] + b"\0" + message.name[2:]
    return peer_of(message.name)
