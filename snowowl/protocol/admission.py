"""What to do with a request that arrives: start, repeat, ignore or refuse.  Rule R5, and the limit."""

from __future__ import annotations

from enum import Enum

from snowowl.protocol.transfer import Transfer
from snowowl.wire.codec import Buffer


class Verdict(Enum):
    """What becomes of a request."""

    START = "start a transfer"
    REPEAT = "send the first packet of the standing transfer again"
    IGNORE = "drop it: the same request is being opened already"
    REFUSE = "the server is full"


def admit(
    request: Buffer,
    standing_request: Buffer | None,
    standing: Transfer | None,
    *,
    active: int,
    active_max: int,
) -> Verdict:
    """Judge the octets of a request against what stands for the same peer.

    `standing_request` is the peer's last request that has not ended, `standing` its transfer, None
    while its file is still being opened.  `active` counts all that has not ended.

    A peer that was answered and asks again has started over (a board that was reset uses the same
    port), so a new transfer begins; whoever of the two the peer answers goes on.
    """
    if standing_request is not None and request == standing_request:
        if standing is None:
            return Verdict.IGNORE
        if not standing.answered and not standing.finished:
            return Verdict.REPEAT
    return Verdict.START if active < active_max else Verdict.REFUSE
