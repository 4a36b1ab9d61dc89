"""RRQs without a task: however and whenever one ends, it ends once, and leaves nothing."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock

from snowowl import ClientError, ClientOptions
from snowowl.content.errors import ContentError
from snowowl.content.source import BytesSource
from snowowl.content.store import Recent, Store
from snowowl.observe.events import InternalError, RequestReceived, TransferFinished
from snowowl.observe.observers import Observers
from snowowl.protocol.outcome import OutcomeKind
from snowowl.protocol.read import ReadTransfer
from snowowl.server.exchange import Exchange
from snowowl.server.exchanges import Exchanges
from snowowl.server.generation import Generations
from snowowl.server.policies import Policies
from snowowl.server.readings import Readings
from snowowl.server.registry import Admitted, Registry
from snowowl.testing.link import Datagram
from snowowl.testing.playbook import ack, data, error
from snowowl.wire.constants import ErrorCode
from tests.server.world import Board, Tid, World, rrq

TIDS: tuple[Tid, ...] = ("shared", "own", "listen")
OCTETS = bytes(range(250)) * 10
COLD_FROM = 1024
"""Cold files are on the disk from here on, so that they are begun without a task."""

INTERNAL = error(0, "server error")
STOPPED = error(0, "shutting down")


class Watched(BytesSource):
    """Counts how often it was closed, and may be on a disk for the most part."""

    def __init__(self, octets: bytes, *, cold: bool) -> None:
        super().__init__(octets)
        self.extent = 1
        self.loaded = COLD_FROM if cold else len(octets)
        self.loads = 0
        self.closed = 0

    def ready(self, offset: int, length: int) -> bool:
        return offset + length <= self.loaded

    def load(self, offset: int, length: int) -> None:
        assert not self.closed
        self.loads += 1
        self.loaded = offset + length

    def close(self) -> None:
        self.closed += 1


class Insides:
    """What a server is made of, and the content that it was given."""

    def __init__(self) -> None:
        self.readings: list[Readings] = []
        self.exchanges: list[Exchange] = []
        self.sources: list[Watched] = []

    def open_now(self, name: bytes) -> Watched:
        if name == b"missing":
            raise ContentError(ErrorCode.FILE_NOT_FOUND, "file not found")
        self.sources.append(Watched(OCTETS, cold=name == b"cold"))
        return self.sources[-1]

    def check(self) -> None:
        """Assert that nothing is left."""
        (readings,) = self.readings
        assert not readings._running
        assert len(readings.registry) == readings.registry.unsettled == 0
        for exchange in self.exchanges:
            assert (exchange.borrowers, exchange.members) == (0, {})
            assert not exchange._changed
        assert [source.closed for source in self.sources] == [1] * len(self.sources)


@pytest.fixture
def insides(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Insides]:
    """Watch a server from inside: whatever a test does to it, it must have left nothing behind."""
    insides = Insides()
    begun, borrowed = Readings.__init__, Exchanges.borrow

    def begin(
        self: Readings,
        generations: Generations,
        exchanges: Exchanges,
        registry: Registry,
        observers: Observers,
    ) -> None:
        begun(self, generations, exchanges, registry, observers)
        insides.readings.append(self)

    def borrow(self: Exchanges, admitted: Admitted, *, for_error: bool = False) -> Exchange:
        insides.exchanges.append(borrowed(self, admitted, for_error=for_error))
        return insides.exchanges[-1]

    def open_now(
        self: Store, name_untrusted: bytes, *, netascii: bool, recent: Recent | None = None
    ) -> Watched:
        return insides.open_now(name_untrusted)

    monkeypatch.setattr(Readings, "__init__", begin)
    monkeypatch.setattr(Exchanges, "borrow", borrow)
    monkeypatch.setattr(Store, "open_now", open_now)
    yield insides
    insides.check()


async def is_served(world: World) -> None:
    """Assert that the server goes on."""
    assert (await world.board(4999).ask(rrq("missing")))[0] == error(1, "not found")


async def read_on(board: Board, name: str) -> bytes:
    """Read a file in lock-step, to its end or to an ERROR; return the last packet that came."""
    packet, source = await board.ask(rrq(name, blksize=512))
    last, number = packet, 0
    while packet and packet[:2] != error(0)[:2]:
        last = packet
        packet, _ = await board.ask(ack(number), source)
        number += 1
    return packet or last


# From the first packet to the last, without a task or with one from the middle on.


@pytest.mark.parametrize("tid", TIDS)
@pytest.mark.parametrize("windowsize", [None, 4])
async def test_content_that_turns_out_to_be_cold_is_loaded_by_a_task(
    world: World, clock: MockClock, insides: Insides, tid: Tid, windowsize: int | None
) -> None:
    options = ClientOptions(blksize=512, windowsize=windowsize)
    tasks: list[object] = []
    async with world.serving(world.config(tid)):
        (readings,) = insides.readings
        assert readings.nursery is not None
        for name, wanted in (("warm", 0), ("cold", 1)):
            got: list[bytes] = []

            async def fetch(name: str, got: list[bytes] = got) -> None:
                got.append(await world.get(name, options))

            async with trio.open_nursery() as clients:
                clients.start_soon(fetch, name)
                while not got:
                    await trio.sleep(0.0005)
                    tasks += readings.nursery.child_tasks - set(tasks)
            assert got == [OCTETS]
            named = [task for task in tasks if "Reading._run" in str(task)]
            assert len(named) == wanted
        assert insides.sources[0].loads == 0
        assert insides.sources[1].loads > 0
    assert world.outcomes() == [OutcomeKind.COMPLETED] * 2
    assert [event.octets for event in world.told(TransferFinished)] == [len(OCTETS)] * 2


@pytest.mark.parametrize("tid", TIDS)
async def test_a_client_that_breaks_off_while_content_is_loaded(
    world: World,
    clock: MockClock,
    insides: Insides,
    monkeypatch: pytest.MonkeyPatch,
    tid: Tid,
) -> None:
    """The source is not closed under the thread that reads it."""
    gate = trio.Event()

    async def slow_disk(
        load: Callable[[int, int], None], offset: int, length: int, *, limiter: object
    ) -> None:
        await gate.wait()
        load(offset, length)

    async with world.serving(world.config(tid)):
        monkeypatch.setattr(trio.to_thread, "run_sync", slow_disk)
        board = world.board()
        _, source = await board.ask(rrq("cold"))
        await board.ask(ack(1), source)
        board.send(ack(2), source)
        await trio.sleep(0.1)
        board.send(error(0, "enough"), source)
        await trio.sleep(0.1)
        assert insides.sources[0].closed == 0
        gate.set()
        await trio.sleep(0.1)
        assert insides.sources[0].closed == 1
        assert world.outcomes() == [OutcomeKind.ABORTED]


async def test_a_peer_that_asks_again_while_content_is_loaded(
    world: World, clock: MockClock, insides: Insides
) -> None:
    async with world.serving():
        board = world.board()
        for number in range(20):
            _, source = await board.ask(rrq("cold", blksize=400 + number))
            for block in range(3):
                board.send(ack(block), source)
        await trio.sleep(60)
        assert len(world.outcomes()) == 20


async def test_many_transfers_leave_nothing(
    world: World, clock: MockClock, insides: Insides
) -> None:
    async with world.serving():
        for port in range(2000, 2200):
            assert (await read_on(world.board(port), "warm"))[:4] == data(5)
        await trio.sleep(0.1)
        insides.check()
        assert sum(len(exchange._alarms._heap) for exchange in set(insides.exchanges)) < 300
    assert world.outcomes() == [OutcomeKind.COMPLETED] * 200


# The end of the server.


@pytest.mark.parametrize("tid", TIDS)
@pytest.mark.parametrize("patience", [None, 0.0, 0.002], ids=["cancelled", "drained", "soon"])
@pytest.mark.parametrize("moment", range(1, 24, 2))
async def test_the_server_may_end_at_any_moment(
    world: World, clock: MockClock, insides: Insides, tid: Tid, patience: float | None, moment: int
) -> None:
    """`moment` counts the datagrams of a few transfers of all kinds; then it ends, within a send."""
    sent = 0
    options = ClientOptions(blksize=512, windowsize=2, retries=0)

    async def fetch(name: str) -> None:
        with suppress(ClientError):
            await world.get(name, options)

    config = world.config(tid, drain_seconds=patience or 0)
    async with trio.open_nursery() as clients:
        async with world.serving(config) as nursery:

            def count(datagram: Datagram) -> int | None:
                nonlocal sent
                sent += 1
                if sent == moment:
                    world.drain.set()
                    if patience is None:
                        nursery.cancel_scope.cancel()
                return None

            world.network.refuse_send = count
            for name in ("warm", "cold", "missing", "cold"):
                clients.start_soon(fetch, name)
            await world.drain.wait()
        insides.check()
    assert len(world.told(RequestReceived)) == len(world.outcomes())


@pytest.mark.parametrize("tid", TIDS)
async def test_cancelled_while_content_is_loaded_it_tells_the_peer(
    world: World, clock: MockClock, insides: Insides, monkeypatch: pytest.MonkeyPatch, tid: Tid
) -> None:
    async def dead_disk(*arguments: object, **named: object) -> None:
        await trio.sleep_forever()

    async with world.serving(world.config(tid)) as nursery:
        monkeypatch.setattr(trio.to_thread, "run_sync", dead_disk)
        board = world.board()
        _, source = await board.ask(rrq("cold"))
        assert (await board.ask(ack(1), source))[0][:4] == data(2)
        board.send(ack(2), source)
        await trio.sleep(0.1)
        nursery.cancel_scope.cancel()
    assert (await board.receive())[0] == STOPPED
    assert world.outcomes() == [OutcomeKind.STOPPED]


async def test_nothing_is_begun_after_the_end(
    world: World, clock: MockClock, insides: Insides
) -> None:
    async with world.serving():
        board = world.board()
        _, source = await board.ask(rrq("warm"))
        (admitted,) = insides.readings[0].registry._active
        board.send(error(0, "enough"), source)
        await trio.sleep(0.1)
    assert not insides.readings[0].begin(admitted)


# Bugs of ours: one request is lost, and told so, and that is all.


def breaking(patch: pytest.MonkeyPatch, kind: type, method: str, after: int) -> None:
    """Let a method work so many times, and then never again."""
    function: Callable[[*tuple[object, ...]], object] = getattr(kind, method)
    calls = 0

    def broken(*arguments: object, **named: object) -> object:
        nonlocal calls
        calls += 1
        if calls > after:
            raise ZeroDivisionError("a bug")
        return function(*arguments, **named)

    patch.setattr(kind, method, broken)


@pytest.mark.parametrize("tid", TIDS)
@pytest.mark.parametrize(
    ("name", "kind", "method", "after"),
    [
        ("warm", Watched, "ready", 0),
        ("warm", Watched, "ready", 2),
        ("cold", Watched, "ready", 3),
        ("cold", Watched, "load", 0),
        ("cold", Watched, "load", 1),
        ("warm", Watched, "check", 0),
        ("cold", Watched, "check", 0),
        ("warm", ReadTransfer, "__init__", 0),
        ("warm", ReadTransfer, "start", 0),
        ("warm", ReadTransfer, "go_on", 1),
        ("warm", ReadTransfer, "handle", 0),
        ("warm", ReadTransfer, "handle", 1),
        ("cold", ReadTransfer, "handle", 1),
        ("cold", ReadTransfer, "handle", 2),
        ("cold", ReadTransfer, "handle", 3),
        ("cold", ReadTransfer, "handle", 4),
        ("warm", Policies, "for_local", 0),
        ("warm", Insides, "open_now", 0),
    ],
)
async def test_a_bug_ends_one_request(
    world: World,
    clock: MockClock,
    insides: Insides,
    monkeypatch: pytest.MonkeyPatch,
    tid: Tid,
    name: str,
    kind: type,
    method: str,
    after: int,
) -> None:
    async with world.serving(world.config(tid)):
        with monkeypatch.context() as patch:
            breaking(patch, kind, method, after)
            assert await read_on(world.board(), name) == INTERNAL
            await trio.sleep(1)
        assert world.outcomes() == [OutcomeKind.REFUSED]
        insides.check()
        await is_served(world)
    world.bugs_expected = len(world.told(InternalError))
    assert world.bugs_expected in (1, 2)
    for bug in world.told(InternalError):
        assert "ZeroDivisionError: a bug" in bug.traceback


@pytest.mark.parametrize("tid", TIDS)
@pytest.mark.parametrize("name", ["warm", "cold"])
async def test_a_file_that_cannot_be_closed_is_no_reason_to_forget_its_request(
    world: World,
    clock: MockClock,
    insides: Insides,
    monkeypatch: pytest.MonkeyPatch,
    tid: Tid,
    name: str,
) -> None:
    def broken(source: Watched) -> None:
        source.closed += 1
        raise OSError(errno.EIO, "as NFS says it")

    async with world.serving(world.config(tid)):
        with monkeypatch.context() as patch:
            patch.setattr(Watched, "close", broken)
            assert (await read_on(world.board(), name))[:4] == data(5)
            await trio.sleep(1)
        assert world.outcomes() == [OutcomeKind.COMPLETED]
        insides.check()
        await is_served(world)
    world.bugs_expected = 1


@pytest.mark.parametrize("name", ["warm", "missing"])
async def test_a_request_without_a_socket_is_left_to_a_task(
    world: World, clock: MockClock, insides: Insides, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Whatever the reason is; the task meets it again, and tells it once."""
    async with world.serving():
        with monkeypatch.context() as patch:
            breaking(patch, Exchanges, "borrow", 0)
            world.board().send(rrq(name))
            await trio.sleep(1)
        assert world.outcomes() == [OutcomeKind.REFUSED]
        insides.check()
        await is_served(world)
    world.bugs_expected = 1


