"""Test a program that embeds snowowl: a bad network, a power cut and an hour of waiting, in a second.

`provision` is the program: it serves a folder and waits until every board has sent its report.  It
knows nothing of simulations.  The test around it plays the boards, loses a tenth of all datagrams,
cuts one board off for a while, and runs an hour of it in virtual time.  The same seed gives the same
run, so what fails can be repeated, and looked at in Wireshark: `pcap="lab.pcap"`.

Run it: python examples/simulated_lab.py
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import trio

import snowowl
from snowowl.config import ServerConfig, WriteConfig
from snowowl.observe.events import Direction, TransferFinished
from snowowl.testing.link import Link
from snowowl.testing.simulation import Simulation, simulate


async def provision(root: Path, boards: int, seconds: float) -> int:
    """Serve a folder until all boards have reported, or time is up; return how many have."""
    reported: set[str] = set()
    all_reported = trio.Event()

    def watch(event: object) -> None:
        if isinstance(event, TransferFinished) and event.direction is Direction.WRITE:
            reported.add(event.filename.decode())
            if len(reported) == boards:
                all_reported.set()

    config = snowowl.Config(server=ServerConfig(root=root), write=WriteConfig(enabled=True))
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(snowowl.serve, config, observers=[watch]))
        with trio.move_on_after(seconds):
            await all_reported.wait()
        nursery.cancel_scope.cancel()
    return len(reported)


async def board(simulation: Simulation, number: int) -> None:
    """Boot and report; begin again whenever something fails, as boards do."""
    network = simulation.host(f"192.0.2.{100 + number}")
    while True:
        try:
            kernel = await snowowl.get("tftp://lab/kernel", network=network)
            report = f"board {number} got {kernel.size} octets".encode()
            await snowowl.put(report, f"tftp://lab/report-{number}", network=network)
        except snowowl.ClientError as error:
            print(f"{simulation.now:8.1f} s: board {number}: {error}")
            await trio.sleep(10)
        else:
            return


async def program(simulation: Simulation) -> int:
    """Run the lab on a network that is as bad as it gets."""
    simulation.names["lab"] = ("192.0.2.1",)
    simulation.network.link = Link(loss=0.1, delay_seconds=0.01)
    simulation.network.cut(["192.0.2.101"], seconds=120)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        await trio.Path(root, "kernel").write_bytes(bytes(100_000))
        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(board, simulation, number)
            reported = await provision(root, 5, 3600)
            nursery.cancel_scope.cancel()
        print(f"{simulation.now:8.1f} s: {reported} boards have fetched their kernel and reported")
    return reported


if __name__ == "__main__":
    assert simulate(program, seed=7) == 5
