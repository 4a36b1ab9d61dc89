"""The pump: order under back pressure, faults of one transfer, timers, content that is slow."""

from __future__ import annotations

import errno
import itertools
import math
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from operator import length_hint

import pytest
import trio
from trio.testing import MockClock

from snowowl import ClientOptions
from snowowl.content.errors import ContentError
from snowowl.content.sink import HIGH_WATER, Sink
from snowowl.content.source import BytesSource
from snowowl.content.store import Store
from snowowl.datagram.interface import Received
from snowowl.observe.events import InternalError, TransferFinished
from snowowl.observe.observers import Observers
from snowowl.protocol.actions import Actions
from snowowl.protocol.events import DatagramsReceived, Event
from snowowl.protocol.negotiation import Policy
from snowowl.protocol.outcome import OutcomeKind
from snowowl.protocol.read import ReadTransfer
from snowowl.server.alarms import STALE_MAX
from snowowl.server.exchange import BATCHES_PER_TURN, Exchange
from snowowl.server.member import Member
from snowowl.testing.link import Datagram
from snowowl.testing.playbook import ack, data, error, oack
from snowowl.testing.simnetwork import SimNetwork, socket_address
from snowowl.wire.codec import block_number_of, opcode_of
from snowowl.wire.constants import ErrorCode, Opcode
from snowowl.wire.packets import ReadRequest
from tests.server.world import LISTENING, Board, Tid, World, finished, rrq, wrq

PEER = socket_address("192.0.2.9", 2000)


@asynccontextmanager
async def running(network: SimNetwork) -> AsyncIterator[Exchange]:
    """Give an exchange that runs by itself, without a server, and peers that are silent."""
    for port in (1, 2, 3, 2000):
        network.bind("192.0.2.9", port)
    exchange = Exchange(network.bind("192.0.2.1", 5000), Observers())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(exchange.run)
        await trio.testing.wait_all_tasks_blocked()
        yield exchange
        exchange.close()


def member(size: int = 2000, peer: bytes = PEER, **options: int) -> Member:
    asked = tuple((name.encode(), b"%d" % value) for name, value in options.items())
    transfer = ReadTransfer(ReadRequest(b"file", options=asked), Policy(), size)
    return Member(peer, transfer, source=BytesSource(bytes(size)))


# Back pressure.


async def test_what_the_socket_does_not_take_goes_later_in_order(
    world: World, clock: MockClock
) -> None:
    octets = world.file("file", bytes(range(256)) * 400)
    tries: Counter[bytes] = Counter()

    def refuse(datagram: Datagram) -> int | None:
        tries[datagram.octets] += 1
        return errno.EAGAIN if len(tries) % 3 == 0 and tries[datagram.octets] == 1 else None

    world.network.refuse_send = refuse
    async with world.serving():
        options = ClientOptions(blksize=512, windowsize=16, timeout=1)  # so that no probe is sent
        assert await world.get("file", options) == octets
        await world.put(octets, "up", options)
    assert (world.root / "up").read_bytes() == octets
    assert [event.octets for event in world.told(TransferFinished)] == [len(octets)] * 2
    blocks = [
        block_number_of(packet)
        for packet in world.sent_by_server()
        if opcode_of(packet) == Opcode.DATA
    ]
    assert blocks == sorted(set(blocks))  # none lost, none twice, none out of turn


async def test_a_blocked_socket_stops_the_pump_and_not_the_server(
    world: World, clock: MockClock
) -> None:
    """Nothing is received while nothing can be sent: what would be answered waits in the kernel."""
    world.file("file", bytes(2000))
    async with world.serving():
        first, second = world.board(2000), world.board(2001)
        _, tid = await first.ask(rrq("file"))
        world.network.refuse_send = lambda d: errno.EAGAIN if d.source == tid else None
        assert await first.ask(ack(1), tid) == (b"", b"")
        answer, _ = await second.ask(rrq("missing"))  # of another socket, or after the block
        world.network.refuse_send = None
        assert (await first.receive())[0] == data(2, bytes(512))
        if not answer:
            answer, _ = await second.receive()
        assert answer == error(1, "not found")


