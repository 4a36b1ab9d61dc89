"""The simulated network keeps its promises, or the tests on it prove nothing."""

from __future__ import annotations

import errno
import socket

import pytest
import trio
from trio.testing import MockClock

from snowowl.datagram import address
from snowowl.datagram.interface import LocalAddress, Network, Packet, Region, Train
from snowowl.testing.link import Link
from snowowl.testing.simnetwork import BATCH_MAX, SimEndpoint, SimNetwork, socket_address

ALICE, BOB = socket_address("192.0.2.1", 1000), socket_address("192.0.2.2", 2000)


@pytest.fixture
def clock() -> MockClock:
    return MockClock(autojump_threshold=0)


def pair(network: SimNetwork) -> tuple[SimEndpoint, SimEndpoint]:
    return network.bind("192.0.2.1", 1000), network.bind("192.0.2.2", 2000)


def send(endpoint: SimEndpoint, peer: bytes, *datagrams: bytes) -> None:
    endpoint.send([Packet(peer, octets) for octets in datagrams])


async def received(endpoint: SimEndpoint, seconds: float = 1.0) -> list[bytes]:
    """Return all that comes within that time, datagram by datagram."""
    datagrams = []
    with trio.move_on_after(seconds):
        while True:
            await endpoint.wait_readable()
            for each in endpoint.receive():
                octets = bytes(each.data)
                starts = range(0, len(octets) or 1, each.stride)
                datagrams += [octets[start : start + each.stride] for start in starts]
    return datagrams


async def test_a_datagram_takes_its_time_and_comes_whole(clock: MockClock) -> None:
    network: Network = SimNetwork(link=Link(delay_seconds=0.25))
    assert isinstance(network, SimNetwork)
    alice, bob = pair(network)
    send(alice, BOB, b"one", b"", b"three")
    start = trio.current_time()
    await bob.wait_readable()
    assert trio.current_time() - start == 0.25
    batch = bob.receive()
    assert [(bytes(each.data), each.stride, each.peer) for each in batch] == [
        (b"one", 3, ALICE),
        (b"", 1, ALICE),
        (b"three", 5, ALICE),
    ]
    assert bob.receive() == []
    assert bob.counters.datagrams_received == alice.counters.datagrams_sent == 3


async def test_what_was_lent_is_gone_with_the_next_call(clock: MockClock) -> None:
    alice, bob = pair(SimNetwork())
    send(alice, BOB, b"octets")
    await bob.wait_readable()
    kept = bob.receive()[0].data
    bob.receive()
    assert bytes(kept) == b"\xee" * 6


async def test_links_lose_double_and_reorder_as_the_seed_says(clock: MockClock) -> None:
    link = Link(loss=0.2, duplication=0.2, reordering=0.2)

    async def run(seed: int) -> list[bytes]:
        network = SimNetwork(seed, link)
        alice, bob = pair(network)
        for number in range(1000):
            send(alice, BOB, b"%d" % number)
        return await received(bob)

    first = await run(1)
    assert await run(1) == first
    assert await run(2) != first
    assert 700 < len(set(first)) < 900
    assert 100 < len(first) - len(set(first)) < 250
    assert first != sorted(first, key=int)


@pytest.mark.parametrize(("host", "size"), [("192.0.2", 1472), ("2001:db8:", 1452)])
async def test_what_is_larger_than_the_mtu_is_lost_unless_fragments_pass(
    clock: MockClock, host: str, size: int
) -> None:
    network = SimNetwork()
    ends = [f"{host}{':' if ':' in host else '.'}{number}" for number in (1, 2)]
    alice, bob = network.bind(ends[0], 1), network.bind(ends[1], 2)
    send(alice, bob.address, bytes(size), bytes(size + 1))
    assert await received(bob) == [bytes(size)]
    network.link = Link(fragments=True)
    send(alice, bob.address, bytes(size + 1))
    assert await received(bob) == [bytes(size + 1)]
    assert [len(datagram.arrivals) for datagram in network.datagrams] == [1, 0, 1]
    assert network.mtu(None) == 1500


async def test_datagrams_of_one_size_may_come_as_one(clock: MockClock) -> None:
    alice, bob = pair(SimNetwork(coalesces=True))
    send(alice, BOB, b"aaaa", b"bbbb", b"cc", b"dddd", b"eeeee")
    await bob.wait_readable()
    assert [(bytes(each.data), each.stride) for each in bob.receive()] == [
        (b"aaaabbbbcc", 4),
        (b"dddd", 4),
        (b"eeeee", 5),
    ]


async def test_a_batch_is_bounded(clock: MockClock) -> None:
    alice, bob = pair(SimNetwork())
    send(alice, BOB, *[b"x"] * (BATCH_MAX + 1))
    await bob.wait_readable()
    assert [len(bob.receive()) for _ in range(3)] == [BATCH_MAX, 1, 0]


