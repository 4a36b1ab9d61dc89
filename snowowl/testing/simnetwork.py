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
from snowowl.datagram.interface import Counters, LocalAddress, Received, Transmit, Unsent, word_of
from snowowl.testing.link import Datagram, Link

BATCH_MAX: Final = 32
"""Datagrams that one `receive` returns, as the system's endpoints do."""

HOSTS: Final[dict[int, str]] = {socket.AF_INET: "192.0.2.200", socket.AF_INET6: "2001:db8::200"}
"""Where what is bound to no address sends from (RFC 5737, RFC 3849: for documentation)."""

_HEADERS: Final[dict[int, int]] = {socket.AF_INET: 20 + 8, socket.AF_INET6: 40 + 8}
_WILDCARDS: Final[dict[int, str]] = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}  # noqa: S104 - no socket
_EPHEMERAL: Final = (49152, 65535)  # RFC 6335 section 6
_INTERFACE: Final = 1
_REPORTED: Final = (errno.EAGAIN, errno.EFAULT, errno.EMSGSIZE)


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
            Received(
                memoryview(octets),
                len(datagrams[0]) or 1,
                self._shown(peer),
                self._told(to),
                word_of(octets) if len(datagrams) == 1 else -1,
            )
            for octets, (peer, to, datagrams) in zip(self._lent, batch, strict=True)
        ]

    def send(self, transmits: Sequence[Transmit]) -> Unsent | None:
        """Send all, datagram by datagram."""
        unsent = Unsent()
        for index, transmit in enumerate(transmits):
            for sent, buffers in enumerate(transmit.datagrams()):
                reason = self._send_one(transmit, b"".join(buffers))
                if reason == errno.EAGAIN:
                    self._writable_at = trio.current_time() + self._network.blocked_seconds
                    unsent.blocked = [transmit.rest(sent), *transmits[index + 1 :]]
                    return unsent
                if reason is not None:
                    unsent.failed.append((transmit.peer, reason))
                    break
        return unsent if unsent.failed else None

    def take_unreachable(self) -> Sequence[bytes]:
        """Return the peers whose port was reported closed since the last call."""
        peers, self._unreachable = self._unreachable, []
        return [self._shown(peer) for peer in peers]

    def dropped(self) -> int:
        """Return how many datagrams were dropped because the receive buffer was full: none."""
        return 0

    async def wait_readable(self) -> None:
        """Wait until something has arrived, or the next `receive` fails."""
        await trio.lowlevel.checkpoint()
        while not self.receive_errors:
            if self.closed:
                await trio.lowlevel.checkpoint()  # who is cancelled as well hears of that
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
        if reason in _REPORTED:
            return reason
        if reason is None:
            self.counters.datagrams_sent += 1
        else:
            self.counters.datagrams_lost += 1
        return None

    def _source(self, peer: bytes, source: LocalAddress | None) -> bytes:
        """Return where a datagram for this peer comes from."""
        family, port = address.family_of(peer), address.port_of(self.address)
        if any(address.host_octets(self.address)):
            return self.address
        if self.listening and source is not None and source.packed:
            return socket_address(socket.inet_ntop(family, source.packed), port)
        return socket_address(HOSTS[family], port)

    def _shown(self, peer: bytes) -> bytes:
        if self.dual and address.family_of(peer) == socket.AF_INET:
            return socket_address(f"::ffff:{address.host_text(peer)}", address.port_of(peer))
        return peer

    def _told(self, target: bytes) -> LocalAddress | None:
        return LocalAddress(address.host_octets(target), _INTERFACE) if self.listening else None


