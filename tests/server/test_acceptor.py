"""What becomes of a datagram at the listening port: a transfer, an answer, or nothing."""

from __future__ import annotations

import errno
from typing import get_args

import pytest
import trio
from trio.testing import MockClock

from snowowl.content.store import Store
from snowowl.observe.events import (
    InternalError,
    Refusal,
    RequestDoubled,
    RequestMalformed,
    RequestReceived,
    RequestsRefused,
)
from snowowl.protocol.outcome import OutcomeKind
from snowowl.server import serve as serve_module
from snowowl.server.guard import Guard
from snowowl.server.sources import Source
from snowowl.testing.playbook import ack, data, error, oack
from snowowl.wire.codec import encode, opcode_of
from snowowl.wire.constants import Opcode
from snowowl.wire.packets import Mode, ReadRequest
from tests.server.world import SERVER, Tid, World, rrq, wrq

BUSY = error(0, "try again")  # "server is busy, try again" is longer than the request


@pytest.mark.parametrize("tid", ["shared", "own", "listen"])
async def test_more_transfers_than_allowed_are_refused(
    world: World, clock: MockClock, tid: Tid
) -> None:
    world.file("file", bytes(2000))
    async with world.serving(world.config(tid, transfers_max=2)):
        first, second, third = (world.board(port) for port in (2000, 2001, 2002))
        _, source = await first.ask(rrq("file"))
        await second.ask(rrq("file"))
        assert (await third.ask(rrq("file")))[0] == BUSY
        assert [event.count for event in world.told(RequestsRefused)] == [1]
        first.send(error(0, "stop"), source)
        await trio.sleep(0.1)
        assert (await third.ask(rrq("file")))[0] == data(1, bytes(512))
    assert len(world.told(RequestReceived)) == 3


@pytest.mark.parametrize("tid", ["shared", "listen"])
async def test_a_datagram_that_meets_a_bug_ends_nothing(
    world: World, clock: MockClock, monkeypatch: pytest.MonkeyPatch, tid: Tid
) -> None:
    world.file("file", b"x")
    take = Guard.take_request

    def fail(guard: Guard, peer: bytes, now: float, *, writes: bool = False) -> Source | None:
        if writes:
            raise ZeroDivisionError
        return take(guard, peer, now)

    monkeypatch.setattr(Guard, "take_request", fail)
    async with world.serving(world.config(tid)):
        assert await world.board(2000).ask(wrq("up")) == (b"", b"")
        assert (await world.board(2001).ask(rrq("file")))[0] == data(1, b"x")
    assert [event.where for event in world.told(InternalError)] == ["request"]
    world.events.clear()  # `check` would call it a failure


@pytest.mark.parametrize("tid", ["shared", "listen"])
async def test_requests_beyond_the_queue_are_dropped_and_counted_and_may_come_again(
    world: World, clock: MockClock, monkeypatch: pytest.MonkeyPatch, tid: Tid
) -> None:
    """Nothing but what was taken is announced, so that requests and outcomes add up."""
    world.file("file", b"x")
    monkeypatch.setattr(serve_module, "BATCHES_QUEUED_MAX", 0)
    taken = trio.MemorySendChannel.send_nowait
    refusals = 3

    def full(channel: trio.MemorySendChannel[object], value: object) -> None:
        nonlocal refusals
        if refusals:
            refusals -= 1
            raise trio.WouldBlock
        taken(channel, value)

    monkeypatch.setattr(trio.MemorySendChannel, "send_nowait", full)
    monkeypatch.setattr(serve_module, "BATCHES_QUEUED_MAX", 8)
    async with world.serving(world.config(tid)):
        board = world.board()
        for _ in range(3):
            assert await board.ask(rrq("file")) == (b"", b"")
        assert not world.told(RequestReceived)
        packet, source = await board.ask(rrq("file"))
        assert packet == data(1, b"x")
        board.send(ack(1), source)
        await trio.sleep(0.1)
    told = world.told(RequestsRefused)
    assert [(event.refusal, event.count) for event in told] == [
        (Refusal.QUEUE, 1),
        (Refusal.QUEUE, 2),
    ]
    assert world.outcomes() == [OutcomeKind.COMPLETED]


