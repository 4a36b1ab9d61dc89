"""What a batch of datagrams is sent from: arrays for `sendmmsg`, written as little as can be.

A message is a datagram, or with segmentation (UDP_SEGMENT) as many datagrams of one train as the
kernel takes at once.  Octets are not copied, but for packets, which are short: their places go
into the array, and the kernel gathers.

A message of one datagram always has the same two places, whatever it holds, so that nothing else of
it is written again.  Most are such: the DATA and the ACKs of lock-step, and windows that the device
does not segment.  Those of segments have their places behind.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from itertools import islice, pairwise
from typing import Final

from snowowl.datagram import cmsg
from snowowl.datagram.interface import LocalAddress, Packet, Train, Transmit
from snowowl.datagram.layouts import IOV, NAME_SIZE, MessageLayout, pack_ancillary, to_bsd
from snowowl.datagram.limits import SEGMENTS_MAX, Limits
from snowowl.datagram.memory import address_of, arena

IPV4_NAME_SIZE: Final = 16
CONTROL_SIZE: Final = 128
SCRATCH_SIZE: Final = 65536
"""Octets for packets.  They are copied: finding out where each lies costs more."""

SEGMENTS_ROOM: Final = 16 * SEGMENTS_MAX
"""Segments in one batch of messages: 16 large windows, 1 MiB."""


_NAME_STEP: Final = 28
"""Octets from one name to the next: those of `struct sockaddr_in6`.  Linux takes an IPv4 name of that
length, too, so that the headers are the same for both families."""

_SEGMENT: Final = struct.Struct("=H")
_CONTROLS_MAX: Final = 4096
_INTS: Final = [struct.Struct(f"@{count}N") for count in range(4 * SEGMENTS_MAX + 1)]

Position = tuple[int, int]
"""The index of a transmit, and of a datagram of it."""

_Kind = LocalAddress | tuple[LocalAddress | None, int, int, int] | None
"""What a message says besides its peer and its places: the source; for segments also the stride, and
which places they have: the index of the first, and how many."""


class _Batch:
    """What goes into the arrays, as it is collected."""

    __slots__ = ("kinds", "names", "octets", "packets", "places", "segments", "wide_places")

    def __init__(self) -> None:
        self.places: list[int] = []
        """Address and length, four numbers for each message of one datagram; zeros for others."""
        self.names: list[bytes] = []
        self.kinds: list[_Kind] = []
        self.packets: list[bytes] = []
        self.octets = 0
        """Octets of the packets."""
        self.wide_places: list[int] = []
        """The same for messages of segments."""
        self.segments: list[tuple[int, int]] = []
        """Which messages these are, and of how many segments."""


class Messages:
    """Room for `count` messages."""

    def __init__(self, layout: MessageLayout, count: int) -> None:
        self.count = count
        self._layout = layout
        sizes = (
            count * layout.size,
            count * NAME_SIZE,
            count * CONTROL_SIZE,
            2 * count * IOV.size,
            2 * SEGMENTS_ROOM * IOV.size,
            SCRATCH_SIZE,
        )
        memory = arena(sum(sizes))
        self.address: Final = address_of(memory)
        starts = [sum(sizes[:index]) for index in range(len(sizes) + 1)]
        self._headers, self._names, self._controls, self._iovs, self._wide_iovs, self._scratch = (
            memory[start:stop] for start, stop in pairwise(starts)
        )
        _, self._names_at, self._controls_at, self._iovs_at, self._wide_iovs_at, scratch_at = (
            self.address + start for start in starts[:-1]
        )
        self._scratch_at: Final = scratch_at
        self._plain: Final[list[_Kind]] = [None] * count
        self._kinds: list[_Kind] = []
        """What each message but its peer and its places says now."""
        self._name_size = 0
        """Octets of a peer of the socket that they were written for."""
        self._between = b""
        """What fills up a name."""
        self._controls_known: dict[tuple[LocalAddress | None, int, int], bytes] = {}
        self._segments: list[tuple[int, int]] = []
        self.after: Position = (0, 0)
        """What is to be sent after the messages that were written last."""

    def fill(
        self,
        transmits: Sequence[Transmit],
        begin: Position,
        name_size: int,
        limits: Limits,
        *,
        tells_source: bool,
    ) -> int:
        """Write messages for what is to be sent, from a datagram of a transmit on.

        Returns how many; there are as many as there is room for, up to a train that is sent by
        `sendfile`.  Names are `name_size` octets long.
        """
        index, datagram = begin
        batch = _Batch()
        names = batch.names
        file_stride_min = limits.other_stride_min
        while index < len(transmits) and len(names) < self.count:
            transmit = transmits[index]
            if isinstance(transmit, Packet) or (
                transmit.count == 1 and transmit.stride < file_stride_min
            ):
                added = self._add_singles(
                    batch, transmits, index, file_stride_min, tells_source=tells_source
                )
                if not added:
                    break
                index += added
                continue
            if transmit.stride >= file_stride_min and limits.by_file(transmit):
                break
            source = transmit.source if tells_source else None
            added = self._add_train(batch, transmit, datagram, limits, source)
            if not added:
                break
            datagram += added
            if datagram == transmit.count:
                index, datagram = index + 1, 0
        self.after = index, datagram
        self._segments = batch.segments
        if names:
            self._write(batch, name_size)
        return len(names)

    def datagrams(self, count: int) -> int:
        """Return how many datagrams the first messages are, of those that were written last."""
        return count + sum(size - 1 for message, size in self._segments if message < count)

    def sizes(self, count: int) -> list[int]:
        """Return how many datagrams each of the first messages is."""
        sizes = [1] * count
        for message, size in self._segments:
            if message < count:
                sizes[message] = size
        return sizes

    def _add_singles(
        self,
        batch: _Batch,
        transmits: Sequence[Transmit],
        index: int,
        file_stride_min: int,
        *,
        tells_source: bool,
    ) -> int:
        """Add packets and trains of one datagram from one of them on; return how many."""
        names, places, packets = batch.names, batch.places, batch.packets
        octets_at, octets_stop = self._scratch_at + batch.octets, self._scratch_at + SCRATCH_SIZE
        before = len(names)
        for transmit in islice(transmits, index, index + self.count - before):
            if isinstance(transmit, Train):
                if transmit.count != 1 or transmit.stride >= file_stride_min:
                    break
                places += (
                    transmit.headers.address + transmit.headers_at,
                    transmit.header_size,
                    transmit.body.address + transmit.body_at,
                    transmit.size,
                )
            else:
                octets = transmit.octets
                size = len(octets)
                if octets_at + size > octets_stop:
                    if packets:
                        break
                    # Too long to be sent, and so is what is left of it: the kernel says so.
                    octets, size = octets[:SCRATCH_SIZE], SCRATCH_SIZE
                places += (octets_at, size, 0, 0)
                octets_at += size
                packets.append(octets)
            names.append(transmit.peer)
        batch.octets = octets_at - self._scratch_at
        added = len(names) - before
        if tells_source:
            batch.kinds += [transmit.source for transmit in islice(transmits, index, index + added)]
        else:
            batch.kinds += self._plain[:added]
        return added

    def _add_train(
        self,
        batch: _Batch,
        train: Train,
        datagram: int,
        limits: Limits,
        source: LocalAddress | None,
    ) -> int:
        """Add datagrams of a train from one of them on; return how many, 0 if there is no room."""
        count = limits.segments(train, datagram)
        if count == 1:  # one a message, as many as there is room for
            count = min(train.count - datagram, self.count - len(batch.names))
            batch.places += _places(train, datagram, count)
            batch.names += [train.peer] * count
            batch.kinds += [source] * count
            return count
        place, places = len(batch.wide_places) // 2, 2 * count
        if place + places > 2 * SEGMENTS_ROOM:
            return 0
        batch.segments.append((len(batch.names), count))
        batch.wide_places += _places(train, datagram, count)
        batch.places += (0, 0, 0, 0)
        batch.names.append(train.peer)
        batch.kinds.append((source, train.stride, place, places))
        return count

    def _write(self, batch: _Batch, name_size: int) -> None:
        """Write what was collected."""
        names, kinds = batch.names, batch.kinds
        if name_size != self._name_size:
            self._set_name_size(name_size)
        octets = self._between.join(names)
        if len(octets) != len(names) * _NAME_STEP - len(self._between) or self._layout.bsd_names:
            octets = self._between.join([self._name_of(name) for name in names])
        self._names[: len(octets)] = octets
        _write_places(self._iovs, batch.places)
        if batch.wide_places:
            _write_places(self._wide_iovs, batch.wide_places)
        if batch.packets:
            self._scratch[: batch.octets] = b"".join(batch.packets)
        known = self._kinds
        if known[: len(kinds)] != kinds:
            for message, kind in enumerate(kinds):
                if message >= len(known) or known[message] != kind:
                    self._write_header(message, kind)
            known[: len(kinds)] = kinds

    def _set_name_size(self, size: int) -> None:
        """Begin to write for sockets of another family."""
        self._name_size = size
        self._between = bytes(_NAME_STEP - size)
        # Messages without ancillary data serve both families; for BSD, which is strict, not these.
        if self._layout.bsd_names or self._kinds != self._plain[: len(self._kinds)]:
            self._kinds = []

    def _name_of(self, peer: bytes) -> bytes:
        """Return a name as the kernel has it, or for another family one that it refuses."""
        if len(peer) != self._name_size:
            peer = b"\xff" * self._name_size
        return to_bsd(peer) if self._layout.bsd_names else peer

    def _write_header(self, message: int, kind: _Kind) -> None:
        """Write what a message says besides its peer and its places."""
        if isinstance(kind, tuple):
            source, stride, place, places = kind
            places_at = self._wide_iovs_at + place * IOV.size
        else:
            source, stride, places = kind, 0, 2
            places_at = self._iovs_at + message * 2 * IOV.size
        control = self._control(source, stride)
        control_at = message * CONTROL_SIZE
        self._controls[control_at : control_at + len(control)] = control
        self._layout.header.pack_into(
            self._headers,
            message * self._layout.size,
            self._names_at + message * _NAME_STEP,
            self._name_size if self._layout.bsd_names else _NAME_STEP,
            places_at,
            places,
            self._controls_at + control_at if control else 0,
            len(control),
            0,
        )

    def _control(self, source: LocalAddress | None, stride: int) -> bytes:
        """Return the ancillary data for a source and segments of a stride (0: no segments)."""
        key = (source, stride, self._name_size)
        control = self._controls_known.get(key)
        if control is None:
            is_ipv4 = self._name_size == IPV4_NAME_SIZE
            family = socket.AF_INET if is_ipv4 else socket.AF_INET6
            ancillary = [] if source is None else cmsg.write_source(source, family)
            if stride:
                ancillary.append((cmsg.SOL_UDP, cmsg.UDP_SEGMENT, _SEGMENT.pack(stride)))
            control = pack_ancillary(self._layout, ancillary)
            if len(self._controls_known) >= _CONTROLS_MAX:
                self._controls_known.clear()
            self._controls_known[key] = control
        return control


def _write_places(iovs: memoryview, places: list[int]) -> None:
    if len(places) < len(_INTS):
        _INTS[len(places)].pack_into(iovs, 0, *places)
    else:
        struct.pack_into(f"@{len(places)}N", iovs, 0, *places)


def _places(train: Train, datagram: int, count: int) -> list[int]:
    """Return address and length of each header and each piece of some datagrams of a train."""
    header_size = train.header_size
    step = train.stride - header_size
    header = train.headers.address + train.headers_at + datagram * header_size
    done = datagram * step
    piece = train.body.address + train.body_at + done
    places = [0, header_size, 0, step] * count
    if header_size:
        places[::4] = range(header, header + count * header_size, header_size)
    places[2::4] = range(piece, piece + count * step, step)
    places[-1] = min(step, train.size - done - (count - 1) * step)
    return places
