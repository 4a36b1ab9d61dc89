"""One transfer as an exchange sees it: its peer, its machine, its content.

The exchange's pump owns the packets; the transfer's task owns the life: it opens content, waits for
what may block, and cleans up.  They meet here: the pump notes what is wanted and wakes the task.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import trio

from snowowl.content.errors import ContentError, Limit
from snowowl.content.source import Source
from snowowl.datagram.interface import LocalAddress, Region
from snowowl.protocol.receiving import Receiving
from snowowl.protocol.sending import NO_ACK, Sending
from snowowl.wire.codec import Buffer
from snowowl.wire.constants import HEADER_SIZE, ErrorCode


class Sink(Protocol):
    """Where received octets go; see `snowowl.content.sink`."""

    @property
    def full(self) -> bool:
        """Enough octets wait for the disk."""

    @property
    def worth_writing(self) -> bool:
        """So much is pending that a trip to a thread pays."""

    def store(self, data: Buffer, stride: int, count: int) -> None:
        """Take the payload of DATA datagrams.  Raises ContentError."""


class Contest(Protocol):
    """Settles which of two transfers of one peer is the live one."""

    def answered(self, member: Member) -> None:
        """Go on with this one: the peer has sent something to it."""


class Unanswered(Protocol):
    """Waits for a peer's first answer."""

    def answered(self) -> None:
        """Note that it has come."""


class Member:
    """A transfer in an exchange."""

    __slots__ = (
        "_changed",
        "_news",
        "alarm",
        "attendant",
        "awaited",
        "block_size",
        "body",
        "broken",
        "commit_wanted",
        "contest",
        "detail",
        "limit",
        "load_wanted",
        "local",
        "paused",
        "peer",
        "ready_until",
        "receiving",
        "sending",
        "sink",
        "source",
        "suspended",
        "transfer",
        "unanswered",
    )

    def __init__(
        self,
        peer: bytes,
        transfer: Sending | Receiving,
        *,
        local: LocalAddress | None = None,
        source: Source | None = None,
        sink: Sink | None = None,
        unanswered: Unanswered | None = None,
    ) -> None:
        self.peer = peer
        self.local = local
        """The address to answer from, where the endpoint is not bound to it."""
        self.transfer = transfer
        self.sending = transfer if isinstance(transfer, Sending) else None
        """The transfer, if it is one that sends: asking for the type takes as long as `go_on`."""
        self.receiving = transfer if isinstance(transfer, Receiving) else None
        self.block_size = 0
        """Octets of DATA with a whole block, while one is awaited that is taken without thought."""
        self.source = source
        whole = None if source is None else source.whole
        self.body = None if whole is None else Region(whole.view, whole.file)
        """All of the content, where it lies in one piece."""
        self.sink = sink
        self.alarm = math.inf
        """The earliest time for which the exchange has an entry for this member."""
        self.awaited = NO_ACK
        """What needs no thought: see `Sending.awaited` and `Receiving.awaited`.  Nothing while there
        is a contest, or where the content does not lie in one piece."""
        self.ready_until = 0
        """Content up to here, the end excluded, can be sent without asking again."""
        self.load_wanted: tuple[int, int] | None = None
        """Offset and length of content that must be loaded before DATA can go out."""
        self.commit_wanted = False
        self.broken = False
        """The machine failed twice, and must not be used any more."""
        self.paused = False
        """The sink is full and the transfer was told."""
        self.detail = ""
        """What the operator should know about a failure, and the peer should not."""
        self.limit: Limit | None = None
        """Which limit left no room for the content, if it failed of that."""
        self.contest: Contest | None = None
        """Set while the same peer has two transfers, of which it must choose one (rule R5)."""
        self.unanswered = unanswered
        """Told of the first answer, and forgotten then."""
        self.suspended = False
        """Sends nothing of its own: the peer has probably started over."""
        self.attendant: Callable[[], None] | None = None
        """Called when there is something to look after, while the transfer has no task."""
        self._news = False
        self._changed: trio.Event | None = None

    def note_failure(self, error: ContentError) -> None:
        """Keep for the operator why the content failed."""
        self.detail, self.limit = error.detail, error.limit

    def note_awaited(self) -> None:
        """Take from the machine what needs no thought; the first answer is none of that."""
        if self.unanswered is not None and self.transfer.answered:
            self.unanswered.answered()
            self.unanswered = None
        self.awaited = NO_ACK
        if self.suspended or self.contest is not None:
            return
        if self.sending is not None:
            if self.body is not None:
                self.awaited = self.sending.awaited
        elif self.receiving is not None:
            self.awaited = self.receiving.awaited
            self.block_size = HEADER_SIZE + self.receiving.terms.blksize

    def wake(self) -> None:
        """Tell the transfer's task that there is something for it."""
        self._news = True
        if self._changed is not None:
            self._changed.set()

    async def changed(self) -> None:
        """Wait until there is something for the transfer's task.

        Raises ContentError if the machine is broken, as it cannot end the transfer itself.
        """
        if not self._news:
            self._changed = trio.Event()
            await self._changed.wait()
            self._changed = None
        self._news = False
        if self.broken:
            raise ContentError(ErrorCode.NOT_DEFINED, "server error")
