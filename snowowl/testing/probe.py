"""A scripted peer: sends octets, hears octets, and says when.

What conformance cases, faults and fuzzers speak with.  It works over a
`snowowl.datagram.interface.Network`, so what is written with it runs on real UDP and the real clock
as on a `SimNetwork` and a clock that jumps.  It knows nothing of any server, interprets nothing, and
hears of closed ports (ICMP) too.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import attrs
import trio

from snowowl.datagram import address
from snowowl.datagram.interface import Endpoint, LocalAddress, Network, Packet


@attrs.frozen
class Heard:
    """A datagram that came: its octets, the socket address of its source, and when (seconds)."""

    octets: bytes
    source: bytes
    at: float

    @property
    def port(self) -> int:
        """Return the source's port: the TID of who sent it."""
        return address.port_of(self.source)


class Probe:
    """One UDP socket, on a free port.  Use it as a context manager, or close it."""

    def __init__(
        self,
        network: Network,
        family: int,
        *,
        local: LocalAddress | None = None,
        port_range: tuple[int, int] | None = None,
    ) -> None:
        """Open it: at one local address if one is given.  Raises OSError."""
        self.sent = 0
        """Datagrams that were sent."""
        self.octets_sent = 0
        self.received = 0
        self.octets_received = 0
        self._endpoint: Endpoint = network.open(family, local, port_range)
        self._inbox: deque[Heard] = deque()
        self._closed_ports: list[bytes] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket.  Idempotent."""
        self._endpoint.close()

    @property
    def port(self) -> int:
        """Return the port of this side: its TID."""
        return address.port_of(self._endpoint.address)

    async def send(self, octets: bytes, to: bytes) -> None:
        """Send one datagram to a socket address; what cannot be sent is lost, as in a network."""
        self.sent += 1
        self.octets_sent += len(octets)
        unsent = self._endpoint.send([Packet(to, octets)])
        while unsent is not None and unsent.blocked:
            await self._endpoint.wait_writable()
            unsent = self._endpoint.send(unsent.blocked)
        await trio.lowlevel.checkpoint()

    async def receive(self, seconds: float) -> Heard | None:
        """Return the next datagram, or None if none comes in that time.

        Returns None at once when a port that was sent to is reported closed: see `closed_ports`.
        """
        return await self.receive_until(trio.current_time() + seconds)

    async def receive_until(self, deadline: float) -> Heard | None:
        """Return the next datagram, or None if none comes before a time of Trio's clock."""
        while not self._inbox:
            # Looked for first: what `receive` has noticed of errors does not wake anybody any more.
            if self._take():
                return None
            if self._inbox:
                break
            with trio.move_on_at(deadline) as scope:
                await self._endpoint.wait_readable()
            if self._take() or (scope.cancelled_caught and not self._inbox):
                return None
        return self._inbox.popleft()

    async def receive_all(
        self, quiet_seconds: float, *, count_max: float = math.inf
    ) -> list[Heard]:
        """Return what comes until nothing has come for so long, or so many datagrams have."""
        heard: list[Heard] = []
        while len(heard) < count_max:
            one = await self.receive(quiet_seconds)
            if one is None:
                break
            heard.append(one)
        return heard

    def take_closed_ports(self) -> Sequence[bytes]:
        """Return the socket addresses that were reported closed since the last call."""
        closed, self._closed_ports = self._closed_ports, []
        return closed

    def _take(self) -> bool:
        """Take what has come; say whether that is nothing but reports of closed ports."""
        now = trio.current_time()
        for received in self._endpoint.receive():
            data, stride = bytes(received.data), received.stride
            source = address.unmapped(received.peer)
            for start in range(0, len(data) or 1, stride):
                octets = data[start : start + stride]
                self._inbox.append(Heard(octets, source, now))
                self.received += 1
                self.octets_received += len(octets)
        closed = self._endpoint.take_unreachable()
        self._closed_ports.extend(closed)
        return bool(closed) and not self._inbox
