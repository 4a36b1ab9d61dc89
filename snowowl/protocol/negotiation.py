"""Options: what is granted (server), what a grant must look like (client).

RFC 2347: an OACK holds only options that were asked for; a server that grants none answers as if
none had been sent.  Real clients check more: no value larger than asked, the order asked, `timeout`
unchanged (rule R1); and they must not be refused for an option that is nonsense (rule R2).
"""

from __future__ import annotations

from typing import Final

import attrs

from snowowl.protocol.retransmit import RetransmitPolicy
from snowowl.wire import options as known
from snowowl.wire.constants import BLKSIZE_DEFAULT, BLKSIZE_MAX, WINDOWSIZE_MAX
from snowowl.wire.packets import Mode, OptionAck, Options, ReadRequest, Request

WINDOWSIZE_GRANTED_MAX: Final = 32767
"""Half of the block numbers, less one: an ACK that is late by up to a window is then never taken for
one of a block in flight.  RFC 7440 lets a client ask for 65535, and a server grant less."""

WINDOWSIZE_UBOOT_MAX: Final = 30
"""U-Boot's virtio driver has 32 receive buffers.  One burst of more, even the first, leaves the card
deaf until the next command (2023.01: 31 and 32 fail now and then, 33 always), so that nothing that
is sent again or sent slower gets through."""

_UBOOT_FIRST_OPTION: Final = (known.TIMEOUT, b"5")
"""What U-Boot's requests begin with, and barebox' too, which loses nothing by a window of 30; no
other client known sends its timeout first."""


@attrs.frozen
class Policy:
    """What a server grants, and how long it waits."""

    blksize_max: int = BLKSIZE_MAX
    windowsize_max: int = 64
    rollover: int | None = 0
    """The number after block 65535 when the client does not ask; None: no more than 65535 blocks."""
    refused_options: frozenset[bytes] = frozenset()
    retransmit: RetransmitPolicy = attrs.field(factory=RetransmitPolicy)
    window_octets_max: int = 1 << 32
    """Octets in a window: blksize times windowsize."""


@attrs.frozen
class Terms:
    """What both sides go by, once negotiated."""

    blksize: int = BLKSIZE_DEFAULT
    windowsize: int = 1
    timeout: int | None = None
    """Seconds, if negotiated (RFC 2349)."""
    tsize: int | None = None
    """Octets that the sender announced (RFC 2349)."""
    rollover: int = 0
    granted: Options = ()
    """The options as in the OACK."""


def negotiate(
    request: Request, policy: Policy, content_size: int | None
) -> tuple[Terms, OptionAck | None]:
    """Return what is granted to a request, and the OACK that says so (None: answer without one).

    `content_size` is the size in octets of what an RRQ will send; None if it is not known.
    Sources: RFC 2347, 2348, 2349, 7440; rules R1 to R3.
    """
    reading = isinstance(request, ReadRequest)
    granted: dict[bytes, int] = {}
    for name, asked_untrusted in request.options:
        asked = known.parse_value(name, asked_untrusted)
        if asked is None or name in policy.refused_options:
            continue
        if name == known.BLKSIZE:
            asked = min(asked, policy.blksize_max)
        elif name == known.WINDOWSIZE:
            asked = min(asked, policy.windowsize_max, WINDOWSIZE_GRANTED_MAX)
            if reading and request.options[0] == _UBOOT_FIRST_OPTION:
                asked = min(asked, WINDOWSIZE_UBOOT_MAX)
        elif name == known.TSIZE:
            if reading:
                asked = _announced(request.mode, content_size)
            if asked == 0:  # rule R3: curl takes tsize=0 for an error
                continue
        granted[name] = asked
    if known.WINDOWSIZE in granted:  # now that blksize is known, wherever it stood
        blocks_max = policy.window_octets_max // granted.get(known.BLKSIZE, BLKSIZE_DEFAULT)
        granted[known.WINDOWSIZE] = max(1, min(granted[known.WINDOWSIZE], blocks_max))
    options = tuple((name, known.format_value(value)) for name, value in granted.items())
    terms = _terms(granted, options, policy.rollover or 0)
    return terms, OptionAck(options) if options else None


def check_grant(asked: Options, grant: OptionAck) -> Terms | str:
    """Return what a server granted to our request, or in words what is wrong with its OACK.

    RFC 2347: only what was asked.  RFC 2348, 7440: not larger than asked; 2349: timeout unchanged.
    """
    wanted = dict(asked)
    values: dict[bytes, int] = {}
    for name, value_untrusted in grant.options:
        value = known.parse_value(name, value_untrusted)
        text = f"{name.decode('latin-1')}={value_untrusted[:24].decode('latin-1')}"
        if name not in wanted:
            return f"server granted {text}, which was not asked for"
        if value is None:
            return f"server granted {text}, which is not a valid value"
        limit = known.parse_value(name, wanted[name])
        if name in (known.BLKSIZE, known.WINDOWSIZE) and limit is not None and value > limit:
            return f"server granted {text}, which is more than was asked for"
        if name == known.TIMEOUT and value != limit:
            return f"server granted {text}, which is not what was asked for"
        values[name] = value
    terms = _terms(values, grant.options, 0)
    if terms.rollover == 1 and terms.windowsize == WINDOWSIZE_MAX:
        # With 65535 numbers the ACK of such a window is that of the one before it.
        return "server granted a windowsize that leaves no block number free"
    return terms


def _announced(mode: Mode, content_size: int | None) -> int:
    """Return the tsize to answer an RRQ with, 0 for none.

    In netascii the size on the wire is not that of the file, and clients disagree on which they
    want; curl fails on either, so it is left out.
    """
    return 0 if mode is Mode.NETASCII or content_size is None else content_size


def _terms(values: dict[bytes, int], granted: Options, rollover: int) -> Terms:
    return Terms(
        blksize=values.get(known.BLKSIZE, BLKSIZE_DEFAULT),
        windowsize=values.get(known.WINDOWSIZE, 1),
        timeout=values.get(known.TIMEOUT),
        tsize=values.get(known.TSIZE),
        rollover=values.get(known.ROLLOVER, rollover),
        granted=granted,
    )
