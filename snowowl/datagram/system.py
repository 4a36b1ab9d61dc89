"""The system's UDP: opens sockets with the options that netbooting needs."""

from __future__ import annotations

import errno
import random
import socket
import struct
import sys
import threading
from collections.abc import Callable
from typing import Final

from snowowl.datagram import cmsg
from snowowl.datagram.address import host_octets, pack
from snowowl.datagram.batch import BatchEndpoint
from snowowl.datagram.capabilities import probe
from snowowl.datagram.endpoint import SocketEndpoint
from snowowl.datagram.interface import LocalAddress
from snowowl.datagram.limits import Limits
from snowowl.datagram.messages import Messages
from snowowl.datagram.portable import PortableEndpoint
from snowowl.datagram.settings import Settings
from snowowl.datagram.slots import Slots

MTU_UNKNOWN: Final = 1500
"""What nearly every boot network has."""

_LIMITS_MAX: Final = 1024
"""Local addresses whose limits are remembered: forgetting them costs a refused send."""

_STRIDE_MAX: Final = 32767
"""Octets of the largest datagrams of which two go into one call."""

_LINUX: Final = sys.platform == "linux"
_SO_SNDBUFFORCE: Final = 32
_SO_RCVBUFFORCE: Final = 33
_SIOCGIFMTU: Final = 0x8921
_IFREQ: Final = struct.Struct("=16si20x")


class _Shared(threading.local):
    """What all endpoints of a thread use: a call lets other threads run while the kernel reads it."""

    messages: Messages | None = None
    slots: Slots | None = None


class SystemNetwork:
    """The network of this machine.

    Endpoints are for the thread that opened them; the network is for any number of threads.
    `shares_slots` says that whatever an endpoint has received is dealt with before any endpoint
    receives again; then all receive into the same memory, which stays in the CPU's cache.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        shares_slots: bool = False,
        source_of_ports: random.Random | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self.capabilities = probe(self.settings)
        self.lowered: Callable[[str], None] = lambda _: None
        """Told when a device refuses what the machine can do otherwise."""
        self._random = source_of_ports or random.SystemRandom()
        self._mtu_socket: socket.socket | None = None
        self._mtu_lock = threading.Lock()
        self._shares_slots = shares_slots
        self._shared = _Shared()
        self._limits: dict[bytes, Limits] = {}

    def listen(self, host: str, port: int) -> SocketEndpoint:
        """Open an endpoint for requests.  Raises OSError."""
        return self.adopt(open_listening(host, port, self.settings))

    def adopt(self, sock: socket.socket) -> SocketEndpoint:
        """Make an endpoint for requests of a socket from `open_listening`; it then owns it.

        Raises OSError, and has closed the socket then.
        """
        try:
            if _LINUX:
                _report_unreachable(sock)
                sock.setsockopt(socket.IPPROTO_IP, cmsg.IP_PKTINFO, 1)
                if sock.family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, cmsg.IPV6_RECVPKTINFO, 1)
            return self._wrap(sock, tells_local=_LINUX)
        except BaseException:
            sock.close()
            raise

    def open(
        self, family: int, local: LocalAddress | None, port_range: tuple[int, int] | None
    ) -> SocketEndpoint:
        """Open an endpoint on a free port.  Raises OSError."""
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            _prepare(sock, self.settings)
            if _LINUX:
                _report_unreachable(sock)
            self._bind_somewhere(sock, local, port_range)
            return self._wrap(sock, tells_local=False)
        except BaseException:
            sock.close()
            raise

    def mtu(self, local: LocalAddress | None) -> int:
        """Return the MTU of an address's interface, 1500 where it cannot be known."""
        if local is None or not local.interface or not _LINUX:
            return MTU_UNKNOWN
        import fcntl

        try:
            name = socket.if_indextoname(local.interface).encode()
            with self._mtu_lock:
                if self._mtu_socket is None:  # may fail, too: no descriptors left
                    self._mtu_socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                answer = fcntl.ioctl(self._mtu_socket, _SIOCGIFMTU, _IFREQ.pack(name, 0))
        except OSError:
            return MTU_UNKNOWN
        mtu: int = _IFREQ.unpack(answer)[1]
        return mtu

    def close(self) -> None:
        """Close what was opened to ask questions."""
        with self._mtu_lock:
            if self._mtu_socket is not None:
                self._mtu_socket.close()
                self._mtu_socket = None

    def _wrap(self, sock: socket.socket, *, tells_local: bool) -> SocketEndpoint:
        """Return an endpoint on the highest rung there is.  Raises OSError."""
        can, settings = self.capabilities, self.settings
        if can.calls is None or can.layout is None:
            return PortableEndpoint(sock, tells_local=tells_local)
        if can.gro:
            sock.setsockopt(cmsg.SOL_UDP, cmsg.UDP_GRO, 1)
        if can.zerocopy:
            sock.setsockopt(socket.SOL_SOCKET, cmsg.SO_ZEROCOPY, 1)
        shared = self._shared
        if shared.messages is None:  # filled and sent without a pause
            shared.messages = Messages(can.layout, settings.batch_max if can.sendmmsg else 1)
        slots = shared.slots
        if slots is None:
            slots = Slots(can.layout, settings.batch_max if can.recvmmsg else 1)
            shared.slots = slots if self._shares_slots else None
        return BatchEndpoint(
            sock,
            can.calls,
            slots,
            shared.messages,
            self._limits_for(sock),
            tells_local=tells_local,
            recvmmsg=can.recvmmsg,
            sendmmsg=can.sendmmsg,
            zerocopy=can.zerocopy,
        )

    def _tell_lowered(self, text: str) -> None:
        self.lowered(text)

    def _limits_for(self, sock: socket.socket) -> Limits:
        """Return the limits of a local address, which all its endpoints share."""
        key = host_octets(pack(sock.getsockname()))
        limits = self._limits.get(key)
        if limits is None:
            if len(self._limits) >= _LIMITS_MAX:
                self._limits.clear()
            limits = Limits(
                stride_max=_STRIDE_MAX if self.capabilities.gso else 0,
                file_min=self.settings.sendfile_file_min,
                lowered=self._tell_lowered,
            )
            if self.capabilities.zerocopy:
                limits.zerocopy_min = self.settings.zerocopy_min
            if self.capabilities.sendfile:
                limits.other_stride_min = self.settings.sendfile_block_min
            self._limits[key] = limits
        return limits

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


