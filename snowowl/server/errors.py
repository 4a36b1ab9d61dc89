"""Why a server cannot start, in words that say what to do."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

from snowowl.host.identity import user_name

_PRIVILEGED_PORTS: Final = 1024


class ListenError(OSError):
    """An address cannot be listened on."""

    def __init__(self, listen: str, port: int, error: OSError) -> None:
        super().__init__(error.errno, f"cannot listen on {listen}: {_listen_advice(port, error)}")
        self.listen = listen

    def __str__(self) -> str:
        return str(self.strerror)


class RootError(OSError):
    """The folder to serve cannot be opened."""

    def __init__(self, root: Path, error: OSError) -> None:
        super().__init__(error.errno, f"cannot serve {root}: {_root_advice(root, error)}")
        self.root = root

    def __str__(self) -> str:
        return str(self.strerror)


class WorkerError(Exception):
    """A worker process cannot start, and says why."""


class MetricsError(OSError):
    """The metrics cannot be told where `metrics.listen` says; says what to do."""

    def __init__(self, listen: str, reason: str) -> None:
        super().__init__(
            f"cannot tell metrics at {listen} (metrics.listen): {reason};"
            " give another address, or take the key out"
        )


def _listen_advice(port: int, error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM) and port < _PRIVILEGED_PORTS:
        return (
            f"port {port} needs CAP_NET_BIND_SERVICE: start as root, grant the capability"
            " (systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE), or listen on a high port,"
            " as with --listen '*:6969'"
        )
    if error.errno == errno.EADDRINUSE:
        return (
            "another server has this port (`ss -lunp` tells which; tftpd-hpa, atftpd and dnsmasq"
            " are the usual ones)"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return "no interface of this machine has this address (`ip address` lists them)"
    return f"{error.strerror or error}"


def _root_advice(root: Path, error: OSError) -> str:
    if error.errno == errno.ENOENT:
        return "no such directory; create it, or name another one"
    if error.errno == errno.ENOTDIR:
        return "it is not a directory; name the folder that holds the files"
    if error.errno == errno.EACCES:
        return f"permission denied; {_who_must_enter(root)}"
    return f"{error.strerror or error}"


def _who_must_enter(root: Path) -> str:
    """Say who is kept out, and by which folder, as far as that can be seen."""
    if not hasattr(os, "geteuid"):
        return "the server's user must be allowed to enter and read it"
    user = user_name(os.geteuid())
    path = Path(os.path.abspath(root))  # noqa: PTH100 - a missing working directory is no reason to fail
    for folder in reversed((path, *path.parents)):
        if not os.access(folder, os.X_OK):
            return (
                f"user {user} must be allowed to enter {folder} (chmod o+x {folder}); or serve a"
                " folder elsewhere, or name another user by server.user (--user)"
            )
    return (
        f"user {user} must be allowed to enter and read it; or name another by server.user (--user)"
    )