class SimNetwork:
    """Every endpoint, and every datagram in flight.

    Its attributes are knobs, to be turned at any time.  To have links that differ by source and
    target, override `link_between`.
    """

    def __init__(self, seed: int = 0, link: Link | None = None, *, coalesces: bool = False) -> None:
        self.capabilities = None
        self.lowered: Callable[[str], None] = lambda _: None
        self.link = link or Link()
        self.coalesces = coalesces
        """Datagrams of one peer and size that arrive together come as one `Received` (GRO)."""
        self.blocked_seconds = 0.01
        """How long an endpoint stays unwritable after EAGAIN."""
        self.refuse_send: RefuseSend | None = None
        self.refuse_open: RefuseOpen | None = None
        self.datagrams: list[Datagram] = []
        """All that were sent, lost ones too, in order."""
        self.endpoints: dict[bytes, SimEndpoint] = {}
        """Those that are open, by the address that they are bound to."""
        self._random = random.Random(seed)  # noqa: S311 - a simulation
        self._numbers = itertools.count()

    # What `snowowl.datagram.interface.Network` asks for.

    def listen(self, host: str, port: int) -> SimEndpoint:
        """Open an endpoint for requests; an empty host means every address.  Raises OSError."""
        bound = socket_address(host or "::", port or self._free_port(host or "::", None))
        return self._add(bound, dual=not host, listening=True)

    def open(
        self, family: int, local: LocalAddress | None, port_range: tuple[int, int] | None
    ) -> SimEndpoint:
        """Open an endpoint on a free port.  Raises OSError."""
        reason = self.refuse_open(family, local) if self.refuse_open is not None else None
        if reason is not None:
            raise OSError(reason, os.strerror(reason))
        packed = b"" if local is None else local.packed
        host = socket.inet_ntop(family, packed) if packed else _WILDCARDS[family]
        return self.bind(host, self._free_port(host, port_range))

    def mtu(self, local: LocalAddress | None) -> int:
        """Return the MTU in octets."""
        del local
        return self.link.mtu

    # What tests ask for beside it.

    def bind(self, host: str, port: int) -> SimEndpoint:
        """Open an endpoint at a literal address: a peer that is played by hand.  Raises OSError."""
        return self._add(socket_address(host, port), dual=False, listening=False)

    def link_between(self, source: bytes, target: bytes) -> Link:
        """Return the link from one socket address to another."""
        del source, target
        return self.link

    # For the endpoints.

    def carry(self, source: bytes, target: bytes, octets: bytes) -> int | None:
        """Take a datagram on its way; return the errno if the kernel refuses it."""
        now = trio.current_time()
        datagram = Datagram(now, source, target, octets, ())
        reason = self.refuse_send(datagram) if self.refuse_send is not None else None
        if reason is not None:
            return reason
        size = len(octets) + _HEADERS[address.family_of(target)]
        delays = self.link_between(source, target).delays(self._random, size)
        arrivals = tuple(now + delay for delay in delays)
        self.datagrams.append(attrs.evolve(datagram, arrivals=arrivals))
        receiver = self._endpoint_at(target)
        for at in arrivals:
            arrival = _Arrival(at, next(self._numbers), source, target, octets)
            if receiver is not None:
                receiver.arrive(arrival)
            else:
                self._report_closed(arrival)
        return None

    def forget(self, endpoint: SimEndpoint, inbox: Sequence[_Arrival]) -> None:
        """Drop an endpoint; the senders of what is still on its way to it learn that it is closed."""
        del self.endpoints[endpoint.address]
        for arrival in sorted(inbox):
            if arrival.at > trio.current_time() and arrival.octets is not None:
                self._report_closed(arrival)

    def _report_closed(self, arrival: _Arrival) -> None:
        """Send the ICMP message "port unreachable" to who sent to a closed port."""
        sender = self._endpoint_at(arrival.peer)
        if sender is not None:
            link = self.link_between(arrival.target, arrival.peer)
            at, number = arrival.at + link.delay_seconds, next(self._numbers)
            sender.arrive(_Arrival(at, number, arrival.target, arrival.peer, None))

    def _endpoint_at(self, target: bytes) -> SimEndpoint | None:
        """Return who receives what is sent to an address: rather an endpoint of this very host."""
        family, port = address.family_of(target), address.port_of(target)
        endpoint = self.endpoints.get(target)
        if endpoint is None:
            endpoint = self.endpoints.get(socket_address(_WILDCARDS[family], port))
        if endpoint is None and family == socket.AF_INET:
            endpoint = self.endpoints.get(socket_address("::", port))
            return endpoint if endpoint is not None and endpoint.dual else None
        return endpoint

    def _free_port(self, host: str, port_range: tuple[int, int] | None) -> int:
        """Return a random free port.  Raises OSError with EADDRINUSE if there is none."""
        first, last = port_range or _EPHEMERAL
        count = last - first + 1
        start = self._random.randrange(count)
        for step in range(count):
            port = first + (start + step) % count
            if socket_address(host, port) not in self.endpoints:
                return port
        raise OSError(errno.EADDRINUSE, f"no free port in {first}:{last}")

    def _add(self, bound: bytes, *, dual: bool, listening: bool) -> SimEndpoint:
        if bound in self.endpoints:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        endpoint = SimEndpoint(self, bound, dual=dual, listening=listening)
        self.endpoints[bound] = endpoint
        return endpoint


def socket_address(host: str, port: int) -> bytes:
    """Return the octets of a literal address and a port.  Raises ValueError."""
    return address.pack((host, port, 0, 0) if ":" in host else (host, port))


def _continues(last: tuple[bytes, bytes, list[bytes]], arrival: _Arrival) -> bool:
    """Say whether the kernel would join a datagram to those before it."""
    peer, target, datagrams = last
    stride = len(datagrams[0])
    return (
        (peer, target) == (arrival.peer, arrival.target)
        and all(len(datagram) == stride for datagram in datagrams)
        and 0 < len(arrival.octets or b"") <= stride
    )
