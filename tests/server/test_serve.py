"""The whole server and the whole client on a simulated network, in virtual time."""

from __future__ import annotations

import errno
import random
from collections.abc import Sequence
from functools import partial
from typing import get_args

import pytest
import trio
from trio.testing import MockClock

from snowowl import ClientOptions, ListenError, RootError, serve
from snowowl.content.sink import Sink
from snowowl.content.store import Store
from snowowl.datagram import address
from snowowl.observe.events import Event, RequestReceived, ServerDraining, TransferFinished
from snowowl.protocol.outcome import OutcomeKind
from snowowl.testing.link import Datagram, Link
from snowowl.testing.playbook import ack, data, error
from snowowl.testing.simnetwork import HOSTS, SimNetwork
from tests.server.world import SERVER_V6, Tid, World, rrq, wrq

TIDS: tuple[Tid, ...] = get_args(Tid)
BAD = Link(loss=0.05, duplication=0.05, reordering=0.1, delay_seconds=0.005, late_seconds=0.01)
SIZES = (0, 1, 511, 512, 513, 1467, 1468, 1469, 20_000, 100_000)
OPTIONS = (
    ClientOptions.none(),
    ClientOptions(windowsize=1),
    ClientOptions(),
    ClientOptions(blksize=512, windowsize=4),
)
HARMLESS = {
    OutcomeKind.COMPLETED,
    OutcomeKind.UNCONFIRMED,
    OutcomeKind.SUPERSEDED,
    OutcomeKind.STOPPED,
    OutcomeKind.PROBED,
    OutcomeKind.ABORTED,
}


@pytest.mark.parametrize("tid", TIDS)
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_every_file_arrives_whole_over_a_bad_link(
    world: World, clock: MockClock, tid: Tid, seed: int
) -> None:
    world.network = SimNetwork(seed, BAD, coalesces=seed == 2)
    draws = random.Random(seed)
    files = {f"file{number}": draws.randbytes(size) for number, size in enumerate(SIZES)}
    for name, octets in files.items():
        world.file(name, octets)
    got: dict[str, bytes] = {}

    def refuse(datagram: Datagram) -> int | None:
        return errno.EAGAIN if draws.random() < 0.02 else None

    if seed == 3:
        world.network.refuse_send = refuse

    async def fetch(name: str, options: ClientOptions) -> None:
        got[f"{name} {OPTIONS.index(options)}"] = await world.get(name, options)

    async with world.serving(world.config(tid)), trio.open_nursery() as clients:
        for name, octets in files.items():
            for number, options in enumerate(OPTIONS):
                clients.start_soon(fetch, name, options)
                clients.start_soon(world.put, octets, f"up {name} {number}", options)
    for name, octets in files.items():
        for number in range(len(OPTIONS)):
            assert got[f"{name} {number}"] == octets
            assert (world.root / f"up {name} {number}").read_bytes() == octets
    # A late double of a request begins a transfer of its own, which nobody answers.
    outcomes = world.outcomes()
    assert outcomes.count(OutcomeKind.COMPLETED) >= 2 * len(SIZES) * len(OPTIONS) - 4
    for event in world.told(TransferFinished):
        assert event.outcome.kind in HARMLESS, event


async def test_ipv6_and_ipv4_are_served_from_the_address_that_was_asked(
    world: World, clock: MockClock
) -> None:
    octets = world.file("file", bytes(5000))
    async with world.serving():
        assert await world.get("file", host=SERVER_V6) == octets
        assert await world.get("file", host="192.0.2.7") == octets
    servers = {address.host_text(d.source) for d in world.network.datagrams}
    assert servers == {SERVER_V6, "192.0.2.7", *HOSTS.values()}


