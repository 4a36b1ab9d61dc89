"""`snowowl check`: one fetch as a health check, in the words of monitoring plugins.

One line on stdout, and one of four exit statuses: whatever goes wrong here must not look like a
verdict on the server.  Nothing is ever written to a file.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from snowowl.cli.numbers import FloatRange

if TYPE_CHECKING:
    from snowowl.cli.check_verdict import Expectations, Verdict
    from snowowl.client import ClientOptions, Target

OK, WARNING, CRITICAL, UNKNOWN = range(4)
"""The exit statuses of Nagios' plugins, which Icinga, Sensu and others share."""

SECONDS_MAX = 86_400.0
OCTETS_MAX = (1 << 63) - 1
RETRIES = 1000  # it is the time that ends a check


class _WrongUse(click.UsageError):
    """Wrong use, which is UNKNOWN: 2, as is usual, would say that the server is down."""

    exit_code = UNKNOWN


class _Check(click.Command):
    """A command that is never wrongly used with status 2."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: object,
    ) -> click.Context:
        """Read the arguments."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            raise _WrongUse(error.format_message(), error.ctx) from error

    def invoke(self, ctx: click.Context) -> object:
        """Run the check."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            raise _WrongUse(error.format_message(), ctx) from error


@click.command(cls=_Check)
@click.argument("url")
@click.option(
    "-t",
    "--timeout",
    type=FloatRange(min=0, min_open=True, max=SECONDS_MAX),
    metavar="SECONDS",
    default=5.0,
    show_default=True,
    help="CRITICAL if it is not done by then, name lookup and all.",
)
@click.option(
    "-w",
    "--warning",
    type=FloatRange(min=0, max=SECONDS_MAX),
    metavar="SECONDS",
    help="WARNING if it takes longer.",
)
@click.option(
    "-c",
    "--critical",
    type=FloatRange(min=0, max=SECONDS_MAX),
    metavar="SECONDS",
    help="CRITICAL if it takes longer.",
)
@click.option(
    "--size",
    type=click.IntRange(0, OCTETS_MAX),
    metavar="OCTETS",
    help="CRITICAL if the file has another size.",
)
@click.option("--sha256", metavar="HEX", help="CRITICAL if the file has another SHA-256.")
@click.option(
    "--expect-missing",
    is_flag=True,
    help="OK if the server answers that there is no such file: it is alive.",
)
@click.option(
    "--max-octets",
    type=click.IntRange(1, OCTETS_MAX),
    metavar="OCTETS",
    help="Break off after so much of a large file; that is OK.",
)
@click.option("--no-options", is_flag=True, help="Send no options: plain RFC 1350.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing: the exit status tells.")
def check(
    url: str,
    timeout: float,
    warning: float | None,
    critical: float | None,
    size: int | None,
    sha256: str | None,
    max_octets: int | None,
    *,
    expect_missing: bool,
    no_options: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Fetch tftp://HOST[:PORT]/FILE, keep nothing, and say whether all is well.

    \b
    snowowl check tftp://192.0.2.1/pxelinux.0
    snowowl check -w 0.5 -c 2 --max-octets 1000000 tftp://192.0.2.1/initrd.img

    Prints one line with performance data for Nagios, Icinga and their like.

    Exit status: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN (the check could not be made, wrong use
    included).
    """  # noqa: D301 - the escape is meant: click keeps the lines of a paragraph that begins with it
    from snowowl.cli.check_verdict import Expectations, line, unknown
    from snowowl.client import ClientOptions, parse_url

    try:
        target = parse_url(url)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if sha256 is not None and (len(sha256) != 64 or set(sha256.lower()) - set("0123456789abcdef")):
        raise click.UsageError("--sha256 takes 64 hexadecimal digits")
    if max_octets is not None and sha256 is not None:
        raise click.UsageError("--sha256 needs the whole file: leave --max-octets out")
    if expect_missing and (size, sha256, max_octets) != (None, None, None):
        raise click.UsageError("--expect-missing goes with no expectation of a file")
    expected = Expectations(
        timeout=timeout,
        warning=warning,
        critical=critical,
        size=size,
        sha256=None if sha256 is None else sha256.lower(),
        missing=expect_missing,
        octets_max=max_octets,
    )
    options = ClientOptions.none(retries=RETRIES) if no_options else ClientOptions(retries=RETRIES)
    try:
        verdict = _look(target, options, expected)
    except Exception as error:  # noqa: BLE001 - Python's own status, 1, would say WARNING
        verdict = unknown(f"{type(error).__name__}: {error}", "report this as a bug")
    if as_json and not quiet:
        click.echo(json.dumps({"url": url, **verdict.document()}))
    elif not quiet:
        click.echo(line(verdict, target.filename, expected))
    sys.exit(verdict.status)


def _look(target: Target, options: ClientOptions, expected: Expectations) -> Verdict:
    """Fetch, and judge."""
    import trio

    from snowowl.cli.check_verdict import failed, late, succeeded
    from snowowl.client import ClientError
    from snowowl.client.probe import Probe, fetch

    probe = Probe()

    async def run() -> Verdict:
        with trio.move_on_after(expected.timeout):
            try:
                await fetch(target, probe, options=options, octets_max=expected.octets_max)
            except ClientError as error:
                return failed(error, target.server, probe, expected)
            return succeeded(probe, expected)
        return late(target.server, probe, expected)

    return trio.run(run)
