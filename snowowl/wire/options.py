"""The options that are known, and what values they may have.

`parse_value` is total: a value outside its RFC's range is None, which every caller treats as if the
option had not been sent.  That is rule R2 of real clients: never an ERROR for an option.
"""

from __future__ import annotations

from typing import Final

from snowowl.wire.constants import (
    BLKSIZE_MAX,
    BLKSIZE_MIN,
    TIMEOUT_MAX,
    TIMEOUT_MIN,
    TSIZE_MAX,
    WINDOWSIZE_MAX,
    WINDOWSIZE_MIN,
)

BLKSIZE: Final = b"blksize"
TIMEOUT: Final = b"timeout"
TSIZE: Final = b"tsize"
WINDOWSIZE: Final = b"windowsize"
ROLLOVER: Final = b"rollover"

RANGES: Final = {
    BLKSIZE: (BLKSIZE_MIN, BLKSIZE_MAX),  # RFC 2348
    TIMEOUT: (TIMEOUT_MIN, TIMEOUT_MAX),  # RFC 2349
    TSIZE: (0, TSIZE_MAX),  # RFC 2349
    WINDOWSIZE: (WINDOWSIZE_MIN, WINDOWSIZE_MAX),  # RFC 7440
    ROLLOVER: (0, 1),  # no RFC: tftp-hpa's, the block number that follows 65535
}

_DIGITS_MAX: Final = 20  # more than any range needs; bounds the work that a value can cause


def parse_value(name: bytes, value_untrusted: bytes) -> int | None:
    """Return the number of a known option, or None if the option or its value is not valid."""
    bounds = RANGES.get(name)
    if bounds is None or len(value_untrusted) > _DIGITS_MAX or not value_untrusted.isdigit():
        return None
    value = int(value_untrusted)
    return value if bounds[0] <= value <= bounds[1] else None


def format_value(value: int) -> bytes:
    """Return the decimal octets of an option's value."""
    return b"%d" % value
