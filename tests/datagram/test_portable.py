"""The rung for every platform: what it does by its own means, and errors on purpose."""

from __future__ import annotations

import errno
import mmap
import socket
from pathlib import Path

import pytest
import trio

from snowowl.datagram.address import with_port
from snowowl.datagram.interface import Train, Unsent
from snowowl.datagram.portable import ARENA_SIZE, BATCH_MAX, PortableEndpoint
from snowowl.datagram.settings import Settings
from snowowl.datagram.system import SystemNetwork
from tests.datagram.loopback import LO4, SECONDS, failing, hear, one, train

pytestmark = pytest.mark.real


def portable() -> SystemNetwork:
    return SystemNetwork(Settings(rung="portable"))


def test_a_batch() -> None:
    left, right = (portable().open(socket.AF_INET, LO4, None) for _ in range(2))
    left.send([one(right.address, *[b"%02d" % number for number in range(BATCH_MAX + 5)])])
    assert len(right.receive()) == BATCH_MAX
    assert len(right.receive()) == 5
    assert right.receive() == []
    left.close()
    right.close()


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


def test_news_that_keep_coming_do_not_keep_it_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    sock, endpoint = failing()
    monkeypatch.setattr(endpoint._errors, "empty", lambda: True)
    sock.fail(sending=[errno.EMSGSIZE] * 100)
    assert endpoint.send([one(endpoint.address, b"x")]) == Unsent(
        failed=[(endpoint.address, errno.EMSGSIZE)]
    )
    assert sock.sending is not None
    assert len(sock.sending) > 90
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


def test_no_errno_makes_receive_raise() -> None:
    sock, endpoint = failing()
    for number in errno.errorcode:
        errors_before = endpoint.counters.errors
        endpoint.send([one(endpoint.address, b"x")])
        sock.fail(receiving=[number])
        assert endpoint.receive() == []
        blocks = isinstance(OSError(number, ""), BlockingIOError)
        assert endpoint.counters.errors - errors_before == (not blocks)
        assert len(endpoint.receive()) == 1
    endpoint.close()


async def test_a_datagram_behind_an_error_is_received() -> None:
    sock, endpoint = failing()
    endpoint.send([one(endpoint.address, b"kept")])
    sock.fail(receiving=[errno.EHOSTUNREACH])
    assert endpoint.receive() == []
    assert endpoint.counters.errors == 1
    assert [octets for _, octets in await hear(endpoint, 1)] == [b"kept"]
    endpoint.close()


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


async def test_a_platform_without_sendmsg_and_recvmsg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snowowl.datagram.errqueue.HERE", False)

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
    assert endpoint.send([one(endpoint.address, bytes(65508))]) == Unsent(
        failed=[(endpoint.address, errno.EMSGSIZE)]
    )
    endpoint.close()
