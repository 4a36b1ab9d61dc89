"""Cases: octets on the listening port that are no plain request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tests.differential.steps import Case, ask, case, fetch, hear, hear_all
from tests.real.harness import ack, data, error, rrq

_REQUESTS: Final = (
    ("padding", rrq(b"short") + b"\0" * 20, "NULs after a request"),
    ("padding-options", rrq(b"short", ("blksize", 600)) + b"\0" * 20, "NULs after the options"),
    ("trailing", rrq(b"short") + b"more", "octets after a request, without a NUL"),
    ("half-option", rrq(b"short") + b"blksize\0", "an option without a value"),
    ("option-cut", rrq(b"short") + b"blksize\0600", "an option's value without its NUL"),
    ("option-empty-name", rrq(b"short") + b"\0001\0blksize\000600\0", "an option without a name"),
    ("mode-cut", b"\0\1short\0octet", "a mode without its NUL"),
    ("mode-missing", b"\0\1short\0", "a name and nothing else"),
    ("name-cut", b"\0\1short", "a name without its NUL"),
    ("only-opcode", b"\0\1", "only the opcode of a request"),
    ("only-nuls", b"\0\1\0\0\0\0", "only NULs after the opcode"),
    ("wrq-only-opcode", b"\0\2", "only the opcode of an upload"),
    ("unknown-mode", rrq(b"short", mode=b"frobnicate"), "an unknown mode"),
)

_STRAYS: Final = (
    ("ack", ack(1), "an ACK that belongs to no transfer"),
    ("data", data(1, b"x" * 512), "DATA that belongs to no transfer"),
    ("error", error(0, b"enough"), "an ERROR that belongs to no transfer"),
    ("oack", b"\0\6blksize\000600\0", "an OACK that belongs to no transfer"),
    ("opcode-0", b"\0\0abc\0", "opcode 0"),
    ("opcode-7", b"\0\7sub\0octet\0", "opcode 7: EDK2 asks for folders so"),
    ("opcode-8", b"\0\x08abc\0", "an opcode that there is not"),
    ("opcode-255", b"\0\xff", "an opcode that there is not"),
    ("opcode-256", b"\1\0short\0octet\0", "a request with its opcode the wrong way round"),
    ("text", b"GET / HTTP/1.0\r\n\r\n", "another protocol"),
    ("one", b"\0", "a datagram of one octet"),
    ("nothing", b"", "a datagram without octets"),
    ("large", b"\xff" * 60_000, "60,000 octets"),
)

_QUICK: Final = {"padding", "mode-cut", "ack", "error", "opcode-7", "one", "nothing"}


def cases() -> Iterator[Case]:
    """Yield them."""
    for name, octets, about in _REQUESTS:
        yield case(f"request-{name}", about, ask(octets), hear(), fetch(), quick=name in _QUICK)
    for name, octets, about in _STRAYS:
        yield case(
            f"stray-{name}",
            about,
            *(ask(octets), hear_all()),
            quick=name in _QUICK,
            # Without octets, tftpd-hpa looks at what its buffer holds of the datagram before.
            unsteady="tftpd-hpa" if not octets else "",
        )
