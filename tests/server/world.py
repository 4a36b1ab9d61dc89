"""A server, its root, its network and what it said: the stage of the tests in this folder."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal, TypeVar

import trio
from trio.testing import MockClock

import snowowl
from snowowl.config import (
    AccessConfig,
    Config,
    LimitsConfig,
    ProtocolConfig,
    ServerConfig,
    WriteConfig,
)
from snowowl.datagram.interface import Packet
from snowowl.observe.events import (
    Event,
    InternalError,
    ReloadFailed,
    RequestReceived,
    ServerReloaded,
    ServerStarted,
    ServerStopped,
    TransferFinished,
    TransferStarted,
)
from snowowl.observe.metrics import Metrics
from snowowl.observe.observers import Observer
from snowowl.protocol.outcome import OutcomeKind
from snowowl.testing.simnetwork import SimEndpoint, SimNetwork, socket_address
from snowowl.wire.codec import encode
from snowowl.wire.packets import ReadRequest, WriteRequest

Tid = Literal["shared", "own", "listen"]

SERVER = "192.0.2.1"
SERVER_V6 = "2001:db8::1"
LISTENING = socket_address(SERVER, 69)

_Kind = TypeVar("_Kind")


def rrq(name: str, **options: int) -> bytes:
    """Return an RRQ."""
    return encode(ReadRequest(name.encode(), options=_options(options)))


def wrq(name: str, **options: int) -> bytes:
    """Return a WRQ."""
    return encode(WriteRequest(name.encode(), options=_options(options)))


def _options(options: dict[str, int]) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((name.encode(), b"%d" % value) for name, value in options.items())


class Board:
    """A client that is played by hand."""

    def __init__(self, endpoint: SimEndpoint, server: bytes) -> None:
        self.endpoint = endpoint
        self._server = server
        self._inbox: deque[tuple[bytes, bytes]] = deque()

    def send(self, octets: bytes, to: bytes | None = None) -> None:
        """Send a datagram, to the listening port if nothing else is said."""
        self.endpoint.send([Packet(to or self._server, octets)])

    async def receive(self, seconds: float = 0.05) -> tuple[bytes, bytes]:
        """Return the next datagram and where it came from; nothing (twice b"") if none comes."""
        with trio.move_on_after(seconds):
            while not self._inbox:
                await self.endpoint.wait_readable()
                for received in self.endpoint.receive():
                    self._inbox.append((bytes(received.data), received.peer))
        return self._inbox.popleft() if self._inbox else (b"", b"")

    async def ask(self, octets: bytes, to: bytes | None = None) -> tuple[bytes, bytes]:
        """Send a datagram and return the next one that comes."""
        self.send(octets, to)
        return await self.receive()

    async def hears_nothing(self, seconds: float = 0.05) -> bool:
        """Say whether nothing comes in that time."""
        return await self.receive(seconds) == (b"", b"")


class World:
    """Everything that a test of the server touches."""

    def __init__(self, tmp_path: Path) -> None:
        self.root = tmp_path / "root"
        self.root.mkdir()
        self.network = SimNetwork()
        self.events: list[Event] = []
        self.listeners: list[Observer] = [self.events.append]
        """Observers that can be added while a server runs."""
        self.metrics: Metrics | None = None
        self.bugs_expected = 0
        self.drain = trio.Event()
        self.retire = trio.Event()
        self.unchangeable: list[str] = []
        """Keys that a reload is told cannot change."""
        self._boards: list[SimEndpoint] = []

    def config(
        self,
        tid: Tid = "shared",
        *,
        transfers_max: int = 10_000,
        drain_seconds: float = 10.0,
        port_range: tuple[int, int] | None = None,
        listen: tuple[str, ...] = ("*:69",),
        protocol: ProtocolConfig | None = None,
        overwrite: bool = False,
        size_max: int = 1 << 30,
        limits: LimitsConfig | None = None,
        access: AccessConfig | None = None,
    ) -> Config:
        """Return a configuration with uploads."""
        return Config(
            server=ServerConfig(
                root=self.root,
                listen=listen,
                tid=tid,
                port_range=port_range,
                drain_seconds=drain_seconds,
            ),
            protocol=protocol or ProtocolConfig(),
            write=WriteConfig(enabled=True, overwrite=overwrite, size_max=size_max),
            limits=limits or LimitsConfig(transfers_max=transfers_max),
            access=access or AccessConfig(),
        )

    def file(self, name: str, octets: bytes) -> bytes:
        """Make a file beneath the root; return its octets."""
        (self.root / name).write_bytes(octets)
        return octets

    def board(self, port: int = 2000, host: str = "192.0.2.9", server: str = "") -> Board:
        """Return a client at an address of its own."""
        endpoint = self.network.bind(host, port)
        self._boards.append(endpoint)
        server = server or (SERVER_V6 if ":" in host else SERVER)
        return Board(endpoint, socket_address(server, 69))

    @asynccontextmanager
    async def serving(
        self, config: Config | None = None, *observers: Observer
    ) -> AsyncIterator[trio.Nursery]:
        """Run a server; drain it at the end, or earlier by `drain`; give its nursery.

        The nursery's cancel scope stops the server at once.
        """
        clock = trio.lowlevel.current_clock()
        assert isinstance(clock, MockClock), "the test must ask for the fixture `clock`"
        self.drain, self.retire = trio.Event(), trio.Event()
        self._reloads, receive = trio.open_memory_channel[Config](0)
        async with trio.open_nursery() as nursery:
            await nursery.start(self._serve, config or self.config(), receive, observers)
            try:
                yield nursery
            finally:
                self.drain.set()

    async def _serve(
        self,
        config: Config,
        reloads: trio.MemoryReceiveChannel[Config],
        observers: tuple[Observer, ...],
        task_status: trio.TaskStatus[object] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        await snowowl.serve(
            config,
            observers=[self._tell, *observers],
            network=self.network,
            drain=self.drain,
            retire=self.retire,
            reloads=reloads,
            unchangeable=lambda _: self.unchangeable,
            metrics=self.metrics,
            task_status=task_status,
        )

    async def reload(self, config: Config) -> ServerReloaded | ReloadFailed:
        """Have the server take another configuration; return what it says of it."""
        before = len(self.events)
        await self._reloads.send(config)
        await trio.testing.wait_all_tasks_blocked()
        (told,) = [
            event
            for event in self.events[before:]
            if isinstance(event, ServerReloaded | ReloadFailed)
        ]
        return told

    def _tell(self, event: Event) -> None:
        for listener in self.listeners:
            listener(event)

    async def get(
        self, name: str, options: snowowl.ClientOptions | None = None, *, host: str = SERVER
    ) -> bytes:
        """Fetch a file with the real client."""
        url = f"tftp://{f'[{host}]' if ':' in host else host}/{name}"
        octets = (await snowowl.get(url, options=options, network=self.network)).octets
        assert octets is not None
        return octets

    async def put(
        self, octets: bytes, name: str, options: snowowl.ClientOptions | None = None
    ) -> None:
        """Upload octets with the real client."""
        url = f"tftp://{SERVER}/{name}"
        await snowowl.put(octets, url, options=options, network=self.network)

    def told(self, kind: type[_Kind]) -> list[_Kind]:
        """Return the events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def outcomes(self) -> list[OutcomeKind]:
        """Return how the transfers ended, in that order."""
        return [finished.outcome.kind for finished in self.told(TransferFinished)]

    def sent_by_server(self, to: bytes | None = None) -> list[bytes]:
        """Return all datagrams from the server's hosts, those to one address if one is given."""
        hosts = (socket_address(SERVER, 0)[4:8], socket_address(SERVER_V6, 0)[8:24])
        return [
            datagram.octets
            for datagram in self.network.datagrams
            if (datagram.source[4:8] == hosts[0] or datagram.source[8:24] == hosts[1])
            and to in (None, datagram.target)
        ]

    def _when_started(self, number: int) -> int:
        return [event.number for event in self.told(TransferStarted)].index(number)

    def check(self) -> None:
        """Assert that nothing is left, and that what was said adds up."""
        assert list(self.network.endpoints.values()) == self._boards
        assert not list(self.root.rglob(".snowowl-*"))
        finished = self.told(TransferFinished)
        assert sorted(event.number for event in self.told(RequestReceived)) == sorted(
            event.number for event in finished
        )
        assert [event.number for event in self.told(TransferStarted)] == sorted(
            (event.number for event in finished if event.started), key=self._when_started
        )
        assert len(self.told(ServerStarted)) == len(self.told(ServerStopped))
        bugs = self.told(InternalError)
        assert len(bugs) == self.bugs_expected, bugs


def finished(world: World) -> TransferFinished:
    """Return the only transfer that has finished."""
    (event,) = world.told(TransferFinished)
    return event
