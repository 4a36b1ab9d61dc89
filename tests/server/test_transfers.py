"""A transfer's life: one outcome for each request, whatever goes wrong in it."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

import snowowl
from snowowl import ClientError, ClientOptions
from snowowl.client.errors import Reason
from snowowl.config import Config, ProtocolConfig, ServerConfig
from snowowl.content.errors import ContentError
from snowowl.content.sink import Sink
from snowowl.content.store import Store
from snowowl.observe.events import Direction, InternalError, RolloverExpected, TransferFinished
from snowowl.protocol.outcome import OutcomeKind
from snowowl.testing.playbook import ack, data, error, oack
from snowowl.wire.constants import ErrorCode
from snowowl.wire.packets import Mode
from tests.server.world import SERVER, Tid, World, finished, rrq, wrq


async def test_what_is_told_of_a_transfer(world: World, clock: MockClock) -> None:
    world.file("file", bytes(2000))
    async with world.serving():
        await world.get("file", ClientOptions(blksize=512, windowsize=4))
        await world.put(bytes(700), "up", ClientOptions.none())
    read, write = world.told(TransferFinished)
    assert (read.direction, read.filename, read.mode) == (Direction.READ, b"file", Mode.OCTET)
    assert (read.octets, read.retransmitted, read.detail) == (2000, 0, "")
    assert read.granted == ((b"tsize", b"2000"), (b"blksize", b"512"), (b"windowsize", b"4"))
    assert read.client.startswith("192.0.2.200:")
    assert read.seconds == pytest.approx(0.004, abs=0.002)
    assert (write.direction, write.octets, write.granted) == (Direction.WRITE, 700, ())
    assert {read.outcome.kind, write.outcome.kind} == {OutcomeKind.COMPLETED}


@pytest.mark.rule("R12")
@pytest.mark.parametrize(
    ("request_octets", "code"),
    [
        (rrq("missing"), 1),
        (rrq("missing/file"), 1),
        (rrq("../file"), 2),
        (rrq("directory"), 2),
        (wrq("exists"), 6),
        (wrq("missing/file"), 1),
        (wrq("large", tsize=2_000_000), 3),
    ],
)
@pytest.mark.parametrize("tid", ["shared", "own", "listen"])
async def test_what_cannot_be_opened_is_refused_by_its_code(
    world: World, clock: MockClock, tid: Tid, request_octets: bytes, code: int
) -> None:
    world.file("exists", b"x")
    (world.root / "directory").mkdir()
    async with world.serving(world.config(tid, size_max=1_000_000)):
        answer, _ = await world.board().ask(request_octets)
        assert answer[:4] == error(code)[:4]
        assert await world.board(2001).hears_nothing()
    assert finished(world).outcome.kind is OutcomeKind.REFUSED
    assert finished(world).outcome.code == code


async def test_uploads_need_to_be_enabled(world: World, clock: MockClock) -> None:
    config = Config(server=ServerConfig(root=world.root))
    async with world.serving(config):
        with pytest.raises(ClientError) as caught:
            await world.put(b"x", "up")
    assert (caught.value.reason, caught.value.code) == (Reason.SERVER, 2)


@pytest.mark.rule("R4")
async def test_a_peer_that_only_asks_for_the_size_is_no_failure(
    world: World, clock: MockClock
) -> None:
    world.file("file", bytes(2000))
    async with world.serving():
        board = world.board()
        packet, source = await board.ask(rrq("file", tsize=0))
        assert packet == oack(tsize=2000)
        board.send(error(8, "User aborted the transfer"), source)
        assert await board.hears_nothing(5)
    assert world.outcomes() == [OutcomeKind.PROBED]


@pytest.mark.rule("R14")
async def test_an_upload_dallies_so_that_its_last_ack_may_be_lost(
    world: World, clock: MockClock
) -> None:
    async with world.serving():
        board = world.board()
        _, source = await board.ask(wrq("up"))
        for _ in range(3):
            assert (await board.ask(data(1, b"abc"), source))[0] == ack(1)
        assert world.outcomes() == [OutcomeKind.COMPLETED]  # told at once, not after the dally
        start = trio.current_time()
    assert trio.current_time() - start < 0.1  # and draining does not wait for it
    assert (world.root / "up").read_bytes() == b"abc"


@pytest.mark.parametrize("tid", ["shared", "own", "listen"])
async def test_an_upload_that_breaks_off_leaves_nothing(
    world: World, clock: MockClock, tid: Tid
) -> None:
    protocol = ProtocolConfig(retries=1, silence_max_seconds=2.0)
    async with world.serving(world.config(tid, protocol=protocol)):
        silent, failing = world.board(2000), world.board(2001)
        for board in (silent, failing):
            _, source = await board.ask(wrq("up"))
            await board.ask(data(1, bytes(512)), source)
            if board is failing:
                board.send(error(3, "no more"), source)
        await trio.sleep(20)
        assert sorted(kind.value for kind in world.outcomes()) == ["aborted", "timed out"]
        assert not list(world.root.iterdir())


async def test_two_uploads_of_one_name_do_not_mix(world: World, clock: MockClock) -> None:
    contents = [bytes([number]) * 30_000 for number in range(5)]
    codes = []

    async def put(octets: bytes) -> None:
        try:
            await world.put(octets, "up")
        except ClientError as error:
            codes.append(error.code)

    async with world.serving(), trio.open_nursery() as clients:
        for octets in contents:
            clients.start_soon(put, octets)
    assert (world.root / "up").read_bytes() in contents
    assert codes == [ErrorCode.FILE_EXISTS] * 4


@pytest.mark.parametrize("name", ["open_now", "open"])
async def test_a_bug_of_ours_is_told_once_and_the_server_lives(
    world: World, clock: MockClock, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    world.file("file", b"x")

    def broken(store: Store, name_untrusted: bytes, *, netascii: bool, **recent: object) -> object:
        raise ZeroDivisionError

    async with world.serving():
        with monkeypatch.context() as patch:
            patch.setattr(Store, "open_now", lambda *_, **__: None)
            patch.setattr(Store, name, broken)
            assert (await world.board().ask(rrq("file")))[0] == error(0, "server error")
        assert await world.get("file") == b"x"
    world.bugs_expected = 1
    assert world.told(InternalError)[0].where == "transfer"
    assert world.outcomes() == [OutcomeKind.REFUSED, OutcomeKind.COMPLETED]


async def test_a_commit_that_fails_is_told_instead_of_the_last_ack(
    world: World, clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(sink: Sink) -> None:
        raise ContentError(ErrorCode.DISK_FULL, "disk full or allocation exceeded", "fsync")

    monkeypatch.setattr(Sink, "commit", full)
    async with world.serving():
        with pytest.raises(ClientError, match="disk full") as caught:
            await world.put(b"x", "up")
    assert caught.value.code == 3
    assert finished(world).detail == "fsync"
    assert not list(world.root.iterdir())


async def test_a_file_that_was_replaced_is_freed_between_the_last_ack_and_the_dally(
    world: World, clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    freed: list[float] = []
    real_discard = Sink.discard

    async def slowly(sink: Sink) -> None:
        await trio.sleep(1)
        await real_discard(sink)
        freed.append(trio.current_time())

    monkeypatch.setattr(Sink, "discard", slowly)
    async with world.serving(world.config(overwrite=True)):
        board = world.board()
        _, source = await board.ask(wrq("up"))
        assert (await board.ask(data(1, b"new"), source))[0] == ack(1)
        assert not freed
        answered = trio.current_time()
        await trio.sleep(2)
        assert freed[0] - answered == pytest.approx(1, abs=0.1)


async def test_netascii_is_translated_both_ways(world: World, clock: MockClock) -> None:
    world.file("text", b"one\ntwo\r\n")
    async with world.serving():
        url = f"tftp://{SERVER}/text;mode=netascii"
        got = await snowowl.get(url, network=world.network)
        assert got.octets == b"one\ntwo\r\n"
        assert got.size == 12
        up = f"tftp://{SERVER}/up;mode=netascii"
        await snowowl.put(b"a\nb\r", up, network=world.network)
    assert (world.root / "up").read_bytes() == b"a\nb\r"


async def test_a_file_of_too_many_blocks_is_warned_of_before_it_rolls_over(
    world: World, clock: MockClock
) -> None:
    world.file("file", bytes(65536 * 8))
    async with world.serving():
        await world.board().ask(rrq("file", blksize=8))
    assert [event.blocks for event in world.told(RolloverExpected)] == [65537]
