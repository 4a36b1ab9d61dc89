"""What the kernel dropped is told: once, and not all the time."""

from __future__ import annotations

import math
import socket
from pathlib import Path

import pytest
import trio

from snowowl.datagram.address import pack
from snowowl.observe.events import DatagramsDropped, Event
from snowowl.observe.observers import Observers
from snowowl.server.drops import PAUSE_SECONDS, DropWatch
from snowowl.testing.simnetwork import SimEndpoint, SimNetwork
from tests.real.inside import Inside, configure, serving


class Leaky(SimEndpoint):
    """Says that it has dropped what a test says, and counts how often it was asked."""

    drops = 0
    looks = 0

    def dropped(self) -> int:
        self.looks += 1
        return self.drops


@pytest.fixture
def endpoint() -> Leaky:
    return Leaky(SimNetwork(), pack(("192.0.2.1", 69)), dual=False, listening=True)


def watch(endpoint: Leaky) -> tuple[DropWatch, list[Event]]:
    told: list[Event] = []
    return DropWatch(endpoint, Observers([told.append])), told


def test_only_what_is_new_is_told(endpoint: Leaky) -> None:
    watching, told = watch(endpoint)
    watching.look(0.0)
    assert told == []
    endpoint.drops = 7
    watching.look(10.0)
    watching.look(20.0)
    assert told == [DatagramsDropped("192.0.2.1:69", 7)]
    endpoint.drops = 9
    watching.look(30.0)
    assert told[1:] == [DatagramsDropped("192.0.2.1:69", 2)]


def test_one_look_a_second_is_enough(endpoint: Leaky) -> None:
    """Each costs a system call, and a pump looks after each batch."""
    watching, told = watch(endpoint)
    for step in range(1000):
        endpoint.drops += 1
        watching.look(step / 100)
    assert endpoint.looks == pytest.approx(10 / PAUSE_SECONDS, abs=1)
    assert len(told) == endpoint.looks
    assert all(isinstance(event, DatagramsDropped) for event in told)


def test_the_last_look_is_taken_whenever_it_comes(endpoint: Leaky) -> None:
    watching, told = watch(endpoint)
    watching.look(5.0)
    endpoint.drops = 3
    watching.look(5.1)
    assert told == []
    watching.look(math.inf)
    assert told == [DatagramsDropped("192.0.2.1:69", 3)]
    watching.look(math.inf)
    assert len(told) == 1


def test_a_count_that_falls_is_not_told(endpoint: Leaky) -> None:
    """It has 32 bits in the kernel."""
    watching, told = watch(endpoint)
    endpoint.drops = 5
    watching.look(0.0)
    endpoint.drops = 2
    watching.look(10.0)
    assert len(told) == 1


@pytest.mark.real
async def test_requests_that_find_no_room_are_told(tmp_path: Path) -> None:
    """On a real socket with a small buffer, asked more than it holds before anybody fetches it."""
    config = configure(tmp_path, sockets__recv_buffer_kb=4)
    async with serving(config) as inside:
        flood(inside, 200)
        while not inside.told(DatagramsDropped):
            await trio.sleep(0.001)
    (told,) = inside.told(DatagramsDropped)
    assert told.address == f"127.0.0.1:{inside.address[1]}"
    received = inside.network.total("datagrams_received")
    assert told.count == 200 - received


def flood(inside: Inside, count: int) -> None:
    """Send requests for what is not there; none is fetched while this runs."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for number in range(count):
            sock.sendto(b"\0\1missing-%d\0octet\0" % number, inside.address[:2])
