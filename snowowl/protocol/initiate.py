"""A client's side: a request goes out, and its answer decides what follows.

A server that knows no options answers as if there were none (RFC 2347): DATA 1 to an RRQ, ACK 0 to
a WRQ.  An OACK is trusted no more than any other octets: see `check_grant`.
"""

from __future__ import annotations

from typing import Final

from snowowl.protocol.actions import NOTHING, Actions
from snowowl.protocol.negotiation import check_grant
from snowowl.protocol.receiving import Receiving
from snowowl.protocol.retransmit import RetransmitPolicy
from snowowl.protocol.sending import Sending
from snowowl.protocol.transfer import State, Trigger
from snowowl.wire.codec import Buffer, decode_option_ack, encode, opcode_of
from snowowl.wire.constants import ErrorCode, Opcode
from snowowl.wire.packets import ReadRequest, WriteRequest

DALLY_CLEAN_SECONDS: Final = 0.25
DALLY_LOSSY_SECONDS: Final = 3.0
"""A person waits for a client to end.  Where nothing was lost so far, the last ACK hardly is; where
something was, stay for the retransmission of a classic server."""


class ReadInitiator(Receiving):
    """Asks for a file by RRQ and receives it."""

    __slots__ = ("request",)

    def __init__(self, request: ReadRequest, policy: RetransmitPolicy) -> None:
        super().__init__(policy)
        self.request = request

    def start(self, now: float) -> Actions:
        """Send the RRQ."""
        return self._open(encode(self.request), now)

    def _other_received(self, datagram: Buffer, now: float) -> Actions:
        if opcode_of(datagram) != Opcode.OACK:
            return NOTHING
        if self.state is State.NEGOTIATING:
            terms = check_grant(self.request.options, decode_option_ack(datagram))
            if isinstance(terms, str):
                return self._refuse(ErrorCode.OPTION_REFUSED, terms)
            self._agree(terms)
            self._move(Trigger.ANSWERED)
            self._timer.progressed(now)
            return self._acknowledge(now)
        if self.state is State.TRANSFERRING and self.window.expected == 1:
            return self._ack_again()  # our ACK 0 was lost
        return NOTHING

    def _dally_seconds(self) -> float:
        return DALLY_LOSSY_SECONDS if self.retransmitted else DALLY_CLEAN_SECONDS


class WriteInitiator(Sending):
    """Announces a file of `size` octets by WRQ and sends it."""

    __slots__ = ("request",)

    def __init__(self, request: WriteRequest, policy: RetransmitPolicy, size: int) -> None:
        super().__init__(policy, size)
        self.request = request

    def start(self, now: float) -> Actions:
        """Send the WRQ."""
        return self._open(encode(self.request), now)

    def _other_received(self, datagram: Buffer, now: float) -> Actions:
        if opcode_of(datagram) != Opcode.OACK or self.state is not State.NEGOTIATING:
            return NOTHING
        terms = check_grant(self.request.options, decode_option_ack(datagram))
        if isinstance(terms, str):
            return self._refuse(ErrorCode.OPTION_REFUSED, terms)
        self._agree(terms)
        self._timer.progressed(now)
        return self._begin(Trigger.ANSWERED, now)
