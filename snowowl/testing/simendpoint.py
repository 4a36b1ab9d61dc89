"""One UDP socket of a simulated network: what has arrived, what is lent, who waits.

What a kernel would do, it does: an IPv4 peer of a dual-stack endpoint has a mapped address, what
does not fit into the receive buffer is dropped and counted, a truncated file cannot be sent (EFAULT),
and the octets that `receive` lent are gone with the next call.
"""

from __future__ import annotations

import errno
import heapq
import math
import os
import socket
from collections import deque
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, Protocol

import trio

from snowowl.datagram import address
from snowowl.datagram.interface import (
    Counters,
    LocalAddress,
    Packet,
    Received,
    Train,
    Transmit,
    Unsent,
    word_of,
)
from snowowl.testing.kernel import ReceiveBuffer

BATCH_MAX: Final = 32
"""Datagrams that one `receive` returns, as the system's endpoints do."""

HOSTS: Final[dict[int, str]] = {socket.AF_INET: "192.0.2.200", socket.AF_INET6: "2001:db8::200"}
"""Where what is bound to no address sends from (RFC 5737, RFC 3849: for documentation)."""

PAYLOAD_MAX: Final[dict[int, int]] = {socket.AF_INET: 65507, socket.AF_INET6: 65527}
"""Octets of the largest datagram: what 16 bits of length leave beside the headers."""

_INTERFACE: Final = 1
_PAGE: Final = 4096
_REPORTED: Final = (errno.EAGAIN, errno.EFAULT, errno.EMSGSIZE)

Arrival = tuple[float, int, bytes, bytes, bytes | None]
"""When, a number that makes each differ, peer, target, octets; without octets it is the news that the
peer's port is closed."""


class Carrier(Protocol):
    """What an endpoint asks of its network."""

    coalesces: bool
    blocked_seconds: float

    def carry(self, source: bytes, target: bytes, octets: bytes) -> int | None:
        """Take a datagram on its way; return the errno if the kernel refuses it."""

    def fails_to_receive(self, endpoint: SimEndpoint) -> bool:
        """Say whether the socket reports an error now."""

    def stall(self, endpoint: SimEndpoint) -> float:
        """Return for how long the socket's owner does not hear that something has arrived."""

    def cut_train(self, endpoint: SimEndpoint) -> None:
        """Hear of a train, which may be refused as such."""

    def overflowed(self) -> None:
        """Count a datagram that found no place in a receive buffer."""

    def forget(self, endpoint: SimEndpoint, inbox: Sequence[Arrival]) -> None:
        """Drop an endpoint."""


