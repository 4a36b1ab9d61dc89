"""One peer, two requests: which of its transfers goes on (rule R5)."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from snowowl.content.sink import Sink
from snowowl.content.source import Source
from snowowl.content.store import Store
from snowowl.observe.events import RequestReceived
from snowowl.protocol.outcome import OutcomeKind
from snowowl.server.acceptor import DOUBLED_SECONDS
from snowowl.server.registry import Registry
from snowowl.testing.playbook import ack, data, error, oack
from snowowl.wire.codec import opcode_of
from snowowl.wire.constants import Opcode
from tests.server.world import LISTENING, Board, Tid, World, rrq, wrq

SUPERSEDED, COMPLETED = OutcomeKind.SUPERSEDED, OutcomeKind.COMPLETED
CONTENT = b"a" * 512 + b"b" * 512 + b"c" * 5
REQUEST = rrq("file", blksize=512)


async def begun(world: World, board: Board) -> bytes:
    """Have a transfer begun: block 1 is in flight.  Return where it comes from."""
    world.file("file", CONTENT)
    octets, tid = await board.ask(REQUEST)
    assert octets == oack(blksize=512)
    assert await board.ask(ack(0), tid) == (data(1, b"a" * 512), tid)
    return tid


async def finish(board: Board, tid: bytes, number: int) -> None:
    """Acknowledge from block `number` to the end."""
    blocks = [CONTENT[start : start + 512] for start in (0, 512, 1024)]
    for block in range(number, 3):
        assert await board.ask(ack(block), tid) == (data(block + 1, blocks[block]), tid)
    board.send(ack(3), tid)
    assert await board.hears_nothing()


@pytest.mark.rule("R5")
@pytest.mark.parametrize("tid", ["shared", "own", "listen"])
async def test_a_repeated_request_gets_the_first_packet_again(
    world: World, clock: MockClock, tid: Tid
) -> None:
    world.file("file", CONTENT)
    async with world.serving(world.config(tid)):
        board = world.board()
        first = await board.ask(REQUEST)
        assert await board.ask(REQUEST) == first
        assert await board.ask(REQUEST) == first
        assert (await board.ask(ack(0), first[1]))[0] == data(1, b"a" * 512)
        await finish(board, first[1], 1)
    assert world.outcomes() == [COMPLETED]


@pytest.mark.rule("R5")
@pytest.mark.parametrize("tid", ["shared", "own"])
async def test_a_board_that_was_reset_goes_on_with_its_new_transfer(
    world: World, clock: MockClock, tid: Tid
) -> None:
    async with world.serving(world.config(tid)):
        board = world.board()
        old = await begun(world, board)
        octets, new = await board.ask(REQUEST)
        assert octets == oack(blksize=512)
        assert new != old
        assert await board.ask(ack(0), new) == (data(1, b"a" * 512), new)
        await finish(board, new, 1)
        assert await board.hears_nothing(60)
    assert world.outcomes() == [SUPERSEDED, COMPLETED]


@pytest.mark.rule("R5")
@pytest.mark.parametrize("tid", ["shared", "own"])
async def test_a_request_that_was_doubled_does_not_disturb_its_transfer(
    world: World, clock: MockClock, tid: Tid
) -> None:
    async with world.serving(world.config(tid)):
        board = world.board()
        old = await begun(world, board)
        assert (await board.ask(REQUEST))[1] != old
        await finish(board, old, 1)
        assert await board.hears_nothing(60)
    assert sorted(kind.value for kind in world.outcomes()) == ["completed", "superseded"]


@pytest.mark.rule("R5")
@pytest.mark.parametrize("code", [0, 5, 8])
async def test_an_error_to_the_new_transfer_does_not_end_the_old_one(
    world: World, clock: MockClock, code: int
) -> None:
    """A client in the middle of a transfer says so to the OACK of a doubled request (rule R7)."""
    async with world.serving():
        board = world.board()
        old = await begun(world, board)
        _, new = await board.ask(REQUEST)
        board.send(error(code, "who are you?"), new)
        assert (await board.receive(1.0))[0] == data(1, b"a" * 512)  # its timer runs again
        await finish(board, old, 1)
    assert world.outcomes() == [OutcomeKind.PROBED, COMPLETED]


@pytest.mark.rule("R5")
async def test_while_two_contend_the_old_one_is_silent_and_wakes_if_the_new_one_ends(
    world: World, clock: MockClock
) -> None:
    async with world.serving():
        board = world.board()
        old = await begun(world, board)
        _, new = await board.ask(REQUEST)
        while (packet := await board.receive(10))[1] == new:
            assert packet[0] == oack(blksize=512)
        assert packet == (data(1, b"a" * 512), old)
        assert world.outcomes() == [OutcomeKind.TIMED_OUT]
        await finish(board, old, 1)
    assert world.outcomes() == [OutcomeKind.TIMED_OUT, COMPLETED]


@pytest.mark.rule("R5")
async def test_a_third_request_finds_one_transfer_to_contend_with(
    world: World, clock: MockClock
) -> None:
    async with world.serving():
        board = world.board()
        await begun(world, board)
        await board.ask(REQUEST)
        _, third = await board.ask(rrq("file", blksize=512, tsize=0))
        assert world.outcomes() == [SUPERSEDED, SUPERSEDED]
        assert (await board.ask(ack(0), third))[0] == data(1, b"a" * 512)
        await finish(board, third, 1)
        assert await board.hears_nothing(60)
    assert world.outcomes() == [SUPERSEDED, SUPERSEDED, COMPLETED]


@pytest.mark.rule("R5")
async def test_a_transfer_that_won_contends_again_with_the_next_request(
    world: World, clock: MockClock
) -> None:
    async with world.serving():
        board = world.board()
        old = await begun(world, board)
        await board.ask(REQUEST)
        assert (await board.ask(ack(1), old))[0] == data(2, b"b" * 512)
        assert world.outcomes() == [SUPERSEDED]
        octets, third = await board.ask(REQUEST)
        assert octets == oack(blksize=512)
        # What comes until somebody is answered comes from the third one.
        assert [(await board.receive(3))[1] for _ in range(2)] == [third, third]
        assert (await board.ask(ack(0), third))[0] == data(1, b"a" * 512)
        await finish(board, third, 1)
        assert await board.hears_nothing(60)
    assert world.outcomes() == [SUPERSEDED, SUPERSEDED, COMPLETED]


@pytest.mark.rule("R5")
async def test_a_transfer_that_nobody_answered_gives_way_at_once(
    world: World, clock: MockClock
) -> None:
    world.file("file", CONTENT)
    async with world.serving():
        board = world.board()
        await board.ask(rrq("file", blksize=8))
        _, tid = await board.ask(REQUEST)
        assert world.outcomes() == [SUPERSEDED]
        assert (await board.ask(ack(0), tid))[0] == data(1, b"a" * 512)
        await finish(board, tid, 1)


@pytest.mark.rule("R5")
async def test_on_the_listening_port_the_old_transfer_ends(world: World, clock: MockClock) -> None:
    async with world.serving(world.config("listen")):
        board = world.board()
        assert await begun(world, board) == LISTENING
        await trio.sleep(DOUBLED_SECONDS)
        while await board.receive() != (b"", b""):
            pass  # what the timer of the old one has sent
        assert (await board.ask(REQUEST))[0] == oack(blksize=512)
        assert world.outcomes() == [SUPERSEDED]
        assert (await board.ask(ack(0)))[0] == data(1, b"a" * 512)
        await finish(board, LISTENING, 1)
        assert await board.hears_nothing(60)


async def test_on_the_listening_port_the_next_request_may_come_with_the_last_ack(
    world: World, clock: MockClock
) -> None:
    """In one batch, and for the same file: that is no double of the request that has been served."""
    async with world.serving(world.config("listen")):
        board = world.board()
        await begun(world, board)
        for number in (1, 2):
            await board.ask(ack(number))
        board.send(ack(3))
        assert (await board.ask(REQUEST))[0] == oack(blksize=512)
    assert world.outcomes()[0] == COMPLETED


@pytest.mark.rule("R5")
async def test_on_the_listening_port_a_late_double_of_the_request_is_ignored(
    world: World, clock: MockClock
) -> None:
    """With one port there is no contest: what comes so soon cannot be a board that was reset."""
    async with world.serving(world.config("listen")):
        board = world.board()
        await begun(world, board)
        board.send(REQUEST)
        assert await board.hears_nothing(0.01)  # not yet a probe either
        assert (await board.ask(ack(1)))[0] == data(2, b"b" * 512)
        board.send(REQUEST)
        assert await board.hears_nothing(0.01)  # not yet a probe either
        await finish(board, LISTENING, 2)
    assert world.outcomes() == [COMPLETED]


@pytest.mark.rule("R5")
async def test_on_the_listening_port_a_late_double_does_not_spoil_an_upload(
    world: World, clock: MockClock
) -> None:
    """Not even behind its end: an ERROR 6 from the same port would seem to be about it."""
    async with world.serving(world.config("listen")):
        board = world.board()
        await board.ask(wrq("up"))
        assert (await board.ask(data(1, b"abc")))[0] == ack(1)
        assert await board.ask(wrq("up")) == (b"", b"")
        assert (await board.ask(data(1, b"abc")))[0] == ack(1)
        await trio.sleep(DOUBLED_SECONDS + 0.1)
        assert (await board.ask(wrq("up")))[0] == error(6, "file exists")
    assert world.outcomes() == [COMPLETED, OutcomeKind.REFUSED]


@pytest.mark.rule("R5")
async def test_on_the_listening_port_another_request_is_taken_at_once(
    world: World, clock: MockClock
) -> None:
    async with world.serving(world.config("listen")):
        board = world.board()
        await begun(world, board)
        assert (await board.ask(rrq("file", blksize=8)))[0] == oack(blksize=8)
        assert world.outcomes() == [SUPERSEDED]


@pytest.mark.rule("R5")
async def test_an_upload_that_is_asked_for_anew_begins_anew(world: World, clock: MockClock) -> None:
    async with world.serving():
        board = world.board()
        request = wrq("up", blksize=8)
        _, old = await board.ask(request)
        assert (await board.ask(data(1, b"12345678"), old))[0] == ack(1)
        _, new = await board.ask(request)
        assert (await board.ask(data(1, b"abc"), new))[0] == ack(1)
    assert (world.root / "up").read_bytes() == b"abc"
    assert world.outcomes() == [SUPERSEDED, COMPLETED]


@pytest.mark.rule("R5")
@pytest.mark.parametrize("tid", ["shared", "own", "listen"])
async def test_a_request_whose_file_is_slow_to_open_does_not_come_back_to_win(
    world: World, clock: MockClock, monkeypatch: pytest.MonkeyPatch, tid: Tid
) -> None:
    """The board has given it up and asked for another file by the time that it is open."""
    world.file("slow", b"slow")
    world.file("file", CONTENT)
    opened = Store.open

    async def slowly(store: Store, name_untrusted: bytes, *, netascii: bool) -> Source:
        if name_untrusted == b"slow":
            await trio.sleep(0.5)
        return await opened(store, name_untrusted, netascii=netascii)

    monkeypatch.setattr(Store, "open_now", lambda *_, **__: None)
    async with world.serving(world.config(tid)):
        board = world.board()
        with monkeypatch.context() as patch:
            patch.setattr(Store, "open", slowly)
            assert await board.ask(rrq("slow")) == (b"", b"")
        octets, live = await board.ask(REQUEST)
        assert octets == oack(blksize=512)
        assert (await board.ask(ack(0), live))[0] == data(1, b"a" * 512)
        await trio.sleep(0.6)
        while (late := await board.receive()) != (b"", b""):
            assert late == (data(1, b"a" * 512), live)
        await finish(board, live, 1)
    assert world.outcomes() == [SUPERSEDED, COMPLETED]


@pytest.mark.rule("R5")
async def test_an_upload_that_is_slow_to_begin_does_not_come_back_to_win(
    world: World, clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = Store.create

    async def slowly(
        store: Store, name_untrusted: bytes, *, netascii: bool, tsize: int | None, client: str
    ) -> Sink:
        if name_untrusted == b"slow":
            await trio.sleep(0.5)
        return await created(store, name_untrusted, netascii=netascii, tsize=tsize, client=client)

    monkeypatch.setattr(Store, "create", slowly)
    async with world.serving():
        board = world.board()
        assert await board.ask(wrq("slow")) == (b"", b"")
        _, tid = await board.ask(wrq("up"))
        assert await board.ask(data(1, b"abc"), tid) == (ack(1), tid)
        assert await board.hears_nothing(2)
    assert [path.name for path in world.root.iterdir()] == ["up"]
    assert sorted(kind.value for kind in world.outcomes()) == ["completed", "superseded"]


async def test_requests_are_settled_before_they_are_removed(clock: MockClock) -> None:
    registry = Registry()
    with trio.fail_after(1):
        await registry.wait_settled()
    assert len(registry) == 0
    assert registry.unsettled == 0
    assert registry.standing(LISTENING) is None


async def test_every_request_is_told_once(world: World, clock: MockClock) -> None:
    async with world.serving():
        board = world.board()
        for _ in range(3):
            assert opcode_of((await board.ask(rrq("nothing")))[0]) == Opcode.ERROR
    assert len(world.told(RequestReceived)) == 3
