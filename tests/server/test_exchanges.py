"""Which socket a transfer gets, and which sockets there are."""

from __future__ import annotations

import errno
import gc
import weakref
from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from snowowl.content.store import Store
from snowowl.datagram import address
from snowowl.datagram.interface import Endpoint, LocalAddress
from snowowl.observe.observers import Observers
from snowowl.protocol.outcome import OutcomeKind
from snowowl.server import exchanges as exchanges_module
from snowowl.server.exchange import Exchange, StrayJudge
from snowowl.server.exchanges import LOCAL_ADDRESSES_MAX, SHARED_PER_ADDRESS
from snowowl.server.tuning import Tuning
from snowowl.testing.playbook import ack, data, error
from tests.server.world import LISTENING, SERVER, Board, Tid, World, rrq, wrq


async def fetch(board: Board) -> bytes:
    """Fetch a file of one block; return where it came from."""
    packet, source = await board.ask(rrq("file"))
    assert packet == data(1, b"x")
    board.send(ack(1), source)
    await trio.sleep(0.05)
    return source


def sockets(world: World) -> int:
    """Count the open endpoints that are neither listening nor a client's."""
    return len(world.network.endpoints) - 1 - len(world._boards)


async def test_a_peer_never_gets_the_socket_of_its_last_transfer_twice_running(
    world: World, clock: MockClock
) -> None:
    world.file("file", b"x")
    async with world.serving():
        board, other = world.board(2000), world.board(2001)
        sources = []
        for number in range(30):
            sources.append(await fetch(board))
            for _ in range(number % 3):
                await fetch(other)
        assert all(one != next_one for one, next_one in pairwise(sources))
        assert LISTENING not in sources
        assert sockets(world) <= SHARED_PER_ADDRESS


async def test_many_peers_share_a_few_sockets(world: World, clock: MockClock) -> None:
    world.file("file", b"x")
    async with world.serving():
        await fetch(world.board())  # the address is known from here on
        boards = [world.board(port) for port in range(2001, 2050)]
        sources = {(await board.ask(rrq("file")))[1] for board in boards}
        assert len(sources) <= SHARED_PER_ADDRESS
        assert sockets(world) <= SHARED_PER_ADDRESS


async def test_who_has_not_answered_yet_has_a_port_that_nobody_else_knows(
    world: World, clock: MockClock
) -> None:
    """Else one request of one's own tells where forged ACKs go, and a victim gets whole files."""
    world.file("file", bytes(200_000))
    async with world.serving():
        opener = world.board(host="192.0.2.66")
        known = {(await opener.ask(rrq("file")))[1]}
        await opener.ask(ack(1), next(iter(known)))
        known.add((await opener.ask(rrq("file", blksize=1000)))[1])  # by now, one that is shared
        victim = world.board(7, host="192.0.2.77")
        victim.send(rrq("file", blksize=1000, windowsize=64))
        await trio.sleep(0.1)
        for source in known:
            victim.send(ack(0), source)
        await trio.sleep(400)
        assert sum(map(len, world.sent_by_server(victim.endpoint.address))) < 500


async def test_nobody_uploads_in_the_name_of_another(world: World, clock: MockClock) -> None:
    """The log, the audit stream and `[access]` go by addresses."""
    world.file("file", bytes(2000))
    async with world.serving():
        opener = world.board(host="192.0.2.66")
        known = {(await opener.ask(rrq("file")))[1]}
        await opener.ask(ack(1), next(iter(known)))
        known.add((await opener.ask(rrq("file", blksize=1000)))[1])
        victim = world.board(7, host="192.0.2.77")
        victim.send(wrq("forged"))
        await trio.sleep(0.1)
        for source in known:
            victim.send(data(1, b"x"), source)
        await trio.sleep(1)
        assert not (world.root / "forged").exists()


async def test_without_descriptors_strangers_share_what_there_is(
    world: World, clock: MockClock
) -> None:
    world.file("file", b"x")
    async with world.serving():
        await fetch(world.board())
        shared = await fetch(world.board(2001))
        world.network.refuse_open = lambda family, local: errno.EMFILE
        assert await fetch(world.board(host="192.0.2.77")) == shared
        assert sockets(world) == 1


