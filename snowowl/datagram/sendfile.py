"""A datagram whose octets go from a file to the network without a look at them: `sendfile`.

The header is sent into a corked socket, the file's octets follow, uncorking sends both as one
datagram.  So a file that was truncated meanwhile makes no short datagram, which a TFTP client would
take for the end of the file: what is in the cork is thrown away instead.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from typing import Final

from snowowl.datagram.address import SocketAddress
from snowowl.datagram.memory import Buffer

Ancillary = Sequence[tuple[int, int, bytes]]

UDP_CORK: Final = 1
_SOL_UDP: Final = 17
_TOO_LONG: Final = bytes(65535)
"""More than a datagram can hold: sending it into the cork fails, and that empties the cork.  Not one
octet more: such a call fails before it looks at the cork, and the short datagram would go out
(`udp_sendmsg` in net/ipv4/udp.c)."""

_SECONDS: Final = 0.2
_LOOPBACK: Final = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))


def send(
    sock: socket.socket,
    name: SocketAddress,
    header: Buffer,
    file: int,
    offset: int,
    size: int,
    ancillary: Ancillary = (),
) -> int:
    """Send a header and `size` octets of a file as one datagram; return 0 or an errno.

    `ancillary` is as for `sendmsg`.  EFAULT if the file is shorter, as `sendmsg` says for a mapping
    of it.  A failure may leave an EMSGSIZE in the socket's error queue.
    """
    if sys.platform != "linux":  # pragma: no cover - `works` says so
        return errno.ENOTSUP
    reason = sent = 0
    try:
        sock.setsockopt(_SOL_UDP, UDP_CORK, 1)
        sock.sendmsg((header,), ancillary, 0, name)
        while sent < size:
            count = os.sendfile(sock.fileno(), file, offset + sent, size - sent)
            if count == 0:
                reason = errno.EFAULT
                break
            sent += count
    except OSError as error:
        reason = error.errno or errno.EIO
    except (TypeError, ValueError):  # how the socket module says it
        reason = errno.EAFNOSUPPORT
    if reason:
        with suppress(OSError, TypeError, ValueError):
            sock.sendto(_TOO_LONG, name)
    with suppress(OSError):
        sock.setsockopt(_SOL_UDP, UDP_CORK, 0)
    return reason


@cache
def works() -> bool:
    """Try it on loopback, once: how a kernel puts the pieces together is nowhere promised."""
    if sys.platform != "linux" or not hasattr(os, "memfd_create"):
        return False
    try:
        return _works_for(*_LOOPBACK[0]) and (not _has_ipv6() or _works_for(*_LOOPBACK[1]))
    except OSError:
        return False


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind((_LOOPBACK[1][1], 0))
    except OSError:
        return False
    return True


def _works_for(family: int, host: str) -> bool:
    """Send whole pieces of a file, and between them pieces that it is too short for.

    Raises OSError, also if nothing arrives.
    """
    size = 65464
    octets = bytes(range(251)) * 300
    with (
        socket.socket(family, socket.SOCK_DGRAM) as sender,
        socket.socket(family, socket.SOCK_DGRAM) as receiver,
        os.fdopen(os.memfd_create("snowowl"), "wb") as file,
    ):
        receiver.bind((host, 0))
        receiver.settimeout(_SECONDS)
        file.write(octets)
        file.flush()
        name, descriptor = receiver.getsockname(), file.fileno()
        for offset in (1234, 0):
            for there in (0, 700, size - 1):
                short = len(octets) - there
                if send(sender, name, b"head", descriptor, short, size) != errno.EFAULT:
                    return False
            if send(sender, name, b"head", descriptor, offset, size):
                return False
            if receiver.recv(65536) != b"head" + octets[offset : offset + size]:
                return False
    return True
