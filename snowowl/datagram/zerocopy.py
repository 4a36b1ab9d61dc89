"""Sends for which the kernel takes the pages themselves (MSG_ZEROCOPY), and when it is done with them.

The kernel numbers such sends of a socket from 0, and tells the numbers that are done through the
error queue.  Until then the octets must stay as they are, so what they lie in is held here.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from snowowl.datagram.interface import Region


@attrs.define
class ZeroCopy:
    """One socket's sends that are under way."""

    sent: int = 0
    """Sends so far: the number of the next one."""
    copied: int = 0
    """Sends that the kernel has copied after all; on loopback it always does."""
    _held: dict[int, Sequence[Region]] = attrs.field(factory=dict)

    @property
    def pending(self) -> int:
        """Sends that the kernel has not done with."""
        return len(self._held)

    def hold(self, regions: Sequence[Region]) -> None:
        """Note a send and keep what it sends."""
        self._held[self.sent & 0xFFFFFFFF] = regions
        self.sent += 1

    def completed(self, first: int, last: int, copied: bool) -> None:
        """Let go of the sends from one number to another."""
        count = ((last - first) & 0xFFFFFFFF) + 1
        if copied:
            self.copied += count
        if count > len(self._held):  # numbers that are not ours
            return
        for number in range(first, first + count):
            self._held.pop(number & 0xFFFFFFFF, None)
