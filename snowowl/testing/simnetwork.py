"""A network in memory: datagrams take virtual time, get lost, doubled and late as one seed decides.

`SimNetwork` is a `snowowl.datagram.interface.Network`, so the real server and the real client run on
it, under `trio.testing.MockClock`.  It knows nothing of TFTP, reads no clock but Trio's, starts no
task, and draws from nothing but its own `random.Random`: the same seed gives the same datagrams.

A datagram meets, in this order: the sender's kernel (`refuse_send`, `kernel`), partitions (`cut`),
the link (`link`, or `link_between`: loss, MTU, its queue, delay, flipped bits), and the receiver's
buffer.  What happened is counted in `fates`.  `SimNetwork.host` gives a machine its own addresses.
"""

from __future__ import annotations

import errno
import itertools
import math
import os
import random
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import trio

from snowowl.datagram import address
from snowowl.datagram.capabilities import Capabilities
from snowowl.datagram.interface import LocalAddress
from snowowl.testing.kernel import NO_FAULTS, KernelFaults, ReceiveBuffer
from snowowl.testing.link import Cut, Datagram, Link, Queues
from snowowl.testing.simendpoint import BATCH_MAX, HOSTS, Arrival, SimEndpoint, socket_address
from snowowl.testing.simhost import SimHost

__all__ = ["BATCH_MAX", "HOSTS", "SimEndpoint", "SimNetwork", "socket_address"]

_HEADERS: Final[dict[int, int]] = {socket.AF_INET: 20 + 8, socket.AF_INET6: 40 + 8}
_WILDCARDS: Final[dict[int, str]] = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}  # noqa: S104 - no socket
_EPHEMERAL: Final = (49152, 65535)  # RFC 6335 section 6

RefuseSend = Callable[[Datagram], int | None]
"""Returns the errno with which the kernel refuses a datagram, or None: EAGAIN blocks the endpoint,
EFAULT and EMSGSIZE are reported for the peer, the datagram is lost for any other."""

RefuseOpen = Callable[[int, LocalAddress | None], int | None]
"""Returns the errno with which `SimNetwork.open` fails for a family and an address, or None."""

Watcher = Callable[[Datagram], None]
"""Told of each datagram when it is sent: a capture, a digest."""


