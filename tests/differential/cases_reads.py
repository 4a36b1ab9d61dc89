"""Cases: reading on, with what a network or a client does wrong in between."""

from __future__ import annotations

from collections.abc import Iterator

from tests.differential.steps import (
    Case,
    ack,
    again,
    ask,
    case,
    data,
    fetch,
    granted,
    hear,
    hear_all,
    hear_repeat,
    origin,
    ports,
    reply,
    stranger,
)
from tests.real.harness import ack as ack_packet
from tests.real.harness import data as data_packet
from tests.real.harness import error, rrq, wrq

LONG = rrq(b"long")
TIMED = rrq(b"long", ("timeout", 1))


def cases() -> Iterator[Case]:
    """Yield them."""
    yield from _contents()
    yield from _acks()
    yield from _losses()
    yield from _errors()
    yield from _strangers()
    yield from _repeated()
    yield from _windows()


def _contents() -> Iterator[Case]:
    for name, about in (
        ("empty", "an empty file: one block without octets"),
        ("one", "a file of one octet"),
        ("block", "a file of one whole block: a second one without octets"),
        ("blocks", "a file of three whole blocks"),
        ("long", "a file of many blocks"),
    ):
        yield case(
            f"read-{name}", about, ask(rrq(name.encode())), hear(), fetch(), quick=name != "long"
        )
    yield case(
        "read-blocks-exact-blksize",
        "a file of exactly one negotiated block",
        ask(rrq(b"blocks", ("blksize", 1536))),
        hear(),
        fetch(),
    )
    yield case("read-origin", "where answers come from", ask(LONG), hear(), origin(), quick=True)
    yield case(
        "read-many-blocks",
        "more blocks than there are numbers",
        ask(rrq(b"many-blocks", ("blksize", 8))),
        hear(),
        fetch(),
        heavy=True,
    )
    yield case(
        "read-many-blocks-rollover-1",
        "more blocks than there are numbers, and the option of tftp-hpa that says how to go on",
        ask(rrq(b"many-blocks", ("blksize", 8), ("rollover", 1))),
        hear(),
        fetch(),
        heavy=True,
    )
    for name in ("text", "text-across", "empty", "short"):
        yield case(
            f"netascii-{name}",
            "what netascii makes of a file",
            ask(rrq(name.encode(), mode=b"netascii")),
            hear(),
            fetch(),
            quick=name == "text",
        )
    yield case(
        "netascii-blksize-8",
        "netascii in blocks of 8 octets",
        ask(rrq(b"text", ("blksize", 8), mode=b"netascii")),
        hear(),
        fetch(),
    )


def _acks() -> Iterator[Case]:
    begun = (ask(LONG), hear(), ack(1), hear())
    for name, about, number, quick in (
        ("duplicate", "the same ACK twice (RFC 1123 4.2.3.1: no answer)", 1, True),
        ("old", "an ACK of long ago", 0, False),
        ("ahead", "an ACK of a block that was not sent", 3, True),
        ("far-ahead", "an ACK of a block that is far away", 40_000, False),
        ("last-number", "an ACK of block 65535", 65535, False),
    ):
        steps = (*begun, ack(number), hear_all(), ack(2), hear_all())
        yield case(f"ack-{name}", about, *steps, quick=quick)
    yield case(
        "ack-thrice",
        "the same ACK three times more, then the next one",
        *(*begun, ack(1), ack(1), ack(1), hear_all(), ack(2), hear_all()),
    )
    yield case(
        "ack-0-without-options",
        "ACK 0, where there was no OACK",
        *(ask(LONG), hear(), ack(0), hear_all(), ack(1), hear_all()),
    )
    yield case(
        "ack-long",
        "an ACK with octets after it",
        *(ask(LONG), hear(), reply(ack_packet(1) + b"more"), hear_all()),
    )
    yield case(
        "ack-short",
        "an ACK of three octets",
        *(ask(LONG), hear(), reply(b"\0\4\0"), hear_all(), ack(1), hear_all()),
    )
    yield case(
        "ack-after-the-end",
        "the last ACK twice",
        *(ask(rrq(b"one")), hear(), ack(1), hear_all(), ack(1), hear_all()),
    )
    yield case(
        "ack-1-for-oack",
        "an ACK 1 where the OACK is to be acknowledged by ACK 0",
        *(ask(rrq(b"long", ("blksize", 600))), hear(), ack(1), hear_all(), ack(0), hear_all()),
    )
    yield case(
        "ack-duplicate-of-oack",
        "ACK 0 twice",
        *(ask(rrq(b"long", ("blksize", 600))), hear(), ack(0), hear(), ack(0), hear_all()),
        quick=True,
    )
    yield case(
        "data-to-a-sender",
        "DATA to who sends DATA",
        *(*begun, data(1), hear_all(), ack(2), hear_all()),
    )
    yield case(
        "request-to-a-transfer",
        "a request to the port of a transfer",
        *(*begun, reply(rrq(b"short")), hear_all(), ack(2), hear_all()),
    )
    for name, octets in (("nothing", b""), ("one", b"\0"), ("opcode-9", b"\0\x09\0\1abc")):
        yield case(
            f"noise-to-a-transfer-{name}",
            "octets that are no TFTP, to the port of a transfer",
            *(*begun, reply(octets), hear_all(), ack(2), hear_all()),
        )


