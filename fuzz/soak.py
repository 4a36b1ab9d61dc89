"""Soaks: fuzzed datagrams by the million, and a verdict on what they leave behind.

    python fuzz/soak.py core --datagrams 10_000_000 --jobs 2
    python fuzz/soak.py server --datagrams 1_000_000

Exit status: 0 all is well, 1 something failed or grows, 2 wrong usage, 3 it cannot run here.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Final

import click

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from fuzz import soak_core, soak_server
from fuzz.growth import Growth
from fuzz.terminal import Line, end_in_order

MIB: Final = 1 << 20
DATAGRAMS_MAX: Final = 10**12
EXIT_FAILED: Final = 1
EXIT_UNABLE: Final = 3


class Progress:
    """Says how far the soak is."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._begun = time.monotonic()
        self._line = Line()

    def __call__(self, done: int, where: str = "") -> None:
        """Say how many datagrams there were."""
        seconds = time.monotonic() - self._begun
        left = f", {seconds / done * (self._total - done):.0f} s left" if done else ""
        self._line.show(f"{seconds:.0f} s  {where}{done:,} of {self._total:,} datagrams{left}")

    def clear(self) -> None:
        """Take the line away."""
        self._line.clear()


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Feed snowowl datagrams by the million, and see that nothing breaks and nothing grows."""


datagrams_option = click.option(
    "--datagrams", type=click.IntRange(1, DATAGRAMS_MAX), default=None, help="How many, in all."
)
seed_option = click.option(
    "--seed", type=click.IntRange(0), help="Repeat a run.  [default: a random one]"
)


def _seed(seed: int | None) -> int:
    return random.SystemRandom().randrange(2**31) if seed is None else seed


@main.command()
@datagrams_option
@seed_option
@click.option(
    "--jobs", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes."
)
def core(datagrams: int | None, seed: int | None, jobs: int) -> None:
    """Soak the pure core: the codec, and machines in all of their states (default 10,000,000)."""
    datagrams, seed = datagrams or 10_000_000, _seed(seed)
    click.echo(f"core: {datagrams:,} datagrams, seed {seed}, {jobs} processes")
    progress = Progress(datagrams)
    begun = time.monotonic()
    results = soak_core.soak_in_processes(datagrams, seed, jobs, progress)
    progress.clear()
    sys.exit(report_core(results, time.monotonic() - begun))


def report_core(results: list[soak_core.Result], seconds: float) -> int:
    """Print what became of it; return the exit status."""
    done = sum(result.datagrams for result in results)
    machines = sum(result.machines for result in results)
    states: Counter[str] = Counter()
    for result in results:
        states += result.states
    click.echo(
        f"{done:,} datagrams to {machines:,} machines in {seconds:.0f} s: {done / seconds:,.0f}/s"
    )
    for state, count in sorted(states.items()):
        click.echo(f"  {state:<32}{count:>12,}")
    failed = False
    for number, result in enumerate(results):
        if result.finding:
            failed = True
            click.echo(f"process {number}: {result.finding}")
            continue
        try:
            growths = result.growths()
        except ValueError as error:
            click.echo(f"process {number}: growth was not judged: {error}")
            continue
        for what, growth in growths.items():
            failed |= growth.grows
            click.echo(f"process {number}: {growth_text(what, growth)}")
    click.echo("FAILED" if failed else "all is well")
    return EXIT_FAILED if failed else 0


@main.command()
@datagrams_option
@seed_option
@click.option("--rung", "rungs", type=click.Choice(soak_server.RUNGS), multiple=True)
@click.option("--tid", "tids", type=click.Choice(soak_server.TIDS), multiple=True)
def server(
    datagrams: int | None, seed: int | None, rungs: tuple[str, ...], tids: tuple[str, ...]
) -> None:
    """Soak running servers on loopback: each rung, each way to choose TIDs (default 1,000,000)."""
    if not Path("/proc/self/statm").exists():
        click.echo("soak.py: this needs Linux, whose /proc tells of memory and sockets", err=True)
        sys.exit(EXIT_UNABLE)
    ways = [
        (rung, tid)
        for rung, tid in soak_server.WAYS
        if rung in (rungs or soak_server.RUNGS) and tid in (tids or soak_server.TIDS)
    ]
    datagrams, seed = datagrams or 1_000_000, _seed(seed)
    click.echo(f"server: {datagrams:,} datagrams, seed {seed}")
    progress = Progress(datagrams)
    results: list[soak_server.Result] = []
    click.echo(SERVER_HEAD)
    for result in soak_server.soak_all(ways, datagrams, seed, progress):
        progress.clear()
        click.echo(server_line(result))
        if result.failure:
            click.echo(result.failure)
        results.append(result)
    total = sum(result.datagrams for result in results)
    seconds = sum(result.seconds for result in results)
    served = sum(result.served for result in results)
    click.echo(f"{total:,} datagrams, {served:,} transfers of clients served, {seconds:.0f} s")
    failed = [result for result in results if result.failure or grows(result)]
    click.echo("FAILED" if failed else "all is well")
    sys.exit(EXIT_FAILED if failed else 0)


SERVER_HEAD: Final = (
    f"{'rung':<9}{'tid':<8}{'datagrams':>11}{'dropped':>9}{'answers':>9}{'served':>8}"
    f"{'seconds':>9}{'descriptors':>13}  RSS after the warm-up, MiB (slope over it)"
)


def server_line(result: soak_server.Result) -> str:
    """Return what became of a server as a line of the table."""
    before, after = result.descriptors
    try:
        growth = result.growth()
        memory = f"{growth.low / MIB:.1f} to {growth.high / MIB:.1f} ({growth.grown / MIB:+.2f})"
        memory += "  GROWS" if growth.grows else ""
    except ValueError:
        memory = "too little to judge"
    return (
        f"{result.rung:<9}{result.tid:<8}{result.datagrams:>11,}{result.dropped:>9,}"
        f"{result.heard:>9,}{result.served:>8,}{result.seconds:>9.1f}{f'{before} -> {after}':>13}"
        f"  {memory}{'  FAILED' if result.failure else ''}"
    )


def grows(result: soak_server.Result) -> bool:
    """Say whether a server's memory grows; not if there was too little to judge."""
    try:
        return result.growth().grows
    except ValueError:
        return False


def growth_text(what: str, growth: Growth) -> str:
    """Return a verdict in words."""
    verdict = "GROWS" if growth.grows else "does not grow"
    return (
        f"{what} {verdict}: {growth.grown:+,.0f} by the slope ({growth.grown_lately:+,.0f} by that of"
        f" the second half; bound {growth.bound:,.0f}), from {growth.low:,.0f} to {growth.high:,.0f}"
    )


if __name__ == "__main__":
    end_in_order()
    main()
