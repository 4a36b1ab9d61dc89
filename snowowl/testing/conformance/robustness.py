"""Datagrams that have ended servers, or might: after each the server must still serve.

That it does is looked at by the runner after every case, which is why they run alone.
"""

from __future__ import annotations

import random
from typing import Final

from snowowl.testing.conformance.case import Chapter, Play
from snowowl.testing.conformance.packets import ack, data, rrq
from snowowl.testing.conformance.stage import Stage
from snowowl.testing.conformance.verdicts import Level

CHAPTER: Final = Chapter("Robustness", alone=True)
case = CHAPTER.case

DATAGRAM_MAX: Final = 65507
"""Octets of the largest UDP datagram over IPv4."""

NOISE_COUNT: Final = 64


async def _send_each(stage: Stage, *datagrams: bytes) -> None:
    """Send datagrams from a port of their own each, and end what they began."""
    for octets in datagrams:
        async with stage.client() as client:
            await client.send(octets)
            answer = await client.hear(stage.moment)
            if answer is not None:
                client.tid, client.over = answer.source, answer.is_error()


def _datagram_case(case_id: str, text: str, *datagrams: bytes) -> Play:
    @case(case_id, "SAFETY", Level.SAFETY, text)
    async def play(stage: Stage) -> str | None:
        await _send_each(stage, *datagrams)
        return None

    return play


def _option_case(case_id: str, text: str, *options: tuple[bytes, bytes]) -> Play:
    @case(case_id, "SAFETY", Level.SAFETY, text)
    async def play(stage: Stage) -> str | None:
        requests = [stage.rrq((name, value)) for name, value in options]
        await _send_each(stage, *requests)
        return None

    return play


_datagram_case("robust-empty", "An empty datagram does not end the server.", b"")
_datagram_case(
    "robust-one-octet", "A datagram of one octet does not end the server.", b"\0", b"\1", b"\xff"
)
_datagram_case(
    "robust-opcode-only",
    "A datagram of nothing but an opcode does not end the server.",
    *(opcode.to_bytes(2, "big") for opcode in (*range(10), 256, 0xFFFF)),
)
_datagram_case(
    "robust-three-octets",
    "A datagram of three octets does not end the server.",
    *(bytes((0, opcode, 0)) for opcode in range(1, 8)),
)
_datagram_case(
    "robust-name-0xff",
    "A name that is no text in any encoding does not end the server.",
    rrq(b"\xff\xfe\xfd"),
    rrq(b"\x80"),
    rrq(b"\xed\xa0\x80"),
)
_datagram_case(
    "robust-name-control",
    "Control characters, line ends and % in a name do not end the server.",
    rrq(b"\x01\x02\x1b[2J\r\n"),
    rrq(b"%s%s%s%n%n%n"),
    rrq(b"\x7f\x00"),
)
_datagram_case(
    "robust-name-long",
    "A very long name does not end the server.",
    rrq(b"n" * 255),
    rrq(b"n" * 600),
    rrq(b"n" * 5000),
    rrq(b"n/" * 3000),
)
_datagram_case(
    "robust-mode",
    "A mode that is empty, long or no text does not end the server.",
    rrq(b"name", mode=b""),
    rrq(b"name", mode=b"\xff\xff"),
    rrq(b"name", mode=b"m" * 5000),
)
_datagram_case(
    "robust-no-nul",
    "A request without any NUL does not end the server.",
    b"\0\1nameoctet",
    b"\0\2nameoctet",
    b"\0\1" + b"a" * 600,
)
_datagram_case(
    "robust-only-nul",
    "A request of nothing but NULs does not end the server.",
    b"\0\1" + bytes(1),
    b"\0\1" + bytes(2),
    b"\0\1" + bytes(500),
)
_option_case(
    "robust-blksize-abc",
    "A blksize that is no number does not end the server.",
    (b"blksize", b"abc"),
    (b"blksize", b""),
    (b"blksize", b"\xff"),
    (b"blksize", b"1e3"),
)
_option_case(
    "robust-blksize-0",
    "A blksize of 0, or below, does not end the server.",
    (b"blksize", b"0"),
    (b"blksize", b"-1"),
    (b"blksize", b"-99999999999"),
)
_option_case(
    "robust-huge-numbers",
    "Numbers of thousands of digits do not end the server.",
    (b"blksize", b"9" * 5000),
    (b"timeout", b"9" * 5000),
    (b"tsize", b"9" * 5000),
    (b"windowsize", b"9" * 5000),
)
_option_case(
    "robust-other-options",
    "timeout, tsize and windowsize that are no numbers do not end the server.",
    *(
        (name, value)
        for name in (b"timeout", b"tsize", b"windowsize", b"rollover", b"multicast", b"utimeout")
        for value in (b"abc", b"", b"-1")
    ),
)
_option_case(
    "robust-option-octets",
    "Options whose names are no text do not end the server.",
    (b"\xff\xfe", b"1"),
    (b"", b"1"),
    (b"o" * 3000, b"v" * 3000),
)


