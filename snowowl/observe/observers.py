"""Who listens to events.  A subscriber that fails never harms a transfer."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from snowowl.observe.events import Event

Observer = Callable[[Event], None]
"""Called in the event loop for each event: must not block."""


class Observers:
    """Hands each event to every subscriber."""

    def __init__(self, observers: Iterable[Observer] = ()) -> None:
        self._observers = tuple(observers)
        self.failures = 0
        """Events that a subscriber failed to take."""

    def emit(self, event: Event) -> None:
        """Tell all subscribers.  Never raises."""
        for observer in self._observers:
            try:
                observer(event)
            except Exception:  # noqa: BLE001 - a broken log must not end a boot
                self.failures += 1
