"""What the kernel threw away because nobody fetched it in time: noticed, and told."""

from __future__ import annotations

import math
from typing import Final

from snowowl.datagram import address
from snowowl.datagram.interface import Endpoint
from snowowl.observe.events import DatagramsDropped
from snowowl.observe.observers import Observers

PAUSE_SECONDS: Final = 1.0
"""Between two looks: each costs a system call, and a line a second tells enough."""


class DropWatch:
    """Looks at one endpoint's count now and then, when there is something to do anyway."""

    __slots__ = ("_due", "_endpoint", "_known", "_observers")

    def __init__(self, endpoint: Endpoint, observers: Observers) -> None:
        self._endpoint = endpoint
        self._observers = observers
        self._due = -math.inf
        self._known = 0

    def look(self, now: float) -> None:
        """Tell of new drops, unless it was done a moment ago; an infinite `now`: for the last time."""
        if now < self._due:
            return
        self._due = now + PAUSE_SECONDS
        dropped = self._endpoint.dropped()
        if dropped > self._known:
            where = address.text(self._endpoint.address)
            self._observers.emit(DatagramsDropped(where, dropped - self._known))
            self._known = dropped
