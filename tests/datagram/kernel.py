"""A kernel made of Python: reads and writes the arrays that system calls are given, by a layout.

It does what it is told to: refuse segments, refuse a peer, or answer each message by a script.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
import sys
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import attrs

from snowowl.datagram import cmsg
from snowowl.datagram.calls import Calls
from snowowl.datagram.layouts import IOV, LINUX, MessageLayout, pack_ancillary, unpack_ancillary
from snowowl.datagram.slots import Slots

AGAIN: Final = -errno.EAGAIN


class Message(NamedTuple):
    """What one `struct msghdr` says."""

    name: bytes
    pieces: list[bytes]
    ancillary: cmsg.Ancillary

    @property
    def stride(self) -> int:
        """What UDP_SEGMENT says, 0 if nothing."""
        for level, kind, data in self.ancillary:
            if (level, kind) == (cmsg.SOL_UDP, cmsg.UDP_SEGMENT):
                return int(struct.unpack("=H", data)[0])
        return 0

    @property
    def source(self) -> bytes:
        """The address that it is to leave from, empty if that is up to the kernel."""
        local = cmsg.read_local(self.ancillary)
        return b"" if local is None else local.packed

    def datagrams(self) -> list[bytes]:
        """Return what goes out: a message without octets is a datagram, a segment has some."""
        octets, stride = b"".join(self.pieces), self.stride
        if not stride:
            return [octets]
        return [octets[start : start + stride] for start in range(0, len(octets), stride)]


class Sent(NamedTuple):
    """A datagram that went out."""

    peer: bytes
    octets: bytes
    source: bytes = b""


def peer_of(name: bytes) -> bytes:
    """Return the address in a name, which may be longer; b"" for a family that is none."""
    sizes = {int(socket.AF_INET): 16, int(socket.AF_INET6): 28}
    return name[: sizes.get(int.from_bytes(name[:2], sys.byteorder), 0)]


def read(layout: MessageLayout, address: int) -> Message:
    """Read a message as `sendmsg` does."""
    name, name_size, iov, iovs, control, control_size, _ = layout.header.unpack(
        ctypes.string_at(address, layout.header.size)
    )
    places = IOV.iter_unpack(ctypes.string_at(iov, iovs * IOV.size))
    return Message(
        ctypes.string_at(name, name_size),
        [ctypes.string_at(at, size) if size else b"" for at, size in places],
        unpack_ancillary(layout, ctypes.string_at(control, control_size) if control else b""),
    )


def write(
    layout: MessageLayout, address: int, name: bytes, octets: bytes, ancillary: cmsg.Ancillary
) -> int:
    """Write a message as `recvmsg` does; return its size."""
    header = list(layout.header.unpack(ctypes.string_at(address, layout.header.size)))
    name_at, name_room, iov, iovs, control_at, control_room, _ = header
    control = pack_ancillary(layout, ancillary)
    assert len(name) <= name_room
    assert len(control) <= control_room
    ctypes.memmove(name_at, name, len(name))
    ctypes.memmove(control_at, control, len(control))
    rest = octets
    for at, size in IOV.iter_unpack(ctypes.string_at(iov, iovs * IOV.size)):
        ctypes.memmove(at, rest, min(len(rest), size))
        rest = rest[size:]
    assert not rest
    header[1], header[5] = len(name), len(control)
    ctypes.memmove(address, layout.header.pack(*header), layout.header.size)
    return len(octets)


@attrs.define
class Kernel:
    """The kernel's side of one socket."""

    layout: MessageLayout = LINUX
    mtu: int = 65535
    """Segments that are larger, with 28 octets of headers, are refused."""
    refuses_segments: int = 0
    """The errno of every message of segments."""
    refuses: Callable[[bytes], int] = lambda _: 0
    """Return the errno for a peer."""
    script: deque[int] = attrs.field(factory=deque)
    """What becomes of the next messages: an errno, or 0 to look further."""
    sent: list[Sent] = attrs.field(factory=list)
    """What went out."""
    messages: list[Message] = attrs.field(factory=list)
    flags: list[int] = attrs.field(factory=list)
    """Of each message that went out."""
    calls_made: int = 0
    arriving: deque[tuple[bytes, bytes, cmsg.Ancillary]] = attrs.field(factory=deque)
    receiving: deque[int] = attrs.field(factory=deque)
    """Errnos of the next receives, 0 for those that succeed."""

    def calls(self) -> Calls:
        return Calls(self._recvmmsg, self._sendmmsg, self._recvmsg, self._sendmsg)

    def takes(self, message: Message, flags: int) -> int:
        """Take a message that is to be sent, or return an errno."""
        reason = self.script.popleft() if self.script else 0
        if reason:
            return reason
        datagrams = message.datagrams()
        if message.stride:
            if self.refuses_segments:
                return self.refuses_segments
            if message.stride + 28 > self.mtu:
                return errno.EMSGSIZE
        if reason := self.refuses(peer_of(message.name)):
            return reason
        if any(len(datagram) > 65507 for datagram in datagrams):
            return errno.EMSGSIZE
        self.messages.append(message)
        self.flags.append(flags)
        source = message.source
        self.sent += [Sent(peer_of(message.name), datagram, source) for datagram in datagrams]
        return 0

    def _sendmmsg(self, fd: int, address: int, count: int, flags: int) -> int:
        self.calls_made += 1
        for index in range(count):
            reason = self.takes(read(self.layout, address + index * self.layout.size), flags)
            if reason:
                return index or -reason
        return count

    def _sendmsg(self, fd: int, address: int, flags: int) -> int:
        self.calls_made += 1
        message = read(self.layout, address)
        return -self.takes(message, flags) or len(b"".join(message.pieces))

    def _recvmmsg(self, fd: int, address: int, count: int, flags: int) -> int:
        if self.receiving and (reason := self.receiving.popleft()):
            return -reason
        received = 0
        while self.arriving and received < count:
            self._deliver(address + received * self.layout.size)
            received += 1
        return received or AGAIN

    def _recvmsg(self, fd: int, address: int, flags: int) -> int:
        if self.receiving and (reason := self.receiving.popleft()):
            return -reason
        if not self.arriving:
            return AGAIN
        return len(self._write(address))

    def _deliver(self, address: int) -> None:
        size = len(self._write(address))
        ctypes.memmove(address + self.layout.length_at, struct.pack("=I", size), 4)

    def _write(self, address: int) -> bytes:
        name, octets, ancillary = self.arriving.popleft()
        write(self.layout, address, name, octets, ancillary)
        return octets


def arrive(
    slots: Slots,
    layout: MessageLayout,
    arriving: Iterable[tuple[bytes, bytes, cmsg.Ancillary]],
) -> int:
    """Have messages received into slots; return what `recvmmsg` does."""
    kernel = Kernel(layout, arriving=deque(arriving))
    return kernel.calls().recvmmsg(0, slots.prepare(), slots.count, 0)
