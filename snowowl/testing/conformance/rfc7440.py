"""RFC 7440: windowsize, reading."""

from __future__ import annotations

from typing import Final

import trio

from snowowl.testing.conformance.case import Chapter, Play
from snowowl.testing.conformance.client import Agreed, Client, agreed
from snowowl.testing.conformance.packets import ack
from snowowl.testing.conformance.rfc1350_read import compare
from snowowl.testing.conformance.rfc2347 import ask_invalid, expect_oack
from snowowl.testing.conformance.stage import Stage
from snowowl.testing.conformance.verdicts import Deviation, Inapplicable, Level, Verdict

CHAPTER: Final = Chapter("RFC 7440: windowsize")
case = CHAPTER.case

NEEDS: Final = ("windowsize",)
VALID: Final = (1, 65535)
BLOCK: Final = 512
WINDOW: Final = 4
THREE_WINDOWS: Final = 3 * WINDOW * BLOCK
STORM: Final = 12
PROMPT_SECONDS: Final = 0.5
"""Half of the shortest wait for a repetition that servers are known to have by default."""


async def _open(stage: Stage, client: Client, windowsize: int = WINDOW) -> Agreed:
    """Begin a transfer with windows of 4; return what was agreed on, with DATA 1 on its way."""
    answer = await client.ask(stage.rrq(("windowsize", windowsize)))
    expect_oack(answer)
    terms = agreed(answer)
    if terms.windowsize != windowsize:
        raise Inapplicable(f"a windowsize of {windowsize} is not granted")
    await client.send(ack(0))
    return terms


async def _hear_window(client: Client, first: int, count: int) -> bytes:
    """Hear blocks in order; return their octets."""
    answers = [await client.expect_data(first + index) for index in range(count)]
    return b"".join(answer.payload for answer in answers)


@case(
    "7440-window",
    "RFC 7440 section 4",
    Level.MUST,
    "A window is sent whole and in order, and no block after it before its ACK.",
    needs=NEEDS,
    size_min=THREE_WINDOWS,
)
async def _window(stage: Stage) -> str | None:
    async with stage.client() as client:
        await _open(stage, client)
        for first in (1, 1 + WINDOW):
            await _hear_window(client, first, WINDOW)
            for came in await client.hear_all(stage.moment):
                client.fail_on_error(came)
                if came.is_data() and came.number >= first + WINDOW:
                    raise Deviation(f"{came} came before the ACK of the window")
            await client.send(ack(first + WINDOW - 1))
    return None


@case(
    "7440-read",
    "RFC 7440 section 4",
    Level.MUST,
    "A file comes right in windows, the last of which may be short.",
    needs=NEEDS,
)
async def _read(stage: Stage) -> str | None:
    for windowsize in (2, 3, 4, 7):
        async with stage.client() as client:
            answer = await client.ask(stage.rrq(("windowsize", windowsize)))
            compare(await client.read_on(answer), stage.content, "the file")
    return None


def _size_case(windowsize: int, why: str) -> Play:
    @case(
        f"7440-windowsize-{windowsize}",
        "RFC 7440 section 3",
        Level.MUST,
        f"Asked for {windowsize} ({why}), it grants that or less, and sends windows of what it grants.",
        needs=NEEDS,
    )
    async def play(stage: Stage) -> str | None:
        async with stage.client() as client:
            answer = await client.ask(stage.rrq(("windowsize", windowsize)))
            if answer.is_data(1):
                return f"windowsize {windowsize} is not granted"
            expect_oack(answer)
            granted = agreed(answer).windowsize
            if granted > windowsize:
                raise Deviation(f"grants {granted} of {windowsize}")
            # Not all windows fit into a receive buffer: only what is granted is looked at here.
            if granted <= 64:
                compare(await client.read_on(answer), stage.content, "the file")
            return f"grants {granted} of {windowsize}" if granted < windowsize else None

    return play


for _windowsize, _why in (
    (1, "lock-step"),
    (4, "EDK2"),
    (16, "the RFC's proof of concept"),
    (32, "U-Boot"),
    (64, "barebox"),
    (65535, "the most there is"),
):
    _size_case(_windowsize, _why)


