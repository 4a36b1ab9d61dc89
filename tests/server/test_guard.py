"""What a server takes from those who do not answer, and that it takes it from nobody else."""

from __future__ import annotations

from typing import get_args

import pytest
import trio
from trio.testing import MockClock

from snowowl.config import AccessConfig, Config, LimitsConfig
from snowowl.observe.events import (
    Refusal,
    RequestMalformed,
    RequestReceived,
    RequestsRefused,
)
from snowowl.observe.observers import Observers
from snowowl.protocol.outcome import Outcome, OutcomeKind
from snowowl.server.guard import (
    ALL_AT_ONCE,
    ALL_ERRORS_AT_ONCE,
    ERRORS_AT_ONCE,
    KNOWN_SECONDS,
    REQUESTS_AT_ONCE,
    UPLOAD_TOKENS,
    Guard,
)
from snowowl.server.refusals import Refusals
from snowowl.server.registry import Admitted
from snowowl.testing.playbook import ack, data, error, oack
from snowowl.testing.simnetwork import SimNetwork, socket_address
from snowowl.wire.codec import opcode_of
from snowowl.wire.constants import Opcode
from snowowl.wire.packets import ReadRequest
from tests.server.world import Tid, World, rrq, wrq

FEW = LimitsConfig(requests_per_second=1.0, requests_per_second_total=100.0)


def guard_of(limits: LimitsConfig) -> Guard:
    """Return a guard that tells nobody."""
    return Guard(Config(limits=limits), Refusals(Observers()), unknown_is_public=False)


def peer(number: int) -> bytes:
    """Return a peer with an address of its own."""
    return socket_address(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 2000)


def begun(guard: Guard, who: bytes, now: float) -> Admitted | None:
    """Admit a request, if the guard lets it pass."""
    source = guard.take_request(who, now)
    if source is None:
        return None
    endpoint = SimNetwork().bind("192.0.2.1", 69)
    admitted = Admitted(
        who, "", None, b"", ReadRequest(b"f"), endpoint, who, now, guard=guard, source=source
    )
    guard.begin(admitted)
    return admitted


def refused(world: World) -> dict[Refusal, int]:
    """Return what the server has told of."""
    counts: dict[Refusal, int] = {}
    for event in world.told(RequestsRefused):
        counts[event.refusal] = counts.get(event.refusal, 0) + event.count
    return counts


# Buckets.


async def test_who_never_answers_gets_no_more_than_its_rate(clock: MockClock) -> None:
    guard = guard_of(FEW)
    passed = sum(begun(guard, peer(1), now / 10) is not None for now in range(1000))
    assert passed == pytest.approx(REQUESTS_AT_ONCE + 100, abs=1)
    assert begun(guard, peer(2), 100.0) is not None
    assert guard.counts[Refusal.REQUESTS] == 1000 - passed


async def test_who_answers_has_its_tokens_back_and_is_known(clock: MockClock) -> None:
    """A thousand at once, and of those that all share it takes none for an hour."""
    guard = guard_of(FEW)
    for _ in range(1000):
        admitted = begun(guard, peer(1), 5.0)
        assert admitted is not None
        admitted.answered()
        guard.ended(admitted, Outcome(OutcomeKind.COMPLETED))
    assert guard.unanswered == 0
    flood = [begun(guard, peer(number), 6.0) for number in range(100, 2000)]
    assert sum(admitted is not None for admitted in flood) == pytest.approx(
        ALL_AT_ONCE * 100 / 2, abs=1
    )
    assert begun(guard, peer(1), 7.0) is not None
    assert begun(guard, peer(2), 6.0) is None
    later = 6.0 + KNOWN_SECONDS
    for number in range(3000, 5000):
        begun(guard, peer(number), later)
    assert begun(guard, peer(1), later) is None


@pytest.mark.parametrize("per_second", [0.01, 1.0, 4.0])
async def test_an_upload_of_a_stranger_is_taken_at_any_rate(
    clock: MockClock, per_second: float
) -> None:
    """Each of many workers has a small part of the rate."""
    guard = guard_of(LimitsConfig(requests_per_second_total=per_second))
    assert guard.take_request(peer(1), 5.0, writes=True) is not None


