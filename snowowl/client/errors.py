"""How a client's transfer can fail, for programs (`reason`) and for people (the message)."""

from __future__ import annotations

from enum import Enum

from snowowl.observe.words import printable
from snowowl.protocol.outcome import Outcome, OutcomeKind
from snowowl.wire.constants import ErrorCode
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


class OptionsRefusedError(ClientError):
    """The server answered the request by ERROR 8, so nothing has been transferred (RFC 2347)."""


def from_outcome(outcome: Outcome, server: str, octets: int) -> ClientError:
    """Return the exception for an outcome that is no success, after so many octets.

    What the server said is made printable: it goes to a terminal.
    """
    if outcome.kind is OutcomeKind.TIMED_OUT:
        return ClientError(Reason.TIMEOUT, f"{server} does not answer (any more)")
    if outcome.kind is OutcomeKind.UNREACHABLE:
        return ClientError(Reason.CONNECT, f"nobody listens at {server} (ICMP port unreachable)")
    if outcome.kind is OutcomeKind.ABORTED:
        name = error_name(outcome.code or 0)
        said = "" if outcome.message.lower() in ("", name) else f": {printable(outcome.message)}"
        message = f"{name} (server's error {outcome.code}){said}"
        if outcome.code == ErrorCode.OPTION_REFUSED and not octets:
            return OptionsRefusedError(Reason.SERVER, message, outcome.code)
        return ClientError(Reason.SERVER, message, outcome.code)
    return ClientError(Reason.PROTOCOL, printable(outcome.message), outcome.code)
