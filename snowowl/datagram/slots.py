"""Where a batch of datagrams is received: arrays for `recvmmsg`, filled in once.

A slot is a place for one message: a name, 64 KiB for its octets, some ancillary data.  Between two
batches nothing is built anew but what the kernel has overwritten.  One set of slots may serve many
sockets, as long as each batch is dealt with before the next is received.
"""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import Final

from snowowl.datagram import cmsg
from snowowl.datagram.interface import WORD_SIZE, LocalAddress, Received
from snowowl.datagram.layouts import (
    IOV,
    NAME_SIZE,
    MessageLayout,
    from_bsd,
    unpack_ancillary,
)
from snowowl.datagram.memory import address_of, arena

DATAGRAM_MAX: Final = 65536
CONTROL_SIZE: Final = 128
"""Octets for ancillary data: PKTINFO of both families and UDP_GRO need 88."""

_TOLD_MAX: Final = 1024
"""Kinds of ancillary data whose meaning is remembered: local addresses times strides."""

_STRIDE: Final = struct.Struct("=i")

Told = tuple[LocalAddress | None, int]
"""What ancillary data says: the local address, and the stride of joined datagrams (0: not joined)."""


class Slots:
    """Room for `count` messages.

    The first four octets of each go to an array of their own and the rest behind a gap of four in
    its slot.  An ACK has no rest: all ACKs of a batch are read as numbers in one go.  For anything
    longer the four octets are put into the gap.
    """

    def __init__(self, layout: MessageLayout, count: int) -> None:
        self.count = count
        self.joined = 0
        """Datagrams that came as a part of another one's message (UDP_GRO); for the user to reset."""
        self._layout = layout
        # All arrays in one mapping, of which untouched pages cost nothing.
        sizes = (
            count * layout.size,
            count * NAME_SIZE,
            count * CONTROL_SIZE,
            2 * count * IOV.size,
            count * WORD_SIZE,
            count * DATAGRAM_MAX,
        )
        starts = [sum(sizes[:index]) for index in range(len(sizes) + 1)]
        memory = arena(starts[-1])
        self.address: Final = address_of(memory)
        self._headers, self._names, self._controls, iovs, self._heads, octets = (
            memory[start:stop] for start, stop in pairwise(starts)
        )
        _, names_at, controls_at, iovs_at, heads_at, octets_at = (
            self.address + start for start in starts[:-1]
        )
        for index in range(count):
            iov_at = 2 * index * IOV.size
            place = octets_at + index * DATAGRAM_MAX + WORD_SIZE
            IOV.pack_into(iovs, iov_at, heads_at + index * WORD_SIZE, WORD_SIZE)
            IOV.pack_into(iovs, iov_at + IOV.size, place, DATAGRAM_MAX - WORD_SIZE)
            layout.header.pack_into(
                self._headers,
                index * layout.size,
                names_at + index * NAME_SIZE,
                NAME_SIZE,
                iovs_at + iov_at,
                2,
                controls_at + index * CONTROL_SIZE,
                CONTROL_SIZE,
                0,
            )
        self._pristine = bytes(self._headers)
        self._dirty = 0
        self._lengths = layout.pick(self._headers, layout.length_at)
        self._control_lengths = layout.pick(self._headers, layout.control_length_at)
        self._octets = [
            octets[start : start + DATAGRAM_MAX] for start in range(0, len(octets), DATAGRAM_MAX)
        ]
        self._acks = [
            self._heads[start : start + WORD_SIZE]
            for start in range(0, len(self._heads), WORD_SIZE)
        ]
        self._words = [struct.Struct(f">{size}I") for size in range(count + 1)]
        self._received = [Received(head, WORD_SIZE, b"") for head in self._acks]
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
        names = bytes(self._names[: count * NAME_SIZE])
        start = 0
        for received, length, word, ack in zip(
            batch,
            self._lengths[:count].tolist(),
            self._words[count].unpack_from(self._heads),
            self._acks,
            strict=False,
        ):
            received.peer = names[start : start + name_size]
            received.local = None
            if length == WORD_SIZE:
                received.data = ack
                received.stride = length
                received.word = word
            else:
                octets = self._octets[start // NAME_SIZE]
                octets[:WORD_SIZE] = ack
                received.data = octets[:length]
                received.stride = length or 1
                received.word = word if length > WORD_SIZE else -1
            start += NAME_SIZE
        if self._layout.bsd_names:
            for received in batch:
                received.peer = from_bsd(received.peer)
        control_lengths = self._control_lengths[:count].tolist()
        if any(control_lengths):
            self._tell(batch, control_lengths)
        return batch

    def _tell(self, batch: list[Received], control_lengths: list[int]) -> None:
        """Fill in what ancillary data says."""
        told = self._told
        controls = bytes(self._controls[: len(batch) * CONTROL_SIZE])
        start = 0
        for received, length in zip(batch, control_lengths, strict=True):
            octets = controls[start : start + length]
            start += CONTROL_SIZE
            if not octets:
                continue
            meaning = told.get(octets)
            if meaning is None:
                if len(told) >= _TOLD_MAX:
                    told.clear()
                meaning = told[octets] = self._meaning(octets)
            received.local, stride = meaning
            if stride and stride < len(received.data):
                received.stride = stride
                received.word = -1
                self.joined += (len(received.data) - 1) // stride

    def _meaning(self, octets: bytes) -> Told:
        ancillary = unpack_ancillary(self._layout, octets)
        stride = 0
        for level, kind, data in ancillary:
            if (level, kind) == (cmsg.SOL_UDP, cmsg.UDP_GRO) and len(data) >= _STRIDE.size:
                stride = max(_STRIDE.unpack_from(data)[0], 0)
        return cmsg.read_local(ancillary), stride
