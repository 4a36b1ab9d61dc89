"""Bugs of the sender of DATA, of its timer, and of what all transfers share."""

from __future__ import annotations

import math
from collections.abc import Callable

from snowowl.protocol import receiving, sending, transfer, window
from snowowl.protocol.actions import NOTHING, Actions, SendPacket
from snowowl.protocol.outcome import Outcome, OutcomeKind
from snowowl.protocol.retransmit import RetransmitTimer
from snowowl.protocol.sending import Sending
from snowowl.protocol.transfer import State, Transfer, Trigger
from snowowl.protocol.window import SendWindow
from snowowl.wire.codec import Buffer, encode_error
from tests.quality.planting import Patch, bug


@bug("RFC 1123 4.2.3.1", found_by="acks in lock-step", usually=30)
def sorcerers_apprentice(patch: Patch) -> None:
    """In lock-step, a duplicate ACK sends the block after it again."""
    real: Callable[[Sending, float], Actions] = Sending._duplicate_ack_received

    def duplicate(self: Sending, now: float) -> Actions:
        return self._go_back(now) if self.window.size == 1 else real(self, now)

    patch(Sending, "_duplicate_ack_received", duplicate)


@bug("RFC 1123 4.2.3.1", found_by="machine", usually=300)
def sorcerers_apprentice_in_the_machine(patch: Patch) -> None:
    """In lock-step, a duplicate ACK sends the block after it again."""
    sorcerers_apprentice(patch)


@bug("RFC 7440 4", found_by="acks in a window", usually=100)
def window_for_each_duplicate(patch: Patch) -> None:
    """The window is sent again for each duplicate ACK, as often as it comes."""

    def duplicate(self: Sending, now: float) -> Actions:
        if self.window.size == 1 or self.window.next == self.window.base:
            return NOTHING
        self.window.rewind()
        return self._send(now)

    patch(Sending, "_duplicate_ack_received", duplicate)


@bug("RFC 1123 4.2.3.1", found_by="every doubling", usually=300)
def windowed_apprentice(patch: Patch) -> None:
    """A window that was acknowledged twice has the next one sent twice, to the end of the file."""

    def rewind(self: SendWindow) -> int:
        again = self.next - self.base
        self.next = self.base
        return again

    patch(SendWindow, "rewind", rewind)


