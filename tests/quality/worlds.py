"""Whole servers on the simulated network: what clients, boards and strangers do, drawn by a seed.

Small and quick, for planted bugs: a world takes some hundredths of a second.  Each draws its link, its way
to answer (`tid`), a slow disk, and who comes; at its end nothing may be left, and what was told adds up.
"""

from __future__ import annotations

import errno
import gc
import itertools
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar, TypeVarTuple, Unpack, get_args
from unittest import mock

import trio
import trio._core._run as trio_run

from snowowl.observe.events import Event, RequestReceived, TransferFinished
from snowowl.testing.link import Datagram, Link
from snowowl.testing.simnetwork import SimNetwork
from tests.quality.finding import Tally, run_async
from tests.quality.visitors import BOARDS, TRANSFERS_MAX, UPLOAD_MAX, VISITS, Visitors
from tests.server.world import Tid, World

CLEAN: Final = Link()

_Result = TypeVar("_Result")
_Arguments = TypeVarTuple("_Arguments")


class Network(SimNetwork):
    """A network whose trouble is that of real clients; boards that are played by hand have none."""

    def link_between(self, source: bytes, target: bytes) -> Link:
        return CLEAN if BOARDS in (source[4:8], target[4:8]) else self.link


class Stage:
    """One world while it runs, and what was seen to be wrong in it."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.draws = random.Random(seed)
        self.problems: list[str] = []
        self.world = World(folder)
        draws = self.draws
        self.world.network = Network(seed, self._link(), coalesces=draws.random() < 0.5)
        self.world.network.refuse_send = self._refuse
        self._blocked = draws.choice((0.0, 0.0, 0.05))
        self.world.listeners.append(self._hear)
        self._running = 0
        self.visitors = Visitors(self.world, draws)
        self.tid: Tid = draws.choice(get_args(Tid))

    def _link(self) -> Link:
        draws = self.draws
        return Link(
            loss=draws.choice((0.0, 0.02, 0.1)),
            duplication=draws.choice((0.0, 0.1)),
            reordering=draws.choice((0.0, 0.1)),
        )

    def _refuse(self, datagram: Datagram) -> int | None:
        """Look at the uploads with every datagram; refuse some."""
        for name, octets in self.visitors.uploads.items():
            path = self.world.root / name
            if path.exists() and path.read_bytes() != octets:
                self.problems.append(f"{name} is visible, and not whole")
        by_hand = datagram.source[4:8] == BOARDS  # whoever plays it does not try again
        return errno.EAGAIN if not by_hand and self.draws.random() < self._blocked else None

    def _hear(self, event: Event) -> None:
        self._running += isinstance(event, RequestReceived)
        self._running -= isinstance(event, TransferFinished)
        if not 0 <= self._running <= TRANSFERS_MAX:
            self.problems.append(f"{self._running} transfers at once")

    async def on_disk(
        self,
        function: Callable[[Unpack[_Arguments]], _Result],
        *arguments: *_Arguments,
        abandon_on_cancel: bool = False,
        limiter: trio.CapacityLimiter | None = None,
    ) -> _Result:
        """Do what `trio.to_thread.run_sync` does, without a thread, on a disk that is slow at times."""
        del abandon_on_cancel, limiter
        await trio.lowlevel.checkpoint()
        with trio.CancelScope(shield=True):
            await trio.sleep(self.draws.choice((0.0, 0.001, 0.03)))
        return function(*arguments)

    async def run(self) -> None:
        """Serve until every visitor has gone, drain, and look at what is left."""
        world, visitors = self.world, self.visitors
        tasks = _tasks()
        config = world.config(
            self.tid,
            transfers_max=TRANSFERS_MAX,
            size_max=UPLOAD_MAX,
            drain_seconds=120.0,
        )
        with trio.fail_after(10_000):
            async with trio.open_nursery() as late:
                async with world.serving(config):
                    async with trio.open_nursery() as nursery:
                        for visit in self.draws.sample(VISITS, self.draws.randint(4, 7)):
                            nursery.start_soon(visit, visitors, self.tid)
                    if self.draws.random() < 0.25:
                        await visitors.comes_in_a_crowd()
                    else:
                        await late.start(visitors.is_served_while_draining)
                await trio.testing.wait_all_tasks_blocked()
        assert not self.problems, self.problems
        assert _tasks() == tasks, "a task is left"
        world.check()
        visitors.check()


def in_worlds(tally: Tally) -> None:
    """Run one world after the other."""
    for seed in itertools.count(1):
        tally.next()
        run_world(seed)


def run_world(seed: int) -> None:
    """Run the world of a seed.  Raises what is wrong with it."""
    with tempfile.TemporaryDirectory() as name:
        before = _descriptors()
        stage = Stage(seed, Path(name))
        trio_run._r.seed(seed)
        with mock.patch.object(trio.to_thread, "run_sync", stage.on_disk):
            run_async(stage.run)
        if _descriptors() != before:
            gc.collect()
        assert _descriptors() == before, "a descriptor is left"


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _tasks() -> int:
    root = trio.lowlevel.current_root_task()
    assert root is not None
    return sum(len(nursery.child_tasks) for nursery in root.child_nurseries)
