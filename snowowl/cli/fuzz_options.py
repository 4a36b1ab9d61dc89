"""The options of `snowowl fuzz`, in groups, and what they mean to the library."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, TypeVar

import click

from snowowl.cli.bench_options import GroupedCommand
from snowowl.cli.numbers import FloatRange

_Command = TypeVar("_Command", bound=Callable[..., None])  # type: ignore[explicit-any]

ORACLES = (
    "crash",
    "hang",
    "leak",
    "paths",
    "amplification",
    "protocol",
    "bystander",
    "exhaustion",
)
"""As `snowowl.testing.fuzzing.finding.Oracle` has them, which is not imported for `--help`."""

_OF_SEARCH = ("seconds", "examples", "keep_going", "shrink", "out", "junit")

SECONDS = 60.0


class FuzzCommand(GroupedCommand):
    """Shows its options in groups."""

    groups: ClassVar[dict[str, tuple[str, ...]]] = {
        "Server": (
            "command",
            "pid",
            "read_name",
            "write_name",
            "secrets",
            "timeout",
            "wait",
            "yes",
        ),
        "Search": (
            "seconds",
            "examples",
            "seed",
            "only",
            "skip",
            "keep_going",
            "shrink",
            "rate",
            "replay",
        ),
        "Output": ("out", "as_json", "junit", "quiet", "verbose"),
    }


def fuzz_options(command: _Command) -> _Command:  # type: ignore[explicit-any]
    """Add all options."""
    for decorator in reversed((*_server(), *_search(), *_output())):
        command = decorator(command)
    return command


def _server() -> tuple[Callable[[_Command], _Command], ...]:  # type: ignore[explicit-any]
    return (
        click.option(
            "--command",
            metavar="COMMAND",
            help="Start the server, again after each crash; {port} in it is the port of URL.",
        ),
        click.option(
            "--pid",
            type=click.IntRange(1),
            metavar="N",
            help="The server's process, to be watched.",
        ),
        click.option(
            "--read",
            "read_name",
            metavar="NAME",
            help="A file that can be read; best one in a folder.  [default: ask for none]",
        ),
        click.option(
            "--write",
            "write_name",
            metavar="NAME",
            help="A file that may be overwritten.  [default: no upload gets beyond its request]",
        ),
        click.option(
            "--secret",
            "secrets",
            type=click.Path(path_type=Path),
            metavar="FILE",
            multiple=True,
            help="A file outside of the root, here and there; its octets must never come.",
        ),
        click.option(
            "--timeout",
            type=FloatRange(0.1, 600),
            metavar="S",
            default=2.0,
            help="A good request must be answered within it.  [default: 2]",
        ),
        click.option(
            "--wait",
            type=FloatRange(0, 3600),
            metavar="S",
            default=10.0,
            help="For the server to start, or to come back after a crash.  [default: 10]",
        ),
        click.option("--yes", is_flag=True, help="Do it, though URL is not this machine."),
    )


def _search() -> tuple[Callable[[_Command], _Command], ...]:  # type: ignore[explicit-any]
    oracle = click.Choice(ORACLES)
    return (
        click.option(
            "--seconds",
            type=FloatRange(0, min_open=True),
            metavar="S",
            help=f"How long to search.  [default: {SECONDS:.0f}, or no limit with --examples]",
        ),
        click.option(
            "--examples", type=click.IntRange(1), metavar="N", help="How many scripts to play."
        ),
        click.option(
            "--seed",
            type=click.IntRange(0, 2**63 - 1),
            metavar="N",
            help="The same seed plays the same scripts.  [default: another each time]",
        ),
        click.option("--only", type=oracle, multiple=True, metavar="ORACLE", help="Look for this."),
        click.option(
            "--skip", type=oracle, multiple=True, metavar="ORACLE", help="Do not look for this."
        ),
        click.option(
            "-k",
            "--keep-going",
            is_flag=True,
            help="Go on after a finding, for more of another kind.",
        ),
        click.option(
            "--shrink",
            type=FloatRange(0),
            metavar="S",
            default=15.0,
            help="How long to make each finding smaller, twice.  [default: 15]",
        ),
        click.option(
            "--rate",
            type=FloatRange(1),
            metavar="N",
            help="Send at most so many datagrams a second.  [default: no limit]",
        ),
        click.option(
            "--replay",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Play this script, and say whether it still shows what was found.",
        ),
    )


def _output() -> tuple[Callable[[_Command], _Command], ...]:  # type: ignore[explicit-any]
    return (
        click.option(
            "--out",
            type=click.Path(path_type=Path),
            metavar="DIR",
            default=Path("fuzz-findings"),
            help="Where scripts go, if anything is found.  [default: fuzz-findings]",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
        click.option(
            "--junit", type=click.Path(path_type=Path), metavar="FILE", help="Write JUnit XML."
        ),
        click.option("-q", "--quiet", is_flag=True, help="Print findings only."),
        click.option(
            "-v", "--verbose", count=True, help="Say what is done; twice: and each script."
        ),
    )


def chosen_oracles(only: tuple[str, ...], skip: tuple[str, ...]) -> frozenset[str]:
    """Return the oracles that are asked.  Raises `click.UsageError` if none is left."""
    chosen = frozenset(only or ORACLES) - frozenset(skip)
    if not chosen:
        raise click.UsageError("--only and --skip leave nothing to look for")
    return chosen


def refuse_with_replay() -> None:
    """Fail for an option that has nothing to do where a script is played again."""
    from click.core import ParameterSource

    context = click.get_current_context()
    for parameter in context.command.params:
        name = parameter.name or ""
        if name in _OF_SEARCH and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{parameter.opts[-1]} goes with a search, not with --replay")


def name_of(text: str | None, option: str) -> bytes | None:
    """Return the octets of a file's name.  Raises UsageError."""
    if text is None:
        return None
    name = os.fsencode(text)
    if not name or len(name) > 400:
        raise click.UsageError(f"{option}: a name has 1 to 400 octets")
    return name
