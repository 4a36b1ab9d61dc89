"""Plays cases with servers, many at a time, and gives back what was observed.

Each case is bounded in time.  Those that may leave a server deaf come last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import trio

from snowowl.datagram.interface import Network
from tests.differential.stage import Stand
from tests.differential.steps import Case, OverError
from tests.differential.talk import Talk

TOGETHER: Final = 12
"""Cases at a time with one server: most of them wait for nothing to come."""

CASE_SECONDS: Final = 30.0
HEAVY_SECONDS: Final = 300.0
NO_END: Final = "does not end"

Observed = dict[str, dict[str, str]]
"""By case and server: all observations in a row."""


async def play(network: Network, case: Case, stand: Stand) -> str:
    """Play a case with a server; return what was observed."""
    with Talk(network, stand.address, stand.root) as talk:
        with trio.move_on_after(HEAVY_SECONDS if case.heavy else CASE_SECONDS) as scope:
            with suppress(OverError):
                for step in case.steps:
                    await step(talk)
        await talk.leave()
        if scope.cancelled_caught:
            talk.note(NO_END)
        return " | ".join(talk.observed)


async def play_all(
    network: Network,
    cases: Sequence[Case],
    stands: Sequence[Stand],
    told: Callable[[], object] = lambda: None,
    together: int = TOGETHER,
) -> Observed:
    """Play each case with each server that it is for; `told` is called after each."""
    observed: Observed = {case.name: {} for case in cases}

    async def one(case: Case, stand: Stand) -> None:
        observed[case.name][stand.name] = await play(network, case, stand)
        told()

    async def several(stand: Stand, todo: list[Case]) -> None:
        while todo:
            await one(todo.pop(0), stand)

    async def all_of(stand: Stand) -> None:
        concerned = list(filter(stand.plays, cases))
        todo = [case for case in concerned if not case.last]
        async with trio.open_nursery() as nursery:
            for _ in range(together):
                nursery.start_soon(several, stand, todo)
        await several(stand, [case for case in concerned if case.last])

    async with trio.open_nursery() as nursery:
        for stand in stands:
            nursery.start_soon(all_of, stand)
    return observed
