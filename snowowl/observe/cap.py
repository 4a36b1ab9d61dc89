"""Bounds the lines that strangers can cause: what nobody has to prove anything for.

A request with a forged address costs who sends it nothing, and its line costs us disk.  So many lines
of a kind are written as a lab that is switched on causes; beyond that they are counted, and the count
is told once a minute.  Whatever a client gets some file by is always told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from snowowl.observe.events import (
    Event,
    InternalError,
    RequestMalformed,
    TransferFinished,
    TraversalAttempted,
)
from snowowl.protocol.buckets import ALWAYS_FULL, Rate

LINES_AT_ONCE: Final = 5000.0
"""Each of 500 boards that start together looks for about ten files which are not there."""

LINES_PER_SECOND: Final = 20.0
"""In the long run: 5 GiB in a year of attacks, and not in an hour."""

TELL_SECONDS: Final = 60.0

_CHEAP: Final = (RequestMalformed, TraversalAttempted, InternalError)


@attrs.define
class _Kind:
    """The lines of one kind of event."""

    bucket: float = ALWAYS_FULL
    left_out: int = 0
    """Since it was told last."""


class LineCap:
    """Says of each event whether it gets its line, and how many did not.

    `clock` returns seconds; it may begin anywhere.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._rate = Rate.of(LINES_PER_SECOND, LINES_AT_ONCE)
        self._kinds: dict[type[Event], _Kind] = {}
        self._due = float("inf")
        """When to tell what was left out."""

    def allows(self, event: Event) -> bool:
        """Take one line for an event; count it as left out if there is none."""
        if not _is_cheap(event):
            return True
        kind = self._kinds.setdefault(type(event), _Kind())
        now = self._clock()
        after = self._rate.take(kind.bucket, now)
        if after is not None:
            kind.bucket = after
            return True
        kind.left_out += 1
        self._due = min(self._due, now + TELL_SECONDS)
        return False

    def left_out(self, *, at_last: bool = False) -> int:
        """Return how many lines to tell of now: 0, but for once a minute, and `at_last`."""
        if not at_last and (self._due == float("inf") or self._clock() < self._due):
            return 0
        count = sum(kind.left_out for kind in self._kinds.values())
        for kind in self._kinds.values():
            kind.left_out = 0
        self._due = float("inf")
        return count


def _is_cheap(event: Event) -> bool:
    """Say whether anybody can cause an event by a packet or two, whoever he says he is."""
    if isinstance(event, TransferFinished):
        return not event.octets
    return isinstance(event, _CHEAP)
