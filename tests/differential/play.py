"""Plays cases with servers, many at a time, and gives back what was observed.

Each case is bounded in time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import trio

from snowowl.datagram.interface import Network
from tests.differential.stage import Stand
from tests.differential.steps import Case, OverError
from tests.differential.talk import ANSWER_SECONDS, UPLOAD_ANSWER_SECONDS, Talk

TOGETHER: Final = 16
"""Cases at a time with one server: most of them wait for nothing to come."""

CASE_SECONDS: Final = 20.0
HEAVY_SECONDS: Final = 600.0
NO_END: Final = "does not end"

Observed = dict[str, dict[str, str]]
"""By case and server: all observations in a row."""


async def play(network: Network, case: Case, stand: Stand) -> str:
    """Play a case with a server; return what was observed."""
    seconds = UPLOAD_ANSWER_SECONDS if case.writes else ANSWER_SECONDS
    with Talk(network, stand.address, stand.root, seconds) as talk:
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

    async def several(stand: Stand, todo: list[Case]) -> None:
        while todo:
            case = todo.pop(0)
            observed[case.name][stand.name] = await play(network, case, stand)
            told()

    async with trio.open_nursery() as nursery:
        for stand in stands:
            todo = list(filter(stand.plays, cases))
            for _ in range(together):
                nursery.start_soon(several, stand, todo)
    return observed
