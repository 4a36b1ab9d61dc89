"""`snowowl doctor`: what keeps a server from working here, and what to do about it.

Nothing but click may be imported at the top: `--help` has to be quick.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from snowowl.cli.configuration import (
    EX_CONFIG,
    config_option,
    configure,
    port_range_change,
    problem_entries,
    warnings_of,
)

if TYPE_CHECKING:
    from snowowl.cli.doctor_checks.finding import Finding
    from snowowl.config import Config


@click.command()
@click.argument("root", metavar="[DIR]", required=False, type=click.Path())
@click.option(
    "-a",
    "--listen",
    "--address",
    "listen",
    multiple=True,
    metavar="ADDR:PORT",
    help="The address to listen on; may be repeated.  [default: *:69]  [env var: SNOWOWL_LISTEN]",
)
@config_option
@click.option(
    "--writable/--read-only", default=None, help="Look at uploads.  [env var: SNOWOWL_WRITABLE]"
)
@click.option(
    "--single-port",
    is_flag=True,
    help="Answers come from the listening port.  [env var: SNOWOWL_TID]",
)
@click.option(
    "-R",
    "--port-range",
    metavar="A:B",
    help="The ports of transfers.  [env var: SNOWOWL_PORT_RANGE]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def doctor(
    root: str | None,
    listen: tuple[str, ...],
    file: str | None,
    port_range: str | None,
    *,
    writable: bool | None,
    single_port: bool,
    as_json: bool,
) -> None:
    """Look for what keeps `snowowl serve` from working here, by the same words.

    \b
    snowowl doctor /srv/tftp
    sudo snowowl doctor --config /etc/snowowl.toml

    Run it as whoever starts the server. It looks at ports, users, files, the network and the
    kernel, fetches files from a server of its own through each address, and leaves nothing behind.
    A server that runs already is not disturbed.

    Exit status: 0 nothing fails, 1 something does, 2 usage, 78 bad configuration.
    """  # noqa: D301 - the escape is meant: click keeps the lines of a paragraph that begins with it
    from snowowl.config import Change, ConfigError

    given: list[tuple[str, object, str]] = [
        ("server.root", root, "DIR"),
        ("server.listen", list(listen) or None, "--listen"),
        ("server.tid", "listen" if single_port else None, "--single-port"),
        ("write.enabled", writable, "--writable"),
    ]
    changes = [Change(key, value, flag) for key, value, flag in given if value is not None]
    if port_range is not None:
        changes.append(port_range_change(port_range))
    try:
        config = configure(file, changes)
    except ConfigError as error:
        if as_json:
            document = {"ok": False, "problems": problem_entries(error.problems), "findings": []}
            click.echo(json.dumps(document, indent=2))
        else:
            click.echo(error, err=True)
        sys.exit(EX_CONFIG)
    sys.exit(_examine(config, file, as_json=as_json))


def _examine(config: Config, file: str | None, *, as_json: bool) -> int:
    """Run the checks, tell, and return the exit status."""
    from snowowl.cli.doctor_checks.catalog import examine
    from snowowl.cli.doctor_checks.finding import Level, Subject

    subject = Subject(config=config, file=file, warnings=tuple(warnings_of(config)))
    found: list[Finding] = []
    if as_json:
        found = list(examine(subject))
        failed = any(finding.level is Level.FAIL for finding in found)
        document = {
            "ok": not failed,
            "problems": [],
            "findings": [finding.document() for finding in found],
        }
        click.echo(json.dumps(document, indent=2))
        return 1 if failed else 0
    from snowowl.cli.doctor_table import show

    found = show(examine(subject))
    return 1 if any(finding.level is Level.FAIL for finding in found) else 0
