"""The endpoint for every platform: real sockets on loopback, and errors on purpose."""

from __future__ import annotations

import errno
import mmap
import os
import random
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.testing

from snowowl.datagram.address import pack, port_of, with_port
from snowowl.datagram.endpoint import SocketEndpoint
from snowowl.datagram.interface import LocalAddress, Train, Unsent
from snowowl.datagram.portable import ARENA_SIZE, BATCH_MAX, PortableEndpoint
from snowowl.datagram.settings import Settings
from snowowl.datagram.system import SystemNetwork
from tests.datagram.loopback import (
    LO4,
    LO6,
    SECONDS,
    closed_port,
    descriptors,
    failing,
    hear,
    hear_one,
    one,
    train,
)

pytestmark = pytest.mark.real


def portable() -> SystemNetwork:
    return SystemNetwork(Settings(rung="portable"))


@pytest.fixture
def pair() -> Iterator[tuple[SocketEndpoint, SocketEndpoint]]:
    network = portable()
    left, right = (network.open(socket.AF_INET, LO4, None) for _ in range(2))
    yield left, right
    left.close()
    right.close()
    network.close()


Pair = tuple[SocketEndpoint, SocketEndpoint]


async def test_order_peers_and_batches(pair: Pair) -> None:
    left, right = pair
    datagrams = [b"%02d" % number for number in range(BATCH_MAX + 5)]
    assert left.send([one(right.address, *datagrams)]) is None
    await right.wait_readable()
    assert len(right.receive()) == BATCH_MAX
    assert len(right.receive()) == 5
    assert right.receive() == []
    left.send([one(right.address, *datagrams)])
    assert await hear(right, len(datagrams)) == [(left.address, octets) for octets in datagrams]
    assert left.counters.datagrams_sent == 2 * len(datagrams) == right.counters.datagrams_received


async def test_a_header_and_its_payload_go_as_one(pair: Pair) -> None:
    left, right = pair
    assert left.send([train(right.address, (b"h1", b"first"), (b"h2", b"2nd"))]) is None
    assert [octets for _, octets in await hear(right, 2)] == [b"h1first", b"h22nd"]


async def test_empty_and_largest_datagrams(pair: Pair) -> None:
    left, right = pair
    largest = random.Random(1).randbytes(65507)
    assert left.send([one(right.address, b""), one(right.address, largest)]) is None
    heard = await hear(right, 2)
    assert heard == [(left.address, b""), (left.address, largest)]


async def test_several_of_the_largest_are_not_cut(pair: Pair) -> None:
    left, right = pair
    largest = [bytes([number]) * 65507 for number in range(1, 7)]
    for datagram in largest:
        left.send([one(right.address, datagram)])
    assert [octets for _, octets in await hear(right, 6)] == largest


async def test_an_empty_datagram_has_a_stride_to_step_by(pair: Pair) -> None:
    left, right = pair
    left.send([one(right.address, b"")])
    received = await hear_one(right)
    assert (len(received.data), received.stride) == (0, 1)


async def test_a_closed_port_is_reported_and_nothing_else_is_lost(pair: Pair) -> None:
    left, right = pair
    nobody = closed_port()
    left.send([one(nobody, b"x"), one(right.address, b"y")])  # the error is pending by now
    right.send([one(left.address, b"z")])
    assert await hear(left, 1) == [(right.address, b"z")]
    assert await hear(right, 1) == [(left.address, b"y")]
    assert left.take_unreachable() == [nobody]
    assert left.take_unreachable() == ()
    assert left.counters.datagrams_lost == 0


async def test_news_of_a_closed_port_wakes_who_waits(pair: Pair) -> None:
    left, _ = pair
    nobody = closed_port()
    left.send([one(nobody, b"x")])
    with trio.fail_after(SECONDS):
        await left.wait_readable()
    assert left.receive() == []
    assert left.take_unreachable() == [nobody]
    assert not select.select([left._socket], [], [], 0)[0]


