"""Another configuration for a running server: who is served by which, what stays, what is left."""

from __future__ import annotations

import gc
import random
import shutil
from pathlib import Path
from typing import get_args

import attrs
import pytest
import trio
from trio.testing import MockClock

from snowowl import ClientOptions
from snowowl.config import (
    AccessConfig,
    Config,
    LimitsConfig,
    MetricsConfig,
    PerformanceConfig,
    ProtocolConfig,
    SocketsConfig,
    WriteConfig,
)
from snowowl.config.performance import FilesConfig
from snowowl.content.store import Store
from snowowl.observe.events import ReloadFailed, ServerReloaded, TransferFinished
from snowowl.protocol.outcome import OutcomeKind
from snowowl.server import reloading as module
from snowowl.server.reloading import (
    FIXED_FOR_ALL,
    FIXED_IN_PLACE,
    ConflictError,
    change_to,
)
from snowowl.testing.link import Link
from snowowl.testing.playbook import ack, data, error
from snowowl.testing.simnetwork import SimNetwork
from tests.server.world import Tid, World, rrq, wrq

TIDS: tuple[Tid, ...] = get_args(Tid)
BAD = Link(loss=0.1, duplication=0.05, reordering=0.1, delay_seconds=0.005, late_seconds=0.01)


def with_root(config: Config, root: Path) -> Config:
    return attrs.evolve(config, server=attrs.evolve(config.server, root=root))


def another_root(world: World, name: str, octets: bytes) -> Path:
    root = world.root.parent / name
    root.mkdir(exist_ok=True)
    (root / "file").write_bytes(octets)
    return root


# Who is served by which.


@pytest.mark.parametrize("tid", TIDS)
@pytest.mark.parametrize("seed", [1, 2])
async def test_octets_are_of_the_version_that_a_transfer_began_with(
    world: World, clock: MockClock, tid: Tid, seed: int
) -> None:
    """Over a bad link, with reloads in the middle of nearly every transfer."""
    world.network = SimNetwork(seed, BAD, coalesces=seed == 2)
    draws = random.Random(seed)
    versions = [draws.randbytes(size) for size in (8_000, 7_999, 100, 66_000)]
    roots = [another_root(world, f"root{n}", octets) for n, octets in enumerate(versions)]
    now = 0
    got: list[tuple[int, int, bytes]] = []
    done = trio.Event()

    async def board(windowsize: int) -> None:
        for _ in range(4):
            before = now
            octets = await world.get("file", ClientOptions(blksize=512, windowsize=windowsize))
            got.append((before, now, octets))

    async def reload() -> None:
        nonlocal now
        while not done.is_set():
            await trio.sleep(draws.uniform(0.01, 1.0))
            now += 1
            await world.reload(with_root(config, roots[now % len(roots)]))

    config = world.config(tid)
    async with world.serving(with_root(config, roots[0])), trio.open_nursery() as reloads:
        reloads.start_soon(reload)
        async with trio.open_nursery() as boards:
            for windowsize in (1, 1, 4, 16):
                boards.start_soon(board, windowsize)
        done.set()
    assert len(got) == 16
    for before, after, octets in got:
        assert octets in [versions[n % len(versions)] for n in range(before, after + 1)]
    assert len({octets for _, _, octets in got}) >= 3
    assert any(after > before + 1 for before, after, _ in got)


@pytest.mark.parametrize("tid", TIDS)
async def test_what_runs_keeps_what_it_was_granted_and_what_begins_gets_the_new(
    world: World, clock: MockClock, tid: Tid
) -> None:
    octets = world.file("file", random.Random(1).randbytes(5000))
    config = world.config(tid, protocol=ProtocolConfig(blksize_max=600))
    async with world.serving(config):
        old, new = world.board(2000), world.board(2001)
        packet, source = await old.ask(rrq("file", blksize=1400))
        assert packet == b"\0\6blksize\x00600\0"
        told = await world.reload(attrs.evolve(config, protocol=ProtocolConfig(blksize_max=1000)))
        assert told == ServerReloaded(str(world.root), (), ("protocol.blksize_max: 1000, was 600",))
        assert (await new.ask(rrq("file", blksize=1400)))[0] == b"\0\6blksize\x001000\0"
        for number in range(9):
            packet, _ = await old.ask(ack(number), source)
            assert packet == data(number + 1, octets[number * 600 :][:600])
        old.send(ack(9), source)


async def test_an_upload_ends_by_the_rules_that_it_began_with(
    world: World, clock: MockClock
) -> None:
    config = world.config()
    elsewhere = another_root(world, "elsewhere", b"")
    async with world.serving(config):
        old, new = world.board(2000), world.board(2001)
        _, source = await old.ask(wrq("up"))
        closed = attrs.evolve(with_root(config, elsewhere), write=WriteConfig())
        await world.reload(closed)
        refused = (await new.ask(wrq("up", blksize=1000, timeout=1)))[0]
        assert refused == error(2, "uploads are not enabled")
        assert (await old.ask(data(1, b"octets"), source))[0] == ack(1)
    assert (world.root / "up").read_bytes() == b"octets"
    assert not (elsewhere / "up").exists()


