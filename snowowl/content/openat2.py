"""Resolution beneath a directory by openat2(2): Linux 5.6 and up, one system call a name.

The kernel does the whole confinement (RESOLVE_BENEATH), atomically.  Nothing here looks at the
path, but for a NUL, where C would end it.  The call is made by ctypes, as no Python has it.
"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Final

from snowowl.content.walk import open_beneath, os_error

_SYSCALL: Final = 437
"""openat2's number on every architecture but alpha and mips, where this is ENOSYS."""

_RESOLVE_NO_MAGICLINKS: Final = 0x02  # include/uapi/linux/openat2.h
_RESOLVE_BENEATH: Final = 0x08  # refuses magic links too, but openat2(2) does not promise that
_RESOLVE_CACHED: Final = 0x20  # Linux 5.12

_RETRIES_MAX: Final = 64
"""EAGAIN means that a rename anywhere on the machine raced with a `..` in a link (openat2(2));
64 in a row were never seen with a thread that renames as quickly as it can."""


_OpenHow = ctypes.c_uint64 * 3
"""struct open_how: flags, mode, resolve."""

_HOW_SIZE: Final = ctypes.sizeof(_OpenHow)


class Openat2:
    """Opens beneath the directory `root_fd`, which it borrows.

    Raises OSError (ENOSYS, EPERM from a seccomp filter) when made where there is no openat2.
    """

    def __init__(self, root_fd: int) -> None:
        self._root_fd = root_fd
        # CDLL lets go of the GIL, for calls that may wait for a disk.  PyDLL keeps it: letting go
        # means waiting for it again, up to 5 ms beside a busy thread, for a call of 2 us.
        self._waiting = ctypes.CDLL(None, use_errno=True)["syscall"]
        self._instant = ctypes.PyDLL(None, use_errno=True)["syscall"]
        for function in (self._waiting, self._instant):
            function.restype = ctypes.c_long
            function.argtypes = (
                ctypes.c_long,
                ctypes.c_int,
                ctypes.c_char_p,
                ctypes.c_void_p,
                ctypes.c_size_t,
            )
        # The structures are made once for each combination; their addresses go into the call.
        self._hows: dict[tuple[int, int, int], tuple[ctypes.Array[ctypes.c_uint64], int]] = {}
        self._knows_cached = True
        directory = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
        os.close(self.open(b".", directory))
        fd = self.open_cached(b".", directory)
        if fd is not None:
            os.close(fd)

    def open(self, path: bytes, flags: int, mode: int = 0) -> int:
        """Open `path` and return the file descriptor.  Raises OSError: EXDEV for an escape."""
        how = self._how(flags, mode, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS)
        for _ in range(_RETRIES_MAX):
            fd: int = self._waiting(_SYSCALL, self._root_fd, path, how, _HOW_SIZE)
            if fd >= 0:
                return fd
            number = ctypes.get_errno()
            if number not in (errno.EAGAIN, errno.EINTR):
                raise os_error(number)
        return open_beneath(self._root_fd, path.split(b"/"), flags, mode)

    def open_cached(self, path: bytes, flags: int) -> int | None:
        """Open `path` if the kernel can without waiting; return None if it cannot.

        An error that is certain already is raised: OSError, as of `open`.
        """
        if not self._knows_cached:
            return None
        how = self._how(flags, 0, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS | _RESOLVE_CACHED)
        fd: int = self._instant(_SYSCALL, self._root_fd, path, how, _HOW_SIZE)
        if fd >= 0:
            return fd
        number = ctypes.get_errno()
        if number in (errno.EAGAIN, errno.EINTR):
            return None
        if number == errno.EINVAL:  # Linux before 5.12; the constructor finds out
            self._knows_cached = False
            return None
        raise os_error(number)

    def _how(self, flags: int, mode: int, resolve: int) -> int:
        """Return the address of the `struct open_how` with these values."""
        key = (flags, mode, resolve)
        known = self._hows.get(key)
        if known is None:
            how = _OpenHow(flags, mode, resolve)
            known = self._hows[key] = (how, ctypes.addressof(how))
        return known[1]
