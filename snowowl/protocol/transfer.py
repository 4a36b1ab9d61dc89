"""What all four transfers share: states and their table, the timer, the end.

`TRANSITIONS` is the whole of the state machine; the code moves only along it, the tests walk it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum
from typing import Final, assert_never

from snowowl.protocol.actions import NOTHING, Action, Actions, SendPacket
from snowowl.protocol.events import (
    ContentCommitted,
    ContentFailed,
    ContentPaused,
    ContentReady,
    DatagramsReceived,
    Event,
    PeerUnreachable,
    RequestRepeated,
    Stopped,
    TimerExpired,
)
from snowowl.protocol.negotiation import Terms
from snowowl.protocol.outcome import Outcome, OutcomeKind
from snowowl.protocol.retransmit import NEVER, RetransmitPolicy, RetransmitTimer
from snowowl.wire.codec import Buffer, decode_error, encode_error
from snowowl.wire.constants import ErrorCode, Opcode
from snowowl.wire.packets import error_name


class State(Enum):
    """Where a transfer stands."""

    NEGOTIATING = "negotiating"
    """A request or an OACK was sent (or will be), and not answered yet."""
    TRANSFERRING = "transferring"
    COMMITTING = "committing"
    """All octets were received; the last ACK waits until they are on disk."""
    DALLYING = "dallying"
    """The last ACK was sent; if it is lost, the last DATA comes again (RFC 1123 4.2.3.1)."""
    COMPLETE = "complete"
    FAILED = "failed"


class Trigger(Enum):
    """What moves a transfer from one state to another."""

    OPENED = "no options to negotiate"
    ANSWERED = "first answer received"
    LAST_ACKED = "last block acknowledged"
    LAST_RECEIVED = "last block received"
    COMMITTED = "content committed"
    DALLIED = "dallied long enough"
    UNCONFIRMED = "only the last ACK is missing"
    PROBED = "peer broke off after the OACK"
    BROKEN = "error, silence or stop"


TRANSITIONS: Final = {
    (State.NEGOTIATING, Trigger.OPENED): State.TRANSFERRING,
    (State.NEGOTIATING, Trigger.ANSWERED): State.TRANSFERRING,
    (State.NEGOTIATING, Trigger.PROBED): State.COMPLETE,
    (State.NEGOTIATING, Trigger.BROKEN): State.FAILED,
    (State.TRANSFERRING, Trigger.LAST_ACKED): State.COMPLETE,
    (State.TRANSFERRING, Trigger.UNCONFIRMED): State.COMPLETE,
    (State.TRANSFERRING, Trigger.LAST_RECEIVED): State.COMMITTING,
    (State.TRANSFERRING, Trigger.BROKEN): State.FAILED,
    (State.COMMITTING, Trigger.COMMITTED): State.DALLYING,
    (State.COMMITTING, Trigger.BROKEN): State.FAILED,
    (State.DALLYING, Trigger.DALLIED): State.COMPLETE,
}

TERMINAL: Final = (State.COMPLETE, State.FAILED)

SETTLED: Final = (State.COMMITTING, State.DALLYING)
"""All octets were received.  From here on the peer cannot undo the transfer, nor can its owner: the
file will be published, or is, and must not be reported as failed."""


class Transfer(ABC):
    """One RRQ or WRQ, from its first packet to its end."""

    __slots__ = (
        "_opening",
        "_paused",
        "_timer",
        "deadline",
        "outcome",
        "retransmitted",
        "state",
        "terms",
    )

    def __init__(self, policy: RetransmitPolicy) -> None:
        self.state = State.NEGOTIATING
        self.deadline = NEVER
        """When to say `TimerExpired`: later than the last `now`; infinite if only content or the
        owner can move the transfer on."""
        self.outcome: Outcome | None = None
        """Set once the result is certain: while DALLYING already."""
        self.terms = Terms()
        self.retransmitted = 0
        """Datagrams that were sent again."""
        self._timer = RetransmitTimer(policy)
        self._opening = b""
        self._paused = False

    @property
    def finished(self) -> bool:
        """Nothing more will be sent or received."""
        return self.state in TERMINAL

    @property
    def answered(self) -> bool:
        """The peer has answered at least once since the transfer began."""
        return self._timer.answered

    @property
    def progressed_at(self) -> float:
        """When the peer last answered what was sent."""
        return self._timer.progressed_at

    @property
    @abstractmethod
    def octets(self) -> int:
        """Octets of the file that the receiver has, as far as this side knows."""

    @abstractmethod
    def start(self, now: float) -> Actions:
        """Begin; to be called once."""

    def handle(self, event: Event) -> Actions:
        """Return what to do about an event.  Total: no peer can make it raise."""
        if self.state in TERMINAL:
            return NOTHING
        match event:
            case DatagramsReceived():
                return self._datagrams_received(event)
            case TimerExpired(now):
                return self._timer_expired(now)
            case RequestRepeated():
                return self._request_repeated()
            case ContentPaused(first):
                return self._content_paused(first)
            case ContentReady(now):
                return self._content_ready(now)
            case ContentCommitted(now):
                return self._content_committed(now)
            case ContentFailed(code, message):
                return self._content_failed(code, message)
            case PeerUnreachable():
                return self._peer_gone(
                    Outcome(OutcomeKind.UNREACHABLE, "the peer's port is closed")
                )
            case Stopped(kind, message, code):
                return self._stopped(Outcome(kind, message, code))
            case _:
                assert_never(event)

    # What the two directions fill in.

    def _datagrams_received(self, event: DatagramsReceived) -> Actions:
        """Handle datagrams one by one; the receiver of DATA has a quicker way."""
        data, stride = event.data, event.stride
        if len(data) <= stride:
            return self._datagram_received(data, event.now)
        actions: list[Action] = []
        for start in range(0, len(data), stride or 1):
            actions += self._datagram_received(data[start : start + stride], event.now)
            if self.state in TERMINAL:
                break
        return actions

    @abstractmethod
    def _datagram_received(self, datagram: Buffer, now: float) -> Actions: ...

    @abstractmethod
    def _resend(self) -> Actions:
        """Send again what the peer has not answered."""

    @abstractmethod
    def _resume(self, now: float) -> Actions:
        """Go on after a pause in the middle of the transfer."""

    def _content_paused(self, first: int) -> Actions:
        """Stand still: nothing is due from the peer until content has caught up.

        While negotiating, a pause stops no timer: an OACK is still sent again.  Once all octets
        were received, there is nothing that could wait.
        """
        del first
        if self.state in SETTLED:
            return NOTHING
        self._paused = True
        if self.state is State.TRANSFERRING:
            self._timer.stop()
            self.deadline = NEVER
        return NOTHING

    def _content_ready(self, now: float) -> Actions:
        if not self._paused:
            return NOTHING
        self._paused = False
        if self.state is not State.TRANSFERRING:
            return NOTHING
        self._timer.excuse(now)
        return self._resume(now)

    def _content_committed(self, now: float) -> Actions:
        del now
        return NOTHING

    def _content_failed(self, code: int, message: str) -> Actions:
        # While dallying the file is published: nothing can fail any more.
        return NOTHING if self.state is State.DALLYING else self._refuse(code, message)

    def _peer_gone(self, outcome: Outcome) -> Actions:
        """End because the peer is silent or unreachable."""
        return NOTHING if self.state in SETTLED else self._fail(outcome)

    # What they share.

    def _move(self, trigger: Trigger) -> None:
        self.state = TRANSITIONS[self.state, trigger]

    def _open(self, packet: bytes, now: float) -> Actions:
        """Send the first packet of the negotiation; it is retransmitted like any other."""
        self._opening = packet
        self._timer.sent(now)
        self._arm(now)
        return (SendPacket(packet),)

    @abstractmethod
    def _arm(self, now: float) -> None:
        """Set the deadline, from the timer above all."""

    def _timer_expired(self, now: float) -> Actions:
        if now < self.deadline:
            return NOTHING
        if not self._timer.expired(now):
            return self._peer_gone(Outcome(OutcomeKind.TIMED_OUT, "the peer fell silent"))
        actions = self._resend()
        self._timer.rearm(now)
        self._arm(now)
        return actions

    def _request_repeated(self) -> Actions:
        """Rule R5: answer a request that came twice with the same first packet.

        The timer stays as it is, so that repeating a request for ever keeps nothing alive.
        """
        if self.answered or self._paused:
            return NOTHING
        self._timer.forgo_sample()
        return self._resend()

    def _resend_opening(self) -> Actions:
        self.retransmitted += 1
        return (SendPacket(self._opening),)

    def _error_received(self, datagram: Buffer) -> Actions:
        """End, silently: an ERROR is never answered (RFC 1350 section 7).

        The datagram is one that `is_error` has looked at, and so can be decoded.
        """
        if self.state in SETTLED:
            return NOTHING
        error = decode_error(datagram)
        message = error.message.decode("latin-1") or error_name(error.code)
        return self._fail(Outcome(OutcomeKind.ABORTED, message, error.code))

    def _refuse(self, code: int, message: str) -> Actions:
        """End with an ERROR to the peer."""
        self._fail(Outcome(OutcomeKind.REFUSED, message, code))
        return self._error(code, message)

    def _error(self, code: int, message: str) -> Actions:
        """Send an ERROR: before the peer has answered, none that is longer than its request."""
        asked_octets = None if self.answered else self._asked_octets
        return (SendPacket(encode_error(code, message, asked_octets)),)

    @property
    def _asked_octets(self) -> int | None:
        """The length of the request that is answered, None if it was ours."""
        return None

    def _stopped(self, outcome: Outcome) -> Actions:
        if self.state is State.DALLYING:  # the outcome is known, and it is a good one
            self._move(Trigger.DALLIED)
            self.deadline = NEVER
        if self.state is State.COMMITTING or self.state is State.COMPLETE:
            return NOTHING
        self._fail(outcome)
        if outcome.code is None:
            return NOTHING
        return self._error(outcome.code, outcome.message)

    def _fail(self, outcome: Outcome) -> Actions:
        self._end(outcome, Trigger.BROKEN)
        return NOTHING

    def _end(self, outcome: Outcome, trigger: Trigger) -> None:
        self._move(trigger)
        self.outcome = outcome
        self._timer.stop()
        self.deadline = NEVER

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {self.state.value} {self._position()}"
            f" deadline={self.deadline:g} retries={self._timer.retries}>"
        )

    @abstractmethod
    def _position(self) -> str:
        """Return where in the file the transfer is, for people."""


def is_error(datagram: Buffer) -> bool:
    """Say whether a datagram is an ERROR with a code."""
    return len(datagram) >= 4 and datagram[1] == Opcode.ERROR and datagram[0] == 0


def is_unknown_tid(datagram: Buffer) -> bool:
    """Say whether a datagram that is an ERROR says "unknown transfer ID"."""
    return datagram[2] == 0 and datagram[3] == ErrorCode.UNKNOWN_TID
