"""Each fault is really played: what went to and fro, datagram by datagram."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from snowowl.client.options import ClientOptions
from snowowl.observe.events import Direction
from snowowl.testing.faults import FAULTS
from tests.faults.world import (
    LOCK_STEP,
    PLAIN,
    READ,
    WINDOW,
    WRITE,
    has_in_order,
    run_client,
    story,
)

STORIES: list[tuple[str, Direction, ClientOptions, tuple[str, ...]]] = [
    ("lost-data", READ, PLAIN, ("> DATA 1", "< ACK 1", "> DATA 2 lost", "> DATA 2", "< ACK 2")),
    ("lost-data:times=2", READ, PLAIN, ("> DATA 2 lost", "> DATA 2 lost", "> DATA 2")),
    ("lost-ack", WRITE, PLAIN, ("< DATA 2", "> ACK 2 lost", "> ACK 2", "< DATA 3")),
    ("lost-final-ack", WRITE, PLAIN, ("< DATA 9", "> ACK 9 lost", "< DATA 9", "> ACK 9")),
    ("lost-oack", READ, LOCK_STEP, ("> OACK blksize 100 lost", "> OACK blksize 100", "< ACK 0")),
    ("lost-first-answer", READ, PLAIN, ("> DATA 1 lost", "> DATA 1", "< ACK 1")),
    ("lost-first-answer", WRITE, PLAIN, ("> ACK 0 lost", "> ACK 0", "< DATA 1")),
    ("lost-from-client", READ, PLAIN, ("< ACK 1 lost", "> DATA 1", "< ACK 1", "> DATA 2")),
    ("lost-last-ack", READ, PLAIN, ("> DATA 9", "< ACK 9 lost", "> DATA 9", "port closed")),
    ("delayed:seconds=5", READ, PLAIN, ("< ACK 1", "< ACK 1", "> DATA 2", "< ACK 2")),
    ("slow-start:seconds=5", READ, PLAIN, ("request", "> DATA 1", "< ACK 1")),
    ("silence", READ, PLAIN, ("< ACK 1", "> DATA 2 lost", "< ACK 1", "< ACK 1")),
    ("silence:block=0", READ, PLAIN, ("> DATA 1 lost", "request", "request")),
    ("port-closed", READ, PLAIN, ("> DATA 1", "< ACK 1", "> DATA 2 lost")[:2]),
    ("double-data:copies=3", READ, PLAIN, ("> DATA 2", "> DATA 2", "> DATA 2", "> DATA 2")),
    ("double-ack", WRITE, PLAIN, ("> ACK 2", "> ACK 2", "< DATA 4")),
    ("double-oack", READ, LOCK_STEP, ("> OACK blksize 100", "> OACK blksize 100")),
    ("double-all", READ, PLAIN, ("> DATA 3", "> DATA 3", "> DATA 4", "> DATA 4")),
    ("double-error", READ, PLAIN, ("< ACK 1", "> ERROR 0", "port closed")),
    ("late-double", READ, PLAIN, ("> DATA 2", "> DATA 9", "> DATA 2")),
    ("late-after-end", READ, PLAIN, ("> DATA 9", "< ACK 9", "> DATA 9")),
    ("old-data", READ, PLAIN, ("> DATA 2", "> DATA 1", "< ACK 2")),
    ("extra-data", READ, PLAIN, ("> DATA 9", "< ACK 9", "> DATA 10")),
    ("two-answers", READ, PLAIN, ("> DATA 1", "~> DATA 1", "~< ERROR 5", "> DATA 9")),
    ("stray-data", READ, PLAIN, ("~> DATA 2", "~< ERROR 5", "> DATA 2", "< ACK 2")),
    ("stray-ack", WRITE, PLAIN, ("~> ACK 2", "~< ERROR 5", "> ACK 2", "< DATA 3")),
    ("stray-error", READ, PLAIN, ("~> ERROR 0", "> DATA 2", "< ACK 2")),
    ("stray-oack", READ, PLAIN, ("~> OACK blksize 8", "~< ERROR 5", "> DATA 2")),
    ("tid-change", READ, PLAIN, ("> DATA 1", "~> DATA 2", "~< ERROR 5")),
    ("options-ignored", READ, WINDOW, ("> DATA 1", "< ACK 1", "> DATA 2")),
    ("options-in-part", READ, WINDOW, ("> OACK tsize 1150", "< ACK 0", "> DATA 1")),
    ("blksize-smaller:octets=50", READ, LOCK_STEP, ("> OACK blksize 50", "> DATA 23")),
    ("oack-unasked", READ, LOCK_STEP, ("> OACK blksize 100 unasked 1", "< ERROR 8")),
    ("oack-larger", READ, LOCK_STEP, ("> OACK blksize 200", "< ERROR 8")),
    ("oack-value:value=7", READ, LOCK_STEP, ("> OACK blksize 7", "< ERROR 8")),
    ("oack-timeout", READ, ClientOptions(timeout=7), ("< ERROR 8",)),
    ("oack-tsize:value=0", READ, ClientOptions(blksize=None, windowsize=None), ("> OACK tsize 0",)),
    ("oack-no-nul", READ, LOCK_STEP, ("> OACK blksize 100", "< ACK 0", "> DATA 1")),
    ("oack-trailing", READ, LOCK_STEP, ("> OACK blksize 100 pad", "< ACK 0")),
    ("oack-upper-case", READ, LOCK_STEP, ("> OACK BLKSIZE 100", "< ACK 0")),
    (
        "oack-order",
        READ,
        WINDOW,
        ("> OACK timeout 2 windowsize 4 blksize 100 tsize 1150", "< ACK 0"),
    ),
    ("oack-repeated", READ, LOCK_STEP, ("> OACK blksize 100 blksize 9", "< ACK 0")),
    ("oack-empty", READ, LOCK_STEP, ("> OACK", "request")),
    ("oack-to-none", READ, PLAIN, ("> OACK blksize 1024", "> DATA 1")[:1]),
    ("oack-late", READ, PLAIN, ("> OACK blksize 8", "> DATA 2", "< ACK 2")),
    ("error:code=7", READ, PLAIN, ("< ACK 1", "> ERROR 7")),
    ("error-first:code=2", READ, PLAIN, ("> ERROR 2",)),
    ("error-after-oack", READ, LOCK_STEP, ("> OACK blksize 100", "> ERROR 0")),
    ("error-unknown-code", READ, PLAIN, ("> ERROR 99",)),
    ("disk-full", WRITE, PLAIN, ("< DATA 2", "> ERROR 3")),
    ("error-at-end", WRITE, PLAIN, ("< DATA 9", "> ERROR 3")),
    ("error-truncated", READ, PLAIN, ("> 2 octets", "> DATA 2")),
    ("wrong-block", READ, PLAIN, ("> DATA 1", "> DATA 3", "> DATA 2", "< ACK 2")),
    ("wrong-block:number=zero", WRITE, PLAIN, ("> ACK 1", "> ACK 0", "> ACK 2")),
    ("wrong-block:number=65535", READ, PLAIN, ("> DATA 65535", "> DATA 2")),
    ("truncated:octets=3", READ, PLAIN, ("> 3 octets", "> DATA 2")),
    ("truncated:octets=0", READ, PLAIN, ("> 0 octets", "> DATA 2")),
    ("unknown-opcode", READ, PLAIN, ("> 516 octets", "> DATA 2")),
    ("request-back", READ, PLAIN, ("> 20 octets", "> DATA 2")),
    ("wrong-direction", READ, PLAIN, ("> ACK 2", "> DATA 2")),
    ("wrong-direction", WRITE, PLAIN, ("> DATA 2", "> ACK 2")),
    ("garbage", READ, PLAIN, ("> 64 octets", "> DATA 2")),
    ("window-gap", READ, WINDOW, ("> DATA 1", "> DATA 2 lost", "> DATA 3", "< ACK 1", "> DATA 2")),
    ("window-tail", READ, WINDOW, ("> DATA 3", "> DATA 4 lost", "< ACK 3", "> DATA 4")),
    ("window-order", READ, WINDOW, ("> DATA 1", "> DATA 3", "> DATA 2", "> DATA 4")),
    ("window-double", READ, WINDOW, ("> DATA 4", "> DATA 1", "> DATA 2", "> DATA 3", "> DATA 4")),
    (
        "window-larger",
        READ,
        WINDOW,
        ("> OACK tsize 1150 blksize 100 windowsize 2 timeout 2", "> DATA 3", "< ACK 2", "< ACK 12"),
    ),
    ("window-short", READ, WINDOW, ("> DATA 1", "< ACK 1", "> DATA 2", "< ACK 2")),
    (
        "window-unasked",
        READ,
        LOCK_STEP,
        ("> DATA 1", "> DATA 2", "> DATA 3", "> DATA 4", "< ACK 1"),
    ),
]


@pytest.mark.parametrize(
    ("fault", "direction", "options", "wanted"),
    STORIES,
    ids=[f"{name}-{direction.value}" for name, direction, _, _ in STORIES],
)
async def test_a_story(
    autojump_clock: MockClock,
    fault: str,
    direction: Direction,
    options: ClientOptions,
    wanted: tuple[str, ...],
) -> None:
    run = await run_client(fault, direction, options)
    told = story(run.first)
    assert has_in_order(told, *wanted), "\n".join(told)


async def test_the_shapes_of_errors(autojump_clock: MockClock) -> None:
    expected = {
        "error-no-text": b"\0\5\0\0\0",
        "error-4-octets": b"\0\5\0\0",
        "error-no-nul": b"\0\5\0\0no NUL follows this",
        "error-long:length=3": b"\0\5\0\0%s%\0",
    }
    for fault, octets in expected.items():
        run = await run_client(fault, READ, PLAIN)
        assert [entry.octets for entry in run.first.trace if entry.octets[:2] == b"\0\5"] == [
            octets
        ]
    run = await run_client("error-non-ascii", READ, PLAIN)
    assert any(b"\x1b" in entry.octets for entry in run.first.trace)
    assert run.error is not None
    assert "\x1b" not in str(run.error)


async def test_lengths_and_bits(autojump_clock: MockClock) -> None:
    long = await run_client("long-data:extra=5", READ, PLAIN)
    assert [entry.size for entry in long.first.trace][2] == 4 + 512 + 5
    short = await run_client("short-data:less=5", READ, PLAIN)
    assert short.octets == short.expected[: 2 * 512 - 5]
    bit = await run_client("corrupted", READ, PLAIN)
    assert bit.octets is not None
    wrong = [a ^ b for a, b in zip(bit.octets, bit.expected, strict=True) if a != b]
    assert len(wrong) == 1
    assert wrong[0].bit_count() == 1
    cut = await run_client("missing-last", READ, PLAIN)
    assert cut.error is not None
    assert story(cut.first)[-1] in ("> DATA 9 lost", "> DATA 9")


async def test_random_loss_loses_on_both_sides(autojump_clock: MockClock) -> None:
    told = story((await run_client("random-loss:p=0.4", READ, PLAIN, seed=3)).first)
    assert any(line.startswith(">") and line.endswith("lost") for line in told)
    assert any(line.startswith("<") and line.endswith("lost") for line in told)


async def test_slow_is_slow(autojump_clock: MockClock) -> None:
    run = await run_client("slow:seconds=0.5", READ, PLAIN)
    assert run.whole
    assert run.first.seconds > 9 * 0.5


async def test_the_listening_port_serves(autojump_clock: MockClock) -> None:
    run = await run_client("listening-port", READ, WINDOW)
    assert run.whole
    assert "listening" not in " ".join(story(run.first))  # it is the TID of this transfer


def test_every_fault_has_a_story() -> None:
    elsewhere = {
        "error-no-text",
        "error-4-octets",
        "error-no-nul",
        "error-long",
        "error-non-ascii",
        "long-data",
        "short-data",
        "corrupted",
        "missing-last",
        "random-loss",
        "slow",
        "listening-port",
        "rollover",
        "checksum-zero",
        "jumbo",
    }
    told = {name.partition(":")[0] for name, _, _, _ in STORIES}
    assert told | elsewhere == set(FAULTS)
    assert not told & elsewhere
