"""What every endpoint does, on whichever rung: real sockets on loopback."""

from __future__ import annotations

import errno
import mmap
import os
import random
import select
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.testing

from snowowl.datagram.address import pack, port_of, with_port
from snowowl.datagram.endpoint import SocketEndpoint
from snowowl.datagram.interface import (
    LocalAddress,
    Packet,
    Region,
    Train,
    Transmit,
    Unsent,
    word_of,
)
from snowowl.datagram.portable import BATCH_MAX
from snowowl.datagram.settings import Settings
from snowowl.datagram.system import SystemNetwork
from tests.datagram.loopback import (
    LO4,
    LO6,
    RUNGS,
    SECONDS,
    closed_port,
    datagrams,
    descriptors,
    hear,
    hear_one,
    mapped,
    one,
    parts,
    window,
)

pytestmark = pytest.mark.real

Pair = tuple[SocketEndpoint, SocketEndpoint]
OCTETS = random.Random(4).randbytes(90_000)


@pytest.fixture(params=RUNGS)
def settings(request: pytest.FixtureRequest) -> Settings:
    return RUNGS[str(request.param)]


@pytest.fixture
def network(settings: Settings) -> Iterator[SystemNetwork]:
    network = SystemNetwork(settings)
    assert not network.capabilities.missing
    yield network
    network.close()


@pytest.fixture
def pair(network: SystemNetwork) -> Iterator[Pair]:
    left, right = (network.open(socket.AF_INET, LO4, None) for _ in range(2))
    yield left, right
    left.close()
    right.close()


@pytest.fixture(scope="module")
def body(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Region]:
    path = tmp_path_factory.mktemp("file") / "file"
    path.write_bytes(OCTETS)
    with mapped(path) as region:
        yield region


async def test_order_and_peers(pair: Pair) -> None:
    left, right = pair
    sent = [b"%03d" % number for number in range(3 * BATCH_MAX + 5)]
    for transmits in ([one(right.address, *sent)], [one(right.address, octets) for octets in sent]):
        assert left.send(transmits) is None
        assert await hear(right, len(sent)) == [(left.address, octets) for octets in sent]
        assert right.receive() in ((), [])
    assert left.counters.datagrams_sent == 2 * len(sent) == right.counters.datagrams_received


async def test_a_batch_is_bounded(pair: Pair) -> None:
    left, right = pair
    for number in range(2 * BATCH_MAX):
        left.send([one(right.address, b"%d" % number, source=None)])
    sizes = []
    while batch := right.receive():
        sizes.append(sum(len(parts(received)) for received in batch))
        assert len(batch) <= BATCH_MAX
    assert sum(sizes) == 2 * BATCH_MAX


@pytest.mark.parametrize("blksize", [8, 512, 1428, 1468, 8192, 32763, 65464])
async def test_windows_of_a_file(pair: Pair, body: Region, blksize: int) -> None:
    left, right = pair
    for start in (0, 4710, 4711):
        size = min(64 * blksize - 1, 89_000)
        data = window(right.address, body, blksize, start=start, size=size)
        assert left.send([data]) is None
        heard = await hear(right, data.count)
        assert heard == [(left.address, datagram) for datagram in datagrams(data)]


async def test_the_last_block_is_empty(pair: Pair, body: Region) -> None:
    left, right = pair
    data = window(right.address, body, 512, size=45 * 512)
    assert left.send([data, one(right.address, b"next")]) is None
    heard = [octets for _, octets in await hear(right, 47)]
    assert heard == [*datagrams(data), b"next"]
    assert heard[45] == b"\0\3\0\x2d"


async def test_a_last_datagram_without_an_octet(pair: Pair) -> None:
    left, right = pair
    bare = Train(right.address, Region(b""), 0, Region(b"aabbcc"), 0, 6, 2, 4, None, 0)
    assert left.send([bare, one(right.address, b"next")]) is None
    assert [octets for _, octets in await hear(right, 5)] == [b"aa", b"bb", b"cc", b"", b"next"]


async def test_lock_step_windows_and_packets_of_many_peers(
    network: SystemNetwork, pair: Pair, body: Region
) -> None:
    left, _ = pair
    peers = [network.open(socket.AF_INET, LO4, None) for _ in range(7)]
    generator = random.Random(3)
    transmits: list[Transmit] = []
    for number in range(150):
        peer = generator.choice(peers).address
        blksize, count = generator.choice([8, 512, 1428]), generator.choice([0, 1, 4])
        size = count * blksize + generator.randrange(blksize)
        if generator.random() < 0.3:
            transmits.append(Packet(peer, b"\0\6%d\0" % number))
        else:
            transmits.append(window(peer, body, blksize, start=number * 7, size=size))
    assert left.send(transmits) is None
    for endpoint in peers:
        address = endpoint.address
        mine = datagrams(*[transmit for transmit in transmits if transmit.peer == address])
        assert [octets for _, octets in await hear(endpoint, len(mine))] == mine
        endpoint.close()


