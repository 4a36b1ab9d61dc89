"""Where a batch of datagrams is received: arrays for `recvmmsg`, filled in once.

A slot is a place for one message: a name, 64 KiB for its octets, some ancillary data.  Between two
batches nothing is built anew but what the kernel has overwritten.  One set of slots may serve many
sockets, as long as each batch is dealt with before the next is received.
"""

from __future__ import annotations

import struct
from typing import Final

from snowowl.datagram import cmsg
from snowowl.datagram.interface import LocalAddress, Received
from snowowl.datagram.layouts import IOV, NAME_SIZE, MessageLayout, unpack_ancillary
from snowowl.datagram.memory import address_of, arena

DATAGRAM_MAX: Final = 65536
CONTROL_SIZE: Final = 128
"""Octets for ancillary data: PKTINFO of both families and UDP_GRO need 88."""

ACK_SIZE: Final = 4
"""Octets of the datagrams that come most: their views are made once."""

_TOLD_MAX: Final = 1024
"""Kinds of ancillary data whose meaning is remembered: local addresses times strides."""

_STRIDE: Final = struct.Struct("=i")

Told = tuple[LocalAddress | None, int]
"""What ancillary data says: the local address, and the stride of joined datagrams (0: not joined)."""


class Slots:
    """Room for `count` messages."""

    def __init__(self, layout: MessageLayout, count: int) -> None:
        self.count = count
        self._layout = layout
        # Four arrays in one mapping, of which untouched pages cost nothing.
        names, controls = count * NAME_SIZE, count * CONTROL_SIZE
        headers, iovs = count * layout.size, count * IOV.size
        memory = arena(names + controls + headers + iovs + count * DATAGRAM_MAX)
        address = address_of(memory)
        at = 0
        self._headers = memory[at : at + headers]
        self.address: Final = address + at
        at += headers
        names_at, self._names = at, memory[at : at + names]
        at += names
        controls_at, self._controls = at, memory[at : at + controls]
        at += controls
        iovs_at, iov_memory = at, memory[at : at + iovs]
        at += iovs
        for index in range(count):
            datagram_at = at + index * DATAGRAM_MAX
            IOV.pack_into(iov_memory, index * IOV.size, address + datagram_at, DATAGRAM_MAX)
            layout.header.pack_into(
                self._headers,
                index * layout.size,
                address + names_at + index * NAME_SIZE,
                NAME_SIZE,
                address + iovs_at + index * IOV.size,
                1,
                address + controls_at + index * CONTROL_SIZE,
                CONTROL_SIZE,
                0,
            )
        self._pristine = bytes(self._headers)
        self._dirty = 0
        self._lengths = layout.pick(self._headers, layout.length_at)
        self._control_lengths = layout.pick(self._headers, layout.control_length_at)
        self._octets = [
            memory[at + index * DATAGRAM_MAX : at + (index + 1) * DATAGRAM_MAX]
            for index in range(count)
        ]
        self._acks = [octets[:ACK_SIZE] for octets in self._octets]
        self._received = [Received(octets, 1, b"") for octets in self._octets]
        self._told: dict[bytes, Told] = {}

    def prepare(self) -> int:
        """Make ready for a system call; return the address of the first header."""
        if self._dirty:
            size = self._dirty * self._layout.size
            self._headers[:size] = self._pristine[:size]
            self._dirty = 0
        return self.address

    def set_length(self, index: int, length: int) -> None:
        """Note what `recvmsg` returned, which unlike `recvmmsg` writes no length."""
        self._lengths[index] = length

    def take(self, count: int, name_size: int) -> list[Received]:
        """Return the first `count` messages; names are `name_size` octets long."""
        self._dirty = count
        batch = self._received[:count]
        lengths = self._lengths[:count].tolist()
        names = bytes(self._names[: count * NAME_SIZE])
        start = 0
        for index, received in enumerate(batch):
            length = lengths[index]
            if length == ACK_SIZE:
                received.data = self._acks[index]
                received.stride = ACK_SIZE
            else:
                received.data = self._octets[index][:length]
                received.stride = length or 1
            received.peer = names[start : start + name_size]
            received.local = None
            start += NAME_SIZE
        if self._layout.bsd_names:
            for received in batch:
                received.peer = b"%c\0" % received.peer[1] + received.peer[2:]
        control_lengths = self._control_lengths[:count]
        if any(control_lengths):
            self._tell(batch, control_lengths.tolist())
        return batch

    def _tell(self, batch: list[Received], control_lengths: list[int]) -> None:
        """Fill in what ancillary data says."""
        told = self._told
        for index, received in enumerate(batch):
            start = index * CONTROL_SIZE
            octets = bytes(self._controls[start : start + control_lengths[index]])
            if not octets:
                continue
            meaning = told.get(octets)
            if meaning is None:
                if len(told) >= _TOLD_MAX:
                    told.clear()
                meaning = told[octets] = self._meaning(octets)
            received.local = meaning[0]
            if meaning[1]:
                received.stride = min(meaning[1], len(received.data) or 1)

    def _meaning(self, octets: bytes) -> Told:
        ancillary = unpack_ancillary(self._layout, octets)
        stride = 0
        for level, kind, data in ancillary:
            if (level, kind) == (cmsg.SOL_UDP, cmsg.UDP_GRO) and len(data) >= _STRIDE.size:
                stride = max(_STRIDE.unpack_from(data)[0], 0)
        return cmsg.read_local(ancillary), stride