@pytest.mark.parametrize("tid", TIDS)
async def test_draining_finishes_what_runs_and_takes_nothing_new(
    world: World, clock: MockClock, tid: Tid
) -> None:
    octets = world.file("file", bytes(200_000))
    got = []

    async def fetch() -> None:
        got.append(await world.get("file", ClientOptions(windowsize=1)))

    async with world.serving(world.config(tid)), trio.open_nursery() as clients:
        clients.start_soon(fetch)
        await trio.sleep(0.05)
        world.drain.set()
        await trio.sleep(0.01)
        board = world.board()
        assert await board.ask(rrq("file")) == (b"", b"")
    assert got == [octets]
    assert world.outcomes() == [OutcomeKind.COMPLETED]
    assert [event.active for event in world.told(ServerDraining)] == [1]


@pytest.mark.parametrize("tid", TIDS)
async def test_after_drain_seconds_the_rest_is_told_by_error_0(
    world: World, clock: MockClock, tid: Tid
) -> None:
    world.file("file", bytes(2000))
    start = trio.current_time()
    async with world.serving(world.config(tid, drain_seconds=3.0)):
        board = world.board()
        reader = (await board.ask(rrq("file")))[1]
        other = world.board(2001)
        await other.ask(wrq("up"))
        world.drain.set()
    assert trio.current_time() - start == pytest.approx(3.0, abs=0.1)
    packets = [(await board.receive())[0] for _ in range(4)]
    assert error(0, "shutting down") in packets
    packets = [(await other.receive())[0] for _ in range(4)]
    assert error(0, "shutting down") in packets
    assert world.outcomes() == [OutcomeKind.STOPPED, OutcomeKind.STOPPED]
    board.send(ack(1), reader)
    assert await board.hears_nothing(1.0)
    assert not (world.root / "up").exists()


@pytest.mark.parametrize("tid", TIDS)
async def test_a_server_that_is_cancelled_tells_its_peers(
    world: World, clock: MockClock, tid: Tid
) -> None:
    world.file("file", bytes(2000))
    async with world.serving(world.config(tid)) as nursery:
        board = world.board()
        await board.ask(rrq("file"))
        other = world.board(2001)
        _, writer = await other.ask(wrq("up"))
        await other.ask(data(1, bytes(512)), writer)
        nursery.cancel_scope.cancel()
    assert (await board.receive())[0] == error(0, "shutting down")
    assert (await other.receive())[0] == error(0, "shutting down")
    assert world.outcomes() == [OutcomeKind.STOPPED, OutcomeKind.STOPPED]
    assert [path.name for path in world.root.iterdir()] == ["file"]


