"""The windows of RFC 7440, in absolute block indexes.  Lock-step is a window of one.

Arithmetic only: no time, no packets, and nothing about what to do when something is missing.
"""

from __future__ import annotations

from snowowl.protocol.blocks import distance, distance_back


class SendWindow:
    """What is in flight from the sender of DATA: blocks `base` (unacknowledged) to `next` - 1."""

    __slots__ = ("base", "next", "rollover", "size", "total", "twice")

    def __init__(self, size: int, total: int, rollover: int) -> None:
        self.size = size
        self.total = total
        """Blocks in the file, the short last one included."""
        self.rollover = rollover
        self.base = 1
        self.next = 1
        self.twice = 0
        """Blocks before this one may have been sent more than once.

        So while `base` is not past it, an ACK that comes twice may be the answer to a block that
        came twice, and says nothing about what is missing.
        """

    def acknowledged_by(self, number: int) -> int | None:
        """Return how many blocks that were sent an ACK with this number acknowledges.

        0 means a duplicate of the last ACK, None that no block that was sent has the number.
        """
        count = distance(self.base - 1, number, self.rollover)
        if count <= self.next - self.base:
            return count
        # After going back, blocks from before it may still be acknowledged.
        return count if count <= self.twice - self.base else None

    def slide(self, count: int) -> None:
        """Take `count` blocks out of flight."""
        self.base += count
        if self.next < self.base:  # noqa: PLR1730 - max() takes twice as long, for every ACK
            self.next = self.base

    def rewind(self) -> int:
        """Go back to the base; return how many blocks will be sent again (go-back-N)."""
        again = self.next - self.base
        self.twice = max(self.twice, self.next)
        self.next = self.base
        return again

    def take(self, count_max: int) -> tuple[int, int]:
        """Return (first, count) of the blocks to send now, and count them as in flight."""
        first = self.next
        self.next = min(self.base + self.size, self.total + 1, first + count_max)
        return first, self.next - first

    @property
    def room(self) -> int:
        """Blocks that may be sent and were not."""
        return min(self.base + self.size, self.total + 1) - self.next

    @property
    def all_sent(self) -> bool:
        """Every block was sent, be it before going back: what is missing is the last ACK."""
        return self.next > self.total or self.twice > self.total


class ReceiveWindow:
    """What the receiver of DATA has: all before `expected`; the peer knows of all up to `acked`."""

    __slots__ = ("acked", "expected", "rollover", "size")

    def __init__(self, size: int, rollover: int) -> None:
        self.size = size
        self.rollover = rollover
        self.expected = 1
        self.acked = 0

    def ahead(self, number: int) -> int | None:
        """Return how far past the expected block this one is, None if outside the window.

        The peer may send no more than a window past the last ACK (RFC 7440 section 4), which also
        bounds what we hold in memory for it.
        """
        count = distance(self.expected, number, self.rollover)
        return count if self.expected + count <= self.acked + self.size else None

    def is_last(self, number: int) -> bool:
        """Say whether this is the last block that was received in order."""
        return self.expected > 1 and distance_back(self.expected, number, self.rollover) == 1

    @property
    def filled(self) -> bool:
        """A whole window has come since the last ACK: acknowledge."""
        return self.expected - 1 - self.acked >= self.size