@bug("RFC 1350 6", found_by="every beginning", usually=10)
def no_empty_last_block(patch: Patch) -> None:
    """A file that is a multiple of blksize ends without the empty block."""

    def blocks_in(size: int, blksize: int) -> int:
        return max(1, -(-size // blksize))

    patch(sending, "blocks_in", blocks_in)


@bug("RFC 1350 6", found_by="machine", usually=100)
def a_block_too_many(patch: Patch) -> None:
    """An empty block follows the short one that was the last."""
    patch(sending, "blocks_in", lambda size, blksize: size // blksize + 2)


@bug("rule R11", found_by="sender against the model", usually=300, slow=True)
def rollover_next_number(patch: Patch) -> None:
    """A peer that asked for rollover=1 gets ACKs of block 0 all the same expected."""
    patch(sending, "number_of", lambda index, rollover: index & 0xFFFF)
    patch(window, "distance", lambda index, number, rollover: (number - index) & 0xFFFF)


@bug("rule R11", found_by="sender against the model", usually=300, slow=True)
def compared_without_wrap(patch: Patch) -> None:
    """Block numbers are compared as if they went on for ever: the transfer ends at block 65535."""

    def distance(index: int, number: int, rollover: int) -> int:
        return number - index if number >= index else 1 << 20

    patch(window, "distance", distance)


@bug("RFC 1350 2", found_by="every middle", usually=600)
def lost_window_never_sent_again(patch: Patch) -> None:
    """A timeout passes as if something had been sent again."""
    probe = Sending._probe

    def silent(self: Sending, now: float) -> Actions:
        probe(self, now)
        return NOTHING

    def resend(self: Sending) -> Actions:
        return self._resend_opening() if self.state is State.NEGOTIATING else NOTHING

    patch(Sending, "_probe", silent)
    patch(Sending, "_resend", resend)


@bug("RFC 1350 2", found_by="every middle", usually=600)
def goes_on_past_what_was_lost(patch: Patch) -> None:
    """An ACK inside the window is taken for one of all that was sent."""
    real = SendWindow.slide

    def slide(self: SendWindow, count: int) -> None:
        real(self, max(count, self.next - self.base))

    patch(SendWindow, "slide", slide)


@bug("RFC 7440 3", found_by="machine", usually=100)
def window_one_too_large(patch: Patch) -> None:
    """One block more than the window has is in flight."""

    def take(self: SendWindow, count_max: int) -> tuple[int, int]:
        first = self.next
        self.next = min(self.base + self.size + 1, self.total + 1, first + count_max + 1)
        return first, self.next - first

    patch(SendWindow, "take", take)


@bug("the core's promise: the deadline is later than now", found_by="machine", usually=100)
def stale_deadline(patch: Patch) -> None:
    """When the timer has expired, the deadline stays where it was: the shell spins."""
    patch(RetransmitTimer, "rearm", lambda self, now: None)


@bug("the core's promise: there is a deadline", found_by="no event", usually=100)
def timer_never_armed_again(patch: Patch) -> None:
    """What is sent again is not timed: one more loss, and the transfer hangs for ever."""

    def rearm(self: RetransmitTimer, now: float) -> None:
        self.deadline = self.due_at = math.inf

    patch(RetransmitTimer, "rearm", rearm)


@bug("SECURITY: no amplifier", found_by="forged requests", usually=10)
def reflects_for_ever(patch: Patch) -> None:
    """A peer that has never answered is sent the first packet until the silence is too long."""

    def expired(self: RetransmitTimer, now: float) -> bool:
        self.retries += 1
        return self.retries < 40

    patch(RetransmitTimer, "expired", expired)


@bug("RFC 1350 7", found_by="any error", usually=200)
def error_answered_by_error(patch: Patch) -> None:
    """An ERROR is answered by an ERROR: two such ends never stop."""
    real: Callable[[Transfer, Buffer], Actions] = Transfer._error_received

    def received(self: Transfer, datagram: Buffer) -> Actions:
        real(self, datagram)
        return (SendPacket(encode_error(0, "what?")),)

    patch(Transfer, "_error_received", received)


@bug("the core's promise: total", found_by="no datagram", usually=200, raises=(IndexError,))
def short_error_crashes(patch: Patch) -> None:
    """An ERROR of fewer than four octets is read as if it had them all."""
    patch(sending, "is_error", lambda datagram: datagram[:2] == b"\0\5" and datagram[3] >= 0)
    patch(receiving, "is_error", lambda datagram: datagram[:2] == b"\0\5" and datagram[3] >= 0)

    def received(self: Sending, datagram: Buffer, now: float) -> Actions:
        return self._ack_received((datagram[2] << 8) | datagram[3], now)

    patch(Sending, "_datagram_received", received)


@bug(
    "the core's promise: no action in a terminal state",
    found_by="no event",
    usually=100,
    raises=(AssertionError, KeyError),
)
def acts_after_its_end(patch: Patch) -> None:
    """A transfer that has ended is not done: its timer and its owner still make it send."""
    patch(transfer, "TERMINAL", ())


@bug("RFC 1350 2", found_by="machine", usually=100)
def last_block_not_awaited(patch: Patch) -> None:
    """A transfer is complete once its last block is sent; whether it arrived is nobody's matter."""
    real = Sending._send

    def send(self: Sending, now: float) -> Actions:
        actions = real(self, now)
        if self.window.all_sent and self.state is State.TRANSFERRING:
            self.window.base = self.window.total + 1
            self._end(Outcome(OutcomeKind.COMPLETED), Trigger.LAST_ACKED)
        return actions

    patch(Sending, "_send", send)


@bug("the short way is the long one", found_by="the short way of the sender", usually=100)
def short_way_forgets_the_timer(patch: Patch) -> None:
    """The quick path of an ACK does not move the deadline on."""

    def went_on(self: RetransmitTimer, now: float) -> None:
        self.retries = 0
        self.progressed_at = now

    patch(RetransmitTimer, "went_on", went_on)


@bug("rule R11", found_by="the short way of the sender", usually=300)
def short_way_without_wrap(patch: Patch) -> None:
    """The quick path awaits block 65536 where the number on the wire is 0."""
    real = Sending.go_on

    def go_on(self: Sending, now: float) -> tuple[int, int]:
        first, count = real(self, now)
        if self.awaited != sending.NO_ACK:
            self.awaited = sending.ACK_WORD | (self.window.next - 1)
        return first, count

    patch(Sending, "go_on", go_on)
