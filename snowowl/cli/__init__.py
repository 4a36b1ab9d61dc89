"""The command line: one module per command, imported when the command is used.

Results go to stdout, all else to stderr.  Exit codes are curl's for `get` and `put`, and those of
sysexits.h for `serve`, `config` and `doctor`, and Nagios' for `check`.
"""

from __future__ import annotations

import errno
import io
import sys
from difflib import get_close_matches
from importlib import import_module

import click

from snowowl import __version__

EXIT_INTERRUPTED = 130
"""What a shell reports for SIGINT."""

_COMMANDS = {
    "bench": "Load a TFTP server and check every octet.",
    "check": "Check that a TFTP server is well, for monitoring.",
    "completion": "Print what completes commands in a shell.",
    "config": "Check, write and show configuration files.",
    "conformance": "Try a TFTP server clause by clause.",
    "doctor": "Look for what keeps a server from working here.",
    "faults": "Test a TFTP client by a server that plays faults.",
    "fuzz": "Look for what breaks a TFTP server.",
    "get": "Fetch a file from a TFTP server.",
    "put": "Send a file to a TFTP server.",
    "serve": "Serve a folder by TFTP.",
}


def one_liners() -> dict[str, str]:
    """Return the commands, and what each is for."""
    return dict(_COMMANDS)


_INTERRUPTED = {"check": 3, "fuzz": 2}
"""Commands that say otherwise."""

EXIT_CANNOT_WRITE = 3
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _bear_any_text() -> None:
    """Let stdout escape what its encoding does not have, instead of ending the program."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


class _LazyGroup(click.Group):
    """Knows its commands by name only, so that help does not wait for imports."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"snowowl.cli.{cmd_name}"), cmd_name)
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; who interrupts it before it can say so itself has found nothing."""
        _bear_any_text()
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, EOFError, click.Abort):
            click.echo("snowowl: interrupted", err=True)
            ctx.exit(_INTERRUPTED.get(ctx.invoked_subcommand or "", EXIT_INTERRUPTED))
        except OSError as error:
            if error.errno not in _FULL or error.filename is not None:
                raise
            click.echo(f"snowowl: cannot write to stdout: {error.strerror}", err=True)
            ctx.exit(EXIT_CANNOT_WRITE)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or fail with the one that was meant."""
        if args[0] not in _COMMANDS and (near := get_close_matches(args[0], _COMMANDS, n=1)):
            ctx.fail(f"No such command '{args[0]}'. Did you mean '{near[0]}'?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(sorted(_COMMANDS.items()))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="snowowl")
def main() -> None:
    """TFTP for boards that boot: server, client, and tests for those of others.

    \b
    snowowl serve ./boot             serve a folder
    snowowl get tftp://HOST/FILE     fetch from a server
    snowowl put FILE tftp://HOST/    send to a server

    \b
    snowowl conformance tftp://HOST --read FILE    try a server, clause by clause
    snowowl fuzz tftp://127.0.0.1:6969             look for what breaks it
    snowowl faults ./boot                          try a boot loader by faults

    `snowowl COMMAND --help` tells more.
    """  # noqa: D301 - the escape is meant: click keeps the lines of a paragraph that begins with it
