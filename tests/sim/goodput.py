"""How fast files go over bad links: a table, made by the real server and client in virtual time.

    python -m tests.sim.goodput            show it, and how it differs from the one that is kept
    python -m tests.sim.goodput --write    keep it

It needs no quiet machine and no luck: the same code gives the same table.  A change of it is a change
of how well losses are recovered, and goes into the commit that causes it, where it can be argued for.
"""

from __future__ import annotations

import difflib
import math
import random
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

import attrs
import click
import trio

import snowowl
from snowowl.config import ServerConfig, WriteConfig
from snowowl.testing.link import Link
from snowowl.testing.simnetwork import SimNetwork
from snowowl.testing.simulation import Simulation, simulate

KEPT: Final = Path(__file__).with_name("goodput.txt")
SIZE: Final = 64 * 1024
BLKSIZE: Final = 1024
WINDOWS: Final = (1, 4, 16, 64)
LOSSES: Final = (0.0, 0.01, 0.05, 0.2)
LINKS: Final = {
    "0.5 ms one way": Link(delay_seconds=0.0005),
    "10 ms one way": Link(delay_seconds=0.01),
    "10 ms one way, 5 % up to 10 ms late": Link(
        delay_seconds=0.01, reordering=0.05, late_seconds=0.01
    ),
    "60 ms one way": Link(delay_seconds=0.06),
}
WAYS: Final[tuple[Literal["get", "put"], ...]] = ("get", "put")
FAILED: Final = "-"
URL: Final = "tftp://192.0.2.1/"


def table() -> str:
    """Measure, and return the table."""
    lines = [
        f"Goodput in KiB/s of virtual time: {SIZE // 1024} KiB in blocks of {BLKSIZE} octets, the real",
        'client and server, simulated links.  Made by "python -m tests.sim.goodput --write".',
    ]
    for way in WAYS:
        for name, link in LINKS.items():
            lines += ["", f"{way}, {name}", _row("windowsize", [f"{p:.0%} lost" for p in LOSSES])]
            lines += [
                _row(str(window), [_cell(way, link, window, loss) for loss in LOSSES])
                for window in WINDOWS
            ]
    return "\n".join(lines) + "\n"


def difference() -> str:
    """Return how the table differs from the one that is kept, line by line; empty if it does not."""
    kept = KEPT.read_text(encoding="utf-8") if KEPT.exists() else ""
    lines = difflib.unified_diff(
        kept.splitlines(), table().splitlines(), "kept", "measured", lineterm="", n=1
    )
    return "\n".join(lines)


def _row(first: str, cells: list[str]) -> str:
    return f"{first:>10}" + "".join(f"{cell:>11}" for cell in cells)


def _cell(way: Literal["get", "put"], link: Link, window: int, loss: float) -> str:
    options = snowowl.ClientOptions(blksize=BLKSIZE, windowsize=window)
    network = SimNetwork(window, attrs.evolve(link, loss=loss))
    network.keeps_datagrams = False
    octets = random.Random(1).randbytes(SIZE)

    async def program(simulation: Simulation) -> float:
        seconds = math.inf
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            (root / "file").write_bytes(octets)
            config = snowowl.Config(server=ServerConfig(root=root), write=WriteConfig(enabled=True))
            drain = trio.Event()
            async with trio.open_nursery() as nursery:

                async def serve(task_status: trio.TaskStatus[object]) -> None:
                    await snowowl.serve(config, drain=drain, task_status=task_status)

                await nursery.start(serve)
                with suppress(snowowl.ClientError):
                    if way == "get":
                        seconds = (await snowowl.get(URL + "file", options=options)).seconds
                    else:
                        seconds = (await snowowl.put(octets, URL + "up", options=options)).seconds
                drain.set()
        return seconds

    seconds = simulate(program, seed=window, network=network)
    return f"{SIZE / 1024 / seconds:.1f}" if seconds < math.inf else FAILED


@click.command(help=(__doc__ or "").split("\n", 1)[0])
@click.option("--write", is_flag=True, help="Keep the table that is measured now.")
def main(*, write: bool) -> None:
    """Run the command."""
    if write:
        KEPT.write_text(table(), encoding="utf-8")
        click.echo(f"wrote {KEPT}")
        return
    click.echo(table())
    changed = difference()
    click.echo(changed or "It is the table that is kept.")
    sys.exit(1 if changed else 0)


if __name__ == "__main__":
    main()
