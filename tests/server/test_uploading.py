"""Uploads side by side, against limits and announcements: what each client is told, and what is kept."""

from __future__ import annotations

import os
from collections import Counter

import attrs
import pytest
import trio
from trio.testing import MockClock

from snowowl.config import Config, LimitsConfig, NamesConfig, WriteConfig
from snowowl.observe.events import (
    Direction,
    Refusal,
    RequestsRefused,
    TransferFinished,
    TraversalAttempted,
)
from snowowl.protocol.outcome import OutcomeKind
from snowowl.testing.playbook import ack, data, error
from snowowl.wire.constants import ErrorCode
from tests.server.world import Board, Tid, World, finished, rrq, wrq

BLOCK = bytes(512)
BUSY = error(0, "try again")  # no longer than its request
EXISTS = error(6, "file already exists")
FULL = error(3, "disk full or allocation exceeded")
SHORT_OF_FULL = error(3, "disk full")


def config(world: World, write: WriteConfig, tid: Tid = "shared") -> Config:
    """Return a configuration that takes uploads like this."""
    return attrs.evolve(world.config(tid), write=attrs.evolve(write, enabled=True))


async def begin(board: Board, name: str, **options: int) -> bytes:
    """Send a WRQ and one block, and return the server's TID."""
    _, source = await board.ask(wrq(name, **options))
    assert (await board.ask(data(1, BLOCK), source))[0] == ack(1)
    return source


async def end(board: Board, source: bytes, octets: bytes = b"end") -> bytes:
    """Send the last block; return the answer."""
    return (await board.ask(data(2, octets), source))[0]


# Names


@pytest.mark.parametrize(
    "octets", [rrq("../file"), rrq("out"), rrq("a/../b"), wrq("../file"), wrq("dir/x")]
)
async def test_a_name_that_leads_out_is_told_as_such(
    world: World, clock: MockClock, octets: bytes
) -> None:
    (world.root / "out").symlink_to("../outside")
    (world.root / "dir").symlink_to("..")
    (world.root.parent / "outside").write_bytes(b"secret")
    async with world.serving():
        assert (await world.board().ask(octets))[0][:4] == error(2)[:4]
    (event,) = world.told(TraversalAttempted)
    assert event.filename == octets[2:].split(b"\0")[0]
    assert event.direction is (Direction.READ if octets[1] == 1 else Direction.WRITE)
    assert event.client == finished(world).client
    assert finished(world).outcome.kind is OutcomeKind.REFUSED


async def test_other_refusals_are_no_traversal(world: World, clock: MockClock) -> None:
    (world.root / "dir").mkdir()
    (world.root / "loop").symlink_to("loop")
    world.file(".hidden", b"x")
    async with world.serving():
        board = world.board()
        for name in ("missing", "dir", "loop", ".hidden", ".snowowl-x", "dir/.x/y"):
            for octets in (rrq(name), wrq(f"{name}/x" if name != "dir" else name)):
                assert (await board.ask(octets))[0][:2] == b"\0\5"
    assert not world.told(TraversalAttempted)


async def test_hidden_files_are_served_where_that_is_wished(world: World, clock: MockClock) -> None:
    world.file(".hidden", b"x")
    async with world.serving():
        assert (await world.board().ask(rrq(".hidden")))[0] == error(1, "not found")
        assert (await world.board(2001).ask(wrq(".new")))[0][:4] == error(2)[:4]
    wished = attrs.evolve(world.config(), names=NamesConfig(hidden=True))
    async with world.serving(wished):
        assert await world.get(".hidden") == b"x"
        await world.put(b"y", ".new")
    assert (world.root / ".new").read_bytes() == b"y"


async def test_the_name_that_an_upload_gets_is_told(world: World, clock: MockClock) -> None:
    write = WriteConfig(unique="if-taken", unique_name="{stem}_{client}_{number}{suffix}")
    (world.root / "logs").mkdir()
    async with world.serving(config(world, write)):
        for octets in (b"1", b"2"):
            await world.put(octets, "logs/board.txt")
        await world.get("logs/board.txt")
    assert [event.stored for event in world.told(TransferFinished)] == [
        b"logs/board.txt",
        b"logs/board_192.0.2.200_1.txt",
        b"",
    ]
    assert (world.root / "logs/board_192.0.2.200_1.txt").read_bytes() == b"2"