def _losses() -> Iterator[Case]:
    timed = (ask(TIMED), hear(), granted("timeout"))
    yield case("lost-ack-of-oack", "the OACK is not acknowledged", *timed, hear_repeat())
    yield case(
        "lost-ack",
        "a block is not acknowledged",
        *(*timed, ack(0), hear(), ack(1), hear(), hear_repeat(), ack(2), hear()),
    )
    yield case(
        "lost-ack-without-options",
        "the first block is not acknowledged",
        *(ask(LONG), hear(), hear_repeat(), ack(1), hear()),
    )
    yield case(
        "lost-last-ack",
        "the last block is not acknowledged",
        *(ask(rrq(b"one", ("timeout", 1))), hear(), granted("timeout")),
        *(ack(0), hear(), hear_repeat()),
    )
    yield case(
        "lost-ack-late",
        "a block comes again, then both ACKs",
        *(*timed, ack(0), hear(), hear_repeat(), ack(1), ack(1), hear_all()),
    )


def _errors() -> Iterator[Case]:
    for code in (0, 4, 5, 8):
        yield case(
            f"error-{code}",
            "an ERROR ends a transfer; an ACK after it is nobody's",
            *(ask(LONG), hear(), ack(1), hear(), reply(error(code, b"enough")), hear_all()),
            *(ack(2), hear_all()),
            quick=code == 0,
        )
    for name, octets in (
        ("of-4-octets", b"\0\5\0\0"),
        ("of-2-octets", b"\0\5"),
        ("without-nul", b"\0\5\0\0enough"),
    ):
        yield case(
            f"error-{name}",
            "an ERROR that is written short",
            *(ask(LONG), hear(), ack(1), hear(), reply(octets), hear_all(), ack(2), hear_all()),
        )
    yield case(
        "error-after-oack",
        "an ERROR after the OACK: a client that only wanted to know the size",
        *(ask(rrq(b"long", ("tsize", 0), ("blksize", 1468))), hear(), reply(error(8, b"aborted"))),
        *(hear_all(), ack(0), hear_all()),
        quick=True,
    )


def _strangers() -> Iterator[Case]:
    for name, octets in (
        ("ack", ack_packet(2)),
        ("data", data_packet(1, b"x")),
        ("error", error(0, b"enough")),
        ("request", LONG),
        ("noise", b"\0"),
    ):
        yield case(
            f"stranger-{name}",
            "a packet from another port: ERROR 5 for the stranger, the transfer lives (RFC 1350 4)",
            *(ask(LONG), hear(), ack(1), hear(), stranger(octets), ack(2), hear_all()),
            quick=name in ("ack", "error"),
        )


def _repeated() -> Iterator[Case]:
    yield case(
        "request-repeated",
        "the same request again from the same port before an answer was acknowledged",
        *(ask(LONG), hear(), again(0.2), hear_all(), ports()),
        quick=True,
    )
    yield case(
        "request-repeated-with-options",
        "the same request again from the same port before its OACK was acknowledged",
        *(ask(rrq(b"long", ("blksize", 1468))), hear(), again(0.2), hear_all(), ports()),
    )
    yield case(
        "request-repeated-later",
        "the same request again in the middle of its transfer: a board was reset",
        *(ask(LONG), hear(), ack(1), hear(), ack(2), hear(), again(0.2), hear_all(), ports()),
    )
    yield case(
        "request-another",
        "another request from the same port in the middle of a transfer",
        *(ask(LONG), hear(), ack(1), hear(), ask(rrq(b"one")), hear_all()),
    )
    yield case(
        "request-after-the-end",
        "another request from the same port after a transfer",
        *(ask(rrq(b"one")), hear(), ack(1), ask(rrq(b"short")), hear_all()),
        quick=True,
    )
    yield case(
        "request-write-after-read",
        "an upload from the same port in the middle of a transfer",
        *(ask(LONG), hear(), ack(1), hear(), ask(wrq(b"sub/after-read")), hear_all()),
        writes=True,
    )


def _windows() -> Iterator[Case]:
    asked = (ask(rrq(b"long", ("windowsize", 4))), hear(), granted("windowsize"))
    begun = (*asked, ack(0), hear_all())
    for name, about, number in (
        ("gap", "an ACK in the middle of a window: go on after it (RFC 7440 4)", 2),
        ("duplicate", "ACK 0 again, after the first window", 0),
        ("ahead", "an ACK of a block beyond the window", 6),
    ):
        yield case(f"window-{name}", about, *begun, ack(number), hear_all(), quick=name == "gap")
    yield case(
        "window-gap-twice",
        "the same ACK in the middle of a window, twice",
        *(*begun, ack(2), hear_all(), ack(2), hear_all()),
    )
    yield case(
        "window-each",
        "an ACK for each block of a window",
        *(*begun, ack(1), hear_all(), ack(2), hear_all(), ack(3), hear_all(), ack(4), hear_all()),
    )
    yield case(
        "window-lost",
        "a whole window is not acknowledged",
        *(ask(rrq(b"long", ("windowsize", 4), ("timeout", 1))), hear(), granted("windowsize")),
        *(ack(0), hear_all(), hear_repeat(), hear_all()),
    )
    yield case(
        "window-end",
        "a window that is longer than the file",
        *(ask(rrq(b"blocks", ("windowsize", 16))), hear(), granted("windowsize")),
        *(ack(0), hear_all(), ack(4), hear_all()),
    )
