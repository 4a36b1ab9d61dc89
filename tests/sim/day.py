"""A day of a lab in virtual time: boards boot, die, are cut off, try again; the server comes and goes.

A board that is switched on boots until it has booted, however often it must begin again; so a boot
that takes longer than `BOOT_SECONDS_MAX` is lost, as is an upload that was acknowledged and is not
there, and an octet that is not the file's.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

import attrs
import trio

import snowowl
from snowowl.config import ServerConfig, WriteConfig
from snowowl.datagram import address
from snowowl.testing.kernel import KernelFaults, ReceiveBuffer
from snowowl.testing.link import Link
from snowowl.testing.simendpoint import SimEndpoint, socket_address
from snowowl.testing.simnetwork import SimNetwork
from snowowl.testing.simulation import Simulation, simulate
from tests.sim.boards import FILES, KINDS, Kind, Step
from tests.sim.library import Ledger, Library, leftovers
from tests.sim.rom import Ended, Mark, Rom
from tests.sim.scenario import Tid
from tests.sim.stage import Books, Stage, Turn, listening
from tests.sim.swarm import root_folder

SERVER: Final = "192.0.2.1"
RACK_SIZE: Final = 25
BOOT_SECONDS_MAX: Final = 3600.0
"""Partitions last two minutes, a server is gone for less than one; each can hit a boot more than once."""

Told = Callable[["Day"], None]


@attrs.frozen(kw_only=True)
class Lab:
    """What lab, and for how long."""

    boards: int = 300
    hours: float = 24.0
    seed: int = 1
    tid: Tid = "shared"
    up_hours: float = 4.0
    """Mean time from one boot of a board to the next."""
    rack_hours: float = 8.0
    """Mean time between power cycles of a whole rack."""
    cut_hours: float = 0.5
    """Mean time between partitions."""
    turn_hours: float = 1.5
    """Mean time between restarts and reloads of the server."""


@attrs.define
class Day:
    """What a day has shown."""

    lab: Lab
    now: float = 0.0
    began: int = 0
    booted: int = 0
    died: int = 0
    """Boots that a power cycle ended."""
    attempts: int = 0
    longest: float = 0.0
    """Seconds of the longest boot."""
    uploads: tuple[int, int] = (0, 0)
    """Begun, and acknowledged."""
    repeats: int = 0
    """Packets that boards sent again."""
    ends: Counter[str] = attrs.field(factory=Counter)
    kinds: Counter[str] = attrs.field(factory=Counter)
    books: Books = attrs.field(factory=Books)
    fates: Counter[str] = attrs.field(factory=Counter)
    turns: Counter[str] = attrs.field(factory=Counter)
    cuts: int = 0
    lost: list[str] = attrs.field(factory=list)
    digest: str = ""


class LabNetwork(SimNetwork):
    """Racks have cables of different quality."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab.seed)
        self.keeps_datagrams = False
        self.kernel = KernelFaults(blocked=0.0005, no_buffers=0.0001)
        draws = random.Random(lab.seed)
        self._links = [
            Link(
                loss=draws.choice((0.0, 0.0005, 0.005, 0.02)),
                duplication=draws.choice((0.0, 0.0, 0.001)),
                reordering=draws.choice((0.0, 0.0, 0.002)),
                corruption=draws.choice((0.0, 0.0002)),
                delay_seconds=draws.choice((0.0002, 0.0005, 0.002)),
            )
            for _ in range(1 + lab.boards // RACK_SIZE)
        ]

    def link_between(self, source: bytes, target: bytes) -> Link:
        """Return the link of the rack at either end."""
        board = max(_number(source), _number(target))
        return self._links[board // RACK_SIZE]


def run(lab: Lab, told: Told | None = None, pcap: Path | None = None) -> Day:
    """Run a day; `told` hears of it every virtual ten minutes."""
    with root_folder() as root:

        async def program(simulation: Simulation) -> Day:
            running = _Running(lab, simulation, root, told)
            with running.day.books.kept():
                await running.play()
            return running.day

        return simulate(program, seed=lab.seed, network=LabNetwork(lab), pcap=pcap)


class _Running:
    def __init__(self, lab: Lab, simulation: Simulation, root: Path, told: Told | None) -> None:
        self.lab = lab
        self.day = Day(lab)
        self.simulation = simulation
        self.network = simulation.network
        self.seconds = lab.hours * 3600
        self.library = Library(root, trio.current_time)
        self.ledger = Ledger(root)
        self._root = root
        self._told = told
        self._stage = Stage(simulation.host(SERVER), _config(lab, root), self.day.books)
        self._boards = [_Board(self, number) for number in range(lab.boards)]

    async def play(self) -> None:
        """Run the day, and look at what is left of it."""
        day, draws = self.day, random.Random(self.lab.seed)
        for name, size in FILES.items():
            self.library.put(name, draws.randbytes(size))
        for folder in ("logs", "configs"):
            (self._root / folder).mkdir()
        disk = self.simulation.disk
        disk.seconds, disk.cold = 0.01, 0.02
        async with trio.open_nursery() as nursery:
            await nursery.start(self._stage.run)
            async with trio.open_nursery() as lab:
                lab.start_soon(self._watch)
                lab.start_soon(self._turn_server)
                lab.start_soon(self._cut)
                lab.start_soon(self._cycle_racks)
                async with trio.open_nursery() as boards:
                    for board in self._boards:
                        boards.start_soon(board.live)
                lab.cancel_scope.cancel()
            await self._stage.end()
            nursery.cancel_scope.cancel()
        self._note()
        day.lost += day.books.problems() + self.ledger.settles()
        day.lost += [f"left behind: {name}" for name in leftovers(self._root)]

    def _note(self) -> None:
        day = self.day
        day.now, day.digest = self.simulation.now, self.simulation.trace.digest
        day.fates = self.network.fates + self.simulation.disk.faults
        day.turns, day.uploads = self._stage.turns, self.ledger.count()
        if self._told is not None:
            self._told(day)

    async def _watch(self) -> None:
        while True:
            await trio.sleep(600)
            self.day.lost += self.ledger.looks()
            self._note()

    async def _turn_server(self) -> None:
        draws = random.Random(self.lab.seed + 1)
        kinds: tuple[Turn, ...] = ("drain", "stop", "reload")
        while True:
            await trio.sleep(draws.expovariate(1 / (3600 * self.lab.turn_hours)))
            await self._stage.turn(draws.choice(kinds), draws.uniform(0, 40))

    async def _cut(self) -> None:
        draws = random.Random(self.lab.seed + 2)
        while True:
            await trio.sleep(draws.expovariate(1 / (3600 * self.lab.cut_hours)))
            self.day.cuts += 1
            rack = draws.choice([board.host for board in self._boards][::RACK_SIZE])
            first = _number(socket_address(rack, 0))
            hosts = [board.host for board in self._boards[first : first + RACK_SIZE]]
            self.network.cut(
                [SERVER], hosts, seconds=draws.uniform(1, 120), one_way=draws.random() < 0.3
            )

    async def _cycle_racks(self) -> None:
        draws = random.Random(self.lab.seed + 3)
        racks = 1 + (len(self._boards) - 1) // RACK_SIZE
        while True:
            await trio.sleep(draws.expovariate(racks / (3600 * self.lab.rack_hours)))
            first = draws.randrange(racks) * RACK_SIZE
            for board in self._boards[first : first + RACK_SIZE]:
                board.cut_power()


class _Board:
    def __init__(self, running: _Running, number: int) -> None:
        self.host = f"10.1.{number >> 8}.{number & 255}"
        self._running = running
        self._number = number
        self._kind: Kind = KINDS[number % len(KINDS)]
        self._draws = random.Random(running.lab.seed * 100_000 + number)
        self._network = running.simulation.host(self.host)
        self._server = socket_address(SERVER, 69)
        self._power = trio.CancelScope()

    def cut_power(self) -> None:
        """Switch it off, and on again."""
        self._power.cancel()

    async def live(self) -> None:
        """Boot whenever somebody wants it to, until the day is over."""
        running, draws = self._running, self._draws
        await trio.sleep(draws.uniform(0, 600))
        while trio.current_time() < running.seconds:
            with trio.CancelScope() as self._power:
                await self._boot()
                up_seconds = draws.expovariate(1 / (3600 * running.lab.up_hours))
                await trio.sleep_until(min(trio.current_time() + up_seconds, running.seconds))
            await trio.sleep(draws.uniform(1, 10))

    async def _boot(self) -> None:
        """Boot, however often it takes."""
        day, began, ended = self._running.day, trio.current_time(), False
        day.began += 1
        try:
            while not ended:
                day.attempts += 1
                ended = await self._attempt()
                if not ended:
                    await trio.sleep(self._draws.uniform(2, 30))
                if trio.current_time() - began > BOOT_SECONDS_MAX:
                    day.lost.append(f"board {self._number} ({self._kind.name}) did not boot")
                    return
            day.booted += 1
            day.kinds[self._kind.name] += 1
            day.longest = max(day.longest, trio.current_time() - began)
        finally:
            if not ended:
                day.died += 1

    async def _attempt(self) -> bool:
        """Go through all steps; say whether none failed."""
        life = self._draws.expovariate(1 / 5) if self._draws.random() < 0.03 else 1e9
        with trio.move_on_after(life):  # somebody presses reset
            for step in self._kind.steps(self._number):
                await trio.sleep(self._draws.uniform(0.01, 0.5))
                if not await self._take(step):
                    return False
            return True
        return False

    async def _take(self, step: Step) -> bool:
        day, since = self._running.day, trio.current_time()
        with closing(self._open()) as endpoint:
            rom = Rom(endpoint, step.habits)
            if step.verb == "store":
                return await self._store(rom, step)
            if step.verb == "probe":
                ended = await rom.probe(self._server, step.name.encode(), step.code)
            else:
                stop_after = 2 if step.verb == "abandon" else -1
                ended = await rom.fetch(self._server, step.name.encode(), stop_after=stop_after)
            self._count(rom, step, ended)
        if step.verb == "miss":
            return ended.mark is Mark.REFUSED and ended.code == 1
        if ended.mark is Mark.DONE and not self._running.library.could_be(
            step.name, ended.octets, since
        ):
            day.lost.append(f"board {self._number} got {len(ended.octets)} octets for {step.name}")
        if ended.mark is Mark.REFUSED and ended.code not in {0, 5}:
            day.lost.append(f"board {self._number} was refused {step.name}: {ended}")
        return ended.mark in (Mark.DONE, Mark.ABANDONED)

    async def _store(self, rom: Rom, step: Step) -> bool:
        octets = self._draws.randbytes(self._draws.randrange(step.size + 1))
        upload = self._running.ledger.begin(step.name, octets, trio.current_time())
        ended = await rom.store(self._server, step.name.encode(), octets)
        if ended.mark is Mark.DONE:
            upload.acknowledge(trio.current_time())
        self._count(rom, step, ended)
        return ended.mark is Mark.DONE

    def _open(self) -> SimEndpoint:
        port = self._kind.port
        if port:
            endpoint = self._network.bind(port)
        else:
            endpoint = self._network.open(address.family_of(self._server), None, None)
        if self._kind.buffer != float("inf"):
            endpoint.receive_buffer = ReceiveBuffer(datagrams=self._kind.buffer)
        return endpoint

    def _count(self, rom: Rom, step: Step, ended: Ended) -> None:
        day = self._running.day
        code = f" {ended.code}" if ended.mark is Mark.REFUSED else ""
        day.ends[f"{step.verb}: {ended.mark.value}{code}"] += 1
        day.repeats += rom.repeats
        day.lost += [f"board {self._number}: {violation}" for violation in rom.violations]


def _config(lab: Lab, root: Path) -> snowowl.Config:
    performance = snowowl.Config().performance
    platform = attrs.evolve(performance.platform, poll_us=0)
    return snowowl.Config(
        server=ServerConfig(root=root, listen=listening("4"), tid=lab.tid),
        write=WriteConfig(enabled=True, overwrite=True),
        performance=attrs.evolve(performance, platform=platform),
    )


def _number(source: bytes) -> int:
    """Return the number of the board that has this address, 0 for the server."""
    host = address.host_octets(source)
    return host[2] << 8 | host[3] if host[0] == 10 else 0
