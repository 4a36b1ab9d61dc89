"""The TFTP server of a trial: snowowl, or a stand-in to find out whose fault a failed trial is.

`SNOWOWL_NETBOOT_SERVER=atftpd` (or `dnsmasq`) runs the same trials against another server: what
fails there too is the client's or the lab's doing. By their own doing fail: atftpd 0.8.0 where
DF must not be set, a folder be refused for good, a window's lost end be sent again in time, or a
block be 8 octets. dnsmasq 2.90 does not know windowsize, and neither takes uploads here.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

ADDRESS = "192.168.77.1"
ADDRESS_V6 = "fd77::1"
ENVIRONMENT = "SNOWOWL_NETBOOT_SERVER"


@attrs.frozen
class ServerCommand:
    """How to start a server, and the pattern on its console that says that it listens."""

    words: Sequence[str]
    ready: str


def _snowowl(root: Path, extra: Sequence[str]) -> ServerCommand:
    listen = ("--listen", f"{ADDRESS}:69", "--listen", f"[{ADDRESS_V6}]:69")
    user = ("--user", "root")  # as the others: the lab's folders are root's
    words = (sys.executable, "-m", "snowowl", "serve", str(root), *user, *listen, *extra)
    return ServerCommand(words, rf"listening on .*{ADDRESS}:69")


def _dnsmasq(root: Path, extra: Sequence[str]) -> ServerCommand:
    # A folder with its own --pid-file and no ports but 69: it runs beside the lab's DHCP server.
    words = ("dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--pid-file=", "--port=0")
    return ServerCommand(
        (*words, "--user=root", "--enable-tftp", f"--tftp-root={root}"), "TFTP root is"
    )


def _atftpd(root: Path, extra: Sequence[str]) -> ServerCommand:
    words = ("atftpd", "--daemon", "--no-fork", "--logfile", "-", "--verbose=7", "--port", "69")
    user = ("--user", "root", "--group", "root", "--bind-address", ADDRESS)
    return ServerCommand((*words, *user, str(root)), "port range:")


_SERVERS: dict[str, Callable[[Path, Sequence[str]], ServerCommand]] = {
    "snowowl": _snowowl,
    "dnsmasq": _dnsmasq,
    "atftpd": _atftpd,
}


def server_name() -> str:
    """Return the name of the server that the trials run against."""
    return os.environ.get(ENVIRONMENT, "snowowl")


def server_command(root: Path, extra: Sequence[str] = ()) -> ServerCommand:
    """Return the command that serves `root`; `extra` are options of `snowowl serve`."""
    return _SERVERS[server_name()](root, extra)


def server_obstacle() -> str:
    """Say why the chosen server cannot run here; empty when it can."""
    name = server_name()
    if name not in _SERVERS:
        return f"{ENVIRONMENT}={name}: must be one of {', '.join(_SERVERS)}"
    return "" if name == "snowowl" or shutil.which(name) else f"{name} is not installed"