@pytest.mark.parametrize("tid", TIDS)
async def test_a_transfer_that_fails_behind_a_blocked_socket_ends_at_once(
    world: World, clock: MockClock, insides: Insides, tid: Tid
) -> None:
    """What failed is sent from the backlog: neither a packet nor a timer makes the pump look."""
    reasons = [errno.EAGAIN, errno.EFAULT]

    def refuse(datagram: Datagram) -> int | None:
        return reasons.pop(0) if datagram.octets[:4] == data(2) and reasons else None

    async with world.serving(world.config(tid)):
        board = world.board()
        _, source = await board.ask(rrq("warm", timeout=100))
        await board.ask(ack(0), source)
        world.network.refuse_send = refuse
        packet, _ = await board.ask(ack(1), source)
        assert packet == error(0, "file changed while it was sent")
        assert world.outcomes() == [OutcomeKind.REFUSED]
        insides.check()


@pytest.mark.parametrize("tid", TIDS)
async def test_the_same_request_right_behind_the_last_ack_is_a_new_one(
    world: World, clock: MockClock, insides: Insides, tid: Tid
) -> None:
    """Both come in one batch: the request is judged before the transfer's end is looked after."""
    async with world.serving(world.config(tid)):
        board = world.board()
        _, source = await board.ask(rrq("warm", blksize=1400))
        await board.ask(ack(0), source)
        assert (await board.ask(ack(1), source))[0][:4] == data(2)
        board.send(ack(2), source)
        again, _ = await board.ask(rrq("warm", blksize=1400))
        assert again[:2] == b"\0\6"
        assert world.outcomes() == [OutcomeKind.COMPLETED]
