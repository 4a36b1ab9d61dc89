"""`snowowl put`: send a file."""

from __future__ import annotations

import os

import click

from snowowl.cli.transfer import (
    EXIT_CODES_HELP,
    client_options,
    progress_bar,
    report,
    run_transfer,
    stdin,
    transfer_options,
)


@click.command(epilog=EXIT_CODES_HELP)
@click.argument("file", metavar="FILE|-")
@click.argument("url")
@transfer_options
def put(
    file: str,
    url: str,
    blksize: int,
    windowsize: int,
    timeout: int | None,
    retries: int,
    *,
    no_options: bool,
    quiet: bool,
) -> None:
    """Send FILE (- is stdin) to tftp://HOST[:PORT]/NAME[;mode=netascii].

    A URL that ends in a slash takes the name of FILE.
    """
    import attrs

    from snowowl.client import Sent, parse_url
    from snowowl.client import put as send

    base = os.fsencode(os.path.basename(file))  # noqa: PTH119 - a name, not a path
    try:
        into_folder = url.endswith("/") and file != "-"
        target = parse_url(url + "-" if into_folder else url)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if into_folder:
        target = attrs.evolve(target, filename=target.filename[:-1] + base)
    source = stdin() if file == "-" else file
    options = client_options(blksize, windowsize, timeout, retries, no_options=no_options)
    name = click.format_filename(target.filename)

    async def transfer() -> Sent:
        with progress_bar(name, quiet=quiet) as progress:
            return await send(source, target, options=options, progress=progress)

    sent = run_transfer(transfer)
    report(name, sent.size, sent.seconds, sent.granted, sent.retransmitted, quiet=quiet)
    if not sent.confirmed:
        click.echo("snowowl: the last ACK did not come; the server most likely has all", err=True)
