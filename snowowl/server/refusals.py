"""What was refused, counted, and told once a minute: never a line for each packet of a flood."""

from __future__ import annotations

from typing import Final

import attrs
import trio

from snowowl.datagram import address
from snowowl.observe.events import Refusal, RequestsRefused
from snowowl.observe.observers import Observers

TELL_SECONDS: Final = 60.0
"""Between two events about the same reason."""


@attrs.define
class _Untold:
    """What has not been told yet of one reason."""

    count: int = 0
    peer: bytes = b""
    due: float = 0.0
    """When it may be told."""


class Refusals:
    """Counts by reason; tells at once of the first of a kind, and of the others together."""

    def __init__(self, observers: Observers) -> None:
        self.counts: dict[Refusal, int] = dict.fromkeys(Refusal, 0)
        """All since the start, for whoever wants to know."""
        self._observers = observers
        self._untold: dict[Refusal, _Untold] = {}
        self._waiting = trio.Event()

    def note(self, refusal: Refusal, peer: bytes, count: int = 1) -> None:
        """Count what was refused to a peer, a socket address."""
        self.counts[refusal] += count
        untold = self._untold.get(refusal)
        if untold is None:
            untold = self._untold[refusal] = _Untold()
        untold.count += count
        untold.peer = peer
        if untold.count > count:  # somebody waits to tell of those before
            return
        if trio.current_time() >= untold.due:
            self._tell(refusal, untold)
        else:
            self._waiting.set()

    async def run(self) -> None:
        """Tell what is due, until cancelled."""
        while True:
            await self._waiting.wait()
            self._waiting = trio.Event()
            while dues := [untold.due for untold in self._untold.values() if untold.count]:
                await trio.sleep_until(min(dues))
                self.tell(trio.current_time())

    def tell(self, now: float = float("inf")) -> None:
        """Tell what is due by then; all, if nothing else is said: at the end nothing gets lost."""
        for refusal, untold in self._untold.items():
            if untold.count and untold.due <= now:
                self._tell(refusal, untold)

    def _tell(self, refusal: Refusal, untold: _Untold) -> None:
        client = address.text(untold.peer)
        event = RequestsRefused(refusal, untold.count, client)
        untold.count, untold.due = 0, trio.current_time() + TELL_SECONDS
        self._observers.emit(event)
