"""Requests to write with options: RFC 2347 to 7440."""

from __future__ import annotations

from typing import Final

from snowowl.testing.conformance.case import WRITE, Chapter
from snowowl.testing.conformance.client import agreed, blocks_of
from snowowl.testing.conformance.packets import data, wrq
from snowowl.testing.conformance.rfc2347 import expect_oack
from snowowl.testing.conformance.stage import Stage
from snowowl.testing.conformance.verdicts import Deviation, Inapplicable, Informed, Level, Verdict
from snowowl.testing.conformance.writing import begin, compare_back, octets_of

CHAPTER: Final = Chapter("Writing with options")
case = CHAPTER.case

BLOCK: Final = 512


async def _writes_with(stage: Stage, size: int, *options: tuple[str, int]) -> dict[str, str]:
    name, content = stage.upload_name(), octets_of(size)
    async with stage.client() as client:
        answer = await client.write(wrq(name, *options), content)
        granted = expect_oack(answer) if answer.is_oack else {}
        terms, asked = agreed(answer), dict(options)
        if terms.blksize > asked.get("blksize", BLOCK):
            raise Deviation(f"grants blksize {terms.blksize} of {asked.get('blksize', BLOCK)}")
        if terms.windowsize > asked.get("windowsize", 1):
            raise Deviation(f"grants windowsize {terms.windowsize} of {asked.get('windowsize', 1)}")
    await compare_back(stage, name, content)
    return granted


@case(
    "2347-write-unknown",
    "RFC 2347",
    Level.MUST,
    "An option that the server does not know is ignored in a WRQ: alone, the answer is ACK 0.",
    needs=(WRITE,),
)
async def _write_unknown(stage: Stage) -> str | None:
    async with stage.client() as client:
        answer = await client.ask(wrq(stage.upload_name(), ("x-snowowl", "1")))
        if not answer.is_ack(0):
            raise Deviation(f"expected ACK 0, but {answer} came")
    return None


@case(
    "2348-write",
    "RFC 2348",
    Level.MUST,
    "A blksize in a WRQ is granted no larger, and the file is there whole.",
    needs=(WRITE, "blksize"),
)
async def _write_blksize(stage: Stage) -> str | None:
    for blksize in (8, 1001, 1428):
        granted = await _writes_with(stage, 3 * blksize, ("blksize", blksize))
        if "blksize" not in granted:
            return f"blksize {blksize} is not granted in a WRQ"
    return None


@case(
    "2349-tsize-write",
    "RFC 2349",
    Level.MUST,
    "A tsize in a WRQ is acknowledged with the value that was sent, or left out.",
    needs=(WRITE, "tsize"),
)
async def _write_tsize(stage: Stage) -> str | None:
    granted = await _writes_with(stage, 1234, ("tsize", 1234))
    if granted.get("tsize", "1234") != "1234":
        raise Deviation(f"told 1234, it acknowledges tsize={granted['tsize']}")
    return None if granted else "left out"


@case(
    "2349-tsize-too-large",
    "RFC 2349",
    Level.MAY,
    "An upload that is announced with more octets than any disk has is refused by ERROR 3.",
    needs=(WRITE, "tsize"),
)
async def _write_too_large(stage: Stage) -> str | None:
    async with stage.client() as client:
        answer = await client.ask(wrq(stage.upload_name(), ("tsize", 1 << 62)))
        if not answer.is_error():
            raise Informed(f"{answer} came: it learns of a full disk when it is full")
        if not answer.is_error(3):
            raise Informed(f"refused, by {answer}")
    return None


@case(
    "2347-write-oack-again",
    "RFC 2347",
    Level.PRACTICE,
    "A client that asks to write again, as its OACK was lost, gets it again.",
    needs=(WRITE, "blksize"),
)
async def _write_oack_again(stage: Stage) -> str | None:
    name = stage.upload_name()
    async with stage.client() as client:
        request = wrq(name, ("blksize", 1024))
        answer = await begin(client, request)
        if not answer.is_oack:
            raise Inapplicable("blksize is not granted in a WRQ")
        await client.send(request, stage.target.address)
        again = await client.answer()
        if again.octets != answer.octets:
            raise Deviation(f"expected the OACK again, but {again} came")
    return None


@case(
    "7440-write",
    "RFC 7440 section 4",
    Level.MUST,
    "An upload in windows is acknowledged at the end of each, and at its last block.",
    needs=(WRITE, "windowsize"),
)
async def _write_windows(stage: Stage) -> str | None:
    name, content = stage.upload_name(), octets_of(9 * BLOCK + 77)
    blocks = blocks_of(content, BLOCK)
    async with stage.client() as client:
        answer = await begin(client, wrq(name, ("windowsize", 4)))
        size = agreed(answer).windowsize
        if size == 1:
            raise Inapplicable("windowsize is not granted in a WRQ")
        if size > 4:
            raise Deviation(f"grants windowsize {size} of 4")
        for first in range(0, len(blocks), size):
            last = min(first + size, len(blocks))
            for index in range(first, last):
                await client.send(data(index + 1, blocks[index]))
            await client.expect_ack(last)
        client.over = True
        early = [
            came
            for came in client.came
            if came.is_ack() and came.number % size and came.number < 10
        ]
        if early:
            raise Deviation(f"{early[0]} came inside a window", Verdict.NON_STRICT)
    await compare_back(stage, name, content)
    return None


@case(
    "7440-write-gap",
    "RFC 7440 section 4",
    Level.SHOULD,
    "A gap in a window is told at once, by an ACK of the last block before it.",
    needs=(WRITE, "windowsize"),
)
async def _write_gap(stage: Stage) -> str | None:
    name, content = stage.upload_name(), octets_of(8 * BLOCK + 77)
    blocks = blocks_of(content, BLOCK)
    async with stage.client() as client:
        answer = await begin(client, wrq(name, ("windowsize", 4)))
        if agreed(answer).windowsize != 4:
            raise Inapplicable("a windowsize of 4 is not granted in a WRQ")
        for block in (1, 2, 4):  # 3 is lost
            await client.send(data(block, blocks[block - 1]))
        came = await client.hear(stage.moment * 2)
        if came is None:
            raise Deviation("DATA 4 came where DATA 3 was due, and nothing was said")
        client.fail_on_error(came)
        if not came.is_ack(2):
            verdict = Verdict.FAILED if came.is_ack() and came.number > 2 else None
            raise Deviation(f"expected ACK 2, but {came} came", verdict)
        base = 2
        while base < len(blocks):
            last = min(base + 4, len(blocks))
            await client.write_window(blocks, base, last)
            base = last
        client.over = True
    await compare_back(stage, name, content)
    return None
