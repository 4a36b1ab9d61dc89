"""Runs a play in virtual time: Trio's clock that jumps, and no thread that it could not wait for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio
from trio.testing import MockClock

from snowowl.testing.determinism import scheduler_seeded, threads_inline

SECONDS_MAX = 100_000.0
"""Virtual: a client may ask for a timeout of 255 s, and is waited for some times that."""


def run(function: Callable[[], Awaitable[None]]) -> None:
    """Run an async function.  Raises what it raises; TooSlowError if it does not end."""

    async def bounded() -> None:
        with trio.fail_after(SECONDS_MAX):
            await function()

    with threads_inline(), scheduler_seeded(1):  # for runs that can be repeated
        trio.run(bounded, clock=MockClock(autojump_threshold=0))
