"""What an exchange wants sent: collected, sent in one call, and kept in order while that is blocked."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Final

import trio

from snowowl.datagram.interface import Endpoint, Transmit
from snowowl.protocol.events import ContentFailed
from snowowl.wire.constants import ErrorCode

Failed = Callable[[bytes, int], None]
"""Told (peer, errno) of what can never be sent."""

BROKEN: Final = ContentFailed(ErrorCode.NOT_DEFINED, "server error")
FAULTS: Final = {
    errno.EFAULT: ContentFailed(ErrorCode.NOT_DEFINED, "file changed while it was sent"),
    errno.EMSGSIZE: ContentFailed(ErrorCode.NOT_DEFINED, "blksize is too large for the network"),
}
"""What it means to a transfer that a datagram can never be sent."""


class Outbox:
    """The sending side of one endpoint."""

    def __init__(self, endpoint: Endpoint, failed: Failed) -> None:
        self.queue: list[Transmit] = []
        """What the next `flush` sends."""
        self._endpoint = endpoint
        self._failed = failed
        self._backlog: list[Transmit] = []
        self._backlogged = trio.Event()
        self._emptied = trio.Event()

    @property
    def blocked(self) -> bool:
        """Say whether something is left over that the socket has not taken yet."""
        return bool(self._backlog)

    def flush(self) -> None:
        """Send what was queued.  What the socket does not take waits for it in order."""
        while self.queue:
            queue, self.queue = self.queue, []
            if self._backlog:
                self._backlog += queue
            else:
                self._send(queue)

    async def wait_sent(self) -> None:
        """Wait until nothing is left over; no checkpoint if nothing is."""
        while self._backlog:
            await self._emptied.wait()

    async def run(self, sent: Callable[[], None]) -> None:
        """Send what was left over whenever the socket takes it, then call `sent`; until cancelled."""
        while True:
            await self._backlogged.wait()
            while self._backlog:
                # A task that is about to run does not hear that the endpoint was closed.
                await trio.lowlevel.checkpoint_if_cancelled()
                await self._endpoint.wait_writable()
                backlog, self._backlog = self._backlog, []
                self._send(backlog)
                sent()
            self._backlogged = trio.Event()
            emptied, self._emptied = self._emptied, trio.Event()
            emptied.set()

    def _send(self, transmits: list[Transmit]) -> None:
        unsent = self._endpoint.send(transmits)
        if unsent is None:
            return
        if unsent.blocked:
            self._backlog = unsent.blocked + self._backlog
            self._backlogged.set()
        for peer, reason in unsent.failed:
            self._failed(peer, reason)
