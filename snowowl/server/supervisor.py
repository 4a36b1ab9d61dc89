"""Several processes that serve as one: `snowowl serve` with `server.workers`.

The supervisor opens every socket that requests come in by: for each address one for each worker,
all on one port (SO_REUSEPORT), and the kernel deals the clients out.  It reads none of them, but
keeps them open, so that their number never changes: a client always comes to the same one, and what
arrives while a worker is being replaced waits in the socket for the next.

    supervise
     |- processes               cancelled last: ends and reaps whatever has not ended by itself
         |- a keeper each       cancelled first, or it would replace what ends in a drain
         |- watch               ends workers that hang, for their keepers to replace
         |- reloads

Requests and transfers are none of its business, and their events do not reach its observers: each
worker writes its own part of the log.  `snowowl.server.serve` is what a program embeds.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from socket import socket
from typing import Final, Literal

import attrs
import trio

from snowowl.config import Config, LimitsConfig
from snowowl.config.difference import keeping
from snowowl.observe.events import (
    ReloadFailed,
    ServerDraining,
    ServerReloaded,
    ServerStarted,
    ServerStopped,
    WorkerEnded,
    WorkerStarted,
)
from snowowl.observe.metrics import Metrics
from snowowl.observe.observers import Observer, Observers
from snowowl.server.channel import Order
from snowowl.server.crew import Crew
from snowowl.server.errors import WorkerError
from snowowl.server.listening import Listening, open_sockets
from snowowl.server.reloading import (
    AS_IT_WAS,
    FIXED_FOR_ALL,
    Change,
    ConflictError,
    Reloads,
    change_to,
)
from snowowl.server.worker_process import Worker, how_it_ended, worker_command

WORKERS_MAX: Final = 256
"""As `server.workers` has it."""

YOUNG_SECONDS: Final = 10.0
"""A worker that dies younger than this may die again at once: what follows it has to wait."""

PAUSE_MIN_SECONDS: Final = 0.1
PAUSE_MAX_SECONDS: Final = 10.0

LEAVE_SECONDS: Final = 2.0
"""For a worker to end, beyond the time that its transfers get: those that are left are told, and
its last log lines written.  Then it is ended."""

HANDOVER_SECONDS: Final = 1.0
"""For a worker to say that it takes no more requests; it does so at once, unless it hangs."""

RETIRED_MAX: Final = 4
"""Workers of one place that were replaced and still have transfers: some 40 MB each.  With more the
oldest drains.  It takes as many reloads within the time that one transfer lasts."""

GRACE_SECONDS: Final = 0.25
"""After SIGTERM to a worker: systemd sends it to all processes of a unit, and the supervisor may
hear of it last."""

PING_SECONDS: Final = 5.0
"""Between two questions to each worker whether its event loop runs."""

PINGS_MAX: Final = 4
"""Questions without an answer, after which a worker hangs: 20 s.  Nothing in it blocks for long, and
a machine that swaps badly stops it for seconds.  Clients give up after some 30 s.  They are counted
instead of the time, which also passes while the supervisor itself is stopped."""

_LINUX: Final = sys.platform == "linux"


def worker_count(workers: int | Literal["auto"]) -> int:
    """Return how many processes serve here if `server.workers` says so."""
    if not _LINUX:  # elsewhere SO_REUSEPORT is missing, or gives all to one of the sockets
        return 1
    if workers == "auto":
        return min(len(os.sched_getaffinity(0)), WORKERS_MAX)
    return workers


def share_of(limits: LimitsConfig, count: int) -> LimitsConfig:
    """Return what each of some workers may take on of what all may together.

    Limits of one client stay whole: the kernel deals clients out by address *and* port, so nobody
    knows how many workers meet the same address.
    """
    return attrs.evolve(
        limits,
        transfers_max=-(-limits.transfers_max // count),
        unanswered_max=-(-limits.unanswered_max // count),
        requests_per_second_total=limits.requests_per_second_total / count,
        errors_per_second_total=limits.errors_per_second_total / count,
        uploads_max=-(-limits.uploads_max // count),
        open_files_max=max(16, -(-limits.open_files_max // count)),
    )


class Pauses:
    """How long to wait before a worker is replaced: not at all, then longer while they die young."""

    def __init__(self) -> None:
        self._next = 0.0

    def after(self, lived_seconds: float) -> float:
        """Return the seconds to wait after one that lived so long."""
        if lived_seconds >= YOUNG_SECONDS:
            self._next = 0.0
        pause = self._next
        self._next = min(max(2 * pause, PAUSE_MIN_SECONDS), PAUSE_MAX_SECONDS)
        return pause


@attrs.define(eq=False)
class _Slot:
    """A place for one worker: the sockets are the place's."""

    number: int
    sockets: tuple[socket, ...]
    worker: Worker
    pauses: Pauses = attrs.field(factory=Pauses)
    changing: trio.Lock = attrs.field(factory=trio.Lock)
    """Held by who puts another worker in place."""
    retired: list[Worker] = attrs.field(factory=list)
    """Those before, of which transfers still run; the oldest first."""


