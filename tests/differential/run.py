"""Compare snowowl with other TFTP servers: `python -m tests.differential.run --help`.

The table goes to stdout, everything else to stderr.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

import attrs
import click
import trio
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from snowowl.datagram.interface import Network
from snowowl.datagram.system import SystemNetwork
from tests.differential import differences, stage
from tests.differential.catalogue import ALL
from tests.differential.differences import Judgement, Listed
from tests.differential.play import Observed, play_all
from tests.differential.report import rows, summary
from tests.differential.steps import Case
from tests.peers.servers import Server
from tests.peers.workspace import UnusableError, default_folder

EXIT_DIFFERENT: Final = 1
EXIT_UNUSABLE: Final = 3
EXIT_INTERRUPTED: Final = 130

AGAIN: Final = 2
"""How often what is not as it should be is played again before it is believed."""

AGAIN_MAX: Final = 40
"""Cases that are played again by themselves; if more of them differ it is no chance."""

_HELP = """\b
Exit codes: 0 each difference is listed and explained, 1 one is not, or one that is listed is gone,
2 wrong usage, 3 nothing could be compared.
"""


@attrs.frozen
class Run:
    """What came of a run."""

    judgements: tuple[Judgement, ...]
    missing: dict[str, str]
    """Peers that could not be had, and why."""
    versions: dict[str, str]


@asynccontextmanager
async def standing_all(
    network: Network, peers: Sequence[str], folder: Path
) -> AsyncIterator[tuple[list[stage.Stand], dict[str, str]]]:
    """Run snowowl and peers in this block; give them, and what could not be had and why.

    Raises `UnusableError` if there is no peer.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found, missing = await trio.to_thread.run_sync(stage.available, folder, peers)
    if not found:
        raise UnusableError("; ".join(f"{name}: {why}" for name, why in missing.items()))
    servers: list[Server] = [stage.ours(folder), *found.values()]
    async with AsyncExitStack() as stack:
        yield (
            [await stack.enter_async_context(stage.standing(network, each)) for each in servers],
            missing,
        )


async def compare(
    cases: Sequence[Case],
    peers: Sequence[str],
    listed: Listed,
    folder: Path,
    progress: Progress | None = None,
) -> Run:
    """Play cases with snowowl and with peers; raises `UnusableError` if there is nothing to compare."""
    network = SystemNetwork()
    async with standing_all(network, peers, folder) as (stands, missing):
        total = sum(stand.plays(case) for stand in stands for case in cases)
        task = progress.add_task("playing", total=total) if progress else None

        def told() -> None:
            if progress is not None and task is not None:
                progress.advance(task)

        usual = [case for case in cases if not case.last]
        observed = await play_all(network, usual, stands, told)
        for _ in range(AGAIN):
            judgements = list(differences.judged(observed, stage.OURS, listed))
            await _play_again(network, judgements, usual, stands, observed)
        last = [case for case in cases if case.last]
        observed.update(await play_all(network, last, stands, told))
    final = differences.judged(observed, stage.OURS, listed)
    return Run(tuple(final), missing, {stand.name: stand.version for stand in stands})


async def _play_again(
    network: Network,
    judgements: Sequence[Judgement],
    cases: Sequence[Case],
    stands: Sequence[stage.Stand],
    observed: Observed,
) -> None:
    """Play what is not as it should be once more, by itself: a busy machine may answer late.

    An upload then finds what it left: that may make a difference, but hides none.
    """
    odd = {each.case for each in judgements if not each.good}
    again = [case for case in cases if case.name in odd and not case.heavy]
    if len(again) <= AGAIN_MAX:
        observed.update(await play_all(network, again, stands, together=1))


def chosen(only: Sequence[str], *, heavy: bool) -> list[Case]:
    """Return the cases whose names match one of some patterns; all if there is none."""
    found = [case for case in ALL if heavy or not case.heavy]
    if only:
        found = [case for case in ALL if any(fnmatchcase(case.name, pattern) for pattern in only)]
    return found


@click.command(epilog=_HELP)
@click.option(
    "--only", metavar="CASE", multiple=True, help="Only cases of that name; * and ? match."
)
@click.option(
    "--peer",
    metavar="NAME",
    multiple=True,
    type=click.Choice(stage.PEERS),
    help=f"Only that peer: {', '.join(stage.PEERS)}.",
)
@click.option(
    "--heavy", is_flag=True, help="With the cases of 65,540 blocks: minutes, and a quiet machine."
)
@click.option(
    "--write", is_flag=True, help="Write what has changed to the list; reasons are yours."
)
@click.option("--explain", is_flag=True, help="Show the differences that are explained, too.")
@click.option(
    "--work",
    type=click.Path(file_okay=False, path_type=Path),
    default=default_folder("differential"),
    help="Where servers and files are kept.",
    show_default=True,
)
def main(
    only: tuple[str, ...],
    peer: tuple[str, ...],
    work: Path,
    *,
    heavy: bool,
    write: bool,
    explain: bool,
) -> None:
    """Play the same conversations with snowowl and other TFTP servers, and compare."""
    out, err = Console(highlight=False), Console(stderr=True, highlight=False)
    cases = chosen(only, heavy=heavy)
    if not cases:
        raise click.UsageError(f"no case is called {' or '.join(only)}: they are in cases_*.py")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        listed = differences.load()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as shown:
            run = trio.run(compare, cases, peer or stage.PEERS, listed, work, shown)
    except* UnusableError as group:
        err.print(f"nothing can be compared: {group.exceptions[0]}", markup=False)
        sys.exit(EXIT_UNUSABLE)
    except* ValueError as group:
        err.print(f"{group.exceptions[0]}", markup=False)
        sys.exit(EXIT_UNUSABLE)
    except* KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    sys.exit(_reported(run, listed, out, err, write=write, explain=explain))


def _reported(
    run: Run, listed: Listed, out: Console, err: Console, *, write: bool, explain: bool
) -> int:
    for name, why in run.missing.items():
        err.print(f"left out: {name}: {why}", style="yellow", markup=False)
    if write:
        names = [case.name for case in ALL]
        listed = differences.revised(listed, run.judgements, names)
        differences.FILE.write_text(differences.written(listed), encoding="utf-8")
    shown = [each for each in run.judgements if explain or not each.good]
    for row in rows(shown, listed):
        out.print(row, soft_wrap=True)
    out.print(summary(run.judgements, listed, run.versions))
    wrong = list(
        differences.faults(listed, {case.name for case in ALL}, (*stage.PEERS, *run.versions))
    )
    for fault in wrong:
        err.print(f"{differences.FILE.name}: {fault}", style="red", markup=False, soft_wrap=True)
    bad = any(not each.good for each in run.judgements)
    return EXIT_DIFFERENT if bad or wrong else os.EX_OK


if __name__ == "__main__":
    main()
