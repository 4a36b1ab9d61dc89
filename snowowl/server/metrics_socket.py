"""The socket that metrics are asked for at: TCP, or a Unix socket with a mode and an end.

It is opened by who will serve, before that is confined.
"""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from typing import Final

import attrs

from snowowl.config.listen import ListenAddress, UnixAddress, parse_metrics_listen
from snowowl.server.errors import MetricsError

UNIX_MODE: Final = 0o660
"""For the server's group: who may read metrics need not be who serves."""

BACKLOG: Final = 16

CONNECT_SECONDS: Final = 1.0
"""To find out whether somebody listens at a Unix socket; the kernel knows at once, unless the
backlog of the other one is full, and then there is another one."""


@attrs.define(eq=False)
class MetricsSocket:
    """A listening socket; owns its path, if it has one."""

    socket: socket.socket
    address: str
    """As people write it, with the port that was bound."""
    _path: str = ""
    _identity: tuple[int, int] | None = None

    def owns(self, path: str) -> None:
        """Take the path away in the end.  Raises OSError."""
        self._path, self._identity = path, _identity(path)

    def close(self) -> None:
        """Close it, and take its path away unless that is another's by now.  Idempotent."""
        self.socket.close()
        path, self._path = self._path, ""
        with suppress(OSError):  # who has become another user may have no right to
            if path and _identity(path) == self._identity:
                os.unlink(path)  # noqa: PTH108 - as it was bound


def open_metrics_socket(listen: str) -> MetricsSocket:
    """Listen where `metrics.listen` says.  Raises MetricsError."""
    address = parse_metrics_listen(listen)
    try:
        if isinstance(address, UnixAddress):
            return _open_unix(address.path)
        return _open_tcp(address)
    except OSError as error:
        raise MetricsError(listen, error.strerror or str(error)) from error


def _open_tcp(address: ListenAddress) -> MetricsSocket:
    if not address.host:
        both = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if both else socket.AF_INET
        target: tuple[object, ...] = ("", address.port)
    else:
        both = False
        ((family, _, _, _, target), *_) = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
        )
    sock = socket.create_server(target, family=family, backlog=BACKLOG, dualstack_ipv6=both)
    return MetricsSocket(sock, str(attrs.evolve(address, port=sock.getsockname()[1])))


def _open_unix(path: str) -> MetricsSocket:
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    opened = MetricsSocket(sock, str(UnixAddress(path)))
    try:
        # Before it is bound: it must not be there with more than this for a moment.
        os.fchmod(sock.fileno(), UNIX_MODE)
        sock.bind(path)
        opened.owns(path)
        os.chmod(path, UNIX_MODE)  # noqa: PTH101 - what umask took away
        sock.listen(BACKLOG)
    except OSError:
        opened.close()
        raise
    return opened


def _remove_stale(path: str) -> None:
    """Take away what a server that was killed has left.  Raises OSError if it is anything else."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(0, "there is a file of that name that is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(CONNECT_SECONDS)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)  # noqa: PTH108 - as it is bound
            return
        except TimeoutError:
            pass
    raise OSError(0, "another process listens there")


def _identity(path: str) -> tuple[int, int]:
    found = os.lstat(path)
    return found.st_dev, found.st_ino