async def test_uploads_have_the_mode_that_is_configured(world: World, clock: MockClock) -> None:
    world.file("old", b"old")
    (world.root / "old").chmod(0o604)
    before = os.umask(0o002)
    try:
        async with world.serving(config(world, WriteConfig(mode="0666", overwrite=True))):
            await world.put(b"x", "new")
            await world.put(b"x", "old")
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in world.root.iterdir()}
    assert modes == {"new": 0o664, "old": 0o604}


async def test_others_may_not_read_uploads_by_default(world: World, clock: MockClock) -> None:
    async with world.serving():
        await world.put(b"x", "new")
    assert (world.root / "new").stat().st_mode & 0o007 == 0


# Side by side


@pytest.mark.parametrize("tid", ["shared", "own", "listen"])
async def test_the_first_that_is_whole_has_the_name_and_the_others_hear_of_it(
    world: World, clock: MockClock, tid: Tid
) -> None:
    async with world.serving(config(world, WriteConfig(), tid)):
        slow, quick, other = [world.board(2000 + number) for number in range(3)]
        tids = [await begin(board, "up") for board in (slow, quick)]
        elsewhere = await begin(other, "elsewhere")
        assert await end(quick, tids[1]) == ack(2)
        assert (await slow.receive())[0] == EXISTS  # without having sent anything more
        assert await end(other, elsewhere) == ack(2)
    assert (world.root / "up").read_bytes() == BLOCK + b"end"
    lost = next(event for event in world.told(TransferFinished) if not event.stored)
    assert (lost.client, lost.outcome.code) == ("192.0.2.9:2000", ErrorCode.FILE_EXISTS)
    assert lost.detail == "another upload of this name was whole before"


async def test_where_files_are_replaced_the_last_that_is_whole_stays(
    world: World, clock: MockClock
) -> None:
    async with world.serving(config(world, WriteConfig(overwrite=True))):
        boards = [world.board(2000 + number) for number in range(3)]
        tids = [await begin(board, "up") for board in boards]
        for number in (1, 2, 0):
            assert await end(boards[number], tids[number], b"%d" % number) == ack(2)
            assert (world.root / "up").read_bytes() == BLOCK + b"%d" % number
    assert world.outcomes() == [OutcomeKind.COMPLETED] * 3


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("port", [2000, 2001])
async def test_a_board_that_was_reset_uploads_anew(
    world: World, clock: MockClock, overwrite: bool, port: int
) -> None:
    async with world.serving(config(world, WriteConfig(overwrite=overwrite))):
        board = world.board(2000)
        await begin(board, "up")
        if port != 2000:
            board = world.board(port)
        source = await begin(board, "up")
        assert await end(board, source, b"anew") == ack(2)
    assert (world.root / "up").read_bytes() == BLOCK + b"anew"


@pytest.mark.parametrize("unique", ["if-taken", "always"])
async def test_uploads_with_names_of_their_own_never_meet(
    world: World, clock: MockClock, unique: str
) -> None:
    write = WriteConfig(unique="always" if unique == "always" else "if-taken")
    async with world.serving(config(world, write)):
        boards = [world.board(2000 + number) for number in range(4)]
        tids = [await begin(board, "up") for board in boards]
        for number, board in enumerate(boards):
            assert await end(board, tids[number], b"%d" % number) == ack(2)
    kept = {event.stored: event.client for event in world.told(TransferFinished)}
    assert len(kept) == 4
    for name, client in kept.items():
        octets = (world.root / os.fsdecode(name)).read_bytes()
        assert octets == BLOCK + b"%d" % (int(client.rpartition(":")[2]) - 2000)


# Limits


async def test_too_many_uploads_are_told_to_try_again(world: World, clock: MockClock) -> None:
    limited = attrs.evolve(world.config(), limits=LimitsConfig(uploads_max=2))
    async with world.serving(limited):
        boards = [world.board(2000 + number) for number in range(3)]
        tids = [await begin(board, f"up{number}") for number, board in enumerate(boards[:2])]
        assert (await boards[2].ask(wrq("up2")))[0] == BUSY
        assert await end(boards[0], tids[0]) == ack(2)
        await begin(boards[2], "up2")  # while the first dallies
        assert await end(boards[1], tids[1]) == ack(2)
    refused = [event.refusal for event in world.told(TransferFinished)]
    assert refused[0] is Refusal.UPLOADS
    assert set(refused[1:]) == {None}


