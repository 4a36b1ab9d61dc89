"""The receiver of DATA: a server that answers a WRQ, a client that sent an RRQ.

A window is acknowledged when it is full, at the last block, and at the first gap in it (RFC 7440
section 4), once for each time that the sender goes through it.  A block that comes again is acknowledged again only if it is the last one
that was acknowledged: then the ACK was lost.  The ACK of the last block is held back until the file
is on disk; after it, the receiver dallies (RFC 1350 section 6, RFC 1123 4.2.3.1).
"""

from __future__ import annotations

from abc import abstractmethod

import attrs

from snowowl.protocol.actions import NOTHING, Action, Actions, Commit, SendPacket, StoreBlocks
from snowowl.protocol.blocks import NUMBER_MAX, number_of
from snowowl.protocol.events import DatagramsReceived, Event
from snowowl.protocol.negotiation import Terms
from snowowl.protocol.outcome import Outcome, OutcomeKind
from snowowl.protocol.retransmit import NEVER, RetransmitPolicy
from snowowl.protocol.transfer import TERMINAL, State, Transfer, Trigger, is_error
from snowowl.protocol.window import ReceiveWindow
from snowowl.wire import options as known
from snowowl.wire.codec import Buffer, block_number_of, encode_ack
from snowowl.wire.constants import HEADER_SIZE, ErrorCode, Opcode

REPEAT_FLOOR_SECONDS = 1.0
"""In lock-step a receiver that repeats its ACK helps only against senders that have the Sorcerer's
Apprentice bug, and hurts with them; so it waits no less than the classic second."""

DATA_WORD = Opcode.DATA << 16
NO_DATA = -2
"""Neither the beginning of DATA nor -1, which stands for datagrams that have no four octets."""

BLOCKS_MAX = 1 << 62
"""More than any file has."""

_EXPECTING_DATA = (State.TRANSFERRING, State.NEGOTIATING)


