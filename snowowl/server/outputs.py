"""What a process tells beside its log: the audit stream, and the metrics.

Opened by who will serve, before that is confined; run around the server, and closed after its last
event.
"""

from __future__ import annotations

import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import trio

from snowowl.config import Config
from snowowl.host.identity import who
from snowowl.host.journal import JOURNAL_SOCKET, Journal
from snowowl.observe.audit_file import AuditError, AuditStream
from snowowl.observe.events import Event, InternalError
from snowowl.observe.log import LogObserver
from snowowl.observe.metrics import Metrics, Snapshot
from snowowl.observe.writer import LineWriter
from snowowl.server.channel import Channel
from snowowl.server.crew import Crew, encode_counts
from snowowl.server.metrics_socket import MetricsSocket, open_metrics_socket

if TYPE_CHECKING:
    from snowowl.server.metrics_http import MetricsServer

IMPORTS: Final = ("snowowl.observe.prometheus", "snowowl.server.metrics_http")
"""What is imported only where metrics are told."""

COUNTS_SECONDS: Final = 1.0
"""Between two times that a worker tells its counts; what it had counted since is lost if it is
killed."""


def open_journal(path: str = JOURNAL_SOCKET) -> Journal | None:
    """Connect to the systemd journal, if there is one."""
    try:
        return Journal(path)
    except OSError:
        return None


def journal_warning(config: Config, journal: Journal | None) -> str:
    """Return what to say if the log should go to a journal and there is none, else nothing."""
    if config.log.format != "journal" or journal is not None:
        return ""
    return (
        f'log.format: there is no systemd journal ({JOURNAL_SOCKET}), so "journal" is "console"'
        " here, on stderr"
    )


def lines_lost(writer: LineWriter, journal: Journal | None) -> int:
    """Return how many lines of a log were ever lost."""
    return writer.lost + (0 if journal is None else journal.lost)


class Outputs:
    """The audit stream and the metrics of one process: each if it is configured.

    `lost` returns how many lines of the log were lost.  Raises AuditError, MetricsError.
    """

    def __init__(
        self,
        config: Config,
        log: LogObserver,
        lost: Callable[[], int],
        *,
        worker: int | None = None,
        version: str = "",
    ) -> None:
        self._log = log
        self._lost = lost
        self._socket: MetricsSocket | None = None
        self._server: MetricsServer | None = None
        self.audit: AuditStream | None = None
        self.metrics: Metrics | None = None
        self._reopen = trio.Event()
        self.crew = Crew()
        """The workers, where there are some."""
        if config.metrics.listen is not None:
            self.metrics = Metrics()
            self.metrics.add_source(self._count)
            if worker is None:  # its supervisor tells all
                # Here, not at the top: they take a tenth of a second.
                from snowowl.observe.prometheus import Exposition
                from snowowl.server.metrics_http import MetricsServer

                metrics = self.metrics
                render = Exposition(metrics.snapshot, version).render
                self._server = MetricsServer(render, lambda: metrics.serving, log)
                self._socket = open_metrics_socket(config.metrics.listen)
        if config.audit.file is not None:
            try:
                self.audit = AuditStream(config.audit.file, log, worker=worker, who=who())
            except AuditError:
                self.close()
                raise

    @property
    def address(self) -> str:
        """Where metrics are told."""
        return "" if self._socket is None else self._socket.address

    def __call__(self, event: Event) -> None:
        """Take an event for the audit stream."""
        if self.audit is not None:
            self.audit(event)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write, and answer, until the server that runs meanwhile has ended."""
        try:
            async with trio.open_nursery() as writing:
                if self.audit is not None:
                    writing.start_soon(self.audit.run)
                async with trio.open_nursery() as answering:
                    answering.start_soon(self._reopen_each)
                    if self._socket is not None and self._server is not None:
                        answering.start_soon(self._answer, self._socket, self._server)
                    try:
                        yield
                    finally:
                        answering.cancel_scope.cancel()
                        if self.audit is not None:
                            self.audit.close()
        finally:
            self.close()

    def close(self) -> None:
        """Close the socket and the file.  Idempotent."""
        if self._socket is not None:
            self._socket.close()
        if self.audit is not None:
            self.audit.writer.release()

    def reopen_soon(self) -> None:
        """Do as `reopen`, while it runs."""
        self._reopen.set()

    async def _reopen_each(self) -> None:
        while True:
            await self._reopen.wait()
            self._reopen = trio.Event()
            await self.reopen()

    async def reopen(self) -> None:
        """Open the audit file anew, for logrotate, here and in all workers.  Raises nothing.

        Where that fails it goes on in the old one, and the log says so.
        """
        self.crew.reopen()
        if self.audit is None:
            return
        try:
            await self.audit.reopen()
        except (AuditError, RuntimeError) as error:  # or no thread could be started
            self._log.complain(f"the audit stream goes on in the file as it was: {error}")

    async def tell_counts(self, channel: Channel) -> None:
        """Tell a supervisor what was counted, each second until cancelled, and then once more."""
        if self.metrics is None:
            return
        try:
            try:
                while True:
                    await trio.sleep(COUNTS_SECONDS)
                    if channel.is_read:
                        channel.tell("counts", encode_counts(self.metrics.snapshot()))
            finally:
                channel.tell("counts", encode_counts(self.metrics.snapshot()))
        except Exception:  # noqa: BLE001 - a bug in metrics; files are served on
            self._log(InternalError("metrics", traceback.format_exc()))

    def _count(self) -> Snapshot:
        lost = 0 if self.audit is None else self.audit.writer.lost
        return {
            "snowowl_log_lines_lost_total": {"": [self._lost()]},
            "snowowl_audit_lines_lost_total": {"": [lost]},
        }

    async def _answer(self, opened: MetricsSocket, server: MetricsServer) -> None:
        """Answer scrapes; a bug there must not end the server."""
        try:
            sock = trio.socket.from_stdlib_socket(opened.socket)
            await server.run(trio.SocketListener(sock))
        except Exception:  # noqa: BLE001 - files are served on
            self._log(InternalError("metrics", traceback.format_exc()))
