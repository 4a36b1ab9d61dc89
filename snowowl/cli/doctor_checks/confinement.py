"""What the kernel can keep the server to, and how much it lets it have."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from typing import Final

from snowowl.cli.doctor_checks.finding import Finding, Subject, note, ok, warn

_LANDLOCK_CREATE_RULESET: Final = 444  # the same number on every architecture
_LANDLOCK_VERSION: Final = 1  # LANDLOCK_CREATE_RULESET_VERSION, include/uapi/linux/landlock.h
_DESCRIPTORS_SPARE: Final = 64


def landlock_abi() -> int:
    """Return the version of Landlock that the kernel has, 0 if none."""
    if sys.platform != "linux":
        return 0
    try:
        syscall = ctypes.CDLL(None, use_errno=True).syscall
    except (OSError, AttributeError):
        return 0
    syscall.restype = ctypes.c_long
    size, flags = ctypes.c_size_t(0), ctypes.c_uint(_LANDLOCK_VERSION)
    version: int = syscall(ctypes.c_long(_LANDLOCK_CREATE_RULESET), None, size, flags)
    return max(0, version)


def confinement(subject: Subject) -> Iterator[Finding]:
    """Say whether the kernel can confine the server."""
    machine = subject.machine
    wanted = subject.config.server.landlock
    abi = landlock_abi()
    if abi and wanted:
        yield ok("landlock", f"version {abi}: the kernel keeps the server to its files")
    elif abi:
        yield note("landlock", "the kernel has it, and server.landlock turns it off")
    elif wanted:
        yield note(
            "landlock",
            "the kernel has it not, or a container forbids it: the server is not kept to its files",
            "add landlock to lsm= on the kernel's command line (Linux 5.13 and later)",
        )
    privileges = machine.status("NoNewPrivs")
    if privileges:
        on = privileges == "1"
        yield ok("privileges", "no_new_privs is set" if on else "no_new_privs is not set yet")


def descriptors(subject: Subject) -> Iterator[Finding]:
    """Compare the limit of descriptors with those that the configuration may need."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    config = subject.config
    # An upload holds its temporary file, its folder, and a duplicate while it is written.
    needed = config.limits.open_files_max + 2 * config.limits.uploads_max + _DESCRIPTORS_SPARE
    if config.server.tid == "own":
        needed += config.limits.transfers_max
    if hard not in (resource.RLIM_INFINITY, -1) and hard < needed:
        yield warn(
            "descriptors",
            f"{hard} may be open (RLIMIT_NOFILE), and limits lets the server have {needed}",
            f"LimitNOFILE={needed} in its unit, ulimit -Hn {needed}, or lower limits.open_files_max"
            ' (and limits.transfers_max with tid = "own")',
        )
    else:
        yield ok("descriptors", f"{_count(hard)} may be open ({_count(soft)} before the start)")


def _count(number: int) -> str:
    return "any number" if number < 0 else str(number)


def activation(subject: Subject) -> Iterator[Finding]:
    """Say what systemd gives to this process."""
    environ = subject.machine.environ
    if "LISTEN_FDS" in environ:
        mine = environ.get("LISTEN_PID") == str(os.getpid())
        whose = "for this process" if mine else f"for process {environ.get('LISTEN_PID', '?')}"
        yield note(
            "systemd", f"sockets are handed over (LISTEN_FDS={environ['LISTEN_FDS'][:5]}) {whose}"
        )
    elif "NOTIFY_SOCKET" in environ:
        yield ok("systemd", "it waits to be told of readiness (NOTIFY_SOCKET)")
    else:
        yield ok("systemd", "no sockets are handed over: the server binds its own")