async def supervise(
    config: Config,
    count: int,
    *,
    listening: Listening | None = None,
    observers: Iterable[Observer] = (),
    drain: trio.Event | None = None,
    reloads: Reloads | None = None,
    colors: bool = False,
    metrics: Metrics | None = None,
    crew: Crew | None = None,
    command: Sequence[str] = (),
    task_status: trio.TaskStatus[Sequence[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve by `count` processes until cancelled, or until `drain` is set and all have ended.

    What comes by `reloads` replaces the configuration, worker by worker; the old ones stay until
    their transfers have ended.  The channel is closed when no more is taken.  `listening` are the
    sockets, if they are open already.  `metrics` observes, too, and is told what all count; `crew` is
    who they are.  `command` is for tests: what to run in place of workers.

    Raises ListenError if an address cannot be listened on, WorkerError if a worker cannot start.
    No process outlives it, unless it is killed: then they drain and end by themselves.
    """
    told = Observers(observers if metrics is None else (*observers, metrics))
    crew = crew or Crew()
    with ExitStack() as end, ExitStack() as stack:
        if reloads is not None:
            stack.callback(reloads.close)
        if metrics is not None:
            stack.callback(metrics.add_source(crew))
        if listening is None:
            listening = stack.enter_context(open_sockets(config, count))
        slots = [
            _Slot(number, sockets, Worker(number))
            for number, sockets in enumerate(listening.places, 1)
        ]
        addresses = listening.addresses
        failure = ""
        async with trio.open_nursery() as processes:
            supervisor = _Supervisor(
                config, slots, processes, told, crew, command or worker_command(), colors=colors
            )
            failure = await supervisor.start()
            if not failure:
                started = ServerStarted(addresses, str(config.server.root), count)
                told.emit(started)
                end.callback(told.emit, ServerStopped())
                task_status.started(addresses)
                async with trio.open_nursery() as managing:
                    for slot in slots:
                        managing.start_soon(supervisor.keep, slot)
                    managing.start_soon(supervisor.watch)
                    if reloads is not None:
                        managing.start_soon(supervisor.reload_each, reloads)
                    await (trio.Event() if drain is None else drain).wait()
                    managing.cancel_scope.cancel()
                await supervisor.drain()
            processes.cancel_scope.cancel()
    if failure:
        raise WorkerError(failure)


class _Supervisor:
    """Starts, replaces and ends workers."""

    def __init__(
        self,
        config: Config,
        slots: Sequence[_Slot],
        processes: trio.Nursery,
        observers: Observers,
        crew: Crew,
        command: Sequence[str],
        *,
        colors: bool,
    ) -> None:
        self._config = config
        self._slots = slots
        self._processes = processes
        self._observers = observers
        self._command = command
        self._colors = colors
        self._alive: set[Worker] = set()
        self._crew = crew

    async def start(self) -> str:
        """Start all workers; return why one cannot, nothing if all can."""
        async with trio.open_nursery() as nursery:
            for slot in self._slots:
                nursery.start_soon(self._start_first, slot)
        for worker in (slot.worker for slot in self._slots):
            if worker.ended.is_set():
                return worker.failure or f"a worker ends as soon as it starts: {worker.reason}"
        for slot in self._slots:
            self._let_go(slot.worker, replaces_lost=False)
        return ""

    async def keep(self, slot: _Slot) -> None:
        """Replace the worker of a place whenever it is gone."""
        while True:
            worker = slot.worker
            await worker.drained.wait()
            with trio.move_on_after(GRACE_SECONDS):
                await worker.ended.wait()
            if slot.worker is not worker:
                continue
            pause = slot.pauses.after(trio.current_time() - worker.since)
            reason = worker.reason or how_it_ended(0)
            self._observers.emit(WorkerEnded(slot.number, worker.pid, reason, pause))
            await trio.sleep(pause)
            async with slot.changing:
                if slot.worker is not worker:
                    continue
                slot.worker = await self._start(slot, self._config)
                if slot.worker.is_ready:
                    self._let_go(slot.worker, replaces_lost=True)
            if not worker.ended.is_set():
                seconds = self._config.server.drain_seconds
                self._processes.start_soon(self._see_off, worker, seconds)

    async def watch(self) -> None:
        """Ask the workers for signs of life; end one that gives none."""
        while True:
            await trio.sleep(PING_SECONDS)
            for worker in tuple(self._alive):
                if worker.unanswered >= PINGS_MAX:
                    worker.kill(f"it gave no sign of life for {PINGS_MAX * PING_SECONDS:g} s")
                elif worker.is_ready:
                    worker.ping()

    async def reload_each(self, reloads: Reloads) -> None:
        """Take new configurations, one after another; cancelled, close the channel."""
        with reloads:
            async for new in reloads:
                config = new
                if worker_count(new.server.workers) == len(self._slots):  # by whichever word
                    config = keeping(new, self._config, ("server.workers",))
                try:
                    change = change_to(config, self._config, FIXED_FOR_ALL)
                except ConflictError as error:
                    self._refuse(f"{error}")
                else:
                    await self._reload(change)

    async def drain(self) -> None:
        """Tell all workers to take no more requests, and wait until they have ended."""
        workers = tuple(self._alive)
        for worker in workers:
            worker.drain()
        with trio.move_on_after(HANDOVER_SECONDS):
            for worker in workers:
                await worker.drained.wait()
        seconds = self._config.server.drain_seconds
        self._observers.emit(ServerDraining(sum(worker.active for worker in workers), seconds))
        with trio.move_on_after(seconds + LEAVE_SECONDS):
            for worker in workers:
                await worker.ended.wait()

    async def _start_first(self, slot: _Slot) -> None:
        slot.worker = await self._start(slot, self._config)

    async def _start(self, slot: _Slot, config: Config) -> Worker:
        """Start a process and wait until it could serve, or has ended."""
        worker = Worker(slot.number)
        listening = tuple(sock.fileno() for sock in slot.sockets)
        order = Order(self._share_of(config), listening, self._colors)
        await self._processes.start(self._run, worker, order)
        await worker.settled.wait()
        return worker

    async def _run(
        self,
        worker: Worker,
        order: Order,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        self._alive.add(worker)
        self._crew.join(worker)
        try:
            await worker.run(self._command, order, task_status=task_status)
        finally:
            self._alive.discard(worker)
            self._crew.leave(worker)

    def _share_of(self, config: Config) -> Config:
        """Return the configuration of one worker."""
        # Not 1: of a quota, which is not divided here, each takes a share of what is left.
        server = attrs.evolve(config.server, workers=len(self._slots))
        limits = share_of(config.limits, len(self._slots))
        return attrs.evolve(config, server=server, limits=limits)

    def _let_go(self, worker: Worker, *, replaces_lost: bool) -> None:
        worker.go()
        self._observers.emit(WorkerStarted(worker.number, worker.pid, replaces_lost))

    async def _reload(self, change: Change) -> None:
        """Replace the workers one by one; none, if the first cannot start."""
        config = change.config
        # A worker ends by what it was started with; this is for one that does not.
        seconds = max(each.limits.transfer_seconds_max for each in (self._config, config))
        for slot in self._slots:
            async with slot.changing:
                worker = await self._start(slot, config)
                if not worker.is_ready:
                    self._refuse(worker.reason, slot)
                    return
                before, slot.worker = slot.worker, worker
                self._config = config  # also for what is replaced from here on
                before.retire()
                with trio.move_on_after(HANDOVER_SECONDS):
                    await before.drained.wait()
                self._let_go(worker, replaces_lost=False)
            self._processes.start_soon(self._keep_retired, slot, before, seconds)
        self._observers.emit(ServerReloaded(str(config.server.root), change.kept, change.changed))

    def _refuse(self, reason: str, slot: _Slot | None = None) -> None:
        left = AS_IT_WAS
        if slot is not None and slot.number > 1:
            left = f"the workers from {slot.number} on go on as they were"
        self._observers.emit(ReloadFailed(f"{reason}; {left}"))

    async def _keep_retired(self, slot: _Slot, worker: Worker, seconds: float) -> None:
        """Let the transfers of a worker that was replaced take their time, but not of too many."""
        if not worker.drained.is_set():  # it does not hear, and may still read the sockets
            await self._see_off(worker, self._config.server.drain_seconds)
            return
        slot.retired.append(worker)
        if len(slot.retired) > RETIRED_MAX:
            oldest = slot.retired.pop(0)
            oldest.drain()
            self._processes.start_soon(self._see_off, oldest, self._config.server.drain_seconds)
        await self._see_off(worker, seconds)
        if worker in slot.retired:
            slot.retired.remove(worker)

    async def _see_off(self, worker: Worker, seconds: float) -> None:
        """Give a worker that takes no more requests its time."""
        with trio.move_on_after(seconds + LEAVE_SECONDS):
            await worker.ended.wait()
        worker.kill()
