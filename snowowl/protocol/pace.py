"""How many blocks of a window leave at once.

A window that was asked for can be more than the peer takes in one piece: U-Boot's virtio driver has
32 buffers, a default socket buffer holds 13 blocks of 8 KiB.  Sent at once it fails, sent again at
once it fails again.  So where windows fail in a row, each leaves in smaller bursts with a pause
between them; the window itself stays what was negotiated, because the peer acknowledges by it
(RFC 7440 section 4).

Chance must not do that: a pause in every window costs more than the loss of every hundredth packet.
So failures count only until a window gets through whole, and only while the peer is heard.  Nothing
here looks at a clock.
"""

from __future__ import annotations

from typing import Final

FAILURES_MAX: Final = 8
TIMEOUT_WEIGHT: Final = 4
"""Failures in a row that shrink the burst: two timeouts, or eight gaps that the peer reported.  With
one packet in a hundred lost, one window of 16 in six has a gap and one in fifty times out."""

PATIENCE_MIN: Final = 64
PATIENCE_MAX: Final = 4096
"""Whole windows until a larger burst is tried; doubled each time, because a peer that still takes no
more costs two timeouts of up to five seconds (which is what U-Boot negotiates)."""

PAUSE_MIN_SECONDS: Final = 0.001  # what a timer can do
PAUSE_MAX_SECONDS: Final = 0.02
"""Between bursts: a round trip within these bounds, because in that time the peer took a window."""


class Pace:
    """One sender's burst, in blocks: shrunk by failures, grown again with patience."""

    __slots__ = ("_failures", "_passed", "_patience", "_size", "_useless", "burst", "strained")

    def __init__(self, size: int) -> None:
        self._size = size
        self.burst = size
        """Blocks to send at once, at most."""
        self.strained = False
        """There was a failure, so `passed` wants to be called."""
        self._failures = 0
        self._passed = 0
        self._patience = PATIENCE_MIN
        self._useless = False

    def failed(self, *, timed_out: bool) -> None:
        """Note that a window must be sent again, although the peer is there."""
        if self._useless:
            return
        self.strained = True
        self._failures += TIMEOUT_WEIGHT if timed_out else 1
        if self._failures < FAILURES_MAX:
            return
        if self.burst > 1:
            self.burst //= 2
            self._failures = FAILURES_MAX - TIMEOUT_WEIGHT
            self._passed = 0
        else:
            # Blocks that leave one by one are lost too: it is not their number that does it.
            self.burst = self._size
            self._useless = True

    def passed(self) -> None:
        """Note that all in flight was acknowledged at once."""
        self._failures = 0
        if self.burst < self._size:
            self._passed += 1
            if self._passed >= self._patience:
                self._passed = 0
                self._patience = min(self._patience * 2, PATIENCE_MAX)
                self.burst = min(self.burst * 2, self._size)
        self.strained = self.burst < self._size


def pause_seconds(round_trip: float | None) -> float:
    """Return how long to wait between two bursts, by the smoothed round trip (None: unknown)."""
    if round_trip is None:
        return PAUSE_MAX_SECONDS
    return min(max(round_trip, PAUSE_MIN_SECONDS), PAUSE_MAX_SECONDS)
