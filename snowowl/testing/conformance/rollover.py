"""Files of more than 65535 blocks.  No RFC says what follows block 65535; clients do."""

from __future__ import annotations

from typing import Final

from snowowl.testing.conformance.case import WRITE, Chapter
from snowowl.testing.conformance.client import agreed, blocks_of
from snowowl.testing.conformance.packets import NUMBERS, ack, data, wrq
from snowowl.testing.conformance.rfc1350_read import compare
from snowowl.testing.conformance.stage import Stage
from snowowl.testing.conformance.verdicts import Deviation, Inapplicable, Informed, Level
from snowowl.testing.conformance.writing import begin, compare_back, octets_of

CHAPTER: Final = Chapter("Rollover")
case = CHAPTER.case

BLKSIZE: Final = 8
SIZE_MIN: Final = NUMBERS * BLKSIZE
"""Octets of the smallest file with a block 65536, at the least blksize."""


async def _rolls(stage: Stage, *options: tuple[str, int]) -> str | None:
    async with stage.client() as client:
        answer = await client.ask(stage.rrq(("blksize", BLKSIZE), *options))
        terms = agreed(answer)
        if terms.blksize != BLKSIZE:
            raise Inapplicable(f"blksize {BLKSIZE} is not granted: {answer}")
        client.fail_on_error(answer)
        await client.send(ack(0))
        answer = await client.expect_data(1)
        pieces, block, shift = [answer.payload], 1, 0
        while len(answer.payload) == BLKSIZE:
            if block % terms.windowsize == 0:
                await client.send(ack(block + shift))
            block += 1
            answer = await client.answer()
            client.fail_on_error(answer)
            if block == NUMBERS and answer.is_data(1):
                shift = 1
            if not answer.is_data(block + shift):
                behind = (block + shift - answer.number) % NUMBERS
                if answer.is_data() and 0 < behind < NUMBERS // 2:  # the timer's
                    block -= 1
                    continue
                raise Deviation(f"block {block} is followed by {answer}")
            pieces.append(answer.payload)
        await client.send(ack(block + shift))
        client.over = True
        compare(b"".join(pieces), stage.content, "the file")
    if shift:
        raise Informed("after block 65535 comes block 1: clients expect 0, some can be told")
    return None


@case(
    "rollover-read",
    "U-Boot, iPXE, GRUB, curl",
    Level.PRACTICE,
    "After block 65535 comes block 0, and the file comes right.",
    needs=("blksize",),
    size_min=SIZE_MIN,
    long=True,
)
async def _rollover_read(stage: Stage) -> str | None:
    return await _rolls(stage)


@case(
    "rollover-window",
    "U-Boot, EDK2",
    Level.PRACTICE,
    "With windows too, after block 65535 comes block 0.",
    needs=("blksize", "windowsize"),
    size_min=SIZE_MIN,
    long=True,
)
async def _rollover_window(stage: Stage) -> str | None:
    return await _rolls(stage, ("windowsize", 16))


@case(
    "rollover-write",
    "curl, U-Boot",
    Level.PRACTICE,
    "An upload of more than 65535 blocks, with 0 after 65535, is there whole.",
    needs=(WRITE, "blksize"),
    long=True,
)
async def _rollover_write(stage: Stage) -> str | None:
    name, content = stage.upload_name(), octets_of(SIZE_MIN + 100)
    async with stage.client() as client:
        answer = await begin(client, wrq(name, ("blksize", BLKSIZE)))
        if agreed(answer).blksize != BLKSIZE:
            raise Inapplicable(f"blksize {BLKSIZE} is not granted in a WRQ")
        for block, payload in enumerate(blocks_of(content, BLKSIZE), start=1):
            await client.send(data(block, payload))
            await client.expect_ack(block)
        client.over = True
    await compare_back(stage, name, content)
    return None


@case(
    "rollover-pause",
    "GRUB",
    Level.PRACTICE,
    "A client that is silent for 20 seconds, as GRUB is while it unpacks, is not given up.",
    size_min=2 * 512,
    long=True,
)
async def _pause(stage: Stage) -> str | None:
    async with stage.client() as client:
        await client.ask(stage.rrq())
        await client.send(ack(1))
        await client.expect_data(2)
        for came in await client.hear_all(20.0):
            client.fail_on_error(came)
        await client.send(ack(2))
        await client.expect_data(3)
    return None
