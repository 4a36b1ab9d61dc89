"""`snowowl completion`: what completes commands, options and files in a shell."""

from __future__ import annotations

import click


@click.command()
@click.argument("shell", type=click.Choice(["bash", "fish", "zsh"]))
def completion(shell: str) -> None:
    """Print what completes commands, options and files in a SHELL.

    \b
    eval "$(snowowl completion bash)"         in ~/.bashrc
    eval "$(snowowl completion zsh)"          in ~/.zshrc, after compinit
    snowowl completion fish | source          in ~/.config/fish/config.fish

    An installation under /usr or /usr/local has it in place already.
    """  # noqa: D301 - the escape is meant: click keeps the lines of a paragraph that begins with it
    from snowowl.cli.manual.shells import SHELLS
    from snowowl.cli.manual.tree import program

    click.echo(SHELLS[shell](program()), nl=False)