class SimEndpoint:
    """An `Endpoint` of a `SimNetwork`.  Use `SimNetwork.listen`, `open` or `bind` to get one."""

    def __init__(self, network: Carrier, bound: bytes, *, dual: bool, listening: bool) -> None:
        self.counters = Counters()
        self.address = bound
        self.dual = dual
        self.listening = listening
        """Tells the local address of what it receives, and hears of no closed ports."""
        self.receive_buffer: ReceiveBuffer | None = None
        """What holds that has arrived and was not read; None: all that comes."""
        self.closed = False
        self.homes: dict[int, bytes] = {}
        """The addresses by family that it is reached at, if it belongs to one host and is bound to
        none of them: what it sends comes from there."""
        self._network = network
        self._receive_errors = 0
        self._inbox: list[Arrival] = []
        self._arrived: deque[Arrival] = deque()
        self._held = 0
        self._dropped = 0
        self.lent: list[bytearray] = []
        """Octets that the next `receive` takes back; of several endpoints, if they share memory."""
        self._unreachable: list[bytes] = []
        self._has_news = False
        """A port was reported closed since the last `receive`."""
        self._writable_at = -math.inf
        self._waiting: trio.CancelScope | None = None
        self._bound_to_host = any(address.host_octets(bound))

    @property
    def receive_errors(self) -> int:
        """So many calls of `receive` from now on fail, each with an error of the socket."""
        return self._receive_errors

    @receive_errors.setter
    def receive_errors(self, count: int) -> None:
        self._receive_errors = count
        if self._waiting is not None:  # an error makes a socket readable
            self._waiting.cancel()

    def receive(self) -> Sequence[Received]:
        """Return what has arrived, a batch at most; empty if nothing has."""
        for octets in self.lent:
            octets[:] = b"\xee" * len(octets)  # whoever kept a view shall see it
        self.lent.clear()
        if self._receive_errors:
            self._receive_errors -= 1
            self.counters.errors += 1
            return ()
        self._take_in()
        self._has_news = False
        if not self._arrived:
            return []
        if self._network.fails_to_receive(self):
            self.counters.errors += 1
            return ()
        batch: list[tuple[bytes, bytes, list[bytes]]] = []
        count = min(len(self._arrived), BATCH_MAX)
        for _ in range(count):
            _, _, peer, target, octets_or_none = self._arrived.popleft()
            octets_in = octets_or_none or b""
            self._held -= len(octets_in)
            if self._network.coalesces and batch and _continues(batch[-1], peer, target, octets_in):
                batch[-1][2].append(octets_in)
            else:
                batch.append((peer, target, [octets_in]))
        self.counters.datagrams_received += count
        return [self._lend(peer, target, datagrams) for peer, target, datagrams in batch]

    def send(self, transmits: Sequence[Transmit]) -> Unsent | None:
        """Send all, datagram by datagram."""
        unsent: Unsent | None = None
        for index, transmit in enumerate(transmits):
            sent, reason = self._send_transmit(transmit)
            if reason is None:
                continue
            unsent = unsent or Unsent()
            if reason == errno.EAGAIN:
                self._writable_at = trio.current_time() + self._network.blocked_seconds
                unsent.blocked = [transmit.rest(sent), *transmits[index + 1 :]]
                return unsent
            unsent.failed.append((transmit.peer, reason))
        return unsent

    def take_unreachable(self) -> Sequence[bytes]:
        """Return the peers whose port was reported closed since the last call."""
        if not self._unreachable:
            return []
        peers, self._unreachable = self._unreachable, []
        return [self._shown(peer) for peer in peers]

    def dropped(self) -> int:
        """Return how many datagrams were dropped because the receive buffer was full."""
        if not self.closed:
            self._take_in()
        return self._dropped

    async def wait_readable(self) -> None:
        """Wait until something has arrived, or the next `receive` fails.

        Raises trio.BusyResourceError if somebody waits already, as the system does.
        """
        if self._waiting is not None:
            raise trio.BusyResourceError("another task waits for this endpoint")
        ready = self._is_readable()
        if ready or self.closed:
            await trio.lowlevel.checkpoint()  # who is cancelled as well hears of that
        while not ready:
            self._refuse_closed()
            at = self._inbox[0][0] if self._inbox else math.inf
            self._waiting = trio.CancelScope(deadline=at)
            try:
                with self._waiting:
                    await trio.sleep_forever()
            finally:
                self._waiting = None
            if self.closed:
                await trio.lowlevel.checkpoint()
            ready = self._is_readable()
        seconds = self._network.stall(self)
        if seconds:
            await trio.sleep(seconds)

    async def wait_writable(self) -> None:
        """Wait until the endpoint is not blocked."""
        await trio.sleep_until(self._writable_at)

    def close(self) -> None:
        """Close the endpoint; whoever waits for it gets `trio.ClosedResourceError`."""
        if not self.closed:
            self._take_in()
            self.closed = True
            if self._waiting is not None:
                self._waiting.cancel()
            self._network.forget(self, self._inbox)

    def arrive(self, arrival: Arrival) -> None:
        """Take what comes at a time that may lie ahead.  For the network."""
        if arrival[4] is None and self.listening:
            return
        heapq.heappush(self._inbox, arrival)
        waiting = self._waiting
        if waiting is not None and arrival[0] < waiting.deadline:
            waiting.deadline = arrival[0]

    def _refuse_closed(self) -> None:
        if self.closed:
            raise trio.ClosedResourceError

    def _is_readable(self) -> bool:
        if self.closed:
            return self._receive_errors > 0
        self._take_in()
        return bool(self._receive_errors or self._arrived or self._has_news)

    def _take_in(self) -> None:
        """Take from what is on its way what has arrived by now, if there is room for it."""
        inbox = self._inbox
        if not inbox:  # also outside of Trio: to open and close takes no clock
            return
        now = trio.current_time()
        while inbox and inbox[0][0] <= now:
            arrival = heapq.heappop(inbox)
            octets = arrival[4]
            if octets is None:
                self._unreachable.append(arrival[2])
                self._has_news = True
            elif self._has_room(len(octets)):
                self._held += len(octets)
                self._arrived.append(arrival)
            else:
                self._dropped += 1
                self._network.overflowed()

    def _has_room(self, size: int) -> bool:
        buffer = self.receive_buffer
        return buffer is None or (
            self._held + size <= buffer.octets and len(self._arrived) < buffer.datagrams
        )

    def _lend(self, peer: bytes, target: bytes, datagrams: list[bytes]) -> Received:
        octets = bytearray(datagrams[0] if len(datagrams) == 1 else b"".join(datagrams))
        self.lent.append(octets)
        word = word_of(octets) if len(datagrams) == 1 else -1
        stride = len(datagrams[0]) or 1
        return Received(memoryview(octets), stride, self._shown(peer), self._told(target), word)

    def _send_transmit(self, transmit: Transmit) -> tuple[int, int | None]:
        """Return how many datagrams of it went out, and the errno that stopped it, if one did."""
        if self.closed or address.family_of(transmit.peer) != address.family_of(self.address):
            count = 1 if isinstance(transmit, Packet) else transmit.count
            self.counters.datagrams_lost += count
            return count, None
        peer = address.unmapped(transmit.peer)
        source = self._source(peer, transmit.source)
        if isinstance(transmit, Packet):
            return self._send_one(source, peer, transmit.octets)
        if transmit.count > 1:
            self._network.cut_train(self)
        stop = _whole_until(transmit)
        for sent, buffers in enumerate(transmit.datagrams()):
            if sent >= stop:
                return sent, errno.EFAULT
            _, reason = self._send_one(source, peer, b"".join(buffers))
            if reason is not None:
                return sent, reason
        return transmit.count, None

    def _send_one(self, source: bytes, peer: bytes, octets: bytes) -> tuple[int, int | None]:
        reason: int | None = errno.EMSGSIZE
        if len(octets) <= PAYLOAD_MAX[address.family_of(peer)]:
            reason = self._network.carry(source, peer, octets)
        if reason is None:
            self.counters.datagrams_sent += 1
        elif reason in _REPORTED:
            return 0, reason
        else:
            self.counters.datagrams_lost += 1
        return 1, None

    def _source(self, peer: bytes, source: LocalAddress | None) -> bytes:
        """Return where a datagram for this peer comes from."""
        if self._bound_to_host:
            return self.address
        family = address.family_of(peer)
        if self.listening and source is not None and source.packed:
            return _with_host(family, source.packed, self.address)
        home = self.homes.get(family)
        return home or socket_address(HOSTS[family], address.port_of(self.address))

    def _shown(self, peer: bytes) -> bytes:
        if self.dual and address.family_of(peer) == socket.AF_INET:
            return _mapped(peer)
        return peer

    def _told(self, target: bytes) -> LocalAddress | None:
        return LocalAddress(address.host_octets(target), _INTERFACE) if self.listening else None


