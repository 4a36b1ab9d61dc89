"""What a client asks for, and how patient it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from snowowl.protocol.retransmit import RetransmitPolicy
from snowowl.wire import options as known
from snowowl.wire.constants import (
    BLKSIZE_MAX,
    BLKSIZE_MIN,
    TIMEOUT_MAX,
    TIMEOUT_MIN,
    WINDOWSIZE_MAX,
    WINDOWSIZE_MIN,
)
from snowowl.wire.packets import Options

RETRIES_MAX: Final = 1_000_000

Progress = Callable[[int, int | None], None]
"""Called with the octets that have arrived, and their total if it is known.  Must not block."""


@attrs.frozen(kw_only=True)
class ClientOptions:
    """Options of a request; a server grants less, or nothing.  Raises ValueError out of range."""

    blksize: int | None = 1468  # what fits an Ethernet frame: 1500 less 20 + 8 + 4 of headers
    """Octets in a block, 8 to 65464; None: 512, without asking (RFC 2348)."""
    windowsize: int | None = 16
    """Blocks in a window, 1 to 65535; None: lock-step, without asking (RFC 7440)."""
    timeout: int | None = None
    """Seconds before either side sends again, 1 to 255; None: adapt to the round trip (RFC 2349)."""
    retries: int = 5
    """Times that a packet is sent again before the server is given up."""
    tsize: bool = True
    """Ask for the size, or announce it (RFC 2349)."""

    def __attrs_post_init__(self) -> None:
        for name, value, minimum, maximum in (
            ("blksize", self.blksize, BLKSIZE_MIN, BLKSIZE_MAX),
            ("windowsize", self.windowsize, WINDOWSIZE_MIN, WINDOWSIZE_MAX),
            ("timeout", self.timeout, TIMEOUT_MIN, TIMEOUT_MAX),
            ("retries", self.retries, 0, RETRIES_MAX),
        ):
            if value is not None and not minimum <= value <= maximum:
                raise ValueError(f"{name} must be from {minimum} to {maximum}, not {value}")

    @classmethod
    def none(cls, *, timeout: int | None = None, retries: int = 5) -> ClientOptions:
        """Return options that send none: plain RFC 1350."""
        return _Silent(blksize=None, windowsize=None, timeout=timeout, retries=retries, tsize=False)

    def asked(self, tsize: int | None) -> Options:
        """Return the options for a request; `tsize` is 0 for an RRQ, the size for a WRQ."""
        asked = {
            known.TSIZE: tsize if self.tsize else None,
            known.BLKSIZE: self.blksize,
            known.WINDOWSIZE: self.windowsize,
            known.TIMEOUT: self.timeout,
        }
        return tuple(
            (name, known.format_value(value)) for name, value in asked.items() if value is not None
        )

    def retransmit(self) -> RetransmitPolicy:
        """Return the timer's bounds.  A person waits: silence counts by retries alone."""
        if self.timeout is None:
            return RetransmitPolicy(
                retries=self.retries, silence_max=0.0, retries_unanswered=self.retries
            )
        seconds = float(self.timeout)
        return RetransmitPolicy(
            initial=seconds,
            floor=seconds,
            ceiling=seconds,
            retries=self.retries,
            silence_max=0.0,
            retries_unanswered=self.retries,
        )


class _Silent(ClientOptions):
    """Keeps the timeout to itself."""

    def asked(self, tsize: int | None) -> Options:
        """Return no options."""
        del tsize
        return ()
