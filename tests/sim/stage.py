"""The real server on a simulated machine, through restarts and reloads, and its books.

Reloads go as the supervisor of `snowowl serve` has them: the listening socket stays, the next server
waits at it until the one before takes no more requests, and that one drains beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import attrs
import trio

import snowowl
from snowowl.config import Config, parse_listen
from snowowl.datagram.capabilities import Capabilities
from snowowl.datagram.interface import Endpoint, LocalAddress, Received, Transmit, Unsent
from snowowl.observe.events import (
    LATER,
    Event,
    InternalError,
    RequestDoubled,
    RequestMalformed,
    RequestReceived,
    RequestsRefused,
    ServerDraining,
    ServerStarted,
    ServerStopped,
    TransferFinished,
)
from snowowl.server.acceptor import Acceptor
from snowowl.testing.simendpoint import SimEndpoint
from snowowl.testing.simhost import SimHost

Turn = Literal["drain", "stop", "reload"]


class Held:
    """A listening socket that outlives the server which reads it, and is read in turn."""

    def __init__(self, endpoint: SimEndpoint, go: trio.Event) -> None:
        self.counters = endpoint.counters
        self.address = endpoint.address
        self._endpoint = endpoint
        self._go = go

    def receive(self) -> Sequence[Received]:
        """Return what has arrived."""
        return self._endpoint.receive()

    def send(self, transmits: Sequence[Transmit]) -> Unsent | None:
        """Send all."""
        return self._endpoint.send(transmits)

    def take_unreachable(self) -> Sequence[bytes]:
        """Return the peers whose port is closed."""
        return self._endpoint.take_unreachable()

    def dropped(self) -> int:
        """Return how many datagrams were dropped."""
        return self._endpoint.dropped()

    async def wait_readable(self) -> None:
        """Wait for the turn, then for datagrams."""
        await self._go.wait()
        await self._endpoint.wait_readable()

    async def wait_writable(self) -> None:
        """Wait until something can be sent."""
        await self._endpoint.wait_writable()

    def close(self) -> None:
        """Leave it open."""


class HeldNetwork:
    """A machine's network with listening sockets that stay."""

    def __init__(self, host: SimHost, go: trio.Event, held: dict[str, SimEndpoint]) -> None:
        self.capabilities: Capabilities | None = None
        self.lowered: Callable[[str], None] = lambda _: None
        self._host = host
        self._go = go
        self._held = held

    def listen(self, host: str, port: int) -> Held:
        """Return a socket that stays.  Raises OSError."""
        key = f"{host}:{port}"
        if key not in self._held:
            self._held[key] = self._host.listen(host, port)
        return Held(self._held[key], self._go)

    def open(
        self, family: int, local: LocalAddress | None, port_range: tuple[int, int] | None
    ) -> Endpoint:
        """Open a socket of the server's own.  Raises OSError."""
        return self._host.open(family, local, port_range)

    def mtu(self, local: LocalAddress | None) -> int:
        """Return the MTU."""
        return self._host.mtu(local)