async def test_an_upload_of_a_stranger_costs_ten(clock: MockClock) -> None:
    """A file is made for each; but who answers has all of them back."""
    guard = guard_of(FEW)
    source = guard.take_request(peer(1), 5.0, writes=True)
    assert source is not None
    assert source.of_all == UPLOAD_TOKENS
    guard.give_back(source, writes=True)
    assert source.of_all == 0
    flood = [guard.take_request(peer(number), 6.0, writes=True) for number in range(100, 300)]
    assert sum(source is not None for source in flood) == ALL_AT_ONCE * 100 / 2 / UPLOAD_TOKENS


async def test_who_asks_again_gets_through_a_flood(clock: MockClock) -> None:
    """Of 2000 forged addresses a second, each seen once, 100 pass; whoever asks twice passes."""
    guard = guard_of(FEW)
    honest = [peer(1_000_000 + number) for number in range(40)]
    asked_at = {who: 20.0 + index / 40 for index, who in enumerate(honest)}
    passed: dict[bytes, int] = {}
    forged = 0
    for step in range(60_000):
        now = step / 2000
        forged += begun(guard, peer(step), now) is not None
        for who in honest:
            if who not in passed and now >= asked_at[who]:
                tries = 1 + int(now - 20.0)
                asked_at[who] += 1.0  # a client's timeout
                if begun(guard, who, now) is not None:
                    passed[who] = tries
    assert len(passed) == len(honest)
    assert max(passed.values()) <= 3
    assert forged < 250 + 30 * 100 + 10


async def test_an_error_costs_a_token_of_its_own_kind(world: World, clock: MockClock) -> None:
    """A boot loader probes for files that are missing; an address that is forged is sent few ERRORs."""
    limits = LimitsConfig(requests_per_second=1.0, errors_per_second=2.0)
    async with world.serving(world.config(limits=limits)):
        board = world.board()
        heard = 0
        for _ in range(50):
            packet, _ = await board.ask(rrq("missing-file"))
            heard += packet == error(1, "file not found")
        assert heard == pytest.approx(ERRORS_AT_ONCE * 2 + 0.05 * 30 * 2, abs=3)
        assert (await world.board(2001).ask(b"\0\7dir\0octet\0")) == (b"", b"")
        assert world.told(RequestMalformed)[-1].answered is False
        other = world.board(host="192.0.2.10")
        assert (await other.ask(b"\0\7dir\0octet\0"))[0] == error(4, "illegal")
    told = refused(world)
    assert sum(told.values()) == 51 - heard
    # What was looked for in silence has cost its token: 5 at once, and 1 a second.
    assert told[Refusal.ERRORS] <= REQUESTS_AT_ONCE + 0.05 * 30 + 2


async def test_all_together_are_sent_few_errors_but_for_those_that_are_known(
    world: World, clock: MockClock
) -> None:
    world.file("file", b"x")
    limits = LimitsConfig(errors_per_second_total=1.0)
    async with world.serving(world.config(limits=limits)):
        known = world.board()
        _, tid = await known.ask(rrq("file"))
        known.send(ack(1), tid)
        answers = []
        for number in range(30):
            board = world.board(host=f"192.0.2.{50 + number}")
            answers.append((await board.ask(rrq("missing-file")))[0])
        assert sum(map(bool, answers)) == pytest.approx(ALL_ERRORS_AT_ONCE, abs=3)
        assert (await known.ask(rrq("missing-file")))[0] == error(1, "file not found")


async def test_strays_are_answered_as_seldom(world: World, clock: MockClock) -> None:
    world.file("file", bytes(2000))
    limits = LimitsConfig(errors_per_second=1.0)
    async with world.serving(world.config(limits=limits)):
        _, tid = await world.board().ask(rrq("file"))
        stray = world.board(host="192.0.2.10")
        heard = 0
        for _ in range(30):
            packet, _ = await stray.ask(ack(1), tid)
            heard += packet == error(5, "unknown TID")
        assert heard == pytest.approx(ERRORS_AT_ONCE, abs=2)


