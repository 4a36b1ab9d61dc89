"""A network in memory: datagrams take virtual time, get lost, doubled and late as one seed decides.

`SimNetwork` is a `snowowl.datagram.interface.Network`, so the real server and the real client run on
it, under `trio.testing.MockClock`.  It knows nothing of TFTP, reads no clock but Trio's, starts no
task, and draws from nothing but its own `random.Random`: the same seed gives the same datagrams.

What a kernel would do, it does: an IPv4 peer of a dual-stack endpoint has a mapped address, what is
larger than the MTU is lost unless fragments pass, a closed port is reported to those who sent
there, and the octets that `receive` lent are gone with the next call.
"""

from __future__ import annotations

import errno
import heapq
import itertools
import math
import os
import random
import socket
from collections.abc import Callable, Sequence
from typing import Final

import attrs
import trio

from snowowl.datagram import address
from snowowl.datagram.interface import Counters, LocalAddress, Received, Transmit, Unsent

BATCH_MAX: Final = 32
"""Datagrams that one `receive` returns, as the system's endpoints do."""

HOSTS: Final = {socket.AF_INET: "192.0.2.200", socket.AF_INET6: "2001:db8::200"}
"""Where what is bound to no address sends from (RFC 5737, RFC 3849: for documentation)."""

_HEADERS: Final = {socket.AF_INET: 20 + 8, socket.AF_INET6: 40 + 8}
_WILDCARDS: Final = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}  # noqa: S104 - no socket
_EPHEMERAL: Final = (49152, 65535)  # RFC 6335 section 6
_INTERFACE: Final = 1


@attrs.frozen(kw_only=True)
class Link:
    """What happens to datagrams on their way; probabilities from 0 to 1, for each one anew."""

    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0
    """The probability of being late, and so of arriving behind what was sent later."""
    delay_seconds: float = 0.001
    late_seconds: float = 0.005
    mtu: int = 1500
    """Octets of the largest IP packet."""
    fragments: bool = False
    """What is larger than the MTU arrives all the same."""

    def delays(self, draws: random.Random, size: int) -> tuple[float, ...]:
        """Return after how many seconds each copy of a packet arrives; none if it is lost."""
        lost, doubled = draws.random() < self.loss, draws.random() < self.duplication
        if lost or (size > self.mtu and not self.fragments):
            return ()
        return tuple(self._delay(draws) for _ in range(2 if doubled else 1))

    def _delay(self, draws: random.Random) -> float:
        late = draws.random() < self.reordering
        return self.delay_seconds + (draws.uniform(0, self.late_seconds) if late else 0.0)


@attrs.frozen
class Datagram:
    """One datagram that was sent.  Addresses are socket addresses, never IPv4-mapped ones."""

    sent_at: float
    source: bytes
    target: bytes
    octets: bytes
    arrivals: tuple[float, ...]
    """When each copy arrives; none if it was lost."""


RefuseSend = Callable[[Datagram], int | None]
"""Returns the errno with which the kernel refuses a datagram, or None: EAGAIN blocks the endpoint,
EFAULT and EMSGSIZE are reported for the peer, the datagram is lost for any other."""

RefuseOpen = Callable[[int, LocalAddress | None], int | None]
"""Returns the errno with which `SimNetwork.open` fails for a family and an address, or None."""


@attrs.frozen(order=True)
class _Arrival:
    """What comes to an endpoint; without octets it is the news that the peer's port is closed."""

    at: float
    number: int
    peer: bytes
    target: bytes
    octets: bytes | None


