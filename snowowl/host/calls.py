"""System calls that Python does not make: prctl(2), and others by their number, through the C library.

Each raises OSError for what the kernel refuses, and where there is no such call.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from functools import cache
from typing import Final

_LINUX: Final = sys.platform == "linux"


@cache
def _library() -> ctypes.CDLL:
    """Load the C library.  Raises OSError where it has not what is wanted."""
    if not _LINUX:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    try:
        library = ctypes.CDLL(None, use_errno=True)
        library.syscall.restype = ctypes.c_long
        library.prctl.restype = library.capset.restype = library.capget.restype = ctypes.c_int
    except AttributeError:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from None
    return library


def prctl(option: int, *arguments: int) -> int:
    """Control this process (prctl(2)); what is not given is 0, as most options insist on.  Raises OSError."""
    padded = [*arguments, 0, 0, 0, 0][:4]
    result: int = _library().prctl(option, *map(ctypes.c_ulong, padded))
    return _checked(result)


def capset(header: int, sets: int) -> None:
    """Set the capabilities of this thread; takes two addresses.  Raises OSError."""
    result: int = _library().capset(ctypes.c_void_p(header), ctypes.c_void_p(sets))
    _checked(result)


def capget(header: int, sets: int) -> None:
    """Fetch the capabilities of this thread; takes two addresses.  Raises OSError."""
    result: int = _library().capget(ctypes.c_void_p(header), ctypes.c_void_p(sets))
    _checked(result)


def syscall(number: int, *arguments: int) -> int:
    """Make a system call; an address is a number here, too.  Raises OSError."""
    result: int = _library().syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments))
    return _checked(result)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
