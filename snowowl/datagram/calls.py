"""The system calls that Python's socket module does not make, through the C library.

Each returns what the C function does, or -errno: no exception is made for what happens all the time.
"""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Callable
from functools import cache
from typing import Final, NamedTuple

_INT, _POINTER = ctypes.c_int, ctypes.c_void_p
_COUNT = ctypes.c_size_t  # of FreeBSD; the `unsigned int` of Linux is passed in the same way


class Calls(NamedTuple):
    """recvmmsg(fd, headers, count, flags), sendmmsg the same; recvmsg and sendmsg for one header."""

    recvmmsg: Callable[[int, int, int, int], int]
    sendmmsg: Callable[[int, int, int, int], int]
    recvmsg: Callable[[int, int, int], int]
    sendmsg: Callable[[int, int, int], int]


INTERRUPTED: Final = -errno.EINTR


@cache
def load() -> Calls | None:
    """Return the calls, None where the C library has not all of them."""
    try:
        library = ctypes.CDLL(None, use_errno=True)
        receive, send = library.recvmmsg, library.sendmmsg
        receive_one, send_one = library.recvmsg, library.sendmsg
    except (AttributeError, OSError, TypeError):  # TypeError: Windows has no CDLL(None)
        return None
    receive.argtypes = (_INT, _POINTER, _COUNT, _INT, _POINTER)
    send.argtypes = (_INT, _POINTER, _COUNT, _INT)
    receive_one.argtypes = send_one.argtypes = (_INT, _POINTER, _INT)
    receive_one.restype = send_one.restype = ctypes.c_ssize_t
    last_error = ctypes.get_errno

    def recvmmsg(fd: int, headers: int, count: int, flags: int) -> int:
        received: int = receive(fd, headers, count, flags, None)
        return received if received >= 0 else -last_error()

    def sendmmsg(fd: int, headers: int, count: int, flags: int) -> int:
        sent: int = send(fd, headers, count, flags)
        return sent if sent >= 0 else -last_error()

    def recvmsg(fd: int, header: int, flags: int) -> int:
        size: int = receive_one(fd, header, flags)
        return size if size >= 0 else -last_error()

    def sendmsg(fd: int, header: int, flags: int) -> int:
        size: int = send_one(fd, header, flags)
        return size if size >= 0 else -last_error()

    return Calls(recvmmsg, sendmmsg, recvmsg, sendmsg)