def test_a_closed_port_over_ipv6() -> None:
    endpoint = portable().open(socket.AF_INET6, LO6, None)
    nobody = with_port(endpoint.address, port_of(closed_port()))
    endpoint.send([one(nobody, b"x")])
    assert endpoint.receive() == []
    assert endpoint.take_unreachable() == [nobody]
    endpoint.close()


def test_an_error_that_is_about_no_peer_leaves_the_socket_quiet(pair: Pair) -> None:
    """EMSGSIZE goes to the error queue too, and would keep the socket readable for ever."""
    left, right = pair
    unsent = left.send([one(right.address, bytes(65508))])
    assert unsent == Unsent(failed=[(right.address, errno.EMSGSIZE)])
    assert not select.select([left._socket], [], [], 0)[0]
    assert left.take_unreachable() == ()


async def test_blocked_in_the_middle_of_a_window() -> None:
    sock, endpoint = failing()
    window = train(endpoint.address, (b"h1", b"a"), (b"h2", b"b"), (b"h3", b"c"), source=LO4)
    after = one(endpoint.address, b"after")
    sock.fail(sending=[0, errno.EAGAIN])
    unsent = endpoint.send([window, after])
    assert unsent is not None
    rest, last = unsent.blocked
    assert isinstance(rest, Train)
    assert (rest.peer, rest.stride, rest.count, rest.source) == (endpoint.address, 3, 2, LO4)
    assert [b"".join(pieces) for pieces in rest.datagrams()] == [b"h2b", b"h3c"]
    assert last is after
    with trio.fail_after(SECONDS):
        await endpoint.wait_writable()
    assert endpoint.send(unsent.blocked) is None
    assert [octets for _, octets in await hear(endpoint, 4)] == [b"h1a", b"h2b", b"h3c", b"after"]
    endpoint.close()


async def test_blocked_before_the_first() -> None:
    sock, endpoint = failing()
    sock.fail(sending=[errno.EAGAIN])
    window = one(endpoint.address, b"1", b"2")
    assert endpoint.send([window]) == Unsent(blocked=[window])
    assert endpoint.counters.datagrams_sent == 0
    endpoint.close()


@pytest.mark.parametrize("number", [errno.ENOBUFS, errno.EPERM, errno.ENETUNREACH, errno.EINVAL])
async def test_what_the_network_does_not_take_is_lost_and_counted(number: int) -> None:
    sock, endpoint = failing()
    sock.fail(sending=[number] * 3)
    assert endpoint.send([one(endpoint.address, b"lost", b"goes")]) is None
    assert [octets for _, octets in await hear(endpoint, 1)] == [b"goes"]
    assert endpoint.counters.datagrams_lost == 1
    assert endpoint.counters.datagrams_sent == 1
    endpoint.close()


async def test_an_error_of_an_earlier_datagram_does_not_take_the_place_of_this_one() -> None:
    sock, endpoint = failing()
    sock.fail(sending=[errno.EHOSTUNREACH])
    assert endpoint.send([one(endpoint.address, b"goes")]) is None
    assert [octets for _, octets in await hear(endpoint, 1)] == [b"goes"]
    assert endpoint.counters.datagrams_lost == 0
    endpoint.close()


@pytest.mark.parametrize("number", [errno.EFAULT, errno.EMSGSIZE])
async def test_what_can_never_be_sent_fails_and_the_rest_goes(number: int) -> None:
    sock, endpoint = failing()
    sock.fail(sending=[number])
    other = with_port(endpoint.address, 9)
    unsent = endpoint.send([one(other, b"never", b"nor this"), one(endpoint.address, b"goes")])
    assert unsent == Unsent(failed=[(other, number)])
    assert [octets for _, octets in await hear(endpoint, 1)] == [b"goes"]
    endpoint.close()


