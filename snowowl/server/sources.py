"""Where requests come from, as far as limits go: an IPv4 address, an IPv6 network of /64.

Whoever has one IPv6 address usually has 2^64 of them.  Only link-local ones count each: they all
begin alike, and nobody forges them from afar.
"""

from __future__ import annotations

from typing import Final

import attrs

from snowowl.protocol.buckets import ALWAYS_FULL

_IPV4_SIZE: Final = 16
"""Octets of an IPv4 socket address (`snowowl.datagram.address`); of an IPv6 one, 28."""
_MAPPED: Final = bytes(10) + b"\xff\xff"
_LINK_LOCAL: Final = b"\xfe\x80"
_NO_PORT: Final = b"\0\0"
_NOBODY: Final = (bytes(4), b"\xff\xff\xff\xff", bytes(16))
"""What is sent to the unspecified address comes to ourselves."""


@attrs.define(eq=False)
class Source:
    """What is known of those who ask from one place."""

    key: bytes
    requests: float = ALWAYS_FULL
    """The bucket of its requests, see `snowowl.protocol.buckets`."""
    errors: float = ALWAYS_FULL
    """The bucket of ERRORs to it."""
    known_until: float = ALWAYS_FULL
    """It has answered, and counts as known until then."""
    of_all: int = 0
    """Tokens that it holds of those which all share."""
    transfers: int = 0
    """Transfers that have no outcome yet."""


def host_of(peer: bytes) -> bytes:
    """Return the 4 or 16 octets of a host; IPv4 in 4, also if it came over a dual-stack socket."""
    if len(peer) == _IPV4_SIZE:
        return peer[4:8]
    return peer[20:24] if peer[8:20] == _MAPPED else peer[8:24]


def is_answerable(peer: bytes) -> bool:
    """Say whether a socket address is of one host that could hear an answer.

    The kernel takes some requests from none: 0.0.0.0 may ask all of its link (RFC 1122, 3.2.1.3).
    """
    host = host_of(peer)
    if peer[2:4] == _NO_PORT or host in _NOBODY:
        return False
    return not 224 <= host[0] < 240 if len(host) == 4 else host[0] != 0xFF


def source_key(peer: bytes) -> bytes:
    """Return what the limits of one client go by, of a socket address."""
    if len(peer) == _IPV4_SIZE:
        return peer[4:8]
    if peer[8:20] == _MAPPED:
        return peer[20:24]
    return peer[8:24] if peer[8:10] == _LINK_LOCAL else peer[8:16]
