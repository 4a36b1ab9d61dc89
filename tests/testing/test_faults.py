"""Faults of the simulated network beyond loss: each does what it says, is counted, and is drawn."""

from __future__ import annotations

import errno
import random
import socket

import pytest
import trio
from trio.testing import MockClock

from snowowl.datagram import address
from snowowl.datagram.interface import LocalAddress, Network, Packet, Region, Train
from snowowl.testing.kernel import KernelFaults, ReceiveBuffer
from snowowl.testing.link import Datagram, Link
from snowowl.testing.simendpoint import SimEndpoint
from snowowl.testing.simnetwork import SimNetwork, socket_address

ALICE, BOB = socket_address("192.0.2.1", 1000), socket_address("192.0.2.2", 2000)


@pytest.fixture
def clock() -> MockClock:
    return MockClock(autojump_threshold=0)


def pair(network: SimNetwork) -> tuple[SimEndpoint, SimEndpoint]:
    return network.bind("192.0.2.1", 1000), network.bind("192.0.2.2", 2000)


def send(endpoint: SimEndpoint, peer: bytes, *datagrams: bytes) -> None:
    endpoint.send([Packet(peer, octets) for octets in datagrams])


async def arrived(endpoint: SimEndpoint, seconds: float = 1.0) -> list[tuple[float, bytes]]:
    """Return all that comes within that time, and when it was read."""
    heard: list[tuple[float, bytes]] = []
    start = trio.current_time()
    with trio.move_on_after(seconds):
        while True:
            await endpoint.wait_readable()
            now = round(trio.current_time() - start, 6)
            heard += [(now, bytes(each.data)) for each in endpoint.receive()]
    return heard


async def test_flipped_bits_are_lost_where_there_are_checksums(clock: MockClock) -> None:
    network = SimNetwork(1, Link(corruption=0.5))
    alice, bob = pair(network)
    for _ in range(100):
        send(alice, BOB, b"\0" * 8)
    heard = await arrived(bob)
    assert [octets for _, octets in heard] == [b"\0" * 8] * len(heard)
    assert len(heard) + network.fates["flipped"] == 100
    assert 30 < network.fates["flipped"] < 70


async def test_without_checksums_one_bit_differs_but_never_over_ipv6(clock: MockClock) -> None:
    network = SimNetwork(1, Link(corruption=1.0, checksums=False))
    alice, bob = pair(network)
    send(alice, BOB, b"\0" * 8, b"")
    ((_, octets), (_, empty)) = await arrived(bob)
    assert int.from_bytes(octets, "big").bit_count() == 1
    assert empty == b""  # there is nothing to flip
    carol, dave = network.bind("2001:db8::1", 1), network.bind("2001:db8::2", 2)
    send(carol, dave.address, b"\0" * 8)
    assert await arrived(dave) == []
    assert network.fates["mutilated"] == network.fates["flipped"] == 1


async def test_a_partition_lasts_for_a_time_and_may_be_one_way(clock: MockClock) -> None:
    network = SimNetwork(link=Link(delay_seconds=0.0))
    alice, bob = pair(network)
    network.cut(["192.0.2.1"], ["192.0.2.2"], seconds=10)
    send(alice, BOB, b"cut")
    send(bob, ALICE, b"cut")
    await trio.sleep(10)
    network.cut(["192.0.2.1"], one_way=True)
    send(alice, BOB, b"cut")
    send(bob, ALICE, b"goes through")
    whole = network.cut()
    send(bob, ALICE, b"cut")
    whole.heal()
    send(bob, ALICE, b"healed")
    network.heal()
    send(alice, BOB, b"all is well")
    assert [octets for _, octets in await arrived(alice)] == [b"goes through", b"healed"]
    assert [octets for _, octets in await arrived(bob)] == [b"all is well"]
    assert network.fates["cut"] == 4


async def test_the_news_of_a_closed_port_does_not_cross_a_partition(clock: MockClock) -> None:
    network = SimNetwork()
    alice = network.bind("192.0.2.1", 1000)
    send(alice, BOB, b"nobody there")
    await alice.wait_readable()
    assert alice.take_unreachable() == [BOB]
    network.cut(["192.0.2.2"], one_way=True)
    send(alice, BOB, b"nobody there")
    await trio.sleep(1)
    assert alice.receive() == []
    assert alice.take_unreachable() == []