async def test_octets_of_a_file_that_was_truncated(pair: Pair, tmp_path: Path) -> None:
    left, right = pair
    path = tmp_path / "file"
    path.write_bytes(bytes(8192))
    fd = os.open(path, os.O_RDONLY)
    mapped = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
    os.close(fd)
    path.write_bytes(b"")
    view = memoryview(mapped)[4096:5096]
    window = train(right.address, (b"hd", view))
    unsent = left.send([window, one(right.address, b"goes")])
    assert unsent == Unsent(failed=[(right.address, errno.EFAULT)])
    assert await hear(right, 1) == [(left.address, b"goes")]
    del window, view
    mapped.close()


@pytest.mark.parametrize("number", sorted(errno.errorcode))
def test_no_errno_makes_receive_raise(number: int) -> None:
    sock, endpoint = failing()
    endpoint.send([one(endpoint.address, b"x")])
    sock.fail(receiving=[number])
    if number not in (errno.EAGAIN, errno.EINTR):
        assert endpoint.receive() == []
    endpoint.receive()
    assert endpoint.counters.datagrams_received <= 1
    endpoint.close()


async def test_a_datagram_behind_an_error_is_received() -> None:
    sock, endpoint = failing()
    endpoint.send([one(endpoint.address, b"kept")])
    sock.fail(receiving=[errno.EHOSTUNREACH])
    assert endpoint.receive() == []
    assert endpoint.counters.errors == 1
    assert [octets for _, octets in await hear(endpoint, 1)] == [b"kept"]
    endpoint.close()


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


def test_closed_outside_of_trio() -> None:
    before = descriptors()
    endpoint = portable().open(socket.AF_INET, LO4, None)
    endpoint.close()
    endpoint.close()
    assert endpoint.receive() == []
    assert endpoint.send([one(endpoint.address, b"x")]) is None
    assert descriptors() == before


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")
def test_a_socket_that_received_little_takes_little_memory() -> None:
    """There may be one for each transfer, ten thousand of them (`tid = "own"`)."""

    def resident() -> int:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * mmap.PAGESIZE

    network, count = portable(), 100
    before = resident()
    endpoints = [network.open(socket.AF_INET, LO4, None) for _ in range(count)]
    each = (resident() - before) / count
    for endpoint in endpoints:
        endpoint.close()
        assert endpoint.receive() == []
    assert each < ARENA_SIZE / 8


async def test_more_peers_than_are_remembered(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snowowl.datagram.portable._NAMES_MAX", 2)
    _, right = pair
    network = portable()
    peers = [network.open(socket.AF_INET, LO4, None) for _ in range(5)]
    for peer in peers:
        peer.send([one(right.address, b"hello")])
    heard = await hear(right, 5)
    assert [peer for peer, _ in heard] == [peer.address for peer in peers]
    right.send([one(peer, b"back") for peer, _ in heard])
    for peer in peers:
        assert await hear(peer, 1) == [(right.address, b"back")]
        peer.close()


async def test_a_platform_without_sendmsg_and_recvmsg() -> None:
    class Windows:
        """What there is of a socket on Windows."""

        def __init__(self) -> None:
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._socket.bind(("127.0.0.1", 0))
            self.family = self._socket.family
            for name in (
                "fileno",
                "getsockname",
                "setblocking",
                "recvfrom_into",
                "sendto",
                "close",
            ):
                setattr(self, name, getattr(self._socket, name))

    endpoint = PortableEndpoint(Windows(), tells_local=True)  # type: ignore[arg-type]
    assert endpoint.send([train(endpoint.address, (b"head", b"payload"), source=LO4)]) is None
    with trio.fail_after(SECONDS):
        while not (batch := endpoint.receive()):
            await trio.sleep(0.001)
    assert [(bytes(each.data), each.peer, each.local) for each in batch] == [
        (b"headpayload", endpoint.address, None)
    ]
    endpoint.close()


def test_an_endpoint_that_tells_nothing_needs_no_source(pair: Pair) -> None:
    left, right = pair
    assert left.send([one(right.address, b"x", source=LocalAddress(b"\x7f\0\0\x09"))]) is None
    (received,) = right.receive()
    assert received.peer == left.address
    assert received.local is None
    assert pack(left._socket.getsockname()) == left.address