async def test_strangers_leave_ports_to_those_who_are_known(world: World, clock: MockClock) -> None:
    """All of a short port_range is taken by requests that are never answered; others are served."""
    world.file("file", b"x")
    async with world.serving(world.config(port_range=(50_000, 50_003))):
        for number in range(8):
            world.board(host=f"192.0.2.{number + 20}").send(rrq("file"))
        await trio.sleep(0.05)
        assert sockets(world) == 4
        await fetch(world.board())


async def test_strangers_leave_descriptors_for_files(
    world: World, clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchanges_module, "STRANGERS_MAX", 3)
    world.file("file", b"x")
    async with world.serving():
        for number in range(8):
            world.board(host=f"192.0.2.{number + 20}").send(rrq("file"))
        await trio.sleep(0.05)
        assert sockets(world) == 3 + 1


async def test_what_is_missing_costs_a_stranger_no_socket(world: World, clock: MockClock) -> None:
    async with world.serving():
        for number in range(20):
            answer, _ = await world.board(host=f"192.0.2.{number + 20}").ask(rrq("missing"))
            assert answer == error(1, "not found")
        assert sockets(world) == 1


async def test_a_peer_with_many_transfers_at_once_loses_the_oldest(
    world: World, clock: MockClock
) -> None:
    """One port, as many requests as there are sockets and one more: each before the last is open."""
    world.file("file", bytes(2000))
    async with world.serving():
        board = world.board()
        sources = []
        for number in range(SHARED_PER_ADDRESS + 2):
            _, source = await board.ask(rrq("file", blksize=8 + number))
            sources.append(source)
            await board.ask(ack(0), source)
        assert len(set(sources)) <= SHARED_PER_ADDRESS
        assert world.outcomes() == [OutcomeKind.SUPERSEDED] * (SHARED_PER_ADDRESS + 1)


async def test_own_sockets_are_closed_with_their_transfer(world: World, clock: MockClock) -> None:
    world.file("file", b"x")
    async with world.serving(world.config("own")):
        boards = [world.board(port) for port in range(2000, 2005)]
        sources = [(await board.ask(rrq("file")))[1] for board in boards]
        assert len(set(sources)) == 5
        assert sockets(world) == 5
        for board, source in zip(boards, sources, strict=True):
            board.send(ack(1), source)
        await trio.sleep(0.1)
        assert sockets(world) == 0
    assert world.outcomes() == [OutcomeKind.COMPLETED] * 5


async def test_listening_sockets_are_all_there_is_in_single_port_mode(
    world: World, clock: MockClock
) -> None:
    world.file("file", b"x")
    async with world.serving(world.config("listen")):
        assert await fetch(world.board()) == LISTENING
        assert sockets(world) == 0


@pytest.mark.parametrize("tid", ["shared", "own"])
async def test_answers_come_from_the_port_range(world: World, clock: MockClock, tid: Tid) -> None:
    world.file("file", b"x")
    async with world.serving(world.config(tid, port_range=(5000, 5009))):
        ports = {address.port_of(await fetch(world.board(port))) for port in range(2000, 2020)}
        assert ports <= set(range(5000, 5010))
        assert len(ports) > (tid == "own")


async def test_a_port_range_that_is_used_up_refuses_a_socket_of_ones_own(
    world: World, clock: MockClock
) -> None:
    world.file("file", b"x")
    async with world.serving(world.config("own", port_range=(5000, 5000))):
        first, second = world.board(2000), world.board(2001)
        await first.ask(rrq("file"))
        packet, source = await second.ask(rrq("file"))
        assert (packet, source) == (error(0, "try again"), LISTENING)


async def test_a_port_range_of_one_serves_every_peer_again_and_again(
    world: World, clock: MockClock
) -> None:
    """The same socket twice running is better than no answer: U-Boot may have a fixed port too."""
    world.file("file", b"x")
    async with world.serving(world.config("shared", port_range=(5000, 5000))):
        board, other = world.board(2000), world.board(2001)
        for _ in range(3):
            assert address.port_of(await fetch(board)) == 5000
            assert address.port_of(await fetch(other)) == 5000
        _, old = await board.ask(rrq("file", blksize=512))
        board.send(ack(0), old)
        assert (await board.receive())[0] == data(1, b"x")
        assert await fetch(board) == old  # asks anew: the old one ends
    assert world.outcomes().count(OutcomeKind.COMPLETED) == 7


