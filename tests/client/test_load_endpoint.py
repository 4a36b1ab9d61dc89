"""The light endpoint of a lock-step client does what the portable one does."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

import pytest

from snowowl.client.load_endpoint import LoadNetwork, SingleEndpoint
from snowowl.datagram.address import pack, port_of
from snowowl.datagram.endpoint import SocketEndpoint
from snowowl.datagram.interface import Packet, Region, Train
from snowowl.datagram.portable import PortableEndpoint
from snowowl.datagram.settings import Settings
from snowowl.wire.codec import data_headers

pytestmark = pytest.mark.real


@pytest.fixture
def network() -> Iterator[LoadNetwork]:
    network = LoadNetwork(Settings(), lock_step=True)
    yield network
    for endpoint in network.descriptors:
        endpoint.close()


def opened(network: LoadNetwork) -> tuple[SocketEndpoint, bytes]:
    """Return an endpoint, and where it can be reached."""
    endpoint = network.open(socket.AF_INET, None, None)
    return endpoint, pack(("127.0.0.1", port_of(endpoint.address)))


def closed_port() -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return pack(sock.getsockname())


def test_datagrams_one_by_one(network: LoadNetwork) -> None:
    first, first_at = opened(network)
    second, second_at = opened(network)
    assert isinstance(first, SingleEndpoint)
    assert first.receive() == ()
    assert second.send([Packet(first_at, b"one")]) is None
    assert second.send([Packet(first_at, b"two"), Packet(first_at, b"")]) is None
    got = []
    while batch := first.receive():
        (received,) = batch
        got.append((bytes(received.data), received.stride, received.peer))
    assert got == [(b"one", 3, second_at), (b"two", 3, second_at), (b"", 1, second_at)]
    assert first.counters.datagrams_received == second.counters.datagrams_sent == 3


def test_trains_are_sent_too(network: LoadNetwork) -> None:
    first, first_at = opened(network)
    second, _ = opened(network)
    body = Region(b"abcdef")
    assert second.send([Train(first_at, Region(data_headers(0)), 4, body, 0, 6, 8, 2)]) is None
    got = [bytes(received.data) for _ in range(2) for received in first.receive()]
    assert got == [b"\0\3\0\1abcd", b"\0\3\0\2ef"]


def test_closed_ports_are_reported(network: LoadNetwork) -> None:
    endpoint, _ = opened(network)
    nobody = closed_port()
    assert endpoint.send([Packet(nobody, b"hello?")]) is None
    assert endpoint.receive() == ()
    assert list(endpoint.take_unreachable()) == [nobody]


def test_news_of_a_closed_port_stops_no_send(network: LoadNetwork) -> None:
    endpoint, _ = opened(network)
    other, other_at = opened(network)
    nobody = closed_port()
    endpoint.send([Packet(nobody, b"hello?")])
    assert endpoint.send([Packet(other_at, b"all the same")]) is None
    (received,) = other.receive()
    assert bytes(received.data) == b"all the same"
    assert list(endpoint.take_unreachable()) == [nobody]


def test_a_datagram_that_is_too_large_is_said(network: LoadNetwork) -> None:
    endpoint, at = opened(network)
    unsent = endpoint.send([Packet(at, bytes(65_508))])
    assert unsent is not None
    assert unsent.failed == [(at, errno.EMSGSIZE)]


def test_all_receive_into_the_same_memory(network: LoadNetwork) -> None:
    endpoints = [opened(network) for _ in range(3)]
    sender, _ = opened(network)
    sender.send([Packet(at, b"%d" % number) for number, (_, at) in enumerate(endpoints)])
    views = [endpoint.receive()[0].data for endpoint, _ in endpoints]
    assert [bytes(view) for view in views] == [b"2", b"2", b"2"]


@pytest.mark.parametrize(
    ("rung", "lock_step", "kind", "named"),
    [
        ("auto", True, SingleEndpoint, "portable"),
        ("portable", True, SingleEndpoint, "portable"),
        ("portable", False, PortableEndpoint, "portable"),
    ],
)
def test_which_endpoint(rung: str, lock_step: bool, kind: type, named: str) -> None:
    settings = Settings(rung="portable" if rung == "portable" else "auto")
    network = LoadNetwork(settings, lock_step=lock_step)
    endpoint = network.open(socket.AF_INET, None, None)
    assert type(endpoint) is kind
    assert network.rung == named
    assert list(network.descriptors) == [endpoint]
    endpoint.close()


def test_a_forced_rung_is_used_in_lock_step_too() -> None:
    network = LoadNetwork(Settings(rung="mmsg"), lock_step=True)
    endpoint = network.open(socket.AF_INET, None, None)
    assert not isinstance(endpoint, SingleEndpoint)
    assert network.rung == network.capabilities.rung
    endpoint.close()
