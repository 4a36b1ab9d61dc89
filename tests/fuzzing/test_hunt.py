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


FILE = r'A send b"\\x00\\x01boot/file\\x00octet\\x00{}"'
BLKSIZE = FILE.format(r"blksize\\x00\d+\\x00")
SECRET_KEY = r"tftp-secret/key\\x00octet\\x00"

QUICK = {
    "wedges": (20, "hang/silent", [r'A send b""']),
    "sleeps": (100, "hang/late", [r'A send b"\\x00\\x04"']),
    "checks a prefix": (200, "leak/secret", [rf'A send b"\\x00\\x01(../)+(srv/)?{SECRET_KEY}"']),
    "amplifies": (100, "amplification/datagrams", [FILE.format("")]),
    "minds strangers": (100, "bystander/transfer-ended", [r'A send good b".{0,8}"']),
}
SLOW = {
    "dies": (600, "crash/died", [r'A send b"\\x00\\x0[12](snowowl-fuzz-)?\\xff\\x00octet\\x00"']),
    "answers errors": (
        600,
        "protocol/error-answered/listening port",
        [r'A send b"\\x00\\x05.*"'],
    ),
    "goes up": (
        800,
        "leak/secret",
        [rf'A send b"\\x00\\x01/?boot/../../(../srv/)?{SECRET_KEY}"'],
    ),
    "grants more": (600, "protocol/oack-larger/blksize", [BLKSIZE]),
    "grants unasked": (600, "protocol/oack-unasked/tsize", [BLKSIZE]),
    "sorcerer": (
        600,
        "protocol/sorcerers-apprentice",
        [FILE.format(""), r"A answer twice [345]"],
    ),
}
"""Bug: scripts of any seed until it is found at the latest, the finding, and its smallest script."""

BUGS = QUICK | SLOW


@pytest.mark.parametrize(
    "bug", [*QUICK, *(pytest.param(bug, marks=pytest.mark.slow) for bug in SLOW)]
)
async def test_a_bug_is_found_and_made_small(bug: str, autojump_clock: MockClock) -> None:
    examples, name, steps = BUGS[bug]
    played, result = 0, Result(0)
    while not result.found:
        # What a seed draws differs with the version of Hypothesis and what is imported: so any of some.
        assert played < examples, f"not found by {played} scripts"
        result, toy = await hunted(bug, min(200, examples - played), seed=played)
        played += result.scripts
        assert result.restarts == toy.starts - 1
    (found,) = result.found
    assert found.finding.name == name
    assert found.confirmed == CONFIRM_TIMES
    lines = [step_text(step) for step in found.script.steps]
    assert len(lines) == len(steps), lines
    assert all(re.fullmatch(*pair) for pair in zip(steps, lines, strict=True)), lines


async def test_a_server_without_bugs_is_left_alone(autojump_clock: MockClock) -> None:
    result, toy = await hunted("", 20)
    assert not result.found
    assert (result.scripts, result.dismissed, toy.starts) == (20, 0, 1)
    assert result.bystands
    assert result.watches_usage


async def test_the_same_seed_plays_the_same_scripts(autojump_clock: MockClock) -> None:
    first, _ = await hunted("", 12, seed=7)
    again, _ = await hunted("", 12, seed=7)
    other, _ = await hunted("", 12, seed=8)
    assert first.datagrams == again.datagrams != other.datagrams


@pytest.mark.slow
async def test_descriptors_that_are_left(autojump_clock: MockClock) -> None:
    result, _ = await hunted("leaks descriptors", 60, Oracle.EXHAUSTION, seed=5)
    (found,) = result.found
    assert found.finding.name == "exhaustion/descriptors"
    assert found.confirmed == CONFIRM_TIMES
    assert len(found.script.steps) == 1
    assert found.script.repeats > 1


async def test_a_lesser_finding_ends_nothing(autojump_clock: MockClock) -> None:
    result, _ = await hunted("tells paths", 8, Oracle.PATHS)
    assert [found.finding.name for found in result.found] == ["paths/path-in-error"]
    assert result.scripts == 8


async def test_what_is_not_looked_for_is_not_found(autojump_clock: MockClock) -> None:
    result, _ = await hunted("minds strangers", 10, Oracle.LEAK, Oracle.CRASH)
    assert not result.found
    assert not result.bystands


async def test_a_server_that_nobody_starts_again(autojump_clock: MockClock) -> None:
    """What was found is kept, as it was sent: nothing can be tried any more."""
    result, toy = await hunted("wedges", 10, can_restart=False)
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


@pytest.mark.parametrize("stage", ["making it smaller", "playing it again"])
async def test_who_breaks_off_keeps_what_was_found(autojump_clock: MockClock, stage: str) -> None:
    network = SimNetwork()
    async with trio.open_nursery() as nursery:
        toy = Toy(network, nursery, "wedges", can_restart=True)
        trial = Trial(network, SERVER, toy, Conditions(read=NAME, oracles=frozenset(Oracle)))
        with trio.CancelScope() as scope:

            def tell(result: Result, now: str) -> None:
                assert not result.found or scope.cancel_called
                if now == stage:
                    scope.cancel()

            hunt = Hunt(trial, Plan(seconds=None, examples=100), tell)
            await hunt.run()
        toy.stop()
        nursery.cancel_scope.cancel()
    assert scope.cancelled_caught
    (found,) = hunt.result.found
    assert found.finding.oracle is Oracle.HANG
    assert found.unfinished