@case(
    "7440-windowsize-range",
    "RFC 7440 section 3",
    Level.MUST,
    "A windowsize outside of 1 to 65535 is not granted.",
    needs=NEEDS,
    alone=True,
)
async def _windowsize_range(stage: Stage) -> str | None:
    await ask_invalid(stage, "windowsize", VALID, "0", "65536", "70000", "-1", "4294967300")
    return None


@case(
    "7440-windowsize-nonsense",
    "RFC 7440 section 3",
    Level.PRACTICE,
    "A windowsize that is no number is left out, and the file comes.",
    alone=True,
)
async def _windowsize_nonsense(stage: Stage) -> str | None:
    await ask_invalid(stage, "windowsize", VALID, "abc", "", "4x")
    return None


@case(
    "7440-gap",
    "RFC 7440 section 4",
    Level.MUST,
    "After an ACK inside a window the next DATA is that of the block after it.",
    needs=NEEDS,
    size_min=THREE_WINDOWS,
)
async def _gap(stage: Stage) -> str | None:
    async with stage.client() as client:
        await _lose_block_3(stage, client)
        await client.send(ack(2))
        await client.expect_data(3)
        await client.expect_data(4)
    return None


@case(
    "7440-gap-at-once",
    "U-Boot, RFC 7440 section 4",
    Level.SHOULD,
    "The answer to an ACK inside a window comes at once, and not when a timer is over.",
    needs=NEEDS,
    size_min=THREE_WINDOWS,
)
async def _gap_at_once(stage: Stage) -> str | None:
    async with stage.client() as client:
        await _lose_block_3(stage, client)
        began = trio.current_time()
        await client.send(ack(2))
        await client.expect_data(3)
        seconds = trio.current_time() - began
        if seconds > max(PROMPT_SECONDS, stage.moment):
            raise Deviation(f"the next DATA came after {seconds:.2f} s")
    return None


@case(
    "7440-gap-window",
    "RFC 7440 section 4",
    Level.SHOULD,
    "What follows an ACK inside a window is a whole new window, from the block after it on.",
    needs=NEEDS,
    size_min=THREE_WINDOWS,
)
async def _gap_window(stage: Stage) -> str | None:
    async with stage.client() as client:
        await _lose_block_3(stage, client)
        await client.send(ack(2))
        await client.expect_data(3)
        numbers = {3}
        for came in await client.hear_all(stage.moment):
            client.fail_on_error(came)
            if came.is_data():
                numbers.add(came.number)
        beyond = sorted(number for number in numbers if number > 2 + WINDOW)
        if beyond:
            raise Deviation(f"blocks {beyond} came, beyond the window", Verdict.FAILED)
        if not {3, 4} <= numbers:
            raise Deviation(f"of the new window only blocks {sorted(numbers)} came at once")
        if not {5, 6} <= numbers:
            return f"careful after a loss: blocks {sorted(numbers)} came at once"
    return None


async def _lose_block_3(stage: Stage, client: Client) -> None:
    """Hear the first window as a client does that loses its block 3."""
    await _open(stage, client)
    await _hear_window(client, 1, WINDOW)


@case(
    "7440-gap-file",
    "RFC 7440 section 4",
    Level.MUST,
    "A file comes right although a block of each window is lost once.",
    needs=NEEDS,
    size_min=THREE_WINDOWS,
)
async def _gap_file(stage: Stage) -> str | None:
    async with stage.client() as client:
        await _open(stage, client)
        pieces: list[bytes] = []
        expected, base, lost = 1, 0, 0
        while True:
            answer = await client.hear(stage.patience)
            if answer is None:
                await client.send(ack(expected - 1))
                base, lost = expected - 1, lost + 1
                if lost > len(stage.content) // BLOCK + 8:
                    raise Deviation(f"DATA {expected} does not come")
                continue
            client.fail_on_error(answer)
            if answer.number == expected == base + 3 and expected % 5 == 3 and lost < expected:
                lost = expected  # as if it had not come; the block after it shows the gap
                continue
            if answer.is_data(expected):
                pieces.append(answer.payload)
                expected += 1
                if len(answer.payload) < BLOCK or expected - 1 - base == WINDOW:
                    await client.send(ack(expected - 1))
                    base = expected - 1
                if len(answer.payload) < BLOCK:
                    break
            elif answer.is_data() and base < expected - 1:  # a gap, or all of it once more
                await client.send(ack(expected - 1))
                base = expected - 1
        client.over = True
        compare(b"".join(pieces), stage.content, "the file")
    return None


