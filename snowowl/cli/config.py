"""`snowowl config`: check, write and show configuration files.

Results on stdout, complaints on stderr.  Nothing but click may be imported at the top: `--help`
has to be quick.  What a configuration is, and what is wrong with one, is said in snowowl.config.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from snowowl.cli.configuration import EX_CONFIG, configure, problem_entries

if TYPE_CHECKING:
    from snowowl.config import ConfigError, Problem

EX_CANTCREAT = 73  # sysexits.h; curl's code for a file that exists already is the same

# snowowl.config.CONFIG_VARIABLE, which would have to be imported for --help.
_FILE_VARIABLE = "SNOWOWL_CONFIG"


@click.group()
def config() -> None:
    """Check, write and show configuration files."""


@config.command()
@click.argument("file", type=click.Path(), required=False, envvar=_FILE_VARIABLE)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def check(file: str | None, *, as_json: bool) -> None:
    """Name every mistake in FILE, with its line.

    Without FILE the environment variable SNOWOWL_CONFIG names it. Exits with 78 if the file cannot
    be used. Keys that have no effect are warnings, and no mistakes.
    """
    from snowowl.config import ConfigError, load_config
    from snowowl.config.words import printable

    if file is None:
        raise click.UsageError(f"name a FILE, or set {_FILE_VARIABLE}")
    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()
    try:
        warnings = load_config(file).warnings()
    except ConfigError as error:
        problems = error.problems
    if as_json:
        document = {
            "file": file,
            "ok": not problems,
            "problems": problem_entries(problems),
            "warnings": list(warnings),
        }
        click.echo(json.dumps(document, indent=2))
    else:
        for problem in problems:
            click.echo(str(problem), err=True)
        for warning in warnings:
            click.echo(f"{printable(file)}: warning: {warning}", err=True)
        if not problems:
            click.echo(f"{printable(file)}: ok")
    sys.exit(EX_CONFIG if problems else 0)


@config.command()
@click.argument("file", type=click.Path(), default="-")
@click.option("--force", is_flag=True, help="Overwrite FILE if it exists.")
def init(file: str, *, force: bool) -> None:
    """Write a commented file with every key and its default to FILE, or to standard output."""
    from snowowl.config import default_document

    document = default_document()
    if file == "-":
        click.echo(document, nl=False)
        return
    try:
        # "x" and not a look before: between the look and the writing the file could appear.
        with click.open_file(file, "w" if force else "x", encoding="utf-8") as stream:
            stream.write(document)
    except FileExistsError:
        _cannot_create(f"{file} exists already: name another file, or overwrite it with --force")
    except OSError as error:
        _cannot_create(f"{file} cannot be written: {error.strerror or error}")


def _cannot_create(message: str) -> NoReturn:
    from snowowl.config.words import printable

    click.echo(printable(message), err=True)
    sys.exit(EX_CANTCREAT)


@config.command()
@click.option(
    "--config",
    "-c",
    "file",
    type=click.Path(),
    envvar=_FILE_VARIABLE,
    show_envvar=True,
    help="The configuration file.",
)
def show(file: str | None) -> None:
    """Print the configuration that is in effect: defaults, FILE, and environment, as TOML."""
    from snowowl.config import ConfigError, dump_config

    try:
        effective = configure(file, ())
    except ConfigError as error:
        _refuse(error)
    for warning in effective.warnings():
        click.echo(f"warning: {warning}", err=True)
    click.echo(dump_config(effective), nl=False)


def _refuse(error: ConfigError) -> NoReturn:
    click.echo(str(error), err=True)
    sys.exit(EX_CONFIG)


@config.command()
def schema() -> None:
    """Print the JSON Schema of the configuration file, for editors."""
    from snowowl.config import json_schema

    click.echo(json.dumps(json_schema(), indent=2))
