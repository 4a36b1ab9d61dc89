"""Does it grow?  A verdict on samples of memory that neither noise nor a single step can sway.

A leak goes on as long as datagrams come.  So after the warm-up, in which tables and arenas fill, the
slope is taken as the median of the slopes between all pairs of samples (Theil and Sen): spikes move
it little.  What counts as growth must show in all that was measured *and* in the second half of it
alone: a table that doubles once, or an allocator that settles, shows in one of them only.

What is found: every leak of more than `bound` over the measured datagrams.  What is not: a smaller
one, which a longer run would show.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import combinations
from typing import Final

import attrs

WARM_UP: Final = 0.25
"""The part of the datagrams that is not measured."""

SAMPLES_MIN: Final = 8

Sample = tuple[float, float]
"""After how many datagrams, and how much."""


@attrs.frozen
class Growth:
    """What samples say."""

    slope: float
    """Per datagram."""
    grown: float
    """Over the measured datagrams, by the slope."""
    grown_lately: float
    """The same by the slope of the second half."""
    low: float
    high: float
    """The least and the most that was measured."""
    bound: float

    @property
    def grows(self) -> bool:
        """Say whether it is a leak."""
        return min(self.grown, self.grown_lately) > self.bound


def growth(samples: Sequence[Sample], bound: float) -> Growth:
    """Judge samples in the order of their datagrams.  Raises ValueError if they are too few."""
    if not samples:
        raise ValueError("nothing was measured")
    begin = samples[-1][0] * WARM_UP
    measured = [sample for sample in samples if sample[0] >= begin]
    if len(measured) < SAMPLES_MIN:
        raise ValueError(f"{len(measured)} samples are too few to judge growth")
    span = measured[-1][0] - measured[0][0]
    slope = _slope(measured)
    lately = _slope(measured[len(measured) // 2 :])
    values = [value for _, value in measured]
    return Growth(slope, slope * span, lately * span, min(values), max(values), bound)


def _slope(samples: Sequence[Sample]) -> float:
    slopes = [(b - a) / (y - x) for (x, a), (y, b) in combinations(samples, 2) if y > x]
    return statistics.median(slopes) if slopes else 0.0
