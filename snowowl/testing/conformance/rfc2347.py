"""RFC 2347: options and their acknowledgement."""

from __future__ import annotations

from typing import Final

from snowowl.testing.conformance.case import Chapter
from snowowl.testing.conformance.packets import Answer, ack, error, malformed_oack, rrq
from snowowl.testing.conformance.rfc1350_errors import silence
from snowowl.testing.conformance.rfc1350_read import compare
from snowowl.testing.conformance.stage import Stage
from snowowl.testing.conformance.verdicts import Deviation, Inapplicable, Informed, Level, Verdict

CHAPTER: Final = Chapter("RFC 2347: options")
case = CHAPTER.case

REQUEST_MAX: Final = 512  # RFC 2347: octets of a request

_VALUES: Final = {"blksize": "1024", "timeout": "3", "tsize": "0", "windowsize": "4"}


def some_option(stage: Stage) -> tuple[str, str]:
    """Return an option that the server grants.  Raises Inapplicable if there is none."""
    for name, value in _VALUES.items():
        if name in stage.profile.granted:
            return name, value
    raise Inapplicable("the server grants no option")


def expect_oack(answer: Answer) -> dict[str, str]:
    """Return what is granted.  Raises Deviation for anything but a well formed OACK."""
    if not answer.is_oack:
        raise Deviation(f"expected an OACK, but {answer} came")
    wrong = malformed_oack(answer.octets)
    if wrong is not None:
        raise Deviation(f"malformed OACK ({answer.octets[:60]!r}): {wrong}")
    return answer.granted


async def ask_invalid(stage: Stage, name: str, valid: tuple[int, int], *values: str) -> None:
    """Ask for what is no valid value of an option: it should be left out, and the file come.

    Granted all the same, a value that no transfer can go by is FAILED; one that is valid is odd and
    hurts nobody, as no client asks so.  What is above the greatest may be granted as less, like any
    large value.  To be refused by an ERROR is harder on clients than it need be.
    """
    refused = ""
    for value in values:
        async with stage.client() as client:
            answer = await client.ask(stage.rrq((name, value)))
            if answer.is_error():
                refused = refused or f"{name}={value} is refused by {answer}"
                continue
            if not (answer.is_oack or answer.is_data(1)):
                raise Deviation(f"asked for {name}={value!r}, it sends {answer}")
            granted = answer.granted.get(name) if answer.is_oack else None
            if granted is None:
                continue
            number = int(granted) if _is_number(granted) else -1
            said = f"asked for {name}={value}, it grants {granted}"
            if not valid[0] <= number <= valid[1]:
                raise Deviation(said, Verdict.FAILED)
            if name == "timeout" or not (_is_number(value) and number <= int(value)):
                raise Deviation(said, Verdict.NON_STRICT)
    if refused:
        raise Deviation(refused + ": clients do better with an option left out", Verdict.NON_STRICT)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 100


@case(
    "2347-none-without",
    "RFC 2347",
    Level.MUST,
    "A request without options is answered by DATA, never by an OACK.",
)
async def _none_without(stage: Stage) -> str | None:
    async with stage.client() as client:
        answer = await client.ask(stage.rrq())
        if not answer.is_data(1):
            raise Deviation(f"expected DATA 1, but {answer} came")
    return None


@case(
    "2347-unknown-ignored",
    "RFC 2347",
    Level.MUST,
    "An option that the server does not know is ignored: alone, the answer is DATA 1.",
)
async def _unknown_ignored(stage: Stage) -> str | None:
    async with stage.client() as client:
        answer = await client.ask(stage.rrq(("x-snowowl", "1")))
        if answer.is_oack:
            expect_oack(answer)
            if "x-snowowl" in answer.granted:
                raise Deviation(f"acknowledges an option that it cannot know: {answer}")
            raise Deviation(f"expected DATA 1, but {answer} came, which was not asked for")
        compare(await client.read_on(answer), stage.content, "the file")
    return None


