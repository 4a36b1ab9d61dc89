"""Each bug of a toy server is found within so many scripts, and made as small as it can be."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from snowowl.testing.fuzzing.finding import Oracle
from snowowl.testing.fuzzing.hunt import CONFIRM_TIMES, Hunt, Plan, Result
from snowowl.testing.fuzzing.leaks import Secret
from snowowl.testing.fuzzing.replay import step_text
from snowowl.testing.fuzzing.trial import Conditions, Trial
from snowowl.testing.simnetwork import SimNetwork
from tests.fuzzing.toys import NAME, SECRET, SERVER, Toy

SECRETS = (Secret(b"/srv/tftp-secret/key", SECRET),)


async def hunted(
    bug: str,
    examples: int,
    *only: Oracle,
    seed: int = 0,
    keep_going: bool = False,
    can_restart: bool = True,
) -> tuple[Result, Toy]:
    network = SimNetwork()
    async with trio.open_nursery() as nursery:
        toy = Toy(network, nursery, bug, can_restart)
        if not can_restart:
            await toy.restart()
        conditions = Conditions(
            oracles=frozenset(only or Oracle), read=NAME, secrets=SECRETS, seed=seed
        )
        trial = Trial(network, SERVER, toy, conditions)
        plan = Plan(seconds=None, examples=examples, seed=seed, keep_going=keep_going)
        result = await Hunt(trial, plan).run()
        toy.stop()
        nursery.cancel_scope.cancel()
    assert not network.endpoints
    return result, toy


FOUND = {
    "dies": (100, "crash/died", ['A send b"\\x00\\x01\\xff\\x00"']),
    "wedges": (100, "hang/silent", ['A send b""']),
}


@pytest.mark.parametrize("bug", FOUND)
async def test_a_bug_is_found_and_made_small(bug: str, autojump_clock: MockClock) -> None:
    examples, name, steps = FOUND[bug]
    result, _ = await hunted(bug, examples)
    (found,) = result.found
    assert found.finding.name == name
    assert found.confirmed == CONFIRM_TIMES
    assert [step_text(step) for step in found.script.steps] == steps