async def test_a_file_that_shrank_ends_its_transfer_only(world: World, clock: MockClock) -> None:
    world.file("file", bytes(2000))
    async with world.serving():
        board, other = world.board(2000), world.board(2001)
        _, tid = await board.ask(rrq("file"))
        _, other_tid = await other.ask(rrq("file"))

        def fault(datagram: Datagram) -> int | None:
            gone = datagram.target == board.endpoint.address
            return errno.EFAULT if gone and opcode_of(datagram.octets) == Opcode.DATA else None

        world.network.refuse_send = fault
        assert (await board.ask(ack(1), tid))[0] == error(0, "file changed while it was sent")
        assert (await other.ask(ack(1), other_tid))[0] == data(2, bytes(512))
        assert world.outcomes() == [OutcomeKind.REFUSED]
        for number in (2, 3, 4):
            await other.ask(ack(number), other_tid)
    assert world.outcomes() == [OutcomeKind.REFUSED, OutcomeKind.COMPLETED]


async def test_a_block_that_is_too_large_for_the_kernel_is_said(
    world: World, clock: MockClock
) -> None:
    world.file("file", bytes(2000))
    world.network.refuse_send = lambda d: errno.EMSGSIZE if len(d.octets) > 1000 else None
    async with world.serving():
        board = world.board()
        _, tid = await board.ask(rrq("file", blksize=1400))
        packet, _ = await board.ask(ack(0), tid)
        assert packet == error(0, "blksize is too large for the network")


async def test_a_socket_that_fails_to_receive_does_not_spin_and_heals(
    world: World, clock: MockClock
) -> None:
    octets = world.file("file", bytes(2000))
    async with world.serving():
        board = world.board()
        _, tid = await board.ask(rrq("file"))
        for address in (tid, socket_address("::", 69)):
            world.network.endpoints[address].receive_errors = 500
        assert (await board.ask(ack(1), tid))[0] in (b"", data(2, bytes(512)))
        assert await world.get("file") == octets
        assert world.network.endpoints[tid].counters.errors == 500


# Bugs.


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("event", ["datagram", "timer"])
async def test_a_bug_in_one_transfer_ends_that_one_only(
    world: World, clock: MockClock, monkeypatch: pytest.MonkeyPatch, event: str, again: bool
) -> None:
    """Even if the machine can do nothing any more but raise."""
    world.file("file", bytes(2000))
    world.file("other", bytes(2000))
    async with world.serving():
        board, other = world.board(2000), world.board(2001)
        _, tid = await board.ask(rrq("file", blksize=512))
        _, other_tid = await other.ask(rrq("other"))
        handle = ReadTransfer.handle
        raised: list[Event] = []

        def broken(transfer: ReadTransfer, event: Event) -> Actions:
            if transfer.terms.granted and (again or not raised):
                raised.append(event)
                raise ZeroDivisionError
            return handle(transfer, event)

        monkeypatch.setattr(ReadTransfer, "handle", broken)
        if event == "datagram":
            board.send(ack(0), tid)
        assert (await board.receive(1.5))[0] == error(0, "server error")
        assert world.outcomes() == [OutcomeKind.REFUSED]
        assert len(raised) == 1 + again
        while True:  # what the timer has sent meanwhile
            packet, _ = await other.receive()
            if not packet:
                break
        for number in (1, 2, 3):
            assert (await other.ask(ack(number), other_tid))[0][:4] == data(number + 1)
        other.send(ack(4), other_tid)
        await trio.sleep(1)
    world.bugs_expected = 1
    assert "ZeroDivisionError" in world.told(InternalError)[0].traceback
    assert world.outcomes() == [OutcomeKind.REFUSED, OutcomeKind.COMPLETED]


