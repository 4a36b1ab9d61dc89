"""How requests end: told once to the observers, and to whoever waits for the end of all."""

from __future__ import annotations

import trio

from snowowl.observe.events import Direction, TransferFinished
from snowowl.observe.observers import Observers
from snowowl.protocol.outcome import Outcome
from snowowl.server.registry import Admitted, Registry
from snowowl.wire.packets import ReadRequest


class Report:
    """Tells how one request ended."""

    __slots__ = ("_admitted", "_finished", "_observers", "_registry")

    def __init__(self, observers: Observers, registry: Registry, admitted: Admitted) -> None:
        self._observers = observers
        self._registry = registry
        self._admitted = admitted
        self._finished = False

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
        if admitted.guard is not None:
            admitted.guard.ended(admitted, outcome)
        self._observers.emit(
            TransferFinished(
                client=admitted.client,
                direction=Direction.READ if isinstance(request, ReadRequest) else Direction.WRITE,
                filename=request.filename,
                mode=request.mode,
                octets=transfer.octets if transfer else 0,
                seconds=trio.current_time() - admitted.since,
                granted=transfer.terms.granted if transfer else (),
                retransmitted=transfer.retransmitted if transfer else 0,
                outcome=outcome,
                detail=detail,
            )
        )
