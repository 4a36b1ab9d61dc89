"""RFC 2348: blksize."""

from __future__ import annotations

from typing import Final

from snowowl.testing.conformance.case import Chapter, Play
from snowowl.testing.conformance.client import agreed
from snowowl.testing.conformance.rfc1350_read import compare
from snowowl.testing.conformance.rfc2347 import ask_invalid, expect_oack
from snowowl.testing.conformance.stage import Stage
from snowowl.testing.conformance.verdicts import Deviation, Inapplicable, Level

CHAPTER: Final = Chapter("RFC 2348: blksize")
case = CHAPTER.case

BLKSIZE_MIN: Final = 8
BLKSIZE_MAX: Final = 65464
VALID: Final = (BLKSIZE_MIN, BLKSIZE_MAX)
NEEDS: Final = ("blksize",)


async def _reads(stage: Stage, blksize: int) -> str | None:
    """Read with a blksize: granted no larger, and what is granted is what is sent."""
    async with stage.client() as client:
        answer = await client.ask(stage.rrq(("blksize", blksize)))
        if answer.is_data(1):
            return f"blksize {blksize} is not granted"
        granted = expect_oack(answer)
        terms = agreed(answer)
        if terms.blksize > blksize:
            raise Deviation(f"grants {terms.blksize} of {blksize}")
        if not BLKSIZE_MIN <= terms.blksize <= BLKSIZE_MAX:
            raise Deviation(f"grants {terms.blksize}")
        compare(await client.read_on(answer), stage.content, "the file")
        return f"grants {granted['blksize']} of {blksize}" if terms.blksize < blksize else None


def _size_case(blksize: int, why: str) -> Play:
    @case(
        f"2348-blksize-{blksize}",
        "RFC 2348",
        Level.MUST,
        f"Asked for {blksize} ({why}), it grants that or less, and sends blocks of what it grants.",
        needs=NEEDS,
    )
    async def play(stage: Stage) -> str | None:
        return await _reads(stage, blksize)

    return play


for _blksize, _why in (
    (8, "the least there is"),
    (100, "less than 512"),
    (511, "odd"),
    (512, "as without options"),
    (513, "odd"),
    (1024, "GRUB, Raspberry Pi"),
    (1408, "PXELINUX"),
    (1428, "the example in the RFC"),
    (1432, "iPXE"),
    (1468, "U-Boot, EDK2"),
    (8192, "jumbo frames, Cisco"),
    (BLKSIZE_MAX, "the most there is"),
):
    _size_case(_blksize, _why)


@case(
    "2348-blksize-too-small",
    "RFC 2348",
    Level.MUST,
    "Asked for less than 8, it grants nothing.",
    needs=NEEDS,
    alone=True,
)
async def _too_small(stage: Stage) -> str | None:
    await ask_invalid(stage, "blksize", VALID, "7", "1", "0")
    return None


@case(
    "2348-blksize-too-large",
    "RFC 2348",
    Level.MUST,
    "Asked for more than 65464, it grants 65464 or less, or nothing.",
    needs=NEEDS,
    alone=True,
)
async def _too_large(stage: Stage) -> str | None:
    await ask_invalid(
        stage, "blksize", VALID, "65465", "65535", "65536", "70000", "4294967304", "9" * 30
    )
    return None


@case(
    "2348-blksize-negative",
    "RFC 2348",
    Level.MUST,
    "A blksize below zero is not granted.",
    needs=NEEDS,
    alone=True,
)
async def _negative(stage: Stage) -> str | None:
    await ask_invalid(stage, "blksize", VALID, "-1", "-512")
    return None


@case(
    "2348-blksize-nonsense",
    "npm's tftp, Cisco",
    Level.PRACTICE,
    "A blksize that is no number is left out, and the file comes.",
    alone=True,
)
async def _nonsense(stage: Stage) -> str | None:
    await ask_invalid(stage, "blksize", VALID, "abc", "", "512x", "0x200", " ")
    return None


@case(
    "2348-exact-multiple",
    "RFC 1350 section 6",
    Level.MUST,
    "A file whose size is a multiple of the blksize ends with a DATA of no octets.",
    needs=NEEDS,
)
async def _exact_multiple(stage: Stage) -> str | None:
    size = len(stage.content)
    fitting = [
        blksize for blksize in range(1428, BLKSIZE_MIN - 1, -1) if size and not size % blksize
    ]
    # The largest with three blocks or more: quick, and yet blocks follow each other.
    blksize = next((each for each in fitting if size // each >= 3), 0)
    if not blksize or size // blksize > 60_000:
        raise Inapplicable(f"no blksize divides the size of the file, {size}")
    async with stage.client() as client:
        answer = await client.ask(stage.rrq(("blksize", blksize)))
        if agreed(answer).blksize != blksize:
            raise Inapplicable(f"blksize {blksize}, which divides the size, is not granted")
        compare(await client.read_on(answer), stage.content, "the file")
        last = [came for came in client.came if came.is_data()][-1]
        if last.payload:
            raise Deviation(f"the last one was {last}")
    return None


@case(
    "2348-short-file",
    "RFC 2348",
    Level.MUST,
    "With a blksize larger than the file, it comes in one DATA.",
    needs=NEEDS,
)
async def _short_file(stage: Stage) -> str | None:
    blksize = len(stage.content) + 1
    if not BLKSIZE_MIN <= blksize <= BLKSIZE_MAX:
        raise Inapplicable("the file is larger than any block")
    async with stage.client() as client:
        answer = await client.ask(stage.rrq(("blksize", blksize)))
        if agreed(answer).blksize != blksize:
            raise Inapplicable(f"blksize {blksize} is not granted: {answer}")
        compare(await client.read_on(answer), stage.content, "the file")
        if max(came.number for came in client.came if came.is_data()) != 1:
            raise Deviation("it came in several blocks")
    return None
