"""Datagrams that the kernel joined (UDP_GRO) where requests come in: each is still one of its own.

It joins what one peer sends in a row if all are of one size, but for the last, which may be shorter.
A request that the network doubled is such a case, and an ERROR or ACK with a request behind it.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from trio.testing import MockClock

from snowowl.observe.events import RequestDoubled, RequestMalformed, RequestReceived
from snowowl.protocol.outcome import OutcomeKind
from snowowl.testing.playbook import ack, data, error, oack
from snowowl.testing.simnetwork import SimNetwork
from tests.server.world import Tid, World, rrq, wrq


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.network = SimNetwork(coalesces=True)
    return world


@pytest.mark.parametrize("tid", ["shared", "own", "listen"])
async def test_a_request_that_was_doubled_begins_one_transfer(
    world: World, clock: MockClock, tid: Tid
) -> None:
    octets = world.file("file", bytes(300))
    async with world.serving(world.config(tid)):
        board = world.board()
        board.send(rrq("file", tsize=0))
        board.send(rrq("file", tsize=0))
        packet, source = await board.receive()
        assert packet == oack(tsize=300)
        assert await board.hears_nothing()  # it came twice before it was begun
        board.send(ack(0), source)
        assert await board.receive() == (data(1, octets), source)
        board.send(ack(1), source)
    assert world.outcomes() == [OutcomeKind.COMPLETED]
    assert len(world.told(RequestReceived)) == len(world.told(RequestDoubled)) == 1


@pytest.mark.parametrize("tid", ["shared", "listen"])
async def test_what_is_behind_a_request_is_looked_at(
    world: World, clock: MockClock, tid: Tid
) -> None:
    world.file("file", bytes(300))
    async with world.serving(world.config(tid)):
        board = world.board()
        board.send(rrq("file"))
        board.send(b"\0\x07noise")
        assert data(1, bytes(300)) in [(await board.receive())[0] for _ in range(2)]
    assert [event.reason for event in world.told(RequestMalformed)] == ["unknown opcode 7"]
    assert len(world.told(RequestReceived)) == 1


async def test_a_request_behind_the_error_that_ends_a_probe_is_served(
    world: World, clock: MockClock
) -> None:
    """UEFI probes for the size, breaks off and asks again: nothing may wait for its next try."""
    octets = world.file("file", bytes(300))
    async with world.serving(world.config("listen")):
        board = world.board()
        packet, source = await board.ask(rrq("file", tsize=0))
        assert packet == oack(tsize=300)
        board.send(error(8, "User aborted the transfer"), source)
        board.send(rrq("file"), source)
        assert await board.receive() == (data(1, octets), source)
        board.send(ack(1), source)
    assert world.outcomes() == [OutcomeKind.PROBED, OutcomeKind.COMPLETED]


async def test_a_request_behind_the_last_block_of_an_upload_is_served(
    world: World, clock: MockClock
) -> None:
    octets = world.file("file", bytes(300))
    async with world.serving(world.config("listen")):
        board = world.board()
        _, source = await board.ask(wrq("up"))
        board.send(data(1, bytes(100)), source)
        board.send(rrq("file"), source)
        heard = b"".join([(await board.receive())[0] for _ in range(2)])  # they may come joined
        assert heard in (ack(1) + data(1, octets), data(1, octets) + ack(1))
        board.send(ack(1), source)
    assert (world.root / "up").read_bytes() == bytes(100)
    assert world.outcomes() == [OutcomeKind.COMPLETED, OutcomeKind.COMPLETED]