@pytest.mark.parametrize("tid", get_args(Tid))
async def test_a_request_that_is_repeated_takes_a_token_each_time(
    world: World, clock: MockClock, tid: Tid
) -> None:
    world.file("file", bytes(2000))
    limits = LimitsConfig(requests_per_second=1.0)
    async with world.serving(world.config(tid, limits=limits)):
        board = world.board()
        board.send(rrq("file"))
        await trio.sleep(0.01)
        for _ in range(99):
            board.send(rrq("file"))
        await trio.sleep(0.5)
        sent = world.sent_by_server(board.endpoint.address)
        assert len(sent) == REQUESTS_AT_ONCE
    assert refused(world) == {Refusal.REQUESTS: 95}


async def test_an_answer_gives_back_what_the_repeats_have_cost(
    world: World, clock: MockClock
) -> None:
    world.file("file", bytes(2000))
    async with world.serving(world.config(limits=LimitsConfig(requests_per_second=1.0))):
        for port in range(2000, 2020):
            board = world.board(port)
            packet, tid = await board.ask(rrq("file"))
            for _ in range(3):
                packet, tid = await board.ask(rrq("file"))
            assert packet == data(1, bytes(512))
            await board.ask(ack(1), tid)
    assert not refused(world)


async def test_what_is_malformed_or_doubled_takes_none(world: World, clock: MockClock) -> None:
    world.file("file", bytes(2000))
    limits = LimitsConfig(requests_per_second=1.0)
    async with world.serving(world.config("listen", limits=limits)):
        board = world.board()
        for _ in range(10):
            assert opcode_of((await board.ask(b"\0\1file\0"))[0]) == Opcode.ERROR
        await board.ask(rrq("file"))
        await board.ask(ack(1))
        for _ in range(10):
            board.send(rrq("file"))
        await board.receive()
        assert (await world.board(2001).ask(rrq("file")))[0] == data(1, bytes(512))
    assert not refused(world)


@pytest.mark.parametrize(("code", "answers"), [(0, True), (8, True), (4, False), (5, False)])
async def test_an_error_is_an_answer_if_it_is_how_clients_break_off(
    world: World, clock: MockClock, code: int, answers: bool
) -> None:
    """A TFTP program that is the victim of a forged request sends ERRORs, too: of other kinds."""
    world.file("file", bytes(2000))
    limits = LimitsConfig(requests_per_second=0.01)
    async with world.serving(world.config(limits=limits)):
        packet = b""
        for port in range(2000, 2010):
            board = world.board(port)
            packet, tid = await board.ask(rrq("file", tsize=0))
            board.send(error(code), tid)
            await trio.sleep(0.01)
        assert bool(packet) is answers


# The half-open table.


@pytest.mark.parametrize("tid", get_args(Tid))
@pytest.mark.parametrize("writes", [False, True])
async def test_the_oldest_without_an_answer_gives_way(
    world: World, clock: MockClock, tid: Tid, *, writes: bool
) -> None:
    world.file("file", bytes(2000))
    async with world.serving(world.config(tid, limits=LimitsConfig(unanswered_max=3))):
        answered = world.board(1999)
        _, port = await answered.ask(rrq("file"))
        assert (await answered.ask(ack(1), port))[0] == data(2, bytes(512))
        boards = [world.board(2000 + number) for number in range(5)]
        for number, board in enumerate(boards):
            await board.ask(wrq(f"up-{number}") if writes else rrq("file"))
        assert world.outcomes() == [OutcomeKind.GAVE_WAY] * 2
        for board in boards[:2]:  # silently, and for good
            assert await board.hears_nothing(8.0)
        assert (await boards[4].receive())[0]  # sent again meanwhile
        answered.send(ack(2), port)
        heard = [(await answered.receive())[0][:4] for _ in range(30)]  # DATA 2 again, and
        assert data(3) in heard
    assert refused(world)[Refusal.UNANSWERED] == 2


