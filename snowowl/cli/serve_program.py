"""The program behind `snowowl serve`: the log, the signals, and one process or several.

What is served, and how, is in `snowowl.server`; what the flags mean, in `snowowl.cli.serve`.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from snowowl.cli import EXIT_INTERRUPTED

if TYPE_CHECKING:
    import trio

    from snowowl.cli.serve_systemd import Systemd
    from snowowl.config import Config
    from snowowl.observe.events import Event
    from snowowl.observe.observers import Observer
    from snowowl.server.confinement import Confinement
    from snowowl.server.listening import Listening
    from snowowl.server.outputs import Outputs

    Configure = Callable[[], Config]


DESCRIPTORS_WANTED = 65536  # for limits.transfers_max uploads, and sockets of their own


def run(config: Config, configure: Configure, file: Path | None = None) -> int:
    """Serve until a signal ends it; return the exit status.

    `configure` reads all anew, also what is in `file`.
    """
    import trio

    from snowowl.cli import serve_startup as startup
    from snowowl.cli.serve_systemd import Systemd
    from snowowl.observe.audit_file import AuditError
    from snowowl.server.errors import ListenError, MetricsError, RootError

    _raise_descriptor_limit()
    try:
        listening = startup.take_sockets(config, _processes(config))
    except (ListenError, startup.StartError) as error:
        return trio.run(_Program(config).fail, error)
    with listening, closing(Systemd.take()) as systemd:
        alone = len(listening.places) == 1
        kind = _Program if alone else _Supervised
        program = kind(
            listening.applied(config),
            listening=listening,
            systemd=systemd,
            configure=lambda: listening.applied(configure()),
        )
        for warning in listening.overruled(config):
            program.log.complain(warning)
        try:
            startup.give_up_privileges(program.config, program.log)
            startup.check_root(program.config.server.root)
            startup.check_file(file, program.log)
            program.open_outputs()
            if alone:
                program.confinement = startup.confine_to(program.config, file, program.log)
            else:
                startup.check_python()
                startup.is_confined(program.config, program.log)
        except (RootError, AuditError, MetricsError, startup.StartError) as error:
            return trio.run(program.fail, error)
        return trio.run(program.run)


def _processes(config: Config) -> int:
    """Return how many processes serve."""
    if config.server.workers == 1:
        return 1
    from snowowl.server.supervisor import worker_count

    return worker_count(config.server.workers)


class _Program:
    """A server with its log and its signals."""

    def __init__(
        self,
        config: Config,
        *,
        configure: Configure | None = None,
        listening: Listening | None = None,
        systemd: Systemd | None = None,
    ) -> None:
        import trio

        from snowowl.cli.serve_reloads import Reloads
        from snowowl.observe.events import ServerReloaded
        from snowowl.observe.log import LogObserver
        from snowowl.observe.writer import LineWriter, stderr_descriptor
        from snowowl.server.outputs import open_journal

        self._reloaded = ServerReloaded  # an import statement for each event takes 1 us
        self.config = config
        self.listening = listening
        self.systemd = systemd
        self.confinement: Confinement | None = None
        """What this process was confined to; a reload cannot leave it (`Confinement.kept`)."""
        self.exit_status = 0
        self.drain = trio.Event()
        self.writer = LineWriter(stderr_descriptor())
        self.journal = open_journal()
        self.outputs: Outputs | None = None
        """The audit stream and the metrics, once they are open."""
        self.log = LogObserver(
            self.writer.write,
            form=config.log.format,
            level=config.log.level,
            colors=_wants_colors(),
            journal=self.journal,
        )
        self.writer.dropped_line = self.log.dropped
        self.reloads = Reloads(
            configure or (lambda: config),
            self.tell,
            log=self.observe,
            warn=self.warn,
            begins=self.begin_reload,
        )

    async def run(self) -> int:
        """Run a server in this program; return the exit status."""
        import trio

        from snowowl.observe.events import MetricsOffered
        from snowowl.server.errors import ListenError, RootError, WorkerError

        self.warn(self.config)
        async with trio.open_nursery() as outer:
            outer.start_soon(self.writer.run)
            assert self.outputs is not None
            if self.outputs.address:
                self.log(MetricsOffered(self.outputs.address))
            async with self.outputs.running(), trio.open_nursery() as running:
                running.start_soon(self._watch_signals, running.cancel_scope)
                if self.systemd is not None:
                    running.start_soon(self.systemd.run)
                running.start_soon(self.reloads.watch, self.drain)
                try:
                    await self.serve(self.observers())
                except (ListenError, RootError, WorkerError) as error:
                    self.exit_status = 1
                    self.log.give_up(str(error))
                running.cancel_scope.cancel()
            self.writer.close()
        return self.exit_status

    async def serve(self, observers: Sequence[Observer]) -> None:
        """Serve in this process.  Raises ListenError, RootError or WorkerError."""
        from snowowl.server.datapath import system_network
        from snowowl.server.serve import serve

        confinement = self.confinement
        with closing(system_network(self.config)) as system:
            network = None if self.listening is None else self.listening.network(system)
            await serve(
                self.config,
                observers=observers,
                network=network,
                drain=self.drain,
                reloads=self.reloads.taken,
                unchangeable=None if confinement is None else confinement.kept,
                metrics=None if self.outputs is None else self.outputs.metrics,
            )

    def open_outputs(self) -> None:
        """Open the audit stream and the metrics.  Raises AuditError, MetricsError."""
        from snowowl import __version__
        from snowowl.server.outputs import Outputs, lines_lost

        def lost() -> int:
            return lines_lost(self.writer, self.journal)

        self.outputs = Outputs(self.config, self.log, lost, version=__version__)

    def begin_reload(self) -> None:
        """Note that a SIGHUP has come: whatever else comes of it, logrotate may have sent it."""
        if self.systemd is not None:
            self.systemd.reloading()
        if self.outputs is not None:
            self.outputs.reopen_soon()

    async def fail(self, error: Exception) -> int:
        """Say why nothing is served; return the exit status."""
        import trio

        self.log.give_up(str(error))
        if self.outputs is not None:
            self.outputs.close()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.writer.run)
            self.writer.close()
        return 1

    def observers(self) -> list[Observer]:
        """Return who hears what the server tells; one that fails keeps it from no other."""
        audits = self.outputs is not None and self.outputs.audit is not None
        others = (self.systemd, self.outputs if audits else None)
        return [self.observe, self.reloads.observe, *(each for each in others if each is not None)]

    def tell(self, event: Event) -> None:
        """Tell the same, and the metrics, what the server does not know of."""
        from snowowl.observe.observers import Observers

        metrics = None if self.outputs is None else self.outputs.metrics
        Observers([*self.observers(), *([] if metrics is None else [metrics])]).emit(event)

    def observe(self, event: Event) -> None:
        """Log what the server tells, in the form that it has now."""
        if isinstance(event, self._reloaded) and self.reloads.read is not None:
            log = self.reloads.read.log
            self.log.set_form(log.format, log.level)
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
    """A server of several processes."""

    async def serve(self, observers: Sequence[Observer]) -> None:
        """Serve by several processes."""
        from snowowl.server.supervisor import supervise

        await supervise(
            self.config,
            _processes(self.config),
            listening=self.listening,
            observers=observers,
            drain=self.drain,
            reloads=self.reloads.taken,
            colors=_wants_colors(),
            metrics=None if self.outputs is None else self.outputs.metrics,
            crew=None if self.outputs is None else self.outputs.crew,
        )


def _raise_descriptor_limit() -> None:
    """Take as many file descriptors as the system gives: an upload holds two or three."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS_WANTED if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS_WANTED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(
            OSError, ValueError
        ):  # a filter for system calls; macOS has a limit of its own
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _wants_colors() -> bool:
    """Say whether stderr is a terminal that people want coloured (https://no-color.org)."""
    plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    return sys.stderr is not None and sys.stderr.isatty() and not plain