def open_listening(
    host: str, port: int, settings: Settings, *, shares_port: bool = False
) -> socket.socket:
    """Open a socket for requests; an empty host means every address.  Raises OSError.

    `shares_port`: beside others of this user that may be shared (SO_REUSEPORT); the kernel then
    deals the clients out among them, by address and port.
    """
    if host:
        return _bind(host, port, settings, dual=False, shares_port=shares_port)
    try:
        return _bind("::", port, settings, dual=True, shares_port=shares_port)
    except OSError as error:
        if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
            raise
    every = "0.0.0.0"  # noqa: S104 - what was asked for
    return _bind(every, port, settings, dual=False, shares_port=shares_port)


def prepare_inherited(sock: socket.socket, settings: Settings) -> None:
    """Set on a bound socket that others opened what `open_listening` sets.  Raises OSError.

    Whether one for IPv6 also takes IPv4 can no more be changed.
    """
    _prepare(sock, settings)


def open_group(
    host: str, port: int, count: int, settings: Settings | None = None
) -> list[socket.socket]:
    """Open `count` sockets for requests that share one port.  Raises OSError.

    The first is bound alone, and shared from then on: so a port that another server has is refused,
    even if that one shares it, too.
    """
    settings = settings or Settings()
    group = [open_listening(host, port, settings)]
    try:
        if count > 1:
            group[0].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        port = int(group[0].getsockname()[1])
        while len(group) < count:
            group.append(open_listening(host, port, settings, shares_port=True))
    except BaseException:
        for sock in group:
            sock.close()
        raise
    return group


def _bind(
    host: str, port: int, settings: Settings, *, dual: bool, shares_port: bool
) -> socket.socket:
    flags = socket.AI_NUMERICHOST | socket.AI_PASSIVE
    found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=flags)
    family, _, _, _, name = found[0]
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        _prepare(sock, settings)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not dual)
        if shares_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(name)
    except BaseException:
        sock.close()
        raise
    return sock


def _prepare(sock: socket.socket, settings: Settings) -> None:
    """Set what every socket gets: buffers as wanted, and no path MTU discovery (rule R9).

    With it the kernel sets the DF bit, which confuses some boot ROMs, and a router on the way
    that fragments is worth more to a booting board than an ICMP message that it will not see.
    """
    _set_buffer(sock, socket.SO_RCVBUF, _SO_RCVBUFFORCE, settings.receive_buffer)
    _set_buffer(sock, socket.SO_SNDBUF, _SO_SNDBUFFORCE, settings.send_buffer)
    if not _LINUX:
        return
    sock.setsockopt(socket.IPPROTO_IP, cmsg.IP_MTU_DISCOVER, cmsg.IP_PMTUDISC_DONT)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, cmsg.IPV6_MTU_DISCOVER, cmsg.IP_PMTUDISC_DONT)


def _set_buffer(sock: socket.socket, option: int, forced: int, size: int) -> None:
    if not size:
        return
    try:
        sock.setsockopt(socket.SOL_SOCKET, option, size)
        if _LINUX:  # past the limit of the system, where we may
            sock.setsockopt(socket.SOL_SOCKET, forced, size)
    except OSError:
        pass  # then it is as large as the system allows


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