class Receiving(Transfer):
    """Receives a file of any size, in order."""

    __slots__ = (
        "_ack_owed",
        "_awaited_max",
        "_gap_acked",
        "_gap_ahead",
        "_octets",
        "awaited",
        "window",
    )

    def __init__(self, policy: RetransmitPolicy) -> None:
        super().__init__(policy)
        self.window = ReceiveWindow(1, 0)
        self._octets = 0
        self._gap_acked = 0
        """The expected block for which a gap was acknowledged already."""
        self._gap_ahead = 0
        """How far past it the last block was that has come."""
        self._ack_owed = False
        """An ACK was held back because content is paused."""
        self._awaited_max = BLOCKS_MAX
        """The last block that may be taken without a thought."""
        self.awaited = NO_DATA
        """The first four octets, as a number, of DATA with the expected block: if it is of whole
        blksize, `take_block` may be called for it.  `NO_DATA`: none such."""

    @property
    def octets(self) -> int:
        """Octets of the file received in order, as they are on the wire."""
        return self._octets

    def handle(self, event: Event) -> Actions:
        """Return what to do about an event.  Total: no peer can make it raise."""
        actions = super().handle(event)
        self.awaited = self._awaited()
        return actions

    def take_block(self, now: float) -> Actions:
        """Return what to do, beside storing it, about DATA that is awaited and of whole blksize.

        The same as `handle`, for a single block in the middle of a file, at a third of its cost.
        """
        window = self.window
        window.expected += 1
        self._octets += self.terms.blksize
        if window.filled:
            self._timer.progressed(now)
            actions = self._acknowledge(now)
        else:
            self._progress(now)
            actions = NOTHING
        expected = window.expected
        self.awaited = (
            DATA_WORD | number_of(expected, window.rollover)
            if expected <= self._awaited_max
            else NO_DATA
        )
        return actions

    def _awaited(self) -> int:
        if self.state is not State.TRANSFERRING or self._paused:
            return NO_DATA
        if self.window.expected > self._awaited_max:
            return NO_DATA
        return DATA_WORD | number_of(self.window.expected, self.window.rollover)

    def _agree(self, terms: Terms) -> None:
        self.terms = terms
        self.window = ReceiveWindow(terms.windowsize, terms.rollover)
        if terms.timeout is not None:
            self._timer.fix(terms.timeout)

    def _datagrams_received(self, event: DatagramsReceived) -> Actions:
        """Handle datagrams; a run of blocks in order becomes one `StoreBlocks`."""
        data, stride, now = event.data, event.stride, event.now
        actions: list[Action] = []
        run_start = run_count = 0
        for start in range(0, len(data), stride or 1):  # an empty datagram has no stride
            datagram = data[start : start + stride]
            if self._is_next(datagram):
                if run_count == 0:
                    run_start = start
                run_count += 1
                self._block_accepted(len(datagram) - HEADER_SIZE)
                if self.state is State.TRANSFERRING and not self.window.filled:
                    continue
                blocks = data[run_start : start + len(datagram)]
                actions.append(StoreBlocks(blocks, stride, run_count))
                run_count = 0
                actions += self._run_ended(now)
                if self.state in TERMINAL:
                    return actions
                continue
            if run_count:
                actions.append(StoreBlocks(data[run_start:start], stride, run_count))
                run_count = 0
                self._progress(now)
            actions += self._datagram_received(datagram, now)
            if self.state in TERMINAL:
                return actions
        if run_count:
            actions.append(StoreBlocks(data[run_start:], stride, run_count))
            self._progress(now)
        return actions

    def _is_next(self, datagram: Buffer) -> bool:
        """Say whether this is DATA with the expected block, of a size that was agreed."""
        length = len(datagram) - HEADER_SIZE
        if length < 0 or datagram[0] != 0 or datagram[1] != Opcode.DATA:
            return False
        if self.state not in _EXPECTING_DATA or length > self.terms.blksize:
            return False
        number = block_number_of(datagram)
        return self.window.ahead(number) == 0 or self._rolled_over_otherwise(number)

    def _rolled_over_otherwise(self, number: int) -> bool:
        """Follow a peer whose number after block 65535 is the other one of 0 and 1.

        No RFC says which it is.  In lock-step the peer has block 65535 acknowledged, so this can be
        nothing but the block after it; with a window it could be a block that was lost and found.
        """
        window = self.window
        if window.expected != NUMBER_MAX + 1 or number != 1 - window.rollover:
            return False
        if window.size != 1 or window.acked != NUMBER_MAX:
            return False
        if any(name == known.ROLLOVER for name, _ in self.terms.granted):
            return False
        window.rollover = number
        self.terms = attrs.evolve(self.terms, rollover=number)
        return True

    def _block_accepted(self, length: int) -> None:
        if self.state is State.NEGOTIATING:
            self._move(Trigger.ANSWERED)
        self._octets += length
        self.window.expected += 1
        if length < self.terms.blksize:
            self._move(Trigger.LAST_RECEIVED)

    def _run_ended(self, now: float) -> Actions:
        """Acknowledge a full window; at the last block, commit instead."""
        self._timer.progressed(now)
        if self.state is State.COMMITTING:
            self._timer.stop()
            self.deadline = NEVER
            return (Commit(),)
        return self._acknowledge(now)

    def _progress(self, now: float) -> None:
        """Note blocks inside a window: the peer lives; nothing is due before the window's end."""
        self._timer.progressed(now)
        if not self._paused:
            self._timer.rearm(now)
            self._arm(now)

    def _datagram_received(self, datagram: Buffer, now: float) -> Actions:
        """Handle anything but the expected block."""
        if is_error(datagram):
            return self._error_received(datagram)
        if len(datagram) < HEADER_SIZE or datagram[0] != 0:
            return NOTHING
        if datagram[1] != Opcode.DATA:
            return self._other_received(datagram, now)
        number = block_number_of(datagram)
        if self.state is State.DALLYING:
            return self._ack_again() if self.window.is_last(number) else NOTHING
        if self.state not in _EXPECTING_DATA:
            return NOTHING
        ahead = self.window.ahead(number)
        if ahead == 0:  # the expected block, and yet not stored: it is too long
            size = len(datagram) - HEADER_SIZE
            return self._refuse(
                ErrorCode.ILLEGAL_OPERATION,
                f"DATA of {size} octets, but blksize is {self.terms.blksize}",
            )
        if ahead is None:
            return self._old_block_received(number)
        if self.state is State.NEGOTIATING:
            # Only our OACK can have opened a window: the peer has it, and its first block is lost.
            self._move(Trigger.ANSWERED)
            self._timer.progressed(now)
        return self._gap_found(ahead, now)

    def _other_received(self, datagram: Buffer, now: float) -> Actions:
        """Ignore what has no place here: one odd packet is no reason to end a transfer."""
        del datagram, now
        return NOTHING

    def _gap_found(self, ahead: int, now: float) -> Actions:
        """Ask for the missing block at once (RFC 7440 section 4).

        Once only, until a block comes that is no further ahead than the last: then the sender has
        begun again, and what was asked for, or the asking, was lost.
        """
        was_ahead, self._gap_ahead = self._gap_ahead, ahead
        if self._gap_acked == self.window.expected and ahead > was_ahead:
            return NOTHING
        self._gap_acked = self.window.expected
        self.retransmitted += self.window.acked == self.window.expected - 1
        return self._acknowledge(now)

    def _old_block_received(self, number: int) -> Actions:
        window = self.window
        if window.acked == window.expected - 1 and window.is_last(number):
            return self._ack_again()
        return NOTHING

    def _ack_again(self) -> Actions:
        if self._paused:
            return NOTHING
        self.retransmitted += 1
        self._timer.forgo_sample()
        return (SendPacket(self._ack()),)

    def _acknowledge(self, now: float) -> Actions:
        """Acknowledge all that was received in order, unless content must catch up first."""
        if self._paused:
            self._ack_owed = True
            self._timer.stop()
            self.deadline = NEVER
            return NOTHING
        self.window.acked = self.window.expected - 1
        self._timer.sent(now)
        self._arm(now)
        return (SendPacket(self._ack()),)

    def _ack(self) -> bytes:
        return encode_ack(number_of(self.window.expected - 1, self.terms.rollover))

    def _arm(self, now: float) -> None:
        """Set the deadline for repeating the request, the OACK or the last ACK."""
        self.deadline = self._timer.deadline
        if self.state is not State.TRANSFERRING:
            return
        if self.window.size == 1 and self.terms.timeout is None:
            self.deadline = max(self.deadline, now + REPEAT_FLOOR_SECONDS)

    def _timer_expired(self, now: float) -> Actions:
        if self.state is State.DALLYING and now >= self.deadline:
            self._move(Trigger.DALLIED)
            self.deadline = NEVER
            return NOTHING
        return super()._timer_expired(now)

    def _resend(self) -> Actions:
        if self.state is State.NEGOTIATING:
            return self._resend_opening()
        # The tail of a window was lost: say what has come; the sender goes on from there.
        self._gap_acked = 0
        self.window.acked = self.window.expected - 1
        return self._ack_again()

    def _resume(self, now: float) -> Actions:
        if self._ack_owed:
            self._ack_owed = False
            return self._acknowledge(now)
        self._timer.rearm(now)
        self._arm(now)
        return NOTHING

    def _content_committed(self, now: float) -> Actions:
        if self.state is not State.COMMITTING:
            return NOTHING
        self._move(Trigger.COMMITTED)
        self._paused = False
        self.outcome = Outcome(OutcomeKind.COMPLETED)
        self.window.acked = self.window.expected - 1
        self.deadline = now + self._dally_seconds()
        return (SendPacket(self._ack()),)

    @abstractmethod
    def _dally_seconds(self) -> float:
        """Return how long to stay after the last ACK, in case that it is lost."""

    def _peer_gone(self, outcome: Outcome) -> Actions:
        if self.state is State.DALLYING:  # it has closed its port: it has our last ACK
            self._move(Trigger.DALLIED)
            self.deadline = NEVER
            return NOTHING
        return super()._peer_gone(outcome)

    def _position(self) -> str:
        return f"expected={self.window.expected} acked={self.window.acked}"
