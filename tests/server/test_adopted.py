"""Listening sockets that several processes hold: whose turn it is, and who answers what all hear."""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence

import pytest
import trio
import trio.testing

from snowowl.datagram import address, cmsg
from snowowl.datagram.interface import (
    Counters,
    LocalAddress,
    Network,
    Packet,
    Received,
    Transmit,
    Unsent,
)
from snowowl.datagram.system import SystemNetwork, open_group
from snowowl.server.adopted import BATCHES_DROPPED_MAX, AdoptedEndpoint, AdoptedNetwork

pytestmark = pytest.mark.real

HERE = b"\x7f\0\0\1"
PEER = address.pack(("127.0.0.1", 2001))
NOBODY = trio.Event()


class Scripted:
    """An endpoint that receives what it is given, and is of the system otherwise."""

    def __init__(self, *batches: Sequence[Received]) -> None:
        self.counters = Counters()
        self.address = PEER
        self.batches = list(batches)
        self.drops = 5

    def receive(self) -> Sequence[Received]:
        return self.batches.pop(0) if self.batches else ()

    def send(self, transmits: Sequence[Transmit]) -> Unsent | None:
        return None

    def take_unreachable(self) -> Sequence[bytes]:
        return [PEER]

    def dropped(self) -> int:
        return self.drops

    async def wait_readable(self) -> None:
        await trio.lowlevel.checkpoint()

    async def wait_writable(self) -> None:
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        self.batches = []


def unicast(octets: bytes, *, known: bool = True) -> Received:
    return Received(octets, len(octets), PEER, LocalAddress(HERE) if known else None)


def broadcast(octets: bytes) -> Received:
    return Received(octets, len(octets), PEER, LocalAddress(HERE, 1, to_many=True))


def octets(batch: Sequence[Received]) -> list[bytes]:
    return [bytes(received.data) for received in batch]


def test_only_one_hears_broadcasts() -> None:
    batch = [broadcast(b"1"), unicast(b"2"), broadcast(b"3"), unicast(b"4", known=False)]
    one = AdoptedEndpoint(Scripted(batch), NOBODY, takes_broadcasts=True)
    other = AdoptedEndpoint(Scripted(batch), NOBODY, takes_broadcasts=False)
    assert octets(one.receive()) == [b"1", b"2", b"3", b"4"]
    assert octets(other.receive()) == [b"2", b"4"]
    assert not one.receive()
    assert not other.receive()


def test_what_stands_behind_broadcasts_is_found() -> None:
    dropped = [[broadcast(b"x")]] * (BATCHES_DROPPED_MAX - 1)
    endpoint = AdoptedEndpoint(Scripted(*dropped, [unicast(b"1")]), NOBODY, takes_broadcasts=False)
    assert octets(endpoint.receive()) == [b"1"]


def test_a_flood_of_broadcasts_does_not_keep_others_from_their_turn() -> None:
    scripted = Scripted(*[[broadcast(b"x")]] * 100)
    endpoint = AdoptedEndpoint(scripted, NOBODY, takes_broadcasts=False)
    assert not endpoint.receive()
    assert len(scripted.batches) == 100 - BATCHES_DROPPED_MAX


async def test_it_waits_for_its_turn() -> None:
    go = trio.Event()
    endpoint = AdoptedEndpoint(Scripted(), go, takes_broadcasts=True)
    woken = trio.Event()

    async def wait() -> None:
        await endpoint.wait_readable()
        woken.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        assert not woken.is_set()
        go.set()


async def test_all_else_is_as_it_was() -> None:
    scripted = Scripted([unicast(b"x")])
    endpoint = AdoptedEndpoint(scripted, NOBODY, takes_broadcasts=False)
    assert endpoint.address == PEER
    assert endpoint.counters is scripted.counters
    assert endpoint.take_unreachable() == [PEER]
    assert endpoint.send([Packet(PEER, b"x")]) is None
    assert endpoint.dropped() == 0  # what was lost before was another process' loss
    scripted.drops = 7
    assert endpoint.dropped() == 2
    await endpoint.wait_writable()
    endpoint.close()
    assert not scripted.batches


@pytest.mark.skipif(sys.platform != "linux", reason="workers are for Linux")
async def test_sockets_are_taken_in_order() -> None:
    groups = [open_group("127.0.0.1", 0, 1), open_group("127.0.0.1", 0, 1)]
    sockets = [group[0] for group in groups]
    names = [address.pack(sock.getsockname()) for sock in sockets]
    sockets[0].setsockopt(cmsg.SOL_UDP, cmsg.UDP_GRO, 1)  # by a worker that was configured so
    go = trio.Event()
    go.set()
    system = SystemNetwork()
    network: Network = AdoptedNetwork(system, sockets, go, takes_broadcasts=False)
    listening = [network.listen("192.0.2.1", 69), network.listen("", 0)]
    assert [endpoint.address for endpoint in listening] == names
    own = network.open(socket.AF_INET, LocalAddress(HERE), None)
    own.send([Packet(names[1], b"request")])
    await listening[1].wait_readable()
    (received,) = listening[1].receive()
    assert bytes(received.data) == b"request"
    assert received.local == LocalAddress(HERE, 1)
    assert network.mtu(received.local) == 65536
    for endpoint in (*listening, own):
        endpoint.close()
    system.close()


@pytest.mark.skipif(sys.platform != "linux", reason="workers are for Linux")
def test_what_another_worker_had_set_is_gone() -> None:
    class Plain(SystemNetwork):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[int] = []

        def adopt(self, sock: socket.socket) -> Scripted:  # type: ignore[override]
            self.seen.append(sock.getsockopt(cmsg.SOL_UDP, cmsg.UDP_GRO))
            return Scripted()

    (sock,) = open_group("127.0.0.1", 0, 1)
    with sock:
        sock.setsockopt(cmsg.SOL_UDP, cmsg.UDP_GRO, 1)
        network = Plain()
        AdoptedNetwork(network, [sock], NOBODY, takes_broadcasts=True).listen("", 0)
    assert network.seen == [0]
