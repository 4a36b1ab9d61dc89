"""The client of a WRQ: which DATA it may send, and the Sorcerer's Apprentice in it."""

from __future__ import annotations

import zlib

from snowowl.protocol.blocks import number_of
from snowowl.protocol.negotiation import Terms
from snowowl.testing.faults.conduct import QUICK_SECONDS, Conduct
from snowowl.testing.faults.model import Delivery, Incoming, Kind
from snowowl.wire.codec import opcode_of
from snowowl.wire.constants import HEADER_SIZE, Opcode


class Writing(Conduct):
    """The client of a WRQ: it is sent ACKs, and sends DATA."""

    def __init__(self, terms: Terms, started: float) -> None:
        super().__init__(terms, started)
        self.acked = -1
        """The newest block of which an ACK was delivered; 0: the request's."""
        self._digests: dict[int, int] = {}
        self._sent_at: dict[int, float] = {}
        self._acks: set[int] = set()
        self._acked_at: dict[int, float] = {}
        """When the first ACK of a block was delivered."""
        self._doubled: set[int] = set()
        """Blocks of which an ACK was delivered more than once."""
        self._final: int | None = None
        self._final_acked = False
        self.datagrams = 0
        self.apprentice = 0
        """DATA that duplicate ACKs caused."""

    @property
    def completed(self) -> bool:
        """Say whether all blocks came, and the client was told so."""
        return self._final_acked and self._final is not None and len(self._digests) >= self._final

    @property
    def settled(self) -> bool:
        """Say the same: the client waits for nothing then."""
        return self.completed

    @property
    def growth(self) -> float:
        """Return datagrams of DATA for each block."""
        return self.datagrams / max(1, len(self._digests))

    def _identify(self, octets: bytes, number: int) -> Incoming:
        if opcode_of(octets) == Opcode.ACK:
            return Incoming(Kind.ACK, octets)
        acked = max(self.acked, 0)
        ahead = (number - number_of(acked, 0)) & 0xFFFF
        block: int | None = None
        if 1 <= ahead <= self.terms.windowsize:
            block = acked + ahead
        elif acked - ((number_of(acked, 0) - number) & 0xFFFF) >= 1:
            block = acked - ((number_of(acked, 0) - number) & 0xFFFF)
        last = block is not None and len(octets) < HEADER_SIZE + self.terms.blksize
        return Incoming(Kind.DATA, octets, block, last)

    def _delivered(self, delivery: Delivery, now: float) -> None:
        block = delivery.block
        if block is None:
            return
        if self._acked_at.setdefault(block, now) != now or block in self._acks:
            self._doubled.add(block)
        self._acks.add(block)
        self.acked = max(self.acked, block)
        self._final_acked |= delivery.last

    def _heard(self, heard: Incoming, now: float) -> None:
        if heard.kind is Kind.ACK:
            self.wrong("sent an ACK, though it is the one that writes")
            return
        number, payload = int.from_bytes(heard.octets[2:4], "big"), heard.octets[HEADER_SIZE:]
        block = heard.block
        if block is None or self.acked < 0:
            last = f"when block {self.acked} was acknowledged last"
            self.wrong(f"sent DATA {number} {last if self.acked >= 0 else 'without an answer'}")
            return
        if len(payload) > self.terms.blksize:
            self.wrong(f"sent DATA of {len(payload)} octets, but blksize is {self.terms.blksize}")
        if self._final is not None and block > self._final:
            self.wrong(f"sent DATA {number} after the last block")
        self.datagrams += 1
        digest = zlib.crc32(payload)
        if self._digests.setdefault(block, digest) != digest:
            self.wrong(f"sent other octets in DATA {number} the second time")
        if heard.last and (self._final is None or block < self._final):
            self._final = block
        self._spoke_again(block, now)

    def _spoke_again(self, block: int, now: float) -> None:
        before = self._sent_at.get(block)
        self._sent_at[block] = now
        if before is None:
            return
        if now - before >= QUICK_SECONDS:
            self.waits.append(now - before)
            return
        window = self.terms.windowsize
        if window > 1:
            # Go-back-N: each ACK, once, and each timeout are reasons to send a window again.
            reasons = len(self._acks) + len(self.waits)
            if self.datagrams > len(self._digests) + window * reasons:
                self.wrong("multiplied its DATA (Sorcerer's Apprentice, RFC 1123 4.2.3.1)")
        elif self._is_apprentice(block, now):
            self.apprentice += 1
            self.wrong("sent DATA for a duplicate ACK (Sorcerer's Apprentice, RFC 1123 4.2.3.1)")

    def _is_apprentice(self, block: int, now: float) -> bool:
        """Say whether a block comes again because the ACK before it did.

        Counted from the first of the two ACKs: sooner no timer of the client can have gone off, however
        late this side may be in hearing it.
        """
        acked_at = self._acked_at.get(block - 1)
        if acked_at is None or block - 1 not in self._doubled:
            return False
        return now - acked_at < QUICK_SECONDS
