"""`snowowl serve`: run the server until a signal ends it."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from snowowl.config import Change, Config

EX_CONFIG = 78  # sysexits.h; units say RestartPreventExitStatus=2 78
DESCRIPTORS_WANTED = 65536  # for limits.transfers_max uploads, and sockets of their own
EXIT_INTERRUPTED = 130  # what a shell reports for SIGINT


@click.command()
@click.argument("root", metavar="[DIR]", required=False, type=click.Path())
@click.option(
    "-a",
    "--listen",
    "--address",
    "listen",
    multiple=True,
    metavar="ADDR:PORT",
    help="Listen here; may be repeated. '*:PORT' is every address, port 0 any free port."
    "  [default: *:69]  [env var: SNOWOWL_LISTEN]",
)
@click.option(
    "-c",
    "--config",
    "file",
    type=click.Path(),
    envvar="SNOWOWL_CONFIG",
    show_envvar=True,
    metavar="FILE",
    help="Read this configuration file; flags and environment go before it.",
)
@click.option(
    "--writable/--read-only",
    default=None,
    help="Take uploads.  [default: read-only]  [env var: SNOWOWL_WRITABLE]",
)
@click.option(
    "--overwrite/--no-overwrite",
    default=None,
    help="Let uploads replace files.  [env var: SNOWOWL_OVERWRITE]",
)
@click.option(
    "--single-port",
    is_flag=True,
    help="Answer from the listening port, for NAT and containers.  [env var: SNOWOWL_TID=listen]",
)
@click.option(
    "-R",
    "--port-range",
    metavar="A:B",
    help="Take the ports of transfers from A to B.  [env var: SNOWOWL_PORT_RANGE]",
)
@click.option(
    "--log-format",
    type=click.Choice(["console", "logfmt", "json"]),
    default=None,
    help="How log lines look.  [default: console]  [env var: SNOWOWL_LOG_FORMAT]",
)
@click.option("-v", "--verbose", is_flag=True, help="Log each request too.")
@click.option(
    "-q", "--quiet", is_flag=True, help="Log warnings only; the addresses are always told."
)
def serve(
    root: str | None,
    listen: tuple[str, ...],
    file: str | None,
    port_range: str | None,
    log_format: str | None,
    *,
    writable: bool | None,
    overwrite: bool | None,
    single_port: bool,
    verbose: bool,
    quiet: bool,
) -> None:
    """Serve the folder DIR by TFTP; without DIR, SNOWOWL_ROOT or the current folder.

    \b
    snowowl serve /srv/tftp                        on port 69, read-only
    snowowl serve --listen 127.0.0.1:6969 boot     on a high port, without root
    snowowl serve --writable boot                  new files may be uploaded

    SIGTERM lets running transfers finish (server.drain_seconds), a second one or SIGINT does not.

    Exit status: 0 after SIGTERM, 1 cannot serve, 2 usage, 78 bad configuration, 130 after SIGINT.
    """  # noqa: D301 - the escape is meant: click keeps the lines of a paragraph that begins with it
    from snowowl.config import Change, ConfigError

    if verbose and quiet:
        raise click.UsageError("--verbose and --quiet exclude each other")
    given: list[tuple[str, object, str]] = [
        ("server.root", root, "DIR"),
        ("server.listen", list(listen) or None, "--listen"),
        ("server.tid", "listen" if single_port else None, "--single-port"),
        ("write.enabled", writable, "--writable"),
        ("write.overwrite", overwrite, "--overwrite"),
        ("log.format", log_format, "--log-format"),
        ("log.level", "debug" if verbose else "warning" if quiet else None, "-v/-q"),
    ]
    changes = [Change(key, value, flag) for key, value, flag in given if value is not None]
    if port_range is not None:
        changes.append(_port_range_change(port_range))
    try:
        config = _configure(file, changes)
    except ConfigError as error:
        click.echo(error, err=True)
        sys.exit(EX_CONFIG)
    sys.exit(_run(config))


def _configure(file: str | None, changes: list[Change]) -> Config:
    """Return the configuration: flags before environment before file.  Raises ConfigError."""
    from snowowl.config import Config, from_environment, load_config, override

    config = load_config(file) if file else Config()
    return override(config, [*from_environment(os.environ), *changes])


def _port_range_change(text: str) -> Change:
    from snowowl.config import Change, parse_port_range

    try:
        return Change("server.port_range", parse_port_range(text), "--port-range")
    except ValueError as error:
        return Change("server.port_range", None, "--port-range", str(error))


def _run(config: Config) -> int:
    import trio

    from snowowl.config import unknown_variables
    from snowowl.observe.log import LogObserver
    from snowowl.observe.writer import LineWriter
    from snowowl.server.errors import ListenError, RootError
    from snowowl.server.serve import serve as serve_until

    exit_status = 0

    async def watch_signals(drain: trio.Event, running: trio.CancelScope) -> None:
        nonlocal exit_status
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for number in signals:
                if number == signal.SIGINT or drain.is_set():
                    exit_status = EXIT_INTERRUPTED if number == signal.SIGINT else 0
                    running.cancel()
                drain.set()

    async def run() -> int:
        nonlocal exit_status
        writer = LineWriter(_stderr())
        log = LogObserver(
            writer.write,
            form=config.log.format,
            level=config.log.level,
            colors=_wants_colors(),
        )
        writer.dropped_line = log.dropped
        for warning in (*unknown_variables(os.environ), *config.warnings()):
            log.complain(warning)
        async with trio.open_nursery() as outer:
            outer.start_soon(writer.run)
            drain = trio.Event()
            async with trio.open_nursery() as running:
                running.start_soon(watch_signals, drain, running.cancel_scope)
                try:
                    await serve_until(config, observers=[log], drain=drain)
                except (ListenError, RootError) as error:
                    exit_status = 1
                    log.give_up(str(error))
                running.cancel_scope.cancel()
            writer.close()
        return exit_status

    _raise_descriptor_limit()
    return trio.run(run)


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


def _stderr() -> int:
    """Return where log lines go; nowhere if the server was started with a closed stderr."""
    return os.open(os.devnull, os.O_WRONLY) if sys.stderr is None else sys.stderr.fileno()
