"""Faults of ERRORs: each code, each moment, each shape.  An ERROR ends a transfer, unanswered."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import attrs

from snowowl.observe.events import Direction
from snowowl.testing.faults.model import (
    GAP_SECONDS,
    Delivery,
    Expect,
    Fault,
    Kind,
    OfOack,
    OnceAtBlock,
    Outgoing,
)
from snowowl.testing.faults.parameters import number
from snowowl.wire.constants import ErrorCode

_ENDS = "Ends the transfer and says why; it answers nothing."
_CODES = tuple(f"code={code.value}" for code in ErrorCode)


@attrs.define(eq=False)
class ErrorMidway(OnceAtBlock):
    """An ERROR in mid-transfer."""

    name = "error"
    what = "an ERROR instead of DATA n or ACK n"
    clause = "RFC 1350 7"
    correct = _ENDS
    expect = Expect.END
    examples: ClassVar[tuple[str, ...]] = _CODES

    code: int = number(0, "its code", drawn=(0, 8))

    def play(self, packet: Outgoing) -> Iterable[Delivery]:
        """Send an ERROR and end."""
        del packet
        self.over = True
        return (Delivery(self.octets()),)

    def octets(self) -> bytes:
        """Return the ERROR."""
        return self.head() + b"this is error %d\0" % self.code

    def head(self) -> bytes:
        """Return its first four octets."""
        return b"\0\5" + self.code.to_bytes(2, "big")


@attrs.define(eq=False)
class ErrorFirst(Fault):
    """An ERROR as the answer to the request."""

    name = "error-first"
    what = "the answer to the request is an ERROR"
    clause = "RFC 1350 7; code 8: RFC 2347"
    correct = "Ends and says why; after code 8 it may ask again without options."
    expect = Expect.END
    examples: ClassVar[tuple[str, ...]] = _CODES

    code: int = number(1, "its code", drawn=(0, 8))

    def sends(self, packet: Outgoing) -> Iterable[Delivery]:
        """Send an ERROR and end."""
        del packet
        self.reached = self.over = True
        code = self.code
        return (Delivery(b"\0\5" + code.to_bytes(2, "big") + b"this is error %d\0" % code),)


@attrs.define(eq=False)
class ErrorAfterOack(OfOack):
    """An ERROR after the OACK."""

    name = "error-after-oack"
    what = "an ERROR follows the OACK, before the client has answered it"
    clause = "RFC 2347, RFC 1350 7"
    correct = _ENDS
    expect = Expect.END

    code: int = number(0, "its code", drawn=(0, 8))

    def sends(self, packet: Outgoing) -> Iterable[Delivery]:
        """Send both and end."""
        if packet.kind is not Kind.OACK:
            return super().sends(packet)
        self.reached = self.over = True
        error = b"\0\5" + self.code.to_bytes(2, "big") + b"after the OACK\0"
        return (packet.as_is(), Delivery(error))


@attrs.define(eq=False)
class ErrorWithoutText(ErrorMidway):
    """An ERROR with an empty text."""

    name = "error-no-text"
    what = "an ERROR whose text is empty"
    clause = "RFC 1350 5"
    examples: ClassVar[tuple[str, ...]] = ("",)

    def octets(self) -> bytes:
        """Return code and NUL."""
        return self.head() + b"\0"


@attrs.define(eq=False)
class ErrorOfFourOctets(ErrorMidway):
    """An ERROR that ends with its code."""

    name = "error-4-octets"
    what = "an ERROR of four octets, as curl sends it: neither text nor NUL"
    clause = "RFC 1350 5"
    examples: ClassVar[tuple[str, ...]] = ("",)

    def octets(self) -> bytes:
        """Return the code alone."""
        return self.head()


@attrs.define(eq=False)
class ErrorWithoutNul(ErrorMidway):
    """An ERROR whose text has no end."""

    name = "error-no-nul"
    what = "an ERROR whose text ends without a NUL"
    clause = "RFC 1350 5"
    examples: ClassVar[tuple[str, ...]] = ("",)

    def octets(self) -> bytes:
        """Return code and text."""
        return self.head() + b"no NUL follows this"


@attrs.define(eq=False)
class ErrorLong(ErrorMidway):
    """An ERROR with a long text."""

    name = "error-long"
    what = "an ERROR with a long text"
    clause = "RFC 1350 5"
    examples: ClassVar[tuple[str, ...]] = ("",)

    length: int = number(
        1400,
        "octets of text; beyond the MTU it comes in fragments",
        maximum=65000,
        drawn=(500, 1400),
    )

    def octets(self) -> bytes:
        """Return a long text."""
        return self.head() + (b"%s%n" + b"A" * self.length)[: self.length] + b"\0"


@attrs.define(eq=False)
class ErrorNotAscii(ErrorMidway):
    """An ERROR with octets that are no ASCII."""

    name = "error-non-ascii"
    what = "an ERROR whose text holds escape sequences and octets that are no ASCII"
    clause = "RFC 1350 5 (netascii)"
    correct = "Ends the transfer; what it shows of the text cannot steer a terminal."
    examples: ClassVar[tuple[str, ...]] = ("",)

    def octets(self) -> bytes:
        """Return control characters and others."""
        return self.head() + b"\x1b]0;owned\x07\x1b[31m\xff\xfe\x80 caf\xc3\xa9\r\n\0"


@attrs.define(eq=False)
class ErrorUnknown(ErrorMidway):
    """An ERROR with a code that no RFC has."""

    name = "error-unknown-code"
    what = "an ERROR with a code that no RFC has"
    clause = "RFC 1350 7"
    examples: ClassVar[tuple[str, ...]] = ("", "code=65535")

    code: int = number(99, "its code", drawn=(9, 65535))


@attrs.define(eq=False)
class DiskFull(ErrorMidway):
    """The disk is full in mid-upload."""

    name = "disk-full"
    what = "ERROR 3 instead of ACK n: the disk is full in mid-upload"
    clause = "RFC 1350 7"
    correct = "Stops sending, and says that the upload failed."
    direction: ClassVar[Direction | None] = Direction.WRITE
    examples: ClassVar[tuple[str, ...]] = ("",)

    code: int = number(3, "its code", drawn=(3, 3))


@attrs.define(eq=False)
class ErrorAtEnd(Fault):
    """An ERROR instead of the last ACK."""

    name = "error-at-end"
    what = "an ERROR instead of the ACK of an upload's last block"
    clause = "RFC 1350 7"
    correct = "Says that the upload failed, though all of it was sent."
    direction: ClassVar[Direction | None] = Direction.WRITE
    expect = Expect.NOTHING

    code: int = number(3, "its code", drawn=(0, 8))

    def sends(self, packet: Outgoing) -> Iterable[Delivery]:
        """Send an ERROR and end."""
        if not packet.last:
            return super().sends(packet)
        self.reached = self.over = True
        return (Delivery(b"\0\5" + self.code.to_bytes(2, "big") + b"not kept\0"),)


@attrs.define(eq=False)
class ErrorTruncated(OnceAtBlock):
    """An ERROR that is cut off."""

    name = "error-truncated"
    what = "an ERROR of two octets, which has no code, comes before DATA n or ACK n"
    clause = "RFC 1350 5"
    correct = "Ignores it or ends; it reads no octet that is not there."
    expect = Expect.EITHER

    def play(self, packet: Outgoing) -> Iterable[Delivery]:
        """Send it, and go on."""
        return (Delivery(b"\0\5"), packet.as_is(GAP_SECONDS))


FAULTS = (
    ErrorMidway,
    ErrorFirst,
    ErrorAfterOack,
    ErrorWithoutText,
    ErrorOfFourOctets,
    ErrorWithoutNul,
    ErrorLong,
    ErrorNotAscii,
    ErrorUnknown,
    DiskFull,
    ErrorAtEnd,
    ErrorTruncated,
)
