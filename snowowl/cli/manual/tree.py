"""The commands as plain values: what the pages and the completions are made from."""

from __future__ import annotations

import inspect
from importlib import import_module

import attrs
import click

from snowowl.cli import main, one_liners

HELP = ("-h", "--help")


@attrs.frozen(kw_only=True)
class Parameter:
    """An option, or an argument (without names)."""

    names: tuple[str, ...] = ()
    """`-q`, `--quiet`, `--no-quiet`."""
    placeholder: str = ""
    """What stands for its value; empty for a switch."""
    help: str = ""
    choices: tuple[str, ...] = ()
    completes: str = ""
    """`file`, `dir`, or nothing that a shell knows."""
    required: bool = False
    repeated: bool = False


@attrs.frozen(kw_only=True)
class Command:
    """A command, or a group of them."""

    words: tuple[str, ...]
    """`("snowowl", "config", "check")`."""
    summary: str
    help: str
    epilog: str
    options: tuple[Parameter, ...]
    arguments: tuple[Parameter, ...]
    commands: tuple[Command, ...] = ()

    @property
    def name(self) -> str:
        """The last word."""
        return self.words[-1]


def program() -> Command:
    """Return the whole program."""
    summaries = one_liners()
    subcommands = []
    for name, summary in sorted(summaries.items()):
        found: click.Command = getattr(import_module(f"snowowl.cli.{name}"), name)
        subcommands.append(_command(("snowowl", name), found, summary))
    return attrs.evolve(
        _command(("snowowl",), main, "a TFTP and netboot server, its client, and tests"),
        commands=tuple(subcommands),
    )


def _command(words: tuple[str, ...], found: click.Command, summary: str) -> Command:
    subcommands: tuple[Command, ...] = ()
    # The top knows its commands by name only, and program() adds them.
    if isinstance(found, click.Group) and len(words) > 1:
        subcommands = tuple(
            _command((*words, name), inner, _first_sentence(inner.help or ""))
            for name, inner in sorted(found.commands.items())
        )
    options = [_parameter(p) for p in found.params if isinstance(p, click.Option) and not p.hidden]
    arguments = [_parameter(p) for p in found.params if isinstance(p, click.Argument)]
    if not any("--help" in option.names for option in options):
        options.append(Parameter(names=HELP, help="Show help, and exit."))
    return Command(
        words=words,
        summary=summary,
        help=inspect.cleandoc(found.help or ""),
        epilog=inspect.cleandoc(found.epilog or ""),
        options=tuple(options),
        arguments=tuple(arguments),
        commands=subcommands,
    )


def _first_sentence(text: str) -> str:
    return text.split("\n\n", maxsplit=1)[0].replace("\n", " ").strip()


def _parameter(parameter: click.Parameter) -> Parameter:
    choices: tuple[str, ...] = ()
    if isinstance(parameter.type, click.Choice):
        choices = tuple(map(str, parameter.type.choices))
    if isinstance(parameter, click.Option):
        names = (*parameter.opts, *parameter.secondary_opts)
        takes = not parameter.is_flag and not parameter.count
        # A name only, if the value may be left out.
        placeholder = (parameter.metavar or "|".join(choices) or "VALUE") if takes else ""
        text = _help(parameter)
    else:
        names, text = (), ""
        placeholder = (parameter.metavar or (parameter.name or "").upper()).strip("[]")
    return Parameter(
        names=names,
        placeholder=placeholder,
        help=text,
        choices=choices,
        completes=_completes(parameter, placeholder),
        required=parameter.required,
        repeated=parameter.multiple if isinstance(parameter, click.Option) else False,
    )


def _help(option: click.Option) -> str:
    """Return the words that click would show, with the default and the variable where it would."""
    extra = []
    if option.show_default is True and not option.is_flag:
        extra.append(f"default: {option.default}")
    if option.show_envvar and isinstance(option.envvar, str):
        extra.append(f"env var: {option.envvar}")
    words = " ".join((option.help or "").split())
    return "  ".join([words, *(f"[{part}]" for part in extra)])


def _completes(parameter: click.Parameter, placeholder: str) -> str:
    if "DIR" in placeholder:
        return "dir"
    return "file" if isinstance(parameter.type, click.Path) or "FILE" in placeholder else ""
