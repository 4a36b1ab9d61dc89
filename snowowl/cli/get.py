"""`snowowl get`: fetch a file."""

from __future__ import annotations

import os

import click

from snowowl.cli.transfer import (
    EXIT_CODES_HELP,
    client_options,
    progress_bar,
    report,
    run_transfer,
    stdout,
    transfer_options,
)


@click.command(epilog=EXIT_CODES_HELP)
@click.argument("url")
@click.option(
    "-o",
    "--output",
    metavar="FILE|-",
    help="Where to put it; - is stdout.  [default: the last part of the name, here]",
)
@transfer_options
def get(
    url: str,
    output: str | None,
    blksize: int,
    windowsize: int,
    timeout: int | None,
    retries: int,
    *,
    no_options: bool,
    quiet: bool,
) -> None:
    """Fetch tftp://HOST[:PORT]/FILE[;mode=netascii].

    FILE appears when it is whole, and not before.
    """
    from snowowl.client import Received, parse_url
    from snowowl.client import get as fetch

    try:
        target = parse_url(url)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    to: str | int = output or ""
    if output == "-":
        to = stdout()
    elif output is None:
        to = os.fsdecode(target.filename.rpartition(b"/")[2])
        if to in ("", ".", ".."):
            raise click.UsageError("the name ends in no file name: say where to put it with -o")
    options = client_options(blksize, windowsize, timeout, retries, no_options=no_options)
    name = "-" if isinstance(to, int) else click.format_filename(to)

    async def transfer() -> Received:
        with progress_bar(name, quiet=quiet) as progress:
            return await fetch(target, to, options=options, progress=progress)

    received = run_transfer(transfer)
    report(
        name,
        received.size,
        received.seconds,
        received.granted,
        received.retransmitted,
        quiet=quiet or isinstance(to, int),
    )
