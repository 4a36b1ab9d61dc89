"""Requests to write: RFC 1350, and the options of RFC 2347 to 7440 in them.

They run only where a name to write was given.  What they leave behind is in the report: TFTP cannot
delete.
"""

from __future__ import annotations

from typing import Final

from snowowl.testing.conformance.case import WRITE, Chapter
from snowowl.testing.conformance.client import Client, blocks_of
from snowowl.testing.conformance.packets import Answer, data, error, rrq, wrq
from snowowl.testing.conformance.rfc1350_errors import silence
from snowowl.testing.conformance.rfc1350_read import compare
from snowowl.testing.conformance.stage import Stage
from snowowl.testing.conformance.verdicts import Deviation, Inapplicable, Informed, Level, Verdict

CHAPTER: Final = Chapter("Writing")
case = CHAPTER.case

NEEDS: Final = (WRITE,)
BLOCK: Final = 512


def octets_of(size: int) -> bytes:
    """Return octets of which no two blocks are alike."""
    return b"".join(b"%07d\n" % number for number in range(size // 8 + 1))[:size]


async def begin(client: Client, request: bytes) -> Answer:
    """Begin to write; return the answer, which is an ACK of block 0 or an OACK."""
    answer = await client.ask(request)
    client.fail_on_error(answer)
    if not (answer.is_ack(0) or answer.is_oack):
        raise Deviation(f"expected ACK 0 or an OACK, but {answer} came")
    return answer


async def compare_back(stage: Stage, name: bytes, expected: bytes) -> None:
    """Read what was written, where the server lets it be read, and compare."""
    if not stage.profile.reads_back:
        return
    async with stage.client() as client:
        compare(await client.read(rrq(name)), expected, "what was written")


async def _writes(stage: Stage, size: int) -> str | None:
    name, content = stage.upload_name(), octets_of(size)
    async with stage.client() as client:
        answer = await client.write(wrq(name), content)
        if answer.is_oack:
            raise Deviation("an OACK came, but no option was asked for")
    await compare_back(stage, name, content)
    return None if stage.profile.reads_back else "what was written cannot be read back"


@case(
    "1350-4-write",
    "RFC 1350 sections 2 and 4",
    Level.MUST,
    "A WRQ is answered by ACK 0, each DATA by its ACK, and the file is there whole.",
    needs=NEEDS,
)
async def _write(stage: Stage) -> str | None:
    return await _writes(stage, 5 * BLOCK + 100)


@case(
    "1350-6-write-multiple",
    "RFC 1350 section 6",
    Level.MUST,
    "A file that is written and ends with a DATA of no octets is there whole.",
    needs=NEEDS,
)
async def _write_multiple(stage: Stage) -> str | None:
    return await _writes(stage, 3 * BLOCK)


@case(
    "1350-6-write-empty",
    "RFC 1350 section 6",
    Level.MUST,
    "An empty file can be written: its only DATA has no octets.",
    needs=NEEDS,
)
async def _write_empty(stage: Stage) -> str | None:
    name = stage.upload_name()
    async with stage.client() as client:
        await client.write(wrq(name), b"")
    if stage.profile.reads_back:
        async with stage.client() as client:
            answer = await client.ask(rrq(name))
            if not answer.is_data(1) or answer.payload:
                return f"read back, it gives {answer}"
    return None


@case(
    "1350-6-dally",
    "RFC 1350 section 6",
    Level.SHOULD,
    "After its last ACK the server stays a while: the last DATA that comes again is acknowledged again.",
    needs=NEEDS,
)
async def _dally(stage: Stage) -> str | None:
    name, content = stage.upload_name(), octets_of(BLOCK + 10)
    async with stage.client() as client:
        await client.write(wrq(name), content)
        await client.send(data(2, content[BLOCK:]))
        answer = await client.hear(stage.patience)
        if answer is None:
            raise Deviation("nothing came")
        if not answer.is_ack(2):
            raise Deviation(f"expected ACK 2 again, but {answer} came")
    await compare_back(stage, name, content)
    return None


@case(
    "1350-2-write-again",
    "RFC 1350 section 2",
    Level.MUST,
    "A DATA that comes again is acknowledged again, for its ACK was lost, and is not stored twice.",
    needs=NEEDS,
)
async def _write_again(stage: Stage) -> str | None:
    name, content = stage.upload_name(), octets_of(4 * BLOCK + 9)
    blocks = blocks_of(content, BLOCK)
    async with stage.client() as client:
        await begin(client, wrq(name))
        for block in (1, 2):
            await client.send(data(block, blocks[block - 1]))
            await client.expect_ack(block)
        await client.send(data(2, blocks[1]))
        await client.expect_ack(2)
        for block in (3, 4, 5):
            await client.send(data(block, blocks[block - 1]))
            await client.expect_ack(block)
        client.over = True
    await compare_back(stage, name, content)
    return None


@case(
    "1350-2-write-behind",
    "RFC 1350 section 2",
    Level.MUST,
    "A late DATA of an earlier block does not disturb the transfer.",
    needs=NEEDS,
)
async def _write_behind(stage: Stage) -> str | None:
    name, content = stage.upload_name(), octets_of(4 * BLOCK + 9)
    blocks = blocks_of(content, BLOCK)
    async with stage.client() as client:
        await begin(client, wrq(name))
        for block in range(1, 6):
            if block == 4:
                await client.send(data(1, blocks[0]))
            await client.send(data(block, blocks[block - 1]))
            await client.expect_ack(block)
        client.over = True
    await compare_back(stage, name, content)
    return None


@case(
    "1350-2-write-ahead",
    "RFC 1350 section 2",
    Level.MUST,
    "DATA of a block that is not due is neither acknowledged nor stored.",
    needs=NEEDS,
)
async def _write_ahead(stage: Stage) -> str | None:
    name, content = stage.upload_name(), octets_of(4 * BLOCK + 9)
    blocks = blocks_of(content, BLOCK)
    async with stage.client() as client:
        await begin(client, wrq(name))
        await client.send(data(3, blocks[2]))
        for came in await client.hear_all(stage.moment):
            if came.is_ack(3):
                raise Deviation("DATA 3 was acknowledged where DATA 1 was due")
            if came.is_error():
                client.over = True
                raise Deviation(f"ended the transfer: {came}", Verdict.NON_STRICT)
        try:
            await client.write_window(blocks, 0, 1)
        except Deviation as broken:
            raise Deviation(f"does not go on after it: {broken}", Verdict.NON_STRICT) from broken
        for block in range(2, 6):
            await client.write_window(blocks, block - 1, block)
        client.over = True
    await compare_back(stage, name, content)
    return None


@case(
    "1350-4-write-wrong-tid",
    "RFC 1350 section 4",
    Level.MUST,
    "DATA and ERROR from another TID do not disturb an upload.",
    needs=NEEDS,
)
async def _write_wrong_tid(stage: Stage) -> str | None:
    name, content = stage.upload_name(), octets_of(3 * BLOCK + 9)
    blocks = blocks_of(content, BLOCK)
    async with stage.client() as client, stage.client() as stray:
        await begin(client, wrq(name))
        await client.write_window(blocks, 0, 1)
        await stray.send(data(2, b"not from the peer"), client.tid)
        await stray.send(error(0, b"not from the peer"), client.tid)
        await stray.hear(stage.moment)
        for block in range(2, 5):
            await client.write_window(blocks, block - 1, block)
        client.over = True
    await compare_back(stage, name, content)
    return None


@case(
    "1350-5-write-too-long",
    "RFC 1350 section 5",
    Level.MUST,
    "DATA of more than 512 octets, where nothing else was agreed, is not taken.",
    needs=NEEDS,
)
async def _write_too_long(stage: Stage) -> str | None:
    async with stage.client() as client:
        await begin(client, wrq(stage.upload_name()))
        await client.send(data(1, bytes(BLOCK + 88)))
        for came in await client.hear_all(stage.moment):
            if came.is_ack(1):
                raise Deviation("DATA of 600 octets was acknowledged", Verdict.NON_STRICT)
            if came.is_error():
                client.over = True
    return None


@case(
    "1350-7-write-error-ends",
    "RFC 1350 section 7",
    Level.MUST,
    "An ERROR from the client ends an upload, and is not answered.",
    needs=NEEDS,
)
async def _write_error_ends(stage: Stage) -> str | None:
    name = stage.upload_name()
    async with stage.client() as client:
        await begin(client, wrq(name))
        await client.send(data(1, octets_of(BLOCK)))
        await client.expect_ack(1)
        await client.send(error(0, b"enough"))
        client.over = True
        await silence(client, stage.quiet)
    return None


@case(
    "1350-7-write-partial",
    "snowowl",
    Level.MAY,
    "An upload that was broken off leaves no part of it under its name.",
    needs=NEEDS,
)
async def _write_partial(stage: Stage) -> str | None:
    if not stage.profile.reads_back:
        raise Inapplicable("what was written cannot be read back")
    if not stage.target.writes_many:
        raise Inapplicable("needs a new name: put {} into --write")
    name = stage.upload_name()
    async with stage.client() as client:
        await begin(client, wrq(name))
        await client.send(data(1, octets_of(BLOCK)))
        await client.expect_ack(1)
        await client.send(error(0, b"enough"))
        client.over = True
        await client.hear_all(stage.moment)
    async with stage.client() as client:
        answer = await client.ask(rrq(name))
        if answer.is_data():
            raise Informed("what had come of it can be read under its name")
    return None


@case(
    "1350-5-write-exists",
    "RFC 1350 appendix",
    Level.SHOULD,
    "A file that is there is overwritten, or the request is refused by ERROR 6 (or 2, by policy).",
    needs=NEEDS,
)
async def _write_exists(stage: Stage) -> str | None:
    name = stage.upload_name()
    if name == stage.target.write and not stage.profile.overwrites:
        raise Inapplicable("there is but one name, which may not be written again")
    async with stage.client() as client:
        await client.write(wrq(name), octets_of(100))
    async with stage.client() as client:
        answer = await client.ask(wrq(name))
        if answer.is_error():
            if answer.number not in (2, 6):
                raise Deviation(f"expected ERROR 6 or 2, but {answer} came")
            return f"refused by {answer}"
        if not answer.is_ack(0):
            raise Deviation(f"expected ACK 0, but {answer} came", Verdict.FAILED)
        await client.write_window([octets_of(50)], 0, 1)
        client.over = True
    await compare_back(stage, name, octets_of(50))
    return "overwritten"


@case(
    "1350-1-write-netascii",
    "RFC 1350 section 1",
    Level.MUST,
    "What is written in netascii and read in netascii is the same.",
    needs=NEEDS,
)
async def _write_netascii(stage: Stage) -> str | None:
    name, content = stage.upload_name(), b"one\r\ntwo\r\0three\r\n" * 40
    async with stage.client() as client:
        answer = await client.ask(wrq(name, mode=b"netascii"))
        if answer.is_error():
            raise Deviation(f"refuses mode netascii: {answer}", Verdict.NON_STRICT)
        for block, payload in enumerate(blocks_of(content, BLOCK), start=1):
            await client.send(data(block, payload))
            await client.expect_ack(block)
        client.over = True
    if stage.profile.reads_back:
        async with stage.client() as client:
            octets = await client.read(rrq(name, mode=b"netascii"))
        compare(octets, content, "what was written")
    return None


@case(
    "1350-4-write-asked-twice",
    "RFC 1350 section 4",
    Level.PRACTICE,
    "A WRQ that comes twice from one port makes one upload, from the TID that answered first.",
    needs=NEEDS,
)
async def _write_asked_twice(stage: Stage) -> str | None:
    name, content = stage.upload_name(), octets_of(2 * BLOCK + 9)
    blocks = blocks_of(content, BLOCK)
    async with stage.client() as client:
        await begin(client, wrq(name))
        await client.send(wrq(name), stage.target.address)
        others = {came.source for came in await client.hear_all(stage.moment)} - {client.tid}
        # As RFC 1350 section 4 has it: the second connection is told that it is not wanted.
        for other in others:
            await client.send(error(5, b"second answer"), other)
        for block in range(1, 4):
            await client.write_window(blocks, block - 1, block)
        client.over = True
    await compare_back(stage, name, content)
    return "opened a second transfer, as RFC 1350 section 4 allows" if others else None


@case(
    "1350-2-write-ack-again",
    "RFC 1350 section 2",
    Level.MAY,
    "While no DATA comes, the last ACK is sent again.",
    needs=NEEDS,
)
async def _write_ack_again(stage: Stage) -> str | None:
    async with stage.client() as client:
        await begin(client, wrq(stage.upload_name()))
        await client.send(data(1, octets_of(BLOCK)))
        await client.expect_ack(1)
        came = await client.hear(stage.patience)
        if came is None:
            raise Informed("nothing was sent again: the client has to")
        if not came.is_ack(1):
            raise Deviation(f"expected ACK 1 again, but {came} came", Verdict.NON_STRICT)
    return None
