"""How a transfer ended."""

from __future__ import annotations

from enum import Enum

import attrs


class OutcomeKind(Enum):
    """The ways to end.  Success-ish: COMPLETED, UNCONFIRMED, PROBED."""

    COMPLETED = "completed"
    """Every octet is known to have arrived."""
    UNCONFIRMED = "unconfirmed"
    """All was sent and only the last ACK is missing: most clients do not dally (rule R14)."""
    PROBED = "probed"
    """The peer asked only for the OACK and broke off: how UEFI and barebox learn a size (rule R4)."""
    ABORTED = "aborted"
    """The peer sent an ERROR."""
    TIMED_OUT = "timed out"
    """The peer fell silent."""
    UNREACHABLE = "unreachable"
    """The network says that the peer's port is closed."""
    REFUSED = "refused"
    """We sent an ERROR: content, policy, or a violation of the protocol."""
    SUPERSEDED = "superseded"
    """The same peer asked anew (rule R5)."""
    GAVE_WAY = "gave way"
    """It was never answered, and there were too many of that kind."""
    STOPPED = "stopped"
    """The owner ended it: shutdown, cancellation."""


@attrs.frozen
class Outcome:
    """The end of a transfer: how, the TFTP error code that was sent or received, and words for it."""

    kind: OutcomeKind
    message: str = ""
    code: int | None = None
