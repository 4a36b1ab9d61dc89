"""Landlock (Linux 5.13): a process gives up all of the file system but some folders, for good.

All rights that the kernel knows, and this module too, are taken; rules give some back, for what lies
beneath a folder.  What is open already stays open.  Paths may be walked through, and looked at by
stat, without any right.  A thread confines itself and what it starts: call before there are others.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
from collections.abc import Iterable
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Final

import attrs

from snowowl.host.calls import prctl, syscall

# The same numbers on all architectures but alpha (include/uapi/asm-generic/unistd.h).
_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446

# include/uapi/linux/landlock.h
_CREATE_RULESET_VERSION: Final = 1
_RULE_PATH_BENEATH: Final = 1
_RULE_NET_PORT: Final = 2
_RULESET: Final = struct.Struct("=QQQ")
"""Rights to files, rights to ports, scopes.  An older kernel knows the first ones, and takes more as
long as they are 0."""
_PATH_BENEATH: Final = struct.Struct("=Qi")
_NET_PORT: Final = struct.Struct("=QQ")

EXECUTE: Final = 1 << 0
WRITE_FILE: Final = 1 << 1
READ_FILE: Final = 1 << 2
READ_DIR: Final = 1 << 3
REMOVE_FILE: Final = 1 << 5
MAKE_REG: Final = 1 << 8
MAKE_SOCK: Final = 1 << 9
REFER: Final = 1 << 13
TRUNCATE: Final = 1 << 14

_FILE_RIGHTS: Final = {1: (1 << 13) - 1, 2: REFER, 3: TRUNCATE, 5: 1 << 15}
"""Which came with which version; the last is ioctl on devices."""
_BIND_TCP: Final = 1 << 0
_PORT_RIGHTS: Final = {4: _BIND_TCP | 1 << 1}
"""To bind, and to connect, by TCP.  UDP is not restricted by any version so far."""
_SCOPES: Final = {6: 1 << 0 | 1 << 1}
"""Abstract Unix sockets of others, and signals to others.  What is connected before stays so."""

_OF_FILES: Final = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | 1 << 15
"""What a rule for anything but a folder may hold; else EINVAL."""

_PR_SET_NO_NEW_PRIVS: Final = 38


class LandlockError(Exception):
    """A process cannot be confined; the text says why."""


class Access(Enum):
    """What may be done beneath a folder."""

    READ = READ_FILE | READ_DIR
    """To load shared libraries, too; nothing can be executed."""
    APPEND = WRITE_FILE | MAKE_REG
    """Open files for writing, also new ones; nothing may be cut short, removed or renamed."""
    WRITE = READ_FILE | READ_DIR | WRITE_FILE | MAKE_REG | REMOVE_FILE | REFER | TRUNCATE
    """All that replaces one file by another; no folders, links, sockets or devices are made."""
    SOCKET = MAKE_SOCK | REMOVE_FILE
    DEVICE = READ_FILE | WRITE_FILE


@attrs.frozen
class Rule:
    """A path, and what may be done beneath it.  One that does not exist gives nothing."""

    path: Path
    access: Access


def abi() -> int:
    """Return the version of Landlock here.  Raises LandlockError if there is none."""
    try:
        return syscall(_CREATE_RULESET, 0, 0, _CREATE_RULESET_VERSION)
    except OSError as error:
        raise LandlockError(_why_not(error)) from error


def _why_not(error: OSError) -> str:
    if error.errno == errno.EOPNOTSUPP:
        return "it is switched off at boot (the kernel's lsm= wants landlock)"
    if error.errno == errno.ENOSYS:
        return "this kernel has none, or the container's seccomp filter denies it"
    return str(error.strerror)


def restrict(rules: Iterable[Rule], *, bind_ports: Iterable[int] = ()) -> int:
    """Confine this process to the rules; return the version of Landlock that does it.

    TCP ports may be bound only if they are in `bind_ports`, where the kernel can tell (version 4).
    Sets no_new_privs.  Raises LandlockError, and has confined nothing then.
    """
    version = abi()
    files, ports, scopes = (
        _known(table, version) for table in (_FILE_RIGHTS, _PORT_RIGHTS, _SCOPES)
    )
    try:
        attributes = ctypes.create_string_buffer(_RULESET.pack(files, ports, scopes), _RULESET.size)
        ruleset = syscall(_CREATE_RULESET, ctypes.addressof(attributes), _RULESET.size, 0)
        try:
            for rule in rules:
                _add_path(ruleset, rule, files)
            if ports:
                for port in bind_ports:
                    _add_rule(ruleset, _RULE_NET_PORT, _NET_PORT.pack(_BIND_TCP, port))
            prctl(_PR_SET_NO_NEW_PRIVS, 1)
            syscall(_RESTRICT_SELF, ruleset, 0)
        finally:
            os.close(ruleset)
    except OSError as error:
        raise LandlockError(_why_not(error)) from error
    return version


def _known(table: dict[int, int], version: int) -> int:
    """Return all rights of a table that this version of Landlock has."""
    return sum(rights for since, rights in table.items() if since <= version)


def _add_path(ruleset: int, rule: Rule, handled: int) -> None:
    """Give access beneath a path, if it exists.  Raises OSError."""
    with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        fd = os.open(rule.path, os.O_PATH | os.O_CLOEXEC)
        try:
            rights = rule.access.value & handled
            if not stat.S_ISDIR(os.fstat(fd).st_mode):
                rights &= _OF_FILES
            if rights:
                _add_rule(ruleset, _RULE_PATH_BENEATH, _PATH_BENEATH.pack(rights, fd))
        finally:
            os.close(fd)


def _add_rule(ruleset: int, kind: int, packed: bytes) -> None:
    attributes = ctypes.create_string_buffer(packed, len(packed))
    syscall(_ADD_RULE, ruleset, kind, ctypes.addressof(attributes), 0)
