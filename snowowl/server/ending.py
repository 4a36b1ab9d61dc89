"""How a server ends: it takes no more requests, and its transfers get their time.

To *drain* is for what stops: the transfers have `server.drain_seconds`, then they are told.  To
*retire* is for what another process has replaced: they have all the time that a transfer may take,
unless a drain comes after it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs
import trio

from snowowl.config import Config
from snowowl.observe.events import ServerDraining
from snowowl.observe.observers import Observers
from snowowl.server.registry import Registry

Wait = Callable[[], Awaitable[None]]


@attrs.frozen
class Ending:
    """The events that end a server; with neither, it serves until it is cancelled."""

    drain: trio.Event | None
    retire: trio.Event | None

    async def asked(self) -> None:
        """Wait until no more requests are to be taken."""
        await _first_of([event.wait for event in (self.drain, self.retire) if event is not None])

    async def see_out(self, config: Config, registry: Registry, observers: Observers) -> None:
        """Wait until every transfer has an outcome, or has had its time."""
        drain = self.drain
        if drain is None or not drain.is_set():
            seconds = config.limits.transfer_seconds_max
            observers.emit(ServerDraining(registry.unsettled, seconds))
            sooner = [] if drain is None else [drain.wait]
            with trio.move_on_after(seconds):
                await _first_of([registry.wait_settled, *sooner])
        if drain is not None and drain.is_set():
            seconds = config.server.drain_seconds
            observers.emit(ServerDraining(registry.unsettled, seconds))
            with trio.move_on_after(seconds):
                await registry.wait_settled()


async def _first_of(waits: list[Wait]) -> None:
    """Wait until one of these is over; for ever, if there are none."""
    if len(waits) == 1:
        await waits[0]()
        return

    async def wait_for(wait: Wait) -> None:
        await wait()
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for wait in waits:
            nursery.start_soon(wait_for, wait)
        if not waits:
            await trio.sleep_forever()
