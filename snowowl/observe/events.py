"""What the server tells the world: typed events, in the past tense.

Log lines, metrics and progress are subscribers.  Strings that came from the network are octets
here; who shows them escapes them.
"""

from __future__ import annotations

from enum import Enum

import attrs

from snowowl.protocol.outcome import Outcome
from snowowl.wire.packets import Mode, Options


class Direction(Enum):
    """Which request began a transfer."""

    READ = "RRQ"
    WRITE = "WRQ"


@attrs.frozen
class ServerStarted:
    """The server listens; `addresses` are texts like ``192.0.2.1:69``."""

    addresses: tuple[str, ...]
    root: str


@attrs.frozen
class ServerDraining:
    """No new requests are taken; `active` transfers may finish."""

    active: int
    seconds: float


@attrs.frozen
class ServerStopped:
    """All is closed."""


@attrs.frozen
class RequestReceived:
    """A request was admitted."""

    client: str
    direction: Direction
    filename: bytes
    mode: Mode
    options: Options


@attrs.frozen
class RequestMalformed:
    """What came to the listening port was no request."""

    client: str
    reason: str
    answered: bool


@attrs.frozen
class RequestsDropped:
    """Requests were dropped because the server could not keep up or is full."""

    count: int
    reason: str


@attrs.frozen
class RolloverExpected:
    """A file has more blocks than there are numbers: said before it is sent (rule R11)."""

    client: str
    filename: bytes
    blocks: int
    blksize: int
    rollover: int


@attrs.frozen
class TransferFinished:
    """A transfer has ended, one way or another.  Exactly one per admitted request."""

    client: str
    direction: Direction
    filename: bytes
    mode: Mode
    octets: int
    seconds: float
    granted: Options
    retransmitted: int
    outcome: Outcome
    detail: str = ""
    """For the operator: what the peer was not told, such as the reason of an I/O error."""


@attrs.frozen
class InternalError:
    """A bug of ours: one transfer was lost, the server goes on."""

    where: str
    traceback: str


Event = (
    ServerStarted
    | ServerDraining
    | ServerStopped
    | RequestReceived
    | RequestMalformed
    | RequestsDropped
    | RolloverExpected
    | TransferFinished
    | InternalError
)