@attrs.define
class Books:
    """What the server said, counted, and what it was given."""

    handed: int = 0
    """Datagrams that were handed to acceptors which take requests."""
    after_drain: int = 0
    """Those that came when no more were taken (`tid = "listen"`)."""
    admitted: int = 0
    finished: int = 0
    malformed: int = 0
    doubled: int = 0
    refused: int = 0
    started: int = 0
    stopped: int = 0
    octets: int = 0
    retransmitted: int = 0
    outcomes: Counter[str] = attrs.field(factory=Counter)
    bugs: list[str] = attrs.field(factory=list)

    def note(self, event: Event) -> None:
        """Take in an event."""
        match event:
            case RequestReceived():
                self.admitted += 1
            case TransferFinished():
                self.finished += 1
                self.octets += event.octets
                self.retransmitted += event.retransmitted
                self.outcomes[event.outcome.kind.value] += 1
            case RequestMalformed():
                self.malformed += 1
            case RequestDoubled():
                self.doubled += 1
            case RequestsRefused(refusal, count) if refusal not in LATER:
                self.refused += count
            case InternalError(_, traceback):
                self.bugs.append(traceback)
            case ServerStarted():
                self.started += 1
            case ServerStopped():
                self.stopped += 1

    def problems(self) -> list[str]:
        """Return what does not add up."""
        told = self.admitted + self.malformed + self.doubled + self.refused
        found = [f"internal error: {bug}" for bug in self.bugs]
        if told != self.handed:
            found.append(f"{self.handed} datagrams came, {told} were accounted for: {self}")
        if self.admitted != self.finished:
            found.append(f"{self.admitted} requests were admitted, {self.finished} ended: {self}")
        if self.started != self.stopped:
            found.append(f"{self.started} servers started, {self.stopped} stopped")
        return found

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Count what acceptors are handed, meanwhile."""
        original = Acceptor.accept

        def accept(acceptor: Acceptor, batch: Sequence[Received]) -> None:
            count = sum(max(1, -(-len(one.data) // one.stride)) for one in batch)
            if acceptor.closed:
                self.after_drain += count
            else:
                self.handed += count
            original(acceptor, batch)

        setattr(Acceptor, "accept", accept)  # noqa: B010 - a method, to mypy
        try:
            yield
        finally:
            setattr(Acceptor, "accept", original)  # noqa: B010 - as above


class Stage:
    """Runs servers one after another."""

    def __init__(self, host: SimHost, config: Config, books: Books) -> None:
        self.books = books
        self.turns: Counter[str] = Counter()
        self.listeners: list[Callable[[Event], None]] = []
        """Observers that can be added while a server runs."""
        self._host = host
        self._config = config
        self._held: dict[str, SimEndpoint] = {}
        self._nursery: trio.Nursery | None = None
        self._life: _Life | None = None
        self._lives: list[_Life] = []

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; a drain or a restart is asked for by `turn`."""
        try:
            async with trio.open_nursery() as self._nursery:
                await self._begin(now=True)
                task_status.started()
                await trio.sleep_forever()
        finally:
            self._close_held()

    async def turn(self, kind: Turn, pause: float) -> None:
        """Drain, or stop, and start anew after a pause; or reload without one."""
        life = self._life
        assert life is not None
        self.turns[kind] += 1
        if kind == "reload" and self._config.server.tid != "listen":
            await self._begin(now=False)
            life.drain.set()
            await life.draining.wait()
            assert self._life is not None
            self._life.go.set()
            return
        if kind == "stop":
            life.scope.cancel()
        else:
            life.drain.set()
        await life.stopped.wait()
        self._close_held()
        await trio.sleep(pause)
        await self._begin(now=True)

    async def end(self) -> None:
        """Drain what serves, or drains already."""
        for life in self._lives:
            life.drain.set()
        for life in self._lives:
            await life.stopped.wait()

    async def _begin(self, *, now: bool) -> None:
        assert self._nursery is not None
        life = _Life()
        if now:
            life.go.set()
        await self._nursery.start(self._serve, life)
        self._life = life
        self._lives = [one for one in self._lives if not one.stopped.is_set()] + [life]

    async def _serve(self, life: _Life, task_status: trio.TaskStatus[object]) -> None:
        def tell(event: Event) -> None:
            self.books.note(event)
            for listener in self.listeners:
                listener(event)
            if isinstance(event, ServerDraining):
                life.draining.set()

        network = HeldNetwork(self._host, life.go, self._held)
        try:
            with life.scope:
                await snowowl.serve(
                    self._config,
                    observers=[tell],
                    network=network,
                    drain=life.drain,
                    task_status=task_status,
                )
        finally:
            life.draining.set()
            life.stopped.set()

    def _close_held(self) -> None:
        for endpoint in self._held.values():
            endpoint.close()
        self._held.clear()


@attrs.define(eq=False)
class _Life:
    """One server, from its start to its end."""

    go: trio.Event = attrs.field(factory=trio.Event)
    drain: trio.Event = attrs.field(factory=trio.Event)
    draining: trio.Event = attrs.field(factory=trio.Event)
    stopped: trio.Event = attrs.field(factory=trio.Event)
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)


def listening(families: str) -> tuple[str, ...]:
    """Return what to listen on for `4`, `6` or `46`; checked as configuration is."""
    texts = {"4": ("0.0.0.0:69",), "6": ("[::]:69",), "46": ("*:69",)}[families]
    for text in texts:
        parse_listen(text)
    return texts
