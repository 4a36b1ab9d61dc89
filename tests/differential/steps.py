"""The steps that cases are made of.  Each is a function of a conversation; all are bounded in time.

A step that hears something adds one observation, so that the transcripts of two servers have their
lines beside each other.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import attrs
import trio

from tests.differential.talk import (
    ACK,
    DATA,
    ERROR,
    NOTHING,
    OACK,
    Talk,
    described,
    joined,
    number_of,
    opcode_of,
    options_of,
)
from tests.real import harness

Step = Callable[[Talk], Awaitable[None]]

STALLED_SECONDS: Final = 6.0
"""In the middle of a transfer: longer than any timer that is set here, so that a loss is mended."""

REPEAT_SECONDS: Final = 8.0


@attrs.frozen
class Case:
    """A short conversation."""

    name: str
    about: str
    steps: tuple[Step, ...]
    quick: bool = False
    """Part of the default tests."""
    writes: bool = False
    """Uploads: nothing for servers that take none."""
    heavy: bool = False
    """Takes tens of thousands of datagrams."""
    last: bool = False
    """May leave a server deaf: played after all others, by itself."""
    unsteady: str = ""
    """A peer that answers now so and now so: not played with it."""


def case(
    name: str,
    about: str,
    *steps: Step,
    quick: bool = False,
    writes: bool = False,
    heavy: bool = False,
    last: bool = False,
    unsteady: str = "",
) -> Case:
    """Return a case, whose steps are one after the other."""
    return Case(name, about, steps, quick, writes, heavy, last, unsteady)


def ask(octets: bytes) -> Step:
    """Send a request (or anything) to the listening port."""
    return lambda talk: talk.ask(octets)


def ask_for(name: bytes) -> Step:
    """Send an RRQ; `{root}` and `{home}` stand for the server's root and for the folder it is in."""

    async def step(talk: Talk) -> None:
        root, home = bytes(talk.root), bytes(talk.root.parent)
        await talk.ask(harness.rrq(name.replace(b"{root}", root).replace(b"{home}", home)))

    return step


def again(seconds: float = 0.0) -> Step:
    """Send the request once more, from the same port, after a while."""

    async def step(talk: Talk) -> None:
        await trio.sleep(seconds)
        await talk.ask(talk.request)

    return step


def reply(octets: bytes) -> Step:
    """Send to where the first answer came from."""
    return lambda talk: talk.reply(octets)


def ack(number: int) -> Step:
    return reply(harness.ack(number))


def data(number: int, size: int = 512) -> Step:
    return reply(harness.data(number, payload(size, number)))


def payload(size: int, number: int = 0) -> bytes:
    """Return the octets that uploads are made of."""
    return random.Random(number).randbytes(size)


def hear() -> Step:
    """Observe the next datagram."""

    async def step(talk: Talk) -> None:
        octets = await talk.hear()
        talk.note(described(octets) if octets else NOTHING)

    return step


def hear_all() -> Step:
    """Observe all that comes, until it is quiet."""

    async def step(talk: Talk) -> None:
        answers = await talk.hear_all()
        talk.note(joined([described(octets) for octets in answers]))

    return step


def hear_repeat() -> Step:
    """Observe what a server repeats when nothing is sent to it."""

    async def step(talk: Talk) -> None:
        octets = await talk.hear(REPEAT_SECONDS)
        talk.note(described(octets) if octets else NOTHING)

    return step


def order() -> Step:
    """Observe the order of the options in the OACK that was heard."""

    async def step(talk: Talk) -> None:
        names = [name for name, _ in options_of(talk.last)] if opcode_of(talk.last) == OACK else []
        talk.note("order: " + " ".join(names or ["none"]))

    return step


def origin() -> Step:
    """Observe which port the first answer came from."""

    async def step(talk: Talk) -> None:
        talk.note(
            f"from {'the listening port' if talk.tid == talk.server else 'a port of its own'}"
        )

    return step


def ports() -> Step:
    """Observe how many ports have answered: how many transfers there are."""

    async def step(talk: Talk) -> None:
        talk.note(f"{len(talk.tids)} transfer{'' if len(talk.tids) == 1 else 's'}")

    return step


class OverError(Exception):
    """The case ends here: the rest of it is for servers that grant an option."""


