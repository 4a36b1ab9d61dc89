"""The options of `snowowl bench`, in groups: there are too many for one list."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, TypeVar

import click

from snowowl.cli.numbers import FloatRange

_Command = TypeVar("_Command", bound=Callable[..., None])  # type: ignore[explicit-any]

STORM_CLIENTS = 64
STORM_SECONDS = 5.0
UPLOAD_SIZE = 1 << 20

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}

GROUPS = {
    "Load": ("clients", "transfers", "duration", "storm", "loss", "loss_seed", "sockets", "rung"),
    "Content": ("expect", "upload", "size", "upload_name", "no_verify"),
    "Requests": ("blksize", "windowsize", "timeout", "tsize", "no_options", "retries"),
    "Output": ("as_json", "quiet"),
}


class GroupedCommand(click.Command):
    """Shows its options in groups: titles, and the names of the options in each, the last for the rest."""

    groups: ClassVar[dict[str, tuple[str, ...]]] = GROUPS

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section for each group; what is in none, as `--help`, comes at the end."""
        records = {
            param.name: record
            for param in self.get_params(ctx)
            if isinstance(param, click.Option) and (record := param.get_help_record(ctx))
        }
        groups = {
            title: [records.pop(name) for name in names if name in records]
            for title, names in self.groups.items()
        }
        last = list(groups)[-1]
        for title, found in groups.items():
            with formatter.section(title):
                formatter.write_dl([*found, *records.values()] if title == last else found)


def octets(text: str) -> int:
    """Return a size, with k, M and G for powers of 1024."""
    short = text.lower().removesuffix("ib").removesuffix("b")
    digits = short.rstrip("kmg")
    if not (digits.isascii() and digits.isdigit()) or short[len(digits) :] not in _UNITS:
        raise click.BadParameter(f"{text!r} is no size: say 1000, 64k, 8M or 1G")
    return int(digits) * _UNITS[short[len(digits) :]]


def load_options(command: _Command) -> _Command:  # type: ignore[explicit-any]
    """Add what makes a load."""
    for decorator in reversed((*_load(), *_content(), *_rest())):
        command = decorator(command)
    return command


def _load() -> tuple[Callable[[_Command], _Command], ...]:  # type: ignore[explicit-any]
    return (
        click.option(
            "-c",
            "--clients",
            type=click.IntRange(1, 20_000),
            metavar="N",
            help="Transfers at the same time, each with a port of its own.  [default: 1]",
        ),
        click.option(
            "-n",
            "--transfers",
            type=click.IntRange(1),
            metavar="N",
            help="Transfers in all: clients ask again.  [default: one each]",
        ),
        click.option(
            "-d",
            "--duration",
            type=FloatRange(0, min_open=True),
            metavar="S",
            help="Ask again for so many seconds, then break off.",
        ),
        click.option(
            "--storm",
            is_flag=True,
            help=f"Power is back: -c {STORM_CLIENTS} -d {STORM_SECONDS:.0f}, unless given.",
        ),
        click.option(
            "--loss",
            type=FloatRange(0, 100, max_open=True),
            metavar="PERCENT",
            default=0.0,
            help="Lose that share of DATA and ACK, each way.",
        ),
        click.option(
            "--loss-seed",
            type=int,
            metavar="N",
            default=0,
            help="Another one loses others.  [default: 0]",
        ),
        click.option(
            "--sockets",
            type=click.IntRange(1, 65_536),
            metavar="N",
            help="Ports to take in turn.  [default: one a client, four if it asks again]",
        ),
        click.option(
            "--rung",
            type=click.Choice(["auto", "gso", "mmsg", "portable"]),
            metavar="RUNG",
            default="auto",
            help="Way to the kernel: auto, gso, mmsg, portable.  [default: auto]",
        ),
    )


def _content() -> tuple[Callable[[_Command], _Command], ...]:  # type: ignore[explicit-any]
    return (
        click.option(
            "--expect",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="The octets that must come.  [default: those of a first transfer]",
        ),
        click.option("--upload", is_flag=True, help="Send to the folder URL, and read back."),
        click.option(
            "--size", type=octets, metavar="N", help="Of an upload: 1000, 64k, 8M.  [default: 1M]"
        ),
        click.option(
            "--upload-name",
            metavar="TEMPLATE",
            default="bench-{client}-{n}",
            help="Names of uploads.  [default: bench-{client}-{n}]",
        ),
        click.option("--no-verify", is_flag=True, help="Do not read back what was uploaded."),
    )


def _rest() -> tuple[Callable[[_Command], _Command], ...]:  # type: ignore[explicit-any]
    return (
        click.option("--tsize/--no-tsize", default=True, help="Ask for the size.  [default: yes]"),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
    )
