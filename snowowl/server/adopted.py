"""A network whose listening sockets were opened before: by a parent, by systemd, or as root.

An endpoint that others share, or had before, differs from the system's in three ways.  It waits for
the word to begin, because the worker before may still read the same socket.  All but one worker leave
broadcasts alone: the kernel deals out what is sent to one address, but gives every socket of the port
a copy of what is sent to many (`__udp4_lib_mcast_deliver` in net/ipv4/udp.c; no manual page says so).
And what the kernel had dropped there before is none of this process' business.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final

import trio

from snowowl.datagram import cmsg
from snowowl.datagram.interface import Endpoint, LocalAddress, Received, Transmit, Unsent
from snowowl.datagram.system import SystemNetwork

BATCHES_DROPPED_MAX: Final = 16
"""Batches that are looked through for one datagram to keep, before others get a turn."""


class AdoptedNetwork:
    """The system's network, with listening sockets that are given.

    `listen` takes them in order, whatever it is asked for.  Without a `go` they are this process'
    own, from the beginning.
    """

    def __init__(
        self,
        network: SystemNetwork,
        sockets: Iterable[socket.socket],
        go: trio.Event | None = None,
        *,
        takes_broadcasts: bool = True,
    ) -> None:
        self.capabilities = network.capabilities
        self.lowered: Callable[[str], None] = lambda _: None
        network.lowered = self._tell_lowered
        self._network = network
        self._sockets = iter(sockets)
        self._go = go
        self._takes_broadcasts = takes_broadcasts

    def _tell_lowered(self, what: str) -> None:
        self.lowered(what)

    def listen(self, host: str, port: int) -> Endpoint:
        """Make an endpoint of the next socket.  Raises OSError."""
        del host, port
        sock = next(self._sockets)
        # A worker before may have been configured otherwise.
        for level, option in (
            (cmsg.SOL_UDP, cmsg.UDP_GRO),
            (socket.SOL_SOCKET, cmsg.SO_ZEROCOPY),
        ):
            with suppress(OSError):  # an old kernel, where nobody can have set it
                sock.setsockopt(level, option, 0)
        endpoint = self._network.adopt(sock)
        if self._go is None:
            return endpoint
        return AdoptedEndpoint(endpoint, self._go, takes_broadcasts=self._takes_broadcasts)

    def open(
        self, family: int, local: LocalAddress | None, port_range: tuple[int, int] | None
    ) -> Endpoint:
        """Open an endpoint of this process' own.  Raises OSError."""
        return self._network.open(family, local, port_range)

    def mtu(self, local: LocalAddress | None) -> int:
        """Return the MTU in octets of the interface that an address belongs to."""
        return self._network.mtu(local)


class AdoptedEndpoint:
    """A listening socket that is one of several."""

    def __init__(self, endpoint: Endpoint, go: trio.Event, *, takes_broadcasts: bool) -> None:
        self.counters = endpoint.counters
        self._endpoint = endpoint
        self._go = go
        self._takes_broadcasts = takes_broadcasts
        self._dropped_before = endpoint.dropped()
        """The kernel's count is the socket's, and that is older than this process."""

    @property
    def address(self) -> bytes:
        """The socket address that it is bound to."""
        return self._endpoint.address

    def receive(self) -> Sequence[Received]:
        """Return what has arrived for this worker, a batch at most."""
        for _ in range(BATCHES_DROPPED_MAX):
            batch = self._endpoint.receive()
            if self._takes_broadcasts or not batch:
                return batch
            ours = [one for one in batch if one.local is None or not one.local.to_many]
            if ours:
                return ours
        return ()

    def send(self, transmits: Sequence[Transmit]) -> Unsent | None:
        """Send all."""
        return self._endpoint.send(transmits)

    def take_unreachable(self) -> Sequence[bytes]:
        """Return the peers whose port was reported closed since the last call."""
        return self._endpoint.take_unreachable()

    def dropped(self) -> int:
        """Return how many datagrams were dropped because the receive buffer was full."""
        return self._endpoint.dropped() - self._dropped_before

    async def wait_readable(self) -> None:
        """Wait until this worker's turn has come, and then until something can be received."""
        if not self._go.is_set():
            await self._go.wait()
        await self._endpoint.wait_readable()

    async def wait_writable(self) -> None:
        """Wait until something can be sent."""
        await self._endpoint.wait_writable()

    def close(self) -> None:
        """Close this process' hold on the socket.  Idempotent."""
        self._endpoint.close()
