"""The same seed and the same requests give the same faults at the same places."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

import snowowl
from snowowl.testing.faults import Judged, faulty_server
from snowowl.testing.simnetwork import SimNetwork
from tests.faults.world import FILE, LOCK_STEP, READ, SERVER, run_client, story


@pytest.mark.parametrize("fault", ["random-loss:p=0.3", "garbage", "corrupted"])
def test_a_seed(fault: str) -> None:
    def play(seed: int) -> list[tuple[float, str, bytes]]:
        async def main() -> Judged:
            return (await run_client(fault, READ, LOCK_STEP, seed=seed)).first

        judged = trio.run(main, clock=MockClock(autojump_threshold=0))
        return [(round(one.at, 6), one.what, one.octets) for one in judged.trace]

    assert play(1) == play(1)
    assert play(1) != play(2)


async def test_the_second_play_differs_from_the_first(autojump_clock: MockClock) -> None:
    """A client that is tried a hundred times is not tried with the same loss each time."""
    network = SimNetwork()
    async with faulty_server(
        {"f": FILE}, "random-loss:p=0.15", listen=f"{SERVER}:69", network=network
    ) as server:
        for _ in range(2):
            await snowowl.get(server.url("f"), options=LOCK_STEP, network=network)
            await server.settle()
    first, second = (story(judged) for judged in server.transfers)
    assert first != second
