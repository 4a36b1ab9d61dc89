"""RFC 1123 section 4.2: Sorcerer's Apprentice, timeouts, mode mail."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Final

import trio

from snowowl.testing.conformance.case import Chapter
from snowowl.testing.conformance.client import Agreed, Client
from snowowl.testing.conformance.packets import ack
from snowowl.testing.conformance.rfc1350_read import compare
from snowowl.testing.conformance.stage import Stage
from snowowl.testing.conformance.verdicts import Deviation, Informed, Level

CHAPTER: Final = Chapter("RFC 1123")
case = CHAPTER.case

BLOCK: Final = 512
APPRENTICE_BLOCKS: Final = 20
"""Blocks of which the doubles are counted: one or two may be the timer's, on a slow link."""

BACKOFFS: Final = 3
"""Intervals between repetitions to be compared."""

GROWTH_MIN: Final = 1.3
"""By how much the last interval must exceed the first: doubled twice it is 4, with a ceiling less."""


@case(
    "1123-4.2.3.1-apprentice",
    "RFC 1123 section 4.2.3.1",
    Level.MUST,
    "An ACK that comes twice does not make the next DATA go out twice (Sorcerer's Apprentice).",
    size_min=4 * BLOCK,
)
async def _apprentice(stage: Stage) -> str | None:
    blocks = min(APPRENTICE_BLOCKS, len(stage.content) // BLOCK)
    async with stage.client() as client:
        answer = await client.ask(stage.rrq())
        if not answer.is_data(1):
            raise Deviation(f"expected DATA 1, but {answer} came")
        for block in range(1, blocks):
            await client.send(ack(block))
            await client.send(ack(block))
            await client.expect_data(block + 1)
        await client.hear_all(stage.moment / 5)
        await client.quit()
        counted = Counter(came.number for came in client.came if came.is_data())
        doubled = sum(counted[block] > 1 for block in range(2, blocks + 1))
        if doubled > blocks // 2:
            raise Deviation(f"{doubled} of {blocks - 1} blocks came more than once")
    return None


@case(
    "1123-4.2.3.1-echoing-client",
    "RFC 1123 section 4.2.3.1",
    Level.MUST,
    "With a client that acknowledges each copy, copies do not breed copies to the end of the file.",
    size_min=4 * BLOCK,
)
async def _echoing_client(stage: Stage) -> str | None:
    """Show the disease itself: one packet that was late doubles all that follow."""
    blocks = len(stage.content) // BLOCK + 1
    async with stage.client() as client:
        answer = await client.ask(stage.rrq())
        await client.send(ack(1))
        pieces = {1: answer.payload}
        while len(pieces) < blocks:
            came = await client.answer()
            client.fail_on_error(came)
            if not came.is_data():
                raise Deviation(f"expected DATA, but {came} came")
            if came.is_data(2) and 2 not in pieces:  # an ACK that was late, or doubled
                await client.send(ack(1))
            pieces[came.number] = came.payload
            await client.send(ack(came.number))
            if sum(each.is_data() for each in client.came) > 2 * blocks + 8:
                raise Deviation("copies of DATA breed: more than two of each block came")
        client.over = True
        compare(b"".join(pieces[number] for number in sorted(pieces)), stage.content, "the file")
        count = sum(each.is_data() for each in client.came)
        if count > blocks + blocks // 2 + 2:
            raise Deviation(f"{count} DATA came for {blocks} blocks: one late ACK doubled the rest")
    return None


@case(
    "1123-4.2.3.2-retransmit",
    "RFC 1123 section 4.2.3.2",
    Level.MUST,
    "A DATA that is not acknowledged is sent again.",
    size_min=BLOCK,
)
async def _retransmit(stage: Stage) -> str | None:
    async with stage.client() as client:
        await _read_to_block_2(stage, client)
        came = await client.hear(stage.patience)
        if came is None:
            raise Deviation(f"expected DATA 2 again, but nothing came within {stage.patience:g} s")
        if not came.is_data(2):
            raise Deviation(f"expected DATA 2 again, but {came} came")
    return None


@case(
    "1123-4.2.3.2-first-again",
    "RFC 1123 section 4.2.3.2",
    Level.MUST,
    "DATA 1 that is not acknowledged is sent again, octet for octet.",
)
async def _first_again(stage: Stage) -> str | None:
    async with stage.client() as client:
        first = await client.ask(stage.rrq())
        again = await client.hear(stage.patience)
        if again is None:
            raise Deviation(f"expected {first} again, but nothing came within {stage.patience:g} s")
        if again.octets != first.octets:
            raise Deviation(f"expected {first} again, but {again} came")
    return None


@case(
    "1123-4.2.3.2-backoff",
    "RFC 1123 section 4.2.3.2",
    Level.MUST,
    "The wait before a DATA is sent again grows from one time to the next.",
    size_min=BLOCK,
)
async def _backoff(stage: Stage) -> str | None:
    async with stage.client() as client:
        await _read_to_block_2(stage, client)
        times = [trio.current_time()]
        deadline = times[0] + 4 * stage.patience
        growth = 0.0
        while growth < GROWTH_MIN or len(times) <= BACKOFFS:
            came = await client.hear(max(deadline - trio.current_time(), 0))
            if came is None:
                break
            if not came.is_data(2):
                raise Deviation(f"expected DATA 2 again, but {came} came")
            times.append(came.at)
            intervals = [later - sooner for sooner, later in pairwise(times)]
            growth = intervals[-1] / max(intervals[0], 1e-6)
            if len(times) > 4 * BACKOFFS:
                break
    told = ", ".join(f"{later - sooner:.2f}" for sooner, later in pairwise(times))
    if len(times) <= BACKOFFS and growth < GROWTH_MIN:
        raise Informed(f"sent again after {told or 'no'} s, and no more: too little to tell")
    if growth < GROWTH_MIN:
        raise Deviation(f"sent again after {told} s each: the wait does not grow")
    return f"sent again after {told} s"


async def _read_to_block_2(stage: Stage, client: Client) -> None:
    await client.ask(stage.rrq())
    await client.send(ack(1))
    await client.expect_data(2)


@case(
    "1123-4.2.3.2-goes-on",
    "RFC 1123 section 4.2.3.2",
    Level.MUST,
    "A transfer goes on after a DATA had to be sent again.",
    size_min=2 * BLOCK,
)
async def _goes_on(stage: Stage) -> str | None:
    async with stage.client() as client:
        first = await client.ask(stage.rrq())
        await client.send(ack(1))
        answer = await client.expect_data(2)
        if await client.hear(stage.patience) is None:
            raise Informed("nothing was sent again")
        octets = await client.read_from(answer, 2, Agreed())
        compare(first.payload + octets, stage.content, "the file")
    return None


@case(
    "1123-4.2.2.1-mail",
    "RFC 1123 section 4.2.2.1",
    Level.SHOULD,
    "Mode mail, which is obsolete, is refused by an ERROR.",
)
async def _mail(stage: Stage) -> str | None:
    async with stage.client() as client:
        answer = await client.ask(stage.rrq(mode=b"mail"))
        if not answer.is_error():
            raise Deviation(f"expected an ERROR, but {answer} came")
    return None
