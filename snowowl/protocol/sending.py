"""The sender of DATA: a server that answers an RRQ, a client that sent a WRQ.

Sorcerer's Apprentice (RFC 1123 4.2.3.1): in lock-step a duplicate ACK never causes DATA; only the
timer does.  With a window (RFC 7440), an ACK inside it says that the block after it is missing: go
on from there at once.  EDK2 sends one such ACK per packet that it got out of order, so the window
is sent again at most once per base and timeout.

The Apprentice has a windowed brother.  A window that was sent twice is acknowledged twice; if the
second ACK had the *next* window sent twice, so it would go on to the end of the file.  So an ACK that
blocks which were sent twice explain causes nothing to be sent again: see `SendWindow.twice`.
"""

from __future__ import annotations

from snowowl.protocol.actions import NOTHING, Actions, SendBlocks
from snowowl.protocol.blocks import NUMBER_MAX, blocks_in, number_of
from snowowl.protocol.events import Event
from snowowl.protocol.negotiation import Terms
from snowowl.protocol.outcome import Outcome, OutcomeKind
from snowowl.protocol.pace import Pace, pause_seconds
from snowowl.protocol.retransmit import NEVER, RetransmitPolicy
from snowowl.protocol.transfer import State, Transfer, Trigger, is_error, is_unknown_tid
from snowowl.protocol.window import SendWindow
from snowowl.wire.codec import Buffer, block_number_of
from snowowl.wire.constants import ErrorCode, Opcode

ACK_WORD = Opcode.ACK << 16
NO_ACK = -2
"""Neither an ACK nor -1, which stands for datagrams that are no four octets."""


