"""RFC 1350: ERROR packets, and requests that are none."""

from __future__ import annotations

from typing import Final

import trio

from snowowl.testing.conformance.case import Chapter
from snowowl.testing.conformance.client import Client
from snowowl.testing.conformance.packets import Answer, ack, data, error, rrq
from snowowl.testing.conformance.stage import Stage
from snowowl.testing.conformance.verdicts import (
    Deviation,
    Inapplicable,
    Informed,
    Level,
    Verdict,
)

CHAPTER: Final = Chapter("RFC 1350: errors")
case = CHAPTER.case

PROMPT_SECONDS: Final = 1.0
"""A boot loader that probes for nine missing files in a row waits that long nine times."""


@case(
    "1350-5-missing-file",
    "RFC 1350 appendix",
    Level.MUST,
    "A request for a file that is not there is answered by ERROR 1.",
)
async def _missing_file(stage: Stage) -> str | None:
    async with stage.client() as client:
        answer = await client.ask(rrq(stage.missing_name()))
        if not answer.is_error():
            raise Deviation(f"expected ERROR 1, but {answer} came")
        if not answer.is_error(1):
            raise Deviation(f"expected ERROR 1, but {answer} came", Verdict.NON_STRICT)
    return None


@case(
    "1350-5-missing-at-once",
    "GRUB, PXELINUX, Raspberry Pi",
    Level.PRACTICE,
    "Nine files in a row that are not there are each refused at once: boot loaders probe for them.",
)
async def _missing_at_once(stage: Stage) -> str | None:
    async with stage.client() as client:
        for number in range(9):
            began = trio.current_time()
            answer = await client.ask(rrq(stage.missing_name() + b"%d" % number))
            seconds = trio.current_time() - began
            if not answer.is_error():
                raise Deviation(f"expected an ERROR, but {answer} came")
            if seconds > PROMPT_SECONDS:
                raise Deviation(f"the ERROR took {seconds:.1f} s")
    return None


@case(
    "1350-5-error-form",
    "RFC 1350 section 5",
    Level.MUST,
    "An ERROR is opcode, code, a text, and one NUL at its end.",
)
async def _error_form(stage: Stage) -> str | None:
    async with stage.client() as client:
        answer = await client.ask(rrq(stage.missing_name()))
        if not answer.is_error():
            raise Deviation(f"expected an ERROR, but {answer} came")
        text = answer.payload
        if not text.endswith(b"\0"):
            raise Deviation("the text does not end in NUL")
        if b"\0" in text[:-1]:
            raise Deviation("there are octets after the text and its NUL")
        if any(octet >= 128 or (octet < 32 and octet not in b"\r\n\t") for octet in text[:-1]):
            raise Deviation("the text is no netascii", Verdict.NON_STRICT)
    return None


@case(
    "1350-7-error-once",
    "RFC 1350 section 7",
    Level.MUST,
    "An ERROR is not sent again, and an ACK of it is not answered.",
)
async def _error_once(stage: Stage) -> str | None:
    async with stage.client() as client:
        answer = await client.ask(rrq(stage.missing_name()))
        if not answer.is_error():
            raise Inapplicable(f"expected an ERROR, but {answer} came")
        for came in await client.hear_all(stage.quiet):
            raise Deviation(f"{came} came after the ERROR")
        # The tftp-hpa client acknowledges an ERROR.  To say that this ACK is a stray one is no answer to it.
        await client.send(ack(1))
        for came in await client.hear_all(stage.quiet):
            if not came.is_error(4) and not came.is_error(5):
                raise Deviation(f"{came} came after the ERROR, and an ACK of it")
    return None


async def _ends(stage: Stage, packet: bytes) -> None:
    """Send an ERROR in the middle of a transfer: nothing may come after it."""
    async with stage.client() as client:
        await client.ask(stage.rrq())
        if len(stage.content) >= 512:
            await client.send(ack(1))
            await client.expect_data(2)
        await client.send(packet)
        client.over = True
        await silence(client, stage.quiet)


async def silence(client: Client, seconds: float) -> None:
    """Raise Deviation if anything comes in that time."""
    for came in await client.hear_all(seconds):
        if came.is_error():
            raise Deviation(f"an ERROR was answered by {came}")
        raise Deviation(f"{came} came after the ERROR that ends the transfer")


@case(
    "1350-7-error-ends",
    "RFC 1350 section 7",
    Level.MUST,
    "An ERROR from the client ends the transfer, and is not answered.",
)
async def _error_ends(stage: Stage) -> str | None:
    await _ends(stage, error(0, b"enough"))
    return None


