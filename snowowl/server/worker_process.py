"""A worker process as its supervisor sees it.  No decision about workers may be here."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Final

import trio

from snowowl.observe.metrics import Snapshot
from snowowl.server.channel import Channel, Order, Word
from snowowl.server.crew import decode_counts

STOP_SECONDS: Final = 3.0
"""For a worker that is told to stop: it sends an ERROR to each peer and writes its last log lines,
for which it takes `FLUSH_SECONDS` at most.  Then it is killed."""

HANG_UP_SECONDS: Final = 1.0
"""For the last words of a process that has ended: they are there already."""


def worker_command() -> tuple[str, ...]:
    """Return the command that starts a worker, to be followed by its number.

    With -P, lest what lies in the working directory, which may be the served one, is imported.
    """
    no_user_site = ["-s"] if sys.flags.no_user_site else []
    optimize = ["-" + "O" * sys.flags.optimize] if sys.flags.optimize else []
    flags = ("-P", *no_user_site, *optimize)
    return (sys.executable, *flags, "-m", "snowowl.server.worker_main")


def worker_environment(environ: Mapping[str, str], path: Sequence[str]) -> dict[str, str]:
    """Return the environment of a worker: it imports from where this process does.

    So it finds the same snowowl, be it installed, or in a folder that only `sys.path` knows.
    """
    kept = dict(environ)
    if sys.flags.ignore_environment:
        kept = {name: value for name, value in kept.items() if not name.startswith("PYTHON")}
    return kept | {"PYTHONPATH": os.pathsep.join(path)}


class Worker:
    """One process.  Its `run` lasts as long as the process does, and longer than nothing of it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.pid = 0
        self.is_ready = False
        self.failure = ""
        """Why it cannot serve, in its own words."""
        self.reason = ""
        """Why it is not there any more, once `ended` is set."""
        self.active = 0
        """Transfers that it had when it began to drain."""
        self.unanswered = 0
        """How often it was asked for a sign of life since the last one."""
        self.since = trio.current_time()
        self.counts: Snapshot = {}
        """Its metrics, as it told them last."""
        self.settled = trio.Event()
        """It is ready, or it has ended."""
        self.drained = trio.Event()
        """It takes no more requests, or it has ended."""
        self.ended = trio.Event()
        self._retired = False
        self._channel: Channel | None = None
        self._process: trio.Process | None = None

    def tell(self, word: Word) -> None:
        """Send it a word, if there is a process."""
        if self._channel is not None:
            self._channel.tell(word)

    def go(self) -> None:
        """Let it take requests."""
        self.tell("go")

    def drain(self) -> None:
        """Let it take no more requests, and end when its transfers have."""
        if self._retired and not self.ended.is_set():
            self.drained = trio.Event()  # it says again how many transfers it has
        self.tell("drain")

    def retire(self) -> None:
        """Do as `drain`, but let the transfers take their time; `drain` may still follow."""
        self._retired = True
        self.tell("retire")

    def ping(self) -> None:
        """Ask for a sign of life."""
        if self._channel is not None:
            self.unanswered += 1
            self._channel.tell("ping")

    async def run(
        self,
        command: Sequence[str],
        order: Order,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Run the process until it ends; cancelled, end it.  Raises nothing but Cancelled.

        `task_status` is told when there is a process, or there will never be one.
        """
        try:
            ours, theirs = socket.socketpair()
            with closing(Channel(ours)) as channel:
                with theirs:
                    process = await trio.lowlevel.open_process(
                        [*command, str(self.number)],
                        stdin=theirs.fileno(),
                        pass_fds=order.listening,
                        env=worker_environment(os.environ, sys.path),
                    )
                self.pid, self._process, self._channel = process.pid, process, channel
                try:
                    task_status.started()
                    await self._attend(process, channel, order)
                finally:
                    with trio.CancelScope(shield=True):
                        await self._end(process, channel)
                    self.reason = self.failure or how_it_ended(process.returncode or 0)
        except OSError as error:  # no memory, no descriptors, no more processes, no Python
            self.failure = self.reason = f"a worker cannot be started: {error}"
            task_status.started()
        finally:
            for event in (self.ended, self.drained, self.settled):
                event.set()

    def kill(self, reason: str = "") -> None:
        """End it at once, whatever it does; `reason` is what to say of it then."""
        self.failure = self.failure or reason
        if self._process is not None:
            self._process.kill()

    async def _attend(self, process: trio.Process, channel: Channel, order: Order) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(channel.send, order.encode())
            nursery.start_soon(self._listen, channel)
            await process.wait()
            nursery.cancel_scope.deadline = trio.current_time() + HANG_UP_SECONDS

    async def _listen(self, channel: Channel) -> None:
        try:
            await self._heed(channel)
        except (ValueError, RecursionError):
            self.kill("it talked nonsense")

    async def _heed(self, channel: Channel) -> None:
        while (message := await channel.receive()) is not None:
            self.unanswered = 0
            match message.word:
                case "ready":
                    self.is_ready = True
                    self.settled.set()
                case "draining":
                    self.active = int(message.detail)
                    self.drained.set()
                case "failed":
                    self.failure = message.detail
                case "counts":
                    self.counts = decode_counts(message.detail)

    async def _end(self, process: trio.Process, channel: Channel) -> None:
        if process.returncode is not None:
            return
        channel.tell("stop")
        with trio.move_on_after(STOP_SECONDS):
            await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()


def how_it_ended(status: int) -> str:
    """Say what the exit status of a worker means that nobody here told to end."""
    if status == 0:
        return "somebody sent it SIGTERM"
    if status > 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:  # a real-time signal
        return f"killed by signal {-status}"
