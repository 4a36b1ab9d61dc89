"""What a load adds up while it runs.  Numbers only; bounded memory, however long it runs."""

from __future__ import annotations

import math
from typing import Final

import attrs

from snowowl.client.errors import ClientError

_STEPS: Final = 64
"""Steps in a doubling of time: a quantile is wrong by up to 1.1 %, and a transfer costs no memory."""

_SECONDS_MIN: Final = 1e-9

FAILURES_MAX: Final = 20
"""Kinds of failures that are kept apart."""

OTHERS: Final = "other failures"


class Distribution:
    """Durations in seconds, by how many were how long."""

    __slots__ = ("_counts", "count", "maximum")

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self.count = 0
        self.maximum = 0.0

    def add(self, seconds: float) -> None:
        """Take in a duration."""
        self.count += 1
        self.maximum = max(self.maximum, seconds)
        step = int(math.log2(max(seconds, _SECONDS_MIN)) * _STEPS // 1)
        self._counts[step] = self._counts.get(step, 0) + 1

    def quantile(self, share: float) -> float | None:
        """Return the duration that so large a share did not exceed; None if there was none."""
        wanted = max(math.ceil(share * self.count), 1)
        for step in sorted(self._counts):
            wanted -= self._counts[step]
            if wanted <= 0:
                return min(2 ** ((step + 1) / _STEPS), self.maximum)
        return None


@attrs.define
class Failure:
    """Transfers that failed in the same way."""

    what: str
    first: str
    """Which transfer was the first, and what about it."""
    error: ClientError | None
    """None: the octets were wrong."""
    count: int = 0


@attrs.define
class Counts:
    """Of all transfers of a load."""

    begun: int = 0
    done: int = 0
    failed: int = 0
    failed_in_a_row: int = 0
    octets: int = 0
    """Of transfers that have ended."""
    blocks: int = 0
    requests_resent: int = 0
    acks_resent: int = 0
    blocks_resent: int = 0
    """Blocks of uploads that were sent again."""
    duplicates: int = 0
    out_of_order: int = 0
    latency: Distribution = attrs.field(factory=Distribution)
    """From the request until the last octet has come, or was acknowledged."""
    first_block: Distribution = attrs.field(factory=Distribution)
    """From the request until the first block has come, or the request was answered."""
    failures: dict[str, Failure] = attrs.field(factory=dict)

    def failure(self, what: str, first: str, error: ClientError | None) -> None:
        """Count a failure under its kind, as long as there are not too many kinds."""
        self.failed += 1
        self.failed_in_a_row += 1
        if what not in self.failures and len(self.failures) >= FAILURES_MAX:
            what = OTHERS
        self.failures.setdefault(what, Failure(what, first, error)).count += 1
