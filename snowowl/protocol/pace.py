"""How many blocks of a window leave at once.

A window that was asked for can be more than the peer takes in one piece: U-Boot's virtio driver has
32 buffers, a default socket buffer holds 13 blocks of 8 KiB.  Sent at once it fails, sent again at
once it fails again.  So such a window leaves in bursts of what the peer takes, with pauses between
them; the window itself stays what was negotiated, because the peer acknowledges by it (RFC 7440
section 4).  Its last block leaves by itself: its arrival makes the peer tell what is missing before
it, which otherwise would take a timeout, five seconds with U-Boot.

What the peer takes, it shows.  If a burst is cut off, so that two blocks or more of its end are
missing, and the peer says so only when something comes after it, then the rest of the burst is what
it takes.  Once, it can be chance: the peer did say so, and that was lost.  Nor does a gap that is
reported at once mean much, as on a link that loses every twentieth packet: several in a row shrink
the burst on trial, and if no more gets through from gap to gap it was not the burst.

Rejected: instead of the pause, a block out of its turn behind each burst, at whose gap the peer
acknowledges.  Without loss that is faster with the smallest of buffers; but most receivers report a
gap once, so if the block after it is lost they say nothing more, and a loss of 5 % costs whole seconds.

Nothing here looks at a clock.
"""

from __future__ import annotations

from typing import Final

import attrs

GAPS_MAX: Final = 12
"""Gaps in a row that shrink the burst on trial, if none got through whole.  With one packet in a
hundred lost, every second window of 64 has a gap."""

GAIN_MIN: Final = 1.5
"""So many times more blocks must get through from gap to gap in a trial; where packets are lost by
chance it is as many as before."""

PATIENCE: Final = 4
"""Bursts that get through until a larger one is tried, if it is smaller than the last that failed."""

PATIENCE_MIN: Final = 16
PATIENCE_MAX: Final = 4096
PATIENCE_FACTOR: Final = 4
"""The same for one that is not; so many times more each time that it was tried in vain, because that
can cost a timeout."""

PAUSE_MIN_SECONDS: Final = 0.001  # what a timer can do
PAUSE_MAX_SECONDS: Final = 0.02
"""Between bursts: a round trip within these bounds, because in that time the peer took a burst."""