class SimEndpoint:
    """An `Endpoint` of a `SimNetwork`.  Use `SimNetwork.listen`, `open` or `bind` to get one."""

    def __init__(self, network: SimNetwork, bound: bytes, *, dual: bool, listening: bool) -> None:
        self.counters = Counters()
        self.address = bound
        self.dual = dual
        self.listening = listening
        """Tells the local address of what it receives, and hears of no closed ports."""
        self.receive_errors = 0
        """So many calls of `receive` from now on fail, each with an error of the socket."""
        self.closed = False
        self._network = network
        self._inbox: list[_Arrival] = []
        self._lent: list[bytearray] = []
        self._unreachable: list[bytes] = []
        self._writable_at = -math.inf
        self._news = trio.Event()

    def receive(self) -> Sequence[Received]:
        """Return what has arrived, a batch at most; empty if nothing has."""
        for octets in self._lent:
            octets[:] = b"\xee" * len(octets)  # whoever kept a view shall see it
        if self.receive_errors:
            self.receive_errors -= 1
            self.counters.errors += 1
            return ()
        batch: list[tuple[bytes, bytes, list[bytes]]] = []
        now, count = trio.current_time(), 0
        while self._inbox and self._inbox[0].at <= now and count < BATCH_MAX:
            arrival = heapq.heappop(self._inbox)
            if arrival.octets is None:
                self._unreachable.append(arrival.peer)
                continue
            count += 1
            if self._network.coalesces and batch and _continues(batch[-1], arrival):
                batch[-1][2].append(arrival.octets)
            else:
                batch.append((arrival.peer, arrival.target, [arrival.octets]))
        self.counters.datagrams_received += count
        self._lent = [bytearray(b"".join(datagrams)) for _, _, datagrams in batch]
        return [
            Received(memoryview(octets), len(datagrams[0]) or 1, self._shown(peer), self._told(to))
            for octets, (peer, to, datagrams) in zip(self._lent, batch, strict=True)
        ]

    def send(self, transmits: Sequence[Transmit]) -> Unsent | None:
        """Send all, datagram by datagram."""
        unsent = Unsent()
        for index, transmit in enumerate(transmits):
            each = len(transmit.buffers) // transmit.count
            for sent in range(transmit.count):
                buffers = transmit.buffers[sent * each : (sent + 1) * each]
                reason = self._send_one(transmit, b"".join(buffers))
                if reason == errno.EAGAIN:
                    self._writable_at = trio.current_time() + self._network.blocked_seconds
                    unsent.blocked = [_rest(transmit, sent), *transmits[index + 1 :]]
                    return unsent
                if reason is not None:
                    unsent.failed.append((transmit.peer, reason))
                    break
        return unsent if unsent.failed else None

    def take_unreachable(self) -> Sequence[bytes]:
        """Return the peers whose port was reported closed since the last call."""
        peers, self._unreachable = self._unreachable, []
        return [self._shown(peer) for peer in peers]

    async def wait_readable(self) -> None:
        """Wait until something has arrived, or the next `receive` fails."""
        await trio.lowlevel.checkpoint()
        while not self.receive_errors:
            if self.closed:
                raise trio.ClosedResourceError
            at = self._inbox[0].at if self._inbox else math.inf
            if at <= trio.current_time():
                return
            self._news = trio.Event()
            with trio.move_on_at(at):
                await self._news.wait()

    async def wait_writable(self) -> None:
        """Wait until the endpoint is not blocked."""
        await trio.sleep_until(self._writable_at)

    def close(self) -> None:
        """Close the endpoint; whoever waits for it gets `trio.ClosedResourceError`."""
        if not self.closed:
            self.closed = True
            self._news.set()
            self._network.forget(self, self._inbox)

    def arrive(self, arrival: _Arrival) -> None:
        """Take what comes at a time that may lie ahead.  For the network."""
        if arrival.octets is None and self.listening:
            return
        heapq.heappush(self._inbox, arrival)
        self._news.set()

    def _send_one(self, transmit: Transmit, octets: bytes) -> int | None:
        family = address.family_of(self.address)
        if self.closed or address.family_of(transmit.peer) != family:
            self.counters.datagrams_lost += 1
            return None
        peer = address.unmapped(transmit.peer)
        reason = self._network.carry(self._source(peer, transmit.source), peer, octets)
        self.counters.datagrams_sent += reason is None
        if reason in (errno.EAGAIN, errno.EFAULT, errno.EMSGSIZE):
            return reason
        self.counters.datagrams_lost += reason is not None
        return None

    def _source(self, peer: bytes, source: LocalAddress | None) -> bytes:
        family, port = address.family_of(peer), address.port_of(self.address)
        if any(address.host_octets(self.address)):
            return self.address
        if source is not None and source.packed and self.listening:
            return address.pack((socket.inet_ntop(family, source.packed), port, 0, 0)[: _arity(family)])
        return socket_address(HOSTS[socket.AddressFamily(family)], port)

    def _shown(self, peer: bytes) -> bytes:
        if self.dual and address.family_of(peer) == socket.AF_INET:
            return address.pack((f"::ffff:{address.host_text(peer)}", address.port_of(peer), 0, 0))
        return peer

    def _told(self, target: bytes) -> LocalAddress | None:
        return LocalAddress(address.host_octets(target), _INTERFACE) if self.listening else None
