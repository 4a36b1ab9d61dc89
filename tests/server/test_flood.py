"""Boards that boot while somebody forges addresses: each gets its file, and the server stays small."""

from __future__ import annotations

import random

import pytest
import trio
from trio.testing import MockClock

import snowowl
from snowowl.config import LimitsConfig
from snowowl.observe.events import Refusal, RequestsRefused
from snowowl.server.guard import REQUESTS_AT_ONCE
from snowowl.testing.simnetwork import SimNetwork, socket_address
from tests.server.world import LISTENING, SERVER, World, rrq, wrq

LIMITS = LimitsConfig(requests_per_second_total=40.0, unanswered_max=60)
FLOOD_PER_SECOND = 400
FLOOD_SECONDS = 10.0
BOARDS = 25


async def flood(network: SimNetwork, seed: int, writes: float) -> int:
    """Send requests from addresses all over; return how many."""
    draws = random.Random(seed)
    stop, sent = trio.current_time() + FLOOD_SECONDS, 0
    while trio.current_time() < stop:
        for _ in range(FLOOD_PER_SECOND // 50):
            host = f"10.{draws.randrange(256)}.{draws.randrange(256)}.{draws.randrange(1, 255)}"
            source = socket_address(host, draws.randrange(1024, 65536))
            sent += 1
            request = wrq(f"up-{sent}") if draws.random() < writes else rrq("file", tsize=0)
            network.carry(source, LISTENING, request)
        await trio.sleep(0.02)
    return sent


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_boards_boot_in_a_flood_of_forged_requests(
    world: World, clock: MockClock, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Nobody is at a forged address, and no router says so."""
    monkeypatch.setattr(world.network, "_report_closed", lambda arrival: None)
    octets = world.file("file", random.Random(seed).randbytes(30_000))
    seconds: list[float] = []

    async def boot(number: int) -> None:
        network = world.network.host(f"192.0.2.{100 + number}")
        await trio.sleep(4.0 + number / 10)  # when the flood has emptied the bucket
        began = trio.current_time()
        options = snowowl.ClientOptions(timeout=1)
        received = await snowowl.get(f"tftp://{SERVER}/file", options=options, network=network)
        assert received.octets == octets
        seconds.append(trio.current_time() - began)

    async with world.serving(world.config(limits=LIMITS)):
        async with trio.open_nursery() as nursery:
            for number in range(BOARDS):
                nursery.start_soon(boot, number)
            sent = await flood(world.network, seed, writes=0.3 * (seed % 2))
        await trio.sleep(10.0)
    assert len(seconds) == BOARDS
    assert max(seconds) < 4.5  # asked twice, 1 s apart; and a client that did dallies for 3 s
    refused = dict.fromkeys(Refusal, 0)
    for event in world.told(RequestsRefused):
        refused[event.refusal] += event.count
    assert len(world.told(RequestsRefused)) <= 3 * len(refused)  # not a line for each
    began = sent - refused[Refusal.REQUESTS]
    assert began <= 40 * (REQUESTS_AT_ONCE / 2 + FLOOD_SECONDS) + 2 * BOARDS
    victims = [d for d in world.network.datagrams if d.target[4] == 10]
    assert len(victims) <= 3 * began
    assert refused[Refusal.UNANSWERED] > 0


async def test_what_is_known_of_a_flood_has_its_bounds(
    world: World, clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is remembered of so many addresses, some of it is forgotten."""
    from snowowl.server import guard as module
    from snowowl.server import guarding

    monkeypatch.setattr(module, "STRANGERS_MAX", 64)
    monkeypatch.setattr(world.network, "_report_closed", lambda arrival: None)
    made: list[module.Guard] = []

    class Kept(module.Guard):
        def configure(self, config: snowowl.Config) -> None:
            made.append(self)
            super().configure(config)

    monkeypatch.setattr(guarding, "Guard", Kept)
    world.file("file", bytes(2000))
    limits = LimitsConfig(requests_per_second_total=0, unanswered_max=50)
    async with world.serving(world.config(limits=limits)):
        await flood(world.network, 5, writes=0.0)
        (guard,) = made
        assert guard.unanswered <= 50
        assert len(guard._strangers) <= 2 * 64
        assert len(guard._known) == 0
