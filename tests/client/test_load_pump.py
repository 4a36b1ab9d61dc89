"""Both ways to wait for sockets: the same transfers, the same end."""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import pytest
import trio
import trio.testing

from snowowl.client.load_endpoint import LoadNetwork
from snowowl.client.load_fleet import Fleet
from snowowl.client.load_pump import TURN_SECONDS, pump
from snowowl.datagram.address import pack
from snowowl.datagram.interface import Endpoint
from snowowl.wire.codec import encode_ack, opcode_of
from snowowl.wire.constants import Opcode
from tests.client.fake import LISTENING, Answer, FakeNetwork, data, number_of, reader, silent
from tests.client.load_ports import fetches

OCTETS: Final = bytes(range(256)) * 5


async def test_a_task_for_each_socket(autojump_clock: trio.testing.MockClock) -> None:
    network = FakeNetwork(reader(OCTETS))
    ports: list[Endpoint] = [network.open(socket.AF_INET, None, None) for _ in range(40)]
    jobs = fetches(OCTETS, clients=40, transfers=100)
    fleet = Fleet(ports, LISTENING, jobs, 40)
    await pump(fleet, None, math.inf)
    assert (fleet.counts.done, fleet.counts.failed) == (100, 0)


async def test_time_is_kept_for_silent_servers(autojump_clock: trio.testing.MockClock) -> None:
    network = FakeNetwork(silent)
    fleet = Fleet([network.open(socket.AF_INET, None, None)], LISTENING, fetches(b""), 1)
    began = trio.current_time()
    await pump(fleet, None, math.inf)
    assert fleet.counts.failed == 1
    assert [at - began for at, _, _ in network.sent] == [0, 1, 3, 7, 12, 17]


async def test_it_ends_when_its_time_has_come(autojump_clock: trio.testing.MockClock) -> None:
    network = FakeNetwork(silent)
    fleet = Fleet([network.open(socket.AF_INET, None, None)], LISTENING, fetches(b""), 1)
    await pump(fleet, None, trio.current_time() + 2.5)
    assert not fleet.over
    assert len(network.sent) == 2


async def test_answers_that_take_their_time(autojump_clock: trio.testing.MockClock) -> None:
    """Nothing is heard until a timer, not a datagram, makes the client ask again."""
    asked = 0

    def script(peer: bytes, datagram: bytes) -> Sequence[Answer]:
        nonlocal asked
        asked += opcode_of(datagram) == Opcode.RRQ
        return () if asked == 1 else reader(OCTETS)(peer, datagram)

    network = FakeNetwork(script)
    fleet = Fleet([network.open(socket.AF_INET, None, None)], LISTENING, fetches(OCTETS), 1)
    await pump(fleet, None, math.inf)
    assert (fleet.counts.done, asked) == (1, 2)


# With an epoll set.


@contextmanager
def server(octets: bytes) -> Iterator[bytes]:
    """Give the address of a server that answers everything from one port; b"" is silence."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        over = threading.Event()

        def serve() -> None:
            while True:
                datagram, peer = sock.recvfrom(600)
                if over.is_set():
                    return
                if octets:
                    block = number_of(datagram) + 1 if opcode_of(datagram) == Opcode.ACK else 1
                    if (block - 1) * 512 <= len(octets):
                        payload = octets[(block - 1) * 512 : block * 512]
                        sock.sendto(data(block, payload), peer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield pack(sock.getsockname())
        finally:
            over.set()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(encode_ack(0), sock.getsockname())
            thread.join()


@contextmanager
def opened(count: int, *, lock_step: bool = True) -> Iterator[tuple[list[Endpoint], list[int]]]:
    network = LoadNetwork(lock_step=lock_step)
    ports: list[Endpoint] = [network.open(socket.AF_INET, None, None) for _ in range(count)]
    yield ports, list(network.descriptors.values())
    for port in ports:
        port.close()


@pytest.mark.real
@pytest.mark.parametrize("lock_step", [True, False])
async def test_all_sockets_in_one_task(lock_step: bool) -> None:
    with server(OCTETS) as address, opened(4, lock_step=lock_step) as (ports, descriptors):
        fleet = Fleet(ports, address, fetches(OCTETS, clients=4, transfers=9), 4)
        with trio.fail_after(20):
            await pump(fleet, descriptors, math.inf)
        assert (fleet.counts.done, fleet.counts.failed) == (9, 0)


@pytest.mark.real
async def test_other_tasks_get_their_turn_and_can_end_it() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await trio.sleep(TURN_SECONDS)
            turns += 1

    with server(b"") as address, opened(1) as (ports, descriptors):
        fleet = Fleet(ports, address, fetches(OCTETS), 1)
        began = time.monotonic()
        with trio.move_on_after(0.3):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(other)
                await pump(fleet, descriptors, math.inf)
        assert time.monotonic() - began < 2
    assert turns >= 3  # of 30; the machine may be busy


@pytest.mark.real
async def test_a_time_limit_is_kept_while_nothing_comes() -> None:
    with server(b"") as address, opened(1) as (ports, descriptors):
        fleet = Fleet(ports, address, fetches(OCTETS), 1)
        began = trio.current_time()
        await pump(fleet, descriptors, began + 0.05)
        assert 0.05 <= trio.current_time() - began < 2
        assert not fleet.over


@pytest.mark.real
@pytest.mark.parametrize("lock_step", [True, False])
async def test_a_closed_port_is_heard_of_and_costs_no_cpu(lock_step: bool) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        nobody = pack(sock.getsockname())
    with opened(1, lock_step=lock_step) as (ports, descriptors):
        fleet = Fleet(ports, nobody, fetches(OCTETS), 1)
        with trio.fail_after(5):
            await pump(fleet, descriptors, math.inf)
        (failure,) = fleet.counts.failures.values()
        assert "nobody listens" in failure.what


@pytest.mark.real
@pytest.mark.parametrize("lock_step", [True, False])
async def test_news_that_nobody_takes_do_not_spin(lock_step: bool) -> None:
    """An ICMP error whose errno went to a send stays in the queue, and the socket readable."""
    with opened(1, lock_step=lock_step) as (ports, descriptors), server(b"") as address:
        fleet = Fleet(ports, address, fetches(OCTETS), 1)
        with socket.socket(fileno=descriptors[0]) as other:
            other.sendto(b"", ("127.0.0.1", 1))
            assert other.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            other.detach()
        began = time.process_time()
        await pump(fleet, descriptors, trio.current_time() + 0.3)
        assert time.process_time() - began < 0.15
