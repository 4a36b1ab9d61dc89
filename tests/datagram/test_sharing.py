"""One set of slots for all sockets of a server: what was received is used before the next receive.

Here it is spoilt as soon as any socket receives again, in a server and in clients that run whole
transfers; whoever held on to it would send or store rubbish.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import attrs
import pytest
import trio

import snowowl
from snowowl.client import ClientOptions, get, put
from snowowl.config import Config, ServerConfig, WriteConfig
from snowowl.datagram.interface import LocalAddress, Received
from snowowl.datagram.layouts import MessageLayout
from snowowl.datagram.settings import Settings
from snowowl.datagram.slots import Slots
from snowowl.datagram.system import SystemNetwork
from snowowl.observe.events import Event, InternalError
from tests.datagram.loopback import RUNGS
from tests.server.world import Tid

pytestmark = pytest.mark.real

RUBBISH: Final = 0xEE
SECONDS: Final = 20.0
WAYS: Final = [
    ClientOptions(blksize=512, windowsize=None, tsize=False),
    ClientOptions(blksize=1428, windowsize=16),
    ClientOptions(blksize=8, windowsize=64),
    ClientOptions(blksize=8192, windowsize=4),
]


class Spoilt(Slots):
    """Spoils what it has handed out before anything else is received."""

    spoils = 0

    def __init__(self, layout: MessageLayout, count: int) -> None:
        super().__init__(layout, count)
        self._handed_out = 0

    def prepare(self) -> int:
        for received in self._received[: self._handed_out]:
            octets = memoryview(received.data)
            octets[:] = bytes([RUBBISH]) * len(octets)
            received.data = bytes([RUBBISH]) * len(octets)
            received.peer = bytes([RUBBISH]) * len(received.peer)
            received.local = LocalAddress(bytes([RUBBISH]) * 4)
            received.stride, received.word = 1, RUBBISH
            Spoilt.spoils += 1
        self._handed_out = 0
        return super().prepare()

    def take(self, count: int, name_size: int) -> list[Received]:
        self._handed_out = count
        return super().take(count, name_size)


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Iterator[SystemNetwork]:
    monkeypatch.setattr("snowowl.datagram.system.Slots", Spoilt)
    network = SystemNetwork(attrs.evolve(settings, batch_max=4), shares_slots=True)
    yield network
    network.close()


@pytest.mark.parametrize("tid", ["shared", "own", "listen"])
@pytest.mark.parametrize("settings", [RUNGS["gso"], RUNGS["gso without recvmmsg"]])
async def test_nobody_holds_on_to_what_was_received(
    tmp_path: Path, network: SystemNetwork, settings: Settings, tid: Tid
) -> None:
    octets = random.Random(5).randbytes(20_000)
    (tmp_path / "file").write_bytes(octets)
    config = Config(
        server=ServerConfig(root=tmp_path, listen=("127.0.0.1:0",), tid=tid),
        write=WriteConfig(enabled=True, create=True),
    )
    complaints: list[InternalError] = []

    def observe(event: Event) -> None:
        if isinstance(event, InternalError):
            complaints.append(event)

    async def fetch(url: str, options: ClientOptions) -> None:
        received = await get(f"{url}/file", options=options, network=SystemNetwork(settings))
        assert received.octets == octets

    async def store(url: str, options: ClientOptions, number: int) -> None:
        await put(octets, f"{url}/stored{number}", options=options, network=SystemNetwork(settings))

    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            serve = partial(snowowl.serve, config, observers=[observe], network=network)
            (where,) = await nursery.start(serve)
            async with trio.open_nursery() as clients:
                for number, options in enumerate(WAYS):
                    clients.start_soon(fetch, f"tftp://{where}", options)
                    clients.start_soon(store, f"tftp://{where}", options, number)
            nursery.cancel_scope.cancel()
    for number in range(len(WAYS)):
        assert (tmp_path / f"stored{number}").read_bytes() == octets
    assert complaints == []
    assert Spoilt.spoils > 100
