"""Waits for the sockets of a fleet: all of them in one task where the kernel can, else a task each.

A task that waits for its own socket costs 20 to 40 us of CPU for each datagram, more than all the
rest.  So on Linux all sockets are in one epoll set.  As there is nothing else to do in a program that
measures, the wait is in that very set, not in Trio's: for a lock-step client that is alone that is 10
us of CPU a block instead of 25 to 35, and nearly twice the speed.  HAZARD: other tasks of the program
wait meanwhile, but never for longer than `TURN_SECONDS`.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Sequence
from typing import Final

import trio

from snowowl.client.load_fleet import Fleet
from snowowl.client.load_lane import Lane

TURN_SECONDS: Final = 0.01
"""How long other tasks may have to wait: a Ctrl-C or a progress display does not feel it."""

_EVENTS_MAX: Final = 64
"""Sockets to serve between two looks at who wants to begin."""


async def pump(fleet: Fleet, descriptors: Sequence[int] | None, until: float) -> None:
    """Run a fleet until its work is done or a time has come.

    `descriptors` are those of its lanes' sockets, in order; None if they have none, as in a
    simulated network.
    """
    if descriptors is not None and hasattr(select, "epoll"):
        await _pump_all(fleet, descriptors, until)
    else:
        await _pump_each(fleet, until)


async def _pump_all(fleet: Fleet, descriptors: Sequence[int], until: float) -> None:
    lanes = dict(zip(descriptors, fleet.lanes, strict=True))
    clock = trio.lowlevel.current_clock().current_time
    with select.epoll() as epoll:
        for descriptor in descriptors:
            epoll.register(descriptor, select.EPOLLIN)
        now = turn_at = clock()
        while now < until and not fleet.over:
            if fleet.eager:
                fleet.begin(now)
            seconds = 0.0
            if not fleet.eager:
                seconds = max(min(fleet.deadline, turn_at + TURN_SECONDS, until) - now, 0.0)
            for descriptor, events in epoll.poll(seconds, _EVENTS_MAX):
                lane = lanes[descriptor]
                if not fleet.serve(lane, clock()) and events & select.EPOLLERR:
                    # News in the error queue, of which receiving said nothing.  An endpoint looks
                    # for it when it was waited for; the wait is over at once.
                    with trio.move_on_after(TURN_SECONDS):
                        await lane.endpoint.wait_readable()
                    fleet.serve(lane, clock())
            now = clock()
            if now >= fleet.deadline:
                fleet.expire(now)
            if now - turn_at >= TURN_SECONDS:
                await trio.lowlevel.checkpoint()
                now = turn_at = clock()


async def _pump_each(fleet: Fleet, until: float) -> None:
    """Run a fleet with a task for each socket: the portable way, and that of a simulated network."""
    async with trio.open_nursery() as nursery:
        news = _News()
        for lane in fleet.lanes:
            nursery.start_soon(_serve_lane, fleet, lane, news.ring)
        now = trio.current_time()
        while now < until and not fleet.over:
            if fleet.eager:
                fleet.begin(now)
            else:
                await news.wait(min(fleet.deadline, until))
            now = trio.current_time()
            fleet.expire(now)
        nursery.cancel_scope.cancel()


async def _serve_lane(fleet: Fleet, lane: Lane, ring: Callable[[], None]) -> None:
    while True:
        await lane.endpoint.wait_readable()
        fleet.serve(lane, trio.current_time())
        ring()


class _News:
    """Wakes one task: something has come, or a time."""

    def __init__(self) -> None:
        self._event = trio.Event()

    def ring(self) -> None:
        self._event.set()

    async def wait(self, until: float) -> None:
        with trio.move_on_at(until):
            await self._event.wait()
        self._event = trio.Event()
