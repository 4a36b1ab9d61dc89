"""How long the transfers of a server get that takes no more requests."""

from __future__ import annotations

from typing import get_args

import attrs
import pytest
import trio
from trio.testing import MockClock

from snowowl import ClientOptions
from snowowl.config import LimitsConfig
from snowowl.observe.events import (
    Event,
    ReloadFailed,
    RequestReceived,
    ServerDraining,
    ServerReloaded,
)
from snowowl.protocol.outcome import OutcomeKind
from snowowl.testing.playbook import ack, data, error
from tests.server.world import Tid, World, rrq

TIDS: tuple[Tid, ...] = get_args(Tid)
TOLD = error(0, "server is shutting down")


@pytest.mark.parametrize("tid", TIDS)
async def test_retired_it_takes_no_requests_and_ends_with_its_transfers(
    world: World, clock: MockClock, tid: Tid
) -> None:
    """However long they take: a drain would have ended them."""
    octets = world.file("file", bytes(2000))
    async with world.serving(world.config(tid, drain_seconds=1.0)) as nursery:
        slow, late = world.board(2000), world.board(2001)
        packet, source = await slow.ask(rrq("file"))
        world.retire.set()
        await trio.sleep(0.01)
        assert await late.ask(rrq("file")) == (b"", b"")
        for number in range(1, 5):
            while packet[:4] != data(number):
                packet, _ = await slow.receive(10)
            assert packet == data(number, octets[number * 512 - 512 :][:512])
            await trio.sleep(3)  # and what is sent again meanwhile is passed over above
            slow.send(ack(number), source)
        with trio.fail_after(1):
            while nursery.child_tasks:
                await trio.sleep(0.01)
    assert world.outcomes() == [OutcomeKind.COMPLETED]
    assert world.told(ServerDraining) == [ServerDraining(1, 21_600.0)]


async def test_retired_without_transfers_it_ends_at_once(world: World, clock: MockClock) -> None:
    world.file("file", bytes(100))
    since = trio.current_time()
    async with world.serving() as nursery:
        await world.get("file")
        world.retire.set()
        while nursery.child_tasks:
            await trio.sleep(0.01)
    assert trio.current_time() - since < 1


@pytest.mark.parametrize("tid", TIDS)
async def test_retired_it_obeys_a_drain(world: World, clock: MockClock, tid: Tid) -> None:
    world.file("file", bytes(2000))
    async with world.serving(world.config(tid, drain_seconds=3.0)) as nursery:
        board = world.board()
        _, source = await board.ask(rrq("file"))
        board.send(ack(1), source)  # who never answers is given up soon
        world.retire.set()
        await trio.sleep(8)
        assert nursery.child_tasks
        world.drain.set()
        since = trio.current_time()
        while nursery.child_tasks:
            await trio.sleep(0.01)
        assert trio.current_time() - since == pytest.approx(3.0, abs=0.1)
    assert [event.seconds for event in world.told(ServerDraining)] == [21_600.0, 3.0]
    assert world.outcomes() == [OutcomeKind.STOPPED]


async def test_retired_it_waits_no_longer_than_a_transfer_may_take(
    world: World, clock: MockClock
) -> None:
    """For transfers that it was not told to limit: their time began before."""
    world.file("file", bytes(2000))
    config = attrs.evolve(world.config(), limits=LimitsConfig(transfer_seconds_max=5.0))
    since = trio.current_time()
    async with world.serving(config) as nursery:
        await world.board().ask(rrq("file"))
        world.retire.set()
        while nursery.child_tasks:
            await trio.sleep(0.01)
    assert trio.current_time() - since <= 6
    assert len(world.outcomes()) == 1


async def test_a_drain_takes_as_long_as_is_configured_now(world: World, clock: MockClock) -> None:
    world.file("file", bytes(2000))
    since = trio.current_time()
    async with world.serving(world.config(drain_seconds=1.0)):
        board = world.board()
        await board.ask(rrq("file"))
        await world.reload(world.config(drain_seconds=5.0))
        world.drain.set()
    assert trio.current_time() - since == pytest.approx(5.0, abs=0.2)


@pytest.mark.parametrize("how", ["drain", "retire"])
async def test_who_ends_takes_no_configuration(world: World, clock: MockClock, how: str) -> None:
    octets = world.file("file", bytes(50_000))
    got = []

    async def fetch() -> None:
        got.append(await world.get("file", ClientOptions(blksize=512, windowsize=1)))

    async with world.serving() as nursery:
        nursery.start_soon(fetch)
        await trio.sleep(0.05)
        (world.drain if how == "drain" else world.retire).set()
        await trio.sleep(0.01)
        assert not got
        with pytest.raises(trio.BrokenResourceError):
            await world.reload(world.config())
    assert got == [octets]
    assert not world.told(ServerReloaded)
    assert not world.told(ReloadFailed)


async def test_told_to_drain_while_a_root_is_opened_it_drains(
    world: World, clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dead disk keeps nobody waiting, and nothing is half taken."""

    async def dead_disk(*_: object, **__: object) -> None:
        await trio.sleep_forever()

    since = trio.current_time()
    async with world.serving() as nursery:
        monkeypatch.setattr(trio.to_thread, "run_sync", dead_disk)
        nursery.start_soon(world._reloads.send, world.config())
        await trio.sleep(1)
        world.drain.set()
    assert trio.current_time() - since == pytest.approx(1)
    assert not world.told(ServerReloaded)
    assert not world.told(ReloadFailed)


@pytest.mark.parametrize("tid", TIDS)
async def test_what_was_asked_before_the_drain_is_served(
    world: World, clock: MockClock, tid: Tid
) -> None:
    """Also if it was read in the same moment, and nobody has begun it."""
    octets = world.file("file", bytes(700))
    boards = [world.board(port) for port in range(2000, 2005)]
    async with world.serving(world.config(tid)):

        def end(event: Event) -> None:
            if isinstance(event, RequestReceived):
                world.drain.set()

        world.listeners.append(end)
        for board in boards:
            board.send(rrq("file"))
        for board in boards:
            packet, source = await board.receive()
            assert packet == data(1, octets[:512])
            assert (await board.ask(ack(1), source))[0] == data(2, octets[512:])
            board.send(ack(2), source)
    assert world.outcomes() == [OutcomeKind.COMPLETED] * 5


async def test_a_request_that_a_drain_took_from_the_listening_port_is_asked_for_again(
    world: World, clock: MockClock
) -> None:
    """With one port, what comes in is read for the transfers.  No ERROR: boards give up at one."""
    octets = world.file("file", bytes(3000))
    async with world.serving(world.config("listen", drain_seconds=2.0)):
        slow = world.board(2000)
        await slow.ask(rrq("file"))
        board = world.board(2001)
        world.drain.set()
        await trio.sleep(0.1)
        assert await board.ask(rrq("file", blksize=1000)) == (b"", b"")
    assert (await slow.receive(1))[0] != b""
    async with world.serving(world.config("listen")):
        packet, _ = await board.ask(rrq("file", blksize=1000))
        assert packet == b"\0\6blksize\x001000\0"
        assert await world.get("file") == octets