@case(
    "7440-no-storm",
    "EDK2",
    Level.PRACTICE,
    "ACKs of the same block in a row, as EDK2 sends them, do not have the window sent for each.",
    needs=NEEDS,
    size_min=THREE_WINDOWS,
)
async def _no_storm(stage: Stage) -> str | None:
    async with stage.client() as client:
        await _lose_block_3(stage, client)
        for _ in range(STORM):
            await client.send(ack(2))
        heard = await client.hear_all(min(stage.moment, PROMPT_SECONDS))
        copies = sum(came.is_data(3) for came in heard)
        if copies > STORM // 2:  # a few are the timer's
            raise Deviation(f"{STORM} ACKs of block 2 had DATA 3 sent {copies} times")
    return None


@case(
    "7440-last-window-again",
    "RFC 7440 section 4",
    Level.MUST,
    "A window that is not acknowledged is sent again, at least its first blocks or its last one.",
    needs=NEEDS,
    size_min=THREE_WINDOWS,
)
async def _window_again(stage: Stage) -> str | None:
    async with stage.client() as client:
        await _open(stage, client)
        await _hear_window(client, 1, WINDOW)
        answer = await client.hear(stage.patience)
        if answer is None:
            raise Deviation(f"nothing came within {stage.patience:g} s")
        if not (answer.is_data() and 1 <= answer.number <= WINDOW):
            raise Deviation(f"expected a block of the window again, but {answer} came")
    return None


@case(
    "7440-ack-behind",
    "RFC 7440 section 4",
    Level.MUST,
    "A late ACK of the window before does not disturb the transfer.",
    needs=NEEDS,
    size_min=THREE_WINDOWS,
)
async def _ack_behind(stage: Stage) -> str | None:
    async with stage.client() as client:
        terms = await _open(stage, client)
        octets = await _hear_window(client, 1, WINDOW)
        await client.send(ack(WINDOW))
        octets += await _hear_window(client, WINDOW + 1, WINDOW)
        await client.send(ack(1))
        await client.send(ack(2 * WINDOW))
        answer = await client.expect_data(2 * WINDOW + 1)
        octets += await client.read_from(answer, 2 * WINDOW + 1, terms)
        compare(octets, stage.content, "the file")
    return None


@case(
    "7440-ack-ahead",
    "RFC 7440 section 4",
    Level.MUST,
    "An ACK of a block that was not sent yet does not move the transfer on.",
    needs=NEEDS,
    size_min=THREE_WINDOWS + WINDOW * BLOCK,
)
async def _ack_ahead(stage: Stage) -> str | None:
    async with stage.client() as client:
        terms = await _open(stage, client)
        octets = await _hear_window(client, 1, WINDOW)
        await client.send(ack(WINDOW + 6))
        for came in await client.hear_all(stage.moment):
            if came.is_data() and came.number > WINDOW:
                raise Deviation(
                    f"{came} came after an ACK of block {WINDOW + 6}, which was not sent"
                )
            if came.is_error():
                client.over = True
                raise Deviation(f"ended the transfer: {came}", Verdict.NON_STRICT)
        await client.send(ack(WINDOW))
        try:
            answer = await client.expect_data(WINDOW + 1)
        except Deviation as broken:
            raise Deviation(f"does not go on after it: {broken}", Verdict.NON_STRICT) from broken
        octets += await client.read_from(answer, WINDOW + 1, terms)
        compare(octets, stage.content, "the file")
    return None


@case(
    "7440-with-blksize",
    "U-Boot, EDK2, barebox",
    Level.PRACTICE,
    "windowsize and blksize are granted together, and a file comes right.",
    needs=("windowsize", "blksize"),
)
async def _with_blksize(stage: Stage) -> str | None:
    asked = (("timeout", 5), ("blksize", 1468), ("windowsize", 8), ("tsize", 0))
    for options in (asked, (("blksize", 8), ("windowsize", 16)), asked[::-1]):
        async with stage.client() as client:
            answer = await client.ask(stage.rrq(*options))
            granted = expect_oack(answer)
            if not {"blksize", "windowsize"} <= set(granted):
                raise Deviation(f"expected blksize and windowsize, but {answer} came")
            compare(await client.read_on(answer), stage.content, "the file")
    return None
