"""RFC 1350: requests to read, TIDs, the last block, modes."""

from __future__ import annotations

from typing import Final

from snowowl.testing.conformance.case import Chapter
from snowowl.testing.conformance.client import Agreed
from snowowl.testing.conformance.packets import ack, data, error
from snowowl.testing.conformance.stage import Stage
from snowowl.testing.conformance.verdicts import Deviation, Inapplicable, Informed, Level, Verdict

CHAPTER: Final = Chapter("RFC 1350: reading")
case = CHAPTER.case

BLOCK: Final = 512
TWO_BLOCKS: Final = 2 * BLOCK
THREE_BLOCKS: Final = 3 * BLOCK

LATER: Final = 5
"""How far ahead the block of a stray ACK is."""


@case(
    "1350-2-read",
    "RFC 1350 section 2",
    Level.MUST,
    "A file comes as DATA 1, 2, 3 ... of exactly 512 octets, and a shorter one at its end.",
)
async def _plain_read(stage: Stage) -> str | None:
    async with stage.client() as client:
        octets = await client.read(stage.rrq())
        compare(octets, stage.content, "the file")
        for answer in client.came:
            if answer.is_data() and len(answer.payload) > BLOCK:
                raise Deviation(f"DATA {answer.number} has {len(answer.payload)} octets")
    return None


@case(
    "1350-6-empty-last-block",
    "RFC 1350 section 6",
    Level.MUST,
    "A file whose size is a multiple of 512 ends with a DATA of no octets.",
)
async def _empty_last_block(stage: Stage) -> str | None:
    if len(stage.content) % BLOCK:
        raise Inapplicable("the size of the file is no multiple of 512")
    async with stage.client() as client:
        compare(await client.read(stage.rrq()), stage.content, "the file")
        last = [answer for answer in client.came if answer.is_data()][-1]
        if last.payload:
            raise Deviation(f"the last one was {last}")
    return None


@case(
    "1350-4-new-tid",
    "RFC 1350 section 4",
    Level.MUST,
    "A transfer is answered from a TID of its own, not from the port that takes requests.",
)
async def _new_tid(stage: Stage) -> str | None:
    async with stage.client() as client:
        answer = await client.ask(stage.rrq())
        if answer.source == stage.target.address:
            raise Informed(
                "answers come from the listening port: not RFC 1350's way, but it passes NAT"
            )
    return None


@case(
    "1350-4-random-tid",
    "RFC 1350 section 4",
    Level.SHOULD,
    "The TID of the server is not the same twice in succession, so that late packets meet nobody.",
)
async def _random_tid(stage: Stage) -> str | None:
    if stage.profile.single_port:
        raise Inapplicable("all answers come from the listening port")
    async with stage.client() as client:
        before = None
        for _ in range(4):
            answer = await client.ask(stage.rrq())
            await client.quit()
            if answer.source == before:
                raise Deviation("two transfers in succession were answered from the same port")
            before = answer.source
            await client.hear_all(stage.moment)
    return None


@case(
    "1350-4-same-tid",
    "RFC 1350 section 4",
    Level.MUST,
    "All packets of a transfer come from the TID that answered first.",
    size_min=TWO_BLOCKS,
)
async def _same_tid(stage: Stage) -> str | None:
    async with stage.client() as client:
        await client.read(stage.rrq())
        ports = {answer.source for answer in client.came}
        if len(ports) > 1:
            raise Deviation(f"packets came from {len(ports)} ports")
    return None


@case(
    "1350-4-wrong-tid-error",
    "RFC 1350 section 4",
    Level.SHOULD,
    "A packet that comes to a transfer from another TID is answered there by ERROR 5.",
    size_min=TWO_BLOCKS,
)
async def _wrong_tid_error(stage: Stage) -> str | None:
    async with stage.client() as client, stage.client() as stray:
        await client.ask(stage.rrq())
        await stray.send(ack(1), client.tid)
        answer = await stray.hear(stage.moment)
        if answer is None and stage.profile.single_port:
            raise Informed(
                "a stray ACK to the listening port is dropped: it belongs to no transfer"
            )
        if answer is None:
            raise Deviation("expected ERROR 5 for the stray packet, but nothing came")
        if not answer.is_error(5):
            raise Deviation(f"expected ERROR 5 for the stray packet, but {answer} came")
    return None


