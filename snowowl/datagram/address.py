"""Socket addresses as octets, laid out as the kernel of Linux does.

`struct sockaddr_in` (16 octets) and `struct sockaddr_in6` (28).  They are hashable, comparable and
go into system calls as they are; text is made of them only for people.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from functools import lru_cache
from typing import Final

_IPV4: Final = struct.Struct("=H2s4s8x")
_IPV6: Final = struct.Struct("=H2s4s16sI")
_FAMILY: Final = struct.Struct("=H")
_MAPPED: Final = b"\0" * 10 + b"\xff\xff"

SocketAddress = tuple[str, int] | tuple[str, int, int, int]


def pack(address: SocketAddress) -> bytes:
    """Return the octets of a numeric address as the socket module gives it.

    Raises ValueError if the host is not a numeric address.
    """
    host, port = address[0], address[1].to_bytes(2, "big")
    if len(address) == 2:
        return _IPV4.pack(socket.AF_INET, port, ipaddress.IPv4Address(host).packed)
    octets = ipaddress.IPv6Address(host.partition("%")[0]).packed
    # The kernel has the flow in network order, the socket module in the machine's.
    flow = address[2].to_bytes(4, "big")
    return _IPV6.pack(socket.AF_INET6, port, flow, octets, address[3])


def unpack(address: bytes) -> SocketAddress:
    """Return an address as the socket module wants it."""
    if family_of(address) == socket.AF_INET:
        _, port, octets = _IPV4.unpack(address)
        return str(ipaddress.IPv4Address(octets)), int.from_bytes(port, "big")
    _, port, flow, octets, scope = _IPV6.unpack(address)
    host = str(ipaddress.IPv6Address(octets))
    return host, int.from_bytes(port, "big"), int.from_bytes(flow, "big"), scope


def family_of(address: bytes) -> int:
    """Return AF_INET or AF_INET6."""
    family: int = _FAMILY.unpack_from(address)[0]
    return family


def port_of(address: bytes) -> int:
    """Return the port."""
    return int.from_bytes(address[2:4], "big")


def with_port(address: bytes, port: int) -> bytes:
    """Return the same host with another port."""
    return address[:2] + port.to_bytes(2, "big") + address[4:]


def host_octets(address: bytes) -> bytes:
    """Return the 4 or 16 octets of the host."""
    return address[4:8] if family_of(address) == socket.AF_INET else address[8:24]


def unmapped(address: bytes) -> bytes:
    """Return an IPv4 address that came over a dual-stack socket (``::ffff:a.b.c.d``) as IPv4."""
    if family_of(address) == socket.AF_INET6 and address[8:20] == _MAPPED:
        return _IPV4.pack(socket.AF_INET, address[2:4], address[20:24])
    return address


def host_text(address: bytes) -> str:
    """Return the host for people: ``192.0.2.1``, ``2001:db8::1``, ``fe80::1%eth0``."""
    return _host_text(with_port(address, 0))


@lru_cache(maxsize=1024)
def _host_text(address: bytes) -> str:
    address = unmapped(address)
    if family_of(address) == socket.AF_INET:
        return str(ipaddress.IPv4Address(address[4:8]))
    host = str(ipaddress.IPv6Address(address[8:24]))
    scope: int = struct.unpack_from("=I", address, 24)[0]
    return f"{host}%{_interface_name(scope)}" if scope else host


def text(address: bytes) -> str:
    """Return host and port for people: ``192.0.2.1:69``, ``[2001:db8::1]:69``."""
    host = host_text(address)
    return f"[{host}]:{port_of(address)}" if ":" in host else f"{host}:{port_of(address)}"


def _interface_name(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except OSError:
        return str(index)
