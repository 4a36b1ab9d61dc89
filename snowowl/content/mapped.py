"""Large files that are being sent: one mapping for all transfers of a version.

What is mapped, and for how long, is decided elsewhere (`snowowl.content.store`, `shelf`).

## Hazard: SIGBUS

Touching a mapped page that lies behind the end of a file which was truncated meanwhile kills the
process.  So Python never touches the mapping: its views go to `sendmsg`, where the kernel copies
and answers EFAULT instead.  No slice of a view is ever compared, hashed, joined or converted, and
whatever must be *read* is read by `pread`.

## Ready extents

Nothing that the event loop does may wait for a disk, so a range is looked at before it is sent:
extent by extent, once for each shared file.  A page can be evicted again after that, and then the
`sendmsg` waits for the disk after all.  That is accepted: it takes memory pressure within the short
life of an open file, and asking again for each window would cost more than it saves.
"""

from __future__ import annotations

import errno
import mmap
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Literal

import attrs

from snowowl.content.errors import ContentError, from_os_error
from snowowl.content.files import Identity, changed, pread, read_at
from snowowl.content.source import Whole
from snowowl.wire.constants import ErrorCode

EXTENT_BITS: Final = 20
EXTENT: Final = 1 << EXTENT_BITS
"""Octets that are made ready at once.  Asking whether 1 MiB is cached takes 20 to 150 us, a quarter
of what sending it takes at most, and is done once; a thread costs as much, plus the disk."""

_ADVICE: Final = 128 * 1024
"""Octets of one WILLNEED: Linux reads no more than the device's read-ahead (128 KiB by default) for
one call, however long the range (mm/readahead.c, force_page_cache_ra)."""

_ADVICES: Final = {
    access: getattr(os, f"POSIX_FADV_{access.upper()}", 0)
    for access in ("normal", "sequential", "random")
}

_SCRATCH: Final = bytearray(EXTENT)
"""Where octets go that are read only to have them cached.  Nobody looks at it, so that threads may
write over each other here."""


@attrs.frozen(kw_only=True)
class FileHints:
    """What the kernel is told about how files are read."""

    read_ahead: int = 4 * EXTENT
    """Octets that the kernel is asked to read behind a loaded range, so that a quick reader of a
    slow disk finds the next extents cached and needs no thread for each."""
    access: Literal["normal", "sequential", "random"] = "sequential"


class MappedFile:
    """One version of a large file, mapped.  Owns the file descriptor from its construction on.

    `users` and `idle_since` belong to the shelf.  Raises ContentError if it cannot be mapped; the
    file descriptor is then still the caller's.
    """

    def __init__(self, fd: int, key: Identity, hints: FileHints | None = None) -> None:
        self.key = key
        self._hints = hints or FileHints()
        self.size = key[4]
        self.users = 0
        self.idle_since = 0.0
        self._view = memoryview(_map(fd, self.size, self._hints.access))
        self.whole = Whole(self._view, self)
        self._fd = fd
        self._ready: set[int] = set()
        if hasattr(os, "posix_fadvise"):
            with suppress(OSError):  # a sandbox may forbid it, and it is only a wish
                os.posix_fadvise(fd, 0, 0, _ADVICES[self._hints.access])
        self._can_probe = sys.platform == "linux"

    def close(self) -> None:
        """Let go of the file.  Views that were handed out keep the mapping alive.  Idempotent."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            self._view = memoryview(b"")
            self.whole = Whole(self._view, None)
            os.close(fd)

    def fileno(self) -> int:
        """Return the file descriptor, -1 once it is closed."""
        return self._fd

    def view(self, offset: int, length: int) -> memoryview:
        """Return a view of the mapping, for `sendmsg` only."""
        return self._view[offset : offset + length]

    def ready(self, offset: int, length: int) -> bool:
        """Tell whether this range was loaded, or is found cached now.  Never blocks."""
        known = self._ready
        for extent in self._extents(offset, length):
            if extent not in known:
                if not self._cached(extent):
                    return False
                known.add(extent)
        return True

    def load(self, offset: int, length: int) -> None:
        """Read this range, so that it is cached, and have the kernel read on.  BLOCKS.

        No madvise(MADV_POPULATE_READ): it keeps the GIL for its whole run, 45 ms and more.
        Raises ContentError.
        """
        self.check()
        extents = self._extents(offset, length)
        try:
            self._advise(extents.start << EXTENT_BITS, extents.stop << EXTENT_BITS)
            for extent in extents:
                if extent not in self._ready:
                    self._read(extent)
                    self._ready.add(extent)
        except OSError as error:
            raise from_os_error(error, "reading a file") from error

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` octets by reading, not through the mapping.  BLOCKS.

        Raises ContentError, also if there are fewer octets.
        """
        try:
            octets = read_at(self._fd, length, offset)
        except OSError as error:
            raise from_os_error(error, "reading a file") from error
        if len(octets) != length:
            raise changed("it was truncated")
        return octets

    def check(self) -> None:
        """Raise ContentError if the file has changed since it was opened.

        ctime is left out here: it moves when the file is replaced by a rename, and who reads the
        replaced version goes on with it.
        """
        try:
            status = os.fstat(self._fd)
        except OSError as error:
            raise from_os_error(error, "looking at a file") from error
        if (status.st_mtime_ns, status.st_size) != (self.key[2], self.size):
            raise changed(
                f"mtime {self.key[2]} -> {status.st_mtime_ns} ns, size {self.size} -> {status.st_size}"
            )

    def _extents(self, offset: int, length: int) -> range:
        stop = min(offset + length, self.size)
        return range(offset >> EXTENT_BITS, (stop + EXTENT - 1) >> EXTENT_BITS)

    def _cached(self, extent: int) -> bool:
        if not self._can_probe:
            return False
        start = extent << EXTENT_BITS
        needed = min(EXTENT, self.size - start)
        try:
            return os.preadv(self._fd, [_SCRATCH], start, os.RWF_NOWAIT) >= needed
        except OSError as error:
            if error.errno != errno.EAGAIN:  # EOPNOTSUPP: tmpfs, for one
                self._can_probe = False
            return False

    def _advise(self, start: int, stop: int) -> None:
        if not hasattr(os, "posix_fadvise"):
            return
        with suppress(OSError):  # as above
            for offset in range(start, min(stop + self._hints.read_ahead, self.size), _ADVICE):
                os.posix_fadvise(self._fd, offset, _ADVICE, os.POSIX_FADV_WILLNEED)

    def _read(self, extent: int) -> None:
        offset = extent << EXTENT_BITS
        stop = min(offset + EXTENT, self.size)
        while offset < stop:
            if hasattr(os, "preadv"):
                count = os.preadv(self._fd, [_SCRATCH], offset)
            else:
                count = len(pread(self._fd, stop - offset, offset))
            if count == 0:
                raise changed("it was truncated")
            offset += count


