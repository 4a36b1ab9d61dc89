"""What a batch of datagrams is sent from: arrays for `sendmmsg`, written as little as can be.

A message is a datagram, or with segmentation (UDP_SEGMENT) as many datagrams of one train as the
kernel takes at once.  Octets are not copied, but for packets, which are short: their places go
into the array, and the kernel gathers.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Sequence
from itertools import islice, pairwise
from typing import Final

import attrs

from snowowl.datagram import cmsg
from snowowl.datagram.interface import LocalAddress, Packet, Train, Transmit
from snowowl.datagram.layouts import IOV, NAME_SIZE, MessageLayout, pack_ancillary
from snowowl.datagram.memory import address_of, arena

SEGMENTS_MAX: Final = 64
"""Datagrams in one call: UDP_MAX_SEGMENTS before Linux 6.9, and 64 KiB hold hardly more."""

OCTETS_MAX: Final = 65507
"""Octets in one call: what a UDP datagram of IPv4 may have."""

IPV4_NAME_SIZE: Final = 16
CONTROL_SIZE: Final = 128
SCRATCH_SIZE: Final = 65536
"""Octets for packets.  They are copied: finding out where each lies costs more."""

_IOVS_EACH_MAX: Final = 2 * SEGMENTS_MAX
_SEGMENT: Final = struct.Struct("=H")
_CONTROLS_MAX: Final = 4096
_INTS: Final = [struct.Struct(f"@{count}N") for count in range(4 * SEGMENTS_MAX + 1)]

Position = tuple[int, int]
"""The index of a transmit, and of a datagram of it."""


@attrs.define
class Limits:
    """What may be sent in which way; lowered when a device refuses."""

    stride_max: int
    """Octets of the largest datagrams that are sent by segmentation; 0: none are."""
    other_stride_min: int = 1 << 30
    """Octets of the smallest datagrams of a train that may be sent by `sendfile`."""
    file_min: int = 0
    """Octets that a file must have for that."""
    lowered: Callable[[str], None] = attrs.field(default=lambda _: None)
    """Told of what is done without from now on."""

    def by_file(self, train: Train) -> bool:
        """Say whether a train is sent by `sendfile`, datagram by datagram."""
        file = train.body.file
        return (
            train.stride >= self.other_stride_min
            and file is not None
            and train.body.view.nbytes >= self.file_min
            and file.fileno() >= 0
        )


class Messages:
    """Room for `count` messages."""

    def __init__(self, layout: MessageLayout, count: int) -> None:
        self.count = count
        self._layout = layout
        iovs = max(count * 2, 4 * _IOVS_EACH_MAX)
        sizes = (
            count * layout.size,
            2 * count * NAME_SIZE,
            count * CONTROL_SIZE,
            iovs * IOV.size,
            SCRATCH_SIZE,
        )
        memory = arena(sum(sizes))
        self.address: Final = address_of(memory)
        starts = [sum(sizes[:index]) for index in range(len(sizes) + 1)]
        parts = [memory[start:stop] for start, stop in pairwise(starts)]
        self._headers, self._names, self._controls, self._iovs, self._scratch = parts
        addresses = [self.address + start for start in starts]
        _, self._names_at, self._controls_at, self._iovs_at, self._scratch_at = addresses[:5]
        self._ints_max = 2 * iovs
        # What the header of each message says now: name length, iov, count of iovs, control length.
        self._shapes: list[tuple[int, int, int, int]] = [(0, 0, 0, 0)] * count
        self._singles = (0, 0)
        """How many messages say now that they are a train of one, for names of which size."""
        self._controls_known: dict[tuple[int, LocalAddress | None, int], bytes] = {}
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
    ) -> list[Position]:
        """Write messages for what is to be sent, from a datagram of a transmit on.

        Returns where each begins, in order; there are as many as there is room for, up to a train
        that is sent by `sendfile`.
        """
        index, datagram = begin
        if not datagram and not tells_source:
            singles = self._fill_singles(transmits, index, name_size, limits)
            if singles:
                return singles
        stride_max, other_stride_min = limits.stride_max, limits.other_stride_min
        sent: list[Position] = []
        ints: list[int] = []
        message = scratch_at = 0
        while index < len(transmits) and message < self.count:
            transmit = transmits[index]
            room = self._ints_max - len(ints)
            iov_at = len(ints) // 2
            stride = 0
            if isinstance(transmit, Train):
                if transmit.stride >= other_stride_min and limits.by_file(transmit):
                    break
                left = transmit.count - datagram
                if left == 1:  # lock-step, and the rest of a window
                    if room < 4:
                        break
                    count, iovs = 1, 2
                    step = transmit.stride - transmit.header_size
                    done = datagram * step
                    ints += (
                        transmit.headers.address
                        + transmit.headers_at
                        + datagram * transmit.header_size,
                        transmit.header_size,
                        transmit.body.address + transmit.body_at + done,
                        transmit.size - done,
                    )
                else:
                    count = 1
                    if transmit.stride <= stride_max:
                        count = min(left, SEGMENTS_MAX, OCTETS_MAX // transmit.stride)
                    if room < 4 * count:
                        break
                    iovs = 2 * count
                    ints += _places(transmit, datagram, count)
                    stride = transmit.stride if count > 1 else 0
            else:
                left = count = iovs = 1
                size = self._write_packet(transmit, scratch_at)
                if room < 2 or size < 0:
                    break
                ints += (self._scratch_at + scratch_at, size)
                scratch_at += size
            source = transmit.source if tells_source else None
            self._write_head(message, transmit.peer, (name_size, iov_at, iovs), source, stride)
            sent.append((index, datagram))
            message += 1
            if count == left:
                index, datagram = index + 1, 0
            else:
                datagram += count
        self._write_places(ints)
        self.after = (index, datagram)
        return sent

    def _fill_singles(
        self, transmits: Sequence[Transmit], index: int, name_size: int, limits: Limits
    ) -> list[Position]:
        """Do the same for trains of one datagram, which is what lock-step is made of.

        Nothing is decided for each but its place, so that this takes a third of the time.
        """
        other_stride_min = limits.other_stride_min
        ints: list[int] = []
        names: list[bytes] = []
        for transmit in islice(transmits, index, index + self.count):
            if (
                not isinstance(transmit, Train)
                or transmit.count != 1
                or transmit.stride >= other_stride_min
            ):
                break
            ints += (
                transmit.headers.address + transmit.headers_at,
                transmit.header_size,
                transmit.body.address + transmit.body_at,
                transmit.size,
            )
            names.append(transmit.peer)
        count = len(names)
        if not count:
            return []
        if self._layout.bsd_names:
            names = [self._name_of(peer) for peer in names]
        start = self._name_at(0, name_size)
        self._names[start : start + count * name_size] = b"".join(names)
        self._write_places(ints)
        if self._singles[1] != name_size:
            self._singles = (0, name_size)
        for message in range(self._singles[0], count):
            self._write_header(message, (name_size, 2 * message, 2, 0))
        self._singles = (max(self._singles[0], count), name_size)
        self.after = (index + count, 0)
        return [(position, 0) for position in range(index, index + count)]

    def _write_head(
        self,
        message: int,
        peer: bytes,
        shape: tuple[int, int, int],
        source: LocalAddress | None,
        stride: int,
    ) -> None:
        """Write all of a message but its octets' places; of its header only what has changed."""
        name_at = self._name_at(message, len(peer))
        self._names[name_at : name_at + len(peer)] = self._name_of(peer)
        control = 0
        if stride or source is not None:
            control = self._write_control(message, shape[0], source, stride)
        whole = (*shape, control)
        if self._shapes[message] != whole:
            self._write_header(message, whole)

    def _write_packet(self, packet: Packet, at: int) -> int:
        """Copy a packet to a place in the scratch; return its size, -1 if there is no room."""
        octets = packet.octets[:SCRATCH_SIZE]  # if that cuts it, it is too long to be sent anyway
        size = len(octets)
        if at + size > SCRATCH_SIZE:
            return -1
        self._scratch[at : at + size] = octets
        return size

    def _write_places(self, ints: list[int]) -> None:
        if len(ints) < len(_INTS):
            _INTS[len(ints)].pack_into(self._iovs, 0, *ints)
        else:
            struct.pack_into(f"@{len(ints)}N", self._iovs, 0, *ints)

    def _write_header(self, message: int, shape: tuple[int, int, int, int]) -> None:
        name_size, iov_at, iovs, control = shape
        self._layout.header.pack_into(
            self._headers,
            message * self._layout.size,
            self._names_at + self._name_at(message, name_size),
            name_size,
            self._iovs_at + iov_at * IOV.size,
            iovs,
            self._controls_at + message * CONTROL_SIZE if control else 0,
            control,
            0,
        )
        self._shapes[message] = shape
        if message < self._singles[0]:
            self._singles = (message, name_size)

    def _name_at(self, message: int, size: int) -> int:
        """Return where in the names one is: names of one size lie close, each size by itself."""
        first = self.count * NAME_SIZE if size == IPV4_NAME_SIZE else 0
        return first + message * size

    def _name_of(self, peer: bytes) -> bytes:
        """Return a socket address as this platform has it."""
        return bytes((len(peer), peer[0])) + peer[2:] if self._layout.bsd_names else peer

    def _write_control(
        self, message: int, name_size: int, source: LocalAddress | None, stride: int
    ) -> int:
        """Write ancillary data; return its length."""
        key = (name_size, source, stride)
        octets = self._controls_known.get(key)
        if octets is None:
            family = socket.AF_INET if name_size == IPV4_NAME_SIZE else socket.AF_INET6
            ancillary = [] if source is None else cmsg.write_source(source, family)
            if stride:
                ancillary.append((cmsg.SOL_UDP, cmsg.UDP_SEGMENT, _SEGMENT.pack(stride)))
            octets = pack_ancillary(self._layout, ancillary)
            if len(self._controls_known) >= _CONTROLS_MAX:
                self._controls_known.clear()
            self._controls_known[key] = octets
        start = message * CONTROL_SIZE
        self._controls[start : start + len(octets)] = octets
        return len(octets)


def _places(train: Train, datagram: int, count: int) -> list[int]:
    """Return address and length of each header and each piece of some datagrams of a train."""
    step, header_size = train.stride - train.header_size, train.header_size
    header = train.headers.address + train.headers_at + datagram * header_size
    done = datagram * step
    piece = train.body.address + train.body_at + done
    places = [0, header_size, 0, step] * count
    places[::4] = [header + header_size * each for each in range(count)]
    places[2::4] = range(piece, piece + count * step, step)
    places[-1] = min(step, train.size - done - (count - 1) * step)
    return places