@case(
    "robust-100-options",
    "SAFETY",
    Level.SAFETY,
    "A request with a hundred options does not end the server.",
)
async def _many_options(stage: Stage) -> str | None:
    await _send_each(
        stage,
        stage.rrq(*((f"o{number}", number) for number in range(100))),
        stage.rrq(*(("blksize", 512 + number) for number in range(100))),
    )
    return None


@case(
    "robust-prefixes",
    "SAFETY",
    Level.SAFETY,
    "A request that was cut off, wherever, does not end the server.",
)
async def _prefixes(stage: Stage) -> str | None:
    whole = stage.rrq(("blksize", 1024), ("tsize", 0))
    async with stage.client() as client:
        for length in range(len(whole)):
            await client.send(whole[:length], stage.target.address)
        for answer in await client.hear_all(stage.moment):
            client.tid, client.over = answer.source, answer.is_error()
            await client.quit()
    return None


@case(
    "robust-large-datagram",
    "SAFETY",
    Level.SAFETY,
    "The largest datagram there is does not end the server, nor does one of 64 KiB with a request in it.",
)
async def _large(stage: Stage) -> str | None:
    draws = random.Random(1)  # noqa: S311 - the same octets each time, so that it can be repeated
    await _send_each(
        stage,
        draws.randbytes(DATAGRAM_MAX),
        b"\0\1" + b"n" * (DATAGRAM_MAX - 2),
        stage.rrq(("x-snowowl", b"v" * 60_000)),
        bytes(DATAGRAM_MAX),
    )
    return None


@case(
    "robust-noise",
    "SAFETY",
    Level.SAFETY,
    f"{NOISE_COUNT} datagrams of noise, half of them with an opcode that exists, do not end the server.",
)
async def _noise(stage: Stage) -> str | None:
    draws = random.Random(2)  # noqa: S311 - as above
    async with stage.client() as client:
        for number in range(NOISE_COUNT):
            octets = draws.randbytes(draws.choice((1, 3, 4, 5, 17, 100, 516, 1468)))
            head = bytes((0, draws.randrange(1, 8))) if number % 2 else b""
            await client.send((head + octets), stage.target.address)
        for answer in await client.hear_all(stage.moment):
            client.tid, client.over = answer.source, answer.is_error()
            await client.quit()
    return None


@case(
    "robust-transfer-packets",
    "SAFETY",
    Level.SAFETY,
    "ACK, DATA, OACK and ERROR of odd forms, sent to a transfer's own TID, do not end the server.",
)
async def _transfer_packets(stage: Stage) -> str | None:
    odd = (
        b"",
        b"\0",
        b"\0\4",
        b"\0\4\0",
        b"\0\3\0",
        b"\0\5",
        b"\0\5\0",
        b"\0\6",
        b"\0\6\xff",
        data(1, b"x" * 2000),
        ack(65535),
        b"\0\5\0\0" + b"\xff" * 3000,
    )
    for octets in odd:
        async with stage.client() as client:
            await client.send(stage.rrq())
            answer = await client.hear(stage.patience)
            if answer is None:
                return None  # the runner looks whether it lives
            client.tid, client.over = answer.source, answer.is_error()
            await client.send(octets)
            await client.hear(stage.moment / 5)
    return None


@case(
    "robust-storm",
    "a lab after a power failure",
    Level.SAFETY,
    "A hundred requests at once, from clients that are gone, do not end the server.",
)
async def _storm(stage: Stage) -> str | None:
    for _ in range(4):
        async with stage.client() as client:
            for number in range(25):
                await client.send(rrq(stage.missing_name() + b"%d" % number), stage.target.address)
            await client.hear_all(stage.moment)
    return None
