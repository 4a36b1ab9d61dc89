"""A server's side of a WRQ: OACK or ACK 0, then DATA comes in."""

from __future__ import annotations

from typing import Final

from snowowl.protocol.actions import Actions
from snowowl.protocol.blocks import NUMBER_MAX
from snowowl.protocol.negotiation import Policy, negotiate
from snowowl.protocol.receiving import Receiving
from snowowl.protocol.transfer import Trigger
from snowowl.wire import options as known
from snowowl.wire.codec import encode, encode_ack, request_size
from snowowl.wire.constants import ErrorCode
from snowowl.wire.packets import WriteRequest

DALLY_SECONDS: Final = 5.0
"""At least one retransmission interval of every client in CLIENTS.md: tftp-hpa and atftp wait 5 s."""

DALLY_SECONDS_MAX: Final = 30.0
"""A client may ask for a timeout of 255 s; its upload is on disk, and need not hold a port for that."""


class WriteTransfer(Receiving):
    """Answers one WRQ; the file is complete once `Commit` was carried out."""

    __slots__ = ("_option_ack", "_request", "_rolls_over")

    def __init__(self, request: WriteRequest, policy: Policy) -> None:
        super().__init__(policy.retransmit)
        self._request = request
        terms, self._option_ack = negotiate(request, policy, None)
        self._agree(terms)
        asked = any(name == known.ROLLOVER for name, _ in terms.granted)
        self._rolls_over = asked or policy.rollover is not None
        if not self._rolls_over:
            self._awaited_max = NUMBER_MAX  # the next one is refused

    def start(self, now: float) -> Actions:
        """Send the OACK, or ACK 0 where there is nothing to negotiate (RFC 2347)."""
        if self._option_ack is not None:
            return self._open(encode(self._option_ack), now)
        self._move(Trigger.OPENED)
        return self._open(encode_ack(0), now)

    @property
    def _asked_octets(self) -> int:
        return request_size(self._request)

    def _run_ended(self, now: float) -> Actions:
        if not self._rolls_over and self.window.expected > NUMBER_MAX + 1:
            message = f"more than 65535 blocks of {self.terms.blksize} octets"
            return self._refuse(ErrorCode.DISK_FULL, message)
        return super()._run_ended(now)

    def _dally_seconds(self) -> float:
        return min(max(DALLY_SECONDS, 2 * self._timer.interval), DALLY_SECONDS_MAX)