async def test_what_finds_no_place_in_a_receive_buffer_is_dropped_and_counted(
    clock: MockClock,
) -> None:
    network = SimNetwork()
    alice, bob = pair(network)
    bob.receive_buffer = ReceiveBuffer(datagrams=2, octets=100)
    send(alice, BOB, b"1", b"2", b"3")
    await trio.sleep(1)
    assert bob.dropped() == 1
    send(alice, BOB, b"4")
    await trio.sleep(1)
    assert [bytes(each.data) for each in bob.receive()] == [b"1", b"2"]
    send(alice, BOB, bytes(80), bytes(21), bytes(20))
    await trio.sleep(1)
    assert [len(each.data) for each in bob.receive()] == [80, 20]
    assert bob.dropped() == network.fates["buffer full"] == 3
    network.receive_buffer = ReceiveBuffer(datagrams=0)
    deaf = network.bind("192.0.2.3", 3)
    send(alice, deaf.address, b"x")
    assert await arrived(deaf) == []  # and nobody is woken


async def test_a_link_has_a_bandwidth_and_a_queue(clock: MockClock) -> None:
    octets = bytes(1000 - 28)
    link = Link(delay_seconds=0.0, octets_per_second=10_000, queue_octets=3000)
    network = SimNetwork(link=link)
    alice, bob = pair(network)
    send(alice, BOB, octets, octets, octets, octets)
    send(bob, ALICE, b"")  # the other way is free
    assert [at for at, _ in await arrived(bob)] == [0.1, 0.2, 0.3]
    assert network.fates["queue full"] == 1


async def test_what_is_clogged_arrives_at_once(clock: MockClock) -> None:
    network = SimNetwork(link=Link(delay_seconds=0.0))
    alice, bob = pair(network)
    network.clog("192.0.2.1", "192.0.2.2", 0.5)
    send(alice, BOB, b"1")
    await trio.sleep(0.25)
    send(alice, BOB, b"2")
    assert await arrived(bob) == [(0.25, b"1"), (0.25, b"2")]


@pytest.mark.parametrize(
    ("knob", "name"),
    [("blocked", "EAGAIN"), ("no_buffers", "ENOBUFS"), ("forbidden", "EPERM")],
)
async def test_a_kernel_refuses_to_send_now_and_then(
    clock: MockClock, knob: str, name: str
) -> None:
    network = SimNetwork(1)
    network.kernel = KernelFaults(**{knob: 0.5})
    alice, bob = pair(network)
    for _ in range(100):
        send(alice, BOB, b"x")
    assert 30 < network.fates[name] < 70
    assert len(await arrived(bob)) == 100 - network.fates[name]


async def test_what_is_too_large_is_reported(clock: MockClock) -> None:
    network = SimNetwork(link=Link(fragments=True))
    alice, _ = pair(network)
    assert alice.send([Packet(BOB, bytes(65507))]) is None
    unsent = alice.send([Packet(BOB, bytes(65508))])
    assert unsent is not None
    assert unsent.failed == [(BOB, errno.EMSGSIZE)]
    network.kernel = KernelFaults(too_large=1.0)
    unsent = alice.send([Packet(BOB, b"x")])
    assert unsent is not None
    assert unsent.failed == [(BOB, errno.EMSGSIZE)]


async def test_a_train_that_is_refused_goes_out_all_the_same(clock: MockClock) -> None:
    network = SimNetwork()
    network.kernel = KernelFaults(trains=1.0)
    told: list[str] = []
    network.lowered = told.append
    alice, bob = pair(network)
    alice.send([Train(BOB, Region(b""), 0, Region(b"123"), 0, 3, 1, 3, None, 0)])
    assert [octets for _, octets in await arrived(bob)] == [b"1", b"2", b"3"]
    assert told == ["the simulated device of 192.0.2.1 has no GSO"]


