"""Simulate days of a lab: python -m tests.sim.lab --hours 24 --boards 300 --seed 1

Boards of seven kinds boot from the real server over a simulated network, in virtual time.  Prints
what has happened, and ends with status 1 if anything was lost.  The same seed gives the same day.
"""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path
from typing import cast

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.sim.day import Day, Lab, run
from tests.sim.scenario import TIDS, Tid

FAULTS = (
    "lost",
    "cut",
    "doubled",
    "late",
    "flipped",
    "buffer full",
    "port closed",
    "EAGAIN",
    "ENOBUFS",
    "slow",
    "cold",
)


@click.command(help=(__doc__ or "").split("\n", 1)[0])
@click.option("--hours", type=click.FloatRange(0.01, 240), default=24.0, show_default=True)
@click.option("--boards", type=click.IntRange(1, 5000), default=300, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--seeds", type=click.IntRange(1), default=1, help="Days, each with the next seed.")
@click.option("--tid", type=click.Choice(TIDS), default="shared", show_default=True)
@click.option("--pcap", type=click.Path(path_type=Path), help="Write a capture for Wireshark.")
def main(*, hours: float, boards: int, seed: int, seeds: int, tid: str, pcap: Path | None) -> None:
    """Run the command."""
    lost = False
    for number in range(seed, seed + seeds):
        lab = Lab(boards=boards, hours=hours, seed=number, tid=cast("Tid", tid))
        lost = _run(lab, pcap) or lost
    sys.exit(1 if lost else 0)


def _run(lab: Lab, pcap: Path | None) -> bool:
    """Run a day with progress, print what it has shown; say whether anything was lost."""
    console = Console(stderr=True)
    progress = Progress(
        TextColumn("seed {task.fields[seed]}"),
        BarColumn(),
        TextColumn("{task.completed:.1f} of {task.total:g} h, {task.fields[boots]} boots"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    began, cpu = time.perf_counter(), time.process_time()
    with progress:
        bar = progress.add_task("day", total=lab.hours, seed=lab.seed, boots=0)

        def told(day: Day) -> None:
            progress.update(bar, completed=day.now / 3600, boots=day.booted)

        day = run(lab, told, pcap)
    _show(day, time.perf_counter() - began, time.process_time() - cpu)
    return bool(day.lost)


def _show(day: Day, real: float, cpu: float) -> None:
    lab, books, fates = day.lab, day.books, day.fates
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    reads = sum(books.outcomes[kind] for kind in ("completed", "unconfirmed"))
    rows = {
        "lab": f"{lab.boards} boards, {lab.hours:g} hours, tid {lab.tid}, seed {lab.seed}",
        "boots": f"{day.booted:,} of {day.began:,}, {day.died:,} ended by a power cycle;"
        f" {day.attempts:,} attempts; the longest took {day.longest:.0f} s",
        "by kind": _counted(day.kinds),
        "transfers": f"{books.admitted:,}, {reads:,} of them to the end; {books.octets:,} octets",
        "outcomes": _counted(books.outcomes),
        "uploads": f"{day.uploads[1]:,} of {day.uploads[0]:,} acknowledged, each on disk, whole",
        "datagrams": f"{fates['sent']:,} with {fates['octets']:,} octets",
        "sent again": f"{books.retransmitted:,} by the server, {day.repeats:,} by boards",
        "requests": f"{books.handed:,} came: {books.admitted:,} admitted, {books.doubled:,} came"
        f" again, {books.malformed:,} malformed, {books.refused:,} dropped",
        "server": f"{_counted(day.turns) or 'never restarted'}; {day.cuts:,} partitions",
        "faults": ", ".join(f"{name} {fates[name]:,}" for name in FAULTS if fates[name]),
        "time": f"{day.now:,.0f} virtual seconds in {real:.1f} s ({cpu:.1f} s of CPU)",
        "memory": f"{peak:.0f} MiB at most",
        "digest": day.digest,
        "lost": "nothing" if not day.lost else f"{len(day.lost):,}:",
    }
    for name, text in rows.items():
        table.add_row(name, text)
    Console(width=None if sys.stdout.isatty() else 160, highlight=False).print(table)
    for lost in day.lost[:20]:
        click.echo(f"  {lost[:500]}")


def _counted(counter: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counter.items()))


if __name__ == "__main__":
    main()
