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
from contextlib import suppress
from typing import Final

from snowowl.datagram.address import SocketAddress
from snowowl.datagram.memory import Buffer

UDP_CORK: Final = 1
_SOL_UDP: Final = 17
_TOO_LONG: Final = bytes(65536)
"""More than a datagram can hold: sending it into the cork fails and empties the cork."""


def send(
    sock: socket.socket, name: SocketAddress, header: Buffer, file: int, offset: int, size: int
) -> int:
    """Send a header and `size` octets of a file as one datagram; return 0 or an errno.

    EFAULT if the file is shorter, as `sendmsg` says for a mapping of it.
    """
    if sys.platform != "linux":  # pragma: no cover - `works` says so
        return errno.ENOTSUP
    reason = sent = 0
    try:
        sock.setsockopt(_SOL_UDP, UDP_CORK, 1)
        sock.sendto(header, name)
        while sent < size:
            count = os.sendfile(sock.fileno(), file, offset + sent, size - sent)
            if count == 0:
                reason = errno.EFAULT
                break
            sent += count
    except OSError as error:
        reason = error.errno or errno.EIO
    if reason:
        with suppress(OSError):
            sock.sendto(_TOO_LONG, name)
    with suppress(OSError):
        sock.setsockopt(_SOL_UDP, UDP_CORK, 0)
    return reason


def works() -> bool:
    """Try it on loopback: how a kernel puts the pieces together is nowhere promised."""
    if sys.platform != "linux" or not hasattr(os, "memfd_create"):
        return False
    size = 65464
    try:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
            os.fdopen(os.memfd_create("snowowl"), "wb") as file,
        ):
            receiver.bind(("127.0.0.1", 0))
            receiver.settimeout(0.2)
            octets = bytes(range(251)) * 300
            file.write(octets)
            file.flush()
            for offset, wanted in ((1234, 0), (len(octets) - size + 1, errno.EFAULT), (0, 0)):
                reason = send(sender, receiver.getsockname(), b"head", file.fileno(), offset, size)
                if reason != wanted:
                    return False
                if not reason and receiver.recv(65536) != b"head" + octets[offset : offset + size]:
                    return False
    except OSError:
        return False
    return True