@case(
    "2347-unknown-beside",
    "RFC 2347",
    Level.MUST,
    "An option that the server does not know does not spoil those beside it, and is not acknowledged.",
)
async def _unknown_beside(stage: Stage) -> str | None:
    name, value = some_option(stage)
    async with stage.client() as client:
        answer = await client.ask(stage.rrq(("x-snowowl", "1"), (name, value), ("x-other", "a b")))
        granted = expect_oack(answer)
        if set(granted) != {name}:
            raise Deviation(f"expected an OACK of {name} alone, but {answer} came")
    return None


@case(
    "2347-only-asked",
    "RFC 2347",
    Level.MUST,
    "An OACK holds only options that were asked for.",
)
async def _only_asked(stage: Stage) -> str | None:
    some_option(stage)
    for name in stage.profile.granted:
        async with stage.client() as client:
            answer = await client.ask(stage.rrq((name, _VALUES.get(name, "0"))))
            more = set(expect_oack(answer)) - {name}
            if more:
                raise Deviation(f"grants {', '.join(sorted(more))}, which was not asked for")
    return None


@case(
    "2347-form",
    "RFC 2347",
    Level.MUST,
    "An OACK is pairs of name and value, each ended by NUL, and nothing after the last one.",
)
async def _form(stage: Stage) -> str | None:
    some_option(stage)
    asked = [(name, _VALUES.get(name, "0")) for name in stage.profile.granted]
    async with stage.client() as client:
        answer = await client.ask(stage.rrq(*asked))
        expect_oack(answer)
        if len(set(answer.names)) != len(answer.names):
            raise Deviation(f"names an option twice: {answer}")
    return None


@case(
    "2347-case",
    "RFC 2347",
    Level.MUST,
    "Names of options are taken in upper and lower case.",
)
async def _any_case(stage: Stage) -> str | None:
    name, value = some_option(stage)
    for written in (name.upper(), name.capitalize()):
        async with stage.client() as client:
            answer = await client.ask(stage.rrq((written, value)))
            if not answer.is_oack or name not in answer.granted:
                raise Deviation(f"{written} is not granted, {name} is: {answer} came")
    return None


@case(
    "2347-any-order",
    "RFC 2347",
    Level.MUST,
    "The order in which options are asked for makes no difference to what is granted.",
)
async def _any_order(stage: Stage) -> str | None:
    asked = [pair for pair in _VALUES.items() if pair[0] in stage.profile.granted]
    if len(asked) < 2:
        raise Inapplicable("the server grants fewer than two options")
    answers: list[dict[str, str]] = []
    for options in (asked, asked[::-1]):
        async with stage.client() as client:
            answers.append(expect_oack(await client.ask(stage.rrq(*options))))
    if answers[0] != answers[1]:
        raise Deviation(f"grants {answers[0]}, and in the other order {answers[1]}")
    return None


@case(
    "2347-order-kept",
    "RFC 2347",
    Level.MAY,
    "Options are acknowledged in the order in which they were asked for.",
)
async def _order_kept(stage: Stage) -> str | None:
    asked = [pair for pair in _VALUES.items() if pair[0] in stage.profile.granted]
    if len(asked) < 2:
        raise Inapplicable("the server grants fewer than two options")
    for options in (asked, asked[::-1]):
        async with stage.client() as client:
            answer = await client.ask(stage.rrq(*options))
            expect_oack(answer)
            expected = [name for name, _ in options if name in answer.granted]
            if answer.names != expected:
                order = ", ".join(answer.names)
                raise Informed(f"in an order of its own ({order}), as RFC 2347 allows")
    return None


@case(
    "2347-ack-0",
    "RFC 2347",
    Level.MUST,
    "After an OACK no DATA is sent before its ACK, which has block 0; then DATA 1 comes.",
)
async def _ack_0(stage: Stage) -> str | None:
    async with stage.client() as client:
        answer = await client.ask(stage.rrq(some_option(stage)))
        expect_oack(answer)
        for came in await client.hear_all(stage.moment):
            if came.is_data():
                raise Deviation(f"{came} came before the ACK of the OACK")
        compare(await client.read_on(answer), stage.content, "the file")
    return None