def _map(fd: int, size: int, access: str) -> mmap.mmap:
    """Map a file for reading.  Raises ContentError."""
    try:
        try:
            mapping = _mmap(fd, size, private=False)
        except OSError as error:
            # Some network file systems (9p, FUSE with direct I/O) know private mappings only.
            if error.errno != errno.ENODEV or sys.platform == "win32":
                raise
            mapping = _mmap(fd, size, private=True)
    except ValueError:  # shorter by now than the size that fstat gave
        raise changed("it was truncated") from None
    except OverflowError:
        raise ContentError(
            ErrorCode.NOT_DEFINED,
            "server is out of resources, try again",
            "the file is larger than the address space",
        ) from None
    except OSError as error:
        if error.errno == errno.ENODEV:  # not the missing device that it means elsewhere
            raise ContentError(
                ErrorCode.NOT_DEFINED, "input or output error", "the file cannot be mapped"
            ) from error
        raise from_os_error(error, "mapping a file") from error
    if hasattr(mapping, "madvise"):
        with suppress(OSError):  # as above
            mapping.madvise(getattr(mmap, f"MADV_{access.upper()}"))
    return mapping


def _mmap(fd: int, size: int, *, private: bool) -> mmap.mmap:
    if sys.platform == "win32":  # pragma: no cover - only Linux is tested
        return mmap.mmap(fd, size, access=mmap.ACCESS_READ)
    flags = mmap.MAP_PRIVATE if private else mmap.MAP_SHARED
    if sys.version_info >= (3, 13):  # pragma: no cover - one of the two on each version
        # Before 3.13 a mapping keeps a duplicate of the file descriptor, for its resize().
        return mmap.mmap(fd, size, flags, mmap.PROT_READ, trackfd=False)
    return mmap.mmap(fd, size, flags, mmap.PROT_READ)  # pragma: no cover - as above


class FileSource:
    """A transfer's hold on a mapped file."""

    __slots__ = ("_file", "_release", "check", "load", "ready", "size", "view", "whole")

    extent = EXTENT

    def __init__(self, file: MappedFile, release: Callable[[MappedFile], None]) -> None:
        self._file: MappedFile | None = file
        self._release = release
        self.size = file.size
        self.whole = file.whole
        # Bound once: a transfer calls them for each window.
        self.ready = file.ready
        self.load = file.load
        self.view = file.view
        self.check = file.check

    def close(self) -> None:
        """Give the file back.  Idempotent."""
        file, self._file = self._file, None
        if file is not None:
            self._release(file)
