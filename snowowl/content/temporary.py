"""The file that an upload goes to until it is whole, and how it becomes the target in one step.

Everything here BLOCKS and is for threads; errors are OSError.  Nothing partial is ever visible
under the final name, and nothing that was there is overwritten unless that was asked for: it is the
file system that decides (link and rename), never a look beforehand.

| kind | while it grows | published by | after SIGKILL |
|---|---|---|---|
| anonymous | O_TMPFILE: no name at all | link of /proc/self/fd | nothing is left |
| named | `.snowowl-<16 hex>.part` beside the target | link, or rename | the temporary name is left |
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import secrets
import stat
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, Literal

from snowowl.content.beneath import Directory
from snowowl.content.names import TEMPORARY_PREFIX
from snowowl.content.walk import os_error

Kind = Literal["auto", "anonymous", "named"]

MODE: Final = 0o640
"""Permissions of a new file, less the umask, which the kernel applies."""

_FLAGS: Final = (
    os.O_WRONLY
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_LARGEFILE", 0)
    | getattr(os, "O_BINARY", 0)
)

_NO_TMPFILE: Final = frozenset(
    # EISDIR and EINVAL: kernels before O_TMPFILE took it for O_DIRECTORY (open(2), BUGS).
    {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOSYS}
)

_NO_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
"""What link answers on file systems without hard links (vfat, exfat, some of FUSE)."""

_CANNOT_OPEN: Final = frozenset({errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE})

_RENAME_NOREPLACE: Final = 1  # include/uapi/linux/fs.h

WRITEBACK_SIZE: Final = 4 << 20
"""Octets whose writeback is started at once.  An upload at 180 MB/s to ext4 on a fast disk then has
1 ms of `fsync` left at its end, whatever its size; without, 27 ms for 64 MiB, 85 ms for 256 MiB."""

UNSYNCED_MAX: Final = 16 << 20
"""Octets on their way to the disk before writing waits for it, so that a slow disk slows the upload
down as it goes.  Else the client hears nothing while the last `fsync` catches up, and may give up:
on a disk of 100 MB/s it took 2.7 s for 256 MiB, 1.3 s with writeback alone, and 0.2 s so."""

HELD_SIZE: Final = 1 << 20
"""Octets of a file that is replaced from which on it is freed later.  The kernel takes 0.2 ms a MiB
for that, in the rename: 55 ms for 256 MiB, with the client waiting for its last ACK."""

_IOV_MAX: Final = 1024  # of Linux, the BSDs and macOS; POSIX only promises 16

_WAIT: Final = 1  # SYNC_FILE_RANGE_WAIT_BEFORE, include/uapi/linux/fs.h
_START: Final = 2  # SYNC_FILE_RANGE_WRITE

_CANNOT_START: Final = frozenset(
    # ENOSYS and EPERM: sandboxes; the others: files that have no page cache.
    {errno.ENOSYS, errno.EPERM, errno.EINVAL, errno.ESPIPE, errno.EOPNOTSUPP}
)

_CANNOT_WAIT: Final = frozenset({errno.ENOSYS})
"""gVisor, which can start it.  Anything else may be what became of an earlier write."""


def _find_sync_file_range() -> Callable[[int, int, int, int], int] | None:
    """Return sync_file_range(2), which no Python has, or None where there is none."""
    if sys.platform != "linux":  # pragma: no cover - only Linux is tested
        return None
    function = getattr(ctypes.CDLL(None, use_errno=True), "sync_file_range", None)
    if function is not None:  # pragma: no branch - glibc and musl have it
        function.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return function


_sync_file_range = _find_sync_file_range()


class Temporary:
    """A file in `directory` that is to become `name` there, or the first of `names` that is free.

    Owns the directory.  Raises OSError; the directory is then still the caller's.
    """

    def __init__(
        self,
        directory: Directory,
        name: bytes,
        kind: Kind,
        *,
        mode: int = MODE,
        names: Iterable[bytes] | None = None,
    ) -> None:
        self._directory = directory
        self._names = (name,) if names is None else names
        self.name = name
        """What it is called, once it is published."""
        self._mode = mode
        self._hidden: bytes | None = None  # the temporary name, if there is one now
        fd = -1
        if kind != "named":
            fd = self._open_anonymous(required=kind == "anonymous")
        if fd < 0:
            hidden = self._hidden_name()
            fd = os.open(hidden, _FLAGS | os.O_CREAT | os.O_EXCL, mode, dir_fd=directory.fd)
            self._hidden = hidden
        self._fd = fd
        self._open = True
        self._size = 0
        self._behind: int | None = None if _sync_file_range is None else 0
        """Where writeback has got to, if it can be started."""
        self._replaced = -1

    @property
    def kind(self) -> Literal["anonymous", "named"]:
        """Which kind it came to be."""
        return "anonymous" if self._hidden is None else "named"

    @property
    def size(self) -> int:
        """Octets that were written."""
        return self._size

    @property
    def is_open(self) -> bool:
        """Whether there is anything left to close."""
        return self._open

    @property
    def holds_replaced(self) -> bool:
        """Whether closing it will take time, as it frees a large file that it has replaced."""
        return self._replaced >= 0

    def write(self, pieces: Sequence[bytes]) -> None:
        """Append all of the pieces, and have the disk begin with what there is enough of."""
        for start in range(0, len(pieces), _IOV_MAX):
            self._append(pieces[start : start + _IOV_MAX])
        while self._behind is not None and self._size - self._behind >= WRITEBACK_SIZE:
            self._write_back(self._behind)

    def free(self) -> int:
        """Return how many octets are free on its file system, for us.  Raises OSError."""
        return free_octets(self._fd)

    def publish(self, *, overwrite: bool) -> None:
        """Make the file durable and give it its final name, in one step.

        A file that is overwritten leaves its permissions and its owner to the new one.  Raises
        FileExistsError if each of the names is taken and not to be overwritten.  What follows the
        naming (syncing the directory) may fail as well: the file then is there, and whole.
        """
        if overwrite:
            self._take_permissions()
        os.fsync(self._fd)
        for name in self._names:
            self.name = name
            try:
                if self._hidden is None:
                    self._publish_anonymous(overwrite=overwrite)
                else:
                    self._publish_named(self._hidden, overwrite=overwrite)
                break
            except FileExistsError:
                continue
        else:
            raise os_error(errno.EEXIST)
        self._sync_directory()

    def close(self) -> None:
        """Close everything and leave no temporary name.  Idempotent.

        What was not published is gone.
        """
        if not self._open:
            return
        self._open = False
        self._close_file()
        if self._hidden is not None:
            with contextlib.suppress(OSError):  # there is nobody who could do more about it
                os.unlink(self._hidden, dir_fd=self._directory.fd)
        self._directory.close()
        if self._replaced >= 0:
            os.close(self._replaced)

    @property
    def _target(self) -> bytes:
        return self._directory.prefix + self.name

    def _take_permissions(self) -> None:
        """Be to everybody what the file was that is replaced, as if that had been written to.

        No more than its permissions and owners: no lists (ACLs), no attributes, and nothing that a
        write would have taken from it (setuid).
        """
        if not hasattr(os, "fchown"):  # pragma: no cover - only Linux is tested
            return
        try:
            old = os.stat(self._target, dir_fd=self._directory.fd, follow_symlinks=False)
        except OSError:  # there is none
            return
        if not stat.S_ISREG(old.st_mode):
            return
        mode = stat.S_IMODE(old.st_mode) & 0o777
        with contextlib.suppress(OSError):  # only root may
            os.fchown(self._fd, old.st_uid, -1)
        try:
            os.fchown(self._fd, -1, old.st_gid)
        except OSError:  # another group may do no more than everybody
            mode &= ~0o070 | (mode & 0o007) << 3
        with contextlib.suppress(OSError):
            os.fchmod(self._fd, mode)

    def _append(self, pieces: Sequence[bytes]) -> None:
        size = sum(map(len, pieces))
        written = os.writev(self._fd, pieces) if hasattr(os, "writev") else 0
        if written < size:  # a full disk, or a limit: the next write tells which
            rest = memoryview(b"".join(pieces))[written:]
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        self._size += size

    def _write_back(self, offset: int) -> None:
        """Start writing out the octets from here on, and wait for those of some time ago.

        Raises OSError if an earlier write failed on its way to the disk: the kernel tells that
        once, so `fsync` would not tell it again.
        """
        assert _sync_file_range is not None
        self._behind = offset + WRITEBACK_SIZE
        settled = self._behind - UNSYNCED_MAX
        harmless = _CANNOT_START
        failed = _sync_file_range(self._fd, offset, WRITEBACK_SIZE, _START)
        if not failed and settled >= 0:
            harmless = _CANNOT_WAIT
            failed = _sync_file_range(self._fd, settled, WRITEBACK_SIZE, _WAIT)
        if failed:
            number = ctypes.get_errno()
            if number not in harmless:
                raise os_error(number)
            self._behind = None

    def _open_anonymous(self, *, required: bool) -> int:
        # Without /proc the file could be written, but never published; and only relative to a
        # directory descriptor does os.link follow the link that /proc has for it.
        usable = (
            hasattr(os, "O_TMPFILE")
            and self._directory.fd is not None
            and Path("/proc/self/fd").is_dir()
        )
        try:
            if not usable:
                raise os_error(errno.EOPNOTSUPP)
            return os.open(b".", _FLAGS | os.O_TMPFILE, self._mode, dir_fd=self._directory.fd)
        except OSError as error:
            if required or error.errno not in _NO_TMPFILE:
                raise
            return -1

    def _hidden_name(self) -> bytes:
        # 64 random bits: O_EXCL refuses a name that exists, and none is ever met by chance.
        token = secrets.token_hex(8).encode()
        return self._directory.prefix + TEMPORARY_PREFIX + token + b".part"

    def _publish_anonymous(self, *, overwrite: bool) -> None:
        source = b"/proc/self/fd/%d" % self._fd
        fd = self._directory.fd
        try:
            os.link(source, self._target, dst_dir_fd=fd, follow_symlinks=True)
        except FileExistsError:
            if not overwrite:
                raise
        else:
            return
        # Only a rename replaces, and a rename needs a name to begin with.
        hidden = self._hidden_name()
        os.link(source, hidden, dst_dir_fd=fd, follow_symlinks=True)
        self._hidden = hidden
        self._replace(hidden)

    def _publish_named(self, hidden: bytes, *, overwrite: bool) -> None:
        if sys.platform == "win32":  # pragma: no cover - only Linux is tested
            self._close_file()  # an open file cannot be renamed there
        if overwrite:
            self._replace(hidden)
        elif sys.platform == "win32":  # pragma: no cover - only Linux is tested
            # Unlike elsewhere, it refuses a target that exists.
            os.rename(hidden, self._target)  # noqa: PTH104 - octets, not text
            self._hidden = None
        else:
            self._link(hidden)

    def _replace(self, hidden: bytes) -> None:
        fd = self._directory.fd
        self._hold_target()
        os.replace(hidden, self._target, src_dir_fd=fd, dst_dir_fd=fd)
        self._hidden = None

    def _hold_target(self) -> None:
        """Keep a large file that is about to be replaced, so that it is `close` that frees it."""
        fd = self._directory.fd
        if fd is None or not hasattr(os, "O_PATH"):
            return
        with contextlib.suppress(OSError):  # there may be none; the rename tells what matters
            status = os.stat(self._target, dir_fd=fd, follow_symlinks=False)
            if status.st_size >= HELD_SIZE:
                flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
                self._replaced = os.open(self._target, flags, dir_fd=fd)

    def _link(self, hidden: bytes) -> None:
        """Name the file without overwriting: a link fails if the target exists."""
        fd = self._directory.fd
        try:
            os.link(hidden, self._target, src_dir_fd=fd, dst_dir_fd=fd)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            _rename_noreplace(self._directory, hidden, self._target)
            self._hidden = None
        else:
            os.unlink(hidden, dir_fd=fd)
            self._hidden = None

    def _sync_directory(self) -> None:
        """Make the new name durable too."""
        if sys.platform == "win32":  # pragma: no cover - only Linux is tested
            return
        try:
            path = self._directory.prefix or b"."
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY, dir_fd=self._directory.fd)
        except OSError as error:
            if error.errno not in _CANNOT_OPEN:
                raise
            # A drop box: it may be written and searched, not read; or no descriptor is left.  Then
            # the file once more: the journalling file systems of Linux write a file's new names
            # out with it.
            os.fsync(self._fd)
            return
        try:
            os.fsync(fd)
        except OSError as error:
            if error.errno != errno.EINVAL:  # a file system whose directories cannot be synced
                raise
        finally:
            os.close(fd)

    def _close_file(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:  # pragma: no branch - closed before only on Windows
            os.close(fd)


def free_octets(place: int | bytes) -> int:
    """Return how many octets are free for us on the file system of this.  Raises OSError."""
    if not hasattr(os, "statvfs"):
        return sys.maxsize
    space = os.statvfs(place)
    if not space.f_blocks:  # a file system that does not know its size
        return sys.maxsize
    # f_bavail: what is left for us, without the blocks that are reserved for root.
    return space.f_bavail * space.f_frsize


def _rename_noreplace(directory: Directory, source: bytes, target: bytes) -> None:
    """Rename unless the target exists (renameat2(2)).  Raises OSError."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None or directory.fd is None:
        raise os_error(errno.EOPNOTSUPP)
    if renameat2(directory.fd, source, directory.fd, target, _RENAME_NOREPLACE) != 0:
        raise os_error(ctypes.get_errno())