async def test_requests_that_nobody_came_for_are_told_and_counted(
    world: World, clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled right after they were admitted: their tasks have not begun, or not opened a file."""
    monkeypatch.setattr(Store, "open_now", lambda *_, **__: None)
    world.file("file", bytes(2000))
    boards = [world.board(port) for port in range(2000, 2003)]
    async with world.serving() as nursery:

        def stop(event: Event) -> None:
            if isinstance(event, RequestReceived):
                nursery.cancel_scope.cancel()

        world.listeners.append(stop)
        for board in boards:
            board.send(rrq("file"))
        await trio.sleep(1)
    assert world.outcomes() == [OutcomeKind.STOPPED] * 3
    for board in boards:
        assert (await board.receive())[0] == error(0, "shutting down")


async def test_requests_that_were_still_queued_are_told_and_counted(
    world: World, clock: MockClock
) -> None:
    world.file("file", bytes(2000))
    listen = tuple(f"192.0.2.{number}:69" for number in range(1, 5))
    boards = [world.board(port, server=f"192.0.2.{port % 2000 + 1}") for port in range(2000, 2004)]
    async with world.serving(world.config(listen=listen)) as nursery:

        def stop(event: Event) -> None:
            if len(world.told(RequestReceived)) == 3:
                nursery.cancel_scope.cancel()

        world.listeners.append(stop)
        for board in boards:
            board.send(rrq("file"))
        await trio.sleep(1)
    heard = 0
    for board in boards:
        while (packet := (await board.receive())[0]) != b"":
            heard += packet == error(0, "shutting down")
    assert world.outcomes() == [OutcomeKind.STOPPED] * heard
    assert heard >= 3


async def test_drain_without_patience_leaves_no_request_untold(
    world: World, clock: MockClock
) -> None:
    world.file("file", bytes(2000))
    async with world.serving(world.config(drain_seconds=0)):
        board = world.board()

        def stop(event: Event) -> None:
            if isinstance(event, RequestReceived):
                world.drain.set()

        world.listeners.append(stop)
        board.send(rrq("file"))
        await trio.sleep(1)
    assert world.outcomes() == [OutcomeKind.STOPPED]
    packets = [(await board.receive())[0] for _ in range(3)]
    assert error(0, "shutting down") in packets


async def test_an_upload_that_is_whole_is_kept_whatever_is_cancelled(
    world: World, clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled between the last block and its commit, during the commit, and after it."""
    committed = Sink.commit

    async def slowly(sink: Sink) -> None:
        await trio.sleep(0.5)
        await committed(sink)

    monkeypatch.setattr(Sink, "commit", slowly)
    async with world.serving() as nursery:
        board = world.board()
        _, writer = await board.ask(wrq("up"))
        board.send(data(1, b"whole"), writer)
        await trio.sleep(0.2)
        nursery.cancel_scope.cancel()
    assert (await board.receive())[0] == ack(1)
    assert (world.root / "up").read_bytes() == b"whole"
    assert world.outcomes() == [OutcomeKind.COMPLETED]


async def test_an_upload_whose_commit_is_about_to_begin_is_kept(
    world: World, clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last block came while earlier ones were being written."""
    flushed = Sink.flush

    async def slowly(sink: Sink) -> None:
        await trio.sleep(0.5)
        await flushed(sink)

    monkeypatch.setattr(Sink, "flush", slowly)
    monkeypatch.setattr("snowowl.content.sink.FLUSH_SIZE", 100)
    async with world.serving() as nursery:
        board = world.board()
        _, writer = await board.ask(wrq("up"))
        assert (await board.ask(data(1, bytes(512)), writer))[0] == ack(1)
        board.send(data(2, b"end"), writer)
        await trio.sleep(0.2)
        nursery.cancel_scope.cancel()
    assert (await board.receive())[0] == ack(2)
    assert (world.root / "up").read_bytes() == bytes(512) + b"end"
    assert world.outcomes() == [OutcomeKind.COMPLETED]


async def test_an_observer_that_raises_harms_nothing(world: World, clock: MockClock) -> None:
    octets = world.file("file", bytes(5000))

    def broken(event: Event) -> None:
        raise RuntimeError(f"cannot log {event}")

    async with world.serving(world.config(), broken):
        assert await world.get("file") == octets


async def test_what_cannot_be_listened_on_or_served_is_said(world: World, clock: MockClock) -> None:
    taken = world.network.listen("192.0.2.1", 69)
    with pytest.raises(ListenError, match=r"192\.0\.2\.1:69.*another server has this port"):
        await serve(world.config(listen=("192.0.2.5:69", "192.0.2.1:69")), network=world.network)
    taken.close()
    world.root.rmdir()
    with pytest.raises(RootError, match="no such directory"):
        await serve(world.config(), network=world.network)
    world.root.mkdir()


async def test_the_addresses_that_are_bound_are_handed_back(world: World, clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        config = world.config(listen=("192.0.2.1:0", "[2001:db8::1]:69"))
        serving = partial(serve, config, network=world.network)
        addresses: Sequence[str] = await nursery.start(serving)
        assert addresses[1:] == ("[2001:db8::1]:69",)
        assert addresses[0].startswith("192.0.2.1:")
        assert not addresses[0].endswith(":0")
        nursery.cancel_scope.cancel()
