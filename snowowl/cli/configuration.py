"""Where the configuration of a server comes from, and how its problems are told.

`serve`, `doctor` and `config` share this, so that they agree.  Nothing but click may be imported at
the top: `--help` has to be quick.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from snowowl.config import Change, Config, Problem

EX_CONFIG = 78  # sysexits.h; units say RestartPreventExitStatus=2 78

config_option = click.option(
    "-c",
    "--config",
    "file",
    type=click.Path(),
    envvar="SNOWOWL_CONFIG",
    show_envvar=True,
    metavar="FILE",
    help="Read this configuration file; flags and environment go before it.",
)
"""Of the commands that go by the configuration of a server."""


def configure(file: str | None, changes: Sequence[Change]) -> Config:
    """Return the configuration: flags before environment before file.  Raises ConfigError."""
    from snowowl.config import Config, from_environment, load_config, override

    config = load_config(file) if file else Config()
    return override(config, [*from_environment(os.environ), *changes])


def port_range_change(text: str) -> Change:
    """Return what `--port-range` changes."""
    from snowowl.config import Change, parse_port_range

    try:
        return Change("server.port_range", parse_port_range(text), "--port-range")
    except ValueError as error:
        return Change("server.port_range", None, "--port-range", str(error))


def problem_entries(problems: Sequence[Problem]) -> list[dict[str, object]]:
    """Return problems for JSON."""
    return [
        {"file": p.file, "line": p.line or None, "key": p.key_path, "message": p.message}
        for p in problems
    ]


def warnings_of(config: Config) -> Iterator[str]:
    """Yield what was set and has no effect: keys, and variables of the environment."""
    from snowowl.config import unknown_variables

    yield from unknown_variables(os.environ)
    yield from config.warnings()
