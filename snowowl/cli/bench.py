"""`snowowl bench`: load a TFTP server and check every octet."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from snowowl.cli import EXIT_INTERRUPTED
from snowowl.cli.bench_options import (
    STORM_CLIENTS,
    STORM_SECONDS,
    UPLOAD_SIZE,
    GroupedCommand,
    load_options,
)
from snowowl.cli.bench_table import failure_lines, table
from snowowl.cli.transfer import (
    EXIT_CODES_HELP,
    client_options,
    exit_code,
    transfer_options,
)

if TYPE_CHECKING:
    from snowowl.client.errors import ClientError
    from snowowl.client.load import Load
    from snowowl.client.load_options import LoadOptions
    from snowowl.client.load_report import Report
    from snowowl.client.url import Target
    from snowowl.datagram.settings import Rung

EXIT_WRONG = 1
"""Octets were wrong, which curl would not notice."""

EXIT_CANNOT_READ = 26

SHOW_SECONDS = 0.25
"""A frame of the display costs some milliseconds of CPU, which the clients do not have then."""

_HELP = f"""\b
The first transfer is not measured: it tells which octets must come (or --expect does).
A load that the client itself limits is called so: see its share of a CPU.

{EXIT_CODES_HELP}
Of several failures the first one's code counts; 1 is also for wrong octets.
"""


@click.command(cls=GroupedCommand, epilog=_HELP)
@click.argument("url")
@load_options
@transfer_options
def bench(
    url: str,
    clients: int | None,
    transfers: int | None,
    duration: float | None,
    expect: Path | None,
    size: int | None,
    upload_name: str,
    loss: float,
    loss_seed: int,
    sockets: int | None,
    rung: str,
    blksize: int,
    windowsize: int,
    timeout: int | None,
    retries: int,
    *,
    storm: bool,
    upload: bool,
    no_verify: bool,
    tsize: bool,
    as_json: bool,
    no_options: bool,
    quiet: bool,
) -> None:
    """Load tftp://HOST[:PORT]/FILE[;mode=netascii] and check every octet.

    \b
    snowowl bench -c 100 tftp://HOST/vmlinuz       100 clients, a file each
    snowowl bench -c 8 -d 10 tftp://HOST/vmlinuz   8 clients, for 10 seconds
    snowowl bench --storm tftp://HOST/pxelinux.0   64 clients, again and again
    snowowl bench --upload -c 4 tftp://HOST/up/    4 uploads, read back
    """  # noqa: D301 - as in `main`
    import attrs

    from snowowl.client.load_options import LoadOptions

    if storm:
        clients = clients or STORM_CLIENTS
        duration = STORM_SECONDS if duration is None and transfers is None else duration
    if size is not None and not upload:
        raise click.UsageError("--size is for --upload")
    if expect is not None and upload:
        raise click.UsageError("--expect is for downloads: uploads have octets of their own")
    target = _target(url, upload=upload)
    request = client_options(blksize, windowsize, timeout, retries, no_options=no_options)
    try:
        options = LoadOptions(
            clients=clients or 1,
            transfers=transfers,
            seconds=duration,
            request=request if no_options else attrs.evolve(request, tsize=tsize),
            expect=None if expect is None else _expected(expect, target),
            upload_size=(UPLOAD_SIZE if size is None else size) if upload else None,
            upload_name=upload_name,
            verify=not no_verify,
            loss_percent=loss,
            loss_seed=loss_seed,
            rung=cast("Rung", rung),
            sockets=sockets,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    _bench(url, target, options, as_json=as_json, quiet=quiet)


def _bench(url: str, target: Target, options: LoadOptions, *, as_json: bool, quiet: bool) -> None:
    import trio

    from snowowl.client.load import Load
    from snowowl.observe.words import printable

    _raise_descriptors()
    load = Load(target, options)
    try:
        error = trio.run(_run, load, options, not quiet)
    except KeyboardInterrupt:  # so early that nothing has begun
        click.echo("snowowl: interrupted", err=True)
        sys.exit(EXIT_INTERRUPTED)
    report = load.report()
    said = None if error is None else printable(str(error))
    if as_json:
        click.echo(json.dumps({"url": url, "error": said, **report.as_dict()}))
    elif quiet:
        for line in failure_lines(report):
            click.echo(f"snowowl: {line}", err=True)
    elif said is None and report.begun:
        click.echo(table(printable(url), report))
    if said is not None:
        click.echo(f"snowowl: {said}", err=True)
    if report.interrupted:
        click.echo("snowowl: interrupted", err=True)
    sys.exit(_exit_code(report, error))


def _exit_code(report: Report, error: ClientError | None) -> int:
    if report.interrupted:
        return EXIT_INTERRUPTED
    if error is not None:
        return exit_code(error)
    for failure in report.failures:
        return EXIT_WRONG if failure.error is None else exit_code(failure.error)
    return 0


def _target(url: str, *, upload: bool) -> Target:
    """Return what a URL names; the folder of uploads with a slash at its end, or empty."""
    import attrs

    from snowowl.client import parse_url
    from snowowl.wire.packets import Mode

    try:
        if not upload:
            return parse_url(url)
        target = parse_url(url + ("-" if url.endswith("/") else "/-"))
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if target.mode is not Mode.OCTET:
        raise click.UsageError("uploads are sent as octets: no other mode")
    return attrs.evolve(target, filename=target.filename[:-1])


def _expected(path: Path, target: Target) -> bytes:
    """Return the octets of a file, as they are on the wire; end the program if there are none."""
    from snowowl.wire import netascii
    from snowowl.wire.packets import Mode

    try:
        octets = path.read_bytes()
    except OSError as error:
        click.echo(
            f"snowowl: cannot read {click.format_filename(path)}: {error.strerror}", err=True
        )
        sys.exit(EXIT_CANNOT_READ)
    return netascii.encode(octets) if target.mode is Mode.NETASCII else octets


def _raise_descriptors() -> None:
    """Take as many descriptors as we may: the soft limit is for programs that use select()."""
    try:
        import resource
    except ImportError:  # Windows: pragma: no cover
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _run(load: Load, options: LoadOptions, shown: bool) -> ClientError | None:
    """Run a load, break it off at a Ctrl-C, show it on a terminal."""
    import trio

    from snowowl.client.errors import ClientError

    async def break_off(signals: AsyncIterator[int]) -> None:
        async for _ in signals:
            load.stop()

    async def show() -> None:
        with _display(load, options) as refresh:
            while True:
                refresh(trio.current_time())
                await trio.sleep(SHOW_SECONDS)

    error: ClientError | None = None
    with trio.open_signal_receiver(signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(break_off, signals)
            if shown and _is_terminal():
                nursery.start_soon(show)
            try:
                await load.run()
            except ClientError as failure:
                error = failure
            nursery.cancel_scope.cancel()
    return error


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


@contextmanager
def _display(load: Load, options: LoadOptions) -> Iterator[Callable[[float], None]]:
    """Give a function that shows how a load stands; what it shows is gone at the end."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    from snowowl.observe.words import size_text

    columns = (
        TextColumn("{task.description:14}"),
        BarColumn(),
        TextColumn("{task.fields[text]}", markup=False),
    )
    with Progress(
        *columns, console=Console(stderr=True), auto_refresh=False, transient=True
    ) as progress:
        bar = progress.add_task(load.stage, total=None, text="")
        before = (0.0, 0, 0)

        def refresh(now: float) -> None:
            nonlocal before
            done, octets = load.done, load.octets
            seconds = max(now - before[0], 1e-9)
            text = f"{done} done, {(done - before[1]) / seconds:.0f}/s"
            text += f", {size_text((octets - before[2]) / seconds)}/s"
            text += f", {load.failed} failed" if load.failed else ""
            before = (now, done, octets)
            total: float | None = options.seconds
            completed: float = load.seconds(now)
            if total is None:
                total, completed = options.transfers_max, done
            progress.update(
                bar, description=load.stage, total=total, completed=completed, text=text
            )
            progress.refresh()

        yield refresh
