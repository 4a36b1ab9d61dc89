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

from fuzz import soak_core
from fuzz.growth import Growth

DATAGRAMS_MAX: Final = 10**12
EXIT_FAILED: Final = 1
EXIT_UNABLE: Final = 3


class Progress:
    """One line of a terminal that says how far it is."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._begun = time.monotonic()
        self._shown = sys.stderr.isatty()

    def __call__(self, done: int, where: str = "") -> None:
        """Say how many datagrams there were."""
        if not self._shown:
            return
        seconds = time.monotonic() - self._begun
        left = f", {seconds / done * (self._total - done):.0f} s left" if done else ""
        line = f"{seconds:.0f} s  {where}{done:,} of {self._total:,} datagrams{left}"
        sys.stderr.write(f"\r\x1b[K{line[:99]}")
        sys.stderr.flush()

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


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


def growth_text(what: str, growth: Growth) -> str:
    """Return a verdict in words."""
    verdict = "GROWS" if growth.grows else "does not grow"
    return (
        f"{what} {verdict}: {growth.grown:+,.0f} by the slope ({growth.grown_lately:+,.0f} by that of"
        f" the second half; bound {growth.bound:,.0f}), from {growth.low:,.0f} to {growth.high:,.0f}"
    )


if __name__ == "__main__":
    main()