class Pace:
    """One sender's burst, in blocks: shrunk by failures, grown again with patience."""

    __slots__ = (
        "_cautious",
        "_ceiling",
        "_cut_at",
        "_gaps",
        "_ignored",
        "_ignored_next",
        "_passed",
        "_patience",
        "_size",
        "_taken",
        "_trial",
        "_tried",
        "burst",
        "wary",
    )

    def __init__(self, size: int, *, cautious: bool = False) -> None:
        """Begin with whole windows; `cautious`, where silence is dear, with all but the last block."""
        self._size = size
        self._cautious = cautious
        self._ceiling = size
        """The burst that failed last; `size` if none did, or it is long ago."""
        self._patience = PATIENCE_MIN
        self._ignored = 0
        """Gaps that will not count."""
        self._ignored_next = GAPS_MAX
        self._set(self._spared if cautious else size, tried=False)

    def _set(self, burst: int, *, tried: bool) -> None:
        self.burst = burst
        """Blocks to send at once, at most."""
        self._tried = tried
        """The burst is no smaller than the one that failed, and has yet to prove itself."""
        self._passed = 0
        """Bursts that got through since then."""
        self._trial: _Trial | None = None
        self._forget_failures()
        self.wary = self.strained or self._tried
        """`passed` wants to be called."""

    def _forget_failures(self) -> None:
        self._cut_at = -1
        """Blocks that were taken of a burst that was cut off last, -1 if none was."""
        self._gaps = self._taken = 0
        """Gaps in a row, and blocks that were taken before them."""

    @property
    def strained(self) -> bool:
        """A window leaves in several bursts."""
        return self.burst < self._size

    @property
    def _spared(self) -> int:
        """All but the last block."""
        return max(1, self._size - 1)

    def failed(self, taken: int, sent: int, *, late: bool) -> None:
        """Note that of `sent` blocks the peer took `taken`, and lacks the one after them.

        `late`: it has not said so at once.
        """
        burst = self.burst
        bursts, of_burst = divmod(taken, burst)
        rest = sent - bursts * burst
        if bursts:
            self._got_through(bursts)
        self.wary = True
        missing = min(burst, rest) - of_burst
        if (late or rest > burst) and missing > self._chance:
            self._cut_off(of_burst)
            return
        self._cut_at = -1
        if self._trial is not None:
            self._trial.gaps += 1
            self._trial.blocks += of_burst
            if self._trial.gaps >= GAPS_MAX:
                self._give_up(self._trial)
        elif self._ignored:
            self._ignored -= 1
        elif burst > 1:
            self._gaps += 1
            self._taken += of_burst
            if self._gaps >= GAPS_MAX:
                trial = _Trial(burst, GAIN_MIN * max(1, self._taken))
                self._shrink(min(self._taken // GAPS_MAX, burst - 1))
                self._trial = trial

    def stalled(self) -> None:
        """Note that the peer takes nothing of what is sent again."""
        if self.burst > 1:
            self._shrink(self.burst // 2)

    def passed(self, taken: int) -> None:
        """Note that all in flight, so many blocks, was acknowledged."""
        self._got_through(max(1, taken // self.burst))
        self.wary = self.strained or self._tried

    @property
    def _chance(self) -> int:
        """How many blocks of a burst's end can be missing by chance.

        One; but where that cost a timeout of seconds, let it happen once only.
        """
        return 0 if self._cautious and not self.strained else 1

    def _cut_off(self, taken: int) -> None:
        if self._cut_at >= 0:
            taken = max(taken, self._cut_at)
            # One block may be what a probe brought; that is no burst.
            self._shrink(taken if taken > 1 else self.burst // 2)
        elif self.strained:
            self._cut_at = taken
        else:
            self._shrink(self._spared)
            self._cut_at = taken

    def _got_through(self, bursts: int) -> None:
        self._forget_failures()
        self._passed += bursts
        if self._trial is not None:
            self._trial.blocks += bursts * self.burst
            if self._trial.passed:
                self._trial = None
        elif self._tried:
            if self._passed >= PATIENCE_MIN:
                self._tried = False
                self._ceiling, self._patience = self._size, PATIENCE_MIN
                self._passed = 0
        elif self.strained:
            larger = min(2 * self.burst, self._spared) if self.burst < self._spared else self._size
            if self._passed >= (self._patience if larger >= self._ceiling else PATIENCE):
                self._set(larger, tried=larger >= self._ceiling)

    def _shrink(self, burst: int) -> None:
        self._patience = (
            min(self._patience * PATIENCE_FACTOR, PATIENCE_MAX) if self._tried else PATIENCE_MIN
        )
        self._ceiling = self.burst
        self._set(max(1, burst), tried=False)

    def _give_up(self, trial: _Trial) -> None:
        self._ignored = self._ignored_next = min(2 * self._ignored_next, PATIENCE_MAX)
        self._ceiling = self._size
        self._set(trial.burst_before, tried=False)


@attrs.define
class _Trial:
    """Finds out whether a burst that was shrunk for gaps lets more through from gap to gap."""

    burst_before: int
    blocks_wanted: float
    gaps: int = 0
    blocks: int = 0
    """Blocks that got through since it began."""

    @property
    def passed(self) -> bool:
        return self.blocks >= self.blocks_wanted


def pause_seconds(round_trip: float | None) -> float:
    """Return how long to wait between two bursts, by the smoothed round trip (None: unknown)."""
    if round_trip is None:
        return PAUSE_MAX_SECONDS
    return min(max(round_trip, PAUSE_MIN_SECONDS), PAUSE_MAX_SECONDS)
