"""A port of a load, and the transfer that it has now or had last.

A port carries one transfer at a time.  The RFC would allow more, as the server's port tells them
apart, but to servers that know real boot clients a request from the same port means that the client
has started anew (rule R5), and so it ends the transfer before.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from snowowl.client.load_content import Content, headers
from snowowl.client.load_reader import Reader
from snowowl.datagram.interface import Endpoint, Packet, Region, Train, Transmit
from snowowl.protocol.actions import Actions, SendBlocks, SendPacket
from snowowl.protocol.initiate import WriteInitiator
from snowowl.wire.codec import Buffer, header_offset
from snowowl.wire.constants import HEADER_SIZE

TakeRight = Callable[[Buffer, int, float], bytes | None]


class Job:
    """One transfer that is to be made."""

    __slots__ = ("content", "name", "number", "region", "transfer")

    def __init__(
        self,
        number: int,
        name: bytes,
        transfer: Reader | WriteInitiator,
        content: Content | None = None,
        region: Region | None = None,
    ) -> None:
        self.number = number
        self.name = name
        self.transfer = transfer
        self.content = content
        """What an upload sends."""
        self.region = region
        """Where its octets are."""


class Lane:
    """See above."""

    __slots__ = (
        "alarm",
        "asked_at",
        "backlog",
        "client",
        "endpoint",
        "job",
        "late",
        "late_peer",
        "outbox",
        "peer",
        "requests_resent",
        "running",
        "settled_at",
        "take_right",
        "transfer",
        "trouble",
    )

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.client = 0
        """Whose transfer it is, from 1."""
        self.job: Job | None = None
        self.transfer: Reader | WriteInitiator | None = None
        self.peer = b""
        """The server's TID; empty until it has answered."""
        self.late: Reader | WriteInitiator | None = None
        self.late_peer = b""
        """The transfer before, whose last block may come again, and the server's TID of it."""
        self.take_right: TakeRight | None = None
        """The transfer's short way for right blocks, if it has one."""
        self.running = False
        self.asked_at = 0.0
        self.settled_at = 0.0
        self.alarm = math.inf
        """When the fleet looks at it: no later than its transfer's deadline."""
        self.requests_resent = 0
        self.outbox: list[Transmit] = []
        self.backlog: list[Transmit] = []
        """What the socket did not take."""
        self.trouble = ""
        """Why this side gave up, if it did."""

    def take(self, job: Job, client: int, now: float) -> None:
        """Make ready for another transfer."""
        self.late, self.late_peer = self.transfer, self.peer
        self.job = job
        self.transfer = job.transfer
        self.take_right = getattr(job.transfer, "take_right", None)
        self.client = client
        self.peer = b""
        self.running = True
        self.asked_at = now
        self.settled_at = 0.0
        self.requests_resent = 0
        self.trouble = ""

    def carry_out(self, actions: Actions, peer: bytes) -> None:
        """Queue what a transfer wants sent."""
        for action in actions:
            if isinstance(action, SendPacket):
                self.outbox.append(Packet(peer, action.packet))
            elif isinstance(action, SendBlocks):
                self.outbox.append(self._train(action.first, action.count, peer))

    def _train(self, first: int, count: int, peer: bytes) -> Train:
        job = self.job
        assert job is not None
        assert job.content is not None
        assert job.region is not None
        terms, size = job.transfer.terms, job.content.size
        offset = (first - 1) * terms.blksize
        return Train(
            peer,
            headers(terms.rollover),
            header_offset(first, terms.rollover),
            job.region,
            job.content.start + offset,
            min(count * terms.blksize, size - offset),
            HEADER_SIZE + terms.blksize,
            count,
        )