async def test_empty_and_largest_datagrams(pair: Pair) -> None:
    left, right = pair
    largest = random.Random(1).randbytes(65507)
    assert left.send([one(right.address, b""), one(right.address, largest)]) is None
    assert await hear(right, 2) == [(left.address, b""), (left.address, largest)]


async def test_several_of_the_largest_are_not_cut(pair: Pair) -> None:
    left, right = pair
    largest = [bytes([number]) * 65507 for number in range(1, 4)]
    assert left.send([one(right.address, datagram) for datagram in largest]) is None
    assert [octets for _, octets in await hear(right, 3)] == largest


@pytest.mark.parametrize("octets", [b"", b"a", b"\0\4\0", b"\0\4\0\1", b"\0\4\0\1\0"])
async def test_what_a_single_datagram_is_told_as(pair: Pair, octets: bytes) -> None:
    left, right = pair
    left.send([one(right.address, octets)])
    received = await hear_one(right)
    assert bytes(received.data) == octets
    assert received.stride == (len(octets) or 1)
    assert received.word == word_of(octets) == (0x40001 if len(octets) >= 4 else -1)
    assert received.peer == left.address
    assert received.local is None


async def test_two_acks_are_never_taken_for_one(pair: Pair) -> None:
    left, right = pair
    left.send([one(right.address, b"\0\4\0\1", b"\0\4\0\2")])
    heard: list[bytes] = []
    while len(heard) < 2:
        await right.wait_readable()
        for received in right.receive():
            assert received.stride == 4
            assert received.word == (word_of(received.data) if len(received.data) == 4 else -1)
            heard += parts(received)
    assert heard == [b"\0\4\0\1", b"\0\4\0\2"]


async def test_a_closed_port_is_reported_and_nothing_else_is_lost(pair: Pair, body: Region) -> None:
    """The error is pending by the time that the second is sent, and the third, and so on."""
    left, right = pair
    nobody = closed_port()
    data = window(right.address, body, 512, size=5 * 512)
    unsent = left.send(
        [one(nobody, b"x"), data, one(nobody, b"x"), one(right.address, b"y"), one(nobody, b"x")]
    )
    assert unsent is None
    right.send([one(left.address, b"z")])
    assert await hear(left, 1) == [(right.address, b"z")]
    assert [octets for _, octets in await hear(right, 7)] == [*datagrams(data), b"y"]
    assert right.receive() in ((), [])
    with trio.fail_after(SECONDS):
        while not (peers := left.take_unreachable()):
            await left.wait_readable()
            left.receive()
    assert set(peers) == {nobody}
    assert left.counters.datagrams_lost == 0


async def test_news_of_a_closed_port_wakes_who_waits(pair: Pair) -> None:
    left, _ = pair
    nobody = closed_port()
    left.send([one(nobody, b"x")])
    with trio.fail_after(SECONDS):
        await left.wait_readable()
    assert left.receive() in ((), [])
    assert left.take_unreachable() == [nobody]
    assert left.take_unreachable() == ()
    assert not select.select([left._socket], [], [], 0)[0]


def test_a_closed_port_over_ipv6(network: SystemNetwork) -> None:
    endpoint = network.open(socket.AF_INET6, LO6, None)
    nobody = with_port(endpoint.address, port_of(closed_port(socket.AF_INET6, "::1")))
    endpoint.send([one(nobody, b"x")])
    assert endpoint.receive() in ((), [])
    assert endpoint.take_unreachable() == [nobody]
    endpoint.close()


def test_an_error_that_is_about_no_peer_leaves_the_socket_quiet(pair: Pair) -> None:
    """EMSGSIZE goes to the error queue too, and would keep the socket readable for ever."""
    left, right = pair
    for size in (65508, 65536, 100_000):
        unsent = left.send([one(right.address, bytes(size)), one(right.address, b"goes")])
        assert unsent == Unsent(failed=[(right.address, errno.EMSGSIZE)])
        assert not select.select([left._socket], [], [], 0)[0]
    assert left.take_unreachable() == ()


