"""Ancillary data: which local address a datagram was sent to, and which to answer from.

The numbers are Linux'; the socket module lacks most of them before Python 3.14.
"""

from __future__ import annotations

import socket
import struct
from typing import Final, NamedTuple

from snowowl.datagram.interface import LocalAddress

IP_PKTINFO: Final = 8
IP_RECVERR: Final = 11
IP_MTU_DISCOVER: Final = 10
IP_PMTUDISC_DONT: Final = 0
IPV6_MTU_DISCOVER: Final = 23
IPV6_RECVERR: Final = 25
IPV6_RECVPKTINFO: Final = 49
IPV6_PKTINFO: Final = 50
MSG_ERRQUEUE: Final = 0x2000
MSG_ZEROCOPY: Final = 0x4000000
SO_MEMINFO: Final = 55
SO_NO_CHECK: Final = 11
SO_ZEROCOPY: Final = 60
SOL_UDP: Final = 17
UDP_SEGMENT: Final = 103
UDP_GRO: Final = 104

_PKTINFO4: Final = struct.Struct("=i4s4s")
_PKTINFO6: Final = struct.Struct("=16si")
_MAPPED: Final = b"\0" * 10 + b"\xff\xff"

# struct sock_extended_err of linux/errqueue.h: ee_errno, ee_origin, ee_type, ee_code, ee_info, ee_data.
_EXTENDED_ERROR: Final = struct.Struct("=IBxBxII")
ORIGINS_ICMP: Final = (2, 3)  # SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6
ORIGIN_ZEROCOPY: Final = 5
ZEROCOPY_COPIED: Final = 1  # ee_code: SO_EE_CODE_ZEROCOPY_COPIED

SPACE: Final = (
    socket.CMSG_SPACE(_PKTINFO4.size) + socket.CMSG_SPACE(_PKTINFO6.size)
    if hasattr(socket, "CMSG_SPACE")
    else 128
)
"""Octets to leave for ancillary data when receiving: a dual-stack socket tells both for IPv4."""

ERROR_SPACE: Final = 512
"""Octets to leave for what the error queue tells: the error, and the address it came from."""

Ancillary = list[tuple[int, int, bytes]]


def read_local(ancillary: Ancillary) -> LocalAddress | None:
    """Return the local address that a datagram was sent to, as one that can be answered from.

    For a broadcast (some switches ask 255.255.255.255) the kernel names a unicast address of the
    interface beside it, and that is the one (rule R10); it does so in the IPv4 form only, which
    therefore goes first.  An IPv6 multicast has none: only the interface is known.

    `to_many` for both: the kernel hands such a datagram to every socket of a port.  IPv4 tells by
    naming two addresses, which are one for unicast, whatever the netmask (`fib_compute_spec_dst`).
    """
    local: LocalAddress | None = None
    for level, kind, data in ancillary:
        if level == socket.IPPROTO_IP and kind == IP_PKTINFO and len(data) >= _PKTINFO4.size:
            interface, specific, asked = _PKTINFO4.unpack_from(data)
            return LocalAddress(specific, interface, to_many=specific != asked)
        if level == socket.IPPROTO_IPV6 and kind == IPV6_PKTINFO and len(data) >= _PKTINFO6.size:
            octets, interface = _PKTINFO6.unpack_from(data)
            if octets[:12] == _MAPPED:
                local = LocalAddress(octets[12:], interface)
            else:
                to_many = octets[0] == 0xFF
                local = LocalAddress(b"" if to_many else octets, interface, to_many=to_many)
    return local


class ExtendedError(NamedTuple):
    """An entry of the error queue: `struct sock_extended_err`."""

    number: int
    origin: int
    code: int = 0
    info: int = 0
    data: int = 0


def read_error(ancillary: Ancillary) -> ExtendedError:
    """Return an entry of the error queue, all zero if there is none to be found."""
    for level, kind, data in ancillary:
        is_error = (level, kind) in (
            (socket.IPPROTO_IP, IP_RECVERR),
            (socket.IPPROTO_IPV6, IPV6_RECVERR),
        )
        if is_error and len(data) >= _EXTENDED_ERROR.size:
            return ExtendedError(*_EXTENDED_ERROR.unpack_from(data))
    return ExtendedError(0, 0)


def write_source(source: LocalAddress, family: int) -> Ancillary:
    """Return the ancillary data that makes a datagram leave from a local address.

    For IPv4 the interface is left to the routing table, which knows better where the peer is; a
    link-local IPv6 address means nothing without it.
    """
    if not source.packed:
        return []
    if family == socket.AF_INET:
        return [(socket.IPPROTO_IP, IP_PKTINFO, _PKTINFO4.pack(0, source.packed, b"\0" * 4))]
    if len(source.packed) == 4:
        data = _PKTINFO6.pack(_MAPPED + source.packed, 0)
    else:
        data = _PKTINFO6.pack(source.packed, source.interface if is_link_local(source) else 0)
    return [(socket.IPPROTO_IPV6, IPV6_PKTINFO, data)]


def is_link_local(local: LocalAddress) -> bool:
    """Say whether an address is IPv6 link-local, and so needs its interface (RFC 4007)."""
    packed = local.packed
    return len(packed) == 16 and packed[0] == 0xFE and packed[1] & 0xC0 == 0x80