async def test_who_waits_for_a_disk_is_served_by_what_it_began_with(
    world: World, clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its root must not be closed before it was opened there."""
    world.file("file", b"old")
    opened, gate = Store.open, trio.Event()

    async def slowly(store: Store, name_untrusted: bytes, *, netascii: bool) -> object:
        await gate.wait()
        return await opened(store, name_untrusted, netascii=netascii)

    monkeypatch.setattr(Store, "open_now", lambda *_, **__: None)
    monkeypatch.setattr(Store, "open", slowly)
    config = world.config()
    async with world.serving(config):
        board = world.board()
        board.send(rrq("file"))
        await trio.sleep(0.1)
        monkeypatch.undo()
        await world.reload(with_root(config, another_root(world, "new", b"new")))
        gate.set()
        packet, source = await board.receive()
        assert packet == data(1, b"old")
        board.send(ack(1), source)


async def test_a_limit_counts_at_once(world: World, clock: MockClock) -> None:
    world.file("file", bytes(2000))
    config = world.config(transfers_max=1)
    async with world.serving(config):
        boards = [world.board(port) for port in range(2000, 2004)]
        assert (await boards[0].ask(rrq("file")))[0] == data(1, bytes(512))
        assert (await boards[1].ask(rrq("file")))[0][:4] == error(0)[:4]
        await world.reload(attrs.evolve(config, limits=LimitsConfig(transfers_max=2)))
        assert (await boards[2].ask(rrq("file")))[0] == data(1, bytes(512))
        assert (await boards[3].ask(rrq("file")))[0][:4] == error(0)[:4]


def ports(world: World) -> set[int]:
    """Return the ports that answers come from."""
    return {
        int.from_bytes(endpoint.address[2:4], "big")
        for endpoint in world.network.endpoints.values()
        if endpoint not in world._boards
    } - {69}


@pytest.mark.parametrize("tids", [("shared", "shared"), ("shared", "own"), ("own", "shared")])
async def test_answers_come_from_the_new_ports_and_the_old_ones_close_with_their_transfers(
    world: World, clock: MockClock, tids: tuple[Tid, Tid]
) -> None:
    octets = world.file("file", bytes(600))
    config = world.config(tids[0], port_range=(5000, 5009))
    async with world.serving(config):
        idle, old, new = (world.board(port) for port in range(2000, 2003))
        _, source = await idle.ask(rrq("file"))
        idle.send(error(0, "enough"), source)
        _, source = await old.ask(rrq("file"))
        for port_range in ((6000, 6009), (7000, 7009)):
            await world.reload(world.config(tids[1], port_range=port_range))
            assert 5000 <= min(ports(world)) < 5010
            assert await world.get("file") == octets
            first, last = port_range
            assert all(port < 5010 or first <= port <= last for port in ports(world))
        _, latest = await new.ask(rrq("file"))
        assert (await old.ask(ack(1), source))[0] == data(2, bytes(88))
        old.send(ack(2), source)
        await trio.sleep(0.1)
        assert ports(world) <= set(range(7000, 7010))
        assert (await new.ask(ack(1), latest))[0] == data(2, bytes(88))
        new.send(ack(2), latest)
    assert world.outcomes().count(OutcomeKind.COMPLETED) == 4


# What becomes of a reload.


@pytest.mark.parametrize("tid", TIDS)
async def test_a_root_that_cannot_be_opened(world: World, clock: MockClock, tid: Tid) -> None:
    octets = world.file("file", b"old")
    config = world.config(tid)
    async with world.serving(config):
        told = await world.reload(
            attrs.evolve(
                with_root(config, world.root / "missing"), protocol=ProtocolConfig(blksize_max=8)
            )
        )
        assert isinstance(told, ReloadFailed)
        assert told.reason == (
            f"cannot serve {world.root / 'missing'}: no such directory; create it, or name another"
            " one; the server goes on as it was"
        )
        assert await world.get("file") == octets
        assert await world.reload(config) == ServerReloaded(str(world.root), ())


async def test_the_root_is_opened_anew_though_nothing_has_changed(
    world: World, clock: MockClock
) -> None:
    world.file("file", b"old")
    async with world.serving():
        world.root.rename(world.root.parent / "before")
        world.root.mkdir()
        world.file("file", b"new")
        assert await world.get("file") == b"old"
        assert await world.reload(world.config()) == ServerReloaded(str(world.root), ())
        assert await world.get("file") == b"new"


async def test_what_cannot_change_stays_and_is_named(world: World, clock: MockClock) -> None:
    world.file("file", bytes(100))
    config = world.config()
    wanted = attrs.evolve(
        config,
        server=attrs.evolve(config.server, listen=("*:70",), tid="listen", landlock=False),
        metrics=MetricsConfig(listen="127.0.0.1:1"),
        access=AccessConfig(deny=("10.0.0.0/8",)),
        performance=PerformanceConfig(
            sockets=SocketsConfig(recv_buffer_kb=4), files=FilesConfig(access_hint="normal")
        ),
    )
    async with world.serving(config):
        for _ in range(2):  # they are kept, not forgotten
            told = await world.reload(wanted)
            assert isinstance(told, ServerReloaded)
            assert told.kept == (
                "server.listen",
                "server.tid",
                "server.landlock",
                "metrics.listen",
                "performance.sockets.recv_buffer_kb",
            )
        first, second = world.told(ServerReloaded)
        assert first.changed == (
            'access.deny: ["10.0.0.0/8"], was []',
            'performance.files.access_hint: "normal", was "sequential"',
        )
        assert second.changed == ()
        assert await world.get("file") == bytes(100)


async def test_keys_that_the_caller_says_cannot_change(world: World, clock: MockClock) -> None:
    octets = world.file("file", b"old")
    config = world.config()
    world.unchangeable = ["server.root"]
    async with world.serving(config):
        told = await world.reload(with_root(config, another_root(world, "new", b"new")))
        assert told == ServerReloaded(str(world.root), ("server.root",))
        assert await world.get("file") == octets
        # The same path, and the caller says that it leads elsewhere now.
        failed = await world.reload(config)
        assert isinstance(failed, ReloadFailed)
        assert failed.reason.startswith("server.root: what lies there is not what did when")
        assert await world.get("file") == octets


async def test_whatever_goes_wrong_the_server_goes_on(
    world: World, clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    octets = world.file("file", b"old")

    async def no_threads(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    async with world.serving():
        monkeypatch.setattr(module, "open_generation", no_threads)
        told = await world.reload(world.config())
        assert isinstance(told, ReloadFailed)
        assert "can't start new thread" in told.reason
        assert await world.get("file") == octets


def test_values_that_cannot_stand_together_with_what_stays() -> None:
    new = Config(protocol=ProtocolConfig(timeout_min_seconds=0.5, timeout_initial_seconds=0.5))
    old = Config()
    assert change_to(new, old, FIXED_FOR_ALL).config == new
    with pytest.raises(ConflictError, match=r"protocol\.timeout_min_seconds"):
        change_to(
            attrs.evolve(
                new, protocol=ProtocolConfig(timeout_min_seconds=3.0, timeout_initial_seconds=3.0)
            ),
            old,
            FIXED_FOR_ALL,
            lambda _: ["protocol.timeout_initial_seconds"],
        )


def test_workers_may_change_what_one_process_cannot() -> None:
    new = Config(performance=PerformanceConfig(sockets=SocketsConfig(recv_buffer_kb=4)))
    assert change_to(new, Config(), FIXED_FOR_ALL).kept == ()
    assert change_to(new, Config(), FIXED_IN_PLACE).kept == ("performance.sockets.recv_buffer_kb",)


# What is left.


def descriptors() -> int:
    gc.collect()  # an exchange of one transfer and what it sent last are in a circle
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("tid", TIDS)
async def test_a_thousand_reloads_leave_nothing(world: World, clock: MockClock, tid: Tid) -> None:
    """Transfers of the first and of some others run all the while."""
    draws = random.Random(1)
    octets = world.file("file", draws.randbytes(100_000))  # mapped, so that it has a descriptor
    roots = [another_root(world, f"root{n}", draws.randbytes(70_000 + n)) for n in range(4)]
    config = world.config(tid)
    got: list[bytes] = []

    async def fetch() -> None:
        got.append(await world.get("file", ClientOptions(blksize=512, windowsize=1)))

    async with world.serving(config):
        await world.get("file")
        before = descriptors()
        async with trio.open_nursery() as boards:
            boards.start_soon(fetch)
            await trio.sleep(0.01)
            for number in range(1000):
                limits = LimitsConfig(transfers_max=number + 10)
                await world.reload(
                    attrs.evolve(with_root(config, roots[number % 4]), limits=limits)
                )
                if number % 300 == 0:
                    boards.start_soon(fetch)
                    await trio.sleep(0.01)
            assert not got
            # Root and file (mapped and as it is) of each that still runs, and the current root.
            assert descriptors() <= before + 5 * 3
        await world.reload(config)
        await trio.sleep(10)
        await world.get("file")
        assert descriptors() <= before
    assert len(world.told(ServerReloaded)) == 1001
    assert got.count(octets) == 1
    assert len(got) == 5
    assert {finished.outcome.kind for finished in world.told(TransferFinished)} == {
        OutcomeKind.COMPLETED
    }
    for root in roots:
        shutil.rmtree(root)
