"""The system's UDP: opens sockets with the options that netbooting needs."""

from __future__ import annotations

import errno
import random
import socket
import struct
import sys
from typing import Final

from snowowl.datagram import cmsg
from snowowl.datagram.interface import LocalAddress
from snowowl.datagram.portable import PortableEndpoint

RECEIVE_BUFFER_SIZE: Final = 4 << 20
"""Octets.  The default of 208 KiB loses requests when about 250 boards ask at once; 4 MiB hold
more than a thousand."""

MTU_UNKNOWN: Final = 1500
"""What nearly every boot network has."""

_LINUX: Final = sys.platform == "linux"
_SO_RCVBUFFORCE: Final = 33
_SIOCGIFMTU: Final = 0x8921
_IFREQ: Final = struct.Struct("=16si20x")


class SystemNetwork:
    """The network of this machine."""

    def __init__(self, *, source_of_ports: random.Random | None = None) -> None:
        self._random = source_of_ports or random.SystemRandom()
        self._mtu_socket: socket.socket | None = None

    def listen(self, host: str, port: int) -> PortableEndpoint:
        """Open an endpoint for requests.  Raises OSError."""
        if host:
            sock = _bind(host, port, dual=False)
        else:
            try:
                sock = _bind("::", port, dual=True)
            except OSError as error:
                if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                    raise
                sock = _bind("0.0.0.0", port, dual=False)  # noqa: S104 - what was asked for
        try:
            if _LINUX:
                _report_unreachable(sock)
                sock.setsockopt(socket.IPPROTO_IP, cmsg.IP_PKTINFO, 1)
                if sock.family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, cmsg.IPV6_RECVPKTINFO, 1)
            return PortableEndpoint(sock, tells_local=_LINUX)
        except BaseException:
            sock.close()
            raise

    def open(
        self, family: int, local: LocalAddress | None, port_range: tuple[int, int] | None
    ) -> PortableEndpoint:
        """Open an endpoint on a free port.  Raises OSError."""
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            _prepare(sock)
            if _LINUX:
                _report_unreachable(sock)
            self._bind_somewhere(sock, local, port_range)
            return PortableEndpoint(sock)
        except BaseException:
            sock.close()
            raise

    def mtu(self, local: LocalAddress | None) -> int:
        """Return the MTU of an address's interface, 1500 where it cannot be known."""
        if local is None or not local.interface or not _LINUX:
            return MTU_UNKNOWN
        import fcntl

        try:
            if self._mtu_socket is None:  # may fail, too: no descriptors left
                self._mtu_socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            name = socket.if_indextoname(local.interface).encode()
            answer = fcntl.ioctl(self._mtu_socket, _SIOCGIFMTU, _IFREQ.pack(name, 0))
        except OSError:
            return MTU_UNKNOWN
        mtu: int = _IFREQ.unpack(answer)[1]
        return mtu

    def close(self) -> None:
        """Close what was opened to ask questions."""
        if self._mtu_socket is not None:
            self._mtu_socket.close()
            self._mtu_socket = None

    def _bind_somewhere(
        self, sock: socket.socket, local: LocalAddress | None, port_range: tuple[int, int] | None
    ) -> None:
        if port_range is None:
            _bind_to(sock, local, 0)
            return
        # Begun at random, so that a TID cannot be guessed, and every port tried before giving up.
        # Not a shuffled list: for all of 64512 ports that takes 50 ms, in the event loop.
        first, count = port_range[0], port_range[1] - port_range[0] + 1
        start = self._random.randrange(count)
        for step in range(count):
            try:
                _bind_to(sock, local, first + (start + step) % count)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                return
        raise OSError(errno.EADDRINUSE, f"no free port in {port_range[0]}:{port_range[1]}")


def _bind(host: str, port: int, *, dual: bool) -> socket.socket:
    flags = socket.AI_NUMERICHOST | socket.AI_PASSIVE
    found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=flags)
    family, _, _, _, name = found[0]
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        _prepare(sock)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not dual)
        sock.bind(name)
    except BaseException:
        sock.close()
        raise
    return sock


def _prepare(sock: socket.socket) -> None:
    """Set what every socket gets: a large receive buffer, and no path MTU discovery (rule R9).

    With it the kernel sets the DF bit, which confuses some boot ROMs, and a router on the way
    that fragments is worth more to a booting board than an ICMP message that it will not see.
    """
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_SIZE)
        if _LINUX:  # past the limit of the system, where we may
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER_SIZE)
    except OSError:
        pass  # then it is as large as the system allows
    if not _LINUX:
        return
    sock.setsockopt(socket.IPPROTO_IP, cmsg.IP_MTU_DISCOVER, cmsg.IP_PMTUDISC_DONT)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, cmsg.IPV6_MTU_DISCOVER, cmsg.IP_PMTUDISC_DONT)


def _report_unreachable(sock: socket.socket) -> None:
    """Have ICMP errors reported with the peer that they are about."""
    sock.setsockopt(socket.IPPROTO_IP, cmsg.IP_RECVERR, 1)  # IPv4 over a dual-stack socket, too
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, cmsg.IPV6_RECVERR, 1)


def _bind_to(sock: socket.socket, local: LocalAddress | None, port: int) -> None:
    packed = b"" if local is None else local.packed
    if sock.family == socket.AF_INET:
        sock.bind((socket.inet_ntop(socket.AF_INET, packed or b"\0" * 4), port))
        return
    scope = local.interface if local is not None and cmsg.is_link_local(local) else 0
    sock.bind((socket.inet_ntop(socket.AF_INET6, packed or b"\0" * 16), port, 0, scope))