async def test_a_bug_in_the_first_step_is_told_too(
    world: World, clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(transfer: ReadTransfer, now: float) -> Actions:
        raise ZeroDivisionError

    world.file("file", bytes(2000))
    monkeypatch.setattr(ReadTransfer, "start", broken)
    async with world.serving():
        board = world.board()
        assert (await board.ask(rrq("file")))[0] == error(0, "server error")
    world.bugs_expected = 1
    assert world.outcomes() == [OutcomeKind.REFUSED]


# Strangers.


@pytest.mark.rule("R7")
async def test_a_stranger_gets_error_5_and_an_error_gets_nothing(
    world: World, clock: MockClock
) -> None:
    octets = world.file("file", bytes(2000))
    async with world.serving():
        board, stranger = world.board(2000), world.board(2001)
        _, tid = await board.ask(rrq("file"))
        for packet in (ack(1), data(1, b"x")):
            assert (await stranger.ask(packet, tid))[0] == error(5, "unknown TID")
        for packet in (error(5, "no"), error(0), b"", b"\0", b"\0\x09", rrq("file"), oack(a=1)):
            assert await stranger.ask(packet, tid) == (b"", b"")
        received = octets[:512]
        for number in (1, 2, 3):
            received += (await board.ask(ack(number), tid))[0][4:]
        board.send(ack(4), tid)
        await trio.sleep(0.1)
    assert received == octets
    assert finished(world).outcome.kind is OutcomeKind.COMPLETED


@pytest.mark.rule("R8")
@pytest.mark.parametrize("tid", ["shared", "listen"])
async def test_what_strays_to_the_listening_port_is_dropped(
    world: World, clock: MockClock, tid: str
) -> None:
    async with world.serving(world.config("listen" if tid == "listen" else "shared")):
        board = world.board()
        for packet in (ack(1), data(1, b"x"), error(5), b"", b"\0", oack(blksize=8)):
            assert await board.ask(packet) == (b"", b"")


async def test_a_peer_whose_port_is_closed_ends_its_transfer(
    world: World, clock: MockClock
) -> None:
    world.file("file", bytes(2000))
    async with world.serving():
        board = world.network.bind("192.0.2.9", 2000)
        await Board(board, LISTENING).ask(rrq("file"))
        board.close()
        await trio.sleep(2)
        assert world.outcomes() == [OutcomeKind.UNREACHABLE]


# Timers.


async def test_timers_expire_in_their_order_and_only_for_who_is_due(clock: MockClock) -> None:
    network = SimNetwork()
    async with running(network) as exchange:
        start = trio.current_time()
        members = [member(peer=socket_address("192.0.2.9", port)) for port in (1, 2, 3)]
        for delay, each in zip((0.0, 0.3, 0.3), members, strict=True):
            await trio.sleep(delay)
            exchange.join(each)
            exchange.flush()
        await trio.sleep_until(start + 1.95)
        sent = [
            (round(datagram.sent_at - start, 3), datagram.target[3])
            for datagram in network.datagrams
        ]
    assert sent == [(0.0, 1), (0.3, 2), (0.6, 3), (1.0, 1), (1.3, 2), (1.6, 3)]


async def test_a_deadline_that_moves_is_looked_at_once(clock: MockClock) -> None:
    """Earlier ones are obeyed; the heap holds one live entry for a transfer, however often it moves."""
    network = SimNetwork()
    async with running(network) as exchange:
        each = member(timeout=200)
        exchange.join(each)
        for seconds in (100.0, 50.0, 3.0):
            each.transfer.deadline = trio.current_time() + seconds
            exchange.deliver(each, DatagramsReceived(b"", 1, trio.current_time()))
        assert len(exchange._alarms._heap) <= 4
        await trio.sleep(3.5)
        assert len(network.datagrams) == 2
        await trio.sleep(1000)
        assert len(exchange._alarms._heap) <= 2


async def test_who_is_suspended_sends_nothing_until_it_is_resumed(clock: MockClock) -> None:
    network = SimNetwork()
    async with running(network) as exchange:
        each = member()
        exchange.join(each)
        each.suspended = True
        await trio.sleep(20)
        assert len(network.datagrams) == 1
        exchange.resume(each)
        await trio.sleep(0.1)
        assert len(network.datagrams) == 2


async def test_who_has_left_is_forgotten(clock: MockClock) -> None:
    network = SimNetwork()
    async with running(network) as exchange:
        each = member()
        exchange.join(each)
        exchange.leave(each)
        exchange.leave(each)
        await trio.sleep(20)
        assert len(network.datagrams) == 1
        assert each.alarm == math.inf
        assert not exchange._alarms._heap


async def test_clients_that_break_off_leave_nothing_in_memory(clock: MockClock) -> None:
    """Whatever timeout they had asked for; and those that stay are not forgotten."""
    network = SimNetwork()
    async with running(network) as exchange:
        patient = member(peer=socket_address("192.0.2.9", 1), timeout=255)
        exchange.join(patient)
        for _ in range(5 * STALE_MAX):
            each = member(timeout=255)
            exchange.join(each)
            exchange.deliver(each, DatagramsReceived(error(0), 5, trio.current_time()))
            assert each.transfer.finished
        assert len(exchange._alarms._heap) <= STALE_MAX + 2
        sent = len(network.datagrams)
        await trio.sleep(256)
        assert [datagram.target[3] for datagram in network.datagrams[sent:]] == [1]


@pytest.mark.parametrize("tid", ["listen", "shared"])
async def test_an_upload_whose_place_is_taken_while_it_commits_ends(
    world: World, clock: MockClock, monkeypatch: pytest.MonkeyPatch, tid: Tid
) -> None:
    """It is kept, and its task does not wait for ever: it would count against transfers_max."""
    commit = Sink.commit

    async def slowly(sink: Sink) -> None:
        await trio.sleep(1)
        await commit(sink)

    monkeypatch.setattr(Sink, "commit", slowly)
    world.file("file", b"x")
    async with world.serving(world.config(tid, transfers_max=9)):
        board = world.board()
        for number in range(9):
            _, source = await board.ask(wrq(f"new{number}"))
            board.send(data(1, b"y"), source)
            await trio.sleep(0.02)
        await trio.sleep(60)
        for port in range(3000, 3009):
            assert (await world.board(port).ask(rrq("file")))[0] == data(1, b"x")
    for number in range(9):
        assert (world.root / f"new{number}").read_bytes() == b"y"


async def test_a_transfer_that_joins_ends_the_one_that_stands(clock: MockClock) -> None:
    async with running(SimNetwork()) as exchange:
        first, second = member(), member()
        exchange.join(first)
        exchange.join(second)
        assert first.transfer.outcome is not None
        assert first.transfer.outcome.kind is OutcomeKind.SUPERSEDED
        assert exchange.members == {PEER: second}


async def test_other_tasks_get_their_turn_in_a_flood(
    clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = SimNetwork()
    turns = 0
    async with running(network) as exchange:
        endpoint = network.endpoints[exchange.endpoint.address]
        flood = [Received(error(0), 5, PEER)]
        left = 100

        def receive() -> Sequence[Received]:
            nonlocal left
            left -= 1
            return flood if left > 0 else ()

        monkeypatch.setattr(endpoint, "receive", receive)
        endpoint.receive_errors = 1
        for _ in range(20):
            await trio.lowlevel.checkpoint()
            turns += left > 0
        assert turns > 5


async def test_catching_up_has_an_end_in_a_flood(
    clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And takes nothing while the socket takes no answers, which would pile up."""
    network = SimNetwork()
    async with running(network) as exchange:
        batches = itertools.repeat([Received(ack(1), 4, PEER)], 1000)
        monkeypatch.setattr(exchange._intake, "_receive", lambda: next(batches))
        exchange.catch_up()
        assert length_hint(batches) == 1000 - BATCHES_PER_TURN
        network.refuse_send = lambda _: errno.EAGAIN
        exchange.send_packet(PEER, error(0), None)
        exchange.catch_up()
        assert length_hint(batches) == 1000 - BATCHES_PER_TURN


# Content.


class ColdSource(BytesSource):
    """Is not ready until it was loaded."""

    def __init__(self, octets: bytes) -> None:
        super().__init__(octets)
        self.loaded = 0
        self.extent = 1

    def ready(self, offset: int, length: int) -> bool:
        return offset + length <= self.loaded

    def load(self, offset: int, length: int) -> None:
        self.loaded = offset + length


async def test_cold_content_pauses_its_transfer_and_no_other(
    world: World, clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    octets = bytes(range(250)) * 40
    cold, gate, loads = ColdSource(octets), trio.Event(), 0
    world.file("warm", octets)
    opened = Store.open_now

    def open_now(
        store: Store, name_untrusted: bytes, *, netascii: bool, **recent: object
    ) -> object:
        return (
            cold if name_untrusted == b"cold" else opened(store, name_untrusted, netascii=netascii)
        )

    async def slow_disk(
        load: Callable[[int, int], None], offset: int, length: int, *, limiter: object
    ) -> None:
        nonlocal loads
        loads += 1
        await gate.wait()
        load(offset, length)

    monkeypatch.setattr(Store, "open_now", open_now)
    got = b""

    async def fetch() -> None:
        nonlocal got
        got = await world.get("cold", ClientOptions(blksize=512, windowsize=4))

    async with world.serving(), trio.open_nursery() as clients:
        monkeypatch.setattr(trio.to_thread, "run_sync", slow_disk)
        clients.start_soon(fetch)
        await trio.sleep(0.1)
        assert loads == 1
        assert await world.get("warm") == octets
        gate.set()
    assert got == octets
    assert loads == 5
    assert [event.retransmitted for event in world.told(TransferFinished)] == [0, 0]


async def test_content_that_cannot_be_loaded_ends_its_transfer(
    world: World, clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    class DeadSource(ColdSource):
        def load(self, offset: int, length: int) -> None:
            raise ContentError(ErrorCode.NOT_DEFINED, "input or output error", "sector 7")

    monkeypatch.setattr(Store, "open_now", lambda *_, **__: DeadSource(bytes(2000)))
    async with world.serving():
        assert (await world.board().ask(rrq("file")))[0] == error(0, "try again")
    assert finished(world).detail == "sector 7"


async def test_a_file_that_changes_before_its_last_block_is_not_finished(
    world: World, clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    class ChangedSource(BytesSource):
        def check(self) -> None:
            raise ContentError(ErrorCode.NOT_DEFINED, "file changed while it was sent", "mtime")

    monkeypatch.setattr(Store, "open_now", lambda *_, **__: ChangedSource(bytes(1000)))
    async with world.serving():
        board = world.board()
        _, tid = await board.ask(rrq("file"))
        assert (await board.ask(ack(1), tid))[0] == error(0, "file changed while it was sent")
    assert finished(world).detail == "mtime"


async def test_a_slow_disk_holds_acks_back_and_bounds_the_memory(
    world: World, clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    octets = bytes(4 * HIGH_WATER)
    most = 0
    flushed, stored = Sink.flush, Sink.store

    async def slowly(sink: Sink) -> None:
        await trio.sleep(0.5)
        await flushed(sink)

    def store(sink: Sink, data: bytes, stride: int, count: int) -> None:
        nonlocal most
        stored(sink, data, stride, count)
        most = max(most, sink.pending)

    monkeypatch.setattr(Sink, "flush", slowly)
    monkeypatch.setattr(Sink, "store", store)
    async with world.serving():
        await world.put(octets, "up", ClientOptions(windowsize=64))
    assert (world.root / "up").read_bytes() == octets
    assert HIGH_WATER <= most <= HIGH_WATER + 64 * 1468


async def test_an_upload_that_grows_too_large_is_refused(world: World, clock: MockClock) -> None:
    async with world.serving(world.config(size_max=1000)):
        board = world.board()
        _, tid = await board.ask(wrq("up"))
        assert (await board.ask(data(1, bytes(512)), tid))[0] == ack(1)
        packet, _ = await board.ask(data(2, bytes(512)), tid)
        assert packet == error(3, "disk full or allocation exceeded")
    assert not (world.root / "up").exists()
    assert "1000" in finished(world).detail


async def test_a_disk_that_fails_in_the_middle_is_told(
    world: World, clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(sink: Sink) -> None:
        raise ContentError(ErrorCode.DISK_FULL, "disk full or allocation exceeded", "ENOSPC")

    monkeypatch.setattr(Sink, "flush", full)
    monkeypatch.setattr("snowowl.content.sink.FLUSH_SIZE", 1000)
    async with world.serving():
        board = world.board()
        _, tid = await board.ask(wrq("up"))
        board.send(data(1, bytes(512)), tid)
        await board.receive()
        board.send(data(2, bytes(512)), tid)
        packets = [(await board.receive())[0] for _ in range(2)]
        assert error(3, "disk full or allocation exceeded") in packets
    assert finished(world).detail == "ENOSPC"
