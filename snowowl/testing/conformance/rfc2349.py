"""RFC 2349: timeout and tsize."""

from __future__ import annotations

from typing import Final

import trio

from snowowl.testing.conformance.case import Chapter
from snowowl.testing.conformance.rfc1350_read import compare
from snowowl.testing.conformance.rfc2347 import ask_invalid, expect_oack
from snowowl.testing.conformance.stage import Stage
from snowowl.testing.conformance.verdicts import Deviation, Informed, Level, Verdict

CHAPTER: Final = Chapter("RFC 2349: timeout, tsize")
case = CHAPTER.case

VALID: Final = (1, 255)
TIMEOUT: Final = 3
"""Seconds to ask for: not the default of any server known, and still soon over."""

EARLY: Final = 0.6
LATE: Final = 1.7
"""Shares of the timeout within which it counts as obeyed: servers that count whole seconds are right."""


@case(
    "2349-timeout-echoed",
    "RFC 2349",
    Level.MUST,
    "A timeout is acknowledged with the value that was asked for, or left out.",
)
async def _timeout_echoed(stage: Stage) -> str | None:
    left_out = []
    # 5 is U-Boot's and barebox', which take another value for an error; 6 is curl's.
    for value in (1, 2, 5, 6, 255):
        async with stage.client() as client:
            answer = await client.ask(stage.rrq(("timeout", value)))
            if not answer.is_oack or "timeout" not in answer.granted:
                client.fail_on_error(answer)
                left_out.append(str(value))
                continue
            granted = expect_oack(answer).get("timeout")
            if granted is not None and granted in (f"{value}.0", f"0{value}"):
                said = f"asked for {value}, it grants {granted}: equal, in another form"
                raise Deviation(said, Verdict.NON_STRICT)
            if granted != str(value):
                raise Deviation(f"asked for {value}, it grants {granted}")
    if len(left_out) == 5:
        raise Informed("the server does not grant timeout")
    return f"left out for {', '.join(left_out)}" if left_out else None


@case(
    "2349-timeout-obeyed",
    "RFC 2349",
    Level.MUST,
    "A timeout that was granted is the wait before DATA is sent again.",
    needs=("timeout",),
    size_min=512,
)
async def _timeout_obeyed(stage: Stage) -> str | None:
    async with stage.client() as client:
        answer = await client.ask(stage.rrq(("timeout", TIMEOUT)))
        expect_oack(answer)
        await client.send(b"\0\4\0\0")
        await client.expect_data(1)
        await client.send(b"\0\4\0\1")
        await client.expect_data(2)
        began = trio.current_time()
        again = await client.hear(max(stage.patience, 3 * TIMEOUT))
        seconds = trio.current_time() - began
        if again is None:
            raise Deviation(f"granted {TIMEOUT} s, it sent nothing again within {seconds:.1f} s")
        if not again.is_data(2):
            raise Deviation(f"expected DATA 2 again, but {again} came")
        if not EARLY * TIMEOUT <= seconds <= LATE * TIMEOUT:
            raise Deviation(f"granted {TIMEOUT} s, it sent again after {seconds:.1f} s")
    return None


@case(
    "2349-timeout-range",
    "RFC 2349",
    Level.MUST,
    "A timeout outside of 1 to 255 is not granted.",
    alone=True,
)
async def _timeout_range(stage: Stage) -> str | None:
    await ask_invalid(stage, "timeout", VALID, "0", "256", "1000", "-1", "4294967297")
    return None


@case(
    "2349-timeout-nonsense",
    "RFC 2349",
    Level.PRACTICE,
    "A timeout that is no number is left out, and the file comes.",
    alone=True,
)
async def _timeout_nonsense(stage: Stage) -> str | None:
    await ask_invalid(stage, "timeout", VALID, "abc", "", "3s")
    return None


@case(
    "2349-tsize-read",
    "RFC 2349",
    Level.MUST,
    "Asked by tsize=0, the size of the file is told right.",
    needs=("tsize",),
)
async def _tsize_read(stage: Stage) -> str | None:
    async with stage.client() as client:
        answer = await client.ask(stage.rrq(("tsize", 0)))
        told = expect_oack(answer).get("tsize")
        if told != str(len(stage.content)):
            raise Deviation(f"tells {told}, the file has {len(stage.content)} octets")
        compare(await client.read_on(answer), stage.content, "the file")
    return None


@case(
    "2349-tsize-told",
    "GRUB, PXELINUX, EDK2, barebox",
    Level.PRACTICE,
    "The size of a file is told to who asks: loaders need it to make room.",
)
async def _tsize_told(stage: Stage) -> str | None:
    if "tsize" not in stage.profile.granted and stage.content:
        raise Deviation("the server does not grant tsize")
    return None


@case(
    "2349-tsize-not-0",
    "RFC 2349",
    Level.MAY,
    "Asked with a tsize that is not 0, which no client should do, the size is told all the same.",
    needs=("tsize",),
)
async def _tsize_not_0(stage: Stage) -> str | None:
    async with stage.client() as client:
        answer = await client.ask(stage.rrq(("tsize", 12345)))
        told = answer.granted.get("tsize") if answer.is_oack else None
        if told not in (None, str(len(stage.content))):
            raise Informed(f"the value is told back: tsize={told}")
        if answer.is_error():
            raise Informed(f"refused: {answer}")
        compare(await client.read_on(answer), stage.content, "the file")
    return None


@case(
    "2349-tsize-netascii",
    "RFC 2349",
    Level.MAY,
    "In netascii tsize is the size on the wire, or left out: clients disagree on what they want.",
    needs=("tsize",),
)
async def _tsize_netascii(stage: Stage) -> str | None:
    async with stage.client() as client:
        answer = await client.ask(stage.rrq(("tsize", 0), mode=b"netascii"))
        if answer.is_error():
            raise Informed(f"refuses mode netascii: {answer}")
        told = answer.granted.get("tsize") if answer.is_oack else None
        if told is None:
            return "left out"
        octets = await client.read_on(answer)
        if told != str(len(octets)):
            raise Informed(f"tells {told}, of which {len(octets)} octets are made on the wire")
    return None


@case(
    "2349-tsize-blksize",
    "iPXE, GRUB, PXELINUX, Raspberry Pi",
    Level.PRACTICE,
    "tsize and blksize are granted together, and right.",
    needs=("tsize", "blksize"),
)
async def _tsize_blksize(stage: Stage) -> str | None:
    for asked in ((("blksize", 1432), ("tsize", 0)), (("tsize", 0), ("blksize", 1408))):
        async with stage.client() as client:
            answer = await client.ask(stage.rrq(*asked))
            granted = expect_oack(answer)
            if granted.get("tsize") != str(len(stage.content)) or "blksize" not in granted:
                raise Deviation(f"expected both, but {answer} came")
            compare(await client.read_on(answer), stage.content, "the file")
    return None
