"""The client of an RRQ: which ACKs it had a reason for."""

from __future__ import annotations

from snowowl.protocol.blocks import NUMBER_MAX, number_of
from snowowl.protocol.negotiation import Terms
from snowowl.testing.faults.conduct import QUICK_SECONDS, Conduct
from snowowl.testing.faults.model import Delivery, Incoming, Kind
from snowowl.wire.codec import opcode_of
from snowowl.wire.constants import HEADER_SIZE, Opcode


class Reading(Conduct):
    """The client of an RRQ: it is sent DATA, and sends ACKs."""

    def __init__(self, terms: Terms, started: float) -> None:
        super().__init__(terms, started)
        self.in_order = 0
        """All blocks up to this one were delivered."""
        self._ahead: set[int] = set()
        self._final: int | None = None
        self.acked = -1
        self.acks = 0
        self.reasons = 0
        """Datagrams that an ACK may answer."""
        self._unanswered = 0
        self._excused = False
        self._repeated_at = -1.0
        self._spoke_at = started
        self.unasked = 0
        """ACKs for which there was no reason, neither a datagram nor a timeout."""

    @property
    def completed(self) -> bool:
        """Say whether the last block was acknowledged."""
        return self._final is not None and self.acked >= self._final

    @property
    def settled(self) -> bool:
        """Say whether the last block was acknowledged: the client waits for nothing then."""
        return self.completed

    @property
    def growth(self) -> float:
        """Return ACKs for each datagram, or timeout, that is a reason for one."""
        return self.acks / max(1, self.acks - self.unasked)

    def _identify(self, octets: bytes, number: int) -> Incoming:
        if opcode_of(octets) == Opcode.DATA:
            return Incoming(Kind.DATA, octets)
        block = self._block_of(number)
        return Incoming(Kind.ACK, octets, block, block is not None and block == self._final)

    def _block_of(self, number: int) -> int | None:
        """Return the newest block with a number of which an ACK can be, None if there is none."""
        newest = number_of(self.in_order, self.terms.rollover)
        if self.terms.rollover == 0 or self.in_order <= NUMBER_MAX:
            block = self.in_order - ((newest - number) & 0xFFFF)
        else:
            block = self.in_order - (newest - number) % NUMBER_MAX
        return block if block >= 0 else None

    def _delivered(self, delivery: Delivery, now: float) -> None:
        self.reasons += 1
        self._unanswered += 1
        block = delivery.block
        if block is None or opcode_of(delivery.octets) != Opcode.DATA:
            return
        if self._final is not None and block > self._final:
            return  # behind the end of the file, as the client sees it
        if delivery.last:
            self._final = block if self._final is None else min(self._final, block)
        if block > self.in_order:
            self._ahead.add(block)
        else:
            self._repeated_at = now
        while self.in_order + 1 in self._ahead:
            self.in_order += 1
            self._ahead.remove(self.in_order)

    def _heard(self, heard: Incoming, now: float) -> None:
        if heard.kind is Kind.DATA:
            self.wrong("sent DATA, though it is the one that reads")
            return
        if len(heard.octets) != HEADER_SIZE:
            self.lenient(f"sent an ACK of {len(heard.octets)} octets")
        self.acks += 1
        if heard.block is None:
            number = int.from_bytes(heard.octets[2:4], "big")
            self.wrong(
                f"acknowledged block {number}, while it can have no more than {self.in_order}"
            )
        elif heard.block <= self.acked:
            self._spoke_again(now)
        else:
            self.acked = heard.block
        # A timer may have spoken just as a datagram came again, which will be answered too.
        again = now - self._repeated_at < QUICK_SECONDS
        self._excused = again and self._unanswered > 0 and now - self._spoke_at >= QUICK_SECONDS
        self._unanswered = max(0, self._unanswered - 1)
        self._spoke_at = now

    def _spoke_again(self, now: float) -> None:
        if self._unanswered:
            return
        waited = now - self._spoke_at
        if waited >= QUICK_SECONDS:
            self.waits.append(waited)
            return
        if self._excused:
            return
        self.unasked += 1
        if self.unasked > 3 and self.growth > 1.5:
            self.wrong("multiplied its ACKs: several for one datagram")
        else:
            self.lenient("sent an ACK more than once for one datagram")
