"""What a transfer wants done, in the order given.  Imperative."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from snowowl.wire.codec import Buffer


@attrs.define
class SendPacket:
    """Send these octets to the peer as one datagram."""

    packet: bytes


@attrs.define
class SendBlocks:
    """Send DATA for `count` blocks from absolute index `first` on, in order.

    The transfer does not see their octets.  If they cannot be had at once, nothing is sent and the
    transfer is told so by `ContentPaused(first)`.
    """

    first: int
    count: int


@attrs.define
class StoreBlocks:
    """Append the payload of `count` DATA datagrams to the file.

    They lie `stride` octets apart in `data`, each behind four octets of header; the last may be
    shorter.  `data` is valid only until the call that handed it in returns.
    """

    data: Buffer
    stride: int
    count: int


@attrs.define
class Commit:
    """All octets are there: make the file durable and visible, then say `ContentCommitted`."""


Action = SendPacket | SendBlocks | StoreBlocks | Commit
Actions = Sequence[Action]

NOTHING: Actions = ()