class Sending(Transfer):
    """Sends a file of known size, window by window."""

    __slots__ = (
        "_counted_to",
        "_disowned",
        "_heard_twice",
        "_pace",
        "_probed",
        "awaited",
        "size",
        "window",
    )

    def __init__(self, policy: RetransmitPolicy, size: int) -> None:
        super().__init__(policy)
        self.size = size
        """Octets that the file has on the wire."""
        self.window = SendWindow(1, blocks_in(size, self.terms.blksize), 0)
        self._pace = Pace(1)
        self._heard_twice = False
        """A duplicate ACK has come since the timer last expired: the peer is there."""
        self._counted_to = 0
        """The block after the window, for a peer that counts it from where it was before a timeout of
        its own."""
        self._probed = -1
        """The block that was sent as a probe last: an ACK of it that comes twice says nothing."""
        self._disowned = False
        """The peer said "unknown transfer ID": dead, unless it goes on acknowledging."""
        self.awaited = NO_ACK
        """The ACK, as its four octets make a number, for which `go_on` may be called: that of all
        that is in flight, in the middle of a file, while nothing is amiss.  `NO_ACK`: no such."""

    @property
    def octets(self) -> int:
        """Octets of the file that the peer has acknowledged."""
        return min((self.window.base - 1) * self.terms.blksize, self.size)

    def handle(self, event: Event) -> Actions:
        """Return what to do about an event.  Total: no peer can make it raise."""
        actions = super().handle(event)
        self.awaited = self._awaited()
        return actions

    def go_on(self, now: float) -> tuple[int, int]:
        """Return (first, count) of the blocks to send, now that the ACK has come that is awaited.

        The same as `handle`, for nearly every ACK there is, at a fifth of its cost.
        """
        window = self.window
        first = window.base = window.next
        following, total = first + window.size, window.total
        if following <= total:
            window.next = following
            self.awaited = (
                ACK_WORD | (following - 1) & NUMBER_MAX
                if not window.rollover
                else ACK_WORD | number_of(following - 1, window.rollover)
            )
        else:  # the last window
            following = window.next = total + 1
            self.awaited = NO_ACK
        timer = self._timer
        timer.went_on(now)
        self.deadline = timer.due_at
        self._disowned = False
        return first, following - first

    def _awaited(self) -> int:
        window = self.window
        if (
            self.state is not State.TRANSFERRING
            or self._paused
            or not self._timer.answered  # `go_on` does not say so
            or self._pace.wary
            or self._heard_twice
            or window.room > 0
            or not window.base < window.next <= window.total
        ):
            return NO_ACK
        return ACK_WORD | number_of(window.next - 1, window.rollover)

    def _agree(self, terms: Terms) -> None:
        self.terms = terms
        self.window = SendWindow(
            terms.windowsize, blocks_in(self.size, terms.blksize), terms.rollover
        )
        self._pace = Pace(terms.windowsize, cautious=terms.timeout is not None)
        if terms.timeout is not None:
            self._timer.fix(terms.timeout)

    def _begin(self, trigger: Trigger, now: float) -> Actions:
        """Send the first window."""
        self._move(trigger)
        if self.retransmitted:  # an OACK that was sent twice is answered by ACK 0 twice
            self.window.twice = self.window.base
        return self._send(now)

    def _send(self, now: float) -> Actions:
        """Send what the window has room for."""
        if self._paused:
            self._timer.stop()
            self.deadline = NEVER
            return NOTHING
        self._timer.sent(now)
        actions = self._take()
        self._arm(now)
        return actions

    def _take(self) -> Actions:
        count_max = self._pace.burst
        if self._pace.strained:
            room = self.window.room
            if 1 < room <= count_max:
                count_max = room - 1
        first, count = self.window.take(count_max)
        return (SendBlocks(first, count),) if count else NOTHING

    def _arm(self, now: float) -> None:
        """Set the deadline: for what is in flight, or for the next burst of the window."""
        self.deadline = self._timer.due_at
        if self._pace.strained and self._burst_is_due:
            self.deadline = now + pause_seconds(self._timer.round_trip)

    @property
    def _burst_is_due(self) -> bool:
        """Only a part of the window was sent, and nothing but time keeps the rest."""
        return self.state is State.TRANSFERRING and self.window.room > 0

    def _timer_expired(self, now: float) -> Actions:
        if now < self.deadline:
            return NOTHING
        if self._burst_is_due:
            return self._send(now)
        if now < self._timer.deadline:
            return self._probe(now)
        if self._disowned:
            return self._peer_gone(
                Outcome(OutcomeKind.ABORTED, "unknown transfer ID", ErrorCode.UNKNOWN_TID)
            )
        return super()._timer_expired(now)

    def _probe(self, now: float) -> Actions:
        """Send the first and the last block in flight again, so that the peer says what it has.

        The last one shows it a gap, if the end of the window was lost, or that its ACK was (RFC 8985
        section 7).  The first one is for receivers that report a gap only once: if what they asked
        for is lost too, nothing else makes them go on.
        """
        window = self.window
        self._timer.probed(now)
        self.deadline = self._timer.deadline
        first, last = window.base, window.next - 1
        self._probed = last
        self.retransmitted += 1 + (first < last)
        probe = SendBlocks(last, 1)
        return (SendBlocks(first, 1), probe) if first < last else (probe,)

    def _datagram_received(self, datagram: Buffer, now: float) -> Actions:
        if len(datagram) < 4 or datagram[0] != 0:
            return NOTHING
        if datagram[1] == Opcode.ACK:
            return self._ack_received(block_number_of(datagram), now)
        if is_error(datagram):
            return self._peer_error_received(datagram)
        return self._other_received(datagram, now)

    def _other_received(self, datagram: Buffer, now: float) -> Actions:
        """Ignore what has no place here: one odd packet is no reason to end a transfer."""
        del datagram, now
        return NOTHING

    def _ack_received(self, number: int, now: float) -> Actions:
        if self.state is not State.TRANSFERRING:
            return self._opening_acked(number, now)
        window = self.window
        count = window.acknowledged_by(number)
        if not count:
            return NOTHING if count is None else self._duplicate_ack_received(now)
        start = window.base
        window.slide(count)
        late = window.next > window.base and self._timer.is_late(now)
        self._timer.progressed(now)
        self._disowned = self._heard_twice = False
        if window.base > window.total:
            self._end(Outcome(OutcomeKind.COMPLETED), Trigger.LAST_ACKED)
            return NOTHING
        if window.next > window.base:
            # RFC 7440 section 4: an ACK inside the window asks for the blocks after it once more.
            # But not the ACK of the last block of the window in which the peer timed out: U-Boot,
            # which goes on counting from its beginning, sends that one in the course of things.
            if window.base != self._counted_to:
                self._counted_to = start + window.size if late else 0
                self._pace.failed(count, window.next - start, late=late)
                return self._go_back(now)
        elif self._pace.wary:
            self._pace.passed(count)
        return self._send(now)

    def _go_back(self, now: float) -> Actions:
        """Send again what follows the last acknowledged block."""
        self.retransmitted += self.window.rewind()
        if self._paused or not self._pace.strained:
            return self._send(now)
        # The peer, which tells of a gap as soon as it sees one, has yet to take what came after it;
        # and if what it asks for is lost now, it may not ask again.
        self._timer.rearm(now)
        self.deadline = now + 2 * pause_seconds(self._timer.round_trip)
        return NOTHING

    def _opening_acked(self, number: int, now: float) -> Actions:
        """Handle ACK 0, the answer to the OACK of a server or to the WRQ of a client."""
        if number != 0:
            return NOTHING
        self._timer.progressed(now)
        return self._begin(Trigger.ANSWERED, now)

    def _duplicate_ack_received(self, now: float) -> Actions:
        window = self.window
        if window.size == 1 or self._paused:
            return NOTHING
        self._heard_twice = True
        if window.base <= window.twice or window.next == window.base:
            return NOTHING
        if window.base == self._probed + 1:
            return NOTHING
        self._pace.failed(0, window.next - window.base, late=self._timer.is_late(now))
        return self._go_back(now)

    def _resend(self) -> Actions:
        if self.state is State.NEGOTIATING:
            return self._resend_opening()
        if self._heard_twice or self._timer.retries > 1:
            self._heard_twice = False
            self._pace.stalled()
        self.retransmitted += self.window.rewind()
        return self._take()

    def _peer_error_received(self, datagram: Buffer) -> Actions:
        if self.state is State.TRANSFERRING and is_unknown_tid(datagram):
            # lwIP's client sends this for any block that it did not expect, and goes on.
            self._disowned = True
            if not self._burst_is_due:
                self.deadline = self._timer.deadline  # no probe: it would be called unknown too
            return NOTHING
        return self._error_received(datagram)

    def _peer_gone(self, outcome: Outcome) -> Actions:
        if self.state is State.TRANSFERRING and self.window.all_sent:
            # Rule R14: a client that does not dally has the file and has closed its port.
            message = "the last block was sent, its ACK did not come"
            self._end(Outcome(OutcomeKind.UNCONFIRMED, message), Trigger.UNCONFIRMED)
            return NOTHING
        return self._fail(outcome)

    def _stopped(self, outcome: Outcome) -> Actions:
        if outcome.kind is OutcomeKind.SUPERSEDED:
            # It asks for the next file; of this one only the last ACK may be missing.
            return self._peer_gone(outcome)
        return super()._stopped(outcome)

    def _content_paused(self, first: int) -> Actions:
        self.window.next = max(self.window.base, min(self.window.next, first))
        return super()._content_paused(first)

    def _resume(self, now: float) -> Actions:
        return self._send(now)

    def _position(self) -> str:
        window = self.window
        return f"base={window.base} next={window.next} total={window.total}"


def too_many_blocks(size: int, terms: Terms) -> bool:
    """Say whether a file has more blocks than there are numbers, for peers that never roll over."""
    return blocks_in(size, terms.blksize) > NUMBER_MAX