@pytest.mark.parametrize(("left_in", "blksize"), [(0, 512), (1, 1428), (4096, 1428), (4096, 9000)])
async def test_octets_of_a_file_that_was_truncated(
    pair: Pair, tmp_path: Path, left_in: int, blksize: int
) -> None:
    """A datagram that is shorter than it should be would be the end of the file for the client."""
    left, right = pair
    path = tmp_path / "file"
    path.write_bytes(b"a" * 40_000)
    with mapped(path) as body:
        os.truncate(path, left_in)
        data = window(right.address, body, blksize, size=20 * blksize)
        unsent = left.send([data, one(right.address, b"goes")])
    assert unsent == Unsent(failed=[(right.address, errno.EFAULT)])
    heard = []
    while b"goes" not in heard:
        heard += [octets for _, octets in await hear(right, 1)]
    # The rest of the last page reads as zeros.
    assert all(len(octets) == 4 + blksize for octets in heard[:-1])
    assert len(heard) - 1 <= -(-left_in // mmap.PAGESIZE) * mmap.PAGESIZE // blksize
    assert not select.select([left._socket], [], [], 0)[0]


async def test_ipv6(network: SystemNetwork, body: Region) -> None:
    left, right = (network.open(socket.AF_INET6, LO6, None) for _ in range(2))
    data = window(right.address, body, 1428, size=20 * 1428)
    assert left.send([data, one(right.address, b"x")]) is None
    assert [octets for _, octets in await hear(right, 22)] == [*datagrams(data), b"x"]
    left.close()
    right.close()


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
async def test_a_peer_of_another_family_is_lost_and_counted(
    network: SystemNetwork, family: int
) -> None:
    left, right = (
        network.open(family, LO4 if family == socket.AF_INET else LO6, None) for _ in "ab"
    )
    stranger = pack(("::1", 9, 0, 0) if family == socket.AF_INET else ("127.0.0.1", 9))
    unsent = left.send(
        [
            one(right.address, b"1"),
            one(stranger, b"x"),
            one(right.address, b"2"),
            one(stranger, b"aa", b"bb"),
            one(right.address, b"33", b"44"),
        ]
    )
    assert unsent is None
    assert [octets for _, octets in await hear(right, 4)] == [b"1", b"2", b"33", b"44"]
    assert (left.counters.datagrams_sent, left.counters.datagrams_lost) == (4, 3)
    left.close()
    right.close()


@pytest.mark.parametrize(
    ("listen", "asked", "told"),
    [
        ("0.0.0.0", ("127.0.0.2",), b"\x7f\0\0\2"),
        ("", ("127.0.0.3",), b"\x7f\0\0\3"),
        ("", ("::1", 0, 0), bytes(15) + b"\1"),
    ],
)
async def test_a_window_leaves_from_the_address_that_was_asked(
    network: SystemNetwork,
    body: Region,
    listen: str,
    asked: tuple[str] | tuple[str, int, int],
    told: bytes,
) -> None:
    server = network.listen(listen, 0)
    port = port_of(server.address)
    target = (asked[0], port) if len(asked) == 1 else (asked[0], port, asked[1], asked[2])
    client = network.open(socket.AF_INET if len(asked) == 1 else socket.AF_INET6, None, None)
    client.send([one(pack(target), b"request")])
    received = await hear_one(server)
    peer, local = received.peer, received.local
    assert local is not None
    assert (local.packed, local.to_many) == (told, False)
    data = window(peer, body, 1428, size=5 * 1428, source=local)
    single = window(peer, body, 512, size=100, source=local)
    answer = Packet(peer, b"answer", local)
    assert server.send([data, single, answer]) is None
    wanted = [(pack(target), octets) for octets in datagrams(data, single, answer)]
    assert await hear(client, 8) == wanted
    server.close()
    client.close()


def test_an_endpoint_that_tells_nothing_needs_no_source(pair: Pair) -> None:
    left, right = pair
    assert left.send([one(right.address, b"x", source=LocalAddress(b"\x7f\0\0\x09"))]) is None
    (received,) = right.receive()
    assert received.peer == left.address
    assert received.local is None


async def test_more_peers_than_are_remembered(
    network: SystemNetwork, pair: Pair, body: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snowowl.datagram.endpoint._NAMES_MAX", 2)
    _, right = pair
    peers = [network.open(socket.AF_INET, LO4, None) for _ in range(5)]
    for peer in peers:
        peer.send([one(right.address, b"hello")])
    heard = await hear(right, 5)
    assert [peer for peer, _ in heard] == [peer.address for peer in peers]
    right.send([window(peer, body, 512, size=100) for peer, _ in heard])
    for peer in peers:
        assert await hear(peer, 1) == [(right.address, b"\0\3\0\0" + OCTETS[:100])]
        peer.close()


async def test_close_wakes_who_waits_and_may_come_twice(pair: Pair) -> None:
    left, _ = pair

    async def wait() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await left.wait_readable()

    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            left.close()
    left.close()


def test_closed_outside_of_trio(network: SystemNetwork, body: Region) -> None:
    before = descriptors()
    endpoint = network.open(socket.AF_INET, LO4, None)
    endpoint.close()
    endpoint.close()
    assert endpoint.receive() in ((), [])
    transmits = [one(endpoint.address, b"x"), window(endpoint.address, body, 512, size=2000)]
    assert endpoint.send(transmits) is None
    assert endpoint.counters.datagrams_sent == 0
    assert endpoint.dropped() == 0
    assert descriptors() == before


async def test_nothing_to_send(pair: Pair) -> None:
    assert pair[0].send([]) is None


def test_what_the_kernel_dropped_is_counted(network: SystemNetwork) -> None:
    left, right = (network.open(socket.AF_INET, LO4, None) for _ in range(2))
    right._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, struct.calcsize("i"))
    assert right.dropped() == 0
    assert left.send([Packet(right.address, bytes(600))] * 50) is None
    received = 0
    while batch := right.receive():
        received += sum(len(parts(each)) for each in batch)
    assert received + right.dropped() == 50
    assert right.dropped() > 0
    left.close()
    right.close()
