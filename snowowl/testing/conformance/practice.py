"""What boot clients in use do, and need.  No RFC asks for most of it; each case names who does."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Final

from snowowl.testing.conformance.case import Chapter
from snowowl.testing.conformance.client import Agreed
from snowowl.testing.conformance.packets import ack, error, rrq
from snowowl.testing.conformance.rfc1350_read import compare
from snowowl.testing.conformance.rfc2347 import expect_oack, some_option
from snowowl.testing.conformance.stage import Stage
from snowowl.testing.conformance.verdicts import Deviation, Inapplicable, Informed, Level, Verdict

CHAPTER: Final = Chapter("Practice")
case = CHAPTER.case

CROWD: Final = 8
PROMPT_SECONDS: Final = 1.0


@case(
    "practice-asks-twice",
    "busybox, Raspberry Pi",
    Level.PRACTICE,
    "A client whose RRQ comes twice, and that keeps to the first TID, gets its file.",
)
async def _asks_twice(stage: Stage) -> str | None:
    async with stage.client() as client:
        answer = await client.ask(stage.rrq())
        await client.send(stage.rrq(), stage.target.address)
        others = {came.source for came in await client.hear_all(stage.moment)} - {client.tid}
        for other in others:  # RFC 1350 section 4: the second connection is refused
            await client.send(error(5, b"second answer"), other)
        compare(await client.read_on(answer), stage.content, "the file")
    return "opened a second transfer, as RFC 1350 section 4 allows" if others else None


@case(
    "practice-starts-over",
    "U-Boot after a reset",
    Level.PRACTICE,
    "A new RRQ from the port of a transfer that is still open is served at once.",
    size_min=1024,
)
async def _starts_over(stage: Stage) -> str | None:
    async with stage.client() as client:
        await client.ask(stage.rrq())
        await client.send(ack(1))
        await client.expect_data(2)
        request = rrq(stage.target.read, ("x-snowowl", "again"))
        await client.send(request, stage.target.address)
        for came in await client.hear_all(max(PROMPT_SECONDS, stage.moment)):
            if came.is_oack:
                client.tid = came.source
                return None
            if came.is_data(1):
                client.tid = came.source  # both end by the same ERROR where they share a port
                if not stage.content.startswith(came.payload):
                    raise Deviation("the new transfer begins with other octets", Verdict.FAILED)
                return None
    raise Deviation("expected DATA 1 for the new request, but it did not come at once")


@case(
    "practice-probes-first",
    "EDK2, barebox, Intel PXE",
    Level.PRACTICE,
    "A client that asks for the size, breaks off by ERROR, and asks again from the same port is served.",
)
async def _probes_first(stage: Stage) -> str | None:
    if "tsize" not in stage.profile.granted:
        raise Inapplicable("the server does not grant tsize")
    async with stage.client() as client:
        for code in (8, 0):
            answer = await client.ask(stage.rrq(("tsize", 0), ("blksize", 512)))
            expect_oack(answer)
            await client.send(error(code, b"User aborted the transfer"))
            client.over = True
            await client.hear_all(stage.moment / 5)  # no client is quicker
        answer = await client.ask(stage.rrq(("blksize", 1432)))
        compare(await client.read_on(answer), stage.content, "the file")
    return None


@case(
    "practice-crowd",
    "a lab after a power failure",
    Level.PRACTICE,
    "Eight transfers of one file, packet by packet in turn, all come right.",
)
async def _crowd(stage: Stage) -> str | None:
    if not stage.profile.concurrent:
        raise Deviation("a second client is not answered while a first one is being served")
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(stage.client()) for _ in range(CROWD)]
        answers = [await client.ask(stage.rrq()) for client in clients]
        blocks = min(len(stage.content) // 512, 8)
        pieces = [[answer.payload] for answer in answers]
        for block in range(2, blocks + 1):
            for client in clients:
                await client.send(ack(block - 1))
            for index, client in enumerate(clients):
                answers[index] = await client.expect_data(block)
                pieces[index].append(answers[index].payload)
        for index, client in enumerate(clients):
            last = max(blocks, 1)
            rest = await client.read_from(answers[index], last, Agreed())
            compare(b"".join(pieces[index][:-1]) + rest, stage.content, "the file")
    return None


@case(
    "practice-leading-slash",
    "GRUB, PXELINUX",
    Level.PRACTICE,
    "A slash before a name means the folder that is served.",
)
async def _leading_slash(stage: Stage) -> str | None:
    return await _same(stage, b"/" + stage.target.read.lstrip(b"/"), told=False)


@case(
    "practice-double-slash",
    "GRUB",
    Level.MAY,
    "Two slashes in a name are one.",
)
async def _double_slash(stage: Stage) -> str | None:
    return await _same(stage, b"//" + stage.target.read.lstrip(b"/"), told=True)


@case(
    "practice-dot",
    "PXELINUX, Raspberry Pi",
    Level.MAY,
    "`./` before a name changes nothing.",
)
async def _dot(stage: Stage) -> str | None:
    return await _same(stage, b"./" + stage.target.read.lstrip(b"/"), told=True)


@case(
    "practice-tail",
    "boot ROMs of network cards",
    Level.MAY,
    "An octet 0xFF after a name, which some ROMs send, is not taken for a part of it.",
    alone=True,
)
async def _tail(stage: Stage) -> str | None:
    return await _same(stage, stage.target.read + b"\xff", told=True)


async def _same(stage: Stage, name: bytes, *, told: bool) -> str | None:
    """Expect the file under another name."""
    async with stage.client() as client:
        answer = await client.ask(rrq(name))
        if answer.is_error():
            raise Informed(f"refused: {answer}") if told else Deviation(f"refused: {answer}")
        compare(await client.read_on(answer), stage.content, "the file")
    return None


@case(
    "practice-padded-ack",
    "iPXE, EDK2",
    Level.PRACTICE,
    "Octets after an ACK, as padding of short Ethernet frames leaves them, do not matter.",
    size_min=1024,
)
async def _padded_ack(stage: Stage) -> str | None:
    async with stage.client() as client:
        answer = await client.ask(stage.rrq())
        await client.send(ack(1) + bytes(14))
        second = await client.expect_data(2)
        octets = await client.read_from(second, 2, Agreed())
        compare(answer.payload + octets, stage.content, "the file")
    return None


@case(
    "practice-junk-amid",
    "networks",
    Level.PRACTICE,
    "Noise from the peer in the middle of a transfer does not end it.",
    size_min=1024,
    alone=True,
)
async def _junk_amid(stage: Stage) -> str | None:
    async with stage.client() as client:
        answer = await client.ask(stage.rrq())
        for junk in (b"", b"\0", b"\0\4", b"\0\4\0", b"\xff" * 40, b"\0\x63\0\1"):
            await client.send(junk)
        for came in await client.hear_all(stage.moment):
            if came.is_error():
                client.over = True
                raise Deviation(f"ended the transfer: {came}")
        compare(await client.read_on(answer), stage.content, "the file")
    return None


@case(
    "practice-error-5-survives",
    "lwIP, U-Boot on lwIP",
    Level.MAY,
    "A client that says ERROR 5 of one block and goes on, as lwIP does, is served on.",
    size_min=1024,
)
async def _error_5_survives(stage: Stage) -> str | None:
    async with stage.client() as client:
        answer = await client.ask(stage.rrq())
        await client.send(error(5, b"Wrong block number"))
        await client.send(ack(1))
        second = await client.hear(stage.patience)
        if second is None or not second.is_data(2):
            client.over = True
            raise Informed("the ERROR ended the transfer, as RFC 1350 has it")
        octets = await client.read_from(second, 2, Agreed())
        compare(answer.payload + octets, stage.content, "the file")
    return None


@case(
    "practice-silent-clients",
    "reflection attacks, clients that were switched off",
    Level.PRACTICE,
    "A server goes on serving others while OACKs of clients that are gone wait for their ACKs.",
)
async def _many_silent(stage: Stage) -> str | None:
    option = some_option(stage)
    if not stage.profile.concurrent:
        raise Deviation("a second client is not answered while a first one is silent")
    async with AsyncExitStack() as stack:
        for _ in range(CROWD):
            silent = await stack.enter_async_context(stage.client())
            await silent.ask(stage.rrq(option))
        client = await stack.enter_async_context(stage.client())
        compare(await client.read(stage.rrq()), stage.content, "the file")
    return None
