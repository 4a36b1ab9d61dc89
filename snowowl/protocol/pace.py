"""How many blocks of a window leave at once.

A window that was asked for can be more than the peer takes in one piece: U-Boot's virtio driver has
32 buffers, a default socket buffer holds 13 blocks of 8 KiB.  Sent at once it fails, sent again at
once it fails again.  So where windows time out in a row, each leaves in smaller bursts with a pause
between them; the window itself stays what was negotiated, because the peer acknowledges by it
(RFC 7440 section 4).

Chance must not do that: a pause in every window costs more than the loss of every hundredth packet.
So only timeouts count, not the gaps that a peer reports at once, only while the peer is heard, and
only until a window gets through whole.  Nothing here looks at a clock.
"""

from __future__ import annotations

from typing import Final

STALLS_MAX: Final = 2
"""Timeouts, without a whole window between them, that shrink the burst.  With one packet in a hundred
lost, one window of 16 in fifty times out for its tail or its ACK, two in a row hardly ever."""

PATIENCE_MIN: Final = 16
PATIENCE_MAX: Final = 4096
"""Whole windows until a larger burst is tried; doubled each time, because a peer that still takes no
more costs two timeouts of up to five seconds (which is what U-Boot negotiates)."""

PAUSE_MIN_SECONDS: Final = 0.001  # what a timer can do
PAUSE_MAX_SECONDS: Final = 0.02
"""Between bursts: a round trip within these bounds, because in that time the peer took a window."""


class Pace:
    """One sender's burst, in blocks: shrunk by stalls, grown again with patience."""

    __slots__ = ("_passed", "_patience", "_size", "_stalls", "burst", "strained")

    def __init__(self, size: int) -> None:
        self._size = size
        self.burst = size
        """Blocks to send at once, at most."""
        self.strained = False
        """There was a stall, so `passed` wants to be called."""
        self._stalls = 0
        self._passed = 0
        self._patience = PATIENCE_MIN

    def stalled(self) -> None:
        """Note that a window timed out although the peer is there."""
        self.strained = True
        self._stalls += 1
        if self._stalls >= STALLS_MAX and self.burst > 1:
            self.burst //= 2
            self._passed = 0

    def passed(self) -> None:
        """Note that all in flight was acknowledged at once."""
        self._stalls = 0
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
