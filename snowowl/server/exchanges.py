"""Which socket a transfer gets: the `tid` setting.

`shared`: a few sockets per local address, each for many transfers; a peer never gets the socket of
its last transfer twice running, so that a late packet of it meets ERROR 5 and not the new transfer.
A client that has not answered within the hour gets one of its own: see `_open_for_stranger`.
`own`: a socket per transfer, RFC 1350 to the letter.  `listen`: the socket that was asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal

import attrs
import trio

from snowowl.config import Config
from snowowl.datagram.address import family_of
from snowowl.datagram.interface import Counters, Endpoint, LocalAddress, Network
from snowowl.observe.observers import Observers
from snowowl.server.exchange import Exchange, StrayJudge
from snowowl.server.registry import Admitted
from snowowl.server.tuning import Tuning

Tid = Literal["shared", "own", "listen"]

SHARED_PER_ADDRESS: Final = 4
"""Sockets for each local address: two would do for "not the same one twice"; four leave room for a
peer that has several transfers from one port."""

CROWDED: Final = 256
"""Transfers in one socket from which on another one is opened: their windows must fit into its
receive buffer, and batches are full with far fewer."""

LOCAL_ADDRESSES_MAX: Final = 64
"""Local addresses with sockets of their own.  The loopback network alone has 16 million, and a
client chooses which one it asks."""

STRANGERS_MAX: Final = 4096
"""Sockets of clients that were not known when they asked; with more they share.  Twice as many as may be
without an answer (limits.unanswered_max), so that no flood of forged requests takes all of them."""

PEERS_REMEMBERED_MAX: Final = 16384


@attrs.define
class _Pool:
    """The shared exchanges of one local address."""

    exchanges: list[Exchange] = attrs.field(factory=list)
    turn: int = 0


class Exchanges:
    """Opens, shares and closes exchanges."""

    def __init__(
        self,
        network: Network,
        nursery: trio.Nursery,
        observers: Observers,
        *,
        tid: Tid,
        port_range: tuple[int, int] | None,
        tuning: Tuning | None = None,
        may_answer: StrayJudge | None = None,
    ) -> None:
        self._network = network
        self.tuning = tuning
        self._nursery = nursery
        self._observers = observers
        self._tid: Tid = tid
        self._port_range = port_range
        self._may_answer = may_answer
        self._strangers_max = _strangers_max()
        self._pools: dict[tuple[int, LocalAddress | None], _Pool] = {}
        self._listening: dict[Endpoint, Exchange] = {}
        self._last: dict[bytes, Exchange] = {}
        self._begun: dict[Exchange, None] = {}
        """Exchanges in which something may wait for `flush`."""
        self._open_now: dict[Exchange, None] = {}
        self._closed = Counters()
        """What those had done that are closed."""
        self._ending: set[Exchange] = set()
        """Those that nobody else will get: they close when their transfers have ended."""

    def counters(self) -> Counters:
        """Return what all sockets that were ever opened here have done."""
        total = Counters()
        total.add(self._closed)
        for exchange in self._open_now:
            total.add(exchange.endpoint.counters)
        return total

    def add_listening(self, endpoint: Endpoint, exchange: Exchange) -> None:
        """Use the exchange of a listening endpoint (`tid = "listen"`)."""
        self._listening[endpoint] = exchange

    def take(self, config: Config) -> None:
        """Open sockets as configured from now on; those of before close with their transfers.

        `tid` "listen" cannot become another one, nor another one "listen".
        """
        tid, port_range = config.server.tid, config.server.port_range
        assert (tid == "listen") == (self._tid == "listen")
        if (tid, port_range) == (self._tid, self._port_range):
            return
        self._tid, self._port_range = tid, port_range
        for exchange in (each for pool in self._pools.values() for each in pool.exchanges):
            if exchange.borrowers:
                self._ending.add(exchange)
            else:
                self._close(exchange)
        self._pools.clear()
        self._last.clear()

    def borrow(self, admitted: Admitted, *, for_error: bool = False) -> Exchange:
        """Return a transfer's exchange; it is to be given back.  Raises OSError.

        `for_error`: no transfer comes of the request, so nothing will be sent there.
        """
        if self._tid == "listen":
            exchange = self._listening[admitted.endpoint]
        elif self._tid == "own":
            exchange = self._open_own(admitted)
        elif admitted.is_stranger and not for_error:
            exchange = self._open_for_stranger(admitted)
        else:
            exchange = self._share(admitted)
        exchange.borrowers += 1
        self._begun[exchange] = None
        return exchange

    def give_back(self, exchange: Exchange) -> None:
        """Take an exchange back that was borrowed."""
        exchange.borrowers -= 1
        if exchange in self._ending and not exchange.borrowers:
            self._ending.remove(exchange)
            exchange.flush()
            self._close(exchange)

    @contextmanager
    def lend(self, admitted: Admitted, *, for_error: bool = False) -> Iterator[Exchange]:
        """Give a transfer its exchange, for as long as it runs; see `borrow`.  Raises OSError."""
        exchange = self.borrow(admitted, for_error=for_error)
        try:
            yield exchange
        finally:
            self.give_back(exchange)

    def flush(self) -> None:
        """Send what transfers have queued at their beginning."""
        for exchange in self._begun:
            exchange.flush()
        self._begun.clear()

    def close(self) -> None:
        """Close every shared exchange."""
        for pool in self._pools.values():
            for exchange in pool.exchanges:
                self._close(exchange)
        self._pools.clear()

    def _open_own(self, admitted: Admitted) -> Exchange:
        exchange = self._open(admitted)
        self._ending.add(exchange)
        return exchange

    def _open_for_stranger(self, admitted: Admitted) -> Exchange:
        """Return an exchange whose port nobody can know but who gets what is sent from it.

        Else whoever has a transfer knows where the ACKs of all others go: it forges a request, and
        the ACKs to it, and a victim gets the whole file.
        """
        shared = None
        if self._port_range is not None and _pool_key(admitted) not in self._pools:
            shared = self._share(admitted)  # first, lest strangers have all of its ports
        if len(self._ending) < self._strangers_max:
            try:
                return self._open_own(admitted)
            except OSError:  # a short port_range, or no descriptors
                pass
        return shared or self._share(admitted)

    def _open(self, admitted: Admitted) -> Exchange:
        family, local = family_of(admitted.peer), _host_only(admitted.local)
        try:
            endpoint = self._network.open(family, local, self._port_range)
        except OSError:
            if local is None or self._port_range is not None:
                raise
            # An address that we cannot bind to, as with a transparent proxy: any will have to do.
            endpoint = self._network.open(family, None, self._port_range)
        exchange = Exchange(
            endpoint, self._observers, tuning=self.tuning, may_answer=self._may_answer
        )
        self._open_now[exchange] = None
        self._nursery.start_soon(exchange.run)
        return exchange

    def _close(self, exchange: Exchange) -> None:
        exchange.close()
        if exchange in self._open_now:
            del self._open_now[exchange]
            self._closed.add(exchange.endpoint.counters)

    def _share(self, admitted: Admitted) -> Exchange:
        key = _pool_key(admitted)
        pool = self._pools.get(key)
        if pool is None:
            self._make_room()
            pool = self._pools[key] = _Pool()
        last = self._last.get(admitted.peer)
        exchange = _free(pool, admitted.peer, last)
        crowded = exchange is None or len(exchange.members) >= CROWDED
        if crowded and len(pool.exchanges) < SHARED_PER_ADDRESS:
            try:
                exchange = self._open(admitted)
                pool.exchanges.append(exchange)
            except OSError:  # a short port_range, or no descriptors
                if not pool.exchanges:
                    raise
        if exchange is None:  # the same one twice is better than none
            exchange = _free(pool, admitted.peer, None)
        if exchange is None:  # the peer has a transfer in each: the oldest gives way
            exchange = pool.exchanges[pool.turn % len(pool.exchanges)]
            pool.turn += 1
        if len(self._last) >= PEERS_REMEMBERED_MAX:
            self._last.clear()
        self._last[admitted.peer] = exchange
        return exchange

    def _make_room(self) -> None:
        """Close the sockets of local addresses that nobody uses, if there are too many.

        All of them, so that a peak leaves none behind, and so that looking through them is rare;
        and forget who used them, which would keep them in memory.
        """
        if len(self._pools) < LOCAL_ADDRESSES_MAX:
            return
        closed: set[Exchange] = set()
        for key, pool in list(self._pools.items()):
            if not any(exchange.borrowers for exchange in pool.exchanges):
                for exchange in pool.exchanges:
                    self._close(exchange)
                closed.update(pool.exchanges)
                del self._pools[key]
        if closed:
            self._last = {
                peer: exchange for peer, exchange in self._last.items() if exchange not in closed
            }


def _free(pool: _Pool, peer: bytes, last: Exchange | None) -> Exchange | None:
    """Return the first exchange with room that the peer neither uses nor used last.

    Not each in turn: the more transfers share a socket, the fuller its batches are.  Where none has
    room, the one with the fewest.
    """
    free = [
        exchange
        for exchange in pool.exchanges
        if exchange is not last and peer not in exchange.members
    ]
    for exchange in free:
        if len(exchange.members) < CROWDED:
            return exchange
    return min(free, key=lambda exchange: len(exchange.members), default=None)


def _pool_key(admitted: Admitted) -> tuple[int, LocalAddress | None]:
    return family_of(admitted.peer), _host_only(admitted.local)


def _strangers_max() -> int:
    """Return how many sockets strangers may have at once: files must be opened, too."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return STRANGERS_MAX
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return STRANGERS_MAX if soft == resource.RLIM_INFINITY else min(STRANGERS_MAX, soft // 4)


def _host_only(local: LocalAddress | None) -> LocalAddress | None:
    """Return what sockets differ by: the interface counts for link-local addresses only."""
    if local is None or not local.packed:
        return None
    if len(local.packed) == 16 and local.packed[:1] == b"\xfe":
        return local
    return LocalAddress(local.packed)