def granted(option: str) -> Step:
    """Go on only if the OACK that was heard grants an option."""

    async def step(talk: Talk) -> None:
        names = [name for name, _ in options_of(talk.last)] if opcode_of(talk.last) == OACK else []
        if option not in names:
            raise OverError

    return step


def stranger(octets: bytes) -> Step:
    """Send to the transfer's port from another one; observe what the stranger is told."""

    async def step(talk: Talk) -> None:
        with talk.stranger() as probe:
            await probe.send(octets, talk.tid or talk.server)
            heard = await probe.receive(talk.answer_seconds)
            talk.note(f"stranger: {described(heard.octets) if heard else NOTHING}")

    return step


def fetch() -> Step:
    """Read on from the OACK or the DATA that was heard, to the end; observe the content.

    After anything else there is nothing to read, and nothing to observe.
    """

    async def step(talk: Talk) -> None:
        if opcode_of(talk.last) in (OACK, DATA):
            talk.note(await _fetched(talk))

    return step


async def _fetched(talk: Talk) -> str:
    blksize, windowsize, rollover = 512, 1, 0
    packet = talk.last
    if opcode_of(packet) == OACK:
        granted = {name.lower(): value for name, value in options_of(packet)}
        blksize = int(granted.get("blksize", "512"))
        windowsize = int(granted.get("windowsize", "1"))
        if blksize < 1 or windowsize < 1:
            return "no way to read on"
        await talk.reply(harness.ack(0))
        packet = await talk.hear(STALLED_SECONDS)
    pieces: list[bytes] = []
    expected, acked, rolled = 1, 0, False
    while True:
        if not packet:
            return f"silent after block {expected - 1}"
        if opcode_of(packet) == ERROR:
            return f"{described(packet)} after block {expected - 1}"
        number = number_of(packet)
        if expected == 65536 and not rolled and number in (0, 1):
            rolled, rollover = True, number
        wire = expected if expected < 65536 else expected - 65536 + rollover
        if opcode_of(packet) == DATA and number == wire:
            pieces.append(packet[4:])
            last = len(packet) - 4 < blksize
            if last or expected - acked == windowsize:
                await talk.reply(harness.ack(wire))
                acked = expected
            if last:
                break
            expected += 1
        elif opcode_of(packet) == DATA:
            # What was lost on the way: say what has come.
            await talk.reply(harness.ack(wire - 1))
            acked = expected - 1
        packet = await talk.hear(STALLED_SECONDS)
    after = f", block {rollover} after 65535" if rolled else ""
    return f"{expected} blocks, {talk.called(b''.join(pieces))}{after}"


def put(content: bytes) -> Step:
    """Upload to the end after the ACK 0 or the OACK that was heard; observe how it ends.

    After anything else nothing is sent, and nothing observed.
    """

    async def step(talk: Talk) -> None:
        if opcode_of(talk.last) == OACK or talk.last == harness.ack(0):
            talk.note(await _stored(talk, content))

    return step


async def _stored(talk: Talk, content: bytes) -> str:
    blksize, windowsize = 512, 1
    opening = talk.last
    if opcode_of(opening) == OACK:
        granted = {name.lower(): value for name, value in options_of(opening)}
        blksize = int(granted.get("blksize", "512"))
        windowsize = int(granted.get("windowsize", "1"))
    blocks = len(content) // blksize + 1
    base = 1
    while base <= blocks:
        end = min(base + windowsize, blocks + 1)
        for number in range(base, end):
            piece = content[(number - 1) * blksize : number * blksize]
            await talk.reply(harness.data(number, piece))
        packet = await talk.hear(STALLED_SECONDS)
        if opcode_of(packet) != ACK:
            return f"{described(packet) if packet else NOTHING} after block {end - 1}"
        if number_of(packet) != (end - 1) & 0xFFFF:
            return f"{described(packet)} after block {end - 1}"
        base = end
    return f"{blocks} blocks taken"


def kept(name: str, content: bytes | None = None) -> Step:
    """Observe what a file beneath the root is now, once it has had time to become what was sent."""

    async def step(talk: Talk) -> None:
        path = talk.root / name
        for _ in range(10):
            if _state(path, content) == "as sent":
                break
            await trio.sleep(0.05)
        talk.note(f"{name}: {_state(path, content)}")

    return step


def _state(path: Path, content: bytes | None) -> str:
    try:
        found = path.read_bytes()
    except FileNotFoundError:
        return "absent"
    return "as sent" if found == content else f"{len(found)} octets"
