"""Sends for which the kernel takes the pages themselves (MSG_ZEROCOPY), and when it is done with them.

The kernel numbers such sends of a socket from 0, and tells the numbers that are done through the
error queue.  Until then the octets must stay as they are, so what they lie in is held here.

A send that fails may have got a number nevertheless, and no error says so: it does if it fails late,
as where segments are too large, and not if it fails early, as where too many are under way.  But the
kernel is done at once with what it refuses, so whoever makes a send that fails reads the error queue
before the next, and the numbers heard of there tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from snowowl.datagram.interface import Region

_NUMBERS: Final = 1 << 32


@attrs.define
class ZeroCopy:
    """One socket's sends that are under way."""

    copied: int = 0
    """Sends that the kernel has copied after all; on loopback it always does."""
    _next: int = 0
    """The number of the next send."""
    _held: dict[int, Sequence[Region]] = attrs.field(factory=dict, repr=False)

    @property
    def pending(self) -> int:
        """Sends that the kernel has not done with."""
        return len(self._held)

    def hold(self, regions: Sequence[Region]) -> None:
        """Note a send and keep what it sends."""
        self._held[self._next] = regions
        self._next = (self._next + 1) % _NUMBERS

    def completed(self, first: int, last: int, copied: bool) -> None:
        """Let go of the sends from one number to another; they may have passed 2**32 between."""
        count = (last - first) % _NUMBERS + 1
        if copied:
            self.copied += count
        numbers = range(first, first + count) if count <= len(self._held) else list(self._held)
        for number in numbers:
            if (number - first) % _NUMBERS < count:
                self._held.pop(number % _NUMBERS, None)
        ahead = (last + 1 - self._next) % _NUMBERS
        if ahead < _NUMBERS // 2:  # numbers of sends that failed
            self._next = (self._next + ahead) % _NUMBERS
