"""One run of the swarm: a server, machines that boot from it, and all that can go wrong, by one seed.

At the end the faults stop, and everything must work again; then the checkers look: at every octet
that a client got, at every upload, at the root, and at the server's books.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import trio

import snowowl
from snowowl.config import LimitsConfig, ServerConfig, WriteConfig
from snowowl.datagram import address
from snowowl.testing.kernel import NO_FAULTS, KernelFaults
from snowowl.testing.link import Datagram, Link
from snowowl.testing.simnetwork import SimNetwork, socket_address
from snowowl.testing.simulation import Simulation, simulate
from tests.sim.library import Ledger, Library, leftovers
from tests.sim.scenario import Scenario, draw
from tests.sim.stage import Books, Stage, Turn, listening

SERVERS = {"4": ("192.0.2.1",), "6": ("2001:db8::1",), "46": ("192.0.2.1", "2001:db8::1")}
SIZES = (0, 1, 511, 512, 513, 1468, 1469, 5_000, 40_000, 70_000, 200_000)
SENDS_TO_STRANGERS_MAX = 8
"""What one request of somebody who never answers may cause: six, and two if the network doubles it."""


@attrs.define
class Findings:
    """What a run has shown."""

    scenario: Scenario
    problems: list[str] = attrs.field(factory=list)
    ends: Counter[str] = attrs.field(factory=Counter)
    """How clients' jobs ended."""
    books: Books = attrs.field(factory=Books)
    fates: Counter[str] = attrs.field(factory=Counter)
    turns: Counter[str] = attrs.field(factory=Counter)
    digest: str = ""
    seconds: float = 0.0