@case(
    "2347-oack-again",
    "RFC 2347",
    Level.MUST,
    "An OACK that is not acknowledged is sent again.",
)
async def _oack_again(stage: Stage) -> str | None:
    async with stage.client() as client:
        answer = await client.ask(stage.rrq(some_option(stage)))
        expect_oack(answer)
        again = await client.hear(stage.patience)
        if again is None:
            raise Deviation(f"nothing came within {stage.patience:g} s")
        if again.octets != answer.octets:
            raise Deviation(f"expected the same OACK again, but {again} came")
        compare(await client.read_on(answer), stage.content, "the file")
    return None


@case(
    "2347-ack-0-twice",
    "RFC 1123 section 4.2.3.1",
    Level.MUST,
    "An ACK 0 that comes twice does not disturb the transfer.",
    size_min=1024,
)
async def _ack_0_twice(stage: Stage) -> str | None:
    async with stage.client() as client:
        answer = await client.ask(stage.rrq(some_option(stage)))
        await client.send(ack(0))
        compare(await client.read_on(answer), stage.content, "the file")
    return None


@case(
    "2347-error-8-ends",
    "RFC 2347",
    Level.MUST,
    "An ERROR 8 in answer to the OACK ends the transfer, and is not answered.",
)
async def _error_8_ends(stage: Stage) -> str | None:
    async with stage.client() as client:
        await client.ask(stage.rrq(some_option(stage)))
        await client.send(error(8, b"do not like these options"))
        client.over = True
        await silence(client, stage.quiet)
    return None


@case(
    "2347-given-twice",
    "RFC 2347",
    Level.MAY,
    "An option that is asked for twice, which no client may do, is acknowledged once or not at all.",
    alone=True,
)
async def _given_twice(stage: Stage) -> str | None:
    name, value = some_option(stage)
    async with stage.client() as client:
        answer = await client.ask(stage.rrq((name, value), (name, value)))
        if answer.is_oack and len(set(answer.names)) != len(answer.names):
            raise Informed(f"acknowledged twice: {answer}")
        if answer.is_error():
            return f"refused: {answer}"
    return None


@case(
    "2347-request-512",
    "RFC 2347",
    Level.MUST,
    "A request of 512 octets, which is the most, is served.",
)
async def _request_512(stage: Stage) -> str | None:
    room = REQUEST_MAX - len(stage.rrq(("x-snowowl", "")))
    if room < 0:
        raise Inapplicable("the name of the file is too long for it")
    async with stage.client() as client:
        answer = await client.ask(stage.rrq(("x-snowowl", "a" * room)))
        compare(await client.read_on(answer), stage.content, "the file")
    return None


@case(
    "2347-missing-file",
    "GRUB, iPXE, U-Boot",
    Level.PRACTICE,
    "A missing file is refused by ERROR 1 at once, and not by an OACK first.",
)
async def _missing_file(stage: Stage) -> str | None:
    async with stage.client() as client:
        request = rrq(stage.missing_name(), ("blksize", 1432), ("tsize", 0))
        answer = await client.ask(request)
        if answer.is_oack:
            raise Deviation(f"{answer} came for a file that is not there")
        if not answer.is_error():
            raise Deviation(f"expected ERROR 1, but {answer} came", Verdict.FAILED)
    return None


@case(
    "2347-valueless",
    "RFC 2347",
    Level.PRACTICE,
    "A name of an option that no value follows is no reason to refuse the file.",
    alone=True,
)
async def _valueless(stage: Stage) -> str | None:
    async with stage.client() as client:
        answer = await client.ask(stage.rrq() + b"blksize\0")
        compare(await client.read_on(answer), stage.content, "the file")
    return None
