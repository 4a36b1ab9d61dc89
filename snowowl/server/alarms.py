"""When to look at which transfer again: one lazy heap for all transfers of an exchange.

An entry is looked at when its time has come, and put back if the transfer's deadline has moved on
meanwhile, as it does with every ACK; so an ACK costs nothing here.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Final

import trio

from snowowl.server.member import Member

STALE_MAX: Final = 64
"""Alarms that nobody waits for any more, kept until they are also more than half of the heap.  Each
holds a transfer in memory, for up to the 255 s that a client may ask for as its timeout; clients
that ask and break off at once would leave 2 KB each for that long."""


class Alarms:
    """Remembers the earliest alarm of each transfer."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Member]] = []
        self._stale = 0
        """Entries of the heap that are not their member's alarm any more."""
        self._tie = itertools.count()
        self._scope = trio.CancelScope()

    def set(self, member: Member) -> None:
        """Look at a transfer at its deadline, unless that is to be done earlier anyway."""
        deadline = member.transfer.deadline
        if deadline >= member.alarm:
            return
        replaces = member.alarm != math.inf
        member.alarm = deadline
        heapq.heappush(self._heap, (deadline, next(self._tie), member))
        if self._heap[0][2] is member:
            self._scope.deadline = deadline
        if replaces:
            self._outdated()

    def forget(self, member: Member) -> None:
        """Do not look at a transfer any more."""
        if member.alarm != math.inf:
            member.alarm = math.inf
            self._outdated()

    def due(self, now: float) -> Iterator[Member]:
        """Yield the transfers whose alarm has come; each has none then."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            alarm, _, member = heapq.heappop(heap)
            if alarm != member.alarm:
                self._stale -= 1
                continue  # an earlier one took its place, or the transfer has left
            member.alarm = math.inf
            yield member

    async def run(self, expire: Callable[[float], None]) -> None:
        """Call `expire` with the time whenever an alarm is due, until cancelled."""
        while True:
            self._scope = trio.CancelScope(deadline=self._heap[0][0] if self._heap else math.inf)
            with self._scope:
                await trio.sleep_forever()
            expire(trio.current_time())

    def _outdated(self) -> None:
        """Note that an entry of the heap is stale; remove all that are, if they are too many."""
        self._stale += 1
        heap = self._heap
        if self._stale > max(STALE_MAX, len(heap) // 2):
            heap[:] = [entry for entry in heap if entry[0] == entry[2].alarm]  # in place: `due`
            heapq.heapify(heap)
            self._stale = 0