class SwarmNetwork(SimNetwork):
    """The server's kernel and those of clients differ."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario.seed, scenario.link, coalesces=scenario.coalesces)
        self.receive_buffer = scenario.receive_buffer
        self.server_kernel = scenario.server_kernel
        self.client_kernel = scenario.client_kernel
        self.keeps_datagrams = False
        self._servers = {
            address.host_octets(socket_address(host, 0)) for host in SERVERS[scenario.families]
        }

    def kernel_of(self, bound: bytes) -> KernelFaults:
        """Return the faults of the server or those of clients."""
        host = address.host_octets(bound)
        return self.server_kernel if host in self._servers or not any(host) else self.client_kernel


class World:
    """What all parts of one run share."""

    def __init__(self, simulation: Simulation, scenario: Scenario, root: Path) -> None:
        network = simulation.network
        assert isinstance(network, SwarmNetwork)
        self.simulation = simulation
        self.network = network
        self.scenario = scenario
        self.root = root
        self.findings = Findings(scenario)
        self.draws = random.Random(scenario.seed)
        clock: Callable[[], float] = trio.current_time
        self.library = Library(root, clock)
        self.ledger = Ledger(root)
        self.stage = Stage(
            simulation.host(*SERVERS[scenario.families]), self._config(), self.findings.books
        )
        self.over = False

    def problem(self, text: str) -> None:
        """Note what must not be."""
        self.findings.problems.append(f"at {trio.current_time():.6f} s: {text}")

    def _config(self) -> snowowl.Config:
        scenario = self.scenario
        platform = attrs.evolve(snowowl.Config().performance.platform, poll_us=0)
        return snowowl.Config(
            server=ServerConfig(
                root=self.root,
                listen=listening(scenario.families),
                tid=scenario.tid,
                drain_seconds=3.0,
            ),
            write=WriteConfig(enabled=True, overwrite=scenario.overwrite),
            limits=LimitsConfig(transfers_max=scenario.transfers_max),
            performance=attrs.evolve(snowowl.Config().performance, platform=platform),
        )

    def heal(self) -> None:
        """End all faults."""
        self.over = True
        self.network.link = Link(mtu=self.scenario.link.mtu)
        self.network.server_kernel = self.network.client_kernel = NO_FAULTS
        self.network.heal()
        disk = self.simulation.disk
        disk.seconds = disk.cold = disk.full = disk.broken = 0.0


def run(seed: int, pcap: str | os.PathLike[str] | None = None) -> Findings:
    """Run a seed; return what it has shown."""
    scenario = draw(seed)
    with root_folder() as root:

        async def program(simulation: Simulation) -> Findings:
            world = World(simulation, scenario, root)
            with world.findings.books.kept():
                await _play(world)
            findings = world.findings
            findings.digest, findings.seconds = simulation.trace.digest, simulation.now
            findings.fates = simulation.network.fates
            findings.fates.update(simulation.disk.faults)
            findings.turns = world.stage.turns
            return findings

        network = SwarmNetwork(scenario)
        return simulate(program, seed=seed, network=network, pcap=pcap, seconds_max=3600.0)


async def _play(world: World) -> None:
    from tests.sim.machines import Machine

    scenario, findings = world.scenario, world.findings
    for number, size in enumerate(SIZES):
        world.library.put(f"file{number}", world.draws.randbytes(size))
    world.library.put("text", b"one line\nand\r\nothers\n" * 3000)
    disk = world.simulation.disk
    disk.seconds, disk.cold = scenario.disk_seconds, scenario.disk_cold
    disk.full, disk.broken = scenario.disk_full, scenario.disk_broken
    machines = [Machine(world, number) for number in range(scenario.machines)]
    async with trio.open_nursery() as nursery:
        await nursery.start(world.stage.run)
        async with trio.open_nursery() as troubles:
            troubles.start_soon(_audit, world)
            troubles.start_soon(_trouble, world)
            troubles.start_soon(_change_files, world)
            troubles.start_soon(_be_hostile, world)
            async with trio.open_nursery() as booting:
                booting.start_soon(_turn_server, world)
                for machine in machines:
                    booting.start_soon(machine.live)
            troubles.cancel_scope.cancel()
        world.heal()
        await trio.sleep(2 * scenario.link.late_seconds + 1.0)
        async with trio.open_nursery() as healed:
            for machine in machines[:2]:
                healed.start_soon(machine.check_that_all_works)
        await world.stage.end()
        nursery.cancel_scope.cancel()
    findings.problems += findings.books.problems()
    if not scenario.mutilates:
        findings.problems += world.ledger.settles()
    findings.problems += [f"left behind: {name}" for name in leftovers(world.root)]


async def _audit(world: World) -> None:
    """Look at uploads while they happen: nothing partial may ever be seen."""
    draws = random.Random(world.scenario.seed + 1)
    while not world.scenario.mutilates:
        for problem in world.ledger.looks():
            world.problem(problem)
        await trio.sleep(draws.uniform(0.05, 1.0))


async def _turn_server(world: World) -> None:
    scenario, draws = world.scenario, random.Random(world.scenario.seed + 2)
    kinds: tuple[Turn, ...] = ("drain", "stop", "reload")
    while scenario.turns:
        await trio.sleep(draws.expovariate(1 / scenario.turns))
        if trio.current_time() > scenario.seconds:
            return
        await world.stage.turn(draws.choice(kinds), draws.uniform(0, 2))


async def _trouble(world: World) -> None:
    """Cut and clog links between the server and others."""
    scenario, draws = world.scenario, random.Random(world.scenario.seed + 3)
    servers = SERVERS[scenario.families]
    while scenario.cuts:
        await trio.sleep(draws.expovariate(1 / scenario.cuts))
        seconds = draws.uniform(0, 3)
        others = [f"192.0.2.{draws.randrange(10, 40)}", f"2001:db8::{draws.randrange(10, 40)}"]
        world.network.cut(
            servers,
            None if draws.random() < 0.5 else others,
            seconds=seconds,
            one_way=draws.random() < 0.5,
        )
        if draws.random() < 0.3:
            world.network.clog(servers[0], others[len(servers[0]) > 9], min(seconds, 1.0))


async def _change_files(world: World) -> None:
    """Replace, rewrite and cut short what is being read."""
    scenario, draws = world.scenario, random.Random(world.scenario.seed + 4)
    while scenario.changes:
        await trio.sleep(draws.expovariate(1 / scenario.changes))
        name = draws.choice([name for name in world.library.names if name != "text"])
        size = len(world.library.current(name))
        octets = draws.randbytes(draws.choice((size, size, draws.randrange(size + 1))))
        world.library.put(name, octets, in_place=draws.random() < 0.5)


async def _be_hostile(world: World) -> None:
    """Send what nobody should to the listening port, and never answer."""
    from tests.sim.hostile import datagram

    scenario, draws = world.scenario, random.Random(world.scenario.seed + 5)
    network, server = world.network, SERVERS[scenario.families][0]
    heard: Counter[bytes] = Counter()
    asked: Counter[bytes] = Counter()

    def count(sent: Datagram) -> None:
        if sent.target in asked:
            heard[sent.target] += 1
            if heard[sent.target] > SENDS_TO_STRANGERS_MAX * asked[sent.target]:
                world.problem(
                    f"a stranger who never answers is sent {heard[sent.target]} datagrams"
                )

    network.watchers.append(count)
    stranger = "198.51.100.7" if ":" not in server else "2001:db8:bad::7"
    number = 1024
    while scenario.strangers:
        await trio.sleep(draws.expovariate(1 / scenario.strangers))
        number += 1
        endpoint = network.bind(stranger, number)
        try:
            asked[endpoint.address] += 1
            network.carry(endpoint.address, socket_address(server, 69), datagram(draws))
            await trio.sleep(draws.choice((0.0, 0.01, 8.0)))
        finally:
            endpoint.close()


@contextmanager
def root_folder() -> Iterator[Path]:
    """Give a folder for a server's root, gone afterwards."""
    memory = Path("/dev/shm")  # fsync costs nothing there
    base = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="snowowl-sim-", dir=base))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
