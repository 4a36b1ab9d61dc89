"""What the tests of the server share: threads that run at once, a seeded scheduler, a look for leaks."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar, TypeVarTuple, Unpack

import pytest
import trio
import trio._core._run as trio_run
from trio.testing import MockClock

from tests.server.world import World

_Result = TypeVar("_Result")
_Arguments = TypeVarTuple("_Arguments")


async def run_at_once(
    function: Callable[[Unpack[_Arguments]], _Result],
    *arguments: *_Arguments,
    abandon_on_cancel: bool = False,
    limiter: trio.CapacityLimiter | None = None,
) -> _Result:
    """Do what `trio.to_thread.run_sync` does, without a thread."""
    del abandon_on_cancel, limiter
    await trio.lowlevel.checkpoint()
    return function(*arguments)


@pytest.fixture(autouse=True)
def _no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run what goes to a thread at once: a clock that jumps does not wait for threads."""
    monkeypatch.setattr(trio.to_thread, "run_sync", run_at_once)
    trio_run._r.seed(1)  # the order of tasks, for runs that can be repeated


@pytest.fixture(autouse=True)
def _no_leaked_descriptors() -> Iterator[None]:
    descriptors = Path("/proc/self/fd")
    if not descriptors.is_dir():
        yield
        return
    before = len(list(descriptors.iterdir()))
    yield
    if len(list(descriptors.iterdir())) != before:
        gc.collect()
    assert len(list(descriptors.iterdir())) <= before  # fewer: of a test before


@pytest.fixture
def clock() -> MockClock:
    """A clock that jumps to the next deadline; a test has it only by naming it itself."""
    return MockClock(autojump_threshold=0)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A server's root and a network; every server that ran in it must have left nothing behind."""
    world = World(tmp_path)
    yield world
    world.check()
