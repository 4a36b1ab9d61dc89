"""A server in the test's own process, on real sockets whose system calls are watched, or spoilt.

For what cannot be seen from outside: which calls are made, with how much in each, and what becomes
of transfers when one fails.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import attrs
import pytest
import trio

import snowowl
from snowowl import ClientOptions
from snowowl.config import Config, ServerConfig, WriteConfig
from snowowl.config.environment import Change
from snowowl.config.overlay import override
from snowowl.datagram.address import SocketAddress
from snowowl.datagram.calls import Calls
from snowowl.datagram.endpoint import SocketEndpoint
from snowowl.datagram.interface import LocalAddress
from snowowl.datagram.system import SystemNetwork
from snowowl.observe.events import Event, InternalError, RequestReceived, TransferFinished
from snowowl.protocol.initiate import ReadInitiator
from snowowl.protocol.outcome import OutcomeKind
from snowowl.server.datapath import settings_of

SECONDS: Final = 20.0
"""A test that takes longer hangs."""

Kind = TypeVar("Kind")
Spoil = Callable[[Calls], Calls]


def configure(root: Path, **keys: object) -> Config:
    """Return a configuration; `keys` are those of `[performance]`, with `__` for a dot."""
    config = Config(
        server=ServerConfig(root=root, listen=("127.0.0.1:0",), drain_seconds=5.0),
        write=WriteConfig(enabled=True),
    )
    changes = [
        Change(f"performance.{key.replace('__', '.')}", value, "test")
        for key, value in keys.items()
    ]
    return override(config, changes)


@attrs.frozen
class Call:
    """One system call."""

    name: str
    count: int
    """Messages that there was room for, or that were to be sent."""
    flags: int
    result: int


class Watched(SystemNetwork):
    """The system's network, of which each call and each socket is noted."""

    def __init__(self, config: Config, spoil: Spoil | None = None) -> None:
        super().__init__(settings_of(config), shares_slots=True)
        self.calls: list[Call] = []
        self.endpoints: list[SocketEndpoint] = []
        self.listening: list[SocketEndpoint] = []
        self.options: dict[tuple[int, int], list[int]] = {}
        """What `look_at` names, of each socket when it was opened."""
        self.open_errors = 0
        """So many times from now on, no socket can be opened for a transfer."""
        calls = self.capabilities.calls
        if calls is not None:
            calls = self._watch(calls if spoil is None else spoil(calls))
            self.capabilities = attrs.evolve(self.capabilities, calls=calls)

    def adopt(self, sock: socket.socket) -> SocketEndpoint:
        endpoint = self._note(super().adopt(sock))
        self.listening.append(endpoint)
        return endpoint

    def open(
        self, family: int, local: LocalAddress | None, port_range: tuple[int, int] | None
    ) -> SocketEndpoint:
        if self.open_errors:
            self.open_errors -= 1
            raise OSError(errno.ENOMEM, "on purpose")
        return self._note(super().open(family, local, port_range))

    def look_at(self, level: int, option: int) -> None:
        """Note a socket option of each socket that is opened from now on."""
        self.options[level, option] = []

    def of(self, *names: str) -> list[Call]:
        """Return the calls of these names that did something."""
        return [call for call in self.calls if call.name in names and call.result > 0]

    def total(self, counter: str) -> int:
        """Return a counter's sum over all endpoints."""
        return sum(int(getattr(endpoint.counters, counter)) for endpoint in self.endpoints)

    def _note(self, endpoint: SocketEndpoint) -> SocketEndpoint:
        self.endpoints.append(endpoint)
        for (level, option), found in self.options.items():
            found.append(endpoint._socket.getsockopt(level, option))
        return endpoint

    def _watch(self, calls: Calls) -> Calls:
        def many(
            name: str, call: Callable[[int, int, int, int], int]
        ) -> Callable[[int, int, int, int], int]:
            def watched(fd: int, headers: int, count: int, flags: int) -> int:
                result = call(fd, headers, count, flags)
                self.calls.append(Call(name, count, flags, result))
                return result

            return watched

        def one(name: str, call: Callable[[int, int, int], int]) -> Callable[[int, int, int], int]:
            def watched(fd: int, header: int, flags: int) -> int:
                result = call(fd, header, flags)
                self.calls.append(Call(name, 1, flags, result))
                return result

            return watched

        return Calls(
            many("recvmmsg", calls.recvmmsg),
            many("sendmmsg", calls.sendmmsg),
            one("recvmsg", calls.recvmsg),
            one("sendmsg", calls.sendmsg),
        )


@attrs.define
class Inside:
    """A running server, seen from inside."""

    network: Watched
    events: list[Event] = attrs.field(factory=list)
    address: SocketAddress = ("", 0)

    def told(self, kind: type[Kind]) -> list[Kind]:
        """Return the events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def outcomes(self) -> list[OutcomeKind]:
        """Return how the transfers ended, in that order."""
        return [event.outcome.kind for event in self.told(TransferFinished)]

    async def get(self, name: str, options: ClientOptions | None = None) -> bytes:
        """Fetch a file with the real client."""
        got = await snowowl.get(self._url(name), options=options)
        assert got.octets is not None
        return got.octets

    async def put(self, octets: bytes, name: str, options: ClientOptions | None = None) -> None:
        """Upload octets with the real client."""
        await snowowl.put(octets, self._url(name), options=options)

    async def settled(self, count: int) -> None:
        """Wait until so many transfers have ended."""
        while len(self.told(TransferFinished)) < count:
            await trio.sleep(0.001)

    def _url(self, name: str) -> str:
        return f"tftp://{self.address[0]}:{self.address[1]}/{name}"


@asynccontextmanager
async def serving(
    config: Config, spoil: Spoil | None = None, *, bugs: int = 0, look_at: Iterable[int] = ()
) -> AsyncIterator[Inside]:
    """Run a server until the block ends; each request has ended once by then, without a bug.

    `look_at` are options of SOL_SOCKET to note.
    """
    network = Watched(config, spoil)
    for option in look_at:
        network.look_at(socket.SOL_SOCKET, option)
    inside = Inside(network)
    with trio.fail_after(SECONDS), pytest.MonkeyPatch.context() as patch:
        # A client waits for a while whether its last ACK was lost; nobody here loses it.
        patch.setattr(ReadInitiator, "_dally_seconds", lambda _: 0.001)
        async with trio.open_nursery() as nursery:
            addresses: list[str] = await nursery.start(
                partial(snowowl.serve, config, observers=[inside.events.append], network=network)
            )
            host, _, port = addresses[0].rpartition(":")
            inside.address = (host, int(port))
            yield inside
            nursery.cancel_scope.cancel()
    network.close()
    assert len(inside.told(RequestReceived)) == len(inside.told(TransferFinished))
    assert len(inside.told(InternalError)) == bugs, inside.told(InternalError)
    assert all(endpoint._socket.fileno() == -1 for endpoint in network.endpoints)
