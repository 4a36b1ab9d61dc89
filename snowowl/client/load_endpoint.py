"""The system's network for a load: endpoints whose descriptors are known, and light ones for lock-step.

In lock-step one datagram at a time comes to a client's socket, and a batch has no use: to prepare and
read the arrays of `recvmmsg` costs more than `recvfrom`, and so does the second call of the portable
endpoint, which says "nothing more" (who waits by epoll is told anyway).  For a block and its ACK a
load of 1000 clients costs 13 us of CPU in all instead of 19.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from snowowl.datagram.address import SocketAddress, pack, unpack
from snowowl.datagram.endpoint import SocketEndpoint
from snowowl.datagram.interface import Packet, Received, Transmit, Unsent
from snowowl.datagram.memory import arena
from snowowl.datagram.portable import DATAGRAM_MAX, PortableEndpoint
from snowowl.datagram.settings import Settings
from snowowl.datagram.system import SystemNetwork

_NAMES_MAX: Final = 1 << 16
"""Addresses remembered in both forms, for all endpoints together: a server has so many ports."""

_octets_of = lru_cache(_NAMES_MAX)(pack)
_name_of = lru_cache(_NAMES_MAX)(unpack)


class LoadNetwork(SystemNetwork):
    """A `SystemNetwork` that tells the descriptors of its endpoints.

    What an endpoint has received must be dealt with before any other receives: all share memory.
    """

    def __init__(self, settings: Settings | None = None, *, lock_step: bool = False) -> None:
        super().__init__(settings, shares_slots=True)
        self.descriptors: dict[SocketEndpoint, int] = {}
        self._single = lock_step and self.settings.rung in ("auto", "portable")
        self._memory = arena(DATAGRAM_MAX)

    @property
    def rung(self) -> str:
        """The way to the kernel that is used."""
        return "portable" if self._single else self.capabilities.rung

    def _wrap(self, sock: socket.socket, *, tells_local: bool) -> SocketEndpoint:
        endpoint: SocketEndpoint
        if self._single and not tells_local:
            endpoint = SingleEndpoint(sock, self._memory)
        else:
            endpoint = super()._wrap(sock, tells_local=tells_local)
        self.descriptors[endpoint] = sock.fileno()
        return endpoint


class SingleEndpoint(PortableEndpoint):
    """An `Endpoint` whose batches are single datagrams, received into memory that it shares."""

    def __init__(self, sock: socket.socket, memory: memoryview) -> None:
        super().__init__(sock)
        self._arena = memory
        self._received = Received(memory, 1, b"")
        self._batch = (self._received,)

    def receive(self) -> Sequence[Received]:
        """Return a datagram if one has arrived."""
        try:
            size, name = self._socket.recvfrom_into(self._arena)
        except BlockingIOError:
            self._received_nothing()
            return ()
        except OSError:
            self._take_errors()
            return ()
        self._said_readable = False
        self.counters.datagrams_received += 1
        received = self._received
        received.data = self._arena[:size]
        received.stride = size or 1
        received.peer = _octets_of(name)
        return self._batch

    def send(self, transmits: Sequence[Transmit]) -> Unsent | None:
        """Send all, datagram by datagram."""
        if len(transmits) == 1 and isinstance(packet := transmits[0], Packet):
            try:
                self._socket.sendto(packet.octets, _name_of(packet.peer))
            except BlockingIOError:
                return super().send(transmits)
            except OSError:
                self._take_errors()  # perhaps news of an earlier datagram, which took its place
                return super().send(transmits)
            self.counters.datagrams_sent += 1
            return None
        return super().send(transmits)

    def _octets_of(self, name: SocketAddress) -> bytes:
        return _octets_of(name)

    def _name_of(self, octets: bytes) -> SocketAddress:
        return _name_of(octets)
