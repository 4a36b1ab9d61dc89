"""The ports of one transfer: its TID, one more for strays, and datagrams that wait for their time.

Sending never waits: what the kernel has no room for is tried again a moment later.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable
from typing import Final

import trio

from snowowl.datagram import address
from snowowl.datagram.endpoint import SocketEndpoint
from snowowl.datagram.interface import Endpoint, LocalAddress, Network, Packet
from snowowl.testing.faults.model import Delivery, Via

AGAIN_SECONDS: Final = 0.002
"""When to try again what the kernel had no room for."""

Hear = Callable[[bytes, Via], None]


class Ports:
    """The sockets of one transfer.  Raises OSError if there is none to be had."""

    def __init__(
        self,
        network: Network,
        peer: bytes,
        local: LocalAddress | None,
        *,
        listening: Endpoint | None,
        origin: bytes,
    ) -> None:
        """Open the TID, unless the transfer keeps to the listening endpoint.

        `origin` is the peer as that endpoint names it.
        """
        self._network = network
        self._peer = peer
        self._origin = origin
        self._local = local
        self._listening = listening
        self._own: Endpoint | None = self._open() if listening is None else None
        self._stray: Endpoint | None = None
        self._waiting: list[tuple[float, int, Delivery]] = []
        self._numbers = itertools.count()
        self.strays_wanted = trio.Event()

    @property
    def due(self) -> float:
        """When the next datagram is to go out."""
        return self._waiting[0][0] if self._waiting else math.inf

    def omit_checksums(self) -> bool:
        """Send without checksums, if that can be had."""
        return isinstance(self._own, SocketEndpoint) and self._own.omit_checksums()

    def wait(self, delivery: Delivery, at: float) -> None:
        """Keep a datagram until its time."""
        heapq.heappush(self._waiting, (at, next(self._numbers), delivery))

    def take_due(self, now: float) -> Delivery | None:
        """Return a datagram whose time has come."""
        return heapq.heappop(self._waiting)[2] if self.due <= now else None

    def send(self, delivery: Delivery, now: float) -> bool:
        """Send a datagram; say whether it went out, and keep it if the kernel has no room."""
        if delivery.via is Via.STRAY:
            if self._stray is None:
                try:
                    self._stray = self._open()
                except OSError:  # no socket to be had: the stray is lost
                    return False
                self.strays_wanted.set()
            unsent = self._stray.send([Packet(self._peer, delivery.octets)])
        elif self._listening is not None:
            unsent = self._listening.send([Packet(self._origin, delivery.octets, self._local)])
        elif self._own is not None:
            unsent = self._own.send([Packet(self._peer, delivery.octets)])
        else:
            return False
        if unsent is None:
            return True
        if unsent.blocked:
            self.wait(delivery, now + AGAIN_SECONDS)
        return False

    def close_own(self) -> None:
        """Close the TID in mid-transfer."""
        if self._own is not None:
            self._own.close()
            self._own = None

    def close(self) -> None:
        """Close all.  Idempotent."""
        self.close_own()
        if self._stray is not None:
            self._stray.close()

    async def listen_own(self, hear: Hear, closed: Callable[[], None]) -> None:
        """Receive at the TID until it is closed."""
        if self._own is not None:
            await self._listen(self._own, Via.OWN, hear, closed)

    async def listen_stray(self, hear: Hear, closed: Callable[[], None]) -> None:
        """Receive at the port for strays, once there is one."""
        await self.strays_wanted.wait()
        if self._stray is not None:
            await self._listen(self._stray, Via.STRAY, hear, closed)

    async def _listen(
        self, endpoint: Endpoint, via: Via, hear: Hear, closed: Callable[[], None]
    ) -> None:
        while True:
            try:
                await endpoint.wait_readable()
            except trio.ClosedResourceError:
                return
            for received in endpoint.receive():
                if address.unmapped(received.peer) != self._peer:
                    continue  # somebody else's: no part of this transfer
                data, stride = bytes(received.data), received.stride
                for start in range(0, len(data) or 1, stride):
                    hear(data[start : start + stride], via)
            if any(address.unmapped(peer) == self._peer for peer in endpoint.take_unreachable()):
                closed()
            await trio.lowlevel.checkpoint()
            if endpoint not in (self._own, self._stray):
                return  # closed by what was heard

    def _open(self) -> Endpoint:
        family, local = address.family_of(self._peer), self._local
        if local is not None and not _is_link_local(local):
            local = LocalAddress(local.packed)  # the interface counts for link-local ones only
        if local is not None and local.to_many:
            local = None
        try:
            return self._network.open(family, local, None)
        except OSError:
            if local is None:
                raise
            return self._network.open(family, None, None)


def _is_link_local(local: LocalAddress) -> bool:
    return len(local.packed) == 16 and local.packed[:1] == b"\xfe"