class SimNetwork:
    """Every endpoint, and every datagram in flight.

    Its attributes are knobs, to be turned at any time.  To have links that differ by source and
    target, override `link_between`; kernels that differ by endpoint, `kernel_of`.
    """

    def __init__(self, seed: int = 0, link: Link | None = None, *, coalesces: bool = False) -> None:
        self.capabilities: Capabilities | None = None
        self.lowered: Callable[[str], None] = lambda _: None
        self.link = link or Link()
        self.kernel = NO_FAULTS
        self.coalesces = coalesces
        """Datagrams of one peer and size that arrive together come as one `Received` (GRO)."""
        self.shares_memory = False
        """What one endpoint of `listen` and `open` has lent is gone, too, when another one receives:
        so it is in a server, and in no client."""
        self.blocked_seconds = 0.01
        """How long an endpoint stays unwritable after EAGAIN."""
        self.receive_buffer: ReceiveBuffer | None = None
        """That of the endpoints which are opened from now on."""
        self.refuse_send: RefuseSend | None = None
        self.refuse_open: RefuseOpen | None = None
        self.keeps_datagrams = True
        """Keep every datagram in `datagrams`; long runs had better not."""
        self.datagrams: list[Datagram] = []
        """All that were sent, lost ones too, in order."""
        self.watchers: list[Watcher] = []
        self.fates: Counter[str] = Counter()
        """What became of datagrams, counted: `sent` (taken by the kernel) and its `octets`; of those
        `cut`, `lost`, `too large`, `queue full`, `doubled`, `late`, `flipped` (lost by the checksum),
        `mutilated` (a flipped bit arrived), `port closed`, `buffer full`; and what was not sent, as
        `EAGAIN` and so on; sockets not opened, `open EMFILE`; `train refused`, `receive error`, `stalled`."""
        self.endpoints: dict[bytes, SimEndpoint] = {}
        """Those that are open, by the addresses that they are reached at."""
        self._lent: list[bytearray] = []
        self._cuts: list[Cut] = []
        self._queues: Queues | None = None
        self._random = random.Random(seed)  # noqa: S311 - a simulation
        self._numbers = itertools.count()

    # What `snowowl.datagram.interface.Network` asks for.

    def listen(self, host: str, port: int) -> SimEndpoint:
        """Open an endpoint for requests; an empty host means every address.  Raises OSError."""
        bound = socket_address(host or "::", port or self._free_port([host or "::"], None))
        return self._sharing(self._add(bound, dual=not host, listening=True))

    def open(
        self, family: int, local: LocalAddress | None, port_range: tuple[int, int] | None
    ) -> SimEndpoint:
        """Open an endpoint on a free port.  Raises OSError."""
        self.refuse_to_open(family, local)
        packed = b"" if local is None else local.packed
        host = socket.inet_ntop(family, packed) if packed else _WILDCARDS[family]
        return self._sharing(self.bind(host, self._free_port([host], port_range)))

    def mtu(self, local: LocalAddress | None) -> int:
        """Return the MTU in octets."""
        del local
        return self.link.mtu

    def close(self) -> None:
        """Do nothing: endpoints belong to who opened them.  As the system's network has it."""

    # What tests ask for beside it.

    def host(self, *addresses: str) -> SimHost:
        """Return the network as a machine with these addresses sees it."""
        return SimHost(self, addresses)

    def bind(self, host: str, port: int) -> SimEndpoint:
        """Open an endpoint at a literal address: a peer that is played by hand.  Raises OSError."""
        return self._add(socket_address(host, port), dual=False, listening=False)

    def cut(
        self,
        hosts: Iterable[str] | None = None,
        others: Iterable[str] | None = None,
        *,
        seconds: float = math.inf,
        one_way: bool = False,
    ) -> Cut:
        """Lose what hosts and others send each other from now on, for some time; None: all hosts.

        One way: only what `hosts` send to `others`.  `Cut.heal` ends it.
        """
        cut = Cut(_packed(hosts), _packed(others), trio.current_time() + seconds, one_way)
        self._cuts.append(cut)
        return cut

    def heal(self) -> None:
        """End every partition, and let go of what is held back from now on."""
        self._cuts.clear()
        self._queues = None

    def clog(self, source: str, target: str, seconds: float) -> None:
        """Hold back what a host sends to another for some time; then it arrives all at once."""
        way = (_packed_host(source), _packed_host(target))
        self._queues = self._queues or Queues()
        self._queues.clog(way, trio.current_time() + seconds)

    def link_between(self, source: bytes, target: bytes) -> Link:
        """Return the link from one socket address to another."""
        del source, target
        return self.link

    def kernel_of(self, bound: bytes) -> KernelFaults:
        """Return how the kernel of whoever has this socket address fails."""
        del bound
        return self.kernel

    # For the endpoints.

    def carry(self, source: bytes, target: bytes, octets: bytes) -> int | None:
        """Take a datagram on its way; return the errno if the kernel refuses it."""
        now, draws = trio.current_time(), self._random
        reason = self.kernel_of(source).sending(draws)
        if reason is None and self.refuse_send is not None:
            reason = self.refuse_send(Datagram(now, source, target, octets, ()))
        if reason is not None:
            self.fates[errno.errorcode[reason]] += 1
            return reason
        fates, arrivals = self._arrivals(source, target, octets, now)
        self.fates["sent"] += 1
        self.fates["octets"] += len(octets)
        receiver = self._endpoint_at(target)
        for at, arriving in arrivals:
            arrival = (at, next(self._numbers), source, target, arriving)
            if receiver is not None:
                receiver.arrive(arrival)
            else:
                fates += ("port closed",)
                self._report_closed(arrival)
        for fate in fates:
            self.fates[fate] += 1
        if self.keeps_datagrams or self.watchers:
            times = tuple(at for at, _ in arrivals)
            self._tell(Datagram(now, source, target, octets, times, fates))
        return None

    def fails_to_receive(self, endpoint: SimEndpoint) -> bool:
        """Say whether a socket reports an error now."""
        probability = self.kernel_of(endpoint.address).receiving
        fails = probability > 0 and self._random.random() < probability
        self.fates["receive error"] += fails
        return fails

    def stall(self, endpoint: SimEndpoint) -> float:
        """Return for how long the owner of a socket does not hear that something has arrived."""
        kernel = self.kernel_of(endpoint.address)
        if not kernel.stalls or self._random.random() >= kernel.stalls:
            return 0.0
        self.fates["stalled"] += 1
        return self._random.uniform(0, kernel.stall_seconds)

    def cut_train(self, endpoint: SimEndpoint) -> None:
        """Refuse a train now and then, as a device does that cannot cut it.

        The system's endpoints send its datagrams one by one at once, so nobody sees more of it than
        what `lowered` is told.
        """
        probability = self.kernel_of(endpoint.address).trains
        if probability and self._random.random() < probability:
            self.fates["train refused"] += 1
            self.lowered(
                f"the simulated device of {address.host_text(endpoint.address)} has no GSO"
            )

    def overflowed(self) -> None:
        """Count a datagram that found no place in a receive buffer."""
        self.fates["buffer full"] += 1

    def forget(self, endpoint: SimEndpoint, inbox: Sequence[Arrival]) -> None:
        """Drop an endpoint; the senders of what is still on its way to it learn that it is closed."""
        for name in endpoint.homes.values() or (endpoint.address,):
            del self.endpoints[name]
        for arrival in sorted(inbox):
            if arrival[0] > trio.current_time() and arrival[4] is not None:
                self.fates["port closed"] += 1
                self._report_closed(arrival)

    # For hosts.

    def refuse_to_open(self, family: int, local: LocalAddress | None) -> None:
        """Raise OSError if no socket can be opened now."""
        reason = self.refuse_open(family, local) if self.refuse_open is not None else None
        host = socket.inet_ntop(family, local.packed) if local and local.packed else HOSTS[family]
        reason = reason or self.kernel_of(socket_address(host, 0)).opening(self._random)
        if reason is not None:
            self.fates[f"open {errno.errorcode[reason]}"] += 1
            raise OSError(reason, os.strerror(reason))

    def listen_at(self, addresses: Sequence[str], port: int) -> SimEndpoint:
        """Open one endpoint for requests at every address of a host.  Raises OSError."""
        port = port or self._free_port(addresses, None)
        homes = {
            address.family_of(home): home
            for home in (socket_address(host, port) for host in addresses)
        }
        families = set(homes)
        family = socket.AF_INET6 if socket.AF_INET6 in families else socket.AF_INET
        bound = socket_address(_WILDCARDS[family], port)
        endpoint = SimEndpoint(self, bound, dual=len(families) > 1, listening=True)
        endpoint.homes = homes
        return self._enter(endpoint, tuple(homes.values()))

    def free_port(self, host: str, port_range: tuple[int, int] | None) -> int:
        """Return a random free port of a host.  Raises OSError with EADDRINUSE if there is none."""
        return self._free_port([host], port_range)

    # A datagram's way.

    def _arrivals(
        self, source: bytes, target: bytes, octets: bytes, now: float
    ) -> tuple[tuple[str, ...], list[tuple[float, bytes]]]:
        """Return what befalls a datagram, and when each copy arrives, and as what."""
        if self._cuts and self._is_cut(source, target, now):
            return ("cut",), []
        family = address.family_of(target)
        link, size = self.link_between(source, target), len(octets) + _HEADERS[family]
        delays = link.delays(self._random, size)
        if not delays:
            return ("too large" if size > link.mtu and not link.fragments else "lost",), []
        fates: tuple[str, ...] = ("doubled",) if len(delays) > 1 else ()
        waits = 0.0
        if self._queues is not None or link.octets_per_second != math.inf:
            self._queues = self._queues or Queues()
            way = address.host_octets(source), address.host_octets(target)
            wait = self._queues.wait(way, link, size * len(delays), now)
            if wait is None:
                return ("queue full",), []
            waits = wait
        arrivals = []
        for delay in delays:
            if delay > link.delay_seconds:
                fates += ("late",)
            arriving = link.damaged(self._random, octets) if link.corruption else octets
            if arriving is not octets:
                found = link.checksums or family == socket.AF_INET6
                fates += ("flipped" if found else "mutilated",)
                if found:
                    continue
            arrivals.append((now + waits + delay, arriving))
        return fates, arrivals

    def _is_cut(self, source: bytes, target: bytes, now: float) -> bool:
        self._cuts = [cut for cut in self._cuts if now < cut.until]
        hosts = address.host_octets(source), address.host_octets(target)
        return any(cut.severs(*hosts, now) for cut in self._cuts)

    def _tell(self, datagram: Datagram) -> None:
        if self.keeps_datagrams:
            self.datagrams.append(datagram)
        for watcher in self.watchers:
            watcher(datagram)

    def _report_closed(self, arrival: Arrival) -> None:
        """Send the ICMP message "port unreachable" to who sent to a closed port."""
        at, _, peer, target, _ = arrival
        sender = self._endpoint_at(peer)
        if sender is not None and not (self._cuts and self._is_cut(target, peer, at)):
            at += self.link_between(target, peer).delay_seconds
            sender.arrive((at, next(self._numbers), target, peer, None))

    def _endpoint_at(self, target: bytes) -> SimEndpoint | None:
        """Return who receives what is sent to an address: rather an endpoint of this very host."""
        endpoint = self.endpoints.get(target)
        if endpoint is None:
            for wildcard in _wildcards(address.family_of(target), address.port_of(target)):
                endpoint = self.endpoints.get(wildcard)
                if endpoint is not None and (wildcard[:2] == target[:2] or endpoint.dual):
                    return endpoint
            return None
        return endpoint

    def _free_port(self, hosts: Sequence[str], port_range: tuple[int, int] | None) -> int:
        first, last = port_range or _EPHEMERAL
        count = last - first + 1
        start = self._random.randrange(count)
        for step in range(count):
            port = first + (start + step) % count
            if not any(socket_address(host, port) in self.endpoints for host in hosts):
                return port
        raise OSError(errno.EADDRINUSE, f"no free port in {first}:{last}")

    def _add(self, bound: bytes, *, dual: bool, listening: bool) -> SimEndpoint:
        endpoint = SimEndpoint(self, bound, dual=dual, listening=listening)
        return self._enter(endpoint, (bound,))

    def _sharing(self, endpoint: SimEndpoint) -> SimEndpoint:
        if self.shares_memory:
            endpoint.lent = self._lent
        return endpoint

    def _enter(self, endpoint: SimEndpoint, names: Sequence[bytes]) -> SimEndpoint:
        if any(name in self.endpoints for name in names):
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        endpoint.receive_buffer = self.receive_buffer
        self.endpoints.update(dict.fromkeys(names, endpoint))
        return endpoint


def _wildcards(family: int, port: int) -> Iterator[bytes]:
    yield socket_address(_WILDCARDS[family], port)
    if family == socket.AF_INET:
        yield socket_address("::", port)


def _packed(hosts: Iterable[str] | None) -> frozenset[bytes] | None:
    return None if hosts is None else frozenset(map(_packed_host, hosts))


def _packed_host(host: str) -> bytes:
    return address.host_octets(socket_address(host, 0))
