"""What `get` and `put` share: options, exit codes, the progress bar, the last line."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn, TypeVar

import click

from snowowl.cli import EXIT_INTERRUPTED

if TYPE_CHECKING:
    from snowowl.client import ClientError, ClientOptions, Progress
    from snowowl.wire.packets import Options

_Command = TypeVar("_Command", bound=Callable[..., None])  # type: ignore[explicit-any]
_Result = TypeVar("_Result")

_BY_REASON = {
    "RESOLVE": 6,
    "CONNECT": 7,
    "LOCAL_WRITE": 23,
    "LOCAL_READ": 26,
    "TIMEOUT": 28,
    "PROTOCOL": 71,
}
_BY_CODE = {1: 68, 2: 69, 3: 70, 4: 71, 5: 72, 6: 73, 7: 74}
"""curl's exit codes, which scripts know."""

EXIT_CODES_HELP = """\b
Exit status, as curl's:
   0 done                28 timeout              72 unknown transfer ID
   1 another error       68 file not found       73 file exists
   2 usage               69 access violation     74 no such user
   6 cannot resolve      70 disk full            130 interrupted
   7 port closed         71 illegal operation
  23 cannot write here   26 cannot read here
"""

REFRESH_SECONDS = 0.1


def transfer_options(command: _Command) -> _Command:  # type: ignore[explicit-any]
    """Add the options that `get` and `put` share."""
    decorators = [
        click.option(
            "-b",
            "--blksize",
            type=click.IntRange(8, 65464),
            metavar="N",
            default=1468,
            show_default=True,
            help="Octets in a block to ask for.",
        ),
        click.option(
            "-w",
            "--windowsize",
            type=click.IntRange(1, 65535),
            metavar="N",
            default=16,
            show_default=True,
            help="Blocks in a window to ask for.",
        ),
        click.option(
            "-t",
            "--timeout",
            type=click.IntRange(1, 255),
            metavar="N",
            help="Seconds until either side sends again.  [default: by the round trip]",
        ),
        click.option(
            "--retries",
            type=click.IntRange(0, 1_000_000),
            metavar="N",
            default=5,
            show_default=True,
            help="Times to send a packet again before giving up.",
        ),
        click.option("--no-options", is_flag=True, help="Send no options: plain RFC 1350."),
        click.option("-q", "--quiet", is_flag=True, help="Show errors only."),
    ]
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


def client_options(
    blksize: int, windowsize: int, timeout: int | None, retries: int, *, no_options: bool
) -> ClientOptions:
    """Make the client's options from the command's."""
    from snowowl.client import ClientOptions

    if no_options:
        return ClientOptions.none(timeout=timeout, retries=retries)
    return ClientOptions(blksize=blksize, windowsize=windowsize, timeout=timeout, retries=retries)


def run_transfer(transfer: Callable[[], Awaitable[_Result]]) -> _Result:
    """Run a client's transfer; end the program with curl's exit code if it fails."""
    import trio

    from snowowl.client import ClientError
    from snowowl.observe.words import printable

    try:
        return trio.run(transfer)
    except ClientError as error:
        click.echo(f"snowowl: {printable(str(error))}", err=True)
        sys.exit(exit_code(error))
    except KeyboardInterrupt:
        click.echo("snowowl: interrupted", err=True)
        sys.exit(EXIT_INTERRUPTED)


def stdin() -> int:
    """Return the descriptor of standard input; end the program if it was started without."""
    if sys.stdin is None:
        _closed("input", _BY_REASON["LOCAL_READ"])
    return sys.stdin.fileno()


def stdout() -> int:
    """Return the descriptor of standard output; end the program if it was started without."""
    if sys.stdout is None:
        _closed("output", _BY_REASON["LOCAL_WRITE"])
    return sys.stdout.fileno()


def _closed(which: str, code: int) -> NoReturn:
    click.echo(f"snowowl: standard {which} is closed", err=True)
    sys.exit(code)


def exit_code(error: ClientError) -> int:
    """Return curl's exit code for a failure."""
    if error.reason.name == "SERVER":
        return _BY_CODE.get(error.code or 0, 1)
    return _BY_REASON.get(error.reason.name, 1)


def report(
    name: str, size: int, seconds: float, granted: Options, retransmitted: int, *, quiet: bool
) -> None:
    """Say on stderr what was transferred, and how fast."""
    from snowowl.observe.describe import options_text
    from snowowl.observe.words import printable, rate_text, size_text

    if quiet:
        return
    parts = [f"{size_text(size)} in {seconds:.2f} s ({rate_text(size, seconds)})"]
    parts += [options_text(granted) or "no options"]
    parts += [f"{retransmitted} sent again"] if retransmitted else []
    click.echo(f"{printable(name)}: {', '.join(parts)}", err=True)


@contextmanager
def progress_bar(name: str, *, quiet: bool) -> Iterator[Progress | None]:
    """Give a callback that moves a bar on a terminal; a pulsing one while the total is unknown."""
    if quiet or sys.stderr is None or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield None
        return
    import time

    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    from snowowl.observe.words import printable, size_text

    class Rate(ProgressColumn):
        """In the units of the other columns, which rich's own does not have."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{size_text(speed)}/s")

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        Rate(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, auto_refresh=False, transient=True) as bar:
        task = bar.add_task(printable(name), total=None)
        shown = 0.0

        def update(octets: int, total: int | None) -> None:
            nonlocal shown
            now = time.monotonic()
            if now - shown >= REFRESH_SECONDS:
                shown = now
                bar.update(task, completed=octets, total=total)
                bar.refresh()

        yield update
