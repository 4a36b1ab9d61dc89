"""How a client's transfer can fail, for programs (`reason`) and for people (the message)."""

from __future__ import annotations

from enum import Enum

from snowowl.protocol.outcome import Outcome, OutcomeKind
from snowowl.wire.packets import error_name


class Reason(Enum):
    """What kind of failure it was."""

    RESOLVE = "the host name cannot be resolved"
    CONNECT = "nobody listens at the server's port"
    LOCAL_READ = "the local file cannot be read"
    LOCAL_WRITE = "the local file cannot be written"
    TIMEOUT = "the server does not answer"
    SERVER = "the server sent an ERROR"
    PROTOCOL = "the server broke the protocol"


class ClientError(Exception):
    """A transfer failed.  `code` is the TFTP error code that was sent or received, or None."""

    def __init__(self, reason: Reason, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.code = code


def from_outcome(outcome: Outcome, server: str) -> ClientError:
    """Return the exception for an outcome that is no success."""
    if outcome.kind is OutcomeKind.TIMED_OUT:
        return ClientError(Reason.TIMEOUT, f"{server} does not answer (any more)")
    if outcome.kind is OutcomeKind.UNREACHABLE:
        return ClientError(Reason.CONNECT, f"nobody listens at {server} (ICMP port unreachable)")
    if outcome.kind is OutcomeKind.ABORTED:
        name = error_name(outcome.code or 0)
        said = "" if outcome.message.lower() in ("", name) else f": {outcome.message}"
        return ClientError(
            Reason.SERVER, f"{name} (server's error {outcome.code}){said}", outcome.code
        )
    return ClientError(Reason.PROTOCOL, outcome.message, outcome.code)
