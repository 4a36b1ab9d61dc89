"""What the tests of the server share: threads that run at once, a seeded scheduler, a look for leaks."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from trio.testing import MockClock

from snowowl.testing.determinism import scheduler_seeded, threads_inline
from tests.server.world import World


@pytest.fixture(autouse=True)
def _no_threads() -> Iterator[None]:
    """Run what goes to a thread at once: a clock that jumps does not wait for threads."""
    with threads_inline(), scheduler_seeded(1):
        yield


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
