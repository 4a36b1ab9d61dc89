"""What all endpoints over a socket of the system share: waiting, errors, the end."""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final

import trio

from snowowl.datagram import cmsg
from snowowl.datagram.address import SocketAddress, pack, unpack
from snowowl.datagram.errqueue import ErrorQueue
from snowowl.datagram.interface import Counters, LocalAddress, Received, Transmit, Unsent

NEVER_SENT: Final = frozenset({errno.EFAULT, errno.EMSGSIZE})
"""What is about the datagram itself, if nothing came from the network."""

ATTEMPTS_MAX: Final = 3
"""Times to try one datagram: an error may be news of an earlier one, which took its place."""

_NAMES_MAX: Final = 4096
"""Peers whose address is remembered in both forms; more only costs conversions."""

_MEMINFO: Final = struct.Struct("=9I")


class SocketEndpoint(ABC):
    """A non-blocking UDP socket, which it owns."""

    def __init__(self, sock: socket.socket, *, tells_local: bool) -> None:
        self.counters = Counters()
        self._socket = sock
        self._tells_local = tells_local
        self._said_readable = False
        self._said_writable = False
        """So the socket said, and nothing was received or sent since."""
        self._octets: dict[SocketAddress, bytes] = {}
        self._names: dict[bytes, SocketAddress] = {}
        self._errors = ErrorQueue(sock, self._octets_of)
        self._address = pack(sock.getsockname())
        sock.setblocking(False)

    @property
    def address(self) -> bytes:
        """The socket address that it is bound to."""
        return self._address

    def take_unreachable(self) -> Sequence[bytes]:
        """Return the peers whose port was reported closed since the last call."""
        return self._errors.take_unreachable()

    def dropped(self) -> int:
        """Return how many datagrams the kernel dropped because the receive buffer was full."""
        if sys.platform != "linux":
            return 0
        try:
            octets = self._socket.getsockopt(socket.SOL_SOCKET, cmsg.SO_MEMINFO, _MEMINFO.size)
        except OSError:
            return 0
        drops: int = _MEMINFO.unpack(octets)[8] if len(octets) == _MEMINFO.size else 0
        return drops

    def omit_checksums(self) -> bool:
        """Send without UDP checksums from now on (RFC 768); say whether that can be had."""
        if sys.platform != "linux" or self._socket.family != socket.AF_INET:
            return False
        self._socket.setsockopt(socket.SOL_SOCKET, cmsg.SO_NO_CHECK, 1)
        return True

    @abstractmethod
    def receive(self) -> Sequence[Received]:
        """Return what has arrived, a batch at most; empty if nothing has."""

    @abstractmethod
    def send(self, transmits: Sequence[Transmit]) -> Unsent | None:
        """Send all."""

    async def wait_readable(self) -> None:
        """Wait until something can be received."""
        await trio.lowlevel.wait_readable(self._socket)
        self._said_readable = True

    async def wait_writable(self) -> None:
        """Wait until something can be sent."""
        await trio.lowlevel.wait_writable(self._socket)
        self._said_writable = True

    def close(self) -> None:
        """Close the socket; whoever waits for it gets `trio.ClosedResourceError`.  Idempotent."""
        if self._socket.fileno() >= 0:
            with contextlib.suppress(RuntimeError):  # outside of trio nobody can be waiting
                trio.lowlevel.notify_closing(self._socket)
            self._socket.close()

    def _take_errors(self) -> bool:
        """Empty the error queue; say whether any of it came from the network."""
        self.counters.errors += 1
        return self._errors.empty()

    def _received_nothing(self) -> None:
        """Look for what else may have made the socket readable.

        What is in the error queue wakes whoever waits, and goes on doing so, while receiving and
        sending need not say a word of it: not of zero-copy sends that are done, and not of what the
        second message of a `sendmmsg` met with.
        """
        if self._said_readable:
            self._said_readable = False
            self._look_for_news()

    def _sent_nothing(self) -> None:
        """Look for what else may have made the socket writable."""
        if self._said_writable:
            self._said_writable = False
            self._look_for_news()

    def _look_for_news(self) -> None:
        """Empty the error queue, although nothing has failed."""
        self.counters.errors += self._errors.empty()

    def _octets_of(self, name: SocketAddress) -> bytes:
        octets = self._octets.get(name)
        if octets is None:
            if len(self._octets) >= _NAMES_MAX:
                self._octets.clear()
                self._names.clear()
            octets = self._octets[name] = pack(name)
            self._names[octets] = name
        return octets

    def _name_of(self, octets: bytes) -> SocketAddress:
        name = self._names.get(octets)
        return unpack(octets) if name is None else name

    def _ancillary(self, source: LocalAddress | None) -> cmsg.Ancillary:
        """Return what makes a datagram leave from a local address, where that is up to us."""
        if source is None or not self._tells_local:
            return []
        return cmsg.write_source(source, self._socket.family)