async def _undisturbed(stage: Stage, *strays: bytes) -> None:
    """Send strays from another port in the middle of a transfer, which must go on all the same."""
    async with stage.client() as client, stage.client() as stray:
        answer = await client.ask(stage.rrq())
        if not answer.is_data(1):
            raise Deviation(f"expected DATA 1, but {answer} came")
        first = answer.payload
        await client.send(ack(1))
        answer = await client.expect_data(2)
        for octets in strays:
            await stray.send(octets, client.tid)
        await stray.hear(stage.moment)
        for came in await client.hear_all(stage.moment):
            if not came.is_data(2):  # that may be the timer's
                client.fail_on_error(came)
                raise Deviation(f"{came} came, which only the peer's own ACK may cause")
        compare(first + await client.read_from(answer, 2, Agreed()), stage.content, "the file")


@case(
    "1350-4-wrong-tid-ack",
    "RFC 1350 section 4",
    Level.MUST,
    "An ACK from another TID does not disturb the transfer.",
    size_min=THREE_BLOCKS,
)
async def _wrong_tid_ack(stage: Stage) -> str | None:
    await _undisturbed(stage, ack(2), ack(3), ack(0))
    return None


@case(
    "1350-4-wrong-tid-abort",
    "RFC 1350 section 4",
    Level.MUST,
    "An ERROR from another TID does not end the transfer: anybody can send one.",
    size_min=THREE_BLOCKS,
)
async def _wrong_tid_abort(stage: Stage) -> str | None:
    await _undisturbed(stage, error(0, b"not your peer"))
    return None


@case(
    "1350-2-ack-behind",
    "RFC 1350 section 2",
    Level.MUST,
    "A late ACK of an earlier block does not disturb the transfer.",
    size_min=4 * BLOCK,
)
async def _ack_behind(stage: Stage) -> str | None:
    async with stage.client() as client:
        pieces = [(await client.ask(stage.rrq())).payload]
        for block in (2, 3):
            await client.send(ack(block - 1))
            pieces.append((await client.expect_data(block)).payload)
        await client.send(ack(1))
        await client.send(ack(0))
        await client.send(ack(3))
        answer = await client.expect_data(4)
        octets = await client.read_from(answer, 4, Agreed())
        compare(b"".join(pieces) + octets, stage.content, "the file")
    return None


@case(
    "1350-2-ack-ahead",
    "RFC 1350 section 2",
    Level.MUST,
    "An ACK of a block that was not sent yet does not move the transfer on.",
    size_min=(LATER + 3) * BLOCK,
)
async def _ack_ahead(stage: Stage) -> str | None:
    async with stage.client() as client:
        answer = await client.ask(stage.rrq())
        await client.send(ack(1 + LATER))
        for came in await client.hear_all(stage.moment):
            if came.is_data() and not came.is_data(1):
                raise Deviation(
                    f"sent {came} after an ACK of block {1 + LATER}, which it had not sent"
                )
            if came.is_error():
                client.over = True
                raise Deviation(f"ended the transfer: {came}", Verdict.NON_STRICT)
        try:
            await client.send(ack(1))
            second = await client.expect_data(2)
        except Deviation as broken:
            raise Deviation(f"does not go on after it: {broken}", Verdict.NON_STRICT) from broken
        octets = await client.read_from(second, 2, Agreed())
        compare(answer.payload + octets, stage.content, "the file")
    return None


@case(
    "1350-5-modes",
    "RFC 1350 section 5",
    Level.MUST,
    "The mode is taken in upper and lower case, however mixed.",
)
async def _modes(stage: Stage) -> str | None:
    for mode in (b"OCTET", b"oCtEt", b"Octet"):
        async with stage.client() as client:
            answer = await client.ask(stage.rrq(mode=mode))
            if not answer.is_data(1):
                raise Deviation(f'expected DATA 1 for mode "{mode.decode()}", but {answer} came')
    return None


