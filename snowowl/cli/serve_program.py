"""The program behind `snowowl serve`: the log, the signals, and one process or several.

What is served, and how, is in `snowowl.server`; what the flags mean, in `snowowl.cli.serve`.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from snowowl.cli import EXIT_INTERRUPTED

if TYPE_CHECKING:
    import trio

    from snowowl.config import Config
    from snowowl.observe.events import Event
    from snowowl.observe.metrics import Metrics
    from snowowl.observe.observers import Observer
    from snowowl.server.outputs import Outputs

    Configure = Callable[[], Config]

    class Serve(Protocol):
        """Serves until it is cancelled, or until `drain` is set and all is done."""

        def __call__(
            self,
            config: Config,
            *,
            observers: Sequence[Observer],
            drain: trio.Event,
            metrics: Metrics | None,
        ) -> Awaitable[None]:
            """Raise ListenError, RootError or WorkerError if it cannot begin."""


DESCRIPTORS_WANTED = 65536  # for limits.transfers_max uploads, and sockets of their own


def run(config: Config, configure: Configure) -> int:
    """Serve until a signal ends it; return the exit status.  `configure` reads all anew."""
    import trio

    _raise_descriptor_limit()
    if _processes(config) == 1:
        from snowowl.server.serve import serve as serve_until

        return trio.run(_Program(config).run, serve_until)
    program = _Supervised(config, configure)
    return trio.run(program.run, program.supervise)


def _processes(config: Config) -> int:
    """Return how many processes serve."""
    if config.server.workers == 1:
        return 1
    from snowowl.server.supervisor import worker_count

    return worker_count(config.server.workers)


class _Program:
    """A server with its log and its signals."""

    def __init__(self, config: Config) -> None:
        import trio

        from snowowl.observe.log import LogObserver
        from snowowl.observe.writer import LineWriter, stderr_descriptor
        from snowowl.server.outputs import open_journal

        self.config = config
        self.exit_status = 0
        self.drain = trio.Event()
        self.writer = LineWriter(stderr_descriptor())
        self.journal = open_journal()
        self.outputs: Outputs | None = None
        self.log = LogObserver(
            self.writer.write,
            form=config.log.format,
            level=config.log.level,
            colors=_wants_colors(),
            journal=self.journal,
        )
        self.writer.dropped_line = self.log.dropped

    async def run(self, serve_until: Serve) -> int:
        """Run a server in this program; return the exit status."""
        import trio

        self.warn(self.config)
        async with trio.open_nursery() as outer:
            outer.start_soon(self.writer.run)
            outputs = self.open_outputs()
            if outputs is not None:
                async with outputs.running(), trio.open_nursery() as running:
                    running.start_soon(self._watch_signals, running.cancel_scope)
                    self.start(running)
                    await self._serve(serve_until, outputs)
                    running.cancel_scope.cancel()
            self.writer.close()
        return self.exit_status

    def open_outputs(self) -> Outputs | None:
        """Open the audit stream and the metrics; None if that cannot be done, which is told."""
        from snowowl import __version__
        from snowowl.observe.audit_file import AuditError
        from snowowl.server.errors import MetricsError
        from snowowl.server.outputs import Outputs, lines_lost

        def lost() -> int:
            return lines_lost(self.writer, self.journal)

        try:
            self.outputs = Outputs(self.config, self.log, lost, version=__version__)
        except (AuditError, MetricsError) as error:
            self.exit_status = 1
            self.log.give_up(str(error))
        return self.outputs

    async def _serve(self, serve_until: Serve, outputs: Outputs) -> None:
        from snowowl.server.errors import ListenError, RootError, WorkerError

        try:
            await serve_until(
                self.config,
                observers=[self.observe, outputs],
                drain=self.drain,
                metrics=outputs.metrics,
            )
        except (ListenError, RootError, WorkerError) as error:
            self.exit_status = 1
            self.log.give_up(str(error))

    def start(self, nursery: trio.Nursery) -> None:
        """Start what else is needed."""

    def observe(self, event: Event) -> None:
        """Log what the server tells."""
        self.log(event)

    def warn(self, config: Config) -> None:
        """Name what was set and has no effect."""
        from snowowl.config import unknown_variables
        from snowowl.server.outputs import journal_warning

        no_journal = journal_warning(config, self.journal)
        for warning in (*unknown_variables(os.environ), *config.warnings(), no_journal):
            if warning:
                self.log.complain(warning)
        if config.server.workers not in ("auto", _processes(config)):
            self.log.complain(
                "server.workers: has no effect on this system, one process serves: only Linux deals"
                " the datagrams for one port out to several"
            )

    async def _watch_signals(self, running: trio.CancelScope) -> None:
        import trio

        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for number in signals:
                if number == signal.SIGINT or self.drain.is_set():
                    self.exit_status = EXIT_INTERRUPTED if number == signal.SIGINT else 0
                    running.cancel()
                self.drain.set()


class _Supervised(_Program):
    """A server of several processes, with the signal that has them take a new configuration."""

    def __init__(self, config: Config, configure: Configure) -> None:
        super().__init__(config)
        import trio

        from snowowl.config import Config

        self._configure = configure
        # Without a buffer: what is read waits for nobody, a second SIGHUP reads anew.
        self._reloads, self._taken = trio.open_memory_channel[Config](0)

    async def supervise(
        self,
        config: Config,
        *,
        observers: Sequence[Observer],
        drain: trio.Event,
        metrics: Metrics | None,
    ) -> None:
        """Serve by several processes."""
        from snowowl.server.supervisor import supervise

        await supervise(
            config,
            _processes(config),
            observers=observers,
            drain=drain,
            reloads=self._taken,
            colors=_wants_colors(),
            metrics=metrics,
            crew=None if self.outputs is None else self.outputs.crew,
        )

    def start(self, nursery: trio.Nursery) -> None:
        """Start to wait for SIGHUP."""
        nursery.start_soon(self._watch_reloads)

    def observe(self, event: Event) -> None:
        """Log what the server tells, in the form that it has now."""
        from snowowl.observe.events import ServerReloaded

        if isinstance(event, ServerReloaded):
            self.log.set_form(self.config.log.format, self.config.log.level)
        self.log(event)

    async def _watch_reloads(self) -> None:
        import trio

        from snowowl.config import ConfigError
        from snowowl.observe.events import ReloadFailed

        # Trio raises again, at the end, what nobody has taken: it must not kill us then.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with trio.open_signal_receiver(signal.SIGHUP) as signals:
            async for _ in signals:
                if self.outputs is not None:
                    await self.outputs.reopen()
                try:
                    config = await trio.to_thread.run_sync(self._configure)
                except ConfigError as error:
                    for problem in error.problems:
                        self.log(ReloadFailed(f"{problem}"))
                    continue
                self.warn(config)
                self.config = config
                await self._reloads.send(config)


def _raise_descriptor_limit() -> None:
    """Take as many file descriptors as the system gives: an upload holds two or three."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS_WANTED if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS_WANTED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _wants_colors() -> bool:
    """Say whether stderr is a terminal that people want coloured (https://no-color.org)."""
    plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    return sys.stderr is not None and sys.stderr.isatty() and not plain
