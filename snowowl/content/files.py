"""Files that are being sent: one version of a regular file each, shared by its transfers.

What tells versions apart, and the small files, which are read into memory whole; the large ones are
in `snowowl.content.mapped`.  How files are found is not decided here (`snowowl.content.beneath`),
nor how long they are kept (`snowowl.content.shelf`).
"""

from __future__ import annotations

import os
import stat
import sys
import threading
import time
from typing import Final

from snowowl.content.errors import ContentError, from_os_error
from snowowl.wire import netascii
from snowowl.wire.constants import ErrorCode

SMALL_MAX: Final = 65536
"""Octets up to which a file is read into memory: costs less than a mapping (about 15 us) and its
page faults, and holds no file descriptor."""

_SETTLED_NS: Final = 50_000_000
_SETTLED_COARSE_NS: Final = 2_100_000_000
"""How old the last change must be for (mtime, ctime, size) to tell versions apart: time stamps
move in steps of a tick (up to 10 ms), on some file systems of 1 or 2 seconds."""

_KINDS: Final = {
    stat.S_IFDIR: "directory",
    stat.S_IFIFO: "FIFO",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
    stat.S_IFSOCK: "socket",
}

Identity = tuple[int, int, int, int, int]
"""What tells one version of a file from another: device, inode, mtime and ctime (ns), size.

ctime is in it for files that are rewritten in place and get their old mtime back (rsync -t)."""

_seek_lock = threading.Lock()


def changed(detail: str = "") -> ContentError:
    """Return the error for a file that is not any more what the transfer began with."""
    return ContentError(ErrorCode.NOT_DEFINED, "file changed while it was sent", detail)


def identity(status: os.stat_result) -> Identity:
    """Return the identity of the version that an fstat saw.

    Raises ContentError if it is no regular file.
    """
    if not stat.S_ISREG(status.st_mode):
        raise ContentError(
            ErrorCode.ACCESS_VIOLATION,
            "not a regular file",
            f"it is a {_KINDS.get(stat.S_IFMT(status.st_mode), 'special file')}",
        )
    return (
        status.st_dev,
        status.st_ino,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_size,
    )


def read_at(fd: int, length: int, offset: int) -> bytes:
    """Return up to `length` octets at `offset`, fewer only at the end.  Raises OSError."""
    pieces = []
    while length > 0:
        piece = pread(fd, length, offset)
        if not piece:
            break
        pieces.append(piece)
        offset += len(piece)
        length -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def pread(fd: int, length: int, offset: int) -> bytes:
    """Read some octets at `offset`, none at the end.  Windows has no system call for it."""
    if hasattr(os, "pread"):
        return os.pread(fd, length, offset)
    with _seek_lock:
        os.lseek(fd, offset, os.SEEK_SET)
        return os.read(fd, length)


class SmallFile:
    """One version of a small file, in memory.  It cannot change any more."""

    __slots__ = ("_encoded", "key", "octets", "settled")

    def __init__(self, key: Identity, octets: bytes) -> None:
        self.key = key
        self.octets = octets
        self._encoded: bytes | None = None
        newest_ns = max(key[2], key[3])
        coarse = key[2] % 1_000_000_000 == 0
        # Compared with time stamps of files, so this has to be the wall clock.
        self.settled = time.time_ns() - newest_ns > (_SETTLED_COARSE_NS if coarse else _SETTLED_NS)
        """False: another version may have the same key, so this one may not be found by it."""

    @property
    def encoded(self) -> bytes:
        """The octets in netascii."""
        if self._encoded is None:
            self._encoded = netascii.encode(self.octets)
        return self._encoded


def read_small(fd: int, key: Identity) -> SmallFile:
    """Read a file of at most SMALL_MAX octets.  BLOCKS.  Raises ContentError.

    The fstat before (the key) and the one after must agree, so that no half-written file is sent.
    """
    try:
        for _ in range(3):
            octets = read_at(fd, key[4], 0)
            after = identity(os.fstat(fd))
            if after == key and len(octets) == key[4]:
                return SmallFile(key, octets)
            key = after
            if key[4] > SMALL_MAX:
                break
    except OSError as error:
        raise from_os_error(error, "reading a small file") from error
    raise changed("it does not keep still for long enough to be read")


def read_small_now(fd: int, key: Identity) -> SmallFile | None:
    """Read a small file if it is cached; return None if a disk may be needed.  Never blocks."""
    if sys.platform != "linux":
        return None
    buffer = bytearray(key[4])
    try:
        if buffer and os.preadv(fd, [buffer], 0, os.RWF_NOWAIT) != len(buffer):
            return None
        if identity(os.fstat(fd)) != key:
            return None
    except OSError:  # EAGAIN: not cached; EOPNOTSUPP: a file system without RWF_NOWAIT
        return None
    return SmallFile(key, bytes(buffer))
