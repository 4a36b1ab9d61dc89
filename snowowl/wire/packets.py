"""The packets that are objects: RRQ, WRQ, OACK, ERROR.

DATA and ACK make up all of the traffic and are never objects: see `snowowl.wire.codec` for their
accessors.  Text stays octets, because what a boot ROM sends need not be text.
"""

from __future__ import annotations

from enum import Enum

import attrs

from snowowl.wire.constants import ErrorCode

Options = tuple[tuple[bytes, bytes], ...]
"""Options in the order of the packet: name in lower case, value as sent."""


class Mode(Enum):
    """How the octets of the file are represented on the wire (RFC 1350 section 1)."""

    NETASCII = b"netascii"
    OCTET = b"octet"
    MAIL = b"mail"

    def __repr__(self) -> str:
        return f"Mode.{self.name}"  # Python, as the repr of the packets that hold it


@attrs.frozen
class ReadRequest:
    """RRQ: the client asks to read `filename` (RFC 1350 section 5, options by RFC 2347)."""

    filename: bytes
    mode: Mode = Mode.OCTET
    options: Options = ()


@attrs.frozen
class WriteRequest:
    """WRQ: the client asks to write `filename` (RFC 1350 section 5, options by RFC 2347)."""

    filename: bytes
    mode: Mode = Mode.OCTET
    options: Options = ()


Request = ReadRequest | WriteRequest


@attrs.frozen
class OptionAck:
    """OACK: the options that were granted, in the order in which they were asked (RFC 2347)."""

    options: Options


@attrs.frozen
class Error:
    """ERROR: ends a transfer (RFC 1350 section 5).

    `code` is an int and not an `ErrorCode`: peers send codes that no RFC defines.
    """

    code: int
    message: bytes = b""


def error_name(code: int) -> str:
    """Return the words of RFC 1350 for an error code, for people."""
    return _ERROR_NAMES.get(code, f"error {code}")


_ERROR_NAMES: dict[int, str] = {
    ErrorCode.NOT_DEFINED: "undefined error",
    ErrorCode.FILE_NOT_FOUND: "file not found",
    ErrorCode.ACCESS_VIOLATION: "access violation",
    ErrorCode.DISK_FULL: "disk full or allocation exceeded",
    ErrorCode.ILLEGAL_OPERATION: "illegal TFTP operation",
    ErrorCode.UNKNOWN_TID: "unknown transfer ID",
    ErrorCode.FILE_EXISTS: "file already exists",
    ErrorCode.NO_SUCH_USER: "no such user",
    ErrorCode.OPTION_REFUSED: "option negotiation failed",
}