async def test_one_that_gives_way_before_it_has_begun_never_does(
    world: World, clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    from snowowl.content.store import Store

    world.file("file", bytes(2000))
    opened = Store.open_now

    async def slowly(store: Store, name_untrusted: bytes, *, netascii: bool) -> object:
        await trio.sleep(1.0)
        return opened(store, name_untrusted, netascii=netascii)

    monkeypatch.setattr(Store, "open_now", lambda *_, **__: None)
    monkeypatch.setattr(Store, "open", slowly)
    async with world.serving(world.config(limits=LimitsConfig(unanswered_max=1))):
        first, second = world.board(2000), world.board(2001)
        first.send(rrq("file"))
        second.send(rrq("file"))
        assert (await second.receive(2.0))[0] == data(1, bytes(512))
        assert await first.hears_nothing(5.0)
        assert world.outcomes() == [OutcomeKind.GAVE_WAY]


# Transfers.


async def test_one_client_has_so_many_transfers_and_another_one_others(
    world: World, clock: MockClock
) -> None:
    world.file("file", bytes(2000))
    async with world.serving(world.config(limits=LimitsConfig(client_transfers_max=2))):
        boards = [world.board(port) for port in (2000, 2001, 2002)]
        _, tid = await boards[0].ask(rrq("file"))
        await boards[1].ask(rrq("file"))
        assert (await boards[2].ask(rrq("file")))[0] == error(0, "try again")
        other = world.board(host="192.0.2.10")
        assert (await other.ask(rrq("file")))[0] == data(1, bytes(512))
        boards[0].send(error(0, "stop"), tid)
        await trio.sleep(0.1)
        assert (await boards[2].ask(rrq("file")))[0] == data(1, bytes(512))
    assert refused(world) == {Refusal.CLIENT_TRANSFERS: 1}


async def test_a_window_is_cut_to_its_octets(world: World, clock: MockClock) -> None:
    world.file("file", bytes(20_000))
    limits = LimitsConfig(window_octets_max=4096)
    async with world.serving(world.config(limits=limits)):
        for port, options in enumerate(
            ({"windowsize": 64, "blksize": 1024}, {"blksize": 1024, "windowsize": 64}), 2000
        ):
            granted = dict(options, windowsize=4)
            assert (await world.board(port).ask(rrq("file", **options)))[0] == oack(**granted)
        assert (await world.board(2002).ask(rrq("file", windowsize=64)))[0] == oack(windowsize=8)
        whole = await world.board(2003).ask(rrq("file", windowsize=3, blksize=1400))
        assert whole[0] == oack(windowsize=2, blksize=1400)


# Access.


@pytest.mark.parametrize("tid", get_args(Tid))
async def test_a_client_that_is_not_served_is_told_so(
    world: World, clock: MockClock, tid: Tid
) -> None:
    world.file("file", b"x")
    access = AccessConfig(allow=("192.0.2.0/28", "2001:db8:7::/48"))
    async with world.serving(world.config(tid, access=access)):
        denied = world.board(host="192.0.2.99")
        told = error(2, "your network is not served here")
        assert (await denied.ask(rrq("file-with-a-long-name.img", blksize=512)))[0] == told
        assert (await denied.ask(wrq("up")))[0] == error(2, "denied")
        for packet in (ack(1), error(0), b"\0\7dir\0octet\0", b"", b"\0\1"):
            denied.send(packet)
            await denied.receive(0.01)
        assert await denied.hears_nothing()
        assert (await world.board(host="2001:db8:8::1").ask(rrq("file")))[0] == error(2, "denied")
        assert (await world.board(host="192.0.2.9").ask(rrq("file")))[0] == data(1, b"x")
        assert (await world.board(host="2001:db8:7::1").ask(rrq("file")))[0] == data(1, b"x")
    assert len(world.told(RequestReceived)) == 2
    assert refused(world) == {Refusal.NETWORK: 8}


# A new configuration.


async def test_a_new_configuration_keeps_what_is_known(clock: MockClock) -> None:
    guard = guard_of(LimitsConfig(requests_per_second_total=1.0))
    admitted = begun(guard, peer(1), 5.0)
    assert admitted is not None
    admitted.answered()
    guard.configure(
        Config(
            limits=LimitsConfig(requests_per_second_total=0.1),
            access=AccessConfig(deny=("10.0.0.9",)),
        )
    )
    while begun(guard, peer(2), 5.0) is not None:
        pass
    assert begun(guard, peer(3), 5.0) is None
    assert begun(guard, peer(1), 5.0) is not None
    assert not guard.serves(peer(9), None)
    assert guard.serves(peer(8), None)
