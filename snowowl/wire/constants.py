"""The numbers of TFTP: opcodes, error codes, limits.  Values only, no behaviour."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Opcode(IntEnum):
    """The first two octets of every packet (RFC 1350 section 5, RFC 2347)."""

    RRQ = 1
    WRQ = 2
    DATA = 3
    ACK = 4
    ERROR = 5
    OACK = 6


class ErrorCode(IntEnum):
    """The code of an ERROR packet (RFC 1350 appendix; 8: RFC 2347)."""

    NOT_DEFINED = 0
    FILE_NOT_FOUND = 1
    ACCESS_VIOLATION = 2
    DISK_FULL = 3
    ILLEGAL_OPERATION = 4
    UNKNOWN_TID = 5
    FILE_EXISTS = 6
    NO_SUCH_USER = 7
    OPTION_REFUSED = 8


HEADER_SIZE: Final = 4
"""Octets before the payload of DATA: opcode and block number."""

BLKSIZE_DEFAULT: Final = 512  # RFC 1350 section 2
BLKSIZE_MIN: Final = 8  # RFC 2348
BLKSIZE_MAX: Final = (
    65464  # RFC 2348: 65535 less the IPv4 (20), UDP (8) and TFTP (4) headers, and slack
)

TIMEOUT_MIN: Final = 1  # RFC 2349, seconds
TIMEOUT_MAX: Final = 255

WINDOWSIZE_MIN: Final = 1  # RFC 7440 section 3, blocks
WINDOWSIZE_MAX: Final = 65535

TSIZE_MAX: Final = 2**63 - 1  # RFC 2349 sets none; this is the largest file offset there is

OPTIONS_MAX: Final = 32
"""Options read from one request; the rest is ignored.  No known client sends more than six."""

ERROR_MESSAGE_MAX: Final = 256
"""Octets of text in an ERROR that we send: fits the smallest receive buffer seen in a boot ROM (516)."""

ERROR_SIZE_FREE: Final = 18
"""Octets of an ERROR that cost nothing: Ethernet pads a frame to 46 octets behind its header, and 28 of
them are IPv4's and UDP's headers.  What is longer is no longer than the request that it answers."""
