"""The command line: one module per command, imported when the command is used.

Results go to stdout, all else to stderr.  Exit codes are curl's for `get` and `put`, and those of
sysexits.h for `serve` and `config`.
"""

from __future__ import annotations

from importlib import import_module

import click

from snowowl import __version__

_COMMANDS = {
    "config": "Check, write and show configuration files.",
    "get": "Fetch a file from a TFTP server.",
    "put": "Send a file to a TFTP server.",
    "serve": "Serve a folder by TFTP.",
}


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

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(sorted(_COMMANDS.items()))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="snowowl")
def main() -> None:
    """TFTP for boards that boot: server and client.

    `snowowl serve ./boot` serves a folder; `snowowl get tftp://HOST/FILE` fetches from one.
    `snowowl COMMAND --help` tells more.
    """
