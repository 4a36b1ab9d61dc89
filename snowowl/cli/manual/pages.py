"""The man pages of the commands: snowowl(1) for all, snowowl-COMMAND(1) for each."""

from __future__ import annotations

from collections.abc import Iterator

from snowowl import __version__
from snowowl.cli.manual import roff
from snowowl.cli.manual.tree import Command, Parameter
from snowowl.config import CONFIG_VARIABLE, VARIABLES

SOURCE = f"snowowl {__version__}"
MANUAL = "snowowl manual"
CONFIGURED = frozenset({"serve", "doctor", "config"})
"""Commands that read the configuration of a server."""


def command_pages(program: Command) -> dict[str, str]:
    """Return the text of each page by its file's name."""
    pages = {"snowowl.1": _overview(program)}
    for command in program.commands:
        pages[f"snowowl-{command.name}.1"] = _page(command)
    return pages


def _overview(program: Command) -> str:
    def lines() -> Iterator[str]:
        yield roff.title("SNOWOWL", 1, SOURCE, MANUAL)
        yield from (".SH NAME", f"snowowl \\- {roff.escape(program.summary)}")
        yield from (".SH SYNOPSIS", f"{roff.bold('snowowl')} {roff.italic('COMMAND')} ...")
        yield ".SH DESCRIPTION"
        yield from roff.paragraphs(program.help)
        yield ".SH COMMANDS"
        for command in program.commands:
            yield from roff.item(
                f"\\fBsnowowl\\-{roff.escape(command.name)}\\fR(1)", command.summary
            )
        yield ".SH OPTIONS"
        yield from _options(program)
        yield from _environment()
        yield ".SH EXIT STATUS"
        yield from roff.paragraphs(
            "Each command says its own on its page: those of curl for get and put, of monitoring"
            " plugins for check, of sysexits.h for serve, config and doctor."
        )
        others = [
            f"\\fBsnowowl\\-{roff.escape(command.name)}\\fR(1)" for command in program.commands
        ]
        yield from (".SH SEE ALSO", ",\n".join([*others, "\\fBsnowowl.toml\\fR(5)"]))

    return _text(lines())


def _page(command: Command) -> str:
    def lines() -> Iterator[str]:
        name = "-".join(command.words)
        yield roff.title(name.upper(), 1, SOURCE, MANUAL)
        yield from (".SH NAME", f"{roff.escape(name)} \\- {roff.escape(_lowered(command.summary))}")
        yield ".SH SYNOPSIS"
        for each in command.commands or (command,):
            yield from _synopsis(each)
        yield ".SH DESCRIPTION"
        yield from roff.paragraphs(command.help)
        for each in command.commands:
            yield f".SS {roff.quoted(' '.join(each.words))}"
            yield from roff.paragraphs(each.help)
            yield from _options(each)
        if not command.commands:
            yield ".SH OPTIONS"
            yield from _options(command)
        if command.epilog:
            yield ".SH NOTES"
            yield from roff.paragraphs(command.epilog)
        if command.name in CONFIGURED:
            yield from _environment()
        yield from (".SH SEE ALSO", "\\fBsnowowl\\fR(1),\n\\fBsnowowl.toml\\fR(5)")

    return _text(lines())


def _text(lines: Iterator[str]) -> str:
    written = '.\\" Written by python -m snowowl.cli.manual: change the commands, not this.'
    return roff.page([written, *lines])


def _lowered(summary: str) -> str:
    return summary[:1].lower() + summary[1:].rstrip(".")


def _synopsis(command: Command) -> Iterator[str]:
    yield f".HP\n{roff.bold(' '.join(command.words))}"
    if command.options:
        yield f"[{roff.italic('OPTION')}]..."
    for argument in command.arguments:
        shown = roff.italic(argument.placeholder)
        yield shown if argument.required else f"[{shown}]"


def _options(command: Command) -> Iterator[str]:
    for option in command.options:
        text = option.help
        if option.repeated and "repeated" not in text:
            text += " May be repeated."
        yield from roff.item(_tag(option), text)


def _tag(option: Parameter) -> str:
    names = ", ".join(map(roff.bold, option.names))
    return f"{names} {roff.italic(option.placeholder)}" if option.placeholder else names


def _environment() -> Iterator[str]:
    yield ".SH ENVIRONMENT"
    yield from roff.paragraphs(
        "Each of these goes before the configuration file, and a flag goes before each of these."
    )
    yield from roff.item(roff.bold(CONFIG_VARIABLE), "Names the configuration file.")
    for variable in VARIABLES:
        yield from roff.item(
            roff.bold(variable.name), f"Sets {variable.key_path}, see snowowl.toml(5)."
        )
    yield from roff.item(roff.bold("NO_COLOR"), "If it is set, nothing is coloured.")
