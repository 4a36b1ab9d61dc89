"""What happens to a transfer.  Past tense; `now` is the time in seconds of the caller's clock.

Plain slotted classes, not frozen ones: a frozen one costs three times as much to make, and one is
made for every datagram.  Nobody changes them.
"""

from __future__ import annotations

import attrs

from snowowl.protocol.outcome import OutcomeKind
from snowowl.wire.codec import Buffer


@attrs.define
class DatagramsReceived:
    """The peer sent one datagram, or several that lie `stride` octets apart (the last may be short)."""

    data: Buffer
    stride: int
    now: float


@attrs.define
class TimerExpired:
    """The transfer's deadline has come."""

    now: float


@attrs.define
class RequestRepeated:
    """The peer sent its request again, the same octets: our first packet did not reach it yet."""

    now: float


@attrs.define
class ContentPaused:
    """Content cannot keep up.

    Sending: the blocks from `first` on are not in memory yet and have not been sent.
    Receiving: enough octets wait for the disk; acknowledge no more (`first` has no meaning).
    """

    first: int = 0


@attrs.define
class ContentReady:
    """Content has caught up after `ContentPaused`."""

    now: float


@attrs.define
class ContentCommitted:
    """The received file is on disk, whole, under its name."""

    now: float


@attrs.define
class ContentFailed:
    """Content cannot be read or stored; tell the peer and end."""

    code: int
    message: str


@attrs.define
class PeerUnreachable:
    """The network says that nobody listens at the peer's address and port (ICMP)."""

    now: float


@attrs.define
class Stopped:
    """The owner ends the transfer; with a code, the peer is told why."""

    kind: OutcomeKind
    message: str
    code: int | None = None


Event = (
    DatagramsReceived
    | TimerExpired
    | RequestRepeated
    | ContentPaused
    | ContentReady
    | ContentCommitted
    | ContentFailed
    | PeerUnreachable
    | Stopped
)
