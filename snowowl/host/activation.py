"""Sockets that systemd opened for us (sd_listen_fds(3)): ListenDatagram= in a socket unit.

They outlive the process: what arrives while a server is restarted waits in them for the next one.
"""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping
from typing import Final

FIRST: Final = 3
"""SD_LISTEN_FDS_START."""

SOCKETS_MAX: Final = 4096
"""More than any unit lists: 256 workers with 16 addresses."""


class ActivationError(Exception):
    """What was passed cannot be served by; the text names the line of the unit to change."""


def take(environ: MutableMapping[str, str]) -> list[socket.socket]:
    """Return the UDP sockets that were passed to this process, in the order of the socket unit.

    The variables are taken out of the environment, so that no child believes that they are for it.
    Raises ActivationError; what was passed is closed then.
    """
    pid, count = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
    names = environ.pop("LISTEN_FDNAMES", "").split(":")
    if pid != str(os.getpid()) or not count:
        return []
    is_number = count.isascii() and count.isdecimal() and len(count) <= 9
    if not is_number or int(count) > SOCKETS_MAX:
        raise ActivationError(f"LISTEN_FDS={count[:20]!r} is not a number of sockets")
    sockets: list[socket.socket] = []
    try:
        for index in range(int(count)):
            name = names[index] if index < len(names) else ""
            sockets.append(_take(FIRST + index, name))
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def _take(descriptor: int, name: str) -> socket.socket:
    """Make a socket of a descriptor.  Raises ActivationError."""
    which = f"descriptor {descriptor}" + (f" ({name})" if name else "")
    try:
        os.set_inheritable(descriptor, False)
        sock = socket.socket(fileno=descriptor)
    except OSError as error:
        raise ActivationError(
            f"{which} is not a socket ({error.strerror}): the socket unit may hold nothing but"
            " ListenDatagram="
        ) from error
    if sock.family not in (socket.AF_INET, socket.AF_INET6) or sock.type != socket.SOCK_DGRAM:
        sock.close()
        raise ActivationError(
            f"{which} is no UDP socket: the socket unit must say ListenDatagram= with a port, as in"
            " ListenDatagram=69, not ListenStream= or a path"
        )
    if sock.getsockname()[1] == 0:
        sock.close()
        raise ActivationError(
            f"{which} is not bound to a port: see ListenDatagram= in the socket unit"
        )
    sock.setblocking(False)
    return sock