async def test_a_request_that_was_dropped_leaves_the_running_transfer_standing(
    world: World, clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.file("file", bytes(1000))
    async with world.serving():
        board = world.board()
        _, source = await board.ask(rrq("file"))
        assert (await board.ask(ack(1), source))[0] == data(2, bytes(488))
        with monkeypatch.context() as patch:

            def full(channel: trio.MemorySendChannel[object], value: object) -> None:
                raise trio.WouldBlock

            patch.setattr(trio.MemorySendChannel, "send_nowait", full)
            board.send(rrq("file"))
            assert await board.hears_nothing(0.01)  # not yet a probe either
        await board.ask(rrq("file"))  # contends with the one that stands
        board.send(ack(2), source)
        await trio.sleep(0.1)
        assert [kind.value for kind in world.outcomes()] == ["completed"]


async def test_the_next_request_may_be_seen_before_the_last_ack(
    world: World, clock: MockClock
) -> None:
    """They come to two sockets, and a client that asks again at once uses the same port."""
    world.file("file", bytes(1000))
    async with world.serving():
        board = world.board()
        _, source = await board.ask(rrq("file"))
        await board.ask(ack(1), source)
        first, again = await board.ask(rrq("file"))
        assert first == data(1, bytes(512))
        board.send(ack(2), source)
        await trio.sleep(0.01)
        assert (await board.ask(ack(1), again))[0] == data(2, bytes(488))
        board.send(ack(2), again)
        await trio.sleep(0.1)
        assert [kind.value for kind in world.outcomes()] == ["completed", "completed"]


@pytest.mark.parametrize(
    ("packet", "code"),
    [
        (b"\0\x01file", 4),
        (b"\0\x01file\0", 4),
        (b"\0\x01file\0unheard-of\0", 4),
        (encode(ReadRequest(b"user", Mode.MAIL)), 4),
        (b"\0\x07dir\0octet\0", 4),
    ],
)
async def test_what_asks_for_nonsense_is_told_so(
    world: World, clock: MockClock, packet: bytes, code: int
) -> None:
    async with world.serving():
        answer, source = await world.board().ask(packet)
        assert opcode_of(answer) == Opcode.ERROR
        assert answer[3] == code
        assert source == world.network.datagrams[0].target
    assert [event.answered for event in world.told(RequestMalformed)] == [True]
    assert not world.told(RequestReceived)


@pytest.mark.parametrize("tid", get_args(Tid))
@pytest.mark.parametrize("host", ["255.255.255.255", "239.1.2.3"])
async def test_nothing_is_sent_to_an_address_that_is_nobodys(
    world: World, clock: MockClock, tid: Tid, host: str
) -> None:
    """Neither DATA nor an ERROR: what has such a source was never sent by who would hear it."""
    world.file("file", b"octets")
    async with world.serving(world.config(tid)):
        board = world.board(host=host)
        board.send(rrq("file"))
        board.send(rrq("missing"))
        assert await board.hears_nothing()
    assert [event.answered for event in world.told(RequestMalformed)] == [False, False]


@pytest.mark.parametrize("tid", get_args(Tid))
async def test_a_request_that_comes_again_is_told_of(
    world: World, clock: MockClock, tid: Tid
) -> None:
    """What came to the listening port adds up."""
    world.file("file", bytes(2000))
    async with world.serving(world.config(tid)):
        board = world.board()
        _, source = await board.ask(rrq("file", tsize=0))
        assert await board.ask(rrq("file", tsize=0)) == (oack(tsize=2000), source)
        assert len(world.told(RequestDoubled)) == 1
        if tid == "listen":  # where there can be no contest, a late one is dropped, too
            await board.ask(ack(0), source)
            board.send(rrq("file", tsize=0))
            assert await board.hears_nothing()
            assert len(world.told(RequestDoubled)) == 2
        assert len(world.told(RequestReceived)) == 1


async def test_a_listening_socket_that_fails_does_not_spin_and_heals(
    world: World, clock: MockClock
) -> None:
    octets = world.file("file", bytes(2000))
    async with world.serving():
        listening = next(iter(world.network.endpoints.values()))
        listening.receive_errors = 1000
        start = trio.current_time()
        while listening.receive_errors:
            await trio.sleep(0.1)
        assert trio.current_time() - start > 5  # it waits between two tries
        assert await world.get("file") == octets


@pytest.mark.parametrize("host", ["192.0.2.9", "2001:db8::9"])
@pytest.mark.parametrize("tid", ["shared", "own"])
async def test_without_a_socket_the_peer_is_told_and_the_server_lives(
    world: World, clock: MockClock, tid: Tid, host: str
) -> None:
    """Also an IPv4 peer of a dual-stack socket, which knows it by a mapped address."""
    world.file("file", bytes(2000))
    async with world.serving(world.config(tid)):
        board = world.board(host=host)
        world.network.refuse_open = lambda family, local: errno.EMFILE
        answer = await board.ask(rrq("file"))
        assert answer[0] == error(0, "try again")
        world.network.refuse_open = None
        assert (await board.ask(rrq("file")))[0] == data(1, bytes(512))
    assert world.outcomes()[0] is OutcomeKind.REFUSED
    assert "Too many open files" in str(world.events)


async def test_a_file_that_is_still_being_opened_is_not_opened_twice(
    world: World, clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.file("file", bytes(2000))
    opened = Store.open_now
    attempts = 0

    def cold(store: Store, name_untrusted: bytes, *, netascii: bool, **recent: object) -> object:
        nonlocal attempts
        attempts += 1
        return None if attempts == 1 else opened(store, name_untrusted, netascii=netascii)

    async def slowly(store: Store, name_untrusted: bytes, *, netascii: bool) -> object:
        await trio.sleep(1.0)
        return store.open_now(name_untrusted, netascii=netascii)

    monkeypatch.setattr(Store, "open_now", cold)
    monkeypatch.setattr(Store, "open", slowly)
    async with world.serving():
        board = world.board()
        for _ in range(3):
            assert await board.ask(rrq("file")) == (b"", b"")
        assert (await board.receive(1.0))[0] == data(1, bytes(512))
        assert attempts == 2
    assert len(world.told(RequestReceived)) == 1


@pytest.mark.rule("R10")
async def test_refusals_come_from_the_address_that_was_asked(
    world: World, clock: MockClock
) -> None:
    async with world.serving(world.config(transfers_max=1)):
        board = world.board(server="192.0.2.77")
        for packet in (b"\0\x01", rrq("missing")):
            _, source = await board.ask(packet)
            assert source[4:8] == bytes((192, 0, 2, 77))
    assert SERVER not in str(world.told(RequestReceived))
