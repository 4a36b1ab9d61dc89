"""What the server tells the world: typed events, in the past tense.

Log lines, metrics and progress are subscribers.  Strings that came from the network are octets
here; who shows them escapes them.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

import attrs

from snowowl.protocol.outcome import Outcome
from snowowl.wire.packets import Mode, Options


class Direction(Enum):
    """Which request began a transfer."""

    READ = "RRQ"
    WRITE = "WRQ"


class Refusal(Enum):
    """Why a request is not served although nothing is wrong with it."""

    NETWORK = "network"
    """The client's network is not served (access.allow, access.deny)."""
    REQUESTS = "requests"
    """Too many requests that nobody answers (limits.requests_per_second)."""
    UNANSWERED = "unanswered"
    """The oldest transfer without an answer gave way (limits.unanswered_max)."""
    ERRORS = "errors"
    """An ERROR was not sent, there were too many (limits.errors_per_second)."""
    TRANSFERS = "transfers"
    """limits.transfers_max"""
    CLIENT_TRANSFERS = "client-transfers"
    """limits.client_transfers_max"""
    UPLOADS = "uploads"
    """limits.uploads_max"""
    OPEN_FILES = "open-files"
    """limits.open_files_max"""
    UPLOAD_SIZE = "upload-size"
    """write.size_max"""
    QUOTA = "quota"
    """write.quota"""
    FREE_SPACE = "free-space"
    """write.free_min"""
    QUEUE = "queue"
    """The server could not keep up."""


LATER: Final = frozenset(
    {
        Refusal.UNANSWERED,
        Refusal.ERRORS,
        Refusal.UPLOADS,
        Refusal.OPEN_FILES,
        Refusal.UPLOAD_SIZE,
        Refusal.QUOTA,
        Refusal.FREE_SPACE,
    }
)
"""Reasons that concern what `RequestReceived` or `RequestMalformed` has told of already."""


@attrs.frozen
class ServerStarted:
    """The server listens; `addresses` are texts like ``192.0.2.1:69``."""

    addresses: tuple[str, ...]
    root: str
    workers: int = 1


@attrs.frozen
class PrivilegesDropped:
    """The process has become another user, for good."""

    user: str
    group: str


@attrs.frozen
class Confined:
    """The kernel keeps the process to some folders (Landlock), by this version of its rules."""

    abi: int
    folders: tuple[str, ...]


@attrs.frozen
class SafetyMissing:
    """A guard cannot be had, or was turned off; `reason` says which, and what to do."""

    reason: str


@attrs.frozen
class AccessNarrowed:
    """At these public addresses only private networks are served, as nothing else was allowed."""

    addresses: tuple[str, ...]


@attrs.frozen
class MetricsOffered:
    """The metrics can be asked for here: ``127.0.0.1:9169`` or ``unix:/PATH``."""

    address: str


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
    """New requests are served by a new configuration; `kept` are the keys that could not change.

    `changed` are texts like ``limits.transfers_max: 100, was 200``, relative to what was in effect.
    The root was opened anew even if there are none.
    """

    root: str
    kept: tuple[str, ...]
    changed: tuple[str, ...] = ()


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
    number: int = 0
    """The same as of the transfer that it begins."""


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
    `RequestDoubled` and the counts of `RequestsRefused`, but for the `LATER` reasons, are all of it.
    """

    client: str


@attrs.frozen
class RequestsRefused:
    """Requests were refused, or left without an answer, for one reason, since that was told last.

    Told at once for the first, and then once a minute.
    """

    refusal: Refusal
    count: int
    client: str
    """One of those who asked."""


@attrs.frozen
class TraversalAttempted:
    """A name would have led out of the root; the request was refused."""

    client: str
    direction: Direction
    filename: bytes


@attrs.frozen
class TransferStarted:
    """A transfer's terms are settled and its first packet is about to be sent.

    For each there is one `TransferFinished` with its number.
    """

    number: int
    client: str
    direction: Direction
    filename: bytes
    mode: Mode
    size: int | None
    """Octets on the wire, where they are known."""
    granted: Options


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
    number: int = 0
    """Counts the requests of a process."""
    started: bool = False
    """There was a `TransferStarted` with its number; else the request was all there was."""
    stored: bytes = b""
    """The name beneath the root that an upload was stored by."""
    refusal: Refusal | None = None
    """The limit that left no room for it, if it was that: `RequestsRefused` tells of all of these."""


@attrs.frozen
class LinesLost:
    """Lines of a record, `what`, could not be written, since that was told last; `reason` says why.

    Told at once for the first, and then once a minute.
    """

    what: str
    count: int
    reason: str


@attrs.frozen
class InternalError:
    """A bug of ours: one transfer or request was lost, the server goes on."""

    where: str
    traceback: str


Described = (
    PrivilegesDropped
    | Confined
    | SafetyMissing
    | AccessNarrowed
    | MetricsOffered
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
    | RequestsRefused
    | TraversalAttempted
    | TransferStarted
    | RolloverExpected
    | TransferFinished
    | LinesLost
    | InternalError
)
"""All but `ServerStarted`, of which the log says a line for each address."""

Event = ServerStarted | Described
