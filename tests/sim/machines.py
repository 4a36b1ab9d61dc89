"""Machines of the swarm: each does one job after another, until it dies or the run is over."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from contextlib import closing

import attrs
import trio

import snowowl
from snowowl.datagram import address
from snowowl.testing.simendpoint import SimEndpoint, socket_address
from tests.sim.rom import Ended, Habits, Mark, Rom
from tests.sim.swarm import SERVERS, World

BLKSIZES = (None, None, 8, 512, 1024, 1428, 1468, 8192)
WINDOWS = (None, None, 1, 2, 4, 16, 64)
EXCUSES = (0, 2, 3, 5)
"""ERROR codes that the swarm's troubles explain: shutdown, full, changed, out of resources, disk."""

PATIENCE_SECONDS = 300.0
"""No dead transfer is kept for longer: 255 s is the longest timeout that a client may ask for."""

Job = Callable[[SimEndpoint], Awaitable[None]]


class Machine:
    """One client with an address of its own."""

    def __init__(self, world: World, number: int) -> None:
        scenario = world.scenario
        self._world = world
        self._number = number
        self._draws = random.Random(scenario.seed * 1000 + number)
        family = scenario.families if len(scenario.families) == 1 else self._draws.choice("46")
        self._address = {"4": f"192.0.2.{10 + number}", "6": f"2001:db8::{10 + number}"}[family]
        self._host = world.simulation.host(self._address)
        self._server = {"4": SERVERS["4"][0], "6": SERVERS["6"][0]}[family]
        self._stored = 0

    async def live(self) -> None:
        """Do jobs."""
        world, draws = self._world, self._draws
        await trio.sleep(draws.uniform(0, 2))
        while trio.current_time() < world.scenario.seconds:
            if draws.random() < 0.25:
                await self._use_snowowl()
            else:
                await self._use_rom()
            await trio.sleep(draws.choice((0.0, 0.1, 1.0)))

    async def check_that_all_works(self) -> None:
        """Fetch and store, now that there are no faults any more."""
        world = self._world
        give_up = trio.current_time() + PATIENCE_SECONDS
        while True:
            try:
                await self._fetch_and_store()
            except snowowl.ClientError as error:
                # Full of transfers whose clients are gone, of which it cannot know yet.
                if "busy" in str(error) and trio.current_time() < give_up:
                    await trio.sleep(5)
                    continue
                world.problem(f"all faults are over, and yet: {error}")
            return

    async def _fetch_and_store(self) -> None:
        world = self._world
        name = world.library.names[-2]
        url = f"tftp://{self._bracketed}/"
        got = await snowowl.get(url + name, network=self._host)
        octets = self._draws.randbytes(3000)
        upload = world.ledger.begin(f"at the end {self._number}", octets, trio.current_time())
        sent = await snowowl.put(octets, url + upload.name, network=self._host)
        if got.octets != world.library.current(name) or not sent.confirmed:
            world.problem(f"all faults are over, and yet: {name} differs, or {sent}")
        upload.acknowledge(trio.current_time())

    @property
    def _bracketed(self) -> str:
        return f"[{self._server}]" if ":" in self._server else self._server

    def _note(self, end: str) -> None:
        self._world.findings.ends[end] += 1

    # The real client.

    async def _use_snowowl(self) -> None:
        draws = self._draws
        options = draws.choice(
            (
                snowowl.ClientOptions.none(),
                snowowl.ClientOptions(),
                snowowl.ClientOptions(windowsize=1, timeout=1),
                snowowl.ClientOptions(blksize=512, windowsize=draws.choice((2, 64))),
            )
        )
        try:
            if draws.random() < 0.6:
                await self._get(options)
            else:
                await self._put(options)
        except snowowl.ClientError as error:
            self._note(f"snowowl: {error.reason.name}")

    async def _get(self, options: snowowl.ClientOptions) -> None:
        world, since = self._world, trio.current_time()
        name = self._draws.choice([*world.library.names, "missing"])
        url = f"tftp://{self._bracketed}/{name}"
        got = await snowowl.get(url, options=options, network=self._host)
        self._check_content(name, got.octets or b"", since)
        self._note("snowowl: got")

    async def _put(self, options: snowowl.ClientOptions) -> None:
        world = self._world
        octets = self._draws.randbytes(self._draws.choice((0, 1, 512, 1468, 30_000, 80_000)))
        upload = world.ledger.begin(self._upload_name(), octets, trio.current_time())
        url = f"tftp://{self._bracketed}/{upload.name}"
        sent = await snowowl.put(octets, url, options=options, network=self._host)
        if sent.confirmed:
            upload.acknowledge(trio.current_time())
        self._note("snowowl: put" if sent.confirmed else "snowowl: put, unconfirmed")

    # Boot ROMs.

    async def _use_rom(self) -> None:
        draws, scenario = self._draws, self._world.scenario
        try:
            port = draws.choice((0, 0, 2000))
            endpoint = self._host.bind(port) if port else self._open()
        except OSError:
            self._note("rom: no socket")
            return
        job = draws.choice((self._fetch, self._fetch, self._store, self._store, self._probe))
        life = draws.expovariate(1) if draws.random() < scenario.deaths else 1e9
        with closing(endpoint), trio.move_on_after(life) as death:
            await job(endpoint)
        if death.cancelled_caught:
            self._note("rom: died")
            # A reset takes a while; what the network still holds of its old life is gone by then.
        if port or death.cancelled_caught:
            await trio.sleep(2.0 + 2 * scenario.link.late_seconds)

    def _open(self) -> SimEndpoint:
        return self._host.open(address.family_of(socket_address(self._address, 0)), None, None)

    def _habits(self) -> Habits:
        draws = self._draws
        return Habits(
            blksize=draws.choice(BLKSIZES),
            windowsize=draws.choice(WINDOWS),
            tsize=draws.random() < 0.5,
            timeout=draws.choice((None, None, 1, 5)),
            wait=draws.choice((0.3, 1.0, 5.0)),
            tries=draws.choice((2, 5)),
            error_on_gap=draws.random() < 0.1,
            acks_old=draws.random() < 0.2,
            thinks=draws.choice((0.0, 0.0, 0.02)),
        )

    async def _fetch(self, endpoint: SimEndpoint) -> None:
        draws, library = self._draws, self._world.library
        name = draws.choice([*library.names, "missing"])
        habits = self._habits()
        habits = attrs.evolve(habits, netascii=name == "text" and draws.random() < 0.7)
        if habits.blksize == 8:
            name = draws.choice(("file3", "file4", "missing"))
        rom = Rom(endpoint, habits)
        stop_after = draws.choice((-1, -1, -1, -1, draws.randrange(20)))
        since = trio.current_time()
        ended = await rom.fetch(self._to(), name.encode(), stop_after=stop_after)
        self._judge(rom, "fetch", ended)
        if ended.mark is Mark.DONE:
            octets = ended.octets
            if habits.netascii:
                octets = octets.replace(b"\r\n", b"\n").replace(b"\r\0", b"\r")
            self._check_content(name, octets, since)
        if ended.mark is Mark.REFUSED:
            self._check_refusal(name, ended)

    async def _probe(self, endpoint: SimEndpoint) -> None:
        """As UEFI does: probe, and then fetch."""
        rom = Rom(endpoint, attrs.evolve(self._habits(), tsize=True, blksize=1468, windowsize=4))
        name = self._draws.choice([name for name in self._world.library.names if name != "file0"])
        since = trio.current_time()
        probed = await rom.probe(self._to(), name.encode())
        self._judge(rom, "probe", probed)
        if probed.mark is not Mark.ABANDONED:
            return
        with closing(self._open()) as another:  # as EDK2 does: what is late cannot be mistaken
            rom = Rom(another, attrs.evolve(rom.habits, tsize=False))
            ended = await rom.fetch(self._to(), name.encode())
        self._judge(rom, "fetch after probe", ended)
        if ended.mark is Mark.DONE:
            self._check_content(name, ended.octets, since)

    async def _store(self, endpoint: SimEndpoint) -> None:
        draws, world = self._draws, self._world
        octets = draws.randbytes(draws.choice((0, 1, 511, 512, 4096, 20_000)))
        habits = self._habits()
        if habits.blksize == 8:
            octets = octets[:1000]
        upload = world.ledger.begin(self._upload_name(), octets, trio.current_time())
        rom = Rom(endpoint, habits)
        ended = await rom.store(self._to(), upload.name.encode(), octets)
        if ended.mark is Mark.DONE:
            upload.acknowledge(trio.current_time())
        self._judge(rom, "store", ended)

    def _to(self) -> bytes:
        return socket_address(self._server, 69)

    def _upload_name(self) -> str:
        """Return a name: mostly of its own, sometimes one that others use, too."""
        if self._world.scenario.overwrite and self._draws.random() < 0.3:
            return f"common{self._draws.randrange(3)}"
        self._stored += self._draws.random() < 0.8
        return f"up {self._number} {self._stored}"

    # What must be true.

    def _check_content(self, name: str, octets: bytes, since: float) -> None:
        world = self._world
        if world.scenario.mutilates:
            return
        if not world.library.could_be(name, octets, since):
            world.problem(f"machine {self._number} got {len(octets)} octets that never were {name}")

    def _check_refusal(self, name: str, ended: Ended) -> None:
        world = self._world
        if ended.code in EXCUSES or world.scenario.mutilates:
            return
        if ended.code == 1 and world.library.is_missing(name):
            return
        world.problem(f"machine {self._number} was refused {name}: {ended.code} {ended.message}")

    def _judge(self, rom: Rom, what: str, ended: Ended) -> None:
        code = f" {ended.code}" if ended.mark is Mark.REFUSED else ""
        self._note(f"rom: {what} {ended.mark.value}{code}")
        if not self._world.scenario.mutilates:
            for violation in rom.violations:
                self._world.problem(f"machine {self._number}: {violation}")
