"""SIGHUP: what is read, what is told, and that it ends nothing."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from snowowl.cli.serve_reloads import SHUTTING_DOWN, Reloads
from snowowl.cli.signals import Terminal
from snowowl.config import Config, ConfigError, LogConfig, Problem
from snowowl.observe.events import Event, ReloadFailed, ServerReloaded

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no SIGHUP")

DONE = ServerReloaded(".", ())


@pytest.fixture(autouse=True)
def _unchanged_signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


@attrs.define
class Program:
    """What is around: a configuration that can be read, and what was told."""

    wanted: list[Config | Exception] = attrs.field(factory=list)
    """What the next readings find."""
    gate: threading.Event = attrs.field(factory=threading.Event)
    told: list[Event | str | Config] = attrs.field(factory=list)
    logged: list[Event] = attrs.field(factory=list)
    drain: trio.Event = attrs.field(factory=trio.Event)
    reloads: Reloads = attrs.field(init=False)
    read: int = 0

    def __attrs_post_init__(self) -> None:
        self.gate.set()
        self.reloads = Reloads(
            self.configure,
            self.told.append,
            log=self.logged.append,
            warn=self.told.append,
            begins=lambda: self.told.append("begins"),
        )

    def configure(self) -> Config:
        self.read += 1
        self.gate.wait(10)
        found = self.wanted.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    async def hang_up(self) -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        with trio.fail_after(5):
            before = self.read
            while self.read == before:
                await trio.sleep(0.001)


@asynccontextmanager
async def program(*wanted: Config | Exception) -> AsyncIterator[Program]:
    with trio.fail_after(10):
        made = Program(list(wanted))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(made.reloads.watch, made.drain)
            await wait_all_tasks_blocked()
            yield made
            nursery.cancel_scope.cancel()


ONE, TWO = Config(log=LogConfig(level="debug")), Config(log=LogConfig(format="json"))


async def test_what_is_read_is_handed_over_and_warned_of_once_it_has_taken_effect() -> None:
    async with program(ONE, TWO) as made:
        for config in (ONE, TWO):
            made.told.clear()
            await made.hang_up()
            assert await made.reloads.taken.receive() is config
            assert made.reloads.read is config
            await wait_all_tasks_blocked()
            assert made.told == ["begins"]
            made.reloads.observe(DONE)
            await wait_all_tasks_blocked()
            assert made.told == ["begins", config]


async def test_of_what_has_not_taken_effect_nothing_is_warned() -> None:
    async with program(ONE, TWO) as made:
        await made.hang_up()
        await made.reloads.taken.receive()
        made.reloads.observe(ReloadFailed("no"))
        await made.hang_up()
        assert await made.reloads.taken.receive() is TWO
        assert made.told == ["begins", "begins"]


async def test_what_is_wrong_is_told_and_changes_nothing() -> None:
    problems = [Problem("file", 1, "a.b", "no"), Problem("file", 2, "c.d", "never")]
    async with program(ConfigError(problems), ZeroDivisionError("a bug"), ONE) as made:
        await made.hang_up()
        await wait_all_tasks_blocked(0.05)
        assert made.told == ["begins", ReloadFailed(str(problems[0]))]
        assert made.logged == [ReloadFailed(str(problems[1]))]
        made.told.clear()
        await made.hang_up()
        await wait_all_tasks_blocked(0.05)
        failed = "the configuration cannot be read: ZeroDivisionError('a bug')"
        assert made.told == ["begins", ReloadFailed(failed)]
        assert made.reloads.read is None
        await made.hang_up()
        assert await made.reloads.taken.receive() is ONE


async def test_those_that_come_together_are_one_and_those_that_come_meanwhile_one_more() -> None:
    async with program(ONE, TWO) as made:
        made.gate.clear()
        await made.hang_up()
        for _ in range(5):
            os.kill(os.getpid(), signal.SIGHUP)
        await trio.sleep(0.05)
        assert made.read == 1
        made.gate.set()
        for config in (ONE, TWO):
            assert await made.reloads.taken.receive() is config
            made.reloads.observe(DONE)
        await trio.sleep(0.05)
        assert made.read == 2


async def test_while_the_server_drains_it_is_told_and_nothing_is_read() -> None:
    async with program(ONE) as made:
        made.drain.set()
        os.kill(os.getpid(), signal.SIGHUP)
        await trio.sleep(0.05)
        assert made.told == ["begins", SHUTTING_DOWN]
        assert made.read == 0


async def test_a_server_that_takes_nothing_more() -> None:
    async with program(ONE) as made:
        made.reloads.taken.close()
        await made.hang_up()
        await wait_all_tasks_blocked(0.05)
        assert made.told == ["begins", SHUTTING_DOWN]


async def test_a_drain_in_the_middle_of_a_reload() -> None:
    """What became of it is not told any more: nobody waits for that."""
    async with program(ONE) as made:
        await made.hang_up()
        await made.reloads.taken.receive()
        made.drain.set()
        await wait_all_tasks_blocked()
        os.kill(os.getpid(), signal.SIGHUP)
        await trio.sleep(0.05)
        assert made.told == ["begins", "begins", SHUTTING_DOWN]


async def test_it_kills_nobody_before_and_after() -> None:
    made = Program([])
    os.kill(os.getpid(), signal.SIGHUP)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.reloads.watch, made.drain)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGHUP)
    assert made.read == 0


@pytest.mark.parametrize("gone", [False, True])
async def test_with_its_terminal_gone_the_server_ends(
    monkeypatch: pytest.MonkeyPatch, *, gone: bool
) -> None:
    monkeypatch.setattr(Terminal, "find", lambda: Terminal(0))
    monkeypatch.setattr(Terminal, "is_gone", lambda _: gone)
    async with program(ONE) as made:
        os.kill(os.getpid(), signal.SIGHUP)
        await trio.sleep(0.1)
        assert made.drain.is_set() == gone
        assert made.read == (0 if gone else 1)