async def test_a_window_is_cut_into_datagrams(clock: MockClock) -> None:
    alice, bob = pair(SimNetwork())
    assert (
        alice.send([Train(BOB, Region(b"H1H2"), 0, Region(b"aaaabb"), 0, 6, 6, 2, None, 2)]) is None
    )
    assert await received(bob) == [b"H1aaaa", b"H2bb"]


async def test_a_kernel_that_refuses(clock: MockClock) -> None:
    network = SimNetwork()
    alice, bob = pair(network)
    reasons = {b"2": errno.EAGAIN, b"4": errno.EFAULT, b"5": errno.ENETUNREACH}
    network.refuse_send = lambda datagram: reasons.get(datagram.octets)
    window = Train(BOB, Region(b""), 0, Region(b"123"), 0, 3, 1, 3, None, 0)
    last = Packet(BOB, b"4")
    unsent = alice.send([window, last])
    assert unsent is not None
    rest, other = unsent.blocked
    assert [bytes(piece) for _, piece in rest.datagrams()] == [b"2", b"3"]
    assert other is last
    start = trio.current_time()
    await alice.wait_writable()
    assert trio.current_time() - start == pytest.approx(network.blocked_seconds)
    del reasons[b"2"]
    unsent = alice.send([*unsent.blocked, Packet(BOB, b"5")])
    assert unsent is not None
    assert (unsent.blocked, unsent.failed) == ([], [(BOB, errno.EFAULT)])
    assert await received(bob) == [b"1", b"2", b"3"]
    assert alice.counters.datagrams_lost == 1


async def test_a_closed_port_is_reported_to_who_sends_there(clock: MockClock) -> None:
    network = SimNetwork()
    alice, bob = pair(network)
    send(bob, ALICE, b"x")
    alice.close()  # the datagram is still on its way
    send(bob, ALICE, b"y")
    await bob.wait_readable()
    assert bob.receive() == []
    assert bob.take_unreachable() == [ALICE, ALICE]
    assert bob.take_unreachable() == []


async def test_a_listening_endpoint_hears_of_no_closed_port(clock: MockClock) -> None:
    network = SimNetwork()
    server = network.listen("", 69)
    send(server, socket_address("2001:db8::9", 5), b"x")
    assert await received(server) == []
    assert server.take_unreachable() == []


async def test_a_dual_stack_endpoint_names_ipv4_peers_as_mapped(clock: MockClock) -> None:
    network = SimNetwork()
    server = network.listen("", 69)
    alice, bob = pair(network)
    send(alice, socket_address("192.0.2.77", 69), b"request")
    await server.wait_readable()
    (request,) = server.receive()
    assert request.peer == socket_address("::ffff:192.0.2.1", 1000)
    assert request.local == LocalAddress(bytes((192, 0, 2, 77)), 1)
    answer = Packet(request.peer, b"answer", request.local)
    assert server.send([answer, Packet(BOB, b"lost")]) is None
    await alice.wait_readable()
    (received_answer,) = alice.receive()
    assert received_answer.peer == socket_address("192.0.2.77", 69)
    assert received_answer.local is None
    assert await received(bob) == []
    assert server.counters.datagrams_lost == 1


async def test_one_family_only_is_listened_on_if_that_was_asked(clock: MockClock) -> None:
    network = SimNetwork()
    server = network.listen("::", 69)
    alice = network.bind("192.0.2.1", 1000)
    send(alice, socket_address("192.0.2.7", 69), b"x")
    assert await received(server) == []


async def test_ports_are_free_random_and_bounded(clock: MockClock) -> None:
    network = SimNetwork()
    local = LocalAddress(bytes((192, 0, 2, 1)))
    opened = [network.open(socket.AF_INET, local, (5000, 5002)) for _ in range(3)]
    assert {address.port_of(each.address) for each in opened} == {5000, 5001, 5002}
    with pytest.raises(OSError, match="no free port") as caught:
        network.open(socket.AF_INET, local, (5000, 5002))
    assert caught.value.errno == errno.EADDRINUSE
    opened[1].close()
    assert network.open(socket.AF_INET, local, (5000, 5002)).address == opened[1].address
    with pytest.raises(OSError, match="in use"):
        network.bind("192.0.2.1", 5000)
    network.refuse_open = lambda family, local: errno.EMFILE
    with pytest.raises(OSError, match="Too many open files"):
        network.open(socket.AF_INET, None, None)


async def test_closing_wakes_who_waits_and_is_idempotent(clock: MockClock) -> None:
    network = SimNetwork()
    alice, _ = pair(network)

    async def wait() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await alice.wait_readable()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.sleep(1)
        alice.close()
        alice.close()
    assert list(network.endpoints) == [BOB]
    send(alice, BOB, b"lost")
    assert alice.counters.datagrams_lost == 1


async def test_errors_of_the_socket_come_before_all_else(clock: MockClock) -> None:
    alice, bob = pair(SimNetwork())
    send(alice, BOB, b"x")
    bob.receive_errors = 2
    await bob.wait_readable()
    assert bob.receive() == bob.receive() == ()
    assert bob.counters.errors == 2
    assert await received(bob) == [b"x"]
