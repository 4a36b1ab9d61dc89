"""Whether to look for the next packet a while longer before parking the task.

A lone lock-step client answers within some 20 us, and being woken costs more than that: 6 system
calls' worth of event loop, and on another CPU 50 us until it runs.  So where few transfers are
active the pump keeps looking, and yields the CPU between two looks (`sched_yield`): where the peer
shares the CPU it runs at once, and where others have work they get theirs.

A look that finds nothing in time is wasted, so each failure doubles the number of waits until the
next try.  A server that is idle, or whose clients are far away, polls once in a thousand waits; one
that has many clients not at all, because their packets come anyway.  Nothing here waits or reads a
clock.
"""

from __future__ import annotations

from typing import Final

TRANSFERS_MAX: Final = 4
"""Transfers with which polling pays: with more of them a batch is waiting when one is done."""

SKIPPED_MAX: Final = 1024
"""Waits between two tries, at most."""


class Polling:
    """What one pump has learned from its polls."""

    __slots__ = ("_failures", "_skip", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        """How long to look, at most; 0: never."""
        self._failures = 0
        self._skip = 0

    def pays(self, transfers: int) -> bool:
        """Say whether to poll now, with that many transfers active.  Counts as one wait."""
        if not self.seconds or not 0 < transfers <= TRANSFERS_MAX:
            return False
        if self._skip:
            self._skip -= 1
            return False
        return True

    def succeeded(self) -> None:
        """Note that a poll found something."""
        self._failures = 0

    def failed(self) -> None:
        """Note that a poll found nothing."""
        self._failures += 1
        self._skip = min(1 << self._failures, SKIPPED_MAX) - 1
