"""Cases: what is granted of what a read request asks for (RFC 2347, 2348, 2349, 7440)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tests.differential.steps import Case, ack, ask, case, fetch, granted, hear, hear_all, order
from tests.real.harness import rrq

_QUICK: Final = {
    "blksize-7", "blksize-8", "blksize-65464", "blksize-65465", "blksize-abc", "timeout-0",
    "timeout-255", "tsize-0", "windowsize-0", "windowsize-16", "windowsize-65536",
}  # fmt: skip

_BLKSIZES: Final = (
    *("0", "1", "7", "8", "9", "511", "512", "513", "1024", "1428", "1432", "1468", "8192"),
    *("16384", "32768", "65464", "65465", "65535", "65536", "4294967808", "18446744073709552128"),
    *("abc", "+8", "-8", "008", "0512", "0x200", "512.0", "1e3", " 512", "512 ", "512abc", ""),
)
_TIMEOUTS: Final = ("0", "1", "2", "5", "254", "255", "256", "3000", "abc", "", "-1", "01", "1.5")
_TSIZES: Final = ("0", "1", "10000", "4294967296", "18446744073709551616", "abc", "", "-1", "00")
_WINDOWSIZES: Final = (
    *("0", "1", "2", "4", "16", "64", "65", "128", "32768", "65535", "65536"),
    *("abc", "", "-1", "016"),
)
_ROLLOVERS: Final = ("0", "1", "2", "abc")


def cases() -> Iterator[Case]:
    """Yield them."""
    yield from _values()
    yield from _combinations()
    yield from _sizes()
    yield from _many()
    yield from _spellings()


def _values() -> Iterator[Case]:
    for option, values in (
        ("blksize", _BLKSIZES),
        ("timeout", _TIMEOUTS),
        ("tsize", _TSIZES),
        ("windowsize", _WINDOWSIZES),
        ("rollover", _ROLLOVERS),
    ):
        for value in values:
            name = f"{option}-{value.strip() or 'empty'}" + (
                ""
                if value == value.strip() or not value
                else "-blank" + "-before" * (value[0] == " ")
            )
            # What is no number is one octet to dnsmasq.
            large = value.isdigit() and int(value) > 100
            file = (b"long" if large else b"short") if option == "blksize" else b"medium"
            yield case(
                name,
                f"read with {option}={value!r}",
                ask(rrq(file, (option, value))),
                hear(),
                fetch(),
                quick=name in _QUICK,
            )
    yield case(
        "windowsize-4-stream",
        "a window of four blocks comes before an ACK",
        ask(rrq(b"long", ("windowsize", 4))),
        hear(),
        granted("windowsize"),
        ack(0),
        hear_all(),
        ack(4),
        hear_all(),
        quick=True,
    )
    yield case(
        "windowsize-16-long",
        "read on in windows",
        ask(rrq(b"long", ("windowsize", 16), ("blksize", 1428))),
        hear(),
        fetch(),
    )


def _combinations() -> Iterator[Case]:
    all_of_them = [("tsize", 0), ("timeout", 3), ("windowsize", 4), ("blksize", 1428)]
    yield case(
        "options-all",
        "all options at once",
        ask(rrq(b"long", *all_of_them)),
        hear(),
        fetch(),
        quick=True,
    )
    yield case(
        "options-order",
        "the order of the options in the OACK",
        ask(rrq(b"long", *all_of_them)),
        hear(),
        order(),
    )
    yield case(
        "options-order-reversed",
        "the order of the options in the OACK",
        ask(rrq(b"long", *reversed(all_of_them))),
        hear(),
        order(),
        quick=True,
    )
    yield case(
        "option-unknown",
        "only an option that nobody knows",
        ask(rrq(b"short", ("frobnicate", "yes"))),
        hear(),
        fetch(),
        quick=True,
    )
    yield case(
        "option-unknown-first",
        "an option that nobody knows before one that is known",
        ask(rrq(b"short", ("frobnicate", "yes"), ("blksize", 600))),
        hear(),
        fetch(),
    )
    yield case(
        "option-bad-among-good",
        "a value that is none between two that are",
        ask(rrq(b"short", ("tsize", 0), ("windowsize", "abc"), ("blksize", 600))),
        hear(),
        fetch(),
        quick=True,
    )
    yield case(
        "option-bad-blksize-among-good",
        "a blksize that is none between two good options",
        ask(rrq(b"short", ("tsize", 0), ("blksize", "0"), ("timeout", 3))),
        hear(),
        fetch(),
    )
    for option, first, second in (
        ("blksize", 600, 1024),
        ("blksize", 1024, 600),
        ("blksize", "abc", 600),
        ("timeout", 3, 4),
    ):
        yield case(
            f"option-twice-{option}-{first}-{second}",
            "an option that stands there twice (RFC 2347: once only)",
            ask(rrq(b"short", (option, first), (option, second))),
            hear(),
            fetch(),
        )


def _sizes() -> Iterator[Case]:
    yield case(
        "tsize-empty-file",
        "the size of an empty file (curl takes tsize=0 for an error)",
        ask(rrq(b"empty", ("tsize", 0))),
        hear(),
        fetch(),
        quick=True,
    )
    yield case(
        "tsize-netascii",
        "the size of a file in netascii",
        ask(rrq(b"text", ("tsize", 0), mode=b"netascii")),
        hear(),
        fetch(),
        quick=True,
    )
    yield case(
        "tsize-missing-file",
        "options for a file that is not there",
        ask(rrq(b"missing", ("tsize", 0), ("blksize", 1468))),
        hear_all(),
    )
    yield case(
        "multicast",
        "multicast (RFC 2090), which iPXE asks for beside others",
        ask(rrq(b"short", ("multicast", ""), ("blksize", 1432), ("tsize", 0))),
        hear(),
        fetch(),
    )


def _many() -> Iterator[Case]:
    for count in (8, 30, 100):
        options = [(f"x{number}", "1") for number in range(count)]
        yield case(
            f"options-unknown-{count}",
            f"{count} unknown options before a known one",
            ask(rrq(b"short", *options, ("blksize", 600))),
            hear(),
            fetch(),
        )
    yield case(
        "option-long-value",
        "a value of 400 octets",
        ask(rrq(b"short", ("frobnicate", "9" * 400), ("blksize", 600))),
        hear(),
        fetch(),
    )
    yield case(
        "option-long-name",
        "a name of 400 octets",
        ask(rrq(b"short", ("f" * 400, "1"), ("blksize", 600))),
        hear(),
        fetch(),
    )
    yield case(
        "request-of-600-octets",
        "a request that is longer than the 512 octets of RFC 2347",
        ask(rrq(b"short", ("frobnicate", "9" * 560), ("blksize", 600))),
        hear(),
        fetch(),
    )


def _spellings() -> Iterator[Case]:
    for spelling in ("BLKSIZE", "BlkSize", "blksize ", "blksiz"):
        yield case(
            f"option-spelt-{spelling.replace(' ', '-blank')}",
            "how the name of an option is written (RFC 2347: case does not matter)",
            ask(rrq(b"short", (spelling, 600))),
            hear(),
            fetch(),
        )
    for mode in (b"OCTET", b"Octet", b"binary", b"image", b"octets", b"oct", b"", b"NETASCII"):
        yield case(
            f"mode-{mode.decode() or 'empty'}",
            "how the mode is written",
            ask(rrq(b"short" if mode[:1] != b"N" else b"text", mode=mode)),
            hear(),
            fetch(),
            quick=mode == b"OCTET",
        )
    yield case(
        "mode-mail-read",
        "mode mail (obsolete)",
        ask(rrq(b"short", mode=b"mail")),
        hear(),
        quick=True,
    )
