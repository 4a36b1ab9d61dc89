"""`snowowl get`: fetch a file."""

from __future__ import annotations

import sys

import click

from snowowl.cli.transfer import (
    EXIT_CODES_HELP,
    client_options,
    progress_bar,
    report,
    run_transfer,
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
    if output is None:
        output = target.filename.rpartition(b"/")[2].decode(errors="surrogateescape")
        if output in ("", ".", ".."):
            raise click.UsageError("the name ends in no file name: say where to put it with -o")
    options = client_options(blksize, windowsize, timeout, retries, no_options=no_options)
    to = sys.stdout.fileno() if output == "-" else output
    name = click.format_filename(output)

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
        quiet=quiet or output == "-",
    )
