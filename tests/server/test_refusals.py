"""A line a minute for each reason, and no count is lost."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from snowowl.observe.events import Event, Refusal, RequestsRefused
from snowowl.observe.observers import Observers
from snowowl.server.refusals import TELL_SECONDS, Refusals
from snowowl.testing.simnetwork import socket_address

PEER, OTHER = socket_address("192.0.2.9", 1), socket_address("192.0.2.10", 2)


async def test_the_first_is_told_at_once_and_others_after_a_minute(
    autojump_clock: MockClock,
) -> None:
    told: list[tuple[float, Event]] = []
    start = trio.current_time()
    refusals = Refusals(
        Observers([lambda event: told.append((trio.current_time() - start, event))])
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(refusals.run)
        for _ in range(1000):
            refusals.note(Refusal.REQUESTS, PEER)
        refusals.note(Refusal.NETWORK, OTHER)
        await trio.sleep(10)
        refusals.note(Refusal.REQUESTS, OTHER, 5)
        await trio.sleep(3 * TELL_SECONDS)
        refusals.note(Refusal.REQUESTS, PEER)
        refusals.note(Refusal.REQUESTS, OTHER)
        nursery.cancel_scope.cancel()
    refusals.tell()
    refusals.tell()
    requests = Refusal.REQUESTS
    assert told == [
        (0.0, RequestsRefused(requests, 1, "192.0.2.9:1")),
        (0.0, RequestsRefused(Refusal.NETWORK, 1, "192.0.2.10:2")),
        (TELL_SECONDS, RequestsRefused(requests, 1004, "192.0.2.10:2")),
        (10 + 3 * TELL_SECONDS, RequestsRefused(requests, 1, "192.0.2.9:1")),
        (10 + 3 * TELL_SECONDS, RequestsRefused(requests, 1, "192.0.2.10:2")),
    ]
    assert refusals.counts[requests] == 1007
    assert set(refusals.counts) == set(Refusal)
