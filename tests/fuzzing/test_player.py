"""The player: what goes where, what is never sent, and that nothing stays open."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from snowowl.testing.fuzzing.player import FAREWELL, Pace, Player, Timing, damaged
from snowowl.testing.fuzzing.script import (
    DAMAGES,
    RESERVED,
    Again,
    Answer,
    Close,
    Follow,
    Script,
    Send,
    Step,
    Wait,
    is_upload,
    made_harmless,
)
from snowowl.testing.fuzzing.trace import Trace
from snowowl.testing.simnetwork import SimNetwork
from tests.fuzzing.toys import CONTENT, SERVER, Toy

RRQ = b"\0\1boot/file\0octet\0"


async def played(*steps: Step, write: bytes | None = None) -> tuple[Trace, SimNetwork]:
    network = SimNetwork()
    async with trio.open_nursery() as nursery:
        toy = Toy(network, nursery)
        await toy.restart()
        player = Player(network, SERVER, Pace(None), write)
        trace = await player.play(Script(steps), Timing())
        await trio.sleep(1)
        toy.stop()
    assert not network.endpoints
    return trace, network


def sent(network: SimNetwork) -> list[bytes]:
    """Return what peers sent, but for what says goodbye."""
    return [
        datagram.octets
        for datagram in network.datagrams
        if datagram.target[4:8] == SERVER[4:8] and datagram.octets != FAREWELL
    ]


async def test_a_read_is_followed_to_its_end(autojump_clock: MockClock) -> None:
    trace, network = await played(Send("A", RRQ), Follow("A", 10))
    assert b"".join(trace.payloads()) == CONTENT
    assert sent(network) == [RRQ, *(b"\0\4" + bytes([0, number]) for number in (1, 2, 3))]


async def test_a_transfer_that_is_left_is_broken_off(autojump_clock: MockClock) -> None:
    _, network = await played(Send("A", RRQ))
    assert network.datagrams[-1].octets == FAREWELL


async def test_what_is_wrong_with_an_answer(autojump_clock: MockClock) -> None:
    _, network = await played(
        Send("A", RRQ), Answer("A", "ahead", 5), Send("B", RRQ), Answer("B", "listen")
    )
    assert sent(network) == [RRQ, b"\0\4\0\6", RRQ, b"\0\4\0\1"]
    assert network.datagrams[-1].target != SERVER
    assert damaged(b"\0\4\0\1", "cut", 3) == b"\0\4\0"
    assert damaged(b"\0\4\0\1", "flip", 25) == b"\0\4\0\3"
    assert damaged(b"\0\4\0\1", "opcode", 3) == b"\0\3\0\1"
    assert damaged(b"\0\4\0\1", "pad", 2) == b"\0\4\0\1\0\0"


async def test_from_other_ports(autojump_clock: MockClock) -> None:
    trace, network = await played(
        Send("A", RRQ), Again("A"), Close("A"), Send("A", RRQ), Answer("A", "stranger"), Wait(0.1)
    )
    ports = [datagram.source for datagram in network.datagrams if datagram.octets == RRQ]
    assert ports[0] == ports[1] != ports[2]
    assert [life.peer for life in trace.lives] == ["A", "A", "stranger"]
    assert [entry.copy for entry in trace.lives[0].sent()] == [False, True]


async def test_steps_that_have_nothing_to_do_do_nothing(autojump_clock: MockClock) -> None:
    _, network = await played(Follow("A", 5), Answer("B", "cut", 1), Again("C"), Close("C"))
    assert not network.datagrams


async def test_the_rate_is_kept(autojump_clock: MockClock) -> None:
    pace = Pace(10)
    for _ in range(6):
        await pace.wait()
    assert trio.current_time() == pytest.approx(0.5)
    assert pace.datagrams == 6


@pytest.mark.parametrize("damage", DAMAGES)
@settings(max_examples=15)
@given(number=st.integers(-65535, 65535))
def test_damage_is_total(damage: str, number: int) -> None:
    low, high = DAMAGES[damage]
    for octets in (b"\0\4\0\1", b"\0\3\0\1" + bytes(512)):
        assert isinstance(damaged(octets, damage, min(high, max(low, number))), bytes)


@given(st.one_of(st.binary(), st.binary().map(lambda octets: b"\0\2../" + octets)))
def test_no_upload_leads_anywhere(octets: bytes) -> None:
    safe = made_harmless(octets, None)
    if not is_upload(octets):
        assert safe == octets
        return
    assert safe[:2] == octets[:2]
    assert safe[2:].startswith(RESERVED)
    assert not set(safe[2:]) & set(b"/\\%:~|")
    assert b".." not in safe[2:].split(b"\0")[0]
    assert made_harmless(safe, None) == safe


def test_the_file_that_may_be_overwritten() -> None:
    octets = b"\0\2boot/up\0octet\0"
    assert made_harmless(octets, b"boot/up") == octets
    assert made_harmless(octets, b"boot/down") == b"\0\2snowowl-fuzz-bootup\0octet\0"
    assert made_harmless(b"\2", b"boot/up")[1:].startswith(RESERVED)


async def test_nothing_is_sent_that_overwrites(autojump_clock: MockClock) -> None:
    wrq = b"\0\2/etc/passwd\0octet\0"
    _, network = await played(
        Send("A", wrq), Send("B", RRQ), Answer("B", "opcode", 2), Send("B", wrq, "own")
    )
    uploads = [octets for octets in sent(network) if is_upload(octets)]
    assert len(uploads) == 3
    assert all(octets[2:].startswith(RESERVED) for octets in uploads)