async def test_no_more_sockets_than_needed_when_descriptors_run_out(
    world: World, clock: MockClock
) -> None:
    world.file("file", b"x")
    async with world.serving():
        board = world.board()
        await fetch(board)
        first = await fetch(board)
        world.network.refuse_open = lambda family, local: errno.EMFILE
        assert await fetch(board) == first


async def test_an_address_that_cannot_be_bound_is_answered_from_any(
    world: World, clock: MockClock
) -> None:
    world.file("file", b"x")

    def refuse(family: int, local: LocalAddress | None) -> int | None:
        return errno.EADDRNOTAVAIL if local is not None else None

    world.network.refuse_open = refuse
    async with world.serving():
        assert await fetch(world.board()) != LISTENING


async def test_local_addresses_with_sockets_are_bounded(world: World, clock: MockClock) -> None:
    world.file("file", b"x")
    async with world.serving():
        for number in range(LOCAL_ADDRESSES_MAX + 20):
            board = world.board(2000 + number, server=f"192.0.2.{number + 1}")
            await fetch(board)
            assert sockets(world) <= LOCAL_ADDRESSES_MAX


async def test_a_peak_of_local_addresses_leaves_nothing_behind(
    world: World, clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither sockets nor, by the memory of who used them last, what belonged to closed ones."""
    monkeypatch.setattr(exchanges_module, "LOCAL_ADDRESSES_MAX", 4)
    opened: list[weakref.ref[Exchange]] = []

    def remembered(
        endpoint: Endpoint,
        observers: Observers,
        *,
        tuning: Tuning | None,
        may_answer: StrayJudge | None,
    ) -> Exchange:
        assert tuning is not None
        assert may_answer is not None
        exchange = Exchange(endpoint, observers)
        opened.append(weakref.ref(exchange))
        return exchange

    monkeypatch.setattr(exchanges_module, "Exchange", remembered)
    world.file("file", b"x")
    async with world.serving():
        boards = [world.board(2000 + n, server=f"192.0.2.{n + 1}") for n in range(20)]
        sources = [(await board.ask(rrq("file")))[1] for board in boards]
        assert sockets(world) == 20
        for board, source in zip(boards, sources, strict=True):
            board.send(ack(1), source)
        await trio.sleep(0.05)
        await fetch(world.board(3000, server="192.0.2.99"))
        assert sockets(world) == 1
        gc.collect()
        assert sum(reference() is not None for reference in opened) == 1


async def test_a_socket_that_somebody_is_about_to_use_is_not_closed(
    world: World, clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its transfer is still opening its file, and would wait on a closed socket for ever."""
    world.file("file", bytes(2000))
    opened = Store.open

    async def slowly(store: Store, name_untrusted: bytes, *, netascii: bool) -> object:
        if not waited.is_set():
            await waited.wait()
        return await opened(store, name_untrusted, netascii=netascii)

    waited = trio.Event()
    monkeypatch.setattr(exchanges_module, "LOCAL_ADDRESSES_MAX", 2)
    monkeypatch.setattr(Store, "open", slowly)
    async with world.serving():
        board = world.board()
        known = world.board(2001)  # of the same address, which gets shared sockets from now on
        _, source = await known.ask(rrq("file"))
        known.send(error(0), source)
        with monkeypatch.context() as patch:
            patch.setattr(Store, "open_now", lambda *_, **__: None)
            assert await board.ask(rrq("file")) == (b"", b"")
        for number in range(5):
            other = world.board(3000 + number, server=f"192.0.2.{number + 20}")
            _, source = await other.ask(rrq("file"))
            other.send(error(0), source)
            await trio.sleep(0.05)
        waited.set()
        packet, source = await board.receive()
        assert packet == data(1, bytes(512))
        assert address.host_text(source) == SERVER
        assert sockets(world) == 2


async def test_peers_are_remembered_within_bounds(
    world: World, clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchanges_module, "PEERS_REMEMBERED_MAX", 4)
    world.file("file", b"x")
    async with world.serving():
        for port in range(2000, 2012):
            await fetch(world.board(port))
    assert world.outcomes() == [OutcomeKind.COMPLETED] * 12


async def test_a_link_local_address_keeps_its_interface(world: World, clock: MockClock) -> None:
    world.file("file", b"x")
    async with world.serving():
        board = world.board(host="fe80::9", server="fe80::1")
        assert address.host_text(await fetch(board)) == "fe80::1"
