"""Run seeds of the swarm.

    python -m tests.sim.run --seed 7 --pcap out.pcap     replay one seed, with a capture of it
    python -m tests.sim.run --seconds 600                run seeds from 1 on for ten minutes

Prints what each seed was about, and what was wrong; ends with status 1 if anything was.  A seed gives
the same run, datagram by datagram, wherever it runs.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Self

import attrs
import click
from rich.console import Console

from tests.sim.scenario import Scenario
from tests.sim.swarm import Findings, run


@click.command(help=(__doc__ or "").split("\n", 1)[0])
@click.option("--seed", type=int, default=1, show_default=True, help="The first seed.")
@click.option("--seeds", type=click.IntRange(1), help="How many; 1, unless --seconds is given.")
@click.option("--seconds", type=click.FloatRange(0), help="Begin no seed after so many seconds.")
@click.option("--pcap", type=click.Path(path_type=Path), help="Write a capture for Wireshark.")
@click.option("--verbose", is_flag=True, help="Tell of each seed all that it drew.")
def main(
    *, seed: int, seeds: int | None, seconds: float | None, pcap: Path | None, verbose: bool
) -> None:
    """Run the command."""
    progress = Console(stderr=True)
    count = seeds or (sys.maxsize if seconds is not None else 1)
    began, done, datagrams = time.monotonic(), 0, 0
    bad: list[int] = []
    with progress.status("") if progress.is_terminal else _Silence() as status:
        for number in range(seed, seed + count):
            if seconds is not None and time.monotonic() - began > seconds:
                break
            status.update(f"seed {number}: {done} done, {len(bad)} with problems")
            findings = run(number, pcap)
            done, datagrams = done + 1, datagrams + findings.fates["sent"]
            if findings.problems:
                bad.append(number)
            if findings.problems or count == 1 or verbose:
                click.echo(told(findings, verbose=verbose or count == 1))
    real = time.monotonic() - began
    click.echo(
        f"{done} seeds, {datagrams:,} datagrams in {real:.0f} s; with problems: {bad or 'none'}"
    )
    sys.exit(1 if bad else 0)


def told(findings: Findings, *, verbose: bool = False) -> str:
    """Return what a run has shown, for people."""
    scenario = findings.scenario
    sent, seconds = findings.fates["sent"], findings.seconds
    title = f"{sent} datagrams in {seconds:.3f} virtual seconds, digest {findings.digest}"
    lines = [f"seed {scenario.seed}: {title}"]
    if verbose:
        lines += [f"  {name}: {value}" for name, value in _knobs(scenario)]
        lines += [f"  {name}: {dict(counted)}" for name, counted in _counters(findings)]
        lines.append(f"  books: {findings.books}")
    lines += [f"  PROBLEM {problem}" for problem in findings.problems]
    return "\n".join(lines)


def replay(seed: int) -> str:
    """Return the command that runs a seed again."""
    return f"python -m tests.sim.run --seed {seed} --pcap seed-{seed}.pcap"


def _knobs(scenario: Scenario) -> list[tuple[str, object]]:
    return [(field.name, getattr(scenario, field.name)) for field in attrs.fields(Scenario)]


def _counters(findings: Findings) -> list[tuple[str, dict[str, int]]]:
    return [
        ("jobs", findings.ends),
        ("fates", {name: count for name, count in findings.fates.items() if count}),
        ("server turned", findings.turns),
    ]


class _Silence:
    """Stands for progress where nobody looks."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def update(self, text: str) -> None:
        """Say nothing."""


if __name__ == "__main__":
    main()