@lru_cache(maxsize=4096)
def socket_address(host: str, port: int) -> bytes:
    """Return the octets of a literal address and a port.  Raises ValueError."""
    return address.pack((host, port, 0, 0) if ":" in host else (host, port))


@lru_cache(maxsize=4096)
def _mapped(peer: bytes) -> bytes:
    return socket_address(f"::ffff:{address.host_text(peer)}", address.port_of(peer))


@lru_cache(maxsize=4096)
def _with_host(family: int, packed: bytes, bound: bytes) -> bytes:
    return socket_address(socket.inet_ntop(family, packed), address.port_of(bound))


def _whole_until(train: Train) -> int:
    """Return how many datagrams of a train can be read.

    The kernel answers EFAULT for a page that lies behind the end of a file which was truncated; here
    it is looked at beforehand, because Python would die of touching it.
    """
    file = train.body.file
    if file is None or file.fileno() < 0:
        return train.count
    mapped_to = -(-os.fstat(file.fileno()).st_size // _PAGE) * _PAGE
    if train.body_at + train.size <= mapped_to:
        return train.count
    return max(0, mapped_to - train.body_at) // (train.stride - train.header_size)


def _continues(
    last: tuple[bytes, bytes, list[bytes]], peer: bytes, target: bytes, octets: bytes
) -> bool:
    """Say whether the kernel would join a datagram to those before it."""
    last_peer, last_target, datagrams = last
    stride = len(datagrams[0])
    return (
        (last_peer, last_target) == (peer, target)
        and len(datagrams[-1]) == stride
        and 0 < len(octets) <= stride
    )
