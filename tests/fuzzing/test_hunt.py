"""Each bug of a toy server is found within so many scripts, and made as small as it can be."""

from __future__ import annotations

import re

import pytest
import trio
from trio.testing import MockClock

from snowowl.testing.fuzzing.finding import Oracle
from snowowl.testing.fuzzing.hunt import CONFIRM_TIMES, Hunt, Plan, Result
from snowowl.testing.fuzzing.leaks import Secret
from snowowl.testing.fuzzing.replay import step_text
from snowowl.testing.fuzzing.target import Foreign
from snowowl.testing.fuzzing.trial import Conditions, GoneError, Trial
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
    assert not network.endpoints  # nothing of ours is left, nor of the toy's
    return result, toy


BUGS = {
    "dies": (3, 60, "crash/died", [r'A send b"\\x00\\x0[12](snowowl-fuzz-)?\\xff\\x00octet\\x00"']),
    "wedges": (4, 10, "hang/silent", [r'A send b""']),
    "sleeps": (1, 20, "hang/late", [r'A send b"\\x00\\x04"']),
    "answers errors": (
        3,
        30,
        "protocol/error-answered/listening port",
        [r'A send b"\\x00\\x05.*"'],
    ),
    "goes up": (
        *(5, 60, "leak/secret"),
        [r'A send b"\\x00\\x01boot/../../(../srv/)?tftp-secret/key\\x00octet\\x00"'],
    ),
    "checks a prefix": (
        *(6, 30, "leak/secret"),
        [r'A send b"\\x00\\x01(../)+(srv/)?tftp-secret/key\\x00octet\\x00"'],
    ),
    "grants more": (
        *(2, 30, "protocol/oack-larger/blksize"),
        [r'A send b"\\x00\\x01boot/file\\x00octet\\x00blksize\\x00\d+\\x00"'],
    ),
    "grants unasked": (
        *(2, 30, "protocol/oack-unasked/tsize"),
        [r'A send b"\\x00\\x01boot/file\\x00octet\\x00blksize\\x00\d+\\x00"'],
    ),
    "amplifies": (
        *(4, 30, "amplification/datagrams"),
        [r'A send b"\\x00\\x01boot/file\\x00octet\\x00"'],
    ),
    "minds strangers": (4, 30, "bystander/transfer-ended", [r'A send good b".{0,8}"']),
    "sorcerer": (
        *(2, 60, "protocol/sorcerers-apprentice"),
        [r'A send b"\\x00\\x01boot/file\\x00octet\\x00"', r"A answer twice [345]"],
    ),
}
"""Bug: the seed, scripts until it is found at the latest, the finding, and its smallest script's lines.

The seeds are those of several that find it at the least cost; each of them finds it within 400 scripts."""


@pytest.mark.parametrize("bug", BUGS)
async def test_a_bug_is_found_and_made_small(bug: str, autojump_clock: MockClock) -> None:
    seed, examples, name, steps = BUGS[bug]
    result, toy = await hunted(bug, examples, seed=seed)
    (found,) = result.found
    assert found.finding.name == name
    assert found.confirmed == CONFIRM_TIMES
    assert found.at_script <= examples
    lines = [step_text(step) for step in found.script.steps]
    assert len(lines) == len(steps), lines
    assert all(re.fullmatch(*pair) for pair in zip(steps, lines, strict=True)), lines
    assert result.restarts == toy.starts - 1


async def test_a_server_without_bugs_is_left_alone(autojump_clock: MockClock) -> None:
    result, toy = await hunted("", 60)
    assert not result.found
    assert (result.scripts, result.dismissed, toy.starts) == (60, 0, 1)
    assert result.bystands
    assert result.watches_usage


async def test_the_same_seed_plays_the_same_scripts(autojump_clock: MockClock) -> None:
    first, _ = await hunted("", 25, seed=7)
    again, _ = await hunted("", 25, seed=7)
    other, _ = await hunted("", 25, seed=8)
    assert first.datagrams == again.datagrams != other.datagrams


async def test_descriptors_that_are_left(autojump_clock: MockClock) -> None:
    result, _ = await hunted("leaks descriptors", 60, Oracle.EXHAUSTION)
    (found,) = result.found
    assert found.finding.name == "exhaustion/descriptors"
    assert found.confirmed == CONFIRM_TIMES
    assert len(found.script.steps) == 1
    assert found.script.repeats > 1


async def test_a_lesser_finding_ends_nothing(autojump_clock: MockClock) -> None:
    result, _ = await hunted("tells paths", 15, Oracle.PATHS)
    assert [found.finding.name for found in result.found] == ["paths/path-in-error"]
    assert result.scripts == 15


async def test_what_is_not_looked_for_is_not_found(autojump_clock: MockClock) -> None:
    result, _ = await hunted("minds strangers", 10, Oracle.LEAK, Oracle.CRASH, seed=4)
    assert not result.found
    assert not result.bystands


async def test_a_server_that_nobody_starts_again(autojump_clock: MockClock) -> None:
    """What was found is kept, as it was sent: nothing can be tried any more."""
    result, toy = await hunted("wedges", 10, seed=4, can_restart=False)
    (found,) = result.found
    assert found.finding.name == "hang/silent"
    assert found.confirmed == 0
    assert "no good answer within 10 s" in result.gone
    assert toy.starts == 1


async def test_a_server_that_is_not_there(autojump_clock: MockClock) -> None:
    network = SimNetwork()
    trial = Trial(network, SERVER, Foreign(), Conditions(wait_seconds=3.0))
    with pytest.raises(GoneError, match="no good answer within 3 s: its port is closed"):
        await Hunt(trial, Plan()).run()
    assert 3.0 <= trio.current_time() < 4.0


async def test_a_file_that_is_not_there(autojump_clock: MockClock) -> None:
    network = SimNetwork()
    async with trio.open_nursery() as nursery:
        toy = Toy(network, nursery)
        trial = Trial(network, SERVER, toy, Conditions(read=b"nothing", wait_seconds=1.0))
        with pytest.raises(GoneError, match="no good answer within 1 s: ERROR 1"):
            await Hunt(trial, Plan()).run()
        toy.stop()
