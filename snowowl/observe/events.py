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
    workers: int = 1


@attrs.frozen
class DatapathChosen:
    """Packets go this way: the rung, and the features that are used on it."""

    rung: str
    features: tuple[str, ...]


@attrs.frozen
class KeyWithoutEffect:
    """A key of the configuration can do nothing on this machine; `reason` names both."""

    reason: str


@attrs.frozen
class DatapathLowered:
    """A device has refused something, which is done without from now on."""

    what: str


@attrs.frozen
class DatagramsDropped:
    """The kernel threw datagrams away at an address: its receive buffer was full."""

    address: str
    count: int


@attrs.frozen
class ServerDraining:
    """No new requests are taken; `active` transfers may finish."""

    active: int
    seconds: float


@attrs.frozen
class ServerStopped:
    """All is closed."""


@attrs.frozen
class ServerReloaded:
    """New requests are served by a new configuration; `kept` are the keys that could not change."""

    root: str
    kept: tuple[str, ...]


@attrs.frozen
class ReloadFailed:
    """A new configuration cannot be used, or not everywhere; `reason` says what stays."""

    reason: str


@attrs.frozen
class WorkerStarted:
    """A worker process answers requests; `replaces_lost`: one before it had died."""

    worker: int
    pid: int
    replaces_lost: bool


@attrs.frozen
class WorkerEnded:
    """A worker process is gone that nobody had told to go, or it could not start.

    The next one starts in `pause_seconds`.  `pid` is 0 if there never was a process.
    """

    worker: int
    pid: int
    reason: str
    pause_seconds: float


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
class RequestDoubled:
    """A request came that is being served already: the network doubled it, or its client is impatient.

    With this, what came to the listening port adds up: `RequestReceived`, `RequestMalformed`,
    `RequestDoubled` and the counts of `RequestsDropped` are all of it.
    """

    client: str


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
    | DatapathChosen
    | KeyWithoutEffect
    | DatapathLowered
    | DatagramsDropped
    | ServerDraining
    | ServerStopped
    | ServerReloaded
    | ReloadFailed
    | WorkerStarted
    | WorkerEnded
    | RequestReceived
    | RequestMalformed
    | RequestDoubled
    | RequestsDropped
    | RolloverExpected
    | TransferFinished
    | InternalError
)
