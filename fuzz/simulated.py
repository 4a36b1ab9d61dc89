"""Runs a play in virtual time: Trio's clock that jumps, and no thread that it could not wait for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio
import trio._core._run as trio_run
from trio.testing import MockClock

from tests.server.conftest import run_at_once

SECONDS_MAX = 100_000.0
"""Virtual: a client may ask for a timeout of 255 s, and is waited for some times that."""


def run(function: Callable[[], Awaitable[None]]) -> None:
    """Run an async function.  Raises what it raises; TooSlowError if it does not end."""

    async def bounded() -> None:
        with trio.fail_after(SECONDS_MAX):
            await function()

    trio_run._r.seed(1)  # the order of tasks, for runs that can be repeated
    in_thread = trio.to_thread.run_sync
    trio.to_thread.run_sync = run_at_once  # type: ignore[assignment]
    try:
        trio.run(bounded, clock=MockClock(autojump_threshold=0))
    finally:
        trio.to_thread.run_sync = in_thread