@case(
    "1350-7-short-error-ends",
    "curl, barebox",
    Level.PRACTICE,
    "So does an ERROR without a text, of four octets as curl sends it.",
)
async def _short_error_ends(stage: Stage) -> str | None:
    await _ends(stage, error(0)[:4])
    return None


@case(
    "1350-7-error-not-answered",
    "RFC 1350 section 7",
    Level.MUST,
    "An ERROR that comes to the listening port is not answered: two servers would never stop"
    " (CVE-2024-2169).",
)
async def _error_not_answered(stage: Stage) -> str | None:
    async with stage.client() as client:
        await client.send(error(4, b"for nobody"))
        for came in await client.hear_all(stage.quiet):
            raise Deviation(f"an ERROR was answered by {came}")
    return None


@case(
    "1350-4-stray-to-port",
    "RFC 1350 section 4",
    Level.MAY,
    "ACK, DATA and OACK that come to the listening port begin no transfer, and need no answer.",
)
async def _stray_to_port(stage: Stage) -> str | None:
    answers: list[Answer] = []
    for octets in (ack(0), ack(1), data(1, b"x"), b"\0\6blksize\0512\0"):
        async with stage.client() as client:
            await client.send(octets)
            answers += await client.hear_all(stage.moment)
    for answer in answers:
        if not answer.is_error():
            raise Deviation(f"a stray packet was answered by {answer}", Verdict.FAILED)
    return f"answered by {answers[0]}" if answers else None


@case(
    "1350-5-unknown-opcode",
    "RFC 1350 section 5",
    Level.MAY,
    "A packet with an opcode that is none is answered by ERROR 4.",
    alone=True,
)
async def _unknown_opcode(stage: Stage) -> str | None:
    # 7 is EDK2's request for a directory; it goes on when that is refused.
    for opcode in (7, 0, 9, 255, 0x0101):
        async with stage.client() as client:
            await client.send(opcode.to_bytes(2, "big") + b"name\0octet\0")
            answer = await client.hear(stage.moment)
            if answer is None:
                raise Informed(f"opcode {opcode} is not answered: RFC 1350 does not ask for it")
            if not answer.is_error():
                raise Deviation(f"opcode {opcode} is answered by {answer}", Verdict.FAILED)
            if not answer.is_error(4):
                raise Deviation(f"expected ERROR 4 for opcode {opcode}, but {answer} came")
    return None


async def _refused(stage: Stage, request: bytes, *, served: Verdict | None = None) -> str | None:
    """Expect an ERROR; silence is told as INFORMATIONAL, `served` is the verdict if it is served."""
    async with stage.client() as client:
        await client.send(request)
        answer = await client.hear(stage.patience)
        if answer is None:
            raise Informed("the request is dropped: its client waits for nothing")
        client.tid, client.over = answer.source, answer.is_error()
        if not answer.is_error():
            raise Deviation(f"expected an ERROR, but {answer} came", served)
        return f"refuses it by {answer}"


@case(
    "1350-5-unknown-mode",
    "RFC 1350 section 5",
    Level.SHOULD,
    "A request with a mode that is none is refused by an ERROR.",
    alone=True,
)
async def _unknown_mode(stage: Stage) -> str | None:
    await _refused(stage, stage.rrq(mode=b"snowowl"))
    return None


@case(
    "1350-5-no-mode",
    "RFC 1350 section 5",
    Level.SHOULD,
    "A request without a mode is refused by an ERROR.",
    alone=True,
)
async def _no_mode(stage: Stage) -> str | None:
    await _refused(stage, b"\0\1" + stage.target.read + b"\0")
    return None


@case(
    "1350-5-no-end",
    "RFC 1350 section 5",
    Level.MAY,
    "A request whose mode has no NUL at its end is refused by an ERROR.",
    alone=True,
)
async def _no_end(stage: Stage) -> str | None:
    await _refused(stage, stage.rrq()[:-1])
    return None


@case(
    "1350-5-empty-name",
    "RFC 1350 section 5",
    Level.SHOULD,
    "A request for a file without a name is refused by an ERROR.",
    alone=True,
)
async def _empty_name(stage: Stage) -> str | None:
    await _refused(stage, rrq(b""))
    return None


@case(
    "1350-5-folder",
    "RFC 1350 appendix",
    Level.SHOULD,
    "A request to read a folder is refused by an ERROR.",
)
async def _folder(stage: Stage) -> str | None:
    await _refused(stage, rrq(b"."), served=Verdict.NON_STRICT)
    return None