async def test_errors_of_a_socket_and_late_owners(clock: MockClock) -> None:
    network = SimNetwork(1, Link(delay_seconds=0.0))
    alice, bob = pair(network)
    network.kernel = KernelFaults(receiving=0.5, stalls=1.0, stall_seconds=0.1)
    send(alice, BOB, b"x")
    ((at, octets),) = await arrived(bob)
    assert octets == b"x"
    assert at > 0
    assert bob.counters.errors == network.fates["receive error"]


async def test_sockets_that_cannot_be_opened(clock: MockClock) -> None:
    network = SimNetwork(1)
    for knob, number in (("no_descriptors", errno.EMFILE), ("no_ports", errno.EADDRINUSE)):
        network.kernel = KernelFaults(**{knob: 1.0})
        with pytest.raises(OSError, match=r".") as caught:
            network.open(socket.AF_INET, None, None)
        assert caught.value.errno == number
        assert network.fates[f"open {errno.errorcode[number]}"] == 1


def test_what_cannot_happen_takes_no_draw() -> None:
    draws = random.Random(1)
    state = draws.getstate()
    assert KernelFaults().sending(draws) is None
    assert KernelFaults().opening(draws) is None
    assert draws.getstate() == state


async def test_a_host_has_its_own_addresses(clock: MockClock) -> None:
    network = SimNetwork()
    server, client = network.host("192.0.2.1", "2001:db8::1"), network.host("192.0.2.9")
    as_network: Network = server
    assert as_network.mtu(None) == 1500
    listening = server.listen("", 69)
    other = network.host("192.0.2.2").listen("", 69)  # each machine has its own port 69
    endpoint = client.open(socket.AF_INET, None, None)
    assert address.host_text(endpoint.address) == "192.0.2.9"
    send(endpoint, socket_address("192.0.2.1", 69), b"request")
    await listening.wait_readable()
    (request,) = listening.receive()
    assert request.local == LocalAddress(bytes((192, 0, 2, 1)), 1)
    listening.send([Packet(request.peer, b"one", request.local), Packet(request.peer, b"two")])
    assert [octets for _, octets in await arrived(endpoint)] == [b"one", b"two"]
    assert {address.host_text(sent.source) for sent in network.datagrams} == {
        "192.0.2.9",
        "192.0.2.1",
    }
    assert await arrived(other) == []
    with pytest.raises(OSError, match="not supported"):
        client.open(socket.AF_INET6, None, None)
    with pytest.raises(OSError, match="not supported"):
        client.listen("::", 69)
    with pytest.raises(OSError, match="assign requested address"):
        client.listen("192.0.2.1", 69)
    with pytest.raises(OSError, match="in use"):
        server.listen("0.0.0.0", 69)
    listening.close()
    assert server.listen("0.0.0.0", 69).homes == {socket.AF_INET: socket_address("192.0.2.1", 69)}
    with pytest.raises(ValueError, match="one address of each family"):
        network.host("192.0.2.1", "192.0.2.2")


async def test_two_tasks_cannot_wait_for_one_endpoint(clock: MockClock) -> None:
    alice, _ = pair(SimNetwork())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(alice.wait_readable)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await alice.wait_readable()
        nursery.cancel_scope.cancel()


async def test_long_runs_keep_no_datagrams_and_watchers_see_all(clock: MockClock) -> None:
    network = SimNetwork(1, Link(loss=0.5))
    network.keeps_datagrams = False
    seen: list[Datagram] = []
    network.watchers.append(seen.append)
    alice, _ = pair(network)
    for _ in range(10):
        send(alice, BOB, b"x")
    assert network.datagrams == []
    assert len(seen) == network.fates["sent"] == network.fates["octets"] == 10
    assert [sent.fates for sent in seen].count(("lost",)) == network.fates["lost"] > 0


async def test_the_news_of_a_closed_port_wakes_once(clock: MockClock) -> None:
    """Who never asks for it is not woken for it again and again."""
    alice = SimNetwork().bind("192.0.2.1", 1000)
    send(alice, BOB, b"nobody there")
    assert await arrived(alice) == []
    assert alice.take_unreachable() == [BOB]
