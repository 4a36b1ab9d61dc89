"""A client's and a server's machine, coupled over a link that loses, doubles and delays on demand.

Virtual time, no randomness: a run is a function of the fates of its datagrams.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from enum import IntEnum
from typing import Final

from snowowl.protocol.actions import Actions, Commit, SendBlocks, SendPacket, StoreBlocks
from snowowl.protocol.blocks import number_of
from snowowl.protocol.events import (
    ContentCommitted,
    DatagramsReceived,
    RequestRepeated,
    TimerExpired,
)
from snowowl.protocol.receiving import Receiving
from snowowl.protocol.sending import Sending
from snowowl.testing.playbook import payloads_of
from snowowl.wire.codec import encode_data_header, opcode_of
from snowowl.wire.constants import Opcode

LATENCY: Final = 0.01
SPACING: Final = 0.0001
"""Seconds between two datagrams of one burst, so that a late one changes places with the next."""

STEPS_SPARE: Final = 5000
"""Datagrams and timers, besides three for each block, until a run counts as one that never ends."""


class Fate(IntEnum):
    """What becomes of a datagram."""

    KEPT = 0
    DROPPED = 1
    DOUBLED = 2
    LATE = 3


class Fates:
    """The fates of datagrams of a run, in the order of their sending, after `kept` that are kept."""

    def __init__(self, given: list[Fate], length: int, kept: int) -> None:
        self._given = given
        self._length = length
        self._kept = kept
        self._count = 0

    def next(self) -> Fate:
        """Return the fate of the next datagram."""
        index = self._count - self._kept
        if index >= self._length:
            return Fate.KEPT
        self._count += 1
        return self._given[index] if 0 <= index < len(self._given) else Fate.KEPT

    def used(self) -> list[Fate]:
        """Return the fates that were asked for, without those of the datagrams that are kept."""
        count = max(0, self._count - self._kept)
        return self._given[:count] + [Fate.KEPT] * (count - len(self._given))

    @property
    def faults(self) -> int:
        """Datagrams that were not just delivered."""
        return sum(fate is not Fate.KEPT for fate in self.used())

    def __repr__(self) -> str:
        return " ".join(fate.name for fate in self.used())


def all_fates(choices: tuple[Fate, ...], length: int, kept: int = 0) -> Iterator[Fates]:
    """Yield every combination of fates of `length` datagrams, each to be used up in one run.

    The first choice is the rule.  What a run did not ask for is not varied: a short run has fewer
    combinations.
    """
    given: list[int] = []
    while True:
        fates = Fates([choices[index] for index in given], length, kept)
        yield fates
        asked = len(fates.used())
        given = given[:asked] + [0] * (asked - len(given))
        while given and given[-1] == len(choices) - 1:
            given.pop()
        if not given:
            return
        given[-1] += 1


class Coupling:
    """One transfer seen from both sides."""

    def __init__(
        self,
        client: Sending | Receiving,
        server: Sending | Receiving,
        content: bytes,
        fates: Fates,
    ) -> None:
        self.client = client
        self.server = server
        self.received = b""
        self.datagrams = 0
        """Datagrams that were sent, by either side."""
        self._content = content
        self._fates = fates
        self._now = 0.0
        self.started = False
        """A request has reached the server."""
        self._flying: list[tuple[float, int, bool, bytes]] = []

    def run(self) -> None:
        """Run until both sides have finished."""
        client, server = self.client, self.server
        self._carry_out(client.start(0.0), to_server=True)
        steps, steps_max = 0, STEPS_SPARE + 3 * len(self._content) // 8
        while not (client.finished and (server.finished or not self.started)):
            steps += 1
            assert steps < steps_max, f"this never ends: {client!r} {server!r} {self._fates!r}"
            deadline = min(client.deadline, server.deadline)
            if self._flying and self._flying[0][0] <= deadline:
                self._now, _, to_server, datagram = heapq.heappop(self._flying)
                self._deliver(datagram, to_server=to_server)
                continue
            assert deadline >= self._now, f"time stands still: {client!r} {server!r}"
            self._now = deadline
            for side, to_server in ((client, True), (server, False)):
                if side.deadline <= deadline:
                    self._carry_out(side.handle(TimerExpired(deadline)), to_server=to_server)

    def _deliver(self, datagram: bytes, *, to_server: bool) -> None:
        side, now = (self.server if to_server else self.client), self._now
        if to_server and opcode_of(datagram) in (Opcode.RRQ, Opcode.WRQ):
            if self.started:
                actions = side.handle(RequestRepeated(now))
            else:
                self.started = True
                actions = side.start(now)
        else:
            actions = side.handle(DatagramsReceived(datagram, len(datagram), now))
        self._carry_out(actions, to_server=not to_server)

    def _carry_out(self, actions: Actions, *, to_server: bool) -> None:
        side = self.client if to_server else self.server
        for index, action in enumerate(actions):
            if isinstance(action, SendPacket):
                self._transmit(action.packet, index, to_server=to_server)
            elif isinstance(action, SendBlocks):
                blksize, rollover = side.terms.blksize, side.terms.rollover
                for block in range(action.first, action.first + action.count):
                    payload = self._content[(block - 1) * blksize : block * blksize]
                    header = encode_data_header(number_of(block, rollover))
                    self._transmit(header + payload, block - action.first, to_server=to_server)
            elif isinstance(action, StoreBlocks):
                self.received += b"".join(payloads_of(action))
            elif isinstance(action, Commit):
                self._carry_out(side.handle(ContentCommitted(self._now)), to_server=to_server)

    def _transmit(self, datagram: bytes, position: int, *, to_server: bool) -> None:
        fate = self._fates.next()
        self.datagrams += 1
        if fate == Fate.DROPPED:
            return
        arrival = self._now + LATENCY + position * SPACING
        if fate == Fate.LATE:
            arrival += 1.5 * SPACING
        heapq.heappush(self._flying, (arrival, self.datagrams * 2, to_server, datagram))
        if fate == Fate.DOUBLED:
            heapq.heappush(self._flying, (arrival, self.datagrams * 2 + 1, to_server, datagram))
