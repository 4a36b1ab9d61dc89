"""What all endpoints over a socket share: being woken for nothing, and what is behind it."""

from __future__ import annotations

import errno
import socket
import sys
from collections import deque
from collections.abc import Callable

import pytest
import trio

from snowowl.datagram.batch import BatchEndpoint
from snowowl.datagram.endpoint import SocketEndpoint
from snowowl.datagram.interface import Unsent
from snowowl.datagram.layouts import LINUX
from snowowl.datagram.limits import Limits
from snowowl.datagram.messages import Messages
from snowowl.datagram.portable import PortableEndpoint
from snowowl.datagram.slots import Slots
from snowowl.datagram.system import SystemNetwork
from tests.datagram.kernel import Kernel
from tests.datagram.loopback import (
    LO4,
    RUNGS,
    SECONDS,
    FailingSocket,
    closed_port,
    hear,
    one,
)

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(sys.platform != "linux", reason="needs an error queue"),
]


def wake_by_news(endpoint: SocketEndpoint) -> bytes:
    """Have ICMP report a closed port, and its errno taken by somebody else."""
    nobody = closed_port()
    host, port = "127.0.0.1", int.from_bytes(nobody[2:4], "big")
    endpoint._socket.sendto(b"x", (host, port))
    assert endpoint._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
    return nobody


@pytest.mark.parametrize("rung", RUNGS)
async def test_what_keeps_the_socket_readable_is_read(rung: str) -> None:
    """Receiving says EAGAIN as if there were nothing, for ever."""
    endpoint = SystemNetwork(RUNGS[rung]).open(socket.AF_INET, LO4, None)
    nobody = wake_by_news(endpoint)
    with trio.fail_after(SECONDS):
        await endpoint.wait_readable()
    assert endpoint.receive() in ((), [])
    assert endpoint.take_unreachable() == [nobody]
    assert endpoint.counters.errors == 1
    with trio.move_on_after(0.01):
        await endpoint.wait_readable()
        raise AssertionError("it is still readable")
    endpoint._errors.empty = None  # type: ignore[assignment,method-assign]
    assert endpoint.receive() in ((), []), "it has looked once, and that is enough"
    endpoint.close()


@pytest.mark.parametrize("rung", RUNGS)
async def test_a_datagram_comes_before_the_news(rung: str) -> None:
    network = SystemNetwork(RUNGS[rung])
    endpoint, other = (network.open(socket.AF_INET, LO4, None) for _ in range(2))
    nobody = wake_by_news(endpoint)
    other.send([one(endpoint.address, b"x")])
    assert await hear(endpoint, 1) == [(other.address, b"x")]
    unreachable: list[bytes] = []
    with trio.fail_after(SECONDS):
        while not unreachable:
            await endpoint.wait_readable()
            assert endpoint.receive() in ((), [])
            unreachable += endpoint.take_unreachable()
    assert unreachable == [nobody]
    endpoint.close()
    other.close()


async def test_looking_again_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each batch is followed by a look that finds nothing; that is no reason to look further."""
    network = SystemNetwork(RUNGS["gso"])
    endpoint, other = (network.open(socket.AF_INET, LO4, None) for _ in range(2))
    looks: list[int] = []

    def look() -> bool:
        looks.append(1)
        return False

    monkeypatch.setattr(endpoint._errors, "empty", look)
    for _ in range(5):
        other.send([one(endpoint.address, b"x")])
        await endpoint.wait_readable()
        assert len(endpoint.receive()) == 1
        assert endpoint.receive() == ()
        assert endpoint.receive() == ()
    assert looks == []
    endpoint.close()
    other.close()


def blocked_portable() -> SocketEndpoint:
    sock = FailingSocket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.setsockopt(socket.IPPROTO_IP, 11, 1)
    sock.fail(sending=[errno.EAGAIN] * 100)
    return PortableEndpoint(sock)


def blocked_batch() -> SocketEndpoint:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.setsockopt(socket.IPPROTO_IP, 11, 1)
    kernel = Kernel(script=deque([errno.EAGAIN] * 100))
    return BatchEndpoint(sock, kernel.calls(), Slots(LINUX, 1), Messages(LINUX, 1), Limits(0))


@pytest.mark.parametrize("make", [blocked_portable, blocked_batch])
async def test_what_makes_a_blocked_socket_look_writable_is_read(
    make: Callable[[], SocketEndpoint],
) -> None:
    """Whoever waits to go on sending would be woken at once, again and again."""
    blocked = make()
    nobody = wake_by_news(blocked)
    transmit = one(nobody, b"x")
    with trio.fail_after(SECONDS):
        await blocked.wait_writable()
    assert blocked.send([transmit]) == Unsent(blocked=[transmit])
    assert blocked.take_unreachable() == [nobody]
    blocked.close()


async def test_news_that_the_second_message_of_a_call_met_with() -> None:
    """`sendmmsg` says that one message went out, and the errno is gone."""
    network = SystemNetwork(RUNGS["mmsg"])
    endpoint, other = (network.open(socket.AF_INET, LO4, None) for _ in range(2))
    nobody = closed_port()
    assert endpoint.send([one(nobody, b"x"), one(other.address, b"y")]) is None
    assert endpoint.take_unreachable() == [nobody]
    assert await hear(other, 1) == [(endpoint.address, b"y")]
    endpoint.close()
    other.close()


def test_peers_are_not_remembered_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snowowl.datagram.endpoint._NAMES_MAX", 3)
    endpoint = SystemNetwork(RUNGS["portable"]).open(socket.AF_INET, LO4, None)
    for port in range(1, 20):
        octets = endpoint._octets_of(("127.0.0.1", port))
        assert endpoint._name_of(octets) == ("127.0.0.1", port)
        assert len(endpoint._octets) <= 3
        assert len(endpoint._names) <= 3
    endpoint.close()


def test_drops_of_a_socket_that_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = SystemNetwork(RUNGS["mmsg"]).open(socket.AF_INET, LO4, None)
    assert endpoint.dropped() == 0
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", "freebsd14")
        assert endpoint.dropped() == 0
    with monkeypatch.context() as patch:  # an older kernel tells less
        patch.setattr("snowowl.datagram.cmsg.SO_MEMINFO", socket.SO_TYPE)
        assert endpoint.dropped() == 0
    endpoint.close()
    assert endpoint.dropped() == 0
