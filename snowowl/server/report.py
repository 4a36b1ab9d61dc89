"""How requests begin to be served, and end: told once each, and to whoever waits for all ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import trio

from snowowl.content.errors import ContentError, Limit
from snowowl.observe.events import (
    Direction,
    Refusal,
    TransferFinished,
    TransferStarted,
    TraversalAttempted,
)
from snowowl.observe.observers import Observers
from snowowl.protocol.outcome import Outcome, OutcomeKind
from snowowl.server.member import Member
from snowowl.server.registry import Admitted, Registry
from snowowl.wire.packets import ReadRequest

REFUSALS: Final[Mapping[Limit, Refusal]] = {
    "uploads_max": Refusal.UPLOADS,
    "open_files_max": Refusal.OPEN_FILES,
    "size_max": Refusal.UPLOAD_SIZE,
    "quota": Refusal.QUOTA,
    "free_min": Refusal.FREE_SPACE,
}
"""How it is counted that content was refused because of a limit (`ContentError.limit`)."""


class Report:
    """Tells that the transfer of one request has started, if it has, and how the request ended."""

    __slots__ = (
        "_admitted",
        "_finished",
        "_limit",
        "_observers",
        "_registry",
        "_started",
        "stored",
    )

    def __init__(self, observers: Observers, registry: Registry, admitted: Admitted) -> None:
        self._observers = observers
        self._registry = registry
        self._admitted = admitted
        self._finished = False
        self._started = False
        self.stored = b""
        """The name beneath the root that an upload has got."""
        self._limit: Limit | None = None

    @property
    def _direction(self) -> Direction:
        is_read = isinstance(self._admitted.request, ReadRequest)
        return Direction.READ if is_read else Direction.WRITE

    def start(self, member: Member, size: int | None) -> None:
        """Report the transfer's terms, just before its first packet."""
        self._started = True
        admitted, request = self._admitted, self._admitted.request
        self._observers.emit(
            TransferStarted(
                admitted.number,
                admitted.client,
                self._direction,
                request.filename,
                request.mode,
                size,
                member.transfer.terms.granted,
            )
        )

    def refuse(self, error: ContentError) -> None:
        """Report that the content cannot be had; and first, if its name tried to leave the root."""
        if error.escape and not self._finished:
            admitted = self._admitted
            filename = admitted.request.filename
            self._observers.emit(TraversalAttempted(admitted.client, self._direction, filename))
        self._limit = error.limit
        self.finish(Outcome(OutcomeKind.REFUSED, error.message, error.code), error.detail)

    def finish(self, outcome: Outcome, detail: str) -> None:
        """Report the outcome; later calls do nothing."""
        if self._finished:
            return
        self._finished = True
        self._registry.settle(self._admitted)
        admitted, request = self._admitted, self._admitted.request
        transfer = admitted.member.transfer if admitted.member else None
        if transfer is not None and transfer.outcome is not None:
            outcome = transfer.outcome
        refusal = self._refusal(outcome)
        if admitted.guard is not None:
            admitted.guard.ended(admitted, outcome, refusal)
        self._observers.emit(
            TransferFinished(
                client=admitted.client,
                direction=self._direction,
                filename=request.filename,
                mode=request.mode,
                octets=transfer.octets if transfer else 0,
                seconds=trio.current_time() - admitted.since,
                granted=transfer.terms.granted if transfer else (),
                retransmitted=transfer.retransmitted if transfer else 0,
                outcome=outcome,
                detail=detail,
                stored=self.stored,
                refusal=refusal,
                number=admitted.number,
                started=self._started,
            )
        )

    def _refusal(self, outcome: Outcome) -> Refusal | None:
        """Return which limit left no room for it, at the beginning or later; None if it was none."""
        member, limit = self._admitted.member, self._limit
        if member is not None and outcome.kind is OutcomeKind.REFUSED:
            limit = member.limit
        return None if limit is None else REFUSALS[limit]
