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
import sys
from pathlib import Path
from typing import Final, Literal

from snowowl.content.beneath import Directory
from snowowl.content.names import TEMPORARY_PREFIX
from snowowl.content.walk import os_error

Kind = Literal["auto", "anonymous", "named"]

_MODE: Final = 0o644
"""Less the umask, which the kernel applies: others read boot files, nobody executes them."""

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


class Temporary:
    """A file in `directory` that is to become `name` there.  Owns the directory.

    Raises OSError; the directory is then still the caller's.
    """

    def __init__(self, directory: Directory, name: bytes, kind: Kind) -> None:
        self._directory = directory
        self._target = directory.prefix + name
        self._hidden: bytes | None = None  # the temporary name, if there is one now
        fd = -1
        if kind != "named":
            fd = self._open_anonymous(required=kind == "anonymous")
        if fd < 0:
            hidden = self._hidden_name()
            fd = os.open(hidden, _FLAGS | os.O_CREAT | os.O_EXCL, _MODE, dir_fd=directory.fd)
            self._hidden = hidden
        self._fd = fd
        self._open = True

    @property
    def kind(self) -> Literal["anonymous", "named"]:
        """Which kind it came to be."""
        return "anonymous" if self._hidden is None else "named"

    def write(self, octets: memoryview) -> None:
        """Append all of the octets."""
        while octets:
            octets = octets[os.write(self._fd, octets) :]

    def publish(self, *, overwrite: bool) -> None:
        """Make the file durable and give it its final name, in one step.

        Raises FileExistsError if the name is taken and not to be overwritten.  What follows the
        naming (syncing the directory) may fail as well: the file then is there, and whole.
        """
        os.fsync(self._fd)
        if self._hidden is None:
            self._publish_anonymous(overwrite=overwrite)
        else:
            self._publish_named(self._hidden, overwrite=overwrite)
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
            return os.open(b".", _FLAGS | os.O_TMPFILE, _MODE, dir_fd=self._directory.fd)
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
        os.replace(hidden, self._target, src_dir_fd=fd, dst_dir_fd=fd)
        self._hidden = None

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


def _rename_noreplace(directory: Directory, source: bytes, target: bytes) -> None:
    """Rename unless the target exists (renameat2(2)).  Raises OSError."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None or directory.fd is None:
        raise os_error(errno.EOPNOTSUPP)
    if renameat2(directory.fd, source, directory.fd, target, _RENAME_NOREPLACE) != 0:
        raise os_error(ctypes.get_errno())