@case(
    "1350-1-netascii",
    "RFC 1350 section 1",
    Level.MUST,
    "In mode netascii lines end in CR LF, and a bare CR is CR NUL.",
)
async def _netascii(stage: Stage) -> str | None:
    content = stage.content
    expected = content.replace(b"\r", b"\r\0").replace(b"\n", b"\r\n")
    if expected == content:
        raise Inapplicable("the file holds neither CR nor LF: all modes are the same for it")
    async with stage.client() as client:
        answer = await client.ask(stage.rrq(mode=b"netascii"))
        if answer.is_error():
            raise Deviation(f"refuses mode netascii: {answer}", Verdict.NON_STRICT)
        octets = await client.read_on(answer)
    if octets == expected:
        return None
    bare = octets.replace(b"\r\n", b"").replace(b"\r\0", b"")
    if octets == content and b"\r" not in bare:
        raise Deviation(
            "sends the file as it is, without converting its line ends", Verdict.NON_STRICT
        )
    if octets == content:
        raise Deviation(
            "sends the file as it is: a CR that neither LF nor NUL follows is no netascii"
        )
    if b"\r" not in bare and octets.replace(b"\r\0", b"\r") == content:
        return "the file has the line ends of the wire already"
    if octets == content.replace(b"\n", b"\r\n"):
        raise Deviation("converts LF, but leaves a CR as it is: no CR NUL", Verdict.NON_STRICT)
    raise Deviation(f"{len(octets)} octets came that are not the file in netascii")


@case(
    "1350-6-last-block-again",
    "RFC 1350 section 6",
    Level.MUST,
    "The last DATA is sent again until it is acknowledged, or the server gives up.",
)
async def _last_block_again(stage: Stage) -> str | None:
    async with stage.client() as client:
        answer = await client.ask(stage.rrq())
        block = 1
        while len(answer.payload) == BLOCK:
            await client.send(ack(block))
            block += 1
            answer = await client.expect_data(block)
        again = await client.hear(stage.patience)
        if again is None or again.octets != answer.octets:
            what = "nothing" if again is None else str(again)
            raise Deviation(f"expected the last DATA again, but {what} came")
        await client.send(ack(block))
        client.over = True
    return None


@case(
    "1350-6-end",
    "RFC 1350 section 6",
    Level.MUST,
    "After the ACK of the last DATA nothing more is sent.",
)
async def _end(stage: Stage) -> str | None:
    async with stage.client() as client:
        await client.read(stage.rrq())
        for came in await client.hear_all(stage.quiet):
            raise Deviation(f"{came} came after the end")
    return None


@case(
    "1350-2-not-data",
    "RFC 1350 section 2",
    Level.PRACTICE,
    "DATA sent to a transfer that reads does not pass for an ACK.",
    size_min=THREE_BLOCKS,
)
async def _data_instead(stage: Stage) -> str | None:
    async with stage.client() as client:
        answer = await client.ask(stage.rrq())
        await client.send(data(1, b"odd"))
        for came in await client.hear_all(stage.moment):
            if came.is_data(2):
                raise Deviation("took DATA 1 for an ACK of block 1", Verdict.FAILED)
            if came.is_error():
                client.over = True
                return f"ends the transfer: {came}"
        compare(await client.read_from(answer, 1, Agreed()), stage.content, "the file")
    return None


def compare(octets: bytes, expected: bytes, what: str) -> None:
    """Raise Deviation if octets are not those that were expected."""
    if octets == expected:
        return
    if len(octets) != len(expected) and expected.startswith(octets):
        raise Deviation(
            f"{what} ended after {len(octets)} of {len(expected)} octets", Verdict.FAILED
        )
    pairs = enumerate(zip(octets, expected, strict=False))
    wrong = next(
        (at for at, (one, other) in pairs if one != other), min(len(octets), len(expected))
    )
    raise Deviation(
        f"{what} has {len(octets)} octets of {len(expected)}, wrong from offset {wrong} on",
        Verdict.FAILED,
    )
