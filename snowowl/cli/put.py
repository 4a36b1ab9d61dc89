"""`snowowl put`: send a file."""

from __future__ import annotations

import os
import sys
from typing import Final

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

EXIT_UNCONFIRMED: Final = 28
"""As curl 7.88 ends where no ACK of the last block comes, be it from a silent port or a closed one.

Rule R14, by which a peer that is gone at the end has the file, is about clients that read: they close
their port as soon as they have all.  A server that keeps to RFC 1123 4.2.3.1 stays to repeat its ACK;
and one that has stored nothing must not pass for one that has, to a script that looks at the status.
"""


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

    A URL that ends in a slash takes the name of FILE. If all was sent and only the last
    acknowledgement does not come, the exit status is 28.
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
    if not sent.confirmed:
        click.echo(
            "snowowl: all octets were sent, the last acknowledgement did not come: "
            "the server may or may not have the file",
            err=True,
        )
        sys.exit(EXIT_UNCONFIRMED)
    report(name, sent.size, sent.seconds, sent.granted, sent.retransmitted, quiet=quiet)
