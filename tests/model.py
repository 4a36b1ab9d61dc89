"""TFTP as the RFCs tell it, slowly: what the machines are compared with.

Written from RFC 1350, 2347 and 7440, and from the rules of DESIGN.md for what the RFCs leave open; it
shares no code with `snowowl.protocol`, and counts block numbers instead of reckoning with them.
There are no clocks: whoever drives a model says when a timeout has come.
"""

from __future__ import annotations

import struct
from collections import Counter
from typing import Final

OPENING: Final = -1
"""In what a sender sends: the OACK, not a block."""

DATA: Final = 3
ACK: Final = 4
ERROR: Final = 5


def numbers(rollover: int, count: int) -> list[int]:
    """Return the number on the wire of each block, by counting; block 0 is what ACK 0 is for."""
    counted = [0]
    while len(counted) < count:
        counted.append(rollover if counted[-1] == 65535 else counted[-1] + 1)
    return counted


class SenderModel:
    """The sender of DATA.  Returns blocks by their indexes, from 1 on."""

    def __init__(self, total: int, windowsize: int, wire: list[int], *, negotiates: bool) -> None:
        self.total = total
        self.windowsize = windowsize
        self.wire = wire
        self.acked = -1 if negotiates else 0
        """The last block that was acknowledged; -1 while the OACK is not."""
        self.times: Counter[int] = Counter()
        """How often each block was sent; 0 stands for the OACK, which ACK 0 acknowledges too."""
        self.old_end = -1
        """The last block of the window in which the peer timed out."""
        self.probed = -1
        self.answered = False
        self.ended: str | None = None

    def start(self) -> list[int]:
        """Begin by OACK, or by DATA 1."""
        return self._open()

    def _open(self) -> list[int]:
        if self.acked == -1:
            self.times[0] += 1
            return [OPENING]
        return self._send_window()

    @property
    def last_sent(self) -> int:
        """The furthest block that was ever sent."""
        return max(self.times, default=0)

    def _send_window(self) -> list[int]:
        """Send the window that begins after the last acknowledged block."""
        last = min(self.acked + self.windowsize, self.total)
        blocks = list(range(self.acked + 1, last + 1))
        self.times.update(blocks)
        return blocks

    def _send_new(self) -> list[int]:
        """Send those blocks of the window that were not sent yet."""
        last = min(self.acked + self.windowsize, self.total)
        blocks = list(range(self.last_sent + 1, last + 1))
        self.times.update(blocks)
        return blocks

    def _go_back(self) -> list[int]:
        return self._send_window()

    def probe(self) -> list[int]:
        """Say which blocks are sent again to make the peer speak: the first and the last in flight."""
        self.probed = min(self.acked + self.windowsize, self.total)
        return sorted({self.acked + 1, self.probed})

    def timeout(self) -> list[int]:
        """RFC 1350 section 2: the last packet is sent again; RFC 7440 section 4: the window is."""
        return self._open() if self.acked == -1 else self._go_back()

    def request_again(self) -> list[int]:
        """The first packet was lost, it seems."""
        return [] if self.answered else self.timeout()

    def receive(self, datagram: bytes, *, late: bool) -> list[int]:
        """Handle one datagram; `late`: the peer has probably waited for its own timeout."""
        if self.ended or len(datagram) < 4:
            return []
        opcode, number = struct.unpack("!HH", datagram[:4])
        if opcode == ERROR:
            return self._error(number)
        if opcode != ACK:
            return []
        if self.acked == -1:
            if number != 0:
                return []
            self.acked = 0
            self.answered = True
            return self._send_window()
        for index in range(self.acked, self.last_sent + 1):
            if self.wire[index] == number:
                return self._acknowledged(index, late=late)
        return []

    def _error(self, code: int) -> list[int]:
        if self.acked == -1:
            self.ended = "probed"
        elif code != 5:  # a client that says "unknown transfer ID" may go on
            self.ended = "aborted"
        return []

    def _acknowledged(self, index: int, *, late: bool) -> list[int]:
        if index == self.acked:
            return self._acknowledged_again()
        end = self.acked + self.windowsize
        self.acked = index
        self.answered = True
        if index == self.total:
            self.ended = "completed"
            return []
        if index == self.last_sent:
            return self._send_window()
        # RFC 7440 section 4: what is missing begins after this block; unless the ACK is the one
        # that the window from before the peer's timeout asks for.
        if index == self.old_end:
            return self._send_new()
        self.old_end = end if late else -1
        return self._go_back()

    def _acknowledged_again(self) -> list[int]:
        """RFC 1123 4.2.3.1: in lock-step, no.  With a window, if a loss is the only explanation."""
        came_twice = self.times[self.acked] > 1 or self.times[self.acked + 1] > 1
        came_twice = came_twice or self.acked == self.probed
        return [] if self.windowsize == 1 or came_twice else self._go_back()


class ReceiverModel:
    """The receiver of DATA.  Returns ("store", payload), ("ack", number), ("commit",), ("error",)."""

    def __init__(self, blksize: int, windowsize: int, wire: list[int], *, negotiates: bool) -> None:
        self.blksize = blksize
        self.windowsize = windowsize
        self.wire = wire
        self.negotiating = negotiates
        self.last = 0
        """The last block received in order."""
        self.acked = 0
        """The last block that the peer was told of."""
        self.gap_told_after = -1
        self.gap_ahead = 0
        self.whole = False
        self.ended = False

    def start(self) -> list[tuple[object, ...]]:
        """Begin by OACK, or by ACK 0."""
        return [("oack",)] if self.negotiating else [("ack", 0)]

    def timeout(self) -> list[tuple[object, ...]]:
        """Say again what was said last."""
        if self.negotiating:
            return [("oack",)]
        self.gap_told_after = -1
        return self._ack()

    def _ack(self) -> list[tuple[object, ...]]:
        self.acked = self.last
        return [("ack", self.wire[self.last])]

    def receive(self, datagram: bytes) -> list[tuple[object, ...]]:
        """Handle one datagram."""
        if self.ended or len(datagram) < 4:
            return []
        opcode, number = struct.unpack("!HH", datagram[:4])
        payload = datagram[4:]
        if opcode == ERROR and not self.whole:
            self.ended = True
        if opcode != DATA:
            return []
        if self.whole:
            return self._ack() if number == self.wire[self.last] else []
        for ahead in range(self.windowsize):
            if self.last + 1 + ahead > self.acked + self.windowsize:
                break
            if self.wire[self.last + 1 + ahead] == number:
                return self._gap(ahead) if ahead else self._next(payload)
        if number == self.wire[self.last] and self.last > 0 and self.acked == self.last:
            return self._ack()
        return []

    def _next(self, payload: bytes) -> list[tuple[object, ...]]:
        if len(payload) > self.blksize:
            self.ended = True
            return [("error",)]
        self.negotiating = False
        self.last += 1
        stored: list[tuple[object, ...]] = [("store", payload)]
        if len(payload) < self.blksize:  # RFC 1350 section 6: the last one
            self.whole = True
            return [*stored, ("commit",), *self._ack()]
        if self.last == self.acked + self.windowsize:
            return [*stored, *self._ack()]
        return stored

    def _gap(self, ahead: int) -> list[tuple[object, ...]]:
        """RFC 7440 section 4: the last block in order, once for each pass of the window."""
        self.negotiating = False
        further, self.gap_ahead = ahead > self.gap_ahead, ahead
        if self.gap_told_after == self.last and further:
            return []
        self.gap_told_after = self.last
        return self._ack()