async def test_requests_that_nobody_answers_do_not_keep_uploads_out(
    world: World, clock: MockClock
) -> None:
    limited = attrs.evolve(world.config(), limits=LimitsConfig(uploads_max=2))
    async with world.serving(limited):
        honest = world.board(3000)
        source = await begin(honest, "up")
        forged = [world.board(2000 + number) for number in range(3)]
        for number, board in enumerate(forged):
            assert (await board.ask(wrq(f"forged{number}")))[0] == ack(0)
        # No longer than its request: who it is sent to may not have asked for it.
        assert (await forged[0].receive())[0] == error(0, "try again")
        assert await end(honest, source) == ack(2)
    assert [path.name for path in world.root.iterdir()] == ["up"]
    first = world.told(TransferFinished)[0]
    assert (first.filename, first.refusal) == (b"forged0", Refusal.UPLOADS)


@pytest.mark.parametrize("tsize", [511, 514, 10_000])
async def test_not_as_much_as_was_announced_is_not_kept(
    world: World, clock: MockClock, tsize: int
) -> None:
    async with world.serving():
        board = world.board()
        source = await begin(board, "up", tsize=tsize)
        assert await end(board, source, b"x") == error(0, "upload is not of the announced size")
        assert await board.hears_nothing()
    assert not list(world.root.iterdir())
    assert finished(world).detail == (f"upload of 'up': 513 octets came, {tsize} were announced")


def limits_met(world: World) -> list[Refusal]:
    """Return which limits transfers have ended of, each also told of with the others of its kind."""
    met = [event.refusal for event in world.told(TransferFinished) if event.refusal is not None]
    told = Counter[Refusal]()
    for event in world.told(RequestsRefused):
        told[event.refusal] += event.count
    assert told == Counter(met)
    return met


@pytest.mark.parametrize("announced", [True, False])
async def test_a_quota_is_kept_by_all_uploads_together(
    world: World, clock: MockClock, announced: bool
) -> None:
    world.file("old", bytes(1000))
    options = {"tsize": 600} if announced else {}
    async with world.serving(config(world, WriteConfig(quota=1000 + 1030))):
        with trio.fail_after(60):
            boards = [world.board(2000 + number) for number in range(2)]
            source = await begin(boards[0], "up", **options)
            if announced:
                assert (await boards[1].ask(wrq("more", tsize=600)))[0] == SHORT_OF_FULL
            else:
                second = await begin(boards[1], "more")
                assert await end(boards[1], second, BLOCK) == FULL
            assert await end(boards[0], source, bytes(88)) == ack(2)
    assert sorted(path.name for path in world.root.iterdir()) == ["old", "up"]
    assert limits_met(world) == [Refusal.QUOTA]


async def test_the_free_space_is_kept(
    world: World, clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = [1000]
    for module in ("temporary", "uploads"):
        monkeypatch.setattr(f"snowowl.content.{module}.free_octets", lambda place: free[0])
    async with world.serving(config(world, WriteConfig(free_min=400))):
        boards = [world.board(2000 + number) for number in range(3)]
        assert (await boards[0].ask(wrq("up", tsize=601)))[0] == SHORT_OF_FULL
        source = await begin(boards[1], "up", tsize=600)
        assert await end(boards[1], source, bytes(88)) == ack(2)
        source = await begin(boards[2], "more", tsize=600)
        free[0] = 900
        assert await end(boards[2], source, bytes(88)) == FULL
        free[0] = 399
        assert (await boards[0].ask(wrq("later")))[0] == SHORT_OF_FULL
    assert [path.name for path in world.root.iterdir()] == ["up"]
    assert limits_met(world) == [Refusal.FREE_SPACE] * 3
    assert [event.count for event in world.told(RequestsRefused)] == [1, 2]


@pytest.mark.parametrize("announced", [True, False])
async def test_no_upload_is_larger_than_it_may_be(
    world: World, clock: MockClock, announced: bool
) -> None:
    async with world.serving(config(world, WriteConfig(size_max=600))):
        board = world.board()
        if announced:
            assert (await board.ask(wrq("up", tsize=601)))[0] == SHORT_OF_FULL
        else:
            assert await end(board, await begin(board, "up"), bytes(89)) == FULL
    assert list(world.root.iterdir()) == []
    assert limits_met(world) == [Refusal.UPLOAD_SIZE]
