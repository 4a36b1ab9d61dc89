"""A server's side of an RRQ: OACK if options were granted, then DATA."""

from __future__ import annotations

from snowowl.protocol.actions import NOTHING, Actions
from snowowl.protocol.negotiation import Policy, negotiate
from snowowl.protocol.outcome import Outcome, OutcomeKind
from snowowl.protocol.sending import Sending, too_many_blocks
from snowowl.protocol.transfer import State, Trigger
from snowowl.wire import options as known
from snowowl.wire.codec import Buffer, decode_error, encode, request_size
from snowowl.wire.constants import ErrorCode
from snowowl.wire.packets import ReadRequest, error_name


class ReadTransfer(Sending):
    """Answers one RRQ with a file of `size` octets (as they are on the wire)."""

    __slots__ = ("_option_ack", "_request", "_rolls_over")

    def __init__(self, request: ReadRequest, policy: Policy, size: int) -> None:
        super().__init__(policy.retransmit, size)
        self._request = request
        terms, self._option_ack = negotiate(request, policy, size)
        self._agree(terms)
        asked = any(name == known.ROLLOVER for name, _ in terms.granted)
        self._rolls_over = asked or policy.rollover is not None

    def start(self, now: float) -> Actions:
        """Send the OACK, or DATA 1 where there is nothing to negotiate (RFC 2347)."""
        if not self._rolls_over and too_many_blocks(self.size, self.terms):
            # Code 2, as boot loaders start over for ever on all but 1 and 2 (rule R12).
            blksize = self.terms.blksize
            message = f"more than 65535 blocks of {blksize} octets: ask for a larger blksize"
            return self._refuse(ErrorCode.ACCESS_VIOLATION, message)
        if self._option_ack is None:
            return self._begin(Trigger.OPENED, now)
        return self._open(encode(self._option_ack), now)

    @property
    def _asked_octets(self) -> int:
        return request_size(self._request)

    def _error_received(self, datagram: Buffer) -> Actions:
        error = decode_error(datagram)
        message = error.message.decode("latin-1") or error_name(error.code)
        if self.state is State.NEGOTIATING:
            # Rule R4: an ERROR after the OACK is how UEFI, PXE ROMs and barebox ask for a size.
            self._end(Outcome(OutcomeKind.PROBED, message, error.code), Trigger.PROBED)
            return NOTHING
        if self._timer.retries:
            # At its end, a client that is done answers what comes again with whatever its next
            # state makes of it; lwIP's says "access violation".
            return self._peer_gone(Outcome(OutcomeKind.ABORTED, message, error.code))
        return super()._error_received(datagram)
