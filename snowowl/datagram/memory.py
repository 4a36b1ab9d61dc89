"""Where octets lie: what a system call is told that Python's socket module does not make.

The only module that looks behind Python's objects.  It reads no octet and writes none.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from typing import Final

Buffer = bytes | bytearray | memoryview

KNOWN: Final = sys.implementation.name == "cpython"
"""Whether this Python tells where its octets are."""

_SIMPLE: Final = 0  # PyBUF_SIMPLE: one piece of octets
_WORDS: Final = 16
"""Pointers' worth of space for a `Py_buffer`, which has 11 (stable ABI since CPython 3.11)."""


def address_of(octets: Buffer) -> int:
    """Return the address of the first octet; it holds for as long as `octets` is held.

    Unlike ctypes' own `from_buffer` this also works for what is read-only, such as a mapped file.
    0 if there is no octet, or where Python does not tell (see `KNOWN`).
    """
    if not KNOWN or not len(octets):
        return 0
    buffer = (ctypes.c_void_p * _WORDS)()  # its first member is the pointer
    api = ctypes.pythonapi
    api.PyObject_GetBuffer(ctypes.py_object(octets), buffer, _SIMPLE)
    address = buffer[0] or 0
    api.PyBuffer_Release(buffer)
    return address


def arena(size: int) -> memoryview:
    """Return octets to receive into, all of them zero.  Raises OSError.

    Mapped, not a bytearray, which writes its zeros: of 10 000 sockets (`tid = "own"`) that is
    2.6 GB, while nearly all of them receive nothing but ACKs and touch a single page.
    """
    if sys.platform == "win32":  # pragma: no cover - only Linux is tested
        return memoryview(bytearray(size))
    return memoryview(mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
