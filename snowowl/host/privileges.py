"""Giving up what root may do: another user, no capabilities, nothing gained by execve; for good.

Credentials belong to a thread, and only some of these calls reach all threads of a process: call
from the only thread, before others are started, which inherit.

What was done is checked afterwards by trying to take it back.  A server that believes itself to be
unprivileged and is not would be worse than one that does not start.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from snowowl.host.calls import capget, capset, prctl
from snowowl.host.identity import ROOT, Identity

# include/uapi/linux/prctl.h
_PR_CAPBSET_DROP: Final = 24
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4

_CAPABILITY_VERSION_3: Final = 0x20080522  # include/uapi/linux/capability.h
_CAPABILITY_HEADER: Final = struct.Struct("=Ii")
_CAPABILITY_SETS: Final = struct.Struct("=6I")
_CAPABILITIES_MAX: Final = 64
"""What the sets have room for; the kernel says EINVAL past the last that it knows."""

_LINUX: Final = sys.platform == "linux"
_STATUS: Final = Path("/proc/self/status")


class PrivilegeError(Exception):
    """Privileges cannot be given up, or came back; the text says what to do."""


def become(identity: Identity) -> None:
    """Become another user for good, with one group only.  Needs root.  Raises PrivilegeError."""
    with suppress(OSError):  # without CAP_SETPCAP; then what is left in it does no harm: see below
        for number in range(_CAPABILITIES_MAX):
            prctl(_PR_CAPBSET_DROP, number)
    try:
        os.setgroups([identity.gid])
        if hasattr(os, "setresgid"):
            os.setresgid(identity.gid, identity.gid, identity.gid)
            os.setresuid(identity.uid, identity.uid, identity.uid)
        else:  # macOS: root sets all three at once by these
            os.setgid(identity.gid)
            os.setuid(identity.uid)
    except OSError as error:
        raise PrivilegeError(_why_not(identity, error)) from error


def _why_not(identity: Identity, error: OSError) -> str:
    who = f"cannot become user {identity.user} (uid {identity.uid}, gid {identity.gid})"
    if error.errno == errno.EINVAL:
        return (
            f"{who}: this user namespace has no such user; map more of them (/etc/subuid), or let"
            ' the root of this namespace serve by server.user = "root"'
        )
    if error.errno == errno.EPERM:
        return (
            f"{who}: root lacks CAP_SETUID and CAP_SETGID here; grant them, start the server as that"
            ' user, or let it stay root by server.user = "root"'
        )
    return f"{who}: {error.strerror}"


def renounce() -> None:
    """Give up all capabilities, and all that programs could gain by being executed.

    Raises OSError where the system has no such thing, or refuses.
    """
    prctl(_PR_SET_NO_NEW_PRIVS, 1)
    with suppress(OSError):  # before Linux 4.3 there were no ambient ones
        prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    header = ctypes.create_string_buffer(_CAPABILITY_HEADER.pack(_CAPABILITY_VERSION_3, 0))
    sets = ctypes.create_string_buffer(_CAPABILITY_SETS.size)  # nothing but zeros
    try:
        capset(ctypes.addressof(header), ctypes.addressof(sets))
    except OSError:  # systemd's ~@privileged forbids it: no harm where there is nothing to give up
        capget(ctypes.addressof(header), ctypes.addressof(sets))
        if any(_CAPABILITY_SETS.unpack(sets.raw[: _CAPABILITY_SETS.size])):
            raise


def set_no_new_privileges() -> None:
    """Let nothing be gained by execve: no set-user-ID, no file capabilities.  Raises OSError."""
    prctl(_PR_SET_NO_NEW_PRIVS, 1)


def verify(identity: Identity) -> None:
    """Try to come back; raise PrivilegeError if anything of that works."""
    if _LINUX:
        _verify_status(identity)
    elif (os.getuid(), os.geteuid(), os.getgid(), os.getegid()) != (
        identity.uid,
        identity.uid,
        identity.gid,
        identity.gid,
    ):
        raise PrivilegeError(f"became user {identity.user} in part only: please report this")
    if identity.uid == ROOT:
        return
    for name in ("setuid", "seteuid", "setreuid", "setresuid"):
        call = getattr(os, name, None)
        arguments = {"setreuid": (ROOT, ROOT), "setresuid": (ROOT, ROOT, ROOT)}.get(name, (ROOT,))
        if call is None:
            continue
        with suppress(OSError):
            call(*arguments)
            raise PrivilegeError(f"root comes back by {name}(0): please report this")


def _verify_status(identity: Identity) -> None:
    """Compare with what the kernel says of this process."""
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError as error:  # no /proc in this container
        if (os.getresuid(), os.getresgid()) != ((identity.uid,) * 3, (identity.gid,) * 3):
            raise PrivilegeError(f"became user {identity.user} in part only") from error
        return
    status = {key: value.split() for key, _, value in (line.partition(":") for line in lines)}
    expected = {"Uid": [str(identity.uid)] * 4, "Gid": [str(identity.gid)] * 4}
    for key in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        expected[key] = ["0" * 16]
    expected["NoNewPrivs"] = ["1"]
    for key, value in expected.items():
        if key in status and status[key] != value:
            raise PrivilegeError(
                f"privileges were not given up: {key} is {' '.join(status[key])}; please report this"
            )
