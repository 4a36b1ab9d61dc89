from __future__ import annotations

import socket

import trio
from trio.testing import MockClock

from snowowl.datagram.settings import Settings
from snowowl.datagram.system import SystemNetwork
from snowowl.testing.probe import Probe
from snowowl.testing.simnetwork import SimNetwork, socket_address

SECONDS = 5.0


async def test_it_hears_and_says_where_from(autojump_clock: MockClock) -> None:
    network = SimNetwork()
    board = network.bind("192.0.2.7", 2000)
    with Probe(network, socket.AF_INET) as probe:
        await probe.send(b"one", board.address)
        await board.wait_readable()
        (received,) = board.receive()
        assert bytes(received.data) == b"one"
        assert await probe.receive(0.5) is None
        before = trio.current_time()
        assert await probe.receive_all(0.5) == []
        assert trio.current_time() == before + 0.5
    board.close()
    assert not network.endpoints
    assert (probe.sent, probe.octets_sent, probe.received) == (1, 3, 0)


async def test_it_hears_of_closed_ports(autojump_clock: MockClock) -> None:
    network = SimNetwork()
    nobody = socket_address("192.0.2.7", 2000)
    with Probe(network, socket.AF_INET) as probe:
        await probe.send(b"one", nobody)
        assert await probe.receive(SECONDS) is None
        assert trio.current_time() < SECONDS
        assert list(probe.take_closed_ports()) == [nobody]
        assert not probe.take_closed_ports()


async def test_on_real_sockets() -> None:
    network = SystemNetwork(Settings())
    with Probe(network, socket.AF_INET) as one, Probe(network, socket.AF_INET) as other:
        await one.send(b"", socket_address("127.0.0.1", other.port))
        await one.send(b"two", socket_address("127.0.0.1", other.port))
        heard = await other.receive_all(SECONDS, count_max=2)
        assert [(each.octets, each.port) for each in heard] == [(b"", one.port), (b"two", one.port)]
    network.close()


async def test_a_closed_port_is_heard_of_at_once_on_real_sockets() -> None:
    """On loopback the report is there before anybody waits for it."""
    network = SystemNetwork(Settings())
    with Probe(network, socket.AF_INET) as probe, Probe(network, socket.AF_INET) as gone:
        nobody = socket_address("127.0.0.1", gone.port)
        gone.close()
        for _ in range(2):
            await probe.send(b"one", nobody)
            before = trio.current_time()
            assert await probe.receive(2 * SECONDS) is None
            assert trio.current_time() - before < SECONDS
            assert list(probe.take_closed_ports()) == [nobody]
    network.close()
