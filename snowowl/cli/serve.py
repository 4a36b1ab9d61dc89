"""`snowowl serve`: run the server until a signal ends it."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import click

from snowowl.cli.configuration import EX_CONFIG, config_option, port_range_change
from snowowl.cli.configuration import configure as load


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
@config_option
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
    "--workers",
    metavar="N|auto",
    help="Serve by so many processes; auto: one for each CPU.  [default: 1]"
    "  [env var: SNOWOWL_WORKERS]",
)
@click.option(
    "-u",
    "--user",
    metavar="NAME",
    help="Become this user once the ports are bound, if started as root.  [default: nobody]"
    "  [env var: SNOWOWL_USER]",
)
@click.option("--group", metavar="NAME", help="The group that goes with it.  [default: its own]")
@click.option(
    "--log-format",
    type=click.Choice(["console", "logfmt", "json", "journal"]),
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
    workers: str | None,
    user: str | None,
    group: str | None,
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

    Started as root, it binds its ports and then becomes server.user for good.

    SIGTERM lets running transfers finish (server.drain_seconds), a second one or SIGINT does not.
    SIGHUP reads the configuration anew for all that begins after it.

    Exit status: 0 after SIGTERM, 1 cannot serve, 2 usage, 78 bad configuration, 130 after SIGINT.
    """  # noqa: D301 - the escape is meant: click keeps the lines of a paragraph that begins with it
    from snowowl.config import Change, ConfigError
    from snowowl.config.environment import parse_integer

    if verbose and quiet:
        raise click.UsageError("--verbose and --quiet exclude each other")
    given: list[tuple[str, object, str]] = [
        ("server.root", root, "DIR"),
        ("server.listen", list(listen) or None, "--listen"),
        ("server.tid", "listen" if single_port else None, "--single-port"),
        ("server.user", user, "--user"),
        ("server.group", group, "--group"),
        ("write.enabled", writable, "--writable"),
        ("write.overwrite", overwrite, "--overwrite"),
        ("log.format", log_format, "--log-format"),
        ("log.level", "debug" if verbose else "warning" if quiet else None, "-v/-q"),
    ]
    changes = [Change(key, value, flag) for key, value, flag in given if value is not None]
    if port_range is not None:
        changes.append(port_range_change(port_range))
    if workers is not None:
        changes.append(Change("server.workers", parse_integer(workers), "--workers"))
    configure = partial(load, file, changes)
    try:
        config = configure()
    except ConfigError as error:
        click.echo(error, err=True)
        sys.exit(EX_CONFIG)
    from snowowl.cli.serve_program import run

    sys.exit(run(config, configure, None if file is None else Path(file)))
